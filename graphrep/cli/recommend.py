"""`graphrep recommend`: ranked items for users, with popularity beside them, files and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import (
    ConfigFile,
    DataDir,
    Deterministic,
    Device,
    DryRun,
    Json,
    Quiet,
    RecipeName,
    SaveConfig,
    Seed,
    Sep,
    Sets,
    Threads,
    Verbose,
)

__all__ = [
    "At", "Implicit", "IncludeSeen", "ItemColumn", "ListFormat", "MinRating", "RatingColumn", "TimeColumn",
    "UserColumn", "Users", "recommend",
]  # fmt: skip

_FORMS = "csv, tsv, txt (.gz), parquet, npz, a folder with train.* and test.*, pickled matrices, or a data set's name"

At = Annotated[str | None, typer.Option("--at", metavar="K[,K]", help="lengths of lists and of the scores  [20]")]
Users = Annotated[
    str | None, typer.Option("--users", metavar="FILE|ID,ID", help="whose lists are written  [everybody's]")
]
IncludeSeen = Annotated[
    bool,
    typer.Option(
        "--include-seen/--exclude-seen", show_default=False, help="also items that the user has  [exclude-seen]"
    ),
]
ListFormat = Annotated[
    str | None, typer.Option("--format", metavar="NAME", help="csv | tsv | parquet  [by the ending of --out]")
]
UserColumn = Annotated[
    str | None, typer.Option("--user", metavar="COLUMN", help="name, or number from 0  [user, userId, reviewer, ...]")
]
ItemColumn = Annotated[
    str | None, typer.Option("--item", metavar="COLUMN", help="likewise  [item, movieId, product, asin, ...]")
]
RatingColumn = Annotated[
    str | None, typer.Option("--rating", metavar="COLUMN", help="likewise  [rating, stars, count, plays, ...]")
]
TimeColumn = Annotated[
    str | None, typer.Option("--time", metavar="COLUMN", help="numbers or ISO dates  [time, timestamp, date, ...]")
]
Implicit = Annotated[bool, typer.Option("--implicit", help="ratings are counts or weights, none negative")]
MinRating = Annotated[
    float | None, typer.Option("--min-rating", metavar="R", help="only rows rated R or higher are interactions")
]


@guarded
def recommend(
    data: Annotated[str | None, typer.Argument(metavar="DATA", help=_FORMS, show_default=False)] = None,
    *,
    method: Annotated[
        str | None,
        typer.Option(
            "--method", "-m", metavar="NAME", help="lightgcl | lightgcn | simgcl | mf | popularity  [lightgcl]"
        ),
    ] = None,
    at: At = None,
    users: Users = None,
    include_seen: IncludeSeen = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="where to write  [recommendations.csv in the run's folder]"),
    ] = None,
    out_format: ListFormat = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    rating: RatingColumn = None,
    time: TimeColumn = None,
    sep: Sep = None,
    implicit: Implicit = False,
    min_rating: MinRating = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="NAME", help="given | random | time | time-all | none  [given, else random]"),
    ] = None,
    test: Annotated[
        float | None, typer.Option("--test", metavar="SHARE", help="of the pairs, to be judged by  [0.2]")
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option("--validation", metavar="SHARE", help="of the training pairs, to know when to stop  [0.1]"),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", metavar="NAME", help="holdout | published: no validation, all epochs  [holdout]"),
    ] = None,
    average: Annotated[
        str | None,
        typer.Option("--average", metavar="NAME", help="users | official: means of batches of 256 users  [users]"),
    ] = None,
    dim: Annotated[int | None, typer.Option("--dim", "-d", metavar="N", help="numbers per user and item")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", min=0, help="at most")] = None,
    time_budget: Annotated[
        float | None, typer.Option("--time-budget", metavar="SECONDS", min=0, help="of the training")
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option("--index", metavar="FILE", help="also a faiss index of the items: .faiss or .safetensors"),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="folder of this run  [runs/recommend-NAME]")
    ] = None,
    recipe: RecipeName = None,
    config: ConfigFile = None,
    sets: Sets = None,
    save_config: SaveConfig = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    deterministic: Deterministic = False,
    data_dir: DataDir = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="finish the interrupted run in this folder")
    ] = None,
    checkpoint: Annotated[
        float | None, typer.Option("--checkpoint", metavar="SECONDS", min=0, help="between two saved states  [30]")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Ranked items for the users of DATA, a row per recommendation: user, rank, item, score.

    A part of every user's interactions is held out and judged, beside recommending everybody the most popular items.
    When to stop is decided on validation pairs, never on the test. The folder of the run holds lists, vectors of users
    and items, model, all numbers (result.json) and a page to look at (report.html).

    \b
    Examples
      graphrep recommend ratings.csv --min-rating 4 --at 10
      graphrep recommend plays.tsv.gz --user listener --item artist --rating plays --implicit
      graphrep recommend shop.parquet --split time --users ann,bob
      graphrep recommend lastfm -m lightgcn --at 20,40 --time-budget 120
      graphrep recommend ratings.csv --split none --index items.faiss       no test: everything is trained on
      graphrep recommend apply runs/recommend-ratings new.csv               lists for other users
    """  # noqa: D301
    from graphrep.cli.recommending.job import Options, recommend_run
    from graphrep.cli.settings import parse_sets

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    options: dict[str, dict[str, Any]] = {
        "run": {
            "command": "recommend",
            "graph": data,
            "method": method,
            "out": str(out) if out else None,
            "format": out_format,
            "device": device,
            "threads": threads,
            "deterministic": deterministic or None,
            "data_dir": str(data_dir) if data_dir else None,
        },
        "read": {"user": user, "item": item, "rating": rating, "time": time, "sep": sep},
        "params": {"dim": dim, "epochs": epochs, "time_budget": time_budget, "seed": seed},
        "recommend": {
            "at": at,
            "users": users,
            "include_seen": include_seen or None,
            "implicit": implicit or None,
            "min_rating": min_rating,
            "split": split,
            "test": test,
            "validation": validation,
            "protocol": protocol,
            "average": average,
            "index": str(index) if index else None,
        },
    }
    recommend_run(
        console,
        layers=(options, {"params": parse_sets(sets)}),
        recipe_name=recipe,
        config=config,
        resume=resume,
        options=Options(run_dir, save_config, 30.0 if checkpoint is None else checkpoint, dry_run),
    )
