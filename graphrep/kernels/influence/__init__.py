"""Influence of nodes on nodes through short random walks: ``A_norm + ... + A_norm^r`` or ``A_norm^r``, sparse.

Source: Kulatilleke, Portmann, Chandra, "SCGC: Self-Supervised Contrastive Graph Clustering", arXiv:2204.12656.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, OutOfMemoryError, UnknownNameError
from graphrep.kernels._check import check_edge_index, check_range
from graphrep.kernels._dispatch import implementation
from graphrep.kernels._memory import free_bytes, row_offsets
from graphrep.kernels._sorted import sorted_pattern
from graphrep.kernels.csr import CSR, index_dtype
from graphrep.kernels.influence import cpu, reference  # noqa: F401  (they register themselves)

__all__ = ["influence_matrix"]

COST_LIMIT = 1 << 31  # so that sums over fewer than 2^31 entries fit into 64 bits


def influence_matrix(
    edge_index: Tensor,
    *,
    num_nodes: int,
    order: int,
    cumulative: bool = True,
    duplicates: Literal["coalesce", "sum"] = "coalesce",
    top_m: int | None = None,
    dtype: torch.dtype | None = None,
) -> CSR:
    """W_ij: expected visits of j in steps 1..order of a random walk from i, or the probability to be there at the end.

    ``A_norm = D^-1 (A + I)`` with A the elementwise maximum of the edges and their transpose (a directed input is made
    undirected), D the row sums. W is ``sum_{k=1..order} A_norm^k``, whose rows sum to `order`, or ``A_norm^order``,
    whose rows sum to 1. Nodes without edges keep their own row: W_ii = order, or 1.

    Args:
        edge_index: (2, E) int32 or int64.
        num_nodes: N.
        order: r, number of steps, at least 1.
        cumulative: the sum of powers (SCGC*), else the last power (SCGC).
        duplicates: ``"coalesce"``: an edge counts once however often and in whichever directions it stands, and a
            self-loop is the one that I adds. ``"sum"``: equal (source, destination) pairs add up to a weight and a
            self-loop adds to that of I, as the authors' program does.
        top_m: keep only the m largest entries of each row of the exact W (not rescaled); values are compared as float32
            numbers, of equal ones the smaller column stays. Default all.
        dtype: of the values; default torch's. Sums are kept in float64 and rounded once.

    Returns:
        CSR (N, N), columns ascending in each row, no gradient. nnz is the number of pairs of nodes within `order`
        steps, about N deg^order until it fills N^2. Costs one multiply-add per entry of each power and neighbour of it;
        memory of the result and 40 bytes per node and thread. Same bytes for any number of threads.

    Raises:
        OutOfMemoryError: the result, whose size is estimated and then counted before anything is computed, would not
            fit into free memory.
        ShapeError, DTypeError, IndexRangeError, UnknownNameError, GraphrepError: an argument is malformed.

    Example:
        >>> w = influence_matrix(torch.tensor([[0], [1]]), num_nodes=3, order=2)
        >>> w.col.tolist(), w.value.tolist()
        ([0, 1, 0, 1, 2], [1.0, 1.0, 1.0, 1.0, 2.0])
    """
    _check(edge_index, num_nodes, order, duplicates, top_m)
    dtype = dtype or torch.get_default_dtype()
    walk = _normalised(edge_index, num_nodes, duplicates)
    assert walk.value is not None  # it was just made
    layout, cost = (walk.rowptr, walk.col), _costs(walk, order)
    limit, device = top_m or num_nodes, edge_index.device
    counts = implementation("influence_counts", device)
    entry = dtype.itemsize + walk.col.element_size()
    offsets = row_offsets(
        lambda rows: counts(*layout, rows, cost[rows], order, limit),
        num_nodes,
        device,
        lambda nnz: _check_memory(nnz, entry, device, order, top_m),
    )
    nnz = int(offsets[-1])
    fill = implementation("influence_rows", device)
    col, value = fill(*layout, walk.value, cost, order, cumulative, top_m or 0, offsets, dtype)
    kind = index_dtype(num_nodes, num_nodes, nnz)
    perm = torch.arange(nnz, dtype=kind, device=device)
    return CSR._trusted(offsets.to(kind), col.to(kind), value, num_nodes, perm)


def _check(edge_index: Tensor, num_nodes: int, order: int, duplicates: str, top_m: int | None) -> None:
    check_edge_index(edge_index)
    check_range(edge_index, num_nodes, "edge_index")
    for name, number in (("order", order), ("top_m", 1 if top_m is None else top_m)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise GraphrepError(f"{name} must be an integer of at least 1; got {number!r}.", hint=f"{name}=1")
    if duplicates not in ("coalesce", "sum"):
        raise UnknownNameError(f'duplicates is "{duplicates}".', hint='one of "coalesce", "sum"')


def _normalised(edge_index: Tensor, num_nodes: int, duplicates: str) -> CSR:
    """D^-1 (A + I) with float64 values, columns ascending."""
    loops = torch.arange(num_nodes, dtype=edge_index.dtype, device=edge_index.device).expand(2, -1)
    size = (num_nodes, num_nodes)
    if duplicates == "coalesce":
        both = torch.cat([edge_index, edge_index.flip(0), loops], dim=1)
        pattern = sorted_pattern(CSR.from_edge_index(both, size=size))
        return pattern.with_value((1.0 / pattern.degree().double()).repeat_interleave(pattern.degree().long()))
    key, count = torch.unique(edge_index[1].long() * num_nodes + edge_index[0], return_counts=True)
    turned = (key % num_nodes) * num_nodes + key // num_nodes
    key, place = torch.unique(torch.cat([key, turned, loops[0].long() * (num_nodes + 1)]), return_inverse=True)
    weight = torch.zeros(key.numel(), dtype=torch.float64, device=key.device)
    weight.scatter_reduce_(0, place[: 2 * count.numel()], count.double().repeat(2), "amax")
    weight[place[2 * count.numel() :]] += 1.0
    edges = torch.stack([key % max(num_nodes, 1), key // max(num_nodes, 1)])
    summed = CSR.from_edge_index(edges, weight, size=size)
    row = summed.row().long()
    total = weight.new_zeros(num_nodes).index_add_(0, row, weight)  # whole numbers: exact in any order
    return summed.with_value(weight / total[row])


def _costs(walk: CSR, order: int) -> Tensor:
    """(N,) int64 upper bound of the products that each row takes, cut off where it only says "very many"."""
    cost = torch.ones(walk.num_rows, dtype=torch.int64, device=walk.device)
    rowptr, col = walk.rowptr.long(), walk.col.long()
    for _ in range(order):
        total = torch.cat([cost.new_zeros(1), cost[col].cumsum(0)])
        cost = (total[rowptr[1:]] - total[rowptr[:-1]]).clamp(max=COST_LIMIT)
    return cost


def _check_memory(nnz: float, entry: int, device: torch.device, order: int, top_m: int | None) -> None:
    """Raises where `nnz` entries of column, value and position would not fit into free memory."""
    wanted, free = nnz * (entry + 4), free_bytes(device)
    if wanted <= free:
        return
    smaller = f"order={order - 1}, " if order > 1 else ""
    raise OutOfMemoryError(
        f"the influence matrix of order {order} would have about {nnz:.3g} entries ({wanted / 2**30:.1f} GiB); "
        f"{free / 2**30:.1f} GiB are free.",
        hint=f"{smaller}or keep the largest of each row: top_m={max(1, (top_m or 64) // 2)}",
    )
