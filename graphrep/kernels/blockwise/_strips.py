"""What happens to a strip of similarities once it is computed: exponentials, sums, masks, gradient weights.

A strip is a few rows times a block of columns, in the L1 cache. Numbers that go with columns are read from arrays
padded behind their end, so whole vectors may be read; `width` is the true column count and what lies behind it never
reaches a result. A mask is (`rowptr`, `col`, offset) in CSR form with sorted columns, offset -1 where there is none;
its entries are left out exactly: they are overwritten, not subtracted.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphrep.kernels._rows import helper, inline
from graphrep.kernels._simd import at, put, vfill, vload, vstore
from graphrep.kernels._simd_math import vabove, vadd, vexp, vfirst, vfma, vmul, vpick, vsub, vsum
from graphrep.kernels.blockwise._gemm import lanes_of

__all__ = ["add_columns", "bounded_sums", "bounded_weights", "general_weights", "masked_sums", "running_sums"]


@helper  # type: ignore[untyped-decorator]
def _clear(row: Any, start: int, mask: Any, anchor: int, first: int, width: int, number: Any) -> None:
    """Writes `number` over the entries of a row of the strip that the mask lists for `anchor`."""
    rowptr, col, offset = mask
    if offset < 0:
        return
    low, stop = at(rowptr, offset + anchor), at(rowptr, offset + anchor + 1)
    high = stop
    while low < high:
        middle = (low + high) >> 1
        if at(col, middle) < first:
            low = middle + 1
        else:
            high = middle
    while low < stop and at(col, low) < first + width:
        put(row, start + at(col, low) - first, number)
        low += 1


@inline  # type: ignore[untyped-decorator]
def _inside(vector: Any, count: int, fill: Any) -> Any:
    """The vector with `fill` in the lanes from `count` on."""
    return vector if count >= lanes_of(vector) else vfirst(vector, np.int32(count), fill)


@helper  # type: ignore[untyped-decorator]
def bounded_sums(
    zero: Any, strip: Any, start: int, width: int, scale: Any, shift: Any, cols: Any, col0: int, with_cols: bool
) -> Any:
    """Sum of ``exp(scale s - shift)`` over a row; with `with_cols` each term is also added to its column's sum."""
    total, minus = zero, vfill(strip, -shift, zero)
    for j in range(0, width, lanes_of(zero)):
        terms = _inside(vexp(vfma(minus, scale, vload(strip, start + j, zero))), width - j, shift * 0)
        total = vadd(total, terms)
        if with_cols:
            vstore(cols, col0 + j, vadd(vload(cols, col0 + j, zero), terms))
    return vsum(total)


@helper  # type: ignore[untyped-decorator]
def masked_sums(
    zero: Any, strip: Any, start: int, width: int, scale: Any, shift: Any, cols: Any, col0: int, with_cols: bool,
    side: Any, side0: int, masks: Any, anchor: int, first: int,
) -> Any:  # fmt: skip
    """The same with pairs left out: `masks` = (those of the row's sum, those of the columns' sums)."""
    minus, nothing = vfill(strip, -shift, zero), shift * 0
    for j in range(0, width, lanes_of(zero)):
        terms = _inside(vexp(vfma(minus, scale, vload(strip, start + j, zero))), width - j, nothing)
        vstore(strip, start + j, terms)
        vstore(side, side0 + j, terms)
    _clear(strip, start, masks[0], anchor, first, width, nothing)
    _clear(side, side0, masks[1], anchor, first, width, nothing)
    total = zero
    for j in range(0, width, lanes_of(zero)):
        total = vadd(total, vload(strip, start + j, zero))
        if with_cols:
            vstore(cols, col0 + j, vadd(vload(cols, col0 + j, zero), vload(side, side0 + j, zero)))
    return vsum(total)


@helper  # type: ignore[untyped-decorator]
def running_sums(
    zero: Any, strip: Any, start: int, width: int, scale: Any, bias: Any, bias0: int, mask: Any, anchor: int,
    first: int, tops: Any, sums: Any, place: int, side: Any, side0: int,
) -> None:  # fmt: skip
    """Adds a row's ``exp(scale s + bias)`` to ``sums[place]``, which is kept relative to ``exp(tops[place])``."""
    lowest = np.float32(-np.inf) + scale * 0
    for j in range(0, width, lanes_of(zero)):
        logits = vfma(vload(bias, bias0 + j, zero), scale, vload(strip, start + j, zero))
        vstore(strip, start + j, _inside(logits, width - j, lowest))
    _clear(strip, start, mask, anchor, first, width, lowest)
    largest = vload(strip, start, zero)
    for j in range(lanes_of(zero), width, lanes_of(zero)):
        more = vload(strip, start + j, zero)
        largest = vpick(vabove(more, largest), more, largest)
    vstore(side, side0, largest)
    before = at(tops, place)
    top = before
    for lane in range(lanes_of(zero)):
        if at(side, side0 + lane) > top or at(side, side0 + lane) != at(side, side0 + lane):
            top = at(side, side0 + lane)
    if top == lowest:
        return
    minus, total = vfill(strip, -top, zero), zero
    for j in range(0, width, lanes_of(zero)):
        total = vadd(total, vexp(vadd(minus, vload(strip, start + j, zero))))
    kept = at(sums, place) * math.exp(before - top) if before != lowest else 0.0
    put(tops, place, top)
    put(sums, place, kept + vsum(total))


@helper  # type: ignore[untyped-decorator]
def bounded_weights(
    zero: Any, strip: Any, start: int, width: int, scale: Any, shift: Any, own: Any, columns: Any, col0: int
) -> None:
    """Replaces s by ``exp(scale s - shift) (own + columns)``, the gradient of the loss in s."""
    minus, mine = vfill(strip, -shift, zero), vfill(strip, own, zero)
    for j in range(0, width, lanes_of(zero)):
        terms = vexp(vfma(minus, scale, vload(strip, start + j, zero)))
        vstore(strip, start + j, vmul(terms, vadd(mine, vload(columns, col0 + j, zero))))


@helper  # type: ignore[untyped-decorator]
def general_weights(
    zero: Any, strip: Any, start: int, width: int, numbers: Any, node: int, col0: int, with_cols: bool, side: Any,
    side0: int, masks: Any, anchor: int, first: int,
) -> None:  # fmt: skip
    """Replaces s by the gradient where rows and columns have shifts, scales, biases and masks of their own.

    `numbers` = (scale, bias, shift, weight), each over all nodes; `node` is the row's place there, `col0` the first
    column's. The row's terms are ``exp(scale_i s + bias_j - shift_i) weight_i``, the columns' the same with i and j
    exchanged.
    """
    scale, bias, shift, weight = numbers
    minus, mine, nothing = vfill(strip, -at(shift, node), zero), at(weight, node), at(scale, node) * 0
    added = vfill(strip, at(bias, node), zero)
    for j in range(0, width, lanes_of(zero)):
        s, c = vload(strip, start + j, zero), col0 + j
        own = vexp(vadd(minus, vfma(vload(bias, c, zero), at(scale, node), s)))
        vstore(side, side0 + j, vmul(mine, own))
        if with_cols:
            theirs = vexp(vsub(vfma(added, vload(scale, c, zero), s), vload(shift, c, zero)))
            vstore(strip, start + j, vmul(theirs, vload(weight, c, zero)))
        else:
            vstore(strip, start + j, zero)
    _clear(side, side0, masks[0], anchor, first, width, nothing)
    _clear(strip, start, masks[1], anchor, first, width, nothing)
    for j in range(0, width, lanes_of(zero)):
        vstore(strip, start + j, vadd(vload(strip, start + j, zero), vload(side, side0 + j, zero)))


@helper  # type: ignore[untyped-decorator]
def add_columns(sums: Any, place: int, cols: Any, col0: int, count: int) -> None:
    """Adds a block's column sums to those of the nodes."""
    for j in range(count):
        put(sums, place + j, at(sums, place + j) + at(cols, col0 + j))
