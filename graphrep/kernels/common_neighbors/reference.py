"""Plain torch on any device: every candidate of the first (or shorter) row is looked up in the other row."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels._sorted import first_above

__all__ = ["neighbor_sets", "pool", "pool_transposed"]


@register("neighbor_sets", "reference")
@register("neighbor_sets", "cuda")  # gathers and searches over whole tensors, which fill the device
def neighbor_sets(rowptr: Tensor, col: Tensor, pairs: Tensor, common: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(offsets (P + 1,), pair (n,), node (n,)) of the nodes in both rows of each pair, or in the first row alone.

    Rows are sorted sets; the result is sorted by pair, then node. All int64.
    """
    rowptr, number = rowptr.long(), torch.arange(pairs.shape[1], device=pairs.device)
    low, other = rowptr[pairs[0]], rowptr[pairs[1]]
    size, other_size = rowptr[pairs[0] + 1] - low, rowptr[pairs[1] + 1] - other
    if common:
        swap = other_size < size
        low, other = torch.where(swap, other, low), torch.where(swap, low, other)
        size, other_size = torch.where(swap, other_size, size), torch.where(swap, size, other_size)
    pair = torch.repeat_interleave(number, size)
    slot = torch.arange(pair.numel(), device=pairs.device) - (size.cumsum(0) - size)[pair]
    node = col[low[pair] + slot].long()
    high = (other + other_size)[pair]
    place = first_above(col, other[pair], high, node - 1)
    found = (place < high) & (col[place.clamp(max=max(col.numel() - 1, 0))] == node)
    kept = found if common else ~found
    pair, node = pair[kept], node[kept]
    offsets = torch.zeros(pairs.shape[1] + 1, dtype=torch.int64, device=pairs.device)
    offsets[1:] = torch.bincount(pair, minlength=pairs.shape[1]).cumsum(0)
    return offsets, pair, node


@register("common_neighbor_pool", "reference")
def pool(rowptr: Tensor, col: Tensor, x: Tensor, pairs: Tensor) -> Tensor:
    """(P, D) sums in float64 over the listed common neighbours."""
    _, pair, node = neighbor_sets(rowptr, col, pairs, True)
    wide = x.double()
    return wide.new_zeros(pairs.shape[1], x.shape[1]).index_add_(0, pair, wide[node]).to(x.dtype)


@register("common_neighbor_pool_t", "reference")
def pool_transposed(rowptr: Tensor, col: Tensor, grad: Tensor, pairs: Tensor, num_cols: int) -> Tensor:
    """(num_cols, D) sums in float64 of the rows of `grad` over the pairs whose common neighbours hold each node."""
    _, pair, node = neighbor_sets(rowptr, col, pairs, True)
    wide = grad.double()
    return wide.new_zeros(num_cols, grad.shape[1]).index_add_(0, node, wide[pair]).to(grad.dtype)
