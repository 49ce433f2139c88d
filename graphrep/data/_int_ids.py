"""Numbering integer ids in ascending order: a presence map when they are dense, a hash table and a sort otherwise."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["mix", "number_integers"]

_EMPTY = -1


def number_integers(ends: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Numbers integer ids.

    Args:
        ends: (2, rows) int64.

    Returns:
        (2, rows) int32 numbers and the (N,) int64 ids in ascending order.
    """
    if ends.size == 0:
        return np.empty((2, 0), dtype=np.int32), np.empty(0, dtype=np.int64)
    low, high = int(ends.min()), int(ends.max())
    if high - low <= 4 * ends.size + (1 << 20):
        return _number_dense(ends, low, high - low + 1)  # type: ignore[no-any-return]
    first, known = _number_sparse(ends)
    order = np.argsort(known, kind="stable")
    rank = np.empty(known.size, dtype=np.int32)
    rank[order] = np.arange(known.size, dtype=np.int32)
    return rank[first], known[order]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _number_dense(ends: Any, low: int, size: int) -> Any:
    """One slot per value between the smallest and the largest id."""
    rank = np.zeros(size, dtype=np.int32)
    for k in range(2):
        for e in range(ends.shape[1]):
            rank[ends[k, e] - low] = 1
    count = 0
    for v in range(size):
        count += rank[v]
    ids = np.empty(count, dtype=np.int64)
    count = 0
    for v in range(size):
        if rank[v]:
            ids[count] = v + low
            rank[v] = count
            count += 1
    numbers = np.empty(ends.shape, dtype=np.int32)
    for k in range(2):
        for e in range(ends.shape[1]):
            numbers[k, e] = rank[ends[k, e] - low]
    return numbers, ids


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def mix(h: Any) -> Any:
    """Spreads the bits of a 64-bit number (the finaliser of MurmurHash3)."""
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    return h ^ (h >> np.uint64(33))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _number_sparse(ends: Any) -> Any:
    """Numbers in order of first appearance, and the ids in that order."""
    slots = 1 << 16
    table = np.full(slots, _EMPTY, dtype=np.int32)
    ids = np.empty(slots >> 1, dtype=np.int64)
    count = 0
    numbers = np.empty(ends.shape, dtype=np.int32)
    for e in range(ends.shape[1]):
        if count + 2 > ids.size:
            slots *= 2
            table = np.full(slots, _EMPTY, dtype=np.int32)
            larger = np.empty(slots >> 1, dtype=np.int64)
            larger[:count] = ids[:count]
            ids = larger
            for i in range(count):
                table[_find(table, ids, ids[i])] = i
        for k in range(2):
            slot = _find(table, ids, ends[k, e])
            if table[slot] == _EMPTY:
                table[slot] = count
                ids[count] = ends[k, e]
                count += 1
            numbers[k, e] = table[slot]
    return numbers, ids[:count].copy()


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find(table: Any, ids: Any, value: Any) -> Any:
    mask = np.uint64(table.size - 1)
    slot = mix(np.uint64(value)) & mask
    while table[slot] != _EMPTY and ids[table[slot]] != value:
        slot = (slot + np.uint64(1)) & mask
    return slot
