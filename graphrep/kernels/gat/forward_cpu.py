"""Attention-weighted sums over each row on CPU.

Bytes: E rows of d numbers and E rows of H logits gathered, n rows written; E x H exponentials. The logits of up to 512
entries lie in scratch space that stays in the first-level caches; longer rows gather their logits twice, once for the
maximum, and are summed pairwise over pieces of 512.

Helpers pass on ``a = (col, x, el, er)`` and ``results = (out, lse)`` as pointers, the sizes ``n`` of _pieces_cpu.py,
and where things lie in scratch space: ``p = (largest logits, lowest level of partial sums, numbers per level)``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from graphrep.kernels._numba import twin
from graphrep.kernels._rows import PIECE, helper, inline
from graphrep.kernels._simd import address, at, put, vfill, vload, vstore, vzero, vzero_like
from graphrep.kernels._simd_math import vabove, vadd, vexp, vfirst, vmul, vpick, vsub
from graphrep.kernels.gat._pieces_cpu import add_level, scale_rest, scale_row, sum_piece
from graphrep.kernels.gat._slots_cpu import LANES, RUN, fold_largest, fold_sum, gather_slots, tiled

__all__ = ["batch_end", "forward_rows", "leaky"]


@twin()
def forward_rows(
    bounds: Any,
    rowptr: Any,
    col: Any,
    x: Any,
    el: Any,
    er: Any,
    out: Any,
    lse: Any,
    rest: Any,
    room: Any,
    heads: int,
    slope: float,
    line: int,
) -> None:
    """Writes each row's sum and, unless `rest` is None, log-sum-exp of its logits and the rest (see the package).

    `el`, `er`: padded to whole slots. `room`: scratch space of each chunk: two runs of weights and one of gathered
    logits, the largest logits, then levels of partial sums.
    """
    rows = rowptr.size - 1
    slot = 1
    while slot < min(heads, LANES):
        slot *= 2
    groups = (heads + slot - 1) // slot
    n = (col.size - 1, out.size // rows, heads, slot, groups)
    a = (address(col), address(x), address(el), address(er))
    for chunk in prange(bounds.size - 1):
        scratch, results = address(room[chunk]), (address(out), address(lse))
        first, last = bounds[chunk], bounds[chunk + 1]
        while first < last:
            stop = batch_end(rowptr, first, last)
            origin, end = np.int64(rowptr[first]), np.int64(rowptr[stop])
            if end - origin <= PIECE:  # gathered long before they are needed, because stores of slots reach a load late
                gather_slots(a[0], a[2], groups * slot, scratch, 2 * groups * RUN * slot, slot, groups, origin, end)
            for i in range(first, stop):
                begin, end = np.int64(rowptr[i]), np.int64(rowptr[i + 1])
                _row(a, n, results, address(rest), scratch, i, begin, end, begin - origin, slope, line)
            first = stop


@inline  # type: ignore[untyped-decorator]
def batch_end(rowptr: Any, i: int, last: int) -> int:
    """The end of the rows from row i on that have 512 entries together; at least one row."""
    stop = i + 1
    while stop < last and np.int64(rowptr[stop + 1]) - np.int64(rowptr[i]) <= PIECE:
        stop += 1
    return stop


@helper  # type: ignore[untyped-decorator]
def _row(
    a: Any,
    n: Any,
    results: Any,
    rest: Any,
    room: Any,
    i: int,
    begin: int,
    end: int,
    offset: int,
    slope: float,
    line: int,
) -> None:
    """A row whose logits were gathered to `offset`, or a longer one, pairwise over pieces.

    The stack of partial sums is a binary counter: equal sizes merge.
    """
    _, stride, _, slot, groups = n
    largest, gathered = 3 * groups * RUN * slot, 2 * groups * RUN * slot
    size = stride + groups * LANES if rest is None else 2 * (stride + groups * LANES)
    p = (largest, largest + groups * LANES, size)
    is_long = end - begin > PIECE
    for start in range(begin, end, PIECE):
        stop = min(start + PIECE, end)
        if is_long:
            gather_slots(a[0], a[2], groups * slot, room, gathered, slot, groups, start, stop)
        for group in range(groups):
            _update_largest(vzero(room, 16), a, n, room, largest, group, i, start > begin, offset, stop - start, slope)
    level, pieces = p[1], 0
    for start in range(begin, end, PIECE):
        stop = min(start + PIECE, end)
        if is_long:
            gather_slots(a[0], a[2], groups * slot, room, gathered, slot, groups, start, stop)
        for group in range(groups):
            _weigh(vzero(room, 16), a, n, rest, room, p, level, group, i, offset, stop - start, slope)
        sum_piece((a[0], a[1]), room, rest, n, room, level, start, stop, line)
        level, pieces = level + size, pieces + 1
        merges = pieces
        while level > p[1] + size and (merges & 1 == 0 or stop == end):
            level -= size
            add_level(room, level, size)
            merges >>= 1
    _finish(n, p, results, rest, room, i, begin == end)


@inline  # type: ignore[untyped-decorator]
def leaky(z: Any, slope: float) -> Any:
    """The leaky ReLU of a vector."""
    return vpick(vabove(z, vzero_like(z)), z, vmul(slope, z))


@helper  # type: ignore[untyped-decorator]
def _update_largest(
    zero: Any,
    a: Any,
    n: Any,
    room: Any,
    largest: int,
    group: int,
    i: int,
    more: bool,
    offset: int,
    count: int,
    slope: float,
) -> None:
    """The largest of `count` logits from entry `offset` of the gathered ones on; with `more`, also of those before."""
    _, _, _, slot, groups = n
    own = tiled(zero, a[3], (i * groups + group) * slot, slot)
    first, place = ((2 * groups + group) * RUN + offset) * slot, largest + group * LANES
    best = vload(room, place, zero) if more else vfill(room, -np.inf, zero)
    for k in range(0, count * slot, LANES):
        logit = leaky(vadd(vload(room, first + k, zero), own), slope)
        logit = vfirst(logit, count * slot - k, -np.inf)
        best = vpick(vabove(logit, best), logit, best)
    vstore(room, place, fold_largest(best, slot))


@helper  # type: ignore[untyped-decorator]
def _weigh(
    zero: Any,
    a: Any,
    n: Any,
    rest: Any,
    room: Any,
    p: Any,
    level: int,
    group: int,
    i: int,
    offset: int,
    count: int,
    slope: float,
) -> None:
    """Writes exp(logit - largest) and their sum; with `rest`, a second run holds those of positive logits."""
    _, stride, _, slot, groups = n
    own = tiled(zero, a[3], (i * groups + group) * slot, slot)
    shift = vload(room, p[0] + group * LANES, zero)
    shift = vpick(vabove(shift, vfill(room, -np.inf, zero)), shift, zero)  # 0 where all logits are -inf
    total = positive = zero
    first, second = group * RUN * slot, (groups + group) * RUN * slot
    gathered = ((2 * groups + group) * RUN + offset) * slot
    for k in range(0, count * slot, LANES):
        z = vadd(vload(room, gathered + k, zero), own)
        power = vexp(vfirst(vsub(leaky(z, slope), shift), count * slot - k, -np.inf))
        total = vadd(total, power)
        vstore(room, first + k, power)
        if rest is not None:
            above = vpick(vabove(z, zero), power, zero)
            positive = vadd(positive, above)
            vstore(room, second + k, above)
    place = level + stride + group * LANES
    vstore(room, place, fold_sum(total, slot))
    if rest is not None:
        vstore(room, place + stride + groups * LANES, fold_sum(positive, slot))


@helper  # type: ignore[untyped-decorator]
def _finish(n: Any, p: Any, results: Any, rest: Any, room: Any, i: int, is_empty: bool) -> None:
    """Divides by the sum of the weights, if there is one."""
    _, stride, heads, slot, groups = n
    largest, bottom, _ = p
    out, lse = results
    width, other = stride // heads, stride + groups * LANES
    if is_empty:
        for k in range(bottom, bottom + p[2]):
            put(room, k, 0)
    for head in range(heads):
        lane = head // slot * LANES + head % slot
        amount = at(room, bottom + stride + lane)
        factor = 1 / amount if amount != 0 else 0 * amount
        first, place = bottom + head * width, i * stride + head * width
        scale_row(room, first, factor, out, place, width)
        if rest is not None:
            share = at(room, bottom + other + stride + lane) * factor
            scale_rest(room, first + other, factor, out, share, rest, place, width)
            put(lse, i * heads + head, at(room, largest + lane) + math.log(amount) if amount != 0 else -np.inf)
