"""Maxima and minima over neighbour rows on CPU, with the first edge that attains each.

Bytes: as the sum, plus n rows of positions written. Blocks of 32 columns, so that values and positions both fit in
registers. A minimum is a maximum of negated messages, which is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from graphrep.kernels._numba import prefetch_row, twin
from graphrep.kernels._rows import AHEAD, CHUNKS, chunk_start, inline
from graphrep.kernels._simd import vabove, vfill, vload, vload_int, vmul, vpick, vstore, vzero

__all__ = ["extreme_rows"]

GROUP_NUMBERS = 4096


@twin()
def extreme_rows(
    rowptr: Any, col: Any, value: Any, x: Any, out: Any, arg: Any, heads: int, sign: int, line: int
) -> None:
    """Writes the largest (`sign` 1) or smallest (-1) ``w_e x[col[e]]`` of each row, and its e into `arg`.

    `value` None: no weights (and sign 1); an empty array: weights 1. `arg` None: positions are not wanted.
    """
    stride = out.size // (rowptr.size - 1)
    group = max(8, GROUP_NUMBERS // stride)
    for chunk in prange(CHUNKS):
        first, last = chunk_start(rowptr, chunk, CHUNKS), chunk_start(rowptr, chunk + 1, CHUNKS)
        for i in range(first, last):
            begin, end, base = np.int64(rowptr[i]), np.int64(rowptr[i + 1]), i * stride
            if begin == end:
                out[base : base + stride] = 0
                if arg is not None:
                    arg[base : base + stride] = -1
            for start in range(begin, end, group):
                _group(col, value, x, out, arg, base, begin, start, end, group, stride, heads, sign, line)


@inline  # type: ignore[untyped-decorator]
def _group(
    col: Any,
    value: Any,
    x: Any,
    out: Any,
    arg: Any,
    base: int,
    begin: int,
    start: int,
    end: int,
    group: int,
    stride: int,
    heads: int,
    sign: int,
    line: int,
) -> None:
    stop = min(start + group, end)
    flip = sign if stop == end else 1
    width = stride // heads
    ahead = line
    for head in range(heads):
        j = head * width
        edge = j + width
        while j + 32 <= edge:
            _block(
                vzero(x, 32),
                col,
                value,
                x,
                out,
                arg,
                base,
                begin,
                start,
                stop,
                stride,
                heads,
                head,
                j,
                sign,
                flip,
                ahead,
            )
            j += 32
            ahead = 0
        while j + 8 <= edge:
            _block(
                vzero(x, 8),
                col,
                value,
                x,
                out,
                arg,
                base,
                begin,
                start,
                stop,
                stride,
                heads,
                head,
                j,
                sign,
                flip,
                ahead,
            )
            j += 8
            ahead = 0
        while j < edge:
            _block(
                vzero(x, 1),
                col,
                value,
                x,
                out,
                arg,
                base,
                begin,
                start,
                stop,
                stride,
                heads,
                head,
                j,
                sign,
                flip,
                ahead,
            )
            j += 1


@inline  # type: ignore[untyped-decorator]
def _block(
    best: Any,
    col: Any,
    value: Any,
    x: Any,
    out: Any,
    arg: Any,
    base: int,
    begin: int,
    start: int,
    stop: int,
    stride: int,
    heads: int,
    head: int,
    j: int,
    sign: int,
    flip: int,
    line: int,
) -> None:
    last = col.size - 1
    if start == begin:
        best = _message(best, col, value, x, stride, heads, head, j, sign, start)
    else:
        best = vload(out, base + j, best)
    if arg is not None:
        place = vfill(arg, start, best) if start == begin else vload_int(arg, base + j, best)
    for e in range(start, stop):
        if line > 0:
            origin = np.int64(col[min(e + AHEAD, last)]) * stride
            for offset in range(0, stride, line):
                prefetch_row(x, origin + offset)
        message = _message(best, col, value, x, stride, heads, head, j, sign, e)
        wins = vabove(message, best)
        best = vpick(wins, message, best)
        if arg is not None:
            place = vpick(wins, e, place)
    vstore(out, base + j, vmul(flip, best) if flip < 0 else best)
    if arg is not None:
        vstore(arg, base + j, place)


@inline  # type: ignore[untyped-decorator]
def _message(
    like: Any, col: Any, value: Any, x: Any, stride: int, heads: int, head: int, j: int, sign: int, e: int
) -> Any:
    row = vload(x, np.int64(col[e]) * stride + j, like)
    if value is None:
        return row
    if value.size == 0:
        return vmul(sign, row)
    return vmul(value[np.int64(e) * heads + head] * sign, row)
