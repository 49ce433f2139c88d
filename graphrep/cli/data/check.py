"""`graphrep data check`: every oddity of a graph as it is stored, before anything is cleaned."""

from __future__ import annotations

from typing import Annotated

import typer

from graphrep.cli.console import FAILED, Console, guarded
from graphrep.cli.options import Columns, DataDir, Json, NoWeight, Quiet, Sep, Verbose

__all__ = ["check"]


@guarded
def check(
    graph: Annotated[str, typer.Argument(metavar="GRAPH", help="a file, or a data set's name")],
    *,
    edges: Annotated[
        str | None, typer.Option("--edges", metavar="ARRAY", help="of an npz file  [raw_edge_index, edge_index]")
    ] = None,
    columns: Columns = None,
    no_weight: NoWeight = False,
    sep: Sep = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Counts duplicates, self-loops, one-way edges, isolated nodes; checks weights, features, labels, splits, ids.

    Errors are what would make a method fail or its results wrong: NaN, wrong node numbers, repeated ids, overlapping
    splits. Warnings are what is legal and perhaps not meant. Exit code 0: no errors; 1: errors; 2: not a graph.

    \b
    Examples
      graphrep data check edges.csv
      graphrep data check amazon_computers --json
    """  # noqa: D301
    from graphrep.cli.data.reading import reading
    from graphrep.cli.graphs import inside_folder
    from graphrep.data.inspection import inspect

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    options = reading(columns, no_weight, sep)
    report = inspect(inside_folder(graph), data_dir=data_dir, edges=edges, **options)
    for line in report.lines():
        console.say(line)
    console.finish(report.to_dict())
    if not report.ok:
        raise typer.Exit(FAILED)
