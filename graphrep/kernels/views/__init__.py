"""Random views of a graph: which edges stay, and the matrix of those that do with its transpose, without sorting.

The base graph is grouped by row, and its transpose by column, once. A view is then a compaction of both: O(E) reads
and writes, and no array but those of the result and one flag and one position per entry.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graphrep.kernels._dispatch import implementation
from graphrep.kernels.csr import CSR, index_dtype
from graphrep.kernels.norm import norm_pattern
from graphrep.kernels.views import cpu, reference  # noqa: F401  (they register themselves)
from graphrep.kernels.views.pairs import reverse_edges

__all__ = ["ViewPlan", "keep_mask", "reverse_edges", "view_of", "view_plan"]


def keep_mask(
    count: int,
    rate: float | Tensor,
    seed: int,
    *,
    leader: Tensor | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Independent draws: item e stays unless word e of the seed's stream, as a number in [0, 1), lies below its rate.

    Args:
        count: number of items E.
        rate: probability of being dropped; one number, or (E,) float32 or float64 on `device`.
        seed: 64 unsigned bits. A draw depends on the seed and the number of the item alone, not on threads or backend.
        leader: (E,) int64, the item whose word decides; items with the same leader and rate stay or go together.
        device: of the result.

    Returns:
        (E,) bool, True where the item stays.

    Example:
        >>> keep_mask(4, 0.0, seed=1).tolist()
        [True, True, True, True]
    """
    place = torch.device(device)
    mask: Tensor = implementation("keep_mask", place)(count, rate, seed, leader, place)
    return mask


class ViewPlan(NamedTuple):
    """What all views of one graph share; rows are destinations."""

    csr: CSR  # every entry, without weights, its transpose built; with loops these are the last of each row
    flag: Tensor  # (nnz,) the edge of each entry; num_edges for the loops that were added
    order: Tensor  # (nnz,) 0, 1, 2, ...
    num_edges: int
    has_loops: bool


def view_plan(edge_index: Tensor, num_nodes: int, *, loops: bool) -> ViewPlan:
    """Groups the edges by row and by column, once for all views; `edge_index` is known to be right.

    With `loops` given self-loops are taken out and each node gets one, as :func:`graphrep.kernels.gcn_norm` does for
    edges without weights: a view has them whatever is dropped.
    """
    entries = norm_pattern(edge_index, num_nodes, add_self_loops=loops)
    csr, num_edges = entries.csr, edge_index.shape[1]
    flag = csr.perm
    if loops and entries.kept is None:
        flag = flag.clamp(max=num_edges)
    elif entries.kept is not None:
        flag = torch.cat([entries.kept, entries.kept.new_full((num_nodes,), num_edges)])[csr.perm.long()]
    csr.pattern_t()
    order = torch.arange(csr.nnz, dtype=csr.col.dtype, device=csr.device)
    return ViewPlan(csr, flag.to(index_dtype(num_nodes, num_nodes, num_edges + 1)), order, num_edges, loops)


def view_of(plan: ViewPlan, keep: Tensor, *, dtype: torch.dtype | None) -> CSR:
    """The matrix of the edges that stay, with its transpose; normalised where the plan has loops.

    Args:
        plan: from :func:`view_plan`.
        keep: (num_edges,) bool.
        dtype: of the weights D^-1/2 (A + I) D^-1/2, D counting the entries of the view; None: no weights.

    Returns:
        CSR (N, N) whose `perm` counts its own entries.
    """
    flags = torch.cat([keep, keep.new_ones(1)])  # the last one is that of the loops
    pick = implementation("compact_view", keep.device)
    rowptr, col, t_rowptr, t_col, t_perm = pick(plan.csr, plan.flag, flags)
    value = None
    if dtype is not None:
        exact = dtype if dtype.itemsize > 2 else torch.float32
        scale = (rowptr[1:] - rowptr[:-1]).to(exact).pow(-0.5).masked_fill_(rowptr[1:] == rowptr[:-1], 0)
        value = implementation("outer_scale", keep.device)(rowptr, col, scale).to(dtype)
    num_nodes = plan.csr.num_rows
    view = CSR._trusted(rowptr, col, value, num_nodes, plan.order[: col.numel()])
    view._cache["transpose"] = CSR._trusted(t_rowptr, t_col, None, num_nodes, t_perm)
    view._cache["transpose_perm"] = t_perm
    return view
