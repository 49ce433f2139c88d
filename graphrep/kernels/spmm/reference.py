"""Plain torch: gathers every message, so memory is E x d; sums in float64 and rounds once."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import over
from graphrep.kernels.spmm._positions import arg_dtype

__all__ = ["messages", "spmm", "spmm_extreme", "spmm_winners", "winner_weight"]


def messages(rowptr: Tensor, col: Tensor, value: Tensor | None, x: Tensor) -> tuple[Tensor, Tensor]:
    """(nnz,) row of each entry and (nnz, ...) its weighted neighbour row in float64."""
    degree = rowptr[1:] - rowptr[:-1]
    row = torch.repeat_interleave(torch.arange(degree.numel(), device=x.device), degree.long())
    gathered = x[col.long()].double()
    if value is not None:
        gathered = gathered * value.double().reshape(*value.shape, *[1] * (x.dim() - value.dim()))
    return row, gathered


@register("spmm", "reference")
def spmm(
    rowptr: Tensor,
    col: Tensor,
    perm: Tensor | None,
    value: Tensor | None,
    x: Tensor,
    mean: int,
    t_rowptr: Tensor | None,
    t_col: Tensor | None,
    t_perm: Tensor | None,
) -> Tensor:
    """Sum (mean 0), mean over each row's entries (1), or sum of x over the entries of its column (2)."""
    wide = x.double()
    if mean == 2 and t_rowptr is not None:
        wide = over(wide, t_rowptr)
    row, gathered = messages(rowptr, col, value if value is None or perm is None else value[perm.long()], wide)
    out = wide.new_zeros(rowptr.numel() - 1, *x.shape[1:]).index_add_(0, row, gathered)
    return (over(out, rowptr) if mean == 1 else out).to(x.dtype)


@register("spmm_extreme", "reference")
def spmm_extreme(
    rowptr: Tensor,
    col: Tensor,
    value: Tensor | None,
    x: Tensor,
    sign: int,
    need_arg: int,
    t_rowptr: Tensor | None,
    t_col: Tensor | None,
    t_perm: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Maximum (sign 1) or minimum (-1) and the first entry that attains it (NaN above all)."""
    row, gathered = messages(rowptr, col, value, x)
    shape = (rowptr.numel() - 1, *x.shape[1:])
    index = row.reshape(-1, *[1] * (x.dim() - 1)).expand_as(gathered)
    best = gathered.new_zeros(shape).scatter_reduce_(0, index, gathered * sign, "amax", include_self=False)
    mine = best[row]
    wins = (gathered * sign == mine) | (gathered.isnan() & mine.isnan())
    place = torch.arange(col.numel(), device=x.device).reshape(-1, *[1] * (x.dim() - 1)).expand_as(gathered)
    place = torch.where(wins, place, col.numel())
    arg = torch.full(shape, -1, device=x.device).scatter_reduce_(0, index, place, "amin", include_self=False)
    return (best * sign).to(x.dtype), (arg if need_arg else arg.new_empty(0)).to(arg_dtype(rowptr, need_arg))


@register("spmm_winners", "reference")
def spmm_winners(
    t_rowptr: Tensor,
    t_col: Tensor,
    t_perm: Tensor,
    value: Tensor | None,
    x: Tensor,
    arg: Tensor,
    rowptr: Tensor,
    col: Tensor,
) -> Tensor:
    """Rows of `x` go back to the column of the entry that `arg` names, times its weight."""
    won, place = arg >= 0, arg.clamp(min=0).long()
    if not col.numel():
        return x.new_zeros(t_rowptr.numel() - 1, *x.shape[1:])
    part = x.double() if value is None else x.double() * winner_weight(value, place)
    out = part.new_zeros(t_rowptr.numel() - 1, *x.shape[1:])
    return out.scatter_add_(0, col[place].long(), torch.where(won, part, 0)).to(x.dtype)


def winner_weight(value: Tensor, place: Tensor) -> Tensor:
    """The weight of entry ``place[i, ...]``; with heads, axis 1 of `place` is the head."""
    if value.dim() == 1:
        return value[place]
    head = torch.arange(value.shape[1], device=value.device).reshape(1, -1, *[1] * (place.dim() - 2))
    return value[place, head]
