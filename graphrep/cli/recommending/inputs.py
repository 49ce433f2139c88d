"""The interactions that a recommender is trained on, from a name, a table, an archive or pickles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.graphs import short_name
from graphrep.cli.recommending.counting import counted
from graphrep.data.interactions import Interactions
from graphrep.data.pickled_matrices import interactions_in_pickles, is_pickle
from graphrep.data.ratings import RatingTable, read_parts, read_ratings
from graphrep.errors import DTypeError, EmptyGraphError, FileFormatError, GraphrepError

__all__ = ["Inputs", "open_interactions"]

_TEXT_OPTIONS = ("user", "item", "rating", "time", "sep")


@dataclass(frozen=True)
class Inputs:
    """What was read.

    Attributes:
        data: every row, with its part where the source gives one.
        name: short, for files.
        lines: what was understood, for people.
        notes: sentences on what a user must know.
        table: the columns that were taken, by role; empty where there are none.
    """

    data: Interactions
    name: str
    lines: list[str]
    notes: list[str] = field(default_factory=list)
    table: dict[str, str] = field(default_factory=dict)


def open_interactions(
    spec: str, *, data_dir: Any = None, read: Mapping[str, Any] | None = None, implicit: bool = False,
    min_rating: float | None = None, needs_ratings: bool = True,
) -> Inputs:  # fmt: skip
    """Reads what DATA stands for.

    Args:
        spec: a file, a folder with the parts of a set, or the name of a data set.
        data_dir: root of named data sets.
        read: user, item, rating, time, sep for tables.
        implicit: ratings are counts or weights.
        min_rating: only ratings this high are interactions.
        needs_ratings: False: without ratings every row is an interaction, whatever the two say.

    Raises:
        GraphrepError: no interactions, not a table, a missing column, negative counts; the message says which.
    """
    options = {key: value for key, value in (read or {}).items() if value is not None and key in _TEXT_OPTIONS}
    path = Path(spec)
    if not path.exists() and not path.suffix:
        return _whole(_named(spec, data_dir), spec, options, implicit, min_rating, needs_ratings)
    if is_pickle(path):
        return _whole(interactions_in_pickles(path), spec, options, implicit, min_rating, needs_ratings)
    if path.suffix.lower() == ".npz" and (found := _archived(path)) is not None:
        return _whole(found, spec, options, implicit, min_rating, needs_ratings)
    table = read_parts(path, **options) if path.is_dir() else read_ratings(path, **options)
    if table.rating is None and not needs_ratings:
        implicit, min_rating = False, None
    return _from_table(table, path, implicit, min_rating)


def _named(spec: str, data_dir: Any) -> Interactions:
    from graphrep.data.cards import card
    from graphrep.data.datasets import load

    entry = card(spec)
    if entry.kind != "interactions":
        raise DTypeError(
            f"{entry.full_name} is a {entry.kind} and holds no interactions of users with items.",
            hint="graphrep list datasets --task recommend; or a table with the columns user and item",
        )
    found: Interactions = load(spec, data_dir)
    return found


def _archived(path: Path) -> Interactions | None:
    """Interactions of an archive that is no table: with parts, or a scipy matrix of users and items."""
    import scipy.sparse as sp

    from graphrep.data._archive import Archive
    from graphrep.data.npz_kinds import kind_of, read_kind

    arrays = Archive(path)
    kind = kind_of(arrays)
    if kind == "interactions":
        found: Interactions = read_kind(path.name, arrays, kind)
        return found
    if {"format", "shape", "data"} <= arrays.keys():
        try:
            matrix = sp.coo_array(sp.load_npz(path))
        except Exception as error:  # damaged pieces of a matrix may fail anywhere inside scipy
            raise FileFormatError(f"{path} cannot be read as a matrix: {error}.", hint="save_npz again") from error
        return Interactions.coerce(matrix).replace(name=path.stem)
    if kind is not None or "edge_index" in arrays:
        raise DTypeError(
            f"{path.name} holds {kind or 'a graph'} and no interactions of users with items.",
            hint="arrays user and item, or train_user, train_item, test_user, ...",
        )
    return None


def _whole(
    data: Interactions, spec: str, options: Mapping[str, Any], implicit: bool, min_rating: float | None,
    needs_ratings: bool,
) -> Inputs:  # fmt: skip
    """Interactions that are read as they are stored; weights are judged as the ratings of a table."""
    if options:
        key = next(iter(options))
        raise GraphrepError(f"--{key} does not apply to {spec}, which has no columns.", hint=f"leave --{key} out")
    if not data.num_rows:
        raise EmptyGraphError(f"{spec} has no interactions.", hint="pairs of users and items")
    if data.weight is not None or (needs_ratings and (implicit or min_rating is not None)):
        none, weight = np.zeros(0), data.weight
        table = RatingTable(
            data.name or spec, np.asarray(data.user), np.asarray(data.item),
            None if weight is None else np.asarray(weight, dtype=np.float64), None, None, none, none,
            {"rating": "weight"},
        )  # fmt: skip
        keep = table.kept(implicit=implicit, min_rating=min_rating)
        parts = {key: getattr(data, key) for key in ("user", "item", "weight", "time", "part")}
        changed = {key: None if part is None else part[keep] for key, part in parts.items()}
        data = data.replace(**(changed if implicit else {**changed, "weight": None}))
    return Inputs(data, short_name(spec), [])


def _from_table(table: RatingTable, path: Path, implicit: bool, min_rating: float | None) -> Inputs:
    data = table.interactions(implicit=implicit, min_rating=min_rating)
    rows, notes = len(table), []
    columns = ", ".join(f"{called} ({role})" if called != role else role for role, called in table.columns.items())
    lines = [f"{path.name}: columns {columns}; {table.described}", f"  read {counted(rows, 'row')}: {_ids(table)}"]
    if table.rating is not None:
        low, high, called = table.rating.min(), table.rating.max(), table.columns.get("rating", "rating")
        span = f'"{called}" goes from {low:g} to {high:g}'
        if implicit:
            lines.append(f"  {span}: taken as weights" + _dropped(rows - data.num_rows, "with weight 0"))
        elif min_rating is not None:
            lines.append(f"  {span}: {min_rating:g} or more counts" + _dropped(rows - data.num_rows, "rated lower"))
        else:
            notes.append(
                f"{span} and was not looked at: every row is an interaction (--min-rating R: only those rated R or "
                "more; --implicit: counts or weights)."
            )
    return Inputs(data, short_name(str(path)), lines, notes, table.columns)


def _ids(table: RatingTable) -> str:
    kinds = ("text" if ids.dtype.kind == "U" else "integers" for ids in (table.user_ids, table.item_ids))
    user, item = kinds
    counts = f"{counted(len(table.user_ids), 'user')}, {counted(len(table.item_ids), 'item')}"
    return f"{counts} (ids are {user if user == item else f'{user} and {item}'})"


def _dropped(count: int, why: str) -> str:
    return f"; {counted(count, 'row')} {why} left out" if count else ""
