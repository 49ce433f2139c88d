"""`graphrep data split`: training, validation and test nodes or links, written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import Columns, DataDir, Json, NoWeight, Quiet, Seed, Sep, Verbose
from graphrep.data.check import grouped
from graphrep.errors import GraphrepError

if TYPE_CHECKING:
    from graphrep.data import Graph

__all__ = ["split"]


@guarded
def split(
    graph: Annotated[str, typer.Argument(metavar="GRAPH", help="a file, a data set's name, or nx:karate_club_graph")],
    *,
    links: Annotated[
        str | None, typer.Option("--links", metavar="A/B/C", help="hold out links: shares of the three parts")
    ] = None,
    nodes: Annotated[
        str | None, typer.Option("--nodes", metavar="A/B/C", help="split the nodes: shares of the three parts")
    ] = None,
    per_class: Annotated[
        int | None, typer.Option("--per-class", metavar="N", min=1, help="N training nodes of each class instead")
    ] = None,
    num_val: Annotated[
        int | None, typer.Option("--num-val", metavar="N", min=0, help="with --per-class  [a third of the others]")
    ] = None,
    num_test: Annotated[
        int | None, typer.Option("--num-test", metavar="N", min=0, help="with --per-class  [all others]")
    ] = None,
    stratified: Annotated[bool, typer.Option("--stratified", help="classes in equal proportions in each part")] = False,
    negatives: Annotated[
        float, typer.Option("--negatives", metavar="X", min=0, help="pairs that are no links, per link")
    ] = 1.0,
    keep_connected: Annotated[
        bool, typer.Option("--keep-connected", help="training links keep the components whole")
    ] = False,
    directed: Annotated[
        bool, typer.Option("--directed/--undirected", help="whether a link and its reverse are two links")
    ] = False,
    time: Annotated[
        str | None,
        typer.Option(
            "--time", metavar="NAME", help="hold out the latest links: column or array of times, or an npy file"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="npz or csv  [NAME.split.npz]")
    ] = None,
    seed: Seed = None,
    columns: Columns = None,
    no_weight: NoWeight = False,
    sep: Sep = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Splits the links or the nodes of GRAPH so that nothing leaks; same seed, same split.

    Links are held out in both directions together, after duplicates are merged and self-loops dropped, each with
    negatives that are a link of no part. With --time the latest links are held out, each from the first time it was
    seen. An npz file holds node numbers (train_pos, val_neg, train_idx, ...); a csv file has one row per link or
    node, with its ids. graphrep data check --split FILE looks for leaks.

    \b
    Examples
      graphrep data split usair --links 85/5/10
      graphrep data split cora --per-class 20 --num-val 500 --num-test 1000 -o cora.split.csv
      graphrep data split edges.csv --links 70/10/20 --keep-connected --seed 3
      graphrep data split calls.csv --links 80/10/10 --time at
    """  # noqa: D301
    from graphrep.cli.data.reading import reading
    from graphrep.cli.data.times import edge_times
    from graphrep.cli.graphs import announce, find_graph, short_name
    from graphrep.cli.settings import parse_shares
    from graphrep.data.split import split_edges, split_nodes
    from graphrep.data.split_files import write_split

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    by_nodes = nodes is not None or per_class is not None
    if by_nodes == (links is not None):
        raise GraphrepError("Say what to split: links or nodes.", hint="--links 85/5/10, or --nodes 60/20/20")
    target = out or Path(f"{short_name(graph)}.split.npz")
    if target.suffix.lower() not in (".npz", ".csv"):
        raise GraphrepError(f"{target} is neither npz nor csv.", hint=f"-o {target.with_suffix('.npz')}")
    if time is not None and links is None:
        raise GraphrepError("--time is for links.", hint="--links 80/10/10 --time COLUMN")
    times = None if time is None else edge_times(graph, time, sep=sep)
    options = reading(columns, no_weight or time is not None, sep, directed=directed or time is not None)
    if time is not None:
        options["raw"] = True  # every edge in its place, beside its time
    found: Graph = find_graph(graph, data_dir=data_dir, read=options)
    for line in announce(found, graph):
        console.say(line)
    number = seed or 0
    if links is not None:
        made: Any = split_edges(
            found, shares=parse_shares(links, "--links"), negatives=negatives, keep_connected=keep_connected,
            directed=directed, edge_time=times, seed=number,
        )  # fmt: skip
    else:
        shares = parse_shares(nodes, "--nodes") if nodes is not None else (0.6, 0.2, 0.2)
        made = split_nodes(
            found, shares=shares, per_class=per_class, num_val=num_val, num_test=num_test, stratified=stratified,
            seed=number,
        )  # fmt: skip
    write_split(made, target, ids=found.ids)
    sizes = made.sizes()
    console.say("  " + ", ".join(f"{part} {grouped(n)}" for part, n in sizes.items()) + f"   seed {number}")
    console.say(f"Wrote {target}")
    console.finish({"graph": graph, "path": str(target), "seed": number, "sizes": sizes}, path=target)
