"""Communities of largest modularity by moving nodes and merging communities (Louvain), and modularity itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphrep.errors import GraphrepError, NonFiniteError, ShapeError
from graphrep.kernels._check import check_index, check_range
from graphrep.kernels._counter import DOMAIN_ORDER, check_seed, torch_start, torch_word
from graphrep.kernels._dispatch import implementation
from graphrep.kernels.csr import CSR
from graphrep.kernels.louvain import cpu, reference  # noqa: F401  (they register themselves)

__all__ = ["louvain", "modularity"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def louvain(csr: CSR, *, resolution: float = 1.0, seed: int, max_passes: int = 10) -> Tensor:
    """Communities that no move of a node and no merger of two of them makes better.

    What is maximised is :func:`modularity`, in other words the RB configuration objective with `resolution` as its
    parameter. Beyond the published method, nodes are moved again on the way back from the coarsest level to the finest
    (Rotta and Noack 2011), passes are repeated until one changes nothing, and a community that fell apart is split,
    which never lowers the modularity: every community is connected.

    Args:
        csr: (N, N) symmetric with weights >= 0 (default 1). An entry on the diagonal counts once; igraph, which counts
            a loop of weight w as 2 w, means a diagonal of 2 w.
        resolution: gamma >= 0; larger gives more communities.
        seed: of the order in which nodes are looked at.
        max_passes: passes at most, each from the communities of the one before.

    Returns:
        (N,) int64 on the device of `csr`, numbered by their first node. A node without neighbours is a community. The
        same for every backend and number of threads. About O(E) a pass, on one thread of the host.

    Raises:
        ShapeError, GraphrepError, NonFiniteError, DTypeError: not such a matrix, or an argument out of range.

    Source: Blondel, Guillaume, Lambiotte, Lefebvre, "Fast unfolding of communities in large networks", J. Stat. Mech.
    P10008, 2008; refinement: Rotta, Noack, "Multilevel local search algorithms for modularity clustering", ACM JEA 16,
    2011; queue of nodes: Traag, Waltman, van Eck, "From Louvain to Leiden", Scientific Reports 9, 2019.

    Example:
        >>> edges = torch.tensor([[0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3]])
        >>> csr = CSR.from_edge_index(torch.cat([edges, edges.flip(0)], dim=1))
        >>> louvain(csr, seed=0).tolist()
        [0, 0, 0, 1, 1, 1]
    """
    matrix = _symmetric(csr)
    if not (math.isfinite(resolution) and resolution >= 0):
        raise GraphrepError(f"resolution must be finite and at least 0; got {resolution}.", hint="resolution=1.0")
    if isinstance(max_passes, bool) or not isinstance(max_passes, int) or max_passes < 1:
        raise GraphrepError(f"max_passes must be an integer of at least 1; got {max_passes!r}.", hint="max_passes=10")
    labels = np.arange(csr.num_rows)
    if matrix.nnz and matrix.data.max() > 0:
        search = _Search(float(resolution), float(matrix.sum()), check_seed(seed))
        for _ in range(max_passes):
            if not search.improve(matrix, labels):
                break
        labels = _connected_parts(matrix, labels)
    return torch.from_numpy(_by_first_node(labels)).to(csr.device)


def modularity(csr: CSR, labels: Tensor, *, resolution: float = 1.0) -> float:
    """``sum_ij [ A_ij / 2m - resolution k_i k_j / (2m)^2 ]`` over pairs of one community; k row sums, 2m their sum.

    Args:
        csr: (N, N) symmetric, A; weights default to 1.
        labels: (N,) integers >= 0.
        resolution: gamma.

    Returns:
        A number below 1; 0 for a matrix without weight. O(E), in float64.

    Raises:
        ShapeError, DTypeError, IndexRangeError: `labels` are not one community per row.

    Source: Newman, Girvan, Physical Review E 69, 026113, 2004; resolution: Reichardt, Bornholdt, Physical Review E 74,
    016110, 2006.

    Example:
        >>> csr = CSR.from_edge_index(torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]]))
        >>> modularity(csr, torch.tensor([0, 0, 1, 1]))
        0.5
    """
    check_index(labels, "labels")
    if labels.numel() != csr.num_rows:
        raise ShapeError(f"labels has {labels.numel()} entries; there are {csr.num_rows} rows.", hint="one per row")
    if not csr.nnz:
        return 0.0
    count = int(labels.max()) + 1
    check_range(labels, count, "labels")
    label, row = labels.long(), csr.row().long()
    value = torch.ones(csr.nnz, dtype=torch.float64, device=csr.device) if csr.value is None else csr.value.double()
    total = float(value.sum())
    if total == 0:
        return 0.0
    mass = torch.bincount(label[row], weights=value.detach(), minlength=count)
    inside = value[label[row] == label[csr.col.long()]].sum()
    return float(inside / total - resolution * (mass / total).square().sum())


def _symmetric(csr: CSR) -> Any:
    """The matrix as a scipy CSR array of float64 with int64 indices, duplicates summed."""
    if csr.num_rows != csr.num_cols:
        raise ShapeError(f"the matrix has shape {csr.shape}; it must be square.", hint="rows and columns are nodes")
    if csr.value is not None:
        csr = csr.with_value(csr.value.detach().double())
    matrix = csr.to("cpu").to_scipy().astype(np.float64)
    if matrix.nnz:
        if not np.isfinite(matrix.data).all():
            raise NonFiniteError("the matrix has NaN or infinite weights.", hint="leave those edges out")
        if matrix.data.min() < 0:
            raise GraphrepError(
                f"the matrix has a weight of {matrix.data.min():g}; communities need weights >= 0.",
                hint="drop the negative edges, or shift the weights",
            )
    matrix.sum_duplicates()
    gap = abs(matrix - matrix.T)
    if gap.nnz and gap.data.max() > 1e-6 * matrix.data.max():
        row, col = (int(k[gap.data.argmax()]) for k in gap.tocoo().coords)
        raise GraphrepError(
            f"the matrix is not symmetric at ({row}, {col}).", hint='graph.to_undirected().csr(), or graph.csr("both")'
        )
    return _wide(matrix)


def _wide(matrix: Any) -> Any:
    matrix.indptr, matrix.indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)
    return matrix


class _Search:
    """One run: what does not change from pass to pass, and a count of the random orders used so far."""

    def __init__(self, resolution: float, total: float, seed: int) -> None:
        self.resolution, self.total, self.seed, self.num_orders = resolution, total, seed, 0
        self.move_nodes = implementation("louvain_move", torch.device("cpu"))

    def improve(self, matrix: Any, labels: Ints) -> bool:
        """One pass down to the coarsest level and back, in place; says whether anything moved."""
        moved = self.move(matrix, labels) > 0
        labels[:] = _by_first_node(labels)
        coarse = _merged(matrix, labels)
        if coarse.shape[0] == matrix.shape[0]:
            return moved
        upper = np.arange(coarse.shape[0])
        if self.improve(coarse, upper):
            labels[:] = upper[labels]
            self.move(matrix, labels)
            moved = True
        return moved

    def move(self, matrix: Any, labels: Ints) -> int:
        size = matrix.shape[0]
        strength = np.asarray(matrix.sum(axis=1), dtype=np.float64)
        arrays = (matrix.indptr, matrix.indices, matrix.data, strength, self.order(size), labels)
        return int(self.move_nodes(*arrays, self.resolution, self.total))

    def order(self, size: int) -> Ints:
        """A random order of the numbers below `size`, another one at each call."""
        words = torch_word(torch_start(self.seed, DOMAIN_ORDER, torch.arange(size)), self.num_orders)
        self.num_orders += 1
        return np.asarray(words.argsort(stable=True).numpy())


def _merged(matrix: Any, labels: Ints) -> Any:
    """The matrix of the communities; weights inside one add up on its diagonal."""
    import scipy.sparse as sp

    size = int(labels.max()) + 1
    row = np.repeat(labels, np.diff(matrix.indptr))
    return _wide(sp.coo_array((matrix.data, (row, labels[matrix.indices])), shape=(size, size)).tocsr())


def _connected_parts(matrix: Any, labels: Ints) -> Ints:
    """Communities, those that fell apart in their connected parts."""
    import scipy.sparse as sp

    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    kept = (labels[row] == labels[matrix.indices]) & (matrix.data > 0)
    inside = sp.coo_array((matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape)
    return np.asarray(sp.csgraph.connected_components(inside, directed=False)[1], dtype=np.int64)


def _by_first_node(labels: Ints) -> Ints:
    """The same communities numbered in the order of their first nodes."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[first.argsort()] = np.arange(len(first))
    return rank[inverse]
