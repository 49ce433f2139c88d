"""Communities of largest modularity by moving nodes and merging communities (Louvain), and modularity itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels._check import check_index, check_range
from graphrep.kernels.csr import CSR
from graphrep.kernels.louvain import cpu, reference  # noqa: F401  (they register themselves)
from graphrep.kernels.louvain._search import check_search, checked_weights, communities
from graphrep.kernels.louvain.bipartite import bipartite_louvain, bipartite_modularity

__all__ = ["bipartite_louvain", "bipartite_modularity", "louvain", "modularity"]


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
    check_search(resolution, max_passes)
    strength = np.asarray(matrix.sum(axis=1), dtype=np.float64)
    both = np.stack([strength, strength], axis=1)
    labels = communities(matrix, both, 2 * float(strength.sum()), resolution, seed, max_passes)
    return torch.from_numpy(labels).to(csr.device)


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
    matrix = checked_weights(csr)
    gap = abs(matrix - matrix.T)
    if gap.nnz and gap.data.max() > 1e-6 * matrix.data.max():
        row, col = (int(k[gap.data.argmax()]) for k in gap.tocoo().coords)
        raise GraphrepError(
            f"the matrix is not symmetric at ({row}, {col}).", hint='graph.to_undirected().csr(), or graph.csr("both")'
        )
    return matrix
