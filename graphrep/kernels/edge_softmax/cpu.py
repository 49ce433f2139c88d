"""Softmax over each row's entries on CPU.

Bytes: E x H read twice and written twice, from cache where a row is short. Where the heads divide 16, a vector holds
whole entries side by side, so that lane l belongs to head l mod H; else, and for the rows at the very end of the array,
where a full vector would read past it, one number at a time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels._numba import twin
from graphrep.kernels._ops import accumulator, bounds_of, flat_array, flat_bits, rounded
from graphrep.kernels._rows import CHUNKS, helper, inline
from graphrep.kernels._simd import address, at, put, vload, vstore, vzero
from graphrep.kernels._simd_math import vabove, vadd, vexp, vfirst, vmul, vpick, vsub

__all__ = ["edge_softmax", "edge_softmax_backward"]

LANES = 16


@register("edge_softmax", "cpu")
def edge_softmax(rowptr: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over the entries of each row, and log-sum-exp; rows of only -inf give 0 and -inf."""
    total, rows = accumulator(logits.dtype), rowptr.numel() - 1
    alpha = _numba.empty_output(tuple(logits.shape), total)
    lse = _numba.empty_output((rows, *logits.shape[1:]), total)
    if lse.numel():
        _forward(
            bounds_of(rowptr),
            rowptr.numpy(),
            flat_bits(logits),
            alpha.view(-1).numpy(),
            lse.view(-1).numpy(),
            _lanes(total),
            work=8 * logits.numel() + lse.numel(),
        )
    return rounded(alpha, logits.dtype), rounded(lse, logits.dtype)


@register("edge_softmax_backward", "cpu")
def edge_softmax_backward(rowptr: Tensor, alpha: Tensor, grad: Tensor, grad_lse: Tensor | None) -> Tensor:
    """``alpha * (grad - sum of alpha * grad over the row + grad_lse)``."""
    out = _numba.empty_output(tuple(alpha.shape), accumulator(alpha.dtype))
    if out.numel():
        _backward(
            bounds_of(rowptr),
            rowptr.numpy(),
            flat_bits(alpha),
            flat_bits(grad),
            flat_array(grad_lse, out.dtype),
            out.view(-1).numpy(),
            _lanes(out.dtype),
            alpha[:1].numel(),
            work=4 * alpha.numel(),
        )
    return rounded(out, alpha.dtype)


def _lanes(dtype: torch.dtype) -> np.ndarray[Any, Any]:
    """Room for one vector per chunk, a cache line apart."""
    return torch.empty(CHUNKS, LANES, dtype=dtype).numpy()


@twin()
def _forward(bounds: Any, rowptr: Any, logits: Any, alpha: Any, lse: Any, lanes: Any) -> None:
    heads = lse.size // (rowptr.size - 1)
    packed = LANES % heads == 0
    for chunk in prange(bounds.size - 1):
        a = (address(logits), address(alpha), address(lse), address(lanes[chunk]))
        for i in range(bounds[chunk], bounds[chunk + 1]):
            start, stop = np.int64(rowptr[i]) * heads, np.int64(rowptr[i + 1]) * heads
            if start == stop:
                for h in range(i * heads, (i + 1) * heads):
                    lse[h] = -np.inf
            elif packed and start + (stop - start + LANES - 1) // LANES * LANES <= logits.size:
                _softmax(vzero(a[1], 16), a, start, stop, LANES, 16, heads, i * heads)
            else:
                for h in range(heads):
                    _softmax(vzero(a[1], 1), a, start + h, stop, heads, 1, 1, i * heads + h)


@helper  # type: ignore[untyped-decorator]
def _softmax(zero: Any, a: Any, start: int, stop: int, step: int, count: int, heads: int, place: int) -> None:
    """One row: vectors of `count` lanes, every `step` numbers from `start`, that hold `heads` heads each."""
    logits, alpha, lse, lanes = a
    largest = vfirst(vload(logits, start, zero), stop - start, -np.inf)
    for k in range(start + step, stop, step):
        more = vfirst(vload(logits, k, zero), stop - k, -np.inf)
        largest = vpick(vabove(more, largest), more, largest)
    vstore(lanes, 0, largest)
    for lane in range(heads, count):
        head = lane & (heads - 1)
        if at(lanes, lane) > at(lanes, head) or at(lanes, lane) != at(lanes, lane):
            put(lanes, head, at(lanes, lane))
    for head in range(heads):
        if at(lanes, head) == -np.inf:
            put(lanes, head, 0)
        put(lse, place + head, at(lanes, head))
    shift = _repeated(zero, lanes, count, heads)
    total = zero
    for k in range(start, stop, step):
        power = vexp(vsub(vfirst(vload(logits, k, zero), stop - k, -np.inf), shift))
        total = vadd(total, power)
        _store(alpha, lanes, k, stop, count, power)
    _fold_sum(lanes, total, count, heads)
    for head in range(heads):
        amount = at(lanes, head)
        put(lse, place + head, at(lse, place + head) + math.log(amount) if amount != 0 else -np.inf)
        put(lanes, head, 1 / amount if amount != 0 else 0)
    factor = _repeated(zero, lanes, count, heads)
    for k in range(start, stop, step):
        _store(alpha, lanes, k, stop, count, vmul(factor, vload(alpha, k, zero)))


@twin()
def _backward(bounds: Any, rowptr: Any, alpha: Any, grad: Any, grad_lse: Any, out: Any, lanes: Any, heads: int) -> None:
    packed, has_lse = LANES % heads == 0, grad_lse.size > 0
    for chunk in prange(bounds.size - 1):
        a = (address(alpha), address(grad), address(grad_lse), address(out), address(lanes[chunk]))
        for i in range(bounds[chunk], bounds[chunk + 1]):
            start, stop = np.int64(rowptr[i]) * heads, np.int64(rowptr[i + 1]) * heads
            if packed and start + (stop - start + LANES - 1) // LANES * LANES <= out.size:
                _softmax_back(vzero(a[3], 16), a, start, stop, LANES, 16, heads, i * heads, has_lse)
            else:
                for h in range(heads):
                    _softmax_back(vzero(a[3], 1), a, start + h, stop, heads, 1, 1, i * heads + h, has_lse)


@helper  # type: ignore[untyped-decorator]
def _softmax_back(
    zero: Any, a: Any, start: int, stop: int, step: int, count: int, heads: int, place: int, has_lse: bool
) -> None:
    alpha, grad, grad_lse, out, lanes = a
    total = zero
    for k in range(start, stop, step):
        product = vmul(vload(alpha, k, zero), vload(grad, k, zero))
        total = vadd(total, vfirst(product, stop - k, 0.0))
    _fold_sum(lanes, total, count, heads)
    if has_lse:
        for head in range(heads):
            put(lanes, head, at(lanes, head) - at(grad_lse, place + head))
    shift = _repeated(zero, lanes, count, heads)
    for k in range(start, stop, step):
        _store(out, lanes, k, stop, count, vmul(vload(alpha, k, zero), vsub(vload(grad, k, zero), shift)))


@inline  # type: ignore[untyped-decorator]
def _fold_sum(lanes: Any, total: Any, count: int, heads: int) -> None:
    """Writes the sum over the lanes of each head into ``lanes[head]``."""
    vstore(lanes, 0, total)
    for lane in range(heads, count):
        put(lanes, lane & (heads - 1), at(lanes, lane & (heads - 1)) + at(lanes, lane))


@inline  # type: ignore[untyped-decorator]
def _repeated(like: Any, lanes: Any, count: int, heads: int) -> Any:
    """A vector with the number of its head in each lane."""
    for lane in range(heads, count):
        put(lanes, lane, at(lanes, lane & (heads - 1)))
    return vload(lanes, 0, like)


@inline  # type: ignore[untyped-decorator]
def _store(out: Any, lanes: Any, k: int, stop: int, count: int, vector: Any) -> None:
    """Writes the lanes that belong to the row; the next row may be another thread's."""
    if stop - k >= count:
        vstore(out, k, vector)
    else:
        vstore(lanes, 0, vector)
        for lane in range(stop - k):
            put(out, k + lane, at(lanes, lane))
