"""`graphrep data show`: counts, degrees, labels, features of a graph, and where a named set is from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import Columns, DataDir, Directed, Json, NoWeight, Quiet, Sep, Verbose
from graphrep.data.check import grouped

if TYPE_CHECKING:
    from graphrep.data import Graph
    from graphrep.data.cards import Card

__all__ = ["show"]


@guarded
def show(
    graph: Annotated[
        str, typer.Argument(metavar="GRAPH", help="a file, a folder, a data set's name, or nx:karate_club_graph")
    ],
    *,
    directed: Directed = False,
    columns: Columns = None,
    no_weight: NoWeight = False,
    sep: Sep = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """What GRAPH holds once it is read: nodes, edges, degrees, labels, features; for a named set also its card.

    Of a folder with a table per relation: node types, relations, and its meta-paths, or those that it allows.

    \b
    Examples
      graphrep data show edges.csv
      graphrep data show cora
      graphrep data show hetero/acm
    """  # noqa: D301
    from graphrep.cli.data.reading import reading
    from graphrep.cli.graphs import announce, find_graph
    from graphrep.cli.typed import find_typed, is_typed
    from graphrep.data.cards import card
    from graphrep.errors import UnknownNameError

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    options = reading(columns, no_weight, sep, directed=directed)
    try:
        entry = None if Path(graph).exists() else card(graph)
    except UnknownNameError:
        entry = None
    payload: dict[str, Any] = {"graph": graph}
    missing = "" if entry is None else _missing(entry, data_dir)
    if is_typed(graph) and not missing:
        from graphrep.cli.data.show_typed import show_typed

        payload |= show_typed(console, find_typed(graph, data_dir=data_dir, read=options), graph)
    elif entry is None or (entry.kind == "graph" and not missing):
        found = find_graph(graph, data_dir=data_dir, read=options)
        for line in announce(found, graph):
            console.say(line)
        payload |= _facts(found, graph)
        for name in ("degrees", "weights", "features", "labels", "split", "text"):
            line = payload.pop(f"{name}_line")
            if line:
                console.say(f"  {name:<10} {line}")
    if entry is not None:
        payload["card"] = _card(console, entry, whole=entry.kind != "graph" or bool(missing))
    if missing:
        console.note(f"Its file is not here. Try: {missing}")
    console.finish(payload)


def _facts(graph: Graph, name: str) -> dict[str, Any]:
    """Counts, and lines for people under ``PART_line``."""
    import numpy as np

    from graphrep.data.inspection import inspect

    report = inspect(graph)
    degree = np.bincount(graph.edge_index[1].cpu().numpy(), minlength=graph.num_nodes)
    spread: dict[str, Any] = {
        "least": int(degree.min(initial=0 if not degree.size else degree[0])),
        "median": float(np.median(degree)) if degree.size else 0.0,
        "mean": float(degree.mean()) if degree.size else 0.0,
        "most": int(degree.max(initial=0)),
    }
    facts = report.to_dict()
    facts = {k: facts[k] for k in (*_COUNTS, "weights", "features", "labels", "ids", "splits", "texts")}
    lines = {
        "degrees_line": f"{spread['least']} to {grouped(spread['most'])}, mean {spread['mean']:.4g}, "
        f"median {spread['median']:g}; {grouped(report.isolated)} isolated, {grouped(report.components)} components",
        "split_line": ", ".join(f"{part} {grouped(n)}" for part, n in report.splits.items()),
        "text_line": "" if report.texts is None else f"{grouped(report.texts)} nodes with a text",
    }
    for part in ("weights", "features", "labels"):
        found = getattr(report, part)
        lines[f"{part}_line"] = "" if found is None else found.line()
    return {"directed": not graph.is_undirected(), "degrees": spread, **facts, **lines}


_COUNTS = ("nodes", "edges", "self_loops", "isolated", "components")


def _missing(entry: Card, data_dir: Path | None) -> str:
    """What to do about the file of a set that is not here; empty when it is, or when none is needed."""
    from graphrep.data.datasets import find_file
    from graphrep.errors import FileFormatError

    try:
        if entry.file:
            find_file(entry, data_dir)
    except FileFormatError as error:
        return error.hint or ""
    return ""


def _card(console: Console, entry: Card, *, whole: bool) -> dict[str, Any]:
    """Prints a data set's card, with its counts if `whole`, and returns it as plain values."""
    import dataclasses

    about = "about " if entry.approximate else ""
    console.say(f"{entry.full_name}: {entry.description}")
    counts = f"{about}{grouped(entry.nodes)} nodes, {about}{grouped(entry.edges)} edges"
    rows = {
        "kind": f"{entry.kind}, {counts}" if whole or entry.approximate else "",
        "split": entry.split,
        "source": entry.source,
        "licence": entry.licence,
        "download": "graphrep data get " + entry.full_name if entry.download else "",
    }
    for name, text in rows.items():
        if text:
            console.say(f"  {name:<10} {text}")
    for note in entry.notes:
        console.say(f"  note       {note}")
    if entry.citation:
        console.say("\n" + entry.citation)
    return dataclasses.asdict(entry)
