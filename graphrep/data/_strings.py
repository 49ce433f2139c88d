"""Packed UTF-8 strings: sorting and decoding without a Python object per string."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["decode", "longest", "sorted_order"]


def sorted_order(arena: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Order of distinct strings by code point, which is the order of their UTF-8 bytes.

    Eight bytes at a time, as big-endian numbers; after each round only the strings that still tie go on. NUL bytes
    must not occur: they stand for the end.

    Args:
        arena: uint8, the strings one behind the other.
        offsets: (N + 1,) where each begins.
    """
    count = offsets.size - 1
    everyone = np.arange(count)
    key = _keys(arena, offsets, everyone, 0)
    order = np.argsort(key, kind="stable")
    group = np.zeros(count, dtype=np.int64)
    places, key, depth = everyone, key[order], 8
    while True:
        same = (key[1:] == key[:-1]) & (group[1:] == group[:-1])
        tied = np.zeros(places.size, dtype=bool)
        tied[1:] |= same
        tied[:-1] |= same
        if not tied.any():
            return order
        group = np.cumsum(np.concatenate([[True], ~same]))[tied]
        places = places[tied]
        key = _keys(arena, offsets, order[places], depth)
        again = np.lexsort((key, group))
        order[places] = order[places][again]
        key, depth = key[again], depth + 8


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _keys(arena: Any, offsets: Any, which: Any, depth: int) -> Any:
    """Bytes depth..depth+7 of each string as one number, zero behind the end."""
    keys = np.zeros(which.size, dtype=np.uint64)
    for i in range(which.size):
        begin, end = offsets[which[i]] + depth, offsets[which[i] + 1]
        key = np.uint64(0)
        for p in range(begin, begin + 8):
            key = (key << np.uint64(8)) | (np.uint64(arena[p]) if p < end else np.uint64(0))
        keys[i] = key
    return keys


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def longest(arena: Any, offsets: Any) -> Any:
    """Characters (not bytes) of the longest string."""
    most = 0
    for i in range(offsets.size - 1):
        size = 0
        for p in range(offsets[i], offsets[i + 1]):
            size += (arena[p] & 0xC0) != 0x80
        most = max(most, size)
    return most


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def decode(arena: Any, offsets: Any, order: Any, letters: Any) -> Any:
    """Writes string ``order[i]`` as code points into row i of `letters`, zeros behind it.

    Returns -1, or the number of the first string that is not UTF-8.
    """
    for i in range(order.size):
        p, end, k = offsets[order[i]], offsets[order[i] + 1], 0
        while p < end:
            first = np.uint32(arena[p])
            extra = 0 if first < 0x80 else 1 if 0xC2 <= first < 0xE0 else 2 if 0xE0 <= first < 0xF0 else 3
            if (0x80 <= first < 0xC2) or first > 0xF4 or p + extra >= end:
                return order[i]
            code = first if extra == 0 else first & np.uint32(0x3F >> extra)
            for q in range(p + 1, p + 1 + extra):
                if arena[q] & 0xC0 != 0x80:
                    return order[i]
                code = (code << np.uint32(6)) | np.uint32(arena[q] & 0x3F)
            short = (extra == 2 and code < 0x800) or (extra == 3 and code < 0x10000)
            if short or code > 0x10FFFF or 0xD800 <= code < 0xE000:
                return order[i]
            letters[i, k] = code
            k += 1
            p += 1 + extra
    return -1
