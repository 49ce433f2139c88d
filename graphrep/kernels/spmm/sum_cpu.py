"""Sums of neighbour rows on CPU.

Bytes: E rows of d numbers gathered, n rows written, E indices (and weights) streamed; one addition per number read. A
block of up to 64 columns is summed in registers. Rows of 256 bytes or more are prefetched, because the hardware cannot
guess a gather; wider rows are taken in groups of edges so that the later blocks find their lines in the L1 cache.

`value` and `arg`, which may be None, decide at compile time what a kernel does. Helpers pass on the rest as two
tuples: the arrays ``a = (col, perm, scale, x)`` as pointers and the sizes ``n = (last edge, numbers per row, heads,
has value, has scale)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from graphrep.kernels._numba import twin
from graphrep.kernels._rows import AHEAD, PIECE, helper, inline
from graphrep.kernels._simd import address, at, prefetch_lanes, put, vload, vload_int, vstore, vzero, vzero_like
from graphrep.kernels._simd_math import vadd, vdiv, vequal, vfma, vpick

__all__ = ["sum_rows"]

GROUP_NUMBERS = 4096  # numbers of a group of gathered rows: half of a small L1 cache


@twin()
def sum_rows(
    bounds: Any,
    rowptr: Any,
    col: Any,
    value: Any,
    perm: Any,
    scale: Any,
    arg: Any,
    x: Any,
    out: Any,
    stack: Any,
    heads: int,
    mean: bool,
    line: int,
) -> None:
    """Writes ``out[i] = sum_e w_e x[col[e]]`` (over the number of edges if `mean`) for flat `x` and `out`.

    `bounds`: first row of each chunk. `stack`: scratch space for long rows.
    `value` None: no weights. Else ``w_e = value[e] * scale[col[e]]``, where an empty array leaves its factor out.
    `arg` not None: x[j, c] counts only for the entry ``perm[e] == arg[j, c]`` (the way back from a maximum).
    `line`: numbers per cache line if rows are to be prefetched, else 0.
    """
    stride = out.size // (rowptr.size - 1)
    depth = stack.size // (bounds.size - 1)
    narrow = stride == 16 and heads == 1  # where a row is so little work that the call to `_piece` would show
    a = (address(col), address(perm), address(scale), address(x))
    if value is None:
        n = (col.size - 1, stride, heads, False, False)
    else:
        n = (col.size - 1, stride, heads, value.size > 0, scale.size > 0)
    for chunk in prange(bounds.size - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            begin, end = np.int64(rowptr[i]), np.int64(rowptr[i + 1])
            count = end - begin if mean else 1
            if narrow and end - begin <= PIECE:
                place = i * stride
                _narrow(
                    vzero(a[3], 16),
                    a,
                    address(value),
                    address(arg),
                    n,
                    address(out),
                    place,
                    0,
                    0,
                    False,
                    begin,
                    end,
                    count,
                )
            elif end - begin <= PIECE:
                _piece(a, address(value), address(arg), n, address(out), i * stride, begin, end, count, line)
            else:
                room = chunk * depth
                _long_row(a, address(value), address(arg), n, address(stack), room, begin, end, line)
                for j in range(stride):
                    out[i * stride + j] = stack[room + j] / count


@helper  # type: ignore[untyped-decorator]
def _long_row(a: Any, value: Any, arg: Any, n: Any, stack: Any, room: int, begin: int, end: int, line: int) -> None:
    """Pairwise over pieces: a stack of partial sums in which equal sizes merge, as in a binary counter."""
    stride, top, pieces = n[1], 0, 0
    undivided = np.int64(1)  # a literal 1 would compile `_piece` once more
    for start in range(begin, end, PIECE):
        stop = min(start + PIECE, end)
        _piece(a, value, arg, n, stack, room + top * stride, start, stop, undivided, line)
        top, pieces = top + 1, pieces + 1
        merges = pieces
        while top > 1 and (merges & 1 == 0 or stop == end):
            top -= 1
            upper = room + top * stride
            for j in range(upper, upper + stride):
                put(stack, j - stride, at(stack, j - stride) + at(stack, j))
            merges >>= 1


@helper  # type: ignore[untyped-decorator]
def _piece(
    a: Any, value: Any, arg: Any, n: Any, out: Any, base: int, begin: int, end: int, count: int, line: int
) -> None:
    """Sums edges begin..end into ``out[base:]``: for each group of edges, block after block of columns."""
    stride, heads, x = n[1], n[2], a[3]
    if begin == end:
        for k in range(base, base + stride):
            put(out, k, 0)
    group = PIECE if stride <= 64 else max(8, GROUP_NUMBERS // stride)
    width = stride // heads
    for start in range(begin, end, group):
        stop = min(start + group, end)
        divisor = count if stop == end else 1
        more = start > begin
        for head in range(heads):
            j, edge = head * width, (head + 1) * width
            while j + 64 <= edge:
                _wide(vzero(x, 64), a, value, arg, n, out, base + j, j, head, more, start, stop, divisor, line)
                j += 64
            while j + 16 <= edge:
                _narrow(vzero(x, 16), a, value, arg, n, out, base + j, j, head, more, start, stop, divisor)
                j += 16
            while j + 4 <= edge:
                _narrow(vzero(x, 4), a, value, arg, n, out, base + j, j, head, more, start, stop, divisor)
                j += 4
            while j < edge:
                _narrow(vzero(x, 1), a, value, arg, n, out, base + j, j, head, more, start, stop, divisor)
                j += 1


@inline  # type: ignore[untyped-decorator]
def _wide(
    acc: Any,
    a: Any,
    value: Any,
    arg: Any,
    n: Any,
    out: Any,
    place: int,
    j: int,
    head: int,
    more: bool,
    start: int,
    stop: int,
    count: int,
    line: int,
) -> None:
    """A block of 64 columns, which fills the pipeline by itself; prefetches whole rows where `line` is set."""
    if more:
        acc = vload(out, place, acc)
    if line > 0:
        for e in range(start, stop):
            later = np.int64(at(a[0], min(e + AHEAD, n[0]))) * n[1] + j
            prefetch_lanes(a[3], later, acc)
            if arg is not None:
                prefetch_lanes(arg, later, acc)
            acc = _add(acc, a, value, arg, n, j, head, e)
    else:
        for e in range(start, stop):
            acc = _add(acc, a, value, arg, n, j, head, e)
    if count > 1:
        acc = vdiv(acc, count)
    vstore(out, place, acc)


@inline  # type: ignore[untyped-decorator]
def _narrow(
    acc: Any,
    a: Any,
    value: Any,
    arg: Any,
    n: Any,
    out: Any,
    place: int,
    j: int,
    head: int,
    more: bool,
    start: int,
    stop: int,
    count: int,
) -> None:
    """A narrow block: four independent sums, so that an addition need not wait for the one before it."""
    acc1 = acc2 = acc3 = acc
    if more:
        acc = vload(out, place, acc)
    e = start
    while e + 4 <= stop:
        acc = _add(acc, a, value, arg, n, j, head, e)
        acc1 = _add(acc1, a, value, arg, n, j, head, e + 1)
        acc2 = _add(acc2, a, value, arg, n, j, head, e + 2)
        acc3 = _add(acc3, a, value, arg, n, j, head, e + 3)
        e += 4
    while e < stop:
        acc = _add(acc, a, value, arg, n, j, head, e)
        e += 1
    acc = vadd(vadd(acc, acc1), vadd(acc2, acc3))
    if count > 1:
        acc = vdiv(acc, count)
    vstore(out, place, acc)


@inline  # type: ignore[untyped-decorator]
def _add(acc: Any, a: Any, value: Any, arg: Any, n: Any, j: int, head: int, e: int) -> Any:
    col, perm, _, x = a
    source = np.int64(at(col, e))
    row = vload(x, source * n[1] + j, acc)
    if arg is not None:
        row = vpick(vequal(vload_int(arg, source * n[1] + j, acc), at(perm, e)), row, vzero_like(acc))
    if value is None:
        return vadd(acc, row)
    return vfma(acc, _weight(a, value, n, source, head, e), row)


@inline  # type: ignore[untyped-decorator]
def _weight(a: Any, value: Any, n: Any, source: int, head: int, e: int) -> Any:
    _, _, scale, _ = a
    _, _, heads, has_value, has_scale = n
    if not has_value:
        return at(scale, source)
    weight = at(value, np.int64(e) * heads + head)
    return weight * at(scale, source) if has_scale else weight
