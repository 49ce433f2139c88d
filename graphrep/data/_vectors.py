"""Vectors as text: csv and word2vec, written and read by compiled loops."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numba
import numpy as np

from graphrep.data._numbers import MAX_NUMBER_BYTES, parse_decimal, put_float32
from graphrep.errors import FileFormatError, GraphrepError

__all__ = ["read_text", "write_text"]

_NEWLINE, _RETURN = 10, 13
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")


def write_text(
    file: IO[bytes],
    blocks: Sequence[np.ndarray[Any, Any]],
    ids: np.ndarray[Any, Any],
    shape: tuple[int, ...],
    separator: str,
    *,
    header: str,
    titles: Sequence[str] | None = None,
) -> None:
    """Writes a header line and one line per node: id, then the numbers.

    Args:
        file: where to.
        blocks: consecutive runs of rows.
        ids: (N,) integers or text.
        shape: (N, d).
        separator: one character.
        header: ``w2v`` writes ``N d``; ``csv`` writes ``id,v0,...`` and quotes ids where needed.
        titles: of the columns of numbers, instead of ``v0,...``.

    Raises:
        GraphrepError: an id that this format cannot hold.
    """
    if header == "w2v":
        file.write(f"{shape[0]} {shape[1]}\n".encode())
    else:
        file.write((separator.join(["id", *(titles or (f"v{i}" for i in range(shape[1])))]) + "\n").encode())
    row = 0
    for block in blocks:
        names = [_name(v, separator, header) for v in ids[row : row + len(block)].tolist()]
        row += len(block)
        offsets = np.zeros(len(names) + 1, dtype=np.int64)
        np.cumsum([len(n) for n in names], out=offsets[1:])
        packed = np.frombuffer(b"".join(names), dtype=np.uint8)
        numbers = np.ascontiguousarray(block, dtype=np.float32)
        out = np.empty(packed.size + len(names) * (1 + MAX_NUMBER_BYTES * numbers.shape[1]), dtype=np.uint8)
        size = _format_rows(numbers, packed, offsets, ord(separator), out)
        file.write(out[:size].data)


def _name(value: int | str, separator: str, header: str) -> bytes:
    text = str(value)
    if isinstance(value, int):
        return text.encode()
    if "\n" in text or "\r" in text:
        raise GraphrepError(f"id {text!r} holds a line break, which text files cannot.", hint="--format npz or parquet")
    if header == "w2v":
        if not text or any(c.isspace() for c in text):
            raise GraphrepError(
                f"id {text!r} is empty or holds a space, which word2vec text cannot.",
                hint="--format npz, parquet or csv",
            )
    elif separator in text or '"' in text:
        text = '"' + text.replace('"', '""') + '"'
    return text.encode()


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _format_rows(block: Any, names: Any, offsets: Any, separator: int, out: Any) -> int:
    at = 0
    for i in range(block.shape[0]):
        for p in range(offsets[i], offsets[i + 1]):
            out[at] = names[p]
            at += 1
        for j in range(block.shape[1]):
            out[at] = separator
            at = put_float32(out, at + 1, block[i, j])
        out[at] = _NEWLINE
        at += 1
    return at


def read_text(path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Ids and vectors of a csv file with a header line, or of word2vec text.

    Raises:
        FileFormatError: a line without the expected number of numbers, with the line.
    """
    text = np.fromfile(path, dtype=np.uint8)
    end = text.tobytes().find(b"\n") if text.size < 1 << 16 else text[: 1 << 24].tobytes().find(b"\n")
    first = text[: end if end >= 0 else text.size].tobytes().decode("utf-8", "replace").strip()
    head = first.split()
    if len(head) == 2 and all(h.isdigit() for h in head):
        separator, width = " ", int(head[1])
    else:
        separator = max(",\t; ", key=first.count)
        width = first.count(separator)
    lines = _line_ends(text, end + 1)
    vectors = np.empty((len(lines), width), dtype=np.float32)
    name_ends = np.empty(len(lines), dtype=np.int64)
    bad = _parse_rows(text, lines, ord(separator), vectors, name_ends)
    if end < 0 or bad >= 0:
        line = text[lines[bad, 0] : lines[bad, 1]].tobytes().decode("utf-8", "replace") if bad >= 0 else first
        raise FileFormatError(
            f"{path}, line {bad + 2}: expected an id and {width} numbers, found {line[:60]!r}.",
            hint="the file may be incomplete; write it again",
        )
    if separator == " " and len(lines) != int(head[0]):
        raise FileFormatError(
            f"{path}: the first line promises {head[0]} vectors, found {len(lines)}.",
            hint="the file may be incomplete; write it again",
        )
    names = [text[a:b].tobytes().decode("utf-8") for (a, _), b in zip(lines.tolist(), name_ends.tolist(), strict=True)]
    return _as_ids([_unquoted(n) for n in names]), vectors


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if len(name) > 1 and name[0] == name[-1] == '"' else name


def _as_ids(names: list[str]) -> np.ndarray[Any, Any]:
    """Integers when every id is one as a program would print it, else text."""
    if all(_INTEGER.fullmatch(n) and abs(int(n)) < 2**63 for n in names):
        return np.array([int(n) for n in names], dtype=np.int64)
    return np.array(names, dtype=str)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _line_ends(text: Any, start: int) -> Any:
    """(lines, 2) begin and end of each non-empty line from `start` on."""
    count = 1
    for i in range(start, text.size):
        count += text[i] == _NEWLINE
    lines = np.empty((count, 2), dtype=np.int64)
    k, begin = 0, start
    for i in range(start, text.size + 1):
        if i == text.size or text[i] == _NEWLINE:
            end = i - 1 if i > begin and text[i - 1] == _RETURN else i
            if end > begin:
                lines[k, 0], lines[k, 1] = begin, end
                k += 1
            begin = i + 1
    return lines[:k]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _parse_rows(text: Any, lines: Any, separator: int, vectors: Any, name_ends: Any) -> int:
    """Fills `vectors` from the last fields of each line, so that ids may hold the separator; -1, or the bad row."""
    width = vectors.shape[1]
    for i in range(lines.shape[0]):
        begin, end = lines[i, 0], lines[i, 1]
        while end > begin and text[end - 1] == 32:  # the original word2vec ends lines with a space
            end -= 1
        stop = end
        for j in range(width - 1, -1, -1):
            at = stop - 1
            while at >= begin and text[at] != separator:
                at -= 1
            if at < begin:
                return i
            value, good = parse_decimal(text, at + 1, stop)
            if not good:
                return i
            vectors[i, j] = value
            stop = at
        name_ends[i] = stop
    return -1
