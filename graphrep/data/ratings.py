"""Ratings and interactions out of the user's own tables: csv, tsv, any separated text, parquet, npz."""

from __future__ import annotations

import dataclasses
import os
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.data._archive import Archive
from graphrep.data._rating_columns import ROLES, Columns, find_columns
from graphrep.data._rating_fields import Numbering, as_moment, as_rating
from graphrep.data._rating_text import TextRows, open_text
from graphrep.data.check import grouped
from graphrep.data.interactions import Interactions
from graphrep.data.tables import arrow
from graphrep.errors import DTypeError, EmptyGraphError, FileFormatError, GraphrepError, NonFiniteError, ShapeError

__all__ = ["RatingTable", "read_interactions", "read_parts", "read_ratings"]

Array = np.ndarray[Any, Any]
_PART_WORDS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2}


@dataclasses.dataclass(frozen=True, eq=False)
class RatingTable:
    """A table as it was read, a row per rating.

    Attributes:
        name: of the file, without its ending.
        user: (R,) numbers of `user_ids`.
        item: (R,) numbers of `item_ids`.
        rating: (R,) finite float64, or None.
        time: (R,) float64, or None.
        part: (R,) 0, 1 or 2, or None.
        user_ids: (U,) distinct, ascending, int64 or text.
        item_ids: (I,), likewise.
        columns: role -> what its column is called; roles without a column are left out.
        described: how the file is laid out, for people.
    """

    name: str
    user: Array
    item: Array
    rating: Array | None
    time: Array | None
    part: Array | None
    user_ids: Array
    item_ids: Array
    columns: dict[str, str]
    described: str = ""

    def __len__(self) -> int:
        return len(self.user)

    def interactions(self, *, implicit: bool = False, min_rating: float | None = None) -> Interactions:
        """The rows as interactions.

        Args:
            implicit: a rating is a count or a weight; rows of 0 are left out.
            min_rating: only rows rated this high or higher; each counts 1. Without either argument every row is an
                interaction, whatever its rating.

        Items without a row left are dropped; users stay, since lists are wanted for them too.

        Raises:
            GraphrepError: a negative weight, no ratings where they are needed, both arguments.
            EmptyGraphError: no row is left.

        Example:
            >>> table = RatingTable("t", np.array([0, 1]), np.array([0, 1]), np.array([5.0, 1.0]), None, None,
            ...                     np.array([7, 8]), np.array([3, 4]), {})
            >>> table.interactions(min_rating=4).item_ids.tolist(), table.interactions().num_items
            ([3], 2)
        """
        keep = self.kept(implicit=implicit, min_rating=min_rating)
        items, item = np.unique(self.item[keep], return_inverse=True)
        return Interactions(
            self.user[keep], item.reshape(-1), self.rating[keep] if implicit and self.rating is not None else None,
            None if self.time is None else self.time[keep], part=None if self.part is None else self.part[keep],
            num_users=len(self.user_ids), num_items=len(items), user_ids=self.user_ids, item_ids=self.item_ids[items],
            name=self.name,
        )  # fmt: skip

    def kept(self, *, implicit: bool = False, min_rating: float | None = None) -> Array:
        """Numbers of the rows that are interactions; arguments and errors of :meth:`interactions`."""
        if implicit and min_rating is not None:
            raise GraphrepError("Ratings are either weights or judged by a limit.", hint="--implicit or --min-rating")
        if not implicit and min_rating is None:
            return np.arange(len(self))
        if self.rating is None:
            raise GraphrepError(f"{self.name} has no column of ratings.", hint="--rating NAME, or leave the limit out")
        called = self.columns.get("rating", "rating")
        if implicit:
            negative = np.flatnonzero(self.rating < 0)
            if len(negative):
                raise GraphrepError(
                    f'{self.name}: {grouped(len(negative))} of {grouped(len(self))} values of "{called}" are negative '
                    f"(first: row {negative[0] + 1}, {self.rating[negative[0]]:g}), which no count is.",
                    hint="--min-rating R for ratings of which only high ones count, or leave --implicit out",
                )
        keep = np.flatnonzero(self.rating > 0 if implicit else self.rating >= (min_rating or 0.0))
        if not len(keep):
            raise EmptyGraphError(
                f'{self.name}: no row is left; "{called}" goes from {self.rating.min():g} to {self.rating.max():g}.',
                hint="a lower --min-rating" if min_rating is not None else "leave --implicit out",
            )
        return keep


def read_interactions(
    path: str | os.PathLike[str],
    *,
    user: int | str | None = None,
    item: int | str | None = None,
    rating: int | str | None = None,
    time: int | str | None = None,
    sep: str | None = None,
    header: bool | None = None,
    implicit: bool = False,
    min_rating: float | None = None,
) -> Interactions:
    r"""Interactions from a table with a row each, integer or text ids; csv, tsv, other text, parquet, npz.

    Args:
        path: the file; the ending decides, and of text (also packed) the content.
        user: column of the users, a name or a number from 0; default: a known name (user, userId, reviewer, ...), else
            the first column.
        item: column of the items, likewise (item, movieId, product, asin, ...).
        rating: column of ratings, counts or weights, likewise.
        time: column of times, likewise: numbers, or ISO dates.
        sep: separator of a text; default: found out. A line per user with all of its items is understood, too.
        header: whether the first row of a text holds names; default: found out.
        implicit: ratings are counts or weights, not negative.
        min_rating: keep rows rated this high or higher. Without `implicit` and `min_rating` every row is an
            interaction.

    Raises:
        FileFormatError, EmptyGraphError: not a table, or one without rows; the message has the line.
        UnknownNameError: no such column; the message has those there are.
        NonFiniteError: a rating that is NaN or infinite.
        GraphrepError: negative ratings with `implicit`.
        MissingExtraError: parquet without pyarrow.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "films.csv"
        >>> _ = file.write_text("person,film,rating\nann,jaws,5\nbob,alien,2\nbob,jaws,4\n")
        >>> liked = read_interactions(file, min_rating=4)
        >>> liked.user_ids.tolist(), liked.item_ids.tolist(), liked.user.tolist()
        (['ann', 'bob'], ['jaws'], [0, 1])
    """
    table = read_ratings(path, user=user, item=item, rating=rating, time=time, sep=sep, header=header)
    return table.interactions(implicit=implicit, min_rating=min_rating)


def read_ratings(
    path: str | os.PathLike[str],
    *,
    user: int | str | None = None,
    item: int | str | None = None,
    rating: int | str | None = None,
    time: int | str | None = None,
    sep: str | None = None,
    header: bool | None = None,
) -> RatingTable:
    """The table behind :func:`read_interactions`, which has the arguments and the errors."""
    file = Path(path)
    wanted = dict(zip(ROLES, (user, item, rating, time), strict=True))
    kind = file.suffix.lower()
    if kind in (".parquet", ".pq"):
        return _from_parquet(file, wanted)
    if kind == ".npz":
        return _from_archive(file, wanted)
    rows = open_text(file, wanted, sep=sep, header=header)
    return _from_lists(rows) if rows.lists else _from_text(rows)


def read_parts(folder: str | os.PathLike[str], **options: Any) -> RatingTable:
    """One table out of ``train.*``, ``test.*`` and perhaps ``val.*`` (or ``valid.*``) in a folder.

    Args:
        folder: with these files, of any kind that :func:`read_ratings` reads.
        options: of :func:`read_ratings`.

    Raises:
        FileFormatError: no training file, or several of one part.
    """
    place = Path(folder)
    tables: dict[int, RatingTable] = {}
    for file in sorted(place.iterdir()):
        code = _PART_WORDS.get(file.name.partition(".")[0].lower())
        if code is None or not file.is_file():
            continue
        if code in tables:
            raise FileFormatError(f"{place} has several files of one part ({file.name}).", hint="one of each")
        tables[code] = read_ratings(file, **options)
    if 0 not in tables:
        raise FileFormatError(
            f"{place} is a folder without a file train.csv, train.txt, ...", hint="name the file of interactions inside"
        )
    return _joined(place.resolve().name, tables)


def _joined(name: str, tables: dict[int, RatingTable]) -> RatingTable:
    """The rows of several tables one after the other, with their parts and common ids."""
    parts = list(tables.values())
    numbers, known = {}, {}
    for role in ("user", "item"):
        ids = [getattr(table, f"{role}_ids") for table in parts]
        if len({one.dtype.kind for one in ids}) > 1:
            ids = [one.astype(np.str_) for one in ids]
        known[role] = np.unique(np.concatenate(ids))
        rows = [getattr(table, role) for table in parts]
        numbers[role] = np.concatenate(
            [np.searchsorted(known[role], one)[row] for one, row in zip(ids, rows, strict=True)]
        )

    def column(role: str) -> Array | None:
        found = [getattr(table, role) for table in parts]
        return None if any(one is None for one in found) else np.concatenate(found)

    codes = np.concatenate([np.full(len(table), code, dtype=np.int8) for code, table in tables.items()])
    return RatingTable(
        name, numbers["user"], numbers["item"], column("rating"), column("time"), codes, known["user"], known["item"],
        parts[0].columns, parts[0].described,
    )  # fmt: skip


def _from_text(rows: TextRows) -> RatingTable:
    where, name = rows.columns, rows.name
    users, items = Numbering(name, "user"), Numbering(name, "item")
    ratings, times, parts = array("d"), array("d"), array("b")
    for line, fields in rows:
        users.add(fields[where.user], line)
        items.add(fields[where.item], line)
        if where.rating is not None:
            ratings.append(as_rating(fields[where.rating], name, line))
        if where.time is not None:
            times.append(as_moment(fields[where.time], name, line))
        if where.part is not None:
            parts.append(_PART_WORDS.get(fields[where.part].lower(), -1))
    described = "" if rows.header else "no names of columns; "
    described += f'separator "{rows.separator}"' if rows.separator not in ("\t", " ") else "separated by white space"
    return _table(
        name, where, users.finished(), items.finished(),
        np.frombuffer(ratings, np.float64) if where.rating is not None else None,
        np.frombuffer(times, np.float64) if where.time is not None else None,
        np.frombuffer(parts, np.int8) if where.part is not None else None,
        described,
    )  # fmt: skip


def _from_lists(rows: TextRows) -> RatingTable:
    users, items = Numbering(rows.name, "user"), Numbering(rows.name, "item")
    for line, fields in rows:
        for field in fields[1:]:
            users.add(fields[0], line)
            items.add(field, line)
    return _table(
        rows.name, rows.columns, users.finished(), items.finished(), None, None, None, "a line per user with its items"
    )


def _table(
    name: str, columns: Columns, users: tuple[Array, Array], items: tuple[Array, Array], rating: Array | None,
    time: Array | None, part: Array | None, described: str,
) -> RatingTable:  # fmt: skip
    if not len(users[0]):
        raise EmptyGraphError(f"{name} has no interactions.", hint="one per row: user,item[,rating[,time]]")
    given = part is not None and not (part < 0).any()  # a column "split" with other words is not about parts
    called = {role: found for role in (*ROLES, "part") if (found := columns.name(role)) is not None}
    if not given:
        called.pop("part", None)
    stem = name.partition(".")[0]
    return RatingTable(
        stem, users[0], items[0], rating, time, part if given else None, users[1], items[1], called, described
    )  # fmt: skip


def _from_parquet(path: Path, wanted: dict[str, int | str | None]) -> RatingTable:
    pa = arrow("Reading parquet")
    try:
        file = pa.parquet.ParquetFile(path)
        names = [str(name) for name in file.schema_arrow.names]
        columns = find_columns(names, [], wanted, named=True, source=path.name)
        used = sorted({place for role in (*ROLES, "part") if (place := getattr(columns, role)) is not None})
        table = file.read(columns=[names[place] for place in used])
    except GraphrepError:
        raise
    except Exception as error:  # a damaged or missing file may fail anywhere inside pyarrow
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(f"{path} is not a readable parquet file: {text[:200]}.", hint="copy it again") from error
    if not table.num_rows:
        raise EmptyGraphError(f"{path.name} has no interactions.", hint="one per row: user,item[,rating[,time]]")

    def values(role: str) -> Any:
        called = columns.name(role)
        if called is None:
            return None
        column = table[called].combine_chunks()
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise NonFiniteError(
                f"{path.name}, row {row} (from 0): the {role} is missing.", hint="remove the row or fill it in"
            )
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            column = column.cast(pa.timestamp("us")).cast(pa.int64())
        return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column

    return _columns_table(
        path.name, columns, {role: values(role) for role in (*ROLES, "part")}, described="parquet"
    )  # fmt: skip


def _from_archive(path: Path, wanted: dict[str, int | str | None]) -> RatingTable:
    arrays = Archive(path)
    flat = [name for name in arrays if arrays[name].ndim == 1]
    columns = find_columns(flat, [], wanted, named=True, source=path.name)
    given = {role: arrays[called] for role in ROLES if (called := columns.name(role)) is not None}
    return _columns_table(path.name, columns, given, described="npz")


def _columns_table(name: str, columns: Columns, given: dict[str, Any], *, described: str) -> RatingTable:
    """A table from whole columns."""
    plain = {role: np.asarray(column) for role, column in given.items() if column is not None}
    if len({len(column) for column in plain.values()}) != 1:
        sizes = ", ".join(f"{role} {len(column)}" for role, column in plain.items())
        raise ShapeError(f"{name}: columns of several lengths: {sizes}.", hint="a value of each for every row")
    ids = [_column_ids(plain[role], name, columns.name(role) or role) for role in ("user", "item")]
    numbers = {role: _column_numbers(plain[role], name, role) for role in ("rating", "time") if role in plain}
    part = None
    if "part" in plain:
        part = np.array([_PART_WORDS.get(str(word).lower(), -1) for word in plain["part"].tolist()], dtype=np.int8)
    return _table(name, columns, ids[0], ids[1], numbers.get("rating"), numbers.get("time"), part, described)


def _column_ids(column: Array, name: str, called: str) -> tuple[Array, Array]:
    if column.dtype.kind in "OTS":
        column = column.astype(np.str_)
    if column.dtype.kind not in "iuU":
        hint = "missing values made it float? astype('Int64')" if column.dtype.kind == "f" else "another column"
        raise DTypeError(f'{name}: column "{called}" holds {column.dtype}; ids are integers or text.', hint=hint)
    ids, rows = np.unique(column, return_inverse=True)
    return rows.reshape(-1).astype(np.int64), ids if ids.dtype.kind == "U" else ids.astype(np.int64)


def _column_numbers(column: Array, name: str, role: str) -> Array:
    try:
        values: Array = column.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DTypeError(f"{name}: the {role} holds {column.dtype}, not numbers.", hint=f"--{role} NAME") from error
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise NonFiniteError(
            f"{name}, row {bad[0]} (from 0): the {role} is {values[bad[0]]}.", hint="remove the row or fill it in"
        )
    return values
