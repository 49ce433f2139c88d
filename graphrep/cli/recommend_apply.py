"""`graphrep recommend apply`: lists of a saved recommender for new or grown histories; nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import DataDir, Json, Quiet, Sep, Threads, Verbose
from graphrep.cli.recommend import (
    At,
    Implicit,
    IncludeSeen,
    ItemColumn,
    ListFormat,
    MinRating,
    RatingColumn,
    TimeColumn,
    UserColumn,
    Users,
)

__all__ = ["apply"]


@guarded
def apply(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="folder of a run of graphrep recommend, or of its model")
    ],
    data: Annotated[
        str | None, typer.Argument(metavar="NEW", help="interactions, as for graphrep recommend", show_default=False)
    ] = None,
    *,
    at: At = None,
    users: Users = None,
    include_seen: IncludeSeen = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="where to write  [NAME.recommendations.csv]")
    ] = None,
    out_format: ListFormat = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    rating: RatingColumn = None,
    time: TimeColumn = None,
    sep: Sep = None,
    implicit: Implicit = False,
    min_rating: MinRating = None,
    threads: Threads = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Lists for the users of NEW by the items they have, in one pass over the saved item vectors.

    Users may be new or known; of known ones, what they had in training counts too. Unknown items are counted and left
    out; users without a known item get the most popular items.

    \b
    Example
      graphrep recommend old.csv && graphrep recommend apply runs/recommend-old new.csv --at 10
    """  # noqa: D301
    from graphrep.cli.recommending.apply import apply_recommender

    run: dict[str, Any] = {
        "graph": data,
        "out": str(out) if out else None,
        "format": out_format,
        "threads": threads,
        "data_dir": str(data_dir) if data_dir else None,
    }
    read = {"user": user, "item": item, "rating": rating, "time": time, "sep": sep}
    asked = {
        "at": at, "users": users, "include_seen": include_seen, "implicit": implicit, "min_rating": min_rating,
    }  # fmt: skip
    apply_recommender(Console(as_json=as_json, quiet=quiet, verbose=verbose), model, run, read, asked)
