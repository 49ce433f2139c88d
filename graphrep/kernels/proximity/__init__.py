"""How close nodes are by walks: rows of personalised PageRank, and Katz sums of pairs; never an N x N array.

Sources: Andersen, Chung, Lang, "Local Graph Partitioning using PageRank Vectors", FOCS 2006; Katz, "A New Status Index
Derived from Sociometric Analysis", Psychometrika 18(1), 1953.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels._budget import ranges_within
from graphrep.kernels._check import check_device, check_index, check_range
from graphrep.kernels._dispatch import implementation
from graphrep.kernels._sorted import sorted_pattern
from graphrep.kernels.csr import CSR, index_dtype
from graphrep.kernels.proximity import cpu, reference  # noqa: F401  (they register themselves)

__all__ = ["katz_scores", "pagerank_entries", "pagerank_rows"]

BLOCK_ENTRIES = 1 << 22  # entries of rows that are made at once: 64 MiB


def pagerank_rows(csr: CSR, nodes: Tensor, *, teleport: float = 0.15, tolerance: float = 1e-6) -> CSR:
    """Personalised PageRank of some nodes by forward push: where a walk from each of them is when it stops.

    A walk stops with probability `teleport` before every step, and steps to each node of its row alike; at a node
    without neighbours it stops. Mass not yet assigned waits in a residual r, which starts as 1 at the node; in each
    round every u with ``r[u] >= tolerance * degree[u]`` keeps `teleport` of it and passes the rest on. Rounds are
    synchronous, so that the result does not depend on the order of nodes or threads.

    Args:
        csr: (N, N), row i the nodes that a step from i leads to; rows count as sets.
        nodes: (S,) int32 or int64 starts; repeats are fine.
        teleport: between 0 and 1, both excluded.
        tolerance: above 0. For a symmetric matrix each value is at most ``tolerance * degree`` below the exact one.

    Returns:
        CSR (S, N), float64, columns ascending. A row has at most ``min(N, 1 / (teleport * tolerance))`` entries, and
        costs at most ``1 / (teleport * tolerance)`` steps however large the graph. Beside the result at most 64 MiB,
        or one row, and 56 bytes per node and thread.

    Raises:
        GraphrepError: a teleport or tolerance out of range.
        ShapeError, IndexRangeError, DTypeError, DeviceError: no square matrix, or no rows of it.

    Example:
        >>> path = CSR.from_edge_index(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> rows = pagerank_rows(path, torch.tensor([0]), teleport=0.5, tolerance=1e-9)
        >>> rows.col.tolist(), [round(p, 4) for p in rows.value.tolist()]
        ([0, 1, 2], [0.5833, 0.3333, 0.0833])
    """
    _check_square(csr)
    check_index(nodes, "nodes")
    check_device(csr.device, nodes=nodes)
    check_range(nodes, csr.num_rows, "nodes")
    most = pagerank_entries(csr.num_rows, teleport, tolerance)
    pattern, starts = sorted_pattern(csr), nodes.long()
    push = implementation("pagerank_rows", csr.device)
    cost = torch.full((starts.numel(),), most, dtype=torch.int64)
    parts = [push(pattern, starts[a:b], teleport, tolerance, most) for a, b in ranges_within(cost, BLOCK_ENTRIES)]
    counts, columns, values = (
        (torch.cat(list(part)) for part in zip(*parts, strict=True))
        if parts
        else (starts.new_empty(0), starts.new_empty(0), torch.empty(0, dtype=torch.float64, device=csr.device))
    )
    kind = index_dtype(starts.numel(), csr.num_cols, columns.numel())
    rowptr = torch.zeros(starts.numel() + 1, dtype=kind, device=csr.device)
    rowptr[1:] = counts.cumsum(0)
    perm = torch.arange(columns.numel(), dtype=kind, device=csr.device)
    return CSR._trusted(rowptr, columns.to(kind), values, csr.num_cols, perm)


def pagerank_entries(num_nodes: int, teleport: float, tolerance: float) -> int:
    """The most entries that a row of :func:`pagerank_rows` can have.

    Raises:
        GraphrepError: a teleport or tolerance out of range.
    """
    if not 0 < teleport < 1:
        raise GraphrepError(f"teleport must lie between 0 and 1; got {teleport}.", hint="teleport=0.15")
    if not 0 < tolerance < math.inf:
        raise GraphrepError(f"tolerance must be above 0; got {tolerance}.", hint="tolerance=1e-6")
    # Every node with an entry but the start kept at least teleport * tolerance of a total of 1.
    return max(1, min(num_nodes, math.ceil(1 / (teleport * tolerance)) + 1))


def katz_scores(csr: CSR, pairs: Tensor, *, beta: float = 0.005, hops: int = 3) -> Tensor:
    """Katz's index up to a number of hops: ``sum over l = 1..hops of beta^l * walks of length l from i to j``.

    For each distinct start the walks of all but the last step are summed up in one sparse row, by Horner's rule; the
    last step is a sum over the entries of the column of the end.

    Args:
        csr: (N, N), row i the nodes that a step from i leads to; rows count as sets.
        pairs: (2, P) int32 or int64 starts and ends; repeats and equal ends are fine.
        beta: above 0, the weight of one more step.
        hops: the longest walks, at least 1.

    Returns:
        (P,) float64. Costs per distinct start the entries within `hops` - 1 steps, and per pair the entries of a
        column. Memory 40 bytes per node and thread; the plain form holds blocks of dense rows.

    Raises:
        GraphrepError: a beta or number of hops out of range.
        ShapeError, IndexRangeError, DTypeError, DeviceError: no square matrix, or no pairs of its rows.

    Example:
        >>> path = CSR.from_edge_index(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> [round(s, 6) for s in katz_scores(path, torch.tensor([[0, 0], [1, 2]]), beta=0.1).tolist()]
        [0.102, 0.01]
    """
    _check_square(csr)
    check_index(pairs, "pairs", ndim=2)
    if pairs.shape[0] != 2:
        raise ShapeError(
            f"pairs must have shape (2, P); got {tuple(pairs.shape)}.", hint="torch.stack([first, second])"
        )
    check_device(csr.device, pairs=pairs)
    check_range(pairs, csr.num_rows, "pairs")
    if not 0 < beta < math.inf:
        raise GraphrepError(f"beta must be above 0; got {beta}.", hint="beta=0.005")
    if isinstance(hops, bool) or not isinstance(hops, int) or hops < 1:
        raise GraphrepError(f"hops must be an integer of at least 1; got {hops!r}.", hint="hops=3")
    starts, place = torch.unique(pairs[0].long(), return_inverse=True)
    order = torch.argsort(place, stable=True)
    pointer = torch.zeros(starts.numel() + 1, dtype=torch.int64, device=pairs.device)
    pointer[1:] = torch.bincount(place, minlength=starts.numel()).cumsum(0)
    pattern = sorted_pattern(csr)
    summed = implementation("katz_scores", csr.device)
    out = torch.empty(pairs.shape[1], dtype=torch.float64, device=pairs.device)
    out[order] = summed(pattern, starts, pointer, pairs[1].long()[order], beta, hops)
    return out


def _check_square(csr: CSR) -> None:
    if csr.num_rows != csr.num_cols:
        raise ShapeError(f"the matrix has shape {csr.shape}.", hint="an adjacency matrix (N, N)")
