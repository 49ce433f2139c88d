"""Tables with a row per node, from text or Arrow files: the columns that are asked for, as words or as numbers."""

from __future__ import annotations

import csv
import io
import itertools
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from graphrep.data._rating_columns import is_number
from graphrep.data._rating_text import decoded, head_lines, separator_of, split_rows
from graphrep.data.tables import arrow_columns, is_arrow
from graphrep.errors import EmptyGraphError, FileFormatError

__all__ = ["NodeColumns", "open_columns"]

Array = np.ndarray[Any, Any]
_SAMPLE = 100


class NodeColumns(Protocol):
    """An open table.

    Attributes:
        name: of the file.
        names: of the columns, all different.
    """

    name: str
    names: list[str]

    def holds_numbers(self, place: int) -> bool:
        """Whether a column is one of numbers: by its type, or by the first hundred fields that are not empty."""
        ...

    def sample(self, place: int) -> list[str]:
        """The first fields of a column."""
        ...

    def take(self, words: Sequence[int], numbers: Sequence[int]) -> tuple[list[list[str]], Array]:
        """Columns as text, "" where nothing is written, and others side by side as (rows, F) float32, NaN likewise.

        Raises:
            EmptyGraphError: no rows.
            FileFormatError: a row of another length, or a field that is no number; the message has the line.
        """
        ...


def open_columns(path: Path) -> NodeColumns:
    """The table in a file, whose first row holds the names of its columns.

    Raises:
        FileFormatError: no table, or two columns of one name.
        MissingExtraError: parquet or feather without pyarrow.
    """
    found: NodeColumns = _Arrow(path) if is_arrow(path) else _Text(path)
    if len(set(found.names)) < len(found.names):
        twice = next(name for place, name in enumerate(found.names) if name in found.names[:place])
        raise FileFormatError(f'{path.name} has two columns called "{twice}".', hint="another name for one of them")
    return found


class _Text:
    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._text = decoded(path)
        best = separator_of(None, head_lines(self._text))
        self._separator = "," if best == " " else best  # blanks are part of names and titles
        rows = [fields for _, fields in itertools.islice(self._rows(), _SAMPLE + 1)]
        if not rows:
            raise EmptyGraphError(f"{path.name} is empty.", hint="a row of names, id,label,..., then a row per node")
        self.names, self._sample = rows[0], rows[1:]

    def _rows(self) -> Any:
        try:
            yield from split_rows(io.StringIO(self._text), self._separator)
        except csv.Error as error:
            raise FileFormatError(f"{self.name} is not a table: {error}.", hint="quote and cut long fields") from error

    def sample(self, place: int) -> list[str]:
        return [row[place] for row in self._sample if len(row) > place]

    def holds_numbers(self, place: int) -> bool:
        written = [field for field in self.sample(place) if field]
        return bool(written) and all(is_number(field) for field in written)

    def take(self, words: Sequence[int], numbers: Sequence[int]) -> tuple[list[list[str]], Array]:
        columns: list[list[str]] = [[] for _ in words]
        values, count = array("f"), 0
        for line, fields in itertools.islice(self._rows(), 1, None):
            if len(fields) != len(self.names):
                raise FileFormatError(
                    f"{self.name}, line {line}: expected {len(self.names)} columns, found {len(fields)}.",
                    hint="quote fields that contain the separator",
                )
            for column, place in zip(columns, words, strict=True):
                column.append(fields[place])
            try:
                values.extend([float(fields[place]) for place in numbers])
            except ValueError:
                values = values[: count * len(numbers)]
                values.extend(self._number(fields[place], line, place) for place in numbers)
            count += 1
        if not count:
            raise EmptyGraphError(f"{self.name} has a row of names and no others.", hint="a row per node")
        return columns, np.frombuffer(values, np.float32).reshape(count, len(numbers))

    def _number(self, field: str, line: int, place: int) -> float:
        try:
            return float(field) if field else float("nan")
        except ValueError:
            raise FileFormatError(
                f'{self.name}, line {line}: column "{self.names[place]}" has "{field}", which is no number.',
                hint="correct it; or features = [...] with other columns",
            ) from None


class _Arrow:
    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._columns = arrow_columns(path)
        self.names = list(self._columns)

    def _column(self, place: int) -> Any:
        return self._columns[self.names[place]]

    def sample(self, place: int) -> list[str]:
        return _words(self._column(place)[:_SAMPLE])

    def holds_numbers(self, place: int) -> bool:
        return bool(self._column(place).dtype.kind in "iufb")

    def take(self, words: Sequence[int], numbers: Sequence[int]) -> tuple[list[list[str]], Array]:
        count = len(next(iter(self._columns.values()))) if self._columns else 0
        if not count:
            raise EmptyGraphError(f"{self.name} has no rows.", hint="a row per node")
        for place in numbers:
            if not self.holds_numbers(place):
                raise FileFormatError(
                    f'{self.name}: column "{self.names[place]}" holds no numbers.', hint="features = [...] with others"
                )
        values = np.empty((count, len(numbers)), dtype=np.float32)
        for column, place in enumerate(numbers):
            values[:, column] = self._column(place)
        return [_words(self._column(place)) for place in words], values


def _words(column: Array) -> list[str]:
    """Values as text as csv files hold them: nothing for what is missing, 1 and 0 for truth."""
    if column.dtype.kind == "b":
        column = column.astype(np.int8)
    if column.dtype.kind == "f":
        return ["" if np.isnan(v) else str(int(v)) if float(v).is_integer() else repr(float(v)) for v in column]
    return ["" if value is None else str(value) for value in column.tolist()]
