"""Tables of numbers as text: comma-separated, no header, the same number of columns on every line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numba
import numpy as np

from graphrep.data._bytes import text_bytes
from graphrep.data._numbers import parse_decimal
from graphrep.data._tokens import count_lines, next_line
from graphrep.errors import FileFormatError

__all__ = ["read_table"]

_COMMA = 44


def read_table(path: Path, dtype: type[np.floating[Any]] = np.float64) -> np.ndarray[Any, Any]:
    """(rows, columns) of `dtype`; packed files are unpacked, blank lines skipped.

    Raises:
        FileFormatError: a field that is no number, or a line with another number of fields, with the line.
    """
    text = text_bytes(path)
    begin, end, _ = next_line(text, 0)
    columns = 1 + int((text[begin:end] == _COMMA).sum())
    table = np.empty((int(count_lines(text, text.size)) + 1, columns), dtype=dtype)
    rows, bad = _fill(text, table)
    if bad >= 0:
        line = int(count_lines(text, bad)) + 1
        raise FileFormatError(
            f"{path.name}, line {line}: expected {columns} numbers between commas.", hint="the file may be damaged"
        )
    return table[:rows]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(text: Any, table: Any) -> Any:
    """Rows read, and -1 or the position of a line that is wrong."""
    at, row = 0, 0
    while at < text.size:
        begin, end, following = next_line(text, at)
        if begin < end:
            column, start = 0, begin
            for p in range(begin, end + 1):
                if p == end or text[p] == _COMMA:
                    if column == table.shape[1]:
                        return row, begin
                    table[row, column], good = parse_decimal(text, start, p)
                    if not good:
                        if start < p:
                            return row, begin
                        table[row, column] = np.nan  # an empty field is a missing number
                    column += 1
                    start = p + 1
            if column < table.shape[1]:
                return row, begin
            row += 1
        at = following
    return row, -1
