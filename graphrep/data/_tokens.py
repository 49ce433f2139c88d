"""The compiled tokeniser of edge lists: lines, fields (quoted or not), numbers; no Python object per row."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from graphrep.data._numbers import parse_decimal, parse_integer

__all__ = [
    "BROKEN",
    "BROKEN_QUOTE",
    "COLUMNS",
    "DONE",
    "EMPTY_ID",
    "ESCAPED",
    "GROW",
    "NON_FINITE",
    "NOT_INTEGER",
    "NOT_NUMBER",
    "count_columns",
    "count_lines",
    "next_line",
    "parse_weight",
    "read_row",
    "scan_integers",
    "split_line",
]

# why a scan stopped
DONE, GROW, COLUMNS, NOT_INTEGER, NOT_NUMBER, EMPTY_ID, BROKEN_QUOTE, NON_FINITE = range(8)
# kinds of field
PLAIN, QUOTED, ESCAPED, BROKEN = range(4)

_TAB, _NEWLINE, _RETURN, _SPACE, _QUOTE = 9, 10, 13, 32, 34


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_lines(text: Any, end: int) -> Any:
    """Line ends in ``text[:end]``: LF, CR LF or CR alone."""
    count = 0
    for i in range(end):
        count += text[i] == _NEWLINE or (text[i] == _RETURN and (i + 1 == text.size or text[i + 1] != _NEWLINE))
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def next_line(text: Any, at: int) -> Any:
    """Begin and end of the line at `at` without blanks around it, and where the next line begins."""
    end = at
    while end < text.size and text[end] != _NEWLINE and text[end] != _RETURN:
        end += 1
    following = end + 1
    begin = at
    while begin < end and text[begin] == _SPACE:
        begin += 1
    while end > begin and text[end - 1] == _SPACE:
        end -= 1
    return begin, end, following


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _skip_blanks(text: Any, at: int, end: int, separator: int) -> Any:
    while at < end and (text[at] == _SPACE or (text[at] == _TAB and separator != _TAB)):
        at += 1
    return at


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _quoted_field(text: Any, at: int, end: int) -> Any:
    """The field behind the quote at ``text[at]``: begin, end, position behind the closing quote, kind."""
    i, kind = at + 1, QUOTED
    while i < end:
        if text[i] == _QUOTE:
            if i + 1 < end and text[i + 1] == _QUOTE:
                kind = ESCAPED
                i += 1
            else:
                return at + 1, i, i + 1, kind
        i += 1
    return at + 1, end, end, BROKEN


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def next_field(text: Any, at: int, end: int, separator: int) -> Any:
    """The field at `at`: begin, end, where the next field begins (-1 after the last), kind.

    A space as separator stands for any run of spaces and tabs; other separators may have blanks around them.
    """
    at = _skip_blanks(text, at, end, separator)
    if at < end and text[at] == _QUOTE:
        begin, stop, behind, kind = _quoted_field(text, at, end)
        at = _skip_blanks(text, behind, end, separator)
        if at < end and separator != _SPACE:
            kind = kind if text[at] == separator else BROKEN
            at += 1
            return begin, stop, at, kind
        return begin, stop, (at if at < end else -1), kind
    begin = at
    if separator == _SPACE:
        while at < end and text[at] != _SPACE and text[at] != _TAB:
            at += 1
        stop = at
        at = _skip_blanks(text, at, end, separator)
        return begin, stop, (at if at < end else -1), PLAIN
    while at < end and text[at] != separator:
        at += 1
    stop = at
    while stop > begin and (text[stop - 1] == _SPACE or text[stop - 1] == _TAB):
        stop -= 1
    return begin, stop, (at + 1 if at < end else -1), PLAIN


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def read_row(text: Any, begin: int, end: int, separator: int, wanted: Any, fields: Any) -> Any:
    """Splits a line; row k of `fields` becomes (begin, end, kind) of column ``wanted[k]``.

    Returns the number of columns, or -1 for a quote that is not closed.
    """
    at, column = begin, 0
    while at >= 0:
        start, stop, at, kind = next_field(text, at, end, separator)
        if kind == BROKEN:
            return -1
        for k in range(wanted.size):
            if wanted[k] == column:
                fields[k, 0], fields[k, 1], fields[k, 2] = start, stop, kind
        column += 1
    return column


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def split_line(text: Any, begin: int, end: int, separator: int) -> Any:
    """(columns, 3): begin, end and kind of every field of one line."""
    fields = np.empty((end - begin + 1, 3), dtype=np.int64)
    at, column = begin, 0
    while at >= 0:
        start, stop, at, kind = next_field(text, at, end, separator)
        fields[column, 0], fields[column, 1], fields[column, 2] = start, stop, kind
        column += 1
    return fields[:column].copy()


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_columns(text: Any, start: int, separator: int, comment: Any, least: int, most: int) -> Any:
    """Of the lines that are neither blank nor comments: how many there are, how many have `least`..`most` columns."""
    wanted = np.empty(0, dtype=np.int64)
    fields = np.empty((0, 3), dtype=np.int64)
    at, lines, good = start, 0, 0
    while at < text.size:
        begin, end, at = next_line(text, at)
        if begin == end or is_comment(text[begin], comment):
            continue
        lines += 1
        good += least <= read_row(text, begin, end, separator, wanted, fields) <= most
    return lines, good


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def is_comment(first: int, comment: Any) -> Any:
    """Whether a line that begins with byte `first` is a comment."""
    found = False
    for c in comment:
        found = found or c == first
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def parse_weight(text: Any, field: Any) -> Any:
    """The number in a field and why it is none (DONE when it is one)."""
    value, good = parse_decimal(text, field[0], field[1])
    if not good:
        return 0.0, NOT_NUMBER
    return value, (DONE if np.isfinite(value) else NON_FINITE)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def scan_integers(
    text: Any, start: int, separator: int, columns: int, wanted: Any, comment: Any, ends: Any, weight: Any
) -> Any:
    """Reads rows whose ids are integers.

    `columns` is the number of fields per row, `wanted` names those of source, target and (with a third entry) weight;
    `ends` (2, rows) int64 and `weight` (rows,) or empty are filled.

    Returns:
        rows read, why the scan stopped, where the line begins that stopped it.
    """
    fields = np.zeros((wanted.size, 3), dtype=np.int64)
    at, row = start, 0
    while at < text.size:
        begin, end, at = next_line(text, at)
        if begin == end or is_comment(text[begin], comment):
            continue
        found = read_row(text, begin, end, separator, wanted, fields)
        if found != columns:
            return row, (BROKEN_QUOTE if found < 0 else COLUMNS), begin
        for k in range(2):
            ends[k, row], good = parse_integer(text, fields[k, 0], fields[k, 1])
            if not good:
                return row, NOT_INTEGER, begin
        if wanted.size > 2:
            weight[row], status = parse_weight(text, fields[2])
            if status != DONE:
                return row, status, begin
        row += 1
    return row, DONE, text.size
