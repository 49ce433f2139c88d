"""The lists: the best items of each user, written as csv, tsv or parquet with the ids of the data."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrep.cli.tables import arrow, read_columns
from graphrep.data.write import atomic_write
from graphrep.errors import FileFormatError, GraphrepError, UnknownNameError
from graphrep.registry import suggest

if TYPE_CHECKING:
    from graphrep.kernels import CSR

__all__ = ["FORMATS", "Lists", "check_target", "choose_target", "popular_lists", "write_lists"]

Array = np.ndarray[Any, Any]
FORMATS = {"csv": (".csv",), "tsv": (".tsv",), "parquet": (".parquet", ".pq")}
COLUMNS = ("user", "rank", "item", "score")
_USERS = 10_000  # whose rows of text are put together at once
_CELLS = 1 << 24  # pairs of a user and an item looked at together


@dataclass(frozen=True)
class Lists:
    """Lists of some users.

    Attributes:
        users: (n,) rows of the users.
        items: (n, k) rows of items, best first; -1 where nothing is left.
        scores: (n, k), -inf there.
        cold: (n,) whether a list is popularity for want of training interactions.
    """

    users: Array
    items: Array
    scores: Array
    cold: Array

    @property
    def short(self) -> int:
        """Lists with fewer items than were asked for."""
        return int((self.items < 0).any(1).sum())

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return int((self.items >= 0).sum())


def popular_lists(users: Array, popularity: Array, hidden: CSR | None, k: int) -> Lists:
    """The most popular items of each user without ranking all of them: a few of the common order, more where needed.

    Args:
        users: (n,) rows of the users.
        popularity: (I,) how often each item was had.
        hidden: (U, I) pattern of what is left out, or None.
        k: items per user.

    Example:
        >>> popular_lists(np.arange(2), np.array([1, 5, 5]), None, 2).items.tolist()
        [[1, 2], [1, 2]]
    """
    total = len(popularity)
    order = np.argsort(-popularity, kind="stable")
    keys = np.zeros(0, np.int64) if hidden is None else np.asarray(hidden.row().long() * total + hidden.col.long())
    keys = np.append(keys, np.iinfo(np.int64).max)  # ascending, as rows and columns are; the last stands for no pair
    items = np.full((len(users), k), -1, dtype=np.int64)
    width, open_rows = min(total, 2 * k + 32), np.arange(len(users))
    while len(open_rows):
        window, short = order[:width], []
        for rows in np.array_split(open_rows, max(1, len(open_rows) * width // _CELLS)):
            pairs = users[rows, None] * total + window
            free = keys[np.searchsorted(keys, pairs)] != pairs
            place = free.cumsum(1)
            done = (place[:, -1] >= k) | (width == total)
            row, column = np.nonzero(free & (place <= k) & done[:, None])
            items[rows[row], place[row, column] - 1] = window[column]
            short.append(rows[~done])
        open_rows, width = np.concatenate(short), min(total, 4 * width)
    scores = np.where(items >= 0, popularity[items], -np.inf)
    return Lists(users, items, scores, np.zeros(len(users), dtype=bool))


def choose_target(out: str | None, kind: str | None, default: Path) -> tuple[Path, str]:
    """Where the lists go and in which format.

    Args:
        out: what was asked for.
        kind: the format that was asked for.
        default: without its ending.

    Raises:
        UnknownNameError: no such format, or a file name that stands for none.
    """
    if kind is not None and kind not in FORMATS:
        raise UnknownNameError(f'Unknown format "{kind}".{suggest(kind, FORMATS)}', hint=" | ".join(FORMATS))
    if out is None:
        kind = kind or "csv"
        return default.with_name(default.name + FORMATS[kind][0]), kind
    path = Path(out)
    told = next((name for name, endings in FORMATS.items() if path.suffix.lower() in endings), None)
    if told is None and kind is None:
        raise UnknownNameError(
            f'{path}: no format is known for "{path.suffix}".', hint="a name that ends in .csv, .tsv or .parquet"
        )
    return path, str(kind or told)


def check_target(path: Path, kind: str, source: str, *, made: Path | None = None) -> None:
    """Refuses a file that must not be replaced, or cannot be written, before any work; lists of before are replaced.

    Args:
        path: where to.
        kind: the format.
        source: the data.
        made: a folder that the run makes.

    Raises:
        GraphrepError: the data itself, something else than lists, or no such folder.
        MissingExtraError: parquet without pyarrow.
    """
    if path.is_dir():
        raise GraphrepError(f"{path} is a folder; a file name is needed.", hint=f"{path / 'recommendations.csv'}")
    if not path.absolute().parent.is_dir() and (made is None or path.parent != made):
        raise GraphrepError(f"There is no folder {path.parent} to write into.", hint=f"mkdir -p {path.parent}")
    if kind == "parquet":
        arrow()
    if not path.exists():
        return
    if Path(source).exists() and path.samefile(source):
        raise GraphrepError(f"{path} is the data itself; it would be overwritten.", hint="another name with --out")
    try:
        ours = path.stat().st_size == 0 or tuple(read_columns(path)) == COLUMNS
    except FileFormatError:
        ours = False
    if not ours:
        raise GraphrepError(
            f"{path} exists and holds no lists; it would be overwritten.", hint="another name with --out"
        )


def write_lists(path: Path, kind: str, lists: Lists, user_ids: Array, item_ids: Array) -> None:
    """Writes a row per recommendation: user, rank (from 1), item, score; the file appears complete.

    Args:
        path: where to.
        kind: csv, tsv or parquet.
        lists: what is written.
        user_ids: (U,) external ids.
        item_ids: (I,) external ids.
    """
    with atomic_write(path) as file:
        if kind == "parquet":
            user, rank, item = _places(lists, slice(None))
            columns = {
                "user": user_ids[lists.users[user]], "rank": rank, "item": item_ids[item],
                "score": lists.scores[user, rank - 1],
            }  # fmt: skip
            pa = arrow()
            plain = {name: column.tolist() if column.dtype.kind == "U" else column for name, column in columns.items()}
            pa.parquet.write_table(pa.table(plain), file)
            return
        separator = "\t" if kind == "tsv" else ","
        file.write(separator.join(COLUMNS).encode() + b"\n")
        for start in range(0, len(lists.users), _USERS):
            text = io.StringIO()
            writer = csv.writer(text, delimiter=separator, lineterminator="\n")
            user, rank, item = _places(lists, slice(start, start + _USERS))
            scores = lists.scores[start : start + _USERS][user, rank - 1]
            names = user_ids[lists.users[start : start + _USERS]][user]
            rows = zip(names.tolist(), rank.tolist(), item_ids[item].tolist(), scores.tolist(), strict=True)
            writer.writerows((user, rank, item, f"{score:.6g}") for user, rank, item, score in rows)
            file.write(text.getvalue().encode("utf8"))


def _places(lists: Lists, part: slice) -> tuple[Array, Array, Array]:
    """Row, rank from 1, and item of every entry of some lists."""
    items = lists.items[part]
    user, place = np.nonzero(items >= 0)
    return user, place + 1, items[user, place]
