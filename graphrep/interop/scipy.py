"""Adjacency matrices: entry (i, j) is an edge from i to j."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data.graph import Graph
from graphrep.errors import DTypeError, ShapeError
from graphrep.kernels import CSR

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["entries", "from_csr", "from_scipy", "to_scipy"]


def from_scipy(matrix: sp.sparray | sp.spmatrix, *, x: Any = None, y: Any = None, ids: Any = None) -> Graph:
    """A graph from a square sparse matrix; every stored entry (explicit zeros and duplicates too) is an edge.

    Args:
        matrix: (N, N) real. A matrix whose entries are all 1 gives a graph without weights.
        x: features.
        y: labels.
        ids: external ids.

    Raises:
        ShapeError: the matrix is not square.
        DTypeError: the entries are not real numbers.

    Example:
        >>> import scipy.sparse as sp
        >>> from_scipy(sp.csr_array(([2.0], ([0], [1])), shape=(2, 2))).edge_index.tolist()
        [[0], [1]]
    """
    if matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(
            f"The matrix is {matrix.shape[0]} x {matrix.shape[1]}; an adjacency matrix is square.",
            hint="scipy.sparse.block_array([[None, A], [A.T, None]]) makes a bipartite graph square",
        )
    row, column, weight = entries(matrix)
    return Graph(torch.stack([row, column]), weight, x, y, num_nodes=matrix.shape[0], ids=ids)


def entries(matrix: sp.sparray | sp.spmatrix) -> tuple[Tensor, Tensor, Tensor | None]:
    """Row, column (int64) and weight of every stored entry; no weights if all are 1.

    Raises:
        DTypeError: the entries are not real numbers.
    """
    coo = matrix.tocoo()
    if coo.data.dtype.kind not in "biuf":
        raise DTypeError(f"The matrix has dtype {coo.data.dtype}; weights must be real.", hint="matrix.astype(float)")
    weight = None
    if not (coo.data == 1).all():
        data = coo.data if coo.data.dtype in (np.float32, np.float64) else coo.data.astype(np.float32)
        weight = torch.from_numpy(data.copy())
    row, column = (torch.from_numpy(part.astype(np.int64)) for part in (coo.row, coo.col))
    return row, column, weight


def to_scipy(graph: Graph) -> sp.csr_array:
    """(N, N) CSR array of weights (1.0 without weights); parallel edges stay separate entries.

    Columns are sorted inside each row. Sum parallel edges with ``matrix.sum_duplicates()``. A matrix holds edges and
    weights alone, and :func:`from_scipy` takes one in which all weights are 1 as unweighted; half precision becomes
    float32.

    Example:
        >>> to_scipy(Graph(torch.tensor([[0, 0], [1, 2]]), num_nodes=3)).toarray().tolist()
        [[0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    csr = graph.csr("out")
    if csr.value is not None and csr.value.dtype in (torch.float16, torch.bfloat16):
        csr = csr.with_value(csr.value.float())
    return csr.to_scipy()


def from_csr(csr: CSR) -> Graph:
    """A graph from a kernel matrix, whose rows are destinations and columns sources.

    Raises:
        ShapeError: the matrix is not square, or has several weights per entry.
    """
    if not isinstance(csr, CSR):
        raise DTypeError(f"A {type(csr).__name__} is not a graph.", hint="Graph or graphrep.kernels.CSR")
    if csr.num_rows != csr.num_cols:
        raise ShapeError(f"The CSR is {csr.num_rows} x {csr.num_cols}; a graph needs a square one.")
    if csr.value is not None and csr.value.dim() > 1:
        raise ShapeError(f"The CSR has weights of shape {tuple(csr.value.shape)}; a graph has one per edge.")
    return Graph(torch.stack([csr.col.long(), csr.row().long()]), csr.value, num_nodes=csr.num_rows)
