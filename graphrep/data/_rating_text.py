"""Text with an interaction in each row: separator, names of columns, and the rows with the numbers of their lines."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from graphrep.data._bytes import text_bytes
from graphrep.data._rating_columns import Columns, Wanted, find_columns, has_names
from graphrep.errors import EmptyGraphError, FileFormatError, UnknownNameError

__all__ = ["TextRows", "decoded", "head_lines", "open_text", "separator_of", "split_rows"]

_SEPARATORS = ("::", "\t", ";", ",", "|", " ")  # in order of preference; a space stands for any run of white space
_SPOKEN = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "bar": "|", "pipe": "|", "space": " "}
_SAMPLE = 200


class TextRows:
    """The rows of a text.

    Attributes:
        name: of the file.
        separator: what stands between the fields.
        columns: which column holds what.
        header: whether the first row holds names.
        lists: whether every row is a user followed by all of its items.
    """

    def __init__(self, name: str, text: str, separator: str, columns: Columns, *, header: bool, lists: bool) -> None:
        self.name, self.separator, self.columns, self.header, self.lists = name, separator, columns, header, lists
        self._text = text

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """(line, fields) of every row of data.

        Raises:
            FileFormatError: a row of another length.
        """
        rows = split_rows(io.StringIO(self._text), self.separator)
        if self.header:
            next(rows, None)
        if self.lists:
            yield from rows
            return
        count = len(self.columns.names)
        for line, fields in rows:
            if len(fields) != count:
                raise FileFormatError(
                    f"{self.name}, line {line}: expected {count} columns ({', '.join(self.columns.names)}), "
                    f"found {len(fields)}.",
                    hint="quote fields that contain the separator, or give another one with --sep",
                )
            yield line, fields


def open_text(path: Path, wanted: Wanted, *, sep: str | None = None, header: bool | None = None) -> TextRows:
    """Finds out how a text is laid out.

    Args:
        path: plain, or packed by gzip, bzip2 or xz.
        wanted: role -> a name of a column, or its number from 0.
        sep: default: the separator that fits most lines.
        header: default: found out.

    Raises:
        FileFormatError: not text, or not a table.
        EmptyGraphError: no rows.
        UnknownNameError: no such column or separator.
    """
    text = decoded(path)
    separator = separator_of(sep, head_lines(text))
    sample = [fields for _, fields in itertools.islice(split_rows(io.StringIO(text), separator), _SAMPLE)]
    if not sample:
        raise EmptyGraphError(f"{path.name} has no interactions.", hint="one per line: user,item[,rating[,time]]")
    told = any(column is not None for column in wanted.values())
    if not told and header is not True and _are_lists(sample, separator):
        columns = Columns(0, 1, None, None, None, ("user", "items"))
        return TextRows(path.name, text, separator, columns, header=False, lists=True)
    named = has_names(sample[0], sample[1:], wanted) if header is None else header
    names = sample[0] if named else [f"column {place}" for place in range(len(sample[0]))]
    columns = find_columns(names, sample[1:] if named else sample, wanted, named=named, source=path.name)
    return TextRows(path.name, text, separator, columns, header=named, lists=False)


def decoded(path: Path) -> str:
    """The text of a file, plain or packed.

    Raises:
        FileFormatError: not a text file, or not UTF-8; the message has the line.
    """
    raw = text_bytes(path)
    try:
        return raw.tobytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = 1 + raw[: error.start].tobytes().count(b"\n")
        raise FileFormatError(f"{path.name}, line {line}: not UTF-8 text.", hint="save it as UTF-8") from error


def head_lines(text: str) -> list[str]:
    """The first lines that are not blank."""
    lines = (line.rstrip("\n") for line in io.StringIO(text))
    return list(itertools.islice((line for line in lines if line.strip()), _SAMPLE))


def split_rows(lines: io.StringIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(line, stripped fields) of lines that are not blank, without comments at the top."""
    if len(separator) == 1 and separator != " ":
        reader = csv.reader(lines, delimiter=separator)
        rows: Iterator[tuple[int, list[str]]] = ((reader.line_num, [f.strip() for f in row]) for row in reader)
    else:
        by = None if separator == " " else separator
        rows = ((number, [f.strip() for f in line.split(by)]) for number, line in enumerate(lines, start=1))
    begun = False
    for number, fields in rows:
        if not any(fields) or (not begun and fields[0][:1] in ("#", "%")):
            continue
        begun = True
        yield number, fields


def separator_of(sep: str | None, lines: list[str]) -> str:
    """The character or word called `sep`, else the separator that fits most lines.

    Raises:
        UnknownNameError: `sep` separates nothing.
    """
    if sep is not None:
        found = _SPOKEN.get(sep.lower(), sep)
        if not found or "\n" in found or found == '"':
            raise UnknownNameError(f'"{sep}" separates nothing.', hint='--sep ";" or tab, space, ::')
        return found

    def fitting(separator: str) -> int:
        rows = split_rows(io.StringIO("\n".join(lines)), separator)
        counts = Counter(len(fields) for _, fields in rows)
        common, how_many = max(counts.items(), key=lambda item: item[1], default=(0, 0))
        return how_many if common > 1 else 0

    best = max(_SEPARATORS, key=fitting)
    return best if fitting(best) else ","


def _are_lists(rows: list[list[str]], separator: str) -> bool:
    """Whether each line is a user with all of its items, as LightGCN publishes them: integers, rows of many lengths."""
    lengths = {len(row) for row in rows}
    return (
        separator == " " and (len(lengths) > 2 or (len(lengths) == 2 and min(lengths) > 0 and max(lengths) > 5))
        and all(field.isdigit() for row in rows for field in row)
    )  # fmt: skip
