"""`graphrep bench`: regenerates a table of published results with this installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import DataDir, DryRun, Json, Quiet, Sets, Threads, Verbose

__all__ = ["bench"]


@guarded
def bench(
    suite: Annotated[
        str,
        typer.Argument(
            metavar="SUITE", help="contrastive | planetoid | clustering | recommend | hetero | linkpred | lmgnn"
        ),
    ],
    *,
    datasets: Annotated[
        str | None, typer.Option("--datasets", metavar="NAME,...", help="sets with a recipe  [its own]")
    ] = None,
    methods: Annotated[
        str | None, typer.Option("--methods", metavar="NAME,...", help="of the suite  [its own]")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", metavar="N", min=1, help="seeds of the whole pipeline")] = 10,
    first_seed: Annotated[int, typer.Option("--first-seed", metavar="N", min=0, help="seeds N, N+1, ...")] = 0,
    sets: Sets = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="results  [runs/bench-SUITE.json]")
    ] = None,
    threads: Threads = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Train and judge methods on data sets over several seeds, beside the published numbers.

    Each finished run is in the result file at once; the same command goes on after an interruption and repeats nothing.
    A table in markdown is written beside it.

    \b
    Examples
      graphrep bench contrastive --datasets cora --runs 10
      graphrep bench contrastive --methods grace,gca,costa --set epochs=100 -o quick.json
      graphrep bench lmgnn --methods tfidf,frozen --set protocols=link --runs 6
      graphrep bench hetero --datasets acm --methods meow,ablations --runs 5
    """  # noqa: D301
    from graphrep.cli.benching import SUITES, run_suite
    from graphrep.cli.settings import parse_sets
    from graphrep.errors import UnknownNameError
    from graphrep.registry import suggest

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    if suite not in SUITES:
        raise UnknownNameError(f'There is no suite "{suite}".{suggest(suite, SUITES)}', hint=" | ".join(SUITES))
    run_suite(
        console,
        suite,
        datasets=datasets.split(",") if datasets else None,
        methods=methods.split(",") if methods else None,
        seeds=range(first_seed, first_seed + runs),
        changes=parse_sets(sets),
        out=out or Path("runs") / f"bench-{suite}.json",
        threads=threads,
        data_dir=data_dir,
        dry_run=dry_run,
    )
