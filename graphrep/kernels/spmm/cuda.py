"""The Triton kernels behind the operators."""

from __future__ import annotations

from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import accumulator, counts
from graphrep.kernels.spmm._positions import NO_ARG, arg_dtype
from graphrep.kernels.spmm.extreme_cuda import extreme_rows
from graphrep.kernels.spmm.sum_cuda import sum_rows

__all__ = ["spmm", "spmm_extreme", "spmm_winners"]


@register("spmm", "cuda")
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
    scale = None
    if mean == 2 and t_rowptr is not None:
        scale = 1 / counts(t_rowptr, x.new_empty(0, dtype=accumulator(x.dtype)))
    return sum_rows(rowptr, col, perm, value, scale, None, x, mean=mean == 1)


@register("spmm_winners", "cuda")
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
    return sum_rows(t_rowptr, t_col, t_perm, value, None, arg, x)


@register("spmm_extreme", "cuda")
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
    out, arg = extreme_rows(rowptr, col, value, x, sign=sign, need_arg=need_arg != NO_ARG)
    return out, arg.to(arg_dtype(rowptr, need_arg))
