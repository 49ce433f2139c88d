"""`graphrep data convert`: a graph in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import Columns, DataDir, Directed, Json, NoWeight, Quiet, Sep, Verbose
from graphrep.errors import UnknownNameError

__all__ = ["convert"]

_KEEP = ("loops", "all")


@guarded
def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="a file, a data set's name, or nx:karate_club_graph")],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="the file to write (its ending is the format); or a folder"),
    ],
    *,
    out_format: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="npz | csv | json | graphml | gexf | parquet | pt")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep", metavar="WHAT", help="loops: self-loops too; all: every entry as it is stored  [cleaned]"
        ),
    ] = None,
    directed: Directed = False,
    columns: Columns = None,
    no_weight: NoWeight = False,
    sep: Sep = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Writes the graph IN to the file OUT, cleaned unless --keep says otherwise.

    Cleaned means: repeated edges merged (weights summed), self-loops dropped, both directions stored unless --directed.
    Pickled matrices of users and items (trnMat.pkl with tstMat.pkl beside it) become an archive of interactions; they
    are parsed, and nothing in them is run. A graph with several kinds of nodes becomes a folder with a table for each
    kind and each relation, which graph.toml in it describes.

    \b
    Examples
      graphrep data convert edges.csv.gz graph.npz
      graphrep data convert cora cora.graphml
      graphrep data convert messy.csv exact.npz --keep all --directed
      graphrep data convert gowalla/trnMat.pkl gowalla.npz
      graphrep data convert hetero/acm acm --format parquet
    """  # noqa: D301
    from graphrep.cli.data.reading import reading
    from graphrep.cli.graphs import announce, find_graph
    from graphrep.cli.typed import announce_typed, find_typed, is_typed
    from graphrep.data.pickled_matrices import is_pickle
    from graphrep.data.writers import write

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    if keep is not None and keep not in _KEEP:
        raise UnknownNameError(f'--keep "{keep}" is none of {", ".join(_KEEP)}.', hint="--keep all")
    if is_pickle(Path(source)):
        _convert_pickles(console, Path(source), target)
        return
    options = reading(columns, no_weight, sep, directed=directed, keep_self_loops=keep == "loops", raw=keep == "all")
    if is_typed(source):
        graph: Any = find_typed(source, data_dir=data_dir, read=options)
        lines, nodes = announce_typed(graph, source), sum(graph.num_nodes.values())
    else:
        graph = find_graph(source, data_dir=data_dir, read=options)
        lines, nodes = announce(graph, source), graph.num_nodes
    for line in lines:
        console.say(line)
    write(graph, target, format=out_format)
    console.say(f"Wrote {target}")
    payload = {"source": source, "path": str(target), "nodes": nodes, "entries": graph.num_edges}
    console.finish(payload, path=target)


def _convert_pickles(console: Console, source: Path, target: Path) -> None:
    from graphrep.data.interaction_archive import write_interactions
    from graphrep.data.pickled_matrices import interactions_in_pickles

    if target.suffix.lower() != ".npz":
        raise UnknownNameError(
            f"Interactions are written as npz, not as {target}.", hint=f"{target.with_suffix('.npz')}"
        )
    data = interactions_in_pickles(source)
    console.say(f"{source}: {data!r}")
    write_interactions(data, target)
    console.say(f"Wrote {target}")
    payload = {"source": str(source), "path": str(target), "users": data.num_users, "items": data.num_items}
    console.finish({**payload, "rows": data.num_rows}, path=target)
