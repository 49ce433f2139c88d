"""Numbering text ids: a hash table over the bytes of the file; every distinct id is stored once.

Nodes are numbered in the order of code points, so that the numbering does not depend on the order of the rows.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from graphrep.data._int_ids import mix
from graphrep.data._strings import decode, longest, sorted_order
from graphrep.data._tokens import (
    BROKEN_QUOTE,
    COLUMNS,
    DONE,
    EMPTY_ID,
    ESCAPED,
    GROW,
    is_comment,
    next_line,
    parse_weight,
    read_row,
)
from graphrep.kernels._numba import prefetch_row

__all__ = ["TextIds"]

_EMPTY = np.uint64(2**64 - 1)
_TAG = np.uint64(0xFFFFFFFF00000000)  # a slot holds the upper half of the hash and the number of the string
_QUOTE = 34
_BATCH = 256  # ids


class TextIds:
    """Distinct byte strings in order of first appearance, packed one behind the other."""

    def __init__(self) -> None:
        self.count = 0
        self.table = np.full(1 << 16, _EMPTY)
        self.hashes = np.empty(1 << 15, dtype=np.uint64)
        self.offsets = np.zeros((1 << 15) + 1, dtype=np.int64)
        self.arena = np.empty(1 << 20, dtype=np.uint8)

    def scan(
        self, text: Any, start: int, separator: int, columns: int, wanted: Any, comment: Any, ends: Any, weight: Any
    ) -> tuple[int, int, int]:
        """Reads rows as :func:`scan_integers` does, with `ends` (2, rows) int32 numbers of text ids."""
        row, status, at = 0, GROW, start
        while status == GROW:
            row, status, at, self.count = _scan_text(
                text, at, separator, columns, wanted, comment, ends, weight, row,
                self.table, self.hashes, self.offsets, self.arena, self.count,
            )  # fmt: skip
            if status == GROW:
                self._grow(text.size)
        return int(row), int(status), int(at)

    def _grow(self, most: int) -> None:
        used = int(self.offsets[self.count])
        if self.count + _BATCH > self.hashes.size:
            self.hashes = np.concatenate([self.hashes, np.empty_like(self.hashes)])
            self.offsets = np.concatenate([self.offsets, np.zeros(len(self.offsets) - 1, dtype=np.int64)])
            self.table = np.full(2 * self.table.size, _EMPTY)
            _rehash(self.table, self.hashes, self.count)
        else:
            larger = np.empty(2 * self.arena.size + min(most, 1 << 30), dtype=np.uint8)
            larger[:used] = self.arena[:used]
            self.arena = larger

    def sorted(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
        """The strings in order of code points.

        Returns:
            rank (N,) int32 of each number given so far, (N,) text, and -1 or the number of a string that is not UTF-8.
        """
        offsets, arena = self.offsets[: self.count + 1], self.arena
        order = sorted_order(arena, offsets)
        rank = np.empty(self.count, dtype=np.int32)
        rank[order] = np.arange(self.count, dtype=np.int32)
        width = int(longest(arena, offsets))
        letters = np.zeros((self.count, max(width, 1)), dtype=np.uint32)
        bad = int(decode(arena, offsets, order, letters))
        return rank, letters.view(f"<U{max(width, 1)}").reshape(-1), bad

    def width(self) -> int:
        """Characters of the longest string."""
        return int(longest(self.arena, self.offsets[: self.count + 1]))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _rehash(table: Any, hashes: Any, count: int) -> None:
    mask = np.uint64(table.size - 1)
    for i in range(count):
        slot = hashes[i] & mask
        while table[slot] != _EMPTY:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = (hashes[i] & _TAG) | np.uint64(i)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _hash(text: Any, begin: Any, end: Any, escaped: Any) -> Any:
    """A 64-bit hash of a field's bytes (FNV-1a, then mixed)."""
    h = np.uint64(0xCBF29CE484222325)
    i = begin
    while i < end:
        c = text[i]
        h = (h ^ np.uint64(c)) * np.uint64(0x100000001B3)
        i += 2 if escaped and c == _QUOTE else 1  # a doubled quote stands for one
    return mix(h)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _intern(text: Any, field: Any, table: Any, hashes: Any, offsets: Any, arena: Any, count: Any) -> Any:
    """The number of a field's text and the new count; the bytes go to the end of the arena and stay if they are new."""
    begin = offsets[count]
    end = begin
    i, escaped, h = field[0], field[2] == ESCAPED, np.uint64(field[3])
    while i < field[1]:
        arena[end] = text[i]
        i += 2 if escaped and text[i] == _QUOTE else 1
        end += 1
    mask, size = np.uint64(table.size - 1), end - begin
    slot = h & mask
    while table[slot] != _EMPTY:
        if (table[slot] & _TAG) == (h & _TAG):
            other = np.int64(table[slot] & ~_TAG)
            base, j = offsets[other], 0
            if offsets[other + 1] - base == size:
                while j < size and arena[base + j] == arena[begin + j]:
                    j += 1
                if j == size:
                    return other, count
        slot = (slot + np.uint64(1)) & mask
    table[slot] = (h & _TAG) | np.uint64(count)
    hashes[count] = h
    offsets[count + 1] = end
    return np.int64(count), count + 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _split(
    text: Any, at: Any, separator: int, columns: int, wanted: Any, comment: Any, weight: Any, row: Any,
    room: Any, pending: Any, table: Any,
) -> Any:  # fmt: skip
    """Splits rows into `pending` (begin, end, kind, hash of each id) until it is full; looks no id up yet.

    Returns the next row, why it stopped, and where that line begins.
    """
    fields = np.zeros((wanted.size, 3), dtype=np.int64)
    mask, filled = np.uint64(table.size - 1), 0
    while at < text.size and filled < pending.shape[0]:
        begin, end, following = next_line(text, at)
        if begin == end or is_comment(text[begin], comment):
            at = following
            continue
        room -= end - begin
        if room < 0:
            return row, GROW, at
        found = read_row(text, begin, end, separator, wanted, fields)
        if found != columns:
            return row, (BROKEN_QUOTE if found < 0 else COLUMNS), begin
        for k in range(2):
            if fields[k, 0] == fields[k, 1]:
                return row, EMPTY_ID, begin
            h = _hash(text, fields[k, 0], fields[k, 1], fields[k, 2] == ESCAPED)
            pending[filled, :3] = fields[k]
            pending[filled, 3] = np.int64(h)
            prefetch_row(table, np.int64(h & mask))
            filled += 1
        if wanted.size > 2:
            weight[row], status = parse_weight(text, fields[2])
            if status != DONE:
                return row, status, begin
        row += 1
        at = following
    return row, DONE, at


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scan_text(
    text: Any, at: Any, separator: int, columns: int, wanted: Any, comment: Any, ends: Any, weight: Any, row: Any,
    table: Any, hashes: Any, offsets: Any, arena: Any, count: Any,
) -> Any:  # fmt: skip
    """Splits and looks up in batches: each look-up misses the cache up to three times, and a batch's misses overlap.

    Returns the rows so far, why it stopped, where that line begins, and the number of ids.
    """
    pending = np.empty((_BATCH, 4), dtype=np.int64)
    mask = np.uint64(table.size - 1)
    while at < text.size:
        if count + _BATCH > hashes.size:
            return row, GROW, at, count
        first, room = row, arena.size - offsets[count]
        row, status, at = _split(text, at, separator, columns, wanted, comment, weight, row, room, pending, table)
        if status != DONE and (status != GROW or row == first):
            return row, status, at, count
        filled = 2 * (row - first)
        for k in range(filled):
            entry = table[np.uint64(pending[k, 3]) & mask]
            if entry != _EMPTY:
                prefetch_row(offsets, np.int64(entry & ~_TAG))
        for k in range(filled):
            entry = table[np.uint64(pending[k, 3]) & mask]
            if entry != _EMPTY:
                prefetch_row(arena, offsets[np.int64(entry & ~_TAG)])
        for k in range(filled):
            ends[k & 1, first + (k >> 1)], count = _intern(text, pending[k], table, hashes, offsets, arena, count)
    return row, DONE, text.size, count
