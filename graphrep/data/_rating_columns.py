"""Which column of a table holds users, items, ratings, times and parts: by what the user says, by name, by place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from graphrep.errors import FileFormatError, UnknownNameError

__all__ = ["ROLES", "Columns", "find_columns", "has_names", "is_number"]

ROLES = ("user", "item", "rating", "time")
Wanted = Mapping[str, int | str | None]

_NAMES = {  # without case, spaces, dashes and underscores
    "user": "user userid users uid username reviewer reviewerid customer customerid client clientid person personid "
    "member memberid visitor visitorid listener reader account accountid session sessionid",
    "item": "item itemid items iid movie movieid film filmid title product productid asin parentasin business "
    "businessid book bookid isbn song songid track trackid artist artistid article articleid game gameid place placeid "
    "location locationid poi poiid sku anime animeid recipeid course courseid",
    "rating": "rating ratings stars score overall weight count counts plays playcount listens clicks quantity amount "
    "value times views purchases",
    "time": "time timestamp timestamps date datetime ts created createdat unixreviewtime reviewtime when",
    "part": "part split subset",
}
_KNOWN = {role: frozenset(names.split()) for role, names in _NAMES.items()}
_EPOCH = 1e8  # a third column of numbers from here on holds seconds since 1970, not ratings


@dataclasses.dataclass(frozen=True)
class Columns:
    """Places of the columns, None where there is none.

    Attributes:
        user, item, rating, time, part: numbers of columns, from 0.
        names: what all columns of the table are called.
    """

    user: int
    item: int
    rating: int | None
    time: int | None
    part: int | None
    names: tuple[str, ...]

    def name(self, role: str) -> str | None:
        """What the column of a role is called."""
        place = getattr(self, role)
        return None if place is None else self.names[place]


def _bare(name: str) -> str:
    return "".join(c for c in name.strip().lower() if c.isalnum())


def is_number(field: str) -> bool:
    """Whether a field of text is a number (NaN and infinity count)."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def has_names(first: Sequence[str], rest: Sequence[Sequence[str]], wanted: Wanted) -> bool:
    """Whether the first row of a text holds names of columns: known or wanted ones, or text above numbers.

    Example:
        >>> has_names(["userId", "movieId"], [["1", "2"]], {}), has_names(["ann", "jaws"], [["bob", "alien"]], {})
        (True, False)
    """
    bare = {_bare(name) for name in first}
    if any(isinstance(name, str) and (name in first or _bare(name) in bare) for name in wanted.values()):
        return True
    if bare & _KNOWN["user"] and bare & _KNOWN["item"]:
        return True
    same = [row for row in rest if len(row) == len(first)]
    return bool(same) and any(
        not is_number(name) and all(is_number(row[place]) for row in same) for place, name in enumerate(first)
    )


def find_columns(
    names: Sequence[str], rows: Sequence[Sequence[str]], wanted: Wanted, *, named: bool, source: str
) -> Columns:
    """The columns of a table.

    What is asked for comes first, then known names, then places: user, item, and of three or four columns without
    names rating and time.

    Args:
        names: of all columns; ``column 0``, ... where the table has none.
        rows: some rows, as text.
        wanted: role -> a name, or a number from 0.
        named: whether the table has names of its own.
        source: of the file, for messages.

    Raises:
        FileFormatError: fewer than two columns.
        UnknownNameError: a column that the table does not have, or one column for two roles.

    Example:
        >>> find_columns(["rating", "movieId", "userId"], [], {}, named=True, source="x.csv")
        Columns(user=2, item=1, rating=0, time=None, part=None, names=('rating', 'movieId', 'userId'))
    """
    if len(names) < 2:
        raise FileFormatError(
            f"{source} has one column; a table of users and items is needed.",
            hint='user,item[,rating[,time]] in each row; --sep ";" if another character stands between',
        )
    chosen = {role: _column(role, column, names, source) for role, column in wanted.items() if column is not None}
    if named:
        for role, known in _KNOWN.items():
            if role not in chosen:
                found = [p for p, name in enumerate(names) if _bare(name) in known and p not in chosen.values()]
                if found:
                    chosen[role] = found[0]
    for role in ("user", "item"):
        if role not in chosen:
            free = [p for p in range(len(names)) if p not in chosen.values()]
            if not free or (named and len(names) > 4 and not _told(wanted)):
                raise _unclear(role, names, source)
            chosen[role] = free[0]
    if not named and not _told(wanted):
        chosen |= _by_place(len(names), rows, chosen)
    _refuse_twice(chosen, names, source)
    return Columns(**{role: chosen.get(role) for role in _KNOWN}, names=tuple(names))  # type: ignore[arg-type]


def _told(wanted: Wanted) -> bool:
    return wanted.get("user") is not None or wanted.get("item") is not None


def _by_place(count: int, rows: Sequence[Sequence[str]], chosen: Mapping[str, int]) -> dict[str, int]:
    """Rating and time of a table without names: the third and fourth of at most four columns, if they are numbers."""
    numbers = [p for p in (2, 3) if p < count <= 4 and rows and all(len(r) > p and is_number(r[p]) for r in rows)]
    if len(numbers) == 1 and numbers[0] == 2 and all(float(row[2]) >= _EPOCH for row in rows):
        return {} if "time" in chosen else {"time": 2}
    return {role: p for role, p in zip(("rating", "time"), numbers, strict=False) if role not in chosen}


def _unclear(role: str, names: Sequence[str], source: str) -> UnknownNameError:
    return UnknownNameError(
        f"{source}: no column is known to hold the {role}s; there are {', '.join(names)}.",
        hint=f"--{role} NAME, or its number from 0",
    )


def _column(role: str, column: int | str, names: Sequence[str], source: str) -> int:
    if isinstance(column, int) or (column not in names and column.isdigit()):
        if 0 <= int(column) < len(names):
            return int(column)
    else:
        if column in names:
            return list(names).index(column)
        same = [place for place, name in enumerate(names) if _bare(name) == _bare(column)]
        if len(same) == 1:
            return same[0]
    raise UnknownNameError(
        f'{source} has no column "{column}"; it has {", ".join(names)}.',
        hint=f"--{role} with one of these, or a number from 0 to {len(names) - 1}",
    )


def _refuse_twice(chosen: Mapping[str, int], names: Sequence[str], source: str) -> None:
    seen: dict[int, str] = {}
    for role, place in chosen.items():
        if place in seen:
            raise UnknownNameError(
                f'{source}: column "{names[place]}" cannot be both {seen[place]} and {role}.',
                hint=f"--{role} with another of {', '.join(names)}",
            )
        seen[place] = role
