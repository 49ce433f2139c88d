"""Intersections and differences of two sorted ranges of columns, inside numba kernels.

Each entry of the shorter range is compared with a block of the longer one at once: one load, one comparison of all
lanes and no branch that depends on the data, where a merge has one coin toss per step.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types as nb_types
from numba.extending import intrinsic

from graphrep.kernels._rows import helper, inline
from graphrep.kernels._simd import at, put, vload_int, vzero
from graphrep.kernels._simd_math import vequal

__all__ = ["difference", "intersect"]

LANES = 16
MUCH_LONGER = 64  # ratio of lengths from which blocks are skipped by doubling steps


@intrinsic  # type: ignore[untyped-decorator]
def _any(typingctx: Any, mask: Any) -> Any:
    """1 if any lane of a comparison holds, else 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(args[0].type.count))
        return builder.zext(builder.icmp_unsigned("!=", bits, bits.type(0)), ir.IntType(64))

    return nb_types.int64(mask), codegen


@helper  # type: ignore[untyped-decorator]
def intersect(col: Any, a: Any, b: Any, found: Any, place: int) -> Any:
    """Writes the nodes of both ranges to ``found[place:]`` unless it is None; returns their number.

    `found` needs room for the shorter range.
    """
    if a[1] - a[0] > b[1] - b[0]:
        a, b = b, a
    (i, i_end), (j, j_end) = a, b
    far = (i_end - i) * MUCH_LONGER < j_end - j
    count = 0
    while i < i_end and j + LANES <= j_end:
        node = at(col, i)
        if at(col, j + LANES - 1) < node:
            j = _skip(col, j, j_end, node, far)
            continue
        if found is not None:
            put(found, place + count, node)
        count += _any(vequal(vload_int(col, j, vzero(col, 16)), node))
        i += 1
    while i < i_end and j < j_end:
        node, other = at(col, i), at(col, j)
        if node == other:
            if found is not None:
                put(found, place + count, node)
            count += 1
        i, j = i + (node <= other), j + (other <= node)
    return count


@inline  # type: ignore[untyped-decorator]
def _skip(col: Any, j: int, j_end: int, node: int, far: bool) -> Any:
    """A later place before which all is below `node`, as this block is: the next block, or by doubling steps."""
    next_block = j + LANES
    if far:
        step = 4 * LANES
        while j + step < j_end and at(col, j + step - 1) < node:
            j, step = j + step, 2 * step
        low, high = j, min(j + step, j_end)
        while high - low > LANES:
            middle = (low + high) >> 1
            if at(col, middle - 1) < node:
                low = middle
            else:
                high = middle
        return max(low, next_block)
    return next_block


@helper  # type: ignore[untyped-decorator]
def difference(col: Any, a: Any, b: Any, found: Any, place: int) -> None:
    """Writes the nodes of range `a` that are not in `b` to ``found[place:]``."""
    (i, i_end), (j, j_end) = a, b
    far = (i_end - i) * MUCH_LONGER < j_end - j
    while i < i_end:
        node = at(col, i)
        while j + LANES <= j_end and at(col, j + LANES - 1) < node:
            j = _skip(col, j, j_end, node, far)
        while j < j_end and at(col, j) < node:
            j += 1
        if j == j_end or at(col, j) != node:
            put(found, place, node)
            place += 1
        i += 1
