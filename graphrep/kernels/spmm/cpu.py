"""The numba kernels behind the operators: checks layouts, allocates, chooses the prefetch."""

from __future__ import annotations

from collections.abc import MutableMapping

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import accumulator, bounds_of, counts, flat_array, flat_bits, line_of, rounded
from graphrep.kernels._rows import chunk_bounds, scratch
from graphrep.kernels.spmm._positions import arg_dtype
from graphrep.kernels.spmm.extreme_cpu import extreme_rows
from graphrep.kernels.spmm.sum_cpu import sum_rows
from graphrep.kernels.spmm.winners_cpu import scatter_winners, shares_of

__all__ = ["in_order", "spmm", "spmm_extreme", "spmm_winners"]

_SCATTERED = 8  # entries per row from which the way back from a maximum scatters
_ORDERED: MutableMapping[Tensor, tuple[int, Tensor, Tensor]] = WeakTensorKeyDictionary()  # weights -> version, order
_HUB = 4096  # entries of a column above which its gradient is summed pairwise


@register("spmm", "cpu")
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
        scale = 1 / counts(t_rowptr, torch.empty(0, dtype=accumulator(x.dtype)))
    return _sum(rowptr, col, perm, value, scale, None, x, mean == 1)


@register("spmm_winners", "cpu")
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
    entries, rows = col.shape[0], rowptr.shape[0] - 1
    if x.dtype.itemsize < 4 or entries < _SCATTERED * rows or not x.numel():
        return _sum(t_rowptr, t_col, t_perm, value, None, arg, x, False)
    out = _numba.empty_output((t_rowptr.shape[0] - 1, *x.shape[1:]), x.dtype).zero_()
    stride = x.numel() // rows
    blocks, shares = shares_of(stride, _numba.num_threads())
    scatter_winners(
        chunk_bounds(t_rowptr.numpy(), np.empty(shares + 1, np.int64)),
        col.numpy(),
        None if value is None else flat_array(value, x.dtype),
        flat_bits(x),
        arg.reshape(-1).numpy(),
        out.numpy().reshape(-1),
        stride,
        value.shape[1] if value is not None and value.dim() == 2 else 1,
        blocks,
        work=x.numel() * shares,
    )
    return _with_hubs(out, t_rowptr, t_col, t_perm, value, arg, x)


def _with_hubs(
    out: Tensor, t_rowptr: Tensor, t_col: Tensor, t_perm: Tensor, value: Tensor | None, arg: Tensor, x: Tensor
) -> Tensor:
    """Rows of `out` with many entries once more, summed pairwise: one after another would lose digits."""
    degree = t_rowptr.diff()
    hubs = (degree > _HUB).nonzero().squeeze(1)
    if hubs.shape[0]:
        begin, count = t_rowptr[hubs].long(), degree[hubs].long()
        ends = count.cumsum(0)
        entries = torch.arange(int(ends[-1])) + (begin - ends + count).repeat_interleave(count)
        rowptr = torch.cat([ends.new_zeros(1), ends]).to(t_rowptr.dtype)
        out[hubs] = _sum(rowptr, t_col[entries], t_perm[entries], value, None, arg, x, False)
    return out


def _sum(
    rowptr: Tensor,
    col: Tensor,
    perm: Tensor | None,
    value: Tensor | None,
    scale: Tensor | None,
    arg: Tensor | None,
    x: Tensor,
    mean: bool,
) -> Tensor:
    rows, total = rowptr.shape[0] - 1, accumulator(x.dtype)
    out = _numba.empty_output((rows, *x.shape[1:]), total)
    numbers = out.numel()
    if numbers:
        if value is not None and perm is not None:
            value = in_order(value, perm)
        entries, stride, weights = col.shape[0], numbers // rows, value is not None or scale is not None
        sum_rows(
            bounds_of(rowptr),
            rowptr.numpy(),
            col.numpy(),
            flat_array(value, total) if weights else None,
            None if arg is None else flat_array(perm, rowptr.dtype),
            flat_array(scale, total) if weights else None,
            None if arg is None else arg.reshape(-1).numpy(),
            flat_bits(x),
            out.numpy().reshape(-1),
            scratch(entries, stride, total),
            value.shape[1] if value is not None and value.dim() == 2 else 1,
            mean,
            line_of(x),
            work=entries * stride + numbers,
        )
    return rounded(out, x.dtype)


def in_order(value: Tensor, perm: Tensor) -> Tensor:
    """The weights in the order of the transpose: one pass over E numbers is cheaper than a gather inside the kernel.

    Weights that are not trained stay the same from step to step, so theirs are kept as long as they live.
    """
    if value.requires_grad or value.is_inference():
        return value.index_select(0, perm)
    kept = _ORDERED.get(value)
    if kept is None or kept[0] != value._version or kept[1] is not perm:
        kept = _ORDERED[value] = (value._version, perm, value.index_select(0, perm))
    return kept[2]


@register("spmm_extreme", "cpu")
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
    rows, total = rowptr.shape[0] - 1, accumulator(x.dtype)
    shape = (rows, *x.shape[1:])
    out = _numba.empty_output(shape, total)
    arg = _numba.empty_output(shape if need_arg else (0,), arg_dtype(rowptr, need_arg))
    numbers = out.numel()
    if numbers:
        heads = value.shape[1] if value is not None and value.dim() == 2 else 1
        extreme_rows(
            bounds_of(rowptr),
            rowptr.numpy(),
            col.numpy(),
            None if value is None and sign > 0 else flat_array(value, total),
            flat_bits(x),
            out.numpy().reshape(-1),
            arg.numpy().reshape(-1) if need_arg else None,
            heads,
            sign,
            line_of(x),
            work=col.shape[0] * (numbers // rows) + numbers,
        )
    return rounded(out, x.dtype), arg
