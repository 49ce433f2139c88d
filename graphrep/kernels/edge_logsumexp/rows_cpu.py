"""Log-sum-exps over the entries of each row, and the sums of gathered rows that are their gradients, on CPU.

Bytes: E rows of d numbers gathered (in the backward pass a second time, from the first-level caches), E indices and
weights streamed. The logits and weights of up to 512 entries, of one row or of several, lie in scratch space as two
runs; longer rows are added piece by piece, log-sum-exps in float64, gradients pairwise.

Helpers pass on ``a = (col, value, x, y, node)`` as pointers, the sizes ``n`` of gat's sums over pieces with one head,
and ``o = (scale, has weights, diagonal is zero, numbers per cache line if rows are to be prefetched or 0)``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from graphrep.kernels._numba import twin
from graphrep.kernels._rows import AHEAD, PIECE, helper, inline
from graphrep.kernels._simd import address, at, prefetch, put, vfill, vload, vstore, vzero
from graphrep.kernels._simd_math import vabove, vadd, vexp, vfirst, vfma, vlargest, vmul, vpick, vsub, vsum
from graphrep.kernels.blockwise._entry import shifted
from graphrep.kernels.gat._pieces_cpu import add_level, dot, scale_row, sum_piece
from graphrep.kernels.gat._slots_cpu import LANES, RUN
from graphrep.kernels.gat.forward_cpu import batch_end

__all__ = ["RUNS", "attract_rows", "measure_rows"]

RUNS = 2  # logits, which become exponentials times weights, and weights


@twin()
def measure_rows(
    bounds: Any,
    rowptr: Any,
    col: Any,
    value: Any,
    x: Any,
    y: Any,
    lse: Any,
    top: Any,
    room: Any,
    scale: float,
    zero_diagonal: bool,
    line: int,
) -> None:
    """Writes log-sum-exp and the largest logit of each row; an empty `value` means weights of 1."""
    width, last = x.size // (rowptr.size - 1), col.size - 1
    a = (address(col), address(value), address(x), address(y), None)
    o = (scale, value.size > 0, zero_diagonal, line)
    for chunk in prange(bounds.size - 1):
        scratch, first = address(room[chunk]), bounds[chunk]
        while first < bounds[chunk + 1]:
            stop = batch_end(rowptr, first, bounds[chunk + 1])
            origin, end = np.int64(rowptr[first]), np.int64(rowptr[stop])
            if end - origin > PIECE:
                lse[first], top[first] = _measure(a, last, width, o, scratch, first, origin, end)
            else:
                for i in range(first, stop):
                    begin, after = np.int64(rowptr[i]), np.int64(rowptr[i + 1])
                    _logits(a, last, width, o, scratch, i, begin, after, begin - origin, 0.0)
                    top[i] = _lowered(scratch, begin - origin, after - origin)
                _powers(vzero(scratch, 16), scratch, end - origin, 0.0)
                for i in range(first, stop):
                    amount = 0.0
                    for k in range(np.int64(rowptr[i]) - origin, np.int64(rowptr[i + 1]) - origin):
                        amount += at(scratch, k)
                    lse[i] = top[i] + math.log(amount) if amount != 0 else -np.inf
            first = stop


@twin()
def attract_rows(
    bounds: Any,
    rowptr: Any,
    col: Any,
    value: Any,
    x: Any,
    y: Any,
    node: Any,
    out: Any,
    room: Any,
    scale: float,
    zero_diagonal: bool,
    by_column: bool,
    line: int,
) -> None:
    """Writes ``sum_e factor w_e exp(scale <x_i, y_col> - shift) y_col`` of each row; entries (i, i) may add nothing.

    `node`: factor and shift of each row, or with `by_column` of each column. Rows of `out` may be shorter than those of
    `x`, whose last numbers are then 0 as those of `y`.
    """
    rows = rowptr.size - 1
    one, width, bottom = np.int64(1), out.size // rows, RUNS * RUN  # literals would compile the sums once more
    n = (col.size - 1, x.size // rows, one, one, one)
    a = (address(col), address(value), address(x), address(y), address(node))
    o = (scale, value.size > 0, zero_diagonal, line)
    for chunk in prange(bounds.size - 1):
        scratch, first = address(room[chunk]), bounds[chunk]
        while first < bounds[chunk + 1]:
            stop = batch_end(rowptr, first, bounds[chunk + 1])
            origin, end = np.int64(rowptr[first]), np.int64(rowptr[stop])
            if end - origin > PIECE:
                _attract(a, n, o, scratch, bottom, first, origin, end, by_column)
                scale_row(scratch, bottom, 1.0, address(out), first * width, width)
            else:
                for i in range(first, stop):
                    begin, after = np.int64(rowptr[i]), np.int64(rowptr[i + 1])
                    _shares(a, n, o, scratch, i, begin, after, begin - origin, by_column)
                _powers(vzero(scratch, 16), scratch, end - origin, 0.0)
                for i in range(first, stop):
                    begin, after = np.int64(rowptr[i]), np.int64(rowptr[i + 1])
                    _sum(a, n, scratch, begin - origin, bottom, begin, after, line)
                    scale_row(scratch, bottom, 1.0, address(out), i * width, width)
            first = stop


@helper  # type: ignore[untyped-decorator]
def _measure(a: Any, last: int, width: int, o: Any, room: Any, i: int, begin: int, end: int) -> Any:
    """Log-sum-exp of one long row and its largest logit."""
    most, amount = -np.inf, 0.0
    for start in range(begin, end, PIECE):
        stop = min(start + PIECE, end)
        _logits(a, last, width, o, room, i, start, stop, 0, 0.0)
        largest = _largest(vzero(room, 16), room, stop - start)
        if largest > most:
            amount *= math.exp(most - largest)
            most = largest
        if largest != -np.inf:
            amount += _powers(vzero(room, 16), room, stop - start, most)
    return (most + math.log(amount) if amount != 0 else -np.inf), most


@helper  # type: ignore[untyped-decorator]
def _logits(
    a: Any, last: int, width: int, o: Any, room: Any, i: int, start: int, stop: int, offset: int, loop: float
) -> None:
    """Writes the logits and weights of entries start..stop of row i to `offset`; an entry of weight 0 gets -inf.

    `loop`: logit of an entry (i, i) where the diagonal counts as zero.
    """
    col, value, x, y, node = a
    scale, has_weights, zero_diagonal, line = o
    for e in range(start, stop):
        source = np.int64(at(col, e))
        if line > 0:
            later = np.int64(at(col, min(e + AHEAD, last)))
            for number in range(later * width, (later + 1) * width, line):
                prefetch(y, number)
            prefetch(y, (later + 1) * width - 1)
            if node is not None:
                prefetch(node, 2 * later)
        weight = at(value, e) if has_weights else 1.0
        if weight == 0:
            logit = -np.inf
        elif zero_diagonal and source == i:
            logit = loop
        elif width == 16:
            logit = scale * _short_dot(vzero(x, 16), x, i * 16, y, source * 16)
        else:
            logit = scale * dot(x, i * width, y, source * width, width)
        put(room, offset + e - start, logit)
        put(room, RUN + offset + e - start, weight)


@inline  # type: ignore[untyped-decorator]
def _short_dot(zero: Any, x: Any, left: int, y: Any, right: int) -> Any:
    return vsum(vfma(zero, vload(x, left, zero), vload(y, right, zero)))


@helper  # type: ignore[untyped-decorator]
def _shares(a: Any, n: Any, o: Any, room: Any, i: int, start: int, stop: int, offset: int, by_column: bool) -> None:
    """As `_logits`, less the shift of each entry's owner, and weights times its factor; entries (i, i) may get -inf."""
    col, _, _, _, node = a
    _logits(a, n[0], n[1], o, room, i, start, stop, offset, -np.inf)
    for e in range(start, stop):
        owner, k = 2 * (np.int64(at(col, e)) if by_column else i), offset + e - start
        put(room, RUN + k, at(room, RUN + k) * at(node, owner))
        put(room, k, at(room, k) - at(node, owner + 1))


@inline  # type: ignore[untyped-decorator]
def _lowered(room: Any, begin: int, end: int) -> Any:
    """The largest of a few logits, which is taken off them unless it is -inf; the sum will show a NaN among them."""
    most = -np.inf
    for k in range(begin, end):
        most = max(most, at(room, k))
    if most != -np.inf:
        for k in range(begin, end):
            put(room, k, at(room, k) - most)
    return most


@helper  # type: ignore[untyped-decorator]
def _largest(zero: Any, room: Any, count: int) -> Any:
    """The largest of the first `count` logits; NaN if one of them is."""
    best = vfill(room, -np.inf, zero)
    for k in range(0, count, LANES):
        logit = vfirst(vload(room, k, zero), count - k, -np.inf)
        best = vpick(vabove(logit, best), logit, best)
    return vlargest(best)


@helper  # type: ignore[untyped-decorator]
def _powers(zero: Any, room: Any, count: int, shift: float) -> Any:
    """The sum of weight times exp(logit - shift) over the first `count` entries; leaves the terms in the first run."""
    total, less = zero, vfill(room, shift, zero)
    for k in range(0, count, LANES):
        power = vexp(vsub(vfirst(vload(room, k, zero), count - k, -np.inf), less))
        term = vmul(vfirst(vload(room, RUN + k, zero), count - k, 0.0), power)
        total = vadd(total, term)
        vstore(room, k, term)
    return vsum(total)


@helper  # type: ignore[untyped-decorator]
def _attract(a: Any, n: Any, o: Any, room: Any, bottom: int, i: int, begin: int, end: int, by_column: bool) -> None:
    """The sum of one long row, to `bottom`; the stack of partial sums is a binary counter: equal sizes merge."""
    size, level, pieces = n[1], bottom, 0
    for start in range(begin, end, PIECE):
        stop = min(start + PIECE, end)
        _shares(a, n, o, room, i, start, stop, 0, by_column)
        _powers(vzero(room, 16), room, stop - start, 0.0)
        _sum(a, n, room, 0, level, start, stop, o[3])
        level, pieces = level + size, pieces + 1
        merges = pieces
        while level > bottom + size and (merges & 1 == 0 or stop == end):
            level -= size
            add_level(room, level, size)
            merges >>= 1


@helper  # type: ignore[untyped-decorator]
def _sum(a: Any, n: Any, room: Any, run: int, place: int, start: int, stop: int, line: int) -> None:
    """Writes the gathered rows of entries start..stop times the numbers from `run` on, added up, to `place`."""
    if n[1] == 16:  # the usual width, where the call below would show
        acc = vzero(room, 16)
        for e in range(start, stop):
            acc = vfma(acc, at(room, run + e - start), vload(a[3], np.int64(at(a[0], e)) * 16, acc))
        vstore(room, place, acc)
        return
    for k in range(place, place + n[1] if start == stop else place):
        put(room, k, 0)
    sum_piece((a[0], a[3]), shifted(room, run), None, n, room, place, start, stop, line)
