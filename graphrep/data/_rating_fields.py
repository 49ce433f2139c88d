"""Fields of a table of ratings: ids that become numbers, ratings, moments; errors have the line."""

from __future__ import annotations

import datetime
from array import array
from typing import Any

import numpy as np

from graphrep.errors import FileFormatError, NonFiniteError

__all__ = ["Numbering", "as_moment", "as_rating", "ids_of_words"]

Array = np.ndarray[Any, Any]


class Numbering:
    """Numbers distinct ids in the order in which they come, later in their own order."""

    def __init__(self, name: str, role: str) -> None:
        self._known: dict[str, int] = {}
        self._rows, self._name, self._role = array("q"), name, role

    def add(self, field: str, line: int) -> None:
        """The id of one more row."""
        if not field:
            raise FileFormatError(
                f"{self._name}, line {line}: the {self._role} is empty.", hint="remove the row or fill it in"
            )
        self._rows.append(self._known.setdefault(field, len(self._known)))

    def finished(self) -> tuple[Array, Array]:
        """Numbers (R,) and ids, ascending: integers if all of them are written as such, else text."""
        return _sorted(ids_of_words(list(self._known)), np.frombuffer(self._rows, np.int64))


def ids_of_words(words: list[str]) -> Array:
    """Distinct ids as integers if all of them are written as such, else as text: 007 and 7 are two ids."""
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        return np.array(words, dtype=np.str_)
    same = all(str(number) == word for number, word in zip(numbers, words, strict=True))
    if not same or any(abs(number) >= 2**63 for number in numbers):
        return np.array(words, dtype=np.str_)
    return np.array(numbers, dtype=np.int64)


def _sorted(ids: Array, rows: Array) -> tuple[Array, Array]:
    order = np.argsort(ids, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place[rows], ids[order]


def as_rating(field: str, name: str, line: int) -> float:
    """A finite number."""
    try:
        value = float(field)
    except ValueError:
        what = f'"{field}" is no number' if field else "the rating is missing"
        raise FileFormatError(
            f"{name}, line {line}: {what}.", hint="remove the row, or name another column with --rating"
        ) from None
    if not np.isfinite(value):
        raise NonFiniteError(f"{name}, line {line}: the rating is {field}.", hint="remove the row or fill it in")
    return value


def as_moment(field: str, name: str, line: int) -> float:
    """A number as it is, a date in ISO's form as seconds since 1970 (UTC where it names no zone)."""
    try:
        value = float(field)
    except ValueError:
        try:
            moment = datetime.datetime.fromisoformat(field)
        except ValueError:
            raise FileFormatError(
                f'{name}, line {line}: "{field}" is neither a number nor a date such as 2024-01-31T12:00:00.',
                hint="name another column with --time",
            ) from None
        value = (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
    if not np.isfinite(value):
        raise NonFiniteError(f"{name}, line {line}: the time is {field}.", hint="remove the row or fill it in")
    return value
