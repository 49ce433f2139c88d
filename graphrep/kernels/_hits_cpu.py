"""Sums of the feature rows that a list names, inside numba kernels: block after block of columns stays in registers."""

from __future__ import annotations

from typing import Any

from graphrep.kernels._rows import PIECE, helper, inline
from graphrep.kernels._simd import at, prefetch, put, vload, vstore, vzero
from graphrep.kernels._simd_math import vadd

__all__ = ["sum_hits"]


@helper  # type: ignore[untyped-decorator]
def sum_hits(x: Any, hits: Any, first: int, count: int, out: Any, place: int, width: int, line: int) -> None:
    """Sums the `count` rows of x that ``hits[first:]`` names, piece after piece, into ``out[place:]``.

    `x`, `hits` and `out` are addresses; `line`: numbers per cache line if rows are to be prefetched, else 0.
    """
    for j in range(place, place + width):
        put(out, j, 0)
    if line > 0:
        for h in range(first, first + count):
            for offset in range(at(hits, h) * width, (at(hits, h) + 1) * width, line):
                prefetch(x, offset)
    for start in range(first, first + count, PIECE):
        stop, j = min(start + PIECE, first + count), 0
        while j + 32 <= width:
            _block(vzero(x, 32), x, hits, start, stop, out, place + j, j, width)
            j += 32
        while j + 4 <= width:
            _block(vzero(x, 4), x, hits, start, stop, out, place + j, j, width)
            j += 4
        while j < width:
            _block(vzero(x, 1), x, hits, start, stop, out, place + j, j, width)
            j += 1


@inline  # type: ignore[untyped-decorator]
def _block(acc: Any, x: Any, hits: Any, start: int, stop: int, out: Any, place: int, j: int, width: int) -> None:
    before = vload(out, place, acc)
    for h in range(start, stop):
        acc = vadd(acc, vload(x, at(hits, h) * width + j, acc))
    vstore(out, place, vadd(before, acc))
