"""How a text file is laid out: separator, header, which columns hold source, target and weight."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np

from graphrep.data._numbers import parse_decimal
from graphrep.data._tokens import BROKEN, ESCAPED, next_line, split_line
from graphrep.errors import EdgeListError, UnknownNameError

__all__ = ["SEPARATORS", "Layout", "Sample", "choose_columns", "field_text", "find_layout"]

SEPARATORS = ("\t", ";", ",", "|", " ")  # in order of preference; a space stands for any run of spaces and tabs
_SAMPLE_LINES = 200
_SOURCE_NAMES = frozenset({"source", "src", "from", "fromnodeid", "node1", "node_1", "id1", "id_1", "head", "user"})
_TARGET_NAMES = frozenset({"target", "dst", "dest", "to", "tonodeid", "node2", "node_2", "id2", "id_2", "tail", "item"})
_WEIGHT_NAMES = frozenset({"weight", "w", "value", "count"})


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where things are in a row.

    Attributes:
        separator: one of :data:`SEPARATORS`.
        header: whether the first row holds names.
        columns: fields per row.
        wanted: columns of source, target and, with a third entry, weight.
        names: what those columns are called.
        chosen: whether the caller, or the header, said which columns to use.
        start: position of the first row of data.
    """

    separator: str
    header: bool
    columns: int
    wanted: tuple[int, ...]
    names: tuple[str, ...]
    chosen: bool
    start: int


@dataclasses.dataclass(frozen=True)
class Sample:
    """The first lines of a file that are neither blank nor comments, as (begin, end, following) positions."""

    text: Any
    lines: list[tuple[int, int, int]]

    @classmethod
    def take(cls, text: Any, start: int, comment: bytes) -> Sample:
        lines: list[tuple[int, int, int]] = []
        at = start
        while at < text.size and len(lines) < _SAMPLE_LINES:
            begin, end, at = (int(v) for v in next_line(text, at))
            if begin < end and int(text[begin]) not in comment:
                lines.append((begin, end, at))
        return cls(text, lines)

    def rows(self, separator: str) -> list[list[str]]:
        """Every line split into its fields."""
        return [self.split(begin, end, separator) for begin, end, _ in self.lines]

    def split(self, begin: int, end: int, separator: str) -> list[str]:
        """The fields of one line as text."""
        return [field_text(self.text, f) for f in split_line(self.text, begin, end, ord(separator))]


def field_text(text: Any, field: Any) -> str:
    """A field as text; bytes that are not UTF-8 show as question marks."""
    raw: str = text[field[0] : field[1]].tobytes().decode("utf-8", "replace")
    return raw.replace('""', '"') if field[2] == ESCAPED else raw


def find_layout(
    sample: Sample,
    *,
    sep: str | None,
    header: bool | None,
    source: int | str | None,
    target: int | str | None,
    weight: int | str | bool | None,
) -> Layout:
    """Decides the layout from the first lines and from what the caller said.

    Raises:
        UnknownNameError: a column that the file does not have.
        EdgeListError: no weight column although one was asked for.
    """
    separator = sep if sep is not None else _best_separator(sample)
    rows = sample.rows(separator)
    columns = len(rows[0])
    numbered = [f"column {i + 1}" for i in range(columns)]
    if header is None:
        header = _looks_like_header(rows)
    names = rows[0] if header else numbered
    wanted, by_header = _wanted(names, columns, source, target, weight, named=header)
    return Layout(
        separator=separator,
        header=header,
        columns=columns,
        wanted=wanted,
        names=tuple(names[c] if c < columns else numbered[-1] for c in wanted),
        chosen=by_header or source is not None or target is not None,
        start=sample.lines[0][2] if header else sample.lines[0][0],
    )


def choose_columns(
    names: list[str], *, source: int | str | None, target: int | str | None, weight: int | str | bool | None
) -> tuple[int, ...]:
    """Columns of source, target and perhaps weight in a table with these column names.

    Raises:
        UnknownNameError, EdgeListError: as :func:`find_layout`; or neither the names nor the caller say which.
    """
    wanted, by_header = _wanted(names, len(names), source, target, weight, named=True)
    if len(names) > 3 and not by_header and source is None and target is None:
        raise EdgeListError(
            f"Expected 2 or 3 columns (source, target[, weight]), found {len(names)}: {', '.join(names[:8])}.",
            hint="--columns S,T[,W] names the columns to use (by name, or by number from 0).",
        )
    return wanted


def _wanted(
    names: list[str],
    columns: int,
    source: int | str | None,
    target: int | str | None,
    weight: int | str | bool | None,
    *,
    named: bool,
) -> tuple[tuple[int, ...], bool]:
    """Columns of source, target and perhaps weight, and whether their names decided."""
    chosen = [_column(c, names, columns) for c in (source, target)]
    by_header = named and source is None and target is None and columns > 2
    if by_header:
        found = [_named(names, known) for known in (_SOURCE_NAMES, _TARGET_NAMES)]
        by_header = None not in found
        chosen = found if by_header else chosen
    ends = _fill(chosen)
    if ends[0] == ends[1]:
        raise UnknownNameError(f'Column "{names[ends[0]]}" cannot be both source and target.', hint="name two columns")
    third = _weight_column(weight, names, columns, ends, named=by_header and columns > 3)
    return ((*ends, third) if third is not None else ends), by_header


def _fill(chosen: list[int | None]) -> tuple[int, int]:
    """Columns of source and target, by default the first two."""
    source, target = chosen
    if source is None:
        source = 0 if target != 0 else 1
    if target is None:
        target = 1 if source != 1 else 0
    return source, target


def _weight_column(
    weight: int | str | bool | None, names: list[str], columns: int, ends: tuple[int, int], *, named: bool
) -> int | None:
    if weight is False:
        return None
    if weight is not None and weight is not True:
        return _column(weight, names, columns)
    if named:
        found = _named(names, _WEIGHT_NAMES)
    else:
        rest = [c for c in range(columns) if c not in ends]
        found = rest[0] if len(rest) == 1 else _named(names, _WEIGHT_NAMES)
    if found is None and weight is True:
        raise EdgeListError(f"No weight column among: {', '.join(names)}.", hint="weight= its name or number from 0")
    return found


def _named(names: list[str], known: frozenset[str]) -> int | None:
    places = [i for i, name in enumerate(names) if name.strip().lower() in known]
    return places[0] if len(places) == 1 else None


def _column(column: int | str | None, names: list[str], columns: int) -> int | None:
    """The number of a column given by number (from 0) or by name."""
    if column is None:
        return None
    if isinstance(column, int):
        if not 0 <= column < columns:
            raise UnknownNameError(f"There is no column {column}; the file has {columns}.", hint=f"0 to {columns - 1}")
        return column
    lower = [name.strip().lower() for name in names]
    if column in names:
        return names.index(column)
    if lower.count(column.lower()) == 1:
        return lower.index(column.lower())
    raise UnknownNameError(f'There is no column "{column}".', hint=f"one of {', '.join(names)}, or a number from 0")


def _best_separator(sample: Sample) -> str:
    """The separator that gives the same number of columns, two or more, on the most lines."""

    def columns(begin: int, end: int, separator: str) -> int:
        fields = split_line(sample.text, begin, end, ord(separator))
        return 0 if (fields[:, 2] == BROKEN).any() else len(fields)

    def score(separator: str) -> int:
        counts = Counter(columns(begin, end, separator) for begin, end, _ in sample.lines)
        common, lines = max(counts.items(), key=lambda item: item[1])
        return lines if common > 1 else 0

    return max(SEPARATORS, key=score) if any(score(s) for s in SEPARATORS) else " "


def _looks_like_header(rows: list[list[str]]) -> bool:
    """Known names, or text above columns of numbers."""
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    lower = {name.strip().lower() for name in first}
    if lower & _SOURCE_NAMES and lower & _TARGET_NAMES:
        return True
    if not rest or len(first) < 2:
        return False
    if not any(_is_integer(v) for v in first[:2]) and all(_is_integer(v) for row in rest for v in row[:2]):
        return True
    return len(first) > 2 and not _is_number(first[2]) and all(_is_number(row[2]) for row in rest)


def _is_integer(field: str) -> bool:
    return field.lstrip("-").isdigit()


def _is_number(field: str) -> bool:
    raw = np.frombuffer(field.encode(), dtype=np.uint8)
    return bool(parse_decimal(raw, 0, raw.size)[1])
