"""Log-sum-exps over the entries of each row, and the sums of gathered rows that are their gradients, on CPU.

Bytes: E rows of d numbers gathered (in the backward pass a second time, from the first-level caches), E indices and
weights streamed. The logits and weights of up to 512 entries lie in scratch space as two runs; longer rows are added
piece by piece, log-sum-exps in float64, gradients pairwise.

Helpers pass on ``a = (col, value, x, y)`` as pointers, the sizes ``n`` of gat's sums over pieces with one head, and
``o = (scale, has weights, diagonal is zero, numbers per cache line or 0)``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from graphrep.kernels._numba import twin
from graphrep.kernels._rows import AHEAD, PIECE, helper
from graphrep.kernels._simd import address, at, prefetch, put, vfill, vload, vstore, vzero
from graphrep.kernels._simd_math import vabove, vadd, vexp, vfirst, vlargest, vmul, vpick, vsub, vsum
from graphrep.kernels.gat._pieces_cpu import add_level, dot, scale_row, sum_piece
from graphrep.kernels.gat._slots_cpu import LANES, RUN

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
    width = x.size // (rowptr.size - 1)
    a = (address(col), address(value), address(x), address(y))
    o = (scale, value.size > 0, zero_diagonal, line)
    for chunk in prange(bounds.size - 1):
        scratch = address(room[chunk])
        for i in range(bounds[chunk], bounds[chunk + 1]):
            lse[i], top[i] = _measure(
                a, col.size - 1, width, o, scratch, i, np.int64(rowptr[i]), np.int64(rowptr[i + 1])
            )


@twin()
def attract_rows(
    bounds: Any,
    rowptr: Any,
    col: Any,
    value: Any,
    x: Any,
    y: Any,
    factor: Any,
    shift: Any,
    out: Any,
    room: Any,
    scale: float,
    zero_diagonal: bool,
    by_column: bool,
    line: int,
) -> None:
    """Writes ``sum_e factor w_e exp(scale <x_i, y_col> - shift) y_col`` of each row; entries (i, i) may add nothing."""
    rows = rowptr.size - 1
    one = np.int64(1)  # literals would compile the sums once more
    n = (col.size - 1, out.size // rows, one, one, one)
    a = (address(col), address(value), address(x), address(y))
    b = (address(factor), address(shift))
    o = (scale, value.size > 0, zero_diagonal, line)
    for chunk in prange(bounds.size - 1):
        scratch = address(room[chunk])
        for i in range(bounds[chunk], bounds[chunk + 1]):
            begin, end = np.int64(rowptr[i]), np.int64(rowptr[i + 1])
            _attract(a, b, n, o, address(out), scratch, i, begin, end, by_column)


@helper  # type: ignore[untyped-decorator]
def _measure(a: Any, last: int, width: int, o: Any, room: Any, i: int, begin: int, end: int) -> Any:
    """Log-sum-exp of one row and its largest logit."""
    most, amount = -np.inf, 0.0
    for start in range(begin, end, PIECE):
        stop = min(start + PIECE, end)
        _logits(a, last, width, o, room, i, start, stop, 0.0)
        largest = _largest(vzero(room, 16), room, stop - start)
        if largest > most:
            amount *= math.exp(most - largest)
            most = largest
        if largest != -np.inf:
            amount += _powers(vzero(room, 16), room, stop - start, most)
    return (most + math.log(amount) if amount != 0 else -np.inf), most


@helper  # type: ignore[untyped-decorator]
def _logits(a: Any, last: int, width: int, o: Any, room: Any, i: int, start: int, stop: int, loop: float) -> None:
    """Writes the logits and weights of entries start..stop of row i; an entry of weight 0 gets -inf.

    `loop`: logit of an entry (i, i) where the diagonal counts as zero.
    """
    col, value, x, y = a
    scale, has_weights, zero_diagonal, line = o
    for e in range(start, stop):
        source = np.int64(at(col, e))
        if line > 0:
            later = np.int64(at(col, min(e + AHEAD, last))) * width
            for offset in range(later, later + width, line):
                prefetch(y, offset)
        weight = at(value, e) if has_weights else 1.0
        if weight == 0:
            logit = -np.inf
        elif zero_diagonal and source == i:
            logit = loop
        else:
            logit = scale * dot(x, i * width, y, source * width, width)
        put(room, e - start, logit)
        put(room, RUN + e - start, weight)


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
def _attract(
    a: Any, b: Any, n: Any, o: Any, out: Any, room: Any, i: int, begin: int, end: int, by_column: bool
) -> None:
    """One row; the stack of partial sums is a binary counter: equal sizes merge."""
    col, _, _, y = a
    factor, shift = b
    width, bottom = n[1], RUNS * RUN
    level, pieces = bottom, 0
    for k in range(bottom, bottom + width if begin == end else bottom):
        put(room, k, 0)
    for start in range(begin, end, PIECE):
        stop = min(start + PIECE, end)
        _logits(a, n[0], width, o, room, i, start, stop, -np.inf)
        for k in range(stop - start):
            owner = np.int64(at(col, start + k)) if by_column else i
            put(room, k, at(room, k) - at(shift, owner))
            put(room, RUN + k, at(room, RUN + k) * at(factor, owner))
        _powers(vzero(room, 16), room, stop - start, 0.0)
        sum_piece((col, y), room, None, n, room, level, start, stop, o[3])
        level, pieces = level + width, pieces + 1
        merges = pieces
        while level > bottom + width and (merges & 1 == 0 or stop == end):
            level -= width
            add_level(room, level, width)
            merges >>= 1
    scale_row(room, bottom, 1.0, out, i * width, width)
