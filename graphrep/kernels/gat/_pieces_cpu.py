"""Weighted sums of up to 512 gathered rows on CPU, with one weight per entry and head; one or two sets of weights.

Bytes: each row is read once for both sets. Where the width of a head is a multiple of 16 (or 8), four blocks of that
many columns are summed in registers at a time, whichever heads they belong to; other widths go head by head.

The weights lie in scratch space by slots (see _slots_cpu.py). Helpers pass on ``a = (col, x)`` as pointers and
``n = (last entry, numbers per row, heads, lanes per slot, groups of heads)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphrep.kernels._rows import AHEAD, PIECE, helper, inline
from graphrep.kernels._simd import at, prefetch_lanes, put, vload, vstore, vzero
from graphrep.kernels._simd_math import vfma, vmul, vsub, vsum
from graphrep.kernels.gat._slots_cpu import LANES, RUN

__all__ = ["add_level", "dot", "scale_rest", "scale_row", "sum_piece"]

GROUP_NUMBERS = 4096  # numbers of a group of gathered rows: half of a small L1 cache


@helper  # type: ignore[untyped-decorator]
def sum_piece(a: Any, w: Any, v: Any, n: Any, out: Any, base: int, begin: int, end: int, line: int) -> None:
    """Writes ``sum_e w[e - begin, head] x[col[e]]`` into ``out[base:]`` and, unless `v` is None, a second sum.

    `v` only says so: the second weights start a run of slots behind the first, their sum a level of ``numbers per row
    + a vector per group`` behind the first sum. `line`: numbers per cache line if rows are to be prefetched, else 0.
    """
    x, stride, width = a[1], n[1], n[1] // n[2]
    group = PIECE if stride <= 64 else max(8, GROUP_NUMBERS // stride)
    for start in range(begin, end, group):
        stop, more = min(start + group, end), start > begin
        j = np.int64(0)  # a literal 0 would compile the blocks once more
        if width % 16 == 0:
            while j + 64 <= stride:
                _four(vzero(x, 16), a, w, v, n, out, base, j, 16, more, begin, start, stop, line)
                j += 64
        elif width % 8 == 0:
            while j + 32 <= stride:
                _four(vzero(x, 8), a, w, v, n, out, base, j, 8, more, begin, start, stop, line)
                j += 32
        while j < stride:
            room = width - j % width
            if room >= 16:
                _one(vzero(x, 16), a, w, v, n, out, base, j, more, begin, start, stop, line)
                j += 16
            elif room >= 4:
                _one(vzero(x, 4), a, w, v, n, out, base, j, more, begin, start, stop, 0)
                j += 4
            else:
                _one(vzero(x, 1), a, w, v, n, out, base, j, more, begin, start, stop, 0)
                j += 1


@inline  # type: ignore[untyped-decorator]
def _four(
    zero: Any,
    a: Any,
    w: Any,
    v: Any,
    n: Any,
    out: Any,
    base: int,
    j: int,
    step: int,
    more: bool,
    begin: int,
    start: int,
    stop: int,
    line: int,
) -> None:
    """Four blocks of `step` columns from column j on, each within one head."""
    col, x = a
    _, stride, heads, slot, groups = n
    width, second = stride // heads, groups * slot * RUN
    h0, h1 = _run(n, j // width), _run(n, (j + step) // width)
    h2, h3 = _run(n, (j + 2 * step) // width), _run(n, (j + 3 * step) // width)
    place = base + j
    s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = zero
    if more:
        s0, s1 = vload(out, place, zero), vload(out, place + step, zero)
        s2, s3 = vload(out, place + 2 * step, zero), vload(out, place + 3 * step, zero)
        if v is not None:
            other = place + stride + groups * LANES
            t0, t1 = vload(out, other, zero), vload(out, other + step, zero)
            t2, t3 = vload(out, other + 2 * step, zero), vload(out, other + 3 * step, zero)
    for e in range(start, stop):
        if line > 0:
            later = np.int64(at(col, min(e + AHEAD, n[0]))) * stride + j
            prefetch_lanes(x, later, zero)
            prefetch_lanes(x, later + step, zero)
            prefetch_lanes(x, later + 2 * step, zero)
            prefetch_lanes(x, later + 3 * step, zero)
        origin = np.int64(at(col, e)) * stride + j
        x0, x1 = vload(x, origin, zero), vload(x, origin + step, zero)
        x2, x3 = vload(x, origin + 2 * step, zero), vload(x, origin + 3 * step, zero)
        k = (e - begin) * slot
        s0, s1 = vfma(s0, at(w, k + h0), x0), vfma(s1, at(w, k + h1), x1)
        s2, s3 = vfma(s2, at(w, k + h2), x2), vfma(s3, at(w, k + h3), x3)
        if v is not None:
            k += second
            t0, t1 = vfma(t0, at(w, k + h0), x0), vfma(t1, at(w, k + h1), x1)
            t2, t3 = vfma(t2, at(w, k + h2), x2), vfma(t3, at(w, k + h3), x3)
    vstore(out, place, s0)
    vstore(out, place + step, s1)
    vstore(out, place + 2 * step, s2)
    vstore(out, place + 3 * step, s3)
    if v is not None:
        other = place + stride + groups * LANES
        vstore(out, other, t0)
        vstore(out, other + step, t1)
        vstore(out, other + 2 * step, t2)
        vstore(out, other + 3 * step, t3)


@inline  # type: ignore[untyped-decorator]
def _one(
    zero: Any,
    a: Any,
    w: Any,
    v: Any,
    n: Any,
    out: Any,
    base: int,
    j: int,
    more: bool,
    begin: int,
    start: int,
    stop: int,
    line: int,
) -> None:
    """One block of columns from column j on, within one head."""
    col, x = a
    _, stride, heads, slot, groups = n
    run = _run(n, j // (stride // heads))
    place, other = base + j, base + j + stride + groups * LANES
    s = t = zero
    if more:
        s = vload(out, place, zero)
        if v is not None:
            t = vload(out, other, zero)
    for e in range(start, stop):
        if line > 0:
            prefetch_lanes(x, np.int64(at(col, min(e + AHEAD, n[0]))) * stride + j, zero)
        row = vload(x, np.int64(at(col, e)) * stride + j, zero)
        k = run + (e - begin) * slot
        s = vfma(s, at(w, k), row)
        if v is not None:
            t = vfma(t, at(w, k + groups * slot * RUN), row)
    vstore(out, place, s)
    if v is not None:
        vstore(out, other, t)


@inline  # type: ignore[untyped-decorator]
def _run(n: Any, head: int) -> Any:
    """Where the weights of a head start."""
    slot = n[3]
    return head // slot * slot * RUN + head % slot


@inline  # type: ignore[untyped-decorator]
def add_level(stack: Any, upper: int, size: int) -> None:
    """Adds the level at `upper` to the one `size` numbers below."""
    for j in range(upper, upper + size):
        put(stack, j - size, at(stack, j - size) + at(stack, j))


@inline  # type: ignore[untyped-decorator]
def dot(a: Any, left: int, b: Any, right: int, width: int) -> Any:
    """``sum_j a[left + j] b[right + j]`` in the type that `a` is summed in."""
    j = 0
    wide, narrow, single = vzero(a, 16), vzero(a, 4), vzero(a, 1)
    while j + 16 <= width:
        wide = vfma(wide, vload(a, left + j, wide), vload(b, right + j, wide))
        j += 16
    while j + 4 <= width:
        narrow = vfma(narrow, vload(a, left + j, narrow), vload(b, right + j, narrow))
        j += 4
    while j < width:
        single = vfma(single, vload(a, left + j, single), vload(b, right + j, single))
        j += 1
    return vsum(wide) + (vsum(narrow) + vsum(single))


@helper  # type: ignore[untyped-decorator]
def scale_row(source: Any, first: int, factor: float, out: Any, place: int, width: int) -> None:
    """Writes ``factor * source``."""
    j = 0
    while j + 16 <= width:
        vstore(out, place + j, vmul(factor, vload(source, first + j, vzero(source, 16))))
        j += 16
    while j < width:
        put(out, place + j, at(source, first + j) * factor)
        j += 1


@helper  # type: ignore[untyped-decorator]
def scale_rest(
    source: Any, first: int, factor: float, out: Any, share: float, rest: Any, place: int, width: int
) -> None:
    """Writes ``factor * source - share * out`` into `rest`."""
    j = 0
    while j + 16 <= width:
        part = vmul(factor, vload(source, first + j, vzero(source, 16)))
        vstore(rest, place + j, vsub(part, vmul(share, vload(out, place + j, part))))
        j += 16
    while j < width:
        put(rest, place + j, at(source, first + j) * factor - share * at(out, place + j))
        j += 1
