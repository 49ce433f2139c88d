"""Rows with integer ids, read on several threads: each takes a run of whole lines."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from graphrep.data import _tokens as tok
from graphrep.kernels._numba import num_threads
from graphrep.kernels.projection._parallel import run_ranges

__all__ = ["scan_rows"]

_NEWLINE = 10
_PART_BYTES = 1 << 20  # a smaller part is not worth a thread


def scan_rows(
    text: Any, start: int, separator: int, columns: int, wanted: Any, comment: Any
) -> tuple[Any, Any, int, int]:
    """Reads rows whose ids are integers; :func:`graphrep.data._tokens.scan_integers` has the arguments.

    Returns:
        (2, rows) int64 ends, (rows,) float64 weights (empty without a weight column), why the scan stopped, and where
        the first line begins that stopped it; ends and weights are complete only when it stopped at the end.
    """
    cuts = _line_starts(text, start)
    parts = list(itertools.pairwise(cuts.tolist()))
    room = [0] * len(parts)

    def count(part: int, _: int) -> None:
        begin, end = parts[part]
        room[part] = int(tok.count_lines(text[begin:end], end - begin)) + 1

    _on_parts(count, len(parts), text.size)
    first = np.concatenate([[0], np.cumsum(room)])
    ends = np.empty((2, int(first[-1])), dtype=np.int64)
    weight = np.empty(ends.shape[1] if wanted.size > 2 else 0, dtype=np.float64)
    found: list[Any] = [None] * len(parts)

    def scan(part: int, _: int) -> None:
        own = slice(int(first[part]), int(first[part + 1]))
        begin, end = parts[part]
        found[part] = tok.scan_integers(
            text[:end], begin, separator, columns, wanted, comment, ends[:, own], weight[own]
        )

    _on_parts(scan, len(parts), text.size)
    for _, status, at in found:
        if status != tok.DONE:
            return ends, weight, int(status), int(at)
    rows = [int(count) for count, _, _ in found]
    return _joined(ends, first, rows), _joined(weight[None], first, rows)[0], tok.DONE, text.size


def _line_starts(text: Any, start: int) -> Any:
    """Where each part begins, and the end of the text; all behind a line feed."""
    count = max(1, min(4 * num_threads() if num_threads() > 1 else 1, (text.size - start) // _PART_BYTES))
    cuts = [start]
    for part in range(1, count):
        near = start + (text.size - start) * part // count
        feeds = np.flatnonzero(text[near : near + _PART_BYTES] == _NEWLINE)
        if feeds.size and near + int(feeds[0]) + 1 > cuts[-1]:
            cuts.append(near + int(feeds[0]) + 1)
    return np.array([*cuts, text.size])


def _on_parts(kernel: Any, count: int, work: int) -> None:
    run_ranges(kernel, np.arange(count + 1), work=work)


def _joined(array: Any, first: Any, rows: list[int]) -> Any:
    """Columns that were read, moved together; the rest of each part's room was for blank lines and comments."""
    if array.shape[1] == 0:
        return array
    filled = 0
    for part, count in enumerate(rows):
        begin = int(first[part])
        if begin != filled:
            array[:, filled : filled + count] = array[:, begin : begin + count]
        filled += count
    return array[:, :filled]
