"""Numbering the text ids of Arrow columns: distinct strings are kept in Arrow, no Python object per row."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphrep.data._strings import decode, longest, sorted_order
from graphrep.data.check import grouped
from graphrep.errors import EdgeListError, GraphrepError

__all__ = ["Names"]

_ID_BYTES = 2 << 30


class Names:
    """Distinct strings in order of first appearance."""

    def __init__(self, pa: Any) -> None:
        self._pa = pa
        self._known = pa.array([], type=pa.large_string())

    def numbers(self, column: Any) -> tuple[Any, Any]:
        """The number of every string of a column without nulls (integers count as their text).

        Returns:
            (rows,) int64, and the rows that hold an empty string.
        """
        pa, compute = self._pa, self._pa.compute
        if pa.types.is_string_view(column.type):
            column = column.cast(pa.large_string())
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        words = column.dictionary.cast(pa.large_string()).fill_null("")
        places = compute.index_in(words, value_set=self._known)
        fresh = compute.unique(words.filter(places.is_null()))
        if len(fresh):
            self._known = pa.concat_arrays([self._known, fresh])
            places = compute.index_in(words, value_set=self._known)
        codes = column.indices.to_numpy(zero_copy_only=False)
        lengths = compute.binary_length(words).to_numpy(zero_copy_only=False)
        empty = np.flatnonzero(lengths[codes] == 0) if (lengths == 0).any() else np.empty(0, dtype=np.int64)
        return places.to_numpy(zero_copy_only=False).astype(np.int64)[codes], empty

    def sorted(self, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Rank (N,) int32 of each number given so far in the order of code points, and the (N,) text in that order.

        Raises:
            EdgeListError: a string that is not UTF-8 or holds a NUL.
            GraphrepError: strings too long to be ids.
        """
        count = len(self._known)
        _, places, letters = self._known.buffers()
        offsets = np.frombuffer(places, dtype=np.int64)[self._known.offset : self._known.offset + count + 1].copy()
        arena = np.frombuffer(letters, dtype=np.uint8).copy()
        width = max(1, int(longest(arena, offsets)))
        if count * width * 4 > _ID_BYTES:
            raise GraphrepError(
                f"{name}: the longest of {grouped(count)} ids has {grouped(width)} characters; that many ids of that "
                "length do not fit.",
                hint="use short ids and keep the long texts in a table beside them",
            )
        order = sorted_order(arena, offsets)
        rank = np.empty(count, dtype=np.int32)
        rank[order] = np.arange(count, dtype=np.int32)
        text = np.zeros((count, width), dtype=np.uint32)
        bad = int(decode(arena, offsets, order, text))
        used = arena[offsets[0] : offsets[-1]]
        if bad >= 0 or not used.all():
            raise EdgeListError(f"{name}: an id is not UTF-8 text, or holds a NUL.", hint="ids must be plain text")
        return rank, text.view(f"<U{width}").reshape(-1)
