"""The times of the edges of a file, one for each of its rows, at full precision."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.errors import FileFormatError, GraphrepError

__all__ = ["edge_times"]


def edge_times(graph: str, time: str, *, sep: str | None = None) -> np.ndarray[Any, Any]:
    r"""(E,) int64 or float64 times, in the order of the rows of the file.

    Args:
        graph: path of the graph: a table with a header, or an npz archive.
        time: column of the table, or array of the archive; or the path of an npy file with a time for each row.
        sep: separator of the table; default a tab in a tsv file, else a comma.

    Raises:
        FileFormatError, GraphrepError: no such column, array or file, or something that is no number.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "calls.csv"
        >>> _ = file.write_text("from,to,at\na,b,1600000001\nb,c,1600000000\n")
        >>> edge_times(str(file), "at").tolist()
        [1600000001, 1600000000]
    """
    path = Path(graph)
    if Path(time).suffix.lower() == ".npy":
        return _array(Path(time))
    if not path.is_file():
        raise GraphrepError(
            f"--time {time}: {graph} is no file, so it has no rows with times.", hint="a csv or npz file"
        )
    if path.suffix.lower() == ".npz":
        from graphrep.data._archive import Archive

        arrays = Archive(path)
        if time not in arrays:
            raise GraphrepError(f"{path.name} has no array {time}.", hint=", ".join(arrays))
        return np.asarray(arrays[time])
    return _column(path, time, sep or ("\t" if path.suffix.lower() == ".tsv" else ","))


def _array(path: Path) -> np.ndarray[Any, Any]:
    from graphrep.data._archive import read_array

    try:
        with path.open("rb") as file:
            return read_array(file, path.stat().st_size)
    except Exception as error:  # a damaged header may fail anywhere inside numpy
        raise FileFormatError(f"{path} is no npy file of numbers: {error}.", hint="numpy.save(path, times)") from error


def _column(path: Path, name: str, sep: str) -> np.ndarray[Any, Any]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, delimiter=sep)
            if name not in (rows.fieldnames or ()):
                raise GraphrepError(f"{path.name} has no column {name}.", hint=", ".join(rows.fieldnames or ()))
            texts = [row[name] for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(f"{path} cannot be read as a table: {error}.", hint="a csv file with a header") from error
    for kind in (np.int64, np.float64):
        try:
            return np.array(texts, dtype=kind)
        except (ValueError, OverflowError, TypeError):
            continue
    wrong = next(i for i, text in enumerate(texts) if not _is_number(text))
    raise GraphrepError(
        f"{path.name}, row {wrong + 1}: the time is {texts[wrong]!r}.", hint="seconds, or another number"
    )


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True
