"""Edge lists as text: csv, tsv and anything with one edge per line, packed or not.

The file is split by compiled loops over its bytes; ids become numbers in sorted order, repeated edges are merged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphrep.data import _tokens as tok
from graphrep.data._bytes import text_bytes
from graphrep.data._finish import Cleaning, finish
from graphrep.data._int_ids import number_integers
from graphrep.data._int_rows import scan_rows
from graphrep.data._layout import SEPARATORS, Layout, Sample, field_text, find_layout
from graphrep.data._text_ids import TextIds
from graphrep.data.check import grouped
from graphrep.data.graph import Graph
from graphrep.errors import EdgeListError, EmptyGraphError, GraphrepError, NonFiniteError, UnknownNameError

__all__ = ["read_edge_list"]

_SEPARATOR_NAMES = {
    "tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "bar": "|", "pipe": "|", "space": " ", "whitespace": " ",
}  # fmt: skip
_PLURALS = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "bars", " ": "spaces"}
_ID_BYTES = 2 << 30


def read_edge_list(
    path: Path,
    *,
    sep: str | None = None,
    header: bool | None = None,
    source: int | str | None = None,
    target: int | str | None = None,
    weight: int | str | bool | None = None,
    comment: str = "#%",
    **cleaning: Any,
) -> Graph:
    """Reads one edge per line; :func:`graphrep.read` has the arguments.

    `cleaning` holds fields of :class:`~graphrep.data._finish.Cleaning`, here as in every other reader.

    Raises:
        EdgeListError: a row that is no edge, with its line number.
        FileFormatError: not a text file, or a damaged archive.
        EmptyGraphError: no rows.
    """
    text, marks = text_bytes(path), comment.encode()
    sample = Sample.take(text, 0, marks)
    if not sample.lines:
        raise EmptyGraphError(f"{path.name} has no rows.", hint="one edge per line: source, target[, weight]")
    choice: dict[str, Any] = {"header": header, "source": source, "target": target, "weight": weight}
    layout = find_layout(sample, sep=_separator(sep), **choice)
    problem = _Problem(path.name, text, layout, np.frombuffer(marks, dtype=np.uint8))
    if layout.columns < 2 or (layout.columns > 3 and not layout.chosen):
        raise problem.error(tok.COLUMNS, sample.lines[0][0])
    numbers, ids, weights = _scan(problem)
    if numbers.shape[1] == 0:
        raise EmptyGraphError(f"{path.name} has a header and no rows.", hint="header=False if that is an edge")
    text_ids = ids.dtype.kind == "U"
    numbered = not text_ids and ids[0] == 0 and ids[-1] == len(ids) - 1
    return finish(
        path.name, "edge list", (numbers[0], numbers[1]), weights, len(ids), Cleaning(**cleaning),
        weight_name=layout.names[2] if weights is not None else None,
        facts={
            "columns": layout.names, "separator": layout.separator, "header": layout.header, "text_ids": text_ids,
        },
        ids=None if numbered else ids if text_ids else torch.from_numpy(ids),
    )  # fmt: skip


def _separator(sep: str | None) -> str | None:
    if sep is None:
        return None
    char = _SEPARATOR_NAMES.get(sep.lower(), sep)
    if len(char.encode()) != 1 or char in '"\n\r':
        raise UnknownNameError(f"The separator must be one character; got {sep!r}.", hint='"," ";" tab space')
    return char


def _scan(problem: _Problem) -> tuple[Any, Any, Any]:
    """Numbers (2, rows) int32, sorted ids (N,), weights (rows,) or None; integers first, else text."""
    text, layout = problem.text, problem.layout
    wanted = np.array(layout.wanted, dtype=np.int64)
    form = (ord(layout.separator), layout.columns, wanted, problem.comment)
    ends, weight, status, at = scan_rows(text, layout.start, *form)
    if status == tok.DONE:
        numbers, ids = number_integers(ends)
        return numbers, ids, weight if wanted.size > 2 else None
    if status != tok.NOT_INTEGER:
        raise problem.error(status, at)
    del ends
    most = int(tok.count_lines(text, text.size)) + 1
    weight = np.empty(most if wanted.size > 2 else 0, dtype=np.float64)
    table, numbers = TextIds(), np.empty((2, most), dtype=np.int32)
    rows, status, at = table.scan(text, layout.start, *form, numbers, weight)
    if status != tok.DONE:
        raise problem.error(status, at)
    if table.count * max(1, table.width()) * 4 > _ID_BYTES:
        raise problem.too_long(table)
    rank, ids, bad = table.sorted()
    if bad >= 0:
        raise problem.not_utf8(table, bad)
    return rank[numbers[:, :rows]], ids, weight[:rows] if wanted.size > 2 else None


class _Problem:
    """Turns the place where a scan stopped into an error with line, values and remedy."""

    def __init__(self, name: str, text: Any, layout: Layout, comment: Any) -> None:
        self.name, self.text, self.layout, self.comment = name, text, layout, comment

    def error(self, status: int, at: int) -> GraphrepError:
        """The error for a line that begins at byte `at`."""
        begin, end, _ = (int(v) for v in tok.next_line(self.text, at))
        where = f"{self.name}, line {int(tok.count_lines(self.text, begin)) + 1}"
        separator = ord(self.layout.separator)
        fields = [field_text(self.text, f) for f in tok.split_line(self.text, begin, end, separator)]
        line = field_text(self.text, (begin, end, tok.DONE))
        short = line if len(line) <= 60 else line[:57] + "..."
        if status == tok.COLUMNS:
            return self._columns(where, len(fields), short)
        if status == tok.BROKEN_QUOTE:
            return EdgeListError(
                f"{where}: a quote is not closed, or text follows it: {short}.",
                hint='quote whole fields, and double a quote inside one: "a ""b"" c"',
            )
        if status == tok.EMPTY_ID:
            which = "source" if fields[self.layout.wanted[0]] == "" else "target"
            return EdgeListError(f'{where}: the {which} is empty: "{short}".', hint="remove the line or fill it in")
        value = fields[self.layout.wanted[2]]
        if status == tok.NON_FINITE:
            return NonFiniteError(f"{where}: the weight is {value}.", hint="remove the line, or --no-weight")
        comma = "decimal points, not commas; or " if "," in value else ""
        return EdgeListError(
            f'{where}: the weight "{value}" is not a number.', hint=f"{comma}--no-weight to ignore that column"
        )

    def _columns(self, where: str, found: int, line: str) -> EdgeListError:
        expected = self.layout.columns
        if expected in (2, 3) and not self.layout.chosen:
            what = "2 or 3 columns (source, target[, weight])" if found not in (2, 3) else f"{expected} columns"
        elif self.layout.chosen:
            what = f"{expected} columns"
        else:
            what = "2 or 3 columns (source, target[, weight])"
        if found in (2, 3) and found != expected:
            what += " as in the first row"
        message = f'{where}: expected {what}, found {found}: "{line}".'
        return EdgeListError(message, hint=self._other_separator() or self._choose_columns(found))

    def _other_separator(self) -> str | None:
        """Another separator, if most lines have two or three columns with it."""
        best, most, lines = None, 0, 0
        for separator in SEPARATORS:
            if separator != self.layout.separator:
                lines, good = tok.count_columns(self.text, 0, ord(separator), self.comment, 2, 3)
                best, most = (separator, good) if good > most else (best, most)
        if best is None or 2 * most <= lines:
            return None
        option = {"\t": "tab", " ": "space"}.get(best, f'"{best}"')
        return (
            f"--sep {option} if the file uses {_PLURALS[best]} "
            f"(it does on {grouped(int(most))} of {grouped(int(lines))} lines)."
        )

    def _choose_columns(self, found: int) -> str:
        if found > 3:
            return "--columns S,T[,W] names the columns to use (by header name, or by number from 0)."
        return "correct or remove that line; a line that begins with # is skipped."

    def too_long(self, table: TextIds) -> GraphrepError:
        """Ids that would not fit into an array."""
        return GraphrepError(
            f"{self.name}: the longest of {grouped(table.count)} ids has {grouped(table.width())} characters; "
            "that many ids of that length do not fit.",
            hint="check the separator (--sep); or use short ids and keep the long texts in a table beside them",
        )

    def not_utf8(self, table: TextIds, number: int) -> GraphrepError:
        """An id that is no text."""
        raw = table.arena[table.offsets[number] : table.offsets[number + 1]].tobytes()
        at = max(self.text.tobytes().find(raw), 0)
        line = int(tok.count_lines(self.text, at)) + 1
        return EdgeListError(
            f"{self.name}, line {line}: {raw!r} is not UTF-8 text.", hint="iconv -f latin1 -t utf-8 converts a file"
        )
