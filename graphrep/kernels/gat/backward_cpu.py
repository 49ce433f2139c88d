"""Gradients of attention-weighted sums on CPU, one pass over the transpose.

Bytes: E rows of d numbers of the gradient and E rows of 3 H numbers gathered, one row of d numbers of x read and
written per column; E x H exponentials. See the package for why two weighted sums replace the dot product of
every entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from graphrep.kernels._numba import twin
from graphrep.kernels._rows import PIECE, helper
from graphrep.kernels._simd import address, at, put, vload, vstore, vzero
from graphrep.kernels._simd_math import vabove, vadd, vexp, vfirst, vfma, vmul, vpick, vsub
from graphrep.kernels.gat._pieces_cpu import add_level, dot, scale_row, sum_piece
from graphrep.kernels.gat._slots_cpu import LANES, RUN, fold_sum, gather_slots, tiled
from graphrep.kernels.gat.forward_cpu import batch_end, leaky

__all__ = ["backward_columns", "prepare_rows"]


@twin()
def prepare_rows(
    bounds: Any, grad: Any, out: Any, rest: Any, er: Any, lse: Any, node: Any, grad_er: Any, slope: float
) -> None:
    """Gathers what each entry needs of its row into `node` (er, log-sum-exp, <grad, out>, H each); writes grad_er."""
    rows = bounds[-1]
    heads = er.size // rows
    width = grad.size // er.size
    a = (address(grad), address(out), address(rest))
    for chunk in prange(bounds.size - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            for head in range(heads):
                k, row, place = i * heads + head, (i * heads + head) * width, 3 * i * heads + head
                node[place] = er[k]
                node[place + heads] = 0 if lse[k] == -np.inf else lse[k]
                node[place + 2 * heads] = dot(a[0], row, a[1], row, width)
                grad_er[k] = (1 - slope) * dot(a[0], row, a[2], row, width)


@twin()
def backward_columns(
    bounds: Any,
    rowptr: Any,
    col: Any,
    grad: Any,
    node: Any,
    x: Any,
    el: Any,
    grad_x: Any,
    grad_el: Any,
    room: Any,
    slope: float,
    line: int,
) -> None:
    """Writes the gradients of x and el; `rowptr` and `col` are the transpose's.

    `node`, `el`: padded to whole slots. `room`: scratch space of each chunk: two runs of weights and three of what is
    gathered, then levels of partial sums.
    """
    columns = rowptr.size - 1
    heads, slot = grad_el.size // columns, 1
    while slot < min(heads, LANES):
        slot *= 2
    n = (col.size - 1, grad_x.size // columns, heads, slot, (heads + slot - 1) // slot)
    a = (address(col), address(grad), address(node), address(el), address(x))
    for chunk in prange(bounds.size - 1):
        scratch, results = address(room[chunk]), (address(grad_x), address(grad_el))
        first, last = bounds[chunk], bounds[chunk + 1]
        while first < last:
            stop = batch_end(rowptr, first, last)
            origin, end = np.int64(rowptr[first]), np.int64(rowptr[stop])
            if end - origin <= PIECE:
                width = 3 * n[4] * slot
                gather_slots(a[0], a[2], width, scratch, 2 * n[4] * RUN * slot, slot, 3 * n[4], origin, end)
            for c in range(first, stop):
                begin, end = np.int64(rowptr[c]), np.int64(rowptr[c + 1])
                _column(a, n, results, scratch, c, begin, end, begin - origin, slope, line)
            first = stop


@helper  # type: ignore[untyped-decorator]
def _column(
    a: Any, n: Any, results: Any, room: Any, c: int, begin: int, end: int, offset: int, slope: float, line: int
) -> None:
    """A column whose rows' numbers were gathered to `offset`, or a longer one, pairwise over pieces."""
    _, stride, _, slot, groups = n
    width = groups * slot
    size, bottom = 2 * (stride + groups * LANES), 5 * width * RUN
    if begin == end:
        for k in range(bottom, bottom + size):
            put(room, k, 0)
    level, pieces = bottom, 0
    for start in range(begin, end, PIECE):
        stop = min(start + PIECE, end)
        if end - begin > PIECE:
            gather_slots(a[0], a[2], 3 * width, room, 2 * width * RUN, slot, 3 * groups, start, stop)
        for group in range(groups):
            _weigh(vzero(room, 16), a, n, room, level, group, c, offset, stop - start, slope)
        sum_piece((a[0], a[1]), room, room, n, room, level, start, stop, line)
        level, pieces = level + size, pieces + 1
        merges = pieces
        while level > bottom + size and (merges & 1 == 0 or stop == end):
            level -= size
            add_level(room, level, size)
            merges >>= 1
    _finish(a, n, results, room, bottom, c, slope)


@helper  # type: ignore[untyped-decorator]
def _weigh(
    zero: Any, a: Any, n: Any, room: Any, level: int, group: int, c: int, offset: int, count: int, slope: float
) -> None:
    """Turns gathered numbers into weights, all and those of positive logits; sums the slopes times <grad, out>."""
    _, stride, _, slot, groups = n
    own, total = tiled(zero, a[3], (c * groups + group) * slot, slot), zero
    run = groups * RUN * slot
    first, gathered = group * RUN * slot, 2 * run + (group * RUN + offset) * slot
    for k in range(0, count * slot, LANES):
        left = count * slot - k
        z = vadd(vload(room, gathered + k, zero), own)
        power = vexp(vfirst(vsub(leaky(z, slope), vload(room, gathered + run + k, zero)), left, -np.inf))
        above = vpick(vabove(z, zero), power, zero)
        slopes = vfma(vmul(slope, power), 1 - slope, above)
        total = vfma(total, slopes, vfirst(vload(room, gathered + 2 * run + k, zero), left, 0.0))
        vstore(room, first + k, power)
        vstore(room, first + run + k, above)
    vstore(room, level + stride + group * LANES, fold_sum(total, slot))
    vstore(room, level + 2 * stride + (groups + group) * LANES, zero)


@helper  # type: ignore[untyped-decorator]
def _finish(a: Any, n: Any, results: Any, room: Any, bottom: int, c: int, slope: float) -> None:
    _, stride, heads, slot, groups = n
    grad_x, grad_el = results
    width = stride // heads
    for head in range(heads):
        first, place = bottom + head * width, c * stride + head * width
        every = dot(room, first, a[4], place, width)
        above = dot(room, first + stride + groups * LANES, a[4], place, width)
        taken = at(room, bottom + stride + head // slot * LANES + head % slot)
        put(grad_el, c * heads + head, slope * every + (1 - slope) * above - taken)
        scale_row(room, first, 1, grad_x, place, width)
