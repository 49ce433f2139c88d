"""Communities of a bipartite graph: Louvain for Barber's modularity, which expects links between the two sides only."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels._check import check_index, check_range
from graphrep.kernels.csr import CSR
from graphrep.kernels.louvain._search import check_search, checked_weights, communities, wide

__all__ = ["bipartite_louvain", "bipartite_modularity"]


def bipartite_louvain(csr: CSR, *, resolution: float = 1.0, seed: int, max_passes: int = 10) -> tuple[Tensor, Tensor]:
    """Communities of rows and columns together that no move of one of them and no merger makes better.

    What is maximised is :func:`bipartite_modularity`; the search is that of :func:`louvain`, and as there every
    community is connected.

    Args:
        csr: (U, I) links between rows and columns, weights >= 0 (default 1); repeated entries add up.
        resolution: gamma >= 0; larger gives more communities.
        seed: of the order in which rows and columns are looked at.
        max_passes: passes at most, each from the communities of the one before.

    Returns:
        (U,) and (I,) int64 on the device of `csr`: one numbering for both, by the first row, then the first column. A
        row or column without links is a community. The same for every backend and number of threads. About O(E) a
        pass, on one thread of the host.

    Raises:
        GraphrepError, NonFiniteError, DTypeError: a negative or non-finite weight, or an argument out of range.

    Source: Barber, "Modularity and community detection in bipartite networks", Physical Review E 76, 066102, 2007;
    search: see :func:`louvain`.

    Example:
        >>> item, user = torch.tensor([0, 0, 1, 2, 1, 2]), torch.tensor([0, 1, 2, 2, 3, 3])
        >>> csr = CSR.from_edge_index(torch.stack([item, user]), size=(3, 4))
        >>> rows, cols = bipartite_louvain(csr, seed=0)
        >>> rows.tolist(), cols.tolist()
        ([0, 0, 1, 1], [0, 1, 1])
    """
    check_search(resolution, max_passes)
    links = checked_weights(csr)
    size = csr.num_rows + csr.num_cols
    strength = np.zeros((size, 2))
    strength[: csr.num_rows, 0] = np.asarray(links.sum(axis=1))
    strength[csr.num_rows :, 1] = np.asarray(links.sum(axis=0))
    labels = communities(_square(links), strength, float(links.sum()), resolution, seed, max_passes)
    found = torch.from_numpy(labels).to(csr.device)
    return found[: csr.num_rows], found[csr.num_rows :]


def _square(links: Any) -> Any:
    """The symmetric matrix over rows, then columns."""
    import scipy.sparse as sp

    return wide(sp.block_array([[None, links], [links.T, None]], format="csr"))


def bipartite_modularity(csr: CSR, row_labels: Tensor, col_labels: Tensor, *, resolution: float = 1.0) -> float:
    """``sum_ui [ B_ui / m - resolution r_u c_i / m^2 ]`` over pairs of one community.

    r and c are the sums of rows and columns, m that of all weights.

    Args:
        csr: (U, I) links, B; weights default to 1.
        row_labels: (U,) integers >= 0.
        col_labels: (I,) integers >= 0 of the same numbering.
        resolution: gamma.

    Returns:
        A number below 1; 0 for a matrix without weight. O(E), in float64.

    Raises:
        ShapeError, DTypeError, IndexRangeError: the labels are not one community per row and column.

    Source: Barber, "Modularity and community detection in bipartite networks", Physical Review E 76, 066102, 2007.

    Example:
        >>> csr = CSR.from_edge_index(torch.tensor([[0, 1], [0, 1]]))
        >>> bipartite_modularity(csr, torch.tensor([0, 1]), torch.tensor([0, 1]))
        0.5
    """
    for labels, name, size in ((row_labels, "row_labels", csr.num_rows), (col_labels, "col_labels", csr.num_cols)):
        check_index(labels, name)
        if labels.numel() != size:
            raise ShapeError(f"{name} has {labels.numel()} entries; there are {size}.", hint="one each")
    if not csr.nnz:
        return 0.0
    count = int(max(row_labels.max(), col_labels.max())) + 1
    check_range(row_labels, count, "row_labels")
    check_range(col_labels, count, "col_labels")
    value = torch.ones(csr.nnz, dtype=torch.float64, device=csr.device) if csr.value is None else csr.value.double()
    total = float(value.sum())
    if total == 0:
        return 0.0
    left, right = row_labels.long()[csr.row().long()], col_labels.long()[csr.col.long()]
    out = torch.bincount(left, weights=value.detach(), minlength=count) / total
    into = torch.bincount(right, weights=value.detach(), minlength=count) / total
    return float(value[left == right].sum() / total - resolution * (out * into).sum())
