"""`graphrep demo`: embeds a real graph, groups its nodes, judges both, and writes a report. Under a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import DataDir, Json, Quiet, Seed, Threads, Verbose

__all__ = ["demo"]


@guarded
def demo(
    *,
    data: Annotated[
        str, typer.Option("--data", metavar="NAME", help="a data set with one class per node: digits, karate, ...")
    ] = "digits",
    dim: Annotated[int, typer.Option("--dim", "-d", metavar="N", min=2, help="numbers per node")] = 128,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="where the files go")] = Path("runs/demo"),
    seed: Seed = None,
    threads: Threads = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """The one-minute tour: embed, cluster, judge, and a report to look at.

    Labels are used to judge only, never to compute or to choose.
    """
    from graphrep.cli.tour import tour

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    tour(console, data=data, dim=dim, folder=out, seed=seed or 0, threads=threads, data_dir=data_dir)
