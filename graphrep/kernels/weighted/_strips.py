"""What happens to a row of a strip of similarities: weights of its pairs, running sums, gradients of the network.

Weights come from `labels` = (int32 numbers of T clusterings, T, stride) or from `network` = (left, right, minus2v, h,
stride, split, base). For unit k the network's numbers are ``r = 1 / (1 + exp(2 (p_i + q_j)))``, so that tanh is 1 - 2 r
and its slope 4 r (1 - r). Split, `left` (N, h) and `right` (h, stride) hold exp(2 p) and exp(2 q), whose product needs
no exponential per pair; else 2 p and 2 q. With ``minus2v = -2 v`` and ``base = bias + sum v``, the sum over units is
the weight's logit. Column arrays are padded behind their end, so whole vectors may be read.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphrep.kernels._rows import helper, inline
from graphrep.kernels._simd import at, put, vfill, vload, vload_int, vstore
from graphrep.kernels._simd_math import (
    vabove,
    vadd,
    vdiv,
    vequal,
    vexp,
    vfirst,
    vfma,
    vlargest,
    vmul,
    vpick,
    vsub,
    vsum,
)
from graphrep.kernels.blockwise._gemm import lanes_of, panel_zero
from graphrep.kernels.blockwise._schedule import BLOCK_COLUMNS

__all__ = [
    "accumulate",
    "label_shares",
    "label_terms",
    "logits_of",
    "network_shares",
    "network_terms",
    "row_moments",
    "unit_gradients",
]


@inline  # type: ignore[untyped-decorator]
def _inside(vector: Any, count: int, fill: Any) -> Any:
    """The vector with `fill` in the lanes from `count` on."""
    return vector if count >= lanes_of(vector) else vfirst(vector, np.int32(count), fill)


@inline  # type: ignore[untyped-decorator]
def _apart(zero: Any, one: Any, labels: Any, row: int, col: int) -> Any:
    """How many clusterings tell a row from each of some columns."""
    numbers, count, stride = labels
    total = zero
    for t in range(count):
        same = vequal(vload_int(numbers, t * stride + col, zero), at(numbers, t * stride + row))
        total = vadd(total, vpick(same, zero, one))
    return total


@helper  # type: ignore[untyped-decorator]
def label_terms(
    zero: Any, room: Any, start: int, side: int, width: int, scale: Any, labels: Any, row: int, col: int
) -> None:
    """Replaces s by the logit, -inf where the weight is 0, and writes the weights to `side`."""
    one, low = vfill(room, 1.0, zero), vfill(room, -np.inf, zero)
    for j in range(0, width, lanes_of(zero)):
        weight = _apart(zero, one, labels, row, col + j)
        logit = vpick(vabove(weight, zero), vmul(scale, vload(room, start + j, zero)), low)
        vstore(room, start + j, _inside(logit, width - j, -np.inf))
        vstore(room, side + j, weight)


@helper  # type: ignore[untyped-decorator]
def accumulate(zero: Any, room: Any, start: int, side: int, width: int, tops: Any, sums: Any, place: int) -> None:
    """Adds a row's ``weight exp(logit)`` to ``sums[place]``, which is kept relative to ``exp(tops[place])``."""
    largest = vload(room, start, zero)
    for j in range(lanes_of(zero), width, lanes_of(zero)):
        more = vload(room, start + j, zero)
        largest = vpick(vabove(more, largest), more, largest)
    found, before = vlargest(largest), at(tops, place)
    top = found if found > before or found != found else before
    if top == -np.inf:
        return
    shift, total = vfill(room, top, zero), zero
    for j in range(0, width, lanes_of(zero)):
        total = vfma(total, vload(room, side + j, zero), vexp(vsub(vload(room, start + j, zero), shift)))
    kept = at(sums, place) * math.exp(before - top) if before != -np.inf else 0.0
    put(tops, place, top)
    put(sums, place, kept + vsum(total))


@helper  # type: ignore[untyped-decorator]
def label_shares(
    zero: Any, room: Any, start: int, width: int, scale: Any, labels: Any, numbers: Any, row: int, col: int
) -> None:
    """Replaces s by ``scale grad_i w exp(scale s - lse_i)``; `numbers` = (lse, gradient) of the rows."""
    one, low, shift = vfill(room, 1.0, zero), vfill(room, -np.inf, zero), vfill(room, at(numbers[0], row), zero)
    factor = at(numbers[1], row) * scale
    for j in range(0, width, lanes_of(zero)):
        weight = _apart(zero, one, labels, row, col + j)
        logit = vsub(vmul(scale, vload(room, start + j, zero)), shift)
        term = vexp(vpick(vabove(weight, zero), logit, low))
        vstore(room, start + j, vmul(factor, vmul(weight, term)))


@inline  # type: ignore[untyped-decorator]
def _lowered(zero: Any, x: Any) -> Any:
    """``-|x|``."""
    return vpick(vabove(x, zero), vsub(zero, x), x)


@inline  # type: ignore[untyped-decorator]
def _falling(zero: Any, one: Any, x: Any) -> Any:
    """``1 / (1 + exp(x))``."""
    power = vexp(_lowered(zero, x))
    return vdiv(vpick(vabove(x, zero), power, one), vadd(one, power))


@helper  # type: ignore[untyped-decorator]
def logits_of(zero: Any, room: Any, network: Any, row: int, col: int, width: int, out: int, units: int) -> None:
    """Writes the weights' logits of a row to `out`, and r of unit k to ``units + k BLOCK_COLUMNS``; h is even."""
    left, right, minus2v, count, stride, split, base = network
    one, start = vfill(room, 1.0, zero), vfill(room, base, zero)
    for j in range(0, width, lanes_of(zero)):
        total = start
        for k in range(0, count, 2):
            mine, more = at(left, row * count + k), at(left, row * count + k + 1)
            a, b = vload(right, k * stride + col + j, zero), vload(right, (k + 1) * stride + col + j, zero)
            if split:  # one division for both
                a, b = vfma(one, mine, a), vfma(one, more, b)
                both = vdiv(one, vmul(a, b))
                first, second = vmul(both, b), vmul(both, a)
            else:
                first = _falling(zero, one, vadd(vfill(room, mine, zero), a))
                second = _falling(zero, one, vadd(vfill(room, more, zero), b))
            vstore(room, units + k * BLOCK_COLUMNS + j, first)
            vstore(room, units + (k + 1) * BLOCK_COLUMNS + j, second)
            total = vfma(vfma(total, at(minus2v, k), first), at(minus2v, k + 1), second)
        vstore(room, out + j, total)


@helper  # type: ignore[untyped-decorator]
def network_terms(zero: Any, room: Any, start: int, side: int, width: int, scale: Any, logits: int) -> None:
    """Replaces s by scale s + low and a by low, and writes f to `side`, with ``low = min(a, 0)`` and w = exp(low) f.

    As f lies between 1/2 and 1, no weight vanishes before its logarithm is taken.
    """
    one = vfill(room, 1.0, zero)
    for j in range(0, width, lanes_of(zero)):
        a = vload(room, logits + j, zero)
        low = vpick(vabove(a, zero), zero, a)
        vstore(room, side + j, vdiv(one, vadd(one, vexp(_lowered(zero, a)))))
        logit = vfma(low, scale, vload(room, start + j, zero))
        vstore(room, start + j, _inside(logit, width - j, -np.inf))
        vstore(room, logits + j, _inside(low, width - j, -np.inf))


@helper  # type: ignore[untyped-decorator]
def network_shares(
    zero: Any, room: Any, start: int, width: int, scale: Any, numbers: Any, row: int, logits: int, totals: bool
) -> None:
    """Replaces s by its gradient and the weights' logits by theirs; `numbers` = (lse, gradient) twice."""
    one, shift, grad = vfill(room, 1.0, zero), vfill(room, at(numbers[0], row), zero), at(numbers[1], row)
    total = vfill(room, at(numbers[2], row), zero)
    for j in range(0, width, lanes_of(zero)):
        a = vload(room, logits + j, zero)
        power, above = vexp(_lowered(zero, a)), vabove(a, zero)
        part, low = vdiv(one, vadd(one, power)), vpick(above, zero, a)
        rest = vpick(above, vmul(power, part), part)  # 1 - w
        logit = vsub(vfma(low, scale, vload(room, start + j, zero)), shift)
        share = vmul(grad, vmul(part, vexp(logit)))
        vstore(room, start + j, vmul(scale, share))
        if totals:
            share = vfma(share, at(numbers[3], row), vmul(part, vexp(vsub(low, total))))
        vstore(room, logits + j, _inside(vmul(share, rest), width - j, 0.0))


@helper  # type: ignore[untyped-decorator]
def unit_gradients(
    zero: Any, room: Any, slopes: int, units: int, width: int, columns: int, stride: int, network: Any, row: int,
    left_grad: Any, parts: Any,
) -> None:  # fmt: skip
    """From the logits' gradients in `slopes`: sums of ``g r (1 - r)`` by row and by column, of g tanh and of g.

    ``columns + k stride`` is where the columns' sums of unit k lie; `parts` holds h sums of g tanh and the sum of g.
    """
    _, _, _, count, _, _, _ = network
    total = zero
    for j in range(0, width, lanes_of(zero)):
        total = vadd(total, vload(room, slopes + j, zero))
    mass = vsum(total)
    put(parts, count, at(parts, count) + mass)
    for k in range(count):
        first, through = zero, zero
        for j in range(0, width, lanes_of(zero)):
            r, place = vload(room, units + k * BLOCK_COLUMNS + j, zero), columns + k * stride + j
            once = vmul(vload(room, slopes + j, zero), r)
            slope = vsub(once, vmul(once, r))
            first, through = vadd(first, once), vadd(through, slope)
            vstore(room, place, vadd(vload(room, place, zero), slope))
        put(parts, k, at(parts, k) + (mass - 2 * vsum(first)))
        put(left_grad, row * count + k, at(left_grad, row * count + k) + vsum(through))


@helper  # type: ignore[untyped-decorator]
def row_moments(room: Any, r0: int, network: Any, row: int, columns: int, pivot: Any, out: Any) -> None:
    """Of a row's weights w: sums of w - pivot and of its square, smallest and largest, to `out`."""
    zero = panel_zero(room)
    one, minus = vfill(room, 1.0, zero), vfill(room, -pivot, zero)
    first, second, low, high = 0.0, 0.0, np.inf, -np.inf
    for col in range(0, columns, BLOCK_COLUMNS):
        width = min(BLOCK_COLUMNS, columns - col)
        logits_of(zero, room, network, row, col, width, r0, r0 + BLOCK_COLUMNS)
        total, squares = zero, zero
        below, above = vfill(room, -np.inf, zero), vfill(room, -np.inf, zero)
        for j in range(0, width, lanes_of(zero)):
            weight = _falling(zero, one, vsub(zero, vload(room, r0 + j, zero)))
            gap = _inside(vadd(weight, minus), width - j, 0.0)
            total, squares = vadd(total, gap), vfma(squares, gap, gap)
            turned = _inside(vsub(zero, weight), width - j, -np.inf)
            weight = _inside(weight, width - j, -np.inf)
            below = vpick(vabove(turned, below), turned, below)
            above = vpick(vabove(weight, above), weight, above)
        first, second = first + vsum(total), second + vsum(squares)
        least, most = -vlargest(below), vlargest(above)
        low = least if least < low or least != least else low
        high = most if most > high or most != most else high
    put(out, 0, first)
    put(out, 1, second)
    put(out, 2, low)
    put(out, 3, high)
