"""The numba kernels behind the operators: layouts, allocation, scratch space.

Half types are widened up front, N x d numbers: kernels of their own would gain little and take long to compile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import accumulator, bounds_of, flat_array, line_of, rounded
from graphrep.kernels._rows import CHUNKS, PIECE
from graphrep.kernels.gat._slots_cpu import LANES, RUN, padded, slot_of
from graphrep.kernels.gat.backward_cpu import backward_columns, prepare_rows
from graphrep.kernels.gat.forward_cpu import forward_rows

__all__ = ["gat", "gat_backward"]


@register("gat", "cpu")
def gat(
    rowptr: Tensor,
    col: Tensor,
    x: Tensor,
    el: Tensor,
    er: Tensor,
    slope: float,
    training: bool,
    t_rowptr: Tensor | None,
    t_col: Tensor | None,
    t_perm: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The sums and, for `training`, log-sum-exp of each row's logits and what the gradient of `er` needs."""
    total, shape = accumulator(x.dtype), (rowptr.numel() - 1, *x.shape[1:])
    out = _numba.empty_output(shape, total)
    lse = _numba.empty_output(shape[:2] if training else (0,), total)
    rest = _numba.empty_output(shape if training else (0,), total)
    if out.numel():
        heads, width = shape[1], shape[1] * shape[2]
        forward_rows(
            bounds_of(rowptr),
            rowptr.numpy(),
            col.numpy(),
            flat_array(x, total),
            padded(el, total),
            padded(er, total),
            out.view(-1).numpy(),
            lse.view(-1).numpy(),
            rest.view(-1).numpy() if training else None,
            _room(col.numel(), heads, width, 3, total),
            heads,
            slope,
            line_of(out),
            work=col.numel() * width + out.numel(),
        )
    return rounded(out, x.dtype), lse, rest


@register("gat_backward", "cpu")
def gat_backward(
    t_rowptr: Tensor,
    t_col: Tensor,
    x: Tensor,
    el: Tensor,
    er: Tensor,
    lse: Tensor,
    rest: Tensor,
    out: Tensor,
    grad: Tensor,
    slope: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `x`, `el` and `er`."""
    total, heads, width = accumulator(x.dtype), x.shape[1], x.shape[1] * x.shape[2]
    grad_x = _numba.empty_output(tuple(x.shape), total)
    grad_el = _numba.empty_output(tuple(el.shape), total)
    grad_er = _numba.empty_output(tuple(er.shape), total)
    if not grad_x.numel() or not out.numel():
        return x.new_zeros(x.shape), el.new_zeros(el.shape), er.new_zeros(er.shape)
    node, flat = _numba.empty_output((er.shape[0], 3, heads), total), flat_array(grad, total)
    prepare_rows(
        np.linspace(0, er.shape[0], CHUNKS + 1).astype(np.int64),
        flat,
        flat_array(out, total),
        flat_array(rest, total),
        flat_array(er, total),
        lse.view(-1).numpy(),
        node.view(-1).numpy(),
        grad_er.view(-1).numpy(),
        slope,
        work=3 * grad.numel(),
    )
    backward_columns(
        bounds_of(t_rowptr),
        t_rowptr.numpy(),
        t_col.numpy(),
        flat,
        padded(node, total),
        flat_array(x, total),
        padded(el, total),
        grad_x.view(-1).numpy(),
        grad_el.view(-1).numpy(),
        _room(t_col.numel(), heads, width, 5, total),
        slope,
        line_of(grad_x),
        work=t_col.numel() * width + grad_x.numel(),
    )
    return rounded(grad_x, x.dtype), rounded(grad_el, el.dtype), rounded(grad_er, er.dtype)


def _room(nnz: int, heads: int, width: int, runs: int, dtype: torch.dtype) -> np.ndarray[Any, Any]:
    """Scratch space of each chunk: `runs` of slots, a vector per group, levels of two partial sums for long rows."""
    slot, groups = slot_of(heads)
    levels = (nnz // PIECE).bit_length() + 2
    size = (runs * RUN * slot + LANES) * groups + levels * 2 * (width + groups * LANES)
    return torch.empty(
        CHUNKS, -(-size // LANES) * LANES, dtype=dtype
    ).numpy()  # starts on a cache line; numpy's does not
