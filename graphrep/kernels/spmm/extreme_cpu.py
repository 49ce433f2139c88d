"""Maxima and minima over neighbour rows on CPU, with the first edge that attains each.

Bytes: as the sum, plus n rows of positions written. Blocks of 32 columns, so that values and positions both fit in
registers. A minimum is a maximum of negated messages, which is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from graphrep.kernels._numba import twin
from graphrep.kernels._rows import AHEAD, helper, inline
from graphrep.kernels._simd import (
    AVX512,
    address,
    at,
    prefetch_lanes,
    vfill,
    vload,
    vload_int,
    vnarrow,
    vstore,
    vstore_int,
    vzero,
)
from graphrep.kernels._simd_math import vabove, vmul, vpick

__all__ = ["extreme_rows"]

GROUP_NUMBERS = 4096  # numbers of a group of gathered rows: half of a small L1 cache


@twin()
def extreme_rows(
    bounds: Any, rowptr: Any, col: Any, value: Any, x: Any, out: Any, arg: Any, heads: int, sign: int, line: int
) -> None:
    """Writes the largest (`sign` 1) or smallest (-1) ``w_e x[col[e]]`` of each row, and its e into `arg`.

    `value` None: no weights (and sign 1); an empty array: weights 1. `arg` None: positions are not wanted; else it may
    be wider than `col`.
    """
    stride = out.size // (rowptr.size - 1)
    a = (address(col), address(x), address(out))
    if value is None:
        n = (col.size - 1, stride, heads, sign, False)
    else:
        n = (col.size - 1, stride, heads, sign, value.size > 0)
    group = max(8, GROUP_NUMBERS // stride)
    narrow = stride == 16 and heads == 1  # where a row is so little work that the call to `_group` would show
    for chunk in prange(bounds.size - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            begin, end, base = np.int64(rowptr[i]), np.int64(rowptr[i + 1]), i * stride
            if begin == end:
                for j in range(base, base + stride):
                    out[j] = 0
                    if arg is not None:
                        arg[j] = -1
            elif narrow:
                _block(vzero(a[1], 16), a, address(value), address(arg), n, base, 0, 0, False, begin, end, sign, 0)
                continue
            for start in range(begin, end, group):
                stop = min(start + group, end)
                _group(
                    a,
                    address(value),
                    address(arg),
                    n,
                    base,
                    start > begin,
                    start,
                    stop,
                    sign if stop == end else 1,
                    line,
                )


@helper  # type: ignore[untyped-decorator]
def _group(
    a: Any, value: Any, arg: Any, n: Any, base: int, more: bool, start: int, stop: int, flip: int, line: int
) -> None:
    """Takes edges start..stop into account, block after block of columns; `flip` -1 turns the result back."""
    heads, x = n[2], a[1]
    width = n[1] // heads
    for head in range(heads):
        j, edge = head * width, (head + 1) * width
        if arg is None or AVX512:  # with positions, 64 columns do not fit the registers of other CPUs
            while j + 64 <= edge:
                _block(vzero(x, 64), a, value, arg, n, base + j, j, head, more, start, stop, flip, line)
                j += 64
        while j + 32 <= edge:
            _block(vzero(x, 32), a, value, arg, n, base + j, j, head, more, start, stop, flip, line)
            j += 32
        while j + 16 <= edge:
            _block(vzero(x, 16), a, value, arg, n, base + j, j, head, more, start, stop, flip, line)
            j += 16
        while j + 4 <= edge:
            _block(vzero(x, 4), a, value, arg, n, base + j, j, head, more, start, stop, flip, 0)
            j += 4
        while j < edge:
            _block(vzero(x, 1), a, value, arg, n, base + j, j, head, more, start, stop, flip, 0)
            j += 1


@inline  # type: ignore[untyped-decorator]
def _block(
    best: Any,
    a: Any,
    value: Any,
    arg: Any,
    n: Any,
    place: int,
    j: int,
    head: int,
    more: bool,
    start: int,
    stop: int,
    flip: int,
    line: int,
) -> None:
    col, x, out = a
    best = vload(out, place, best) if more else _message(best, a, value, n, j, head, start)
    if arg is not None:
        winner = vnarrow(vload_int(arg, place, best), col) if more else vfill(col, start, best)
    for e in range(start if more or line > 0 else start + 1, stop):
        if line > 0:
            prefetch_lanes(x, np.int64(at(col, min(e + AHEAD, n[0]))) * n[1] + j, best)
        message = _message(best, a, value, n, j, head, e)
        wins = vabove(message, best)
        best = vpick(wins, message, best)
        if arg is not None:
            winner = vpick(wins, e, winner)
    if flip < 0:
        best = vmul(flip, best)
    vstore(out, place, best)
    if arg is not None:
        vstore_int(arg, place, winner)


@inline  # type: ignore[untyped-decorator]
def _message(like: Any, a: Any, value: Any, n: Any, j: int, head: int, e: int) -> Any:
    col, x, _ = a
    _, stride, heads, sign, has_value = n
    row = vload(x, np.int64(at(col, e)) * stride + j, like)
    if value is None:
        return row
    if not has_value:
        return vmul(sign, row)
    return vmul(at(value, np.int64(e) * heads + head) * sign, row)
