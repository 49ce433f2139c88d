"""Sums of neighbour rows on CPU.

Bytes: E rows of d numbers gathered, n rows written, E indices (and weights) streamed; one addition per number read. A
block of up to 64 columns is summed in registers. Rows of 256 bytes or more are prefetched, because the hardware cannot
guess a gather; wider rows are taken in groups of edges so that the later blocks find their lines in the L1 cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from graphrep.kernels._numba import prefetch_row, twin
from graphrep.kernels._rows import AHEAD, CHUNKS, PIECE, chunk_start, inline
from graphrep.kernels._simd import vadd, vdiv, vequal, vfma, vload, vload_int, vpick, vstore, vzero, vzero_like

__all__ = ["sum_rows"]

WIDE = 64  # columns summed at once
GROUP_NUMBERS = 4096  # numbers of a group of gathered rows: half of a small L1 cache


@twin()
def sum_rows(
    rowptr: Any,
    col: Any,
    value: Any,
    perm: Any,
    scale: Any,
    arg: Any,
    x: Any,
    out: Any,
    heads: int,
    mean: bool,
    line: int,
) -> None:
    """Writes ``out[i] = sum_e w_e x[col[e]]`` (over the number of edges if `mean`) for flat `x` and `out`.

    `value` None: no weights. Else ``w_e = value[perm[e]] * scale[col[e]]``, where an empty array leaves its factor out.
    `arg` not None: x[j, c] counts only for the entry ``perm[e] == arg[j, c]`` (the way back from a maximum).
    `line`: numbers per cache line if rows are to be prefetched, else 0.
    """
    stride = out.size // (rowptr.size - 1)
    for chunk in prange(CHUNKS):
        first, last = chunk_start(rowptr, chunk, CHUNKS), chunk_start(rowptr, chunk + 1, CHUNKS)
        for i in range(first, last):
            begin, end, base = np.int64(rowptr[i]), np.int64(rowptr[i + 1]), i * stride
            count = end - begin if mean else 1
            if begin == end:
                out[base : base + stride] = 0
            elif end - begin <= PIECE:
                _piece(col, value, perm, scale, arg, x, out, base, begin, end, stride, heads, count, line)
            else:
                _long_row(col, value, perm, scale, arg, x, out, base, begin, end, stride, heads, count, line)


@inline  # type: ignore[untyped-decorator]
def _long_row(
    col: Any,
    value: Any,
    perm: Any,
    scale: Any,
    arg: Any,
    x: Any,
    out: Any,
    base: int,
    begin: int,
    end: int,
    stride: int,
    heads: int,
    count: int,
    line: int,
) -> None:
    """Pairwise over pieces: a stack of partial sums in which equal sizes merge, as in a binary counter."""
    stack = np.empty(40 * stride, out.dtype)
    top, pieces = 0, 0
    for start in range(begin, end, PIECE):
        stop = min(start + PIECE, end)
        _piece(col, value, perm, scale, arg, x, stack, top * stride, start, stop, stride, heads, 1, line)
        top += 1
        pieces += 1
        merges = pieces
        while merges & 1 == 0:
            top -= 1
            _merge(stack, top, stride)
            merges >>= 1
    while top > 1:
        top -= 1
        _merge(stack, top, stride)
    for j in range(stride):
        out[base + j] = stack[j] / count


@inline  # type: ignore[untyped-decorator]
def _merge(stack: Any, top: int, stride: int) -> None:
    below = (top - 1) * stride
    for j in range(stride):
        stack[below + j] += stack[below + stride + j]


@inline  # type: ignore[untyped-decorator]
def _piece(
    col: Any,
    value: Any,
    perm: Any,
    scale: Any,
    arg: Any,
    x: Any,
    out: Any,
    base: int,
    begin: int,
    end: int,
    stride: int,
    heads: int,
    count: int,
    line: int,
) -> None:
    group = PIECE if stride <= WIDE else max(8, GROUP_NUMBERS // stride)
    width = stride // heads
    for start in range(begin, end, group):
        stop = min(start + group, end)
        divisor = count if stop == end else 1
        ahead = line
        for head in range(heads):
            j = head * width
            edge = j + width
            while j + WIDE <= edge:
                _block(
                    vzero(x, 64),
                    col,
                    value,
                    perm,
                    scale,
                    arg,
                    x,
                    out,
                    base,
                    begin,
                    start,
                    stop,
                    stride,
                    heads,
                    head,
                    j,
                    divisor,
                    ahead,
                )
                j += WIDE
                ahead = 0
            if j + 32 <= edge:
                _block(
                    vzero(x, 32),
                    col,
                    value,
                    perm,
                    scale,
                    arg,
                    x,
                    out,
                    base,
                    begin,
                    start,
                    stop,
                    stride,
                    heads,
                    head,
                    j,
                    divisor,
                    ahead,
                )
                j += 32
                ahead = 0
            if j + 16 <= edge:
                _block4(
                    vzero(x, 16),
                    col,
                    value,
                    perm,
                    scale,
                    arg,
                    x,
                    out,
                    base,
                    begin,
                    start,
                    stop,
                    stride,
                    heads,
                    head,
                    j,
                    divisor,
                )
                j += 16
            while j + 4 <= edge:
                _block4(
                    vzero(x, 4),
                    col,
                    value,
                    perm,
                    scale,
                    arg,
                    x,
                    out,
                    base,
                    begin,
                    start,
                    stop,
                    stride,
                    heads,
                    head,
                    j,
                    divisor,
                )
                j += 4
            while j < edge:
                _block4(
                    vzero(x, 1),
                    col,
                    value,
                    perm,
                    scale,
                    arg,
                    x,
                    out,
                    base,
                    begin,
                    start,
                    stop,
                    stride,
                    heads,
                    head,
                    j,
                    divisor,
                )
                j += 1


@inline  # type: ignore[untyped-decorator]
def _block(
    acc: Any,
    col: Any,
    value: Any,
    perm: Any,
    scale: Any,
    arg: Any,
    x: Any,
    out: Any,
    base: int,
    begin: int,
    start: int,
    stop: int,
    stride: int,
    heads: int,
    head: int,
    j: int,
    count: int,
    line: int,
) -> None:
    if start != begin:
        acc = vload(out, base + j, acc)
    last = col.size - 1
    for e in range(start, stop):
        if line > 0:
            origin = np.int64(col[min(e + AHEAD, last)]) * stride
            for offset in range(0, stride, line):
                prefetch_row(x, origin + offset)
                if arg is not None:
                    prefetch_row(arg, origin + offset)
        acc = _add(acc, col, value, perm, scale, arg, x, stride, heads, head, j, e)
    if count > 1:
        acc = vdiv(acc, count)
    vstore(out, base + j, acc)


@inline  # type: ignore[untyped-decorator]
def _block4(
    acc: Any,
    col: Any,
    value: Any,
    perm: Any,
    scale: Any,
    arg: Any,
    x: Any,
    out: Any,
    base: int,
    begin: int,
    start: int,
    stop: int,
    stride: int,
    heads: int,
    head: int,
    j: int,
    count: int,
) -> None:
    """Narrow blocks: four independent sums, so that an addition need not wait for the one before it."""
    acc1 = acc2 = acc3 = acc
    if start != begin:
        acc = vload(out, base + j, acc)
    e = start
    while e + 4 <= stop:
        acc = _add(acc, col, value, perm, scale, arg, x, stride, heads, head, j, e)
        acc1 = _add(acc1, col, value, perm, scale, arg, x, stride, heads, head, j, e + 1)
        acc2 = _add(acc2, col, value, perm, scale, arg, x, stride, heads, head, j, e + 2)
        acc3 = _add(acc3, col, value, perm, scale, arg, x, stride, heads, head, j, e + 3)
        e += 4
    while e < stop:
        acc = _add(acc, col, value, perm, scale, arg, x, stride, heads, head, j, e)
        e += 1
    acc = vadd(vadd(acc, acc1), vadd(acc2, acc3))
    if count > 1:
        acc = vdiv(acc, count)
    vstore(out, base + j, acc)


@inline  # type: ignore[untyped-decorator]
def _add(
    acc: Any,
    col: Any,
    value: Any,
    perm: Any,
    scale: Any,
    arg: Any,
    x: Any,
    stride: int,
    heads: int,
    head: int,
    j: int,
    e: int,
) -> Any:
    source = np.int64(col[e])
    row = vload(x, source * stride + j, acc)
    if arg is not None:
        row = vpick(vequal(vload_int(arg, source * stride + j, acc), perm[e]), row, vzero_like(acc))
    if value is None:
        return vadd(acc, row)
    return vfma(acc, _weight(value, perm, scale, source, heads, head, e), row)


@inline  # type: ignore[untyped-decorator]
def _weight(value: Any, perm: Any, scale: Any, source: int, heads: int, head: int, e: int) -> Any:
    if value.size == 0:
        return scale[source]
    place = np.int64(perm[e]) if perm.size else np.int64(e)
    weight = value[place * heads + head]
    return weight * scale[source] if scale.size else weight
