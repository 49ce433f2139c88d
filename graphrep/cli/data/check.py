"""`graphrep data check`: every oddity of a graph as it is stored, before anything is cleaned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graphrep.cli.console import FAILED, Console, guarded
from graphrep.cli.options import Columns, DataDir, Json, NoWeight, Quiet, Sep, Verbose
from graphrep.errors import GraphrepError

__all__ = ["check"]


@guarded
def check(
    graph: Annotated[
        str | None,
        typer.Argument(metavar="[GRAPH]", help="a file, or a data set's name; with --split what messages pass over"),
    ] = None,
    *,
    split: Annotated[
        Path | None,
        typer.Option("--split", metavar="FILE", help="look for leaks in a split of links: npz, csv, or a folder"),
    ] = None,
    directed: Annotated[
        bool, typer.Option("--directed", help="with --split: a link and its reverse are two links")
    ] = False,
    allow_leak: Annotated[bool, typer.Option("--allow-leak", help="with --split: exit code 0 all the same")] = False,
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

    With --split a split of links is checked instead: held-out links in another part (reversed ones too) or among the
    edges of GRAPH, duplicates, negatives that are links or in two parts, self-pairs, wrong node numbers, times. FILE
    is what graphrep data split writes, any npz with train_pos, test_pos, test_neg, ..., a csv with source, target,
    part and label, or a folder with train.csv, test.csv, test_neg.csv, ...

    \b
    Examples
      graphrep data check edges.csv
      graphrep data check --split usair.split.npz
      graphrep data check train_graph.csv --split my_split/
      graphrep data check amazon_computers --json
    """  # noqa: D301
    from graphrep.cli.data.reading import reading
    from graphrep.cli.graphs import inside_folder
    from graphrep.data.inspection import inspect

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    options = reading(columns, no_weight, sep)
    if split is not None:
        _check_split(console, split, graph, data_dir, options, directed=directed, allow_leak=allow_leak)
        return
    if graph is None:
        raise GraphrepError("There is nothing to check.", hint="graphrep data check GRAPH, or --split FILE")
    report = inspect(inside_folder(graph), data_dir=data_dir, edges=edges, **options)
    for line in report.lines():
        console.say(line)
    console.finish(report.to_dict())
    if not report.ok:
        raise typer.Exit(FAILED)


def _check_split(
    console: Console,
    path: Path,
    graph: str | None,
    data_dir: Path | None,
    options: dict[str, Any],
    *,
    directed: bool,
    allow_leak: bool,
) -> None:
    from graphrep.cli.graphs import find_graph
    from graphrep.data.leaks import check_link_split
    from graphrep.data.split_files import read_link_parts

    found = None if graph is None else find_graph(graph, data_dir=data_dir, read=options)
    parts = read_link_parts(path, ids=None if found is None else found.ids)
    if found is not None:
        parts["num_nodes"] = found.num_nodes
    report = check_link_split(
        parts,
        message_edges=None if found is None else found.edge_index,
        directed=True if directed else None,
        allow_leak=True,
    )
    console.say(f"{path}" + ("" if graph is None else f", messages over the edges of {graph}"))
    for line in report.lines():
        console.say(line)
    console.finish({"split": str(path), "graph": graph, **report.to_dict()})
    if not (report.ok or allow_leak):
        raise typer.Exit(FAILED)
