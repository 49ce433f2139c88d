"""`graphrep neighbors`: the nodes whose vectors are closest to those of some nodes, or of every node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import Json, Quiet, Threads, Verbose

__all__ = ["neighbors"]


@guarded
def neighbors(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="embeddings that graphrep embed wrote, or a saved index (safetensors)"),
    ],
    nodes: Annotated[
        list[str] | None,
        typer.Argument(metavar="NODE...", help="names or ids, as in the edge list", show_default=False),
    ] = None,
    *,
    n: Annotated[int, typer.Option("--num", "-n", metavar="N", min=1, help="how many")] = 10,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="NAME", help="cosine | dot | euclidean  [cosine]")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option("--backend", metavar="NAME", help="exact | faiss | auto (needs graphrep[ann])  [exact]"),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="of every node; needs --out")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="write the lists: csv, tsv, parquet or npz")
    ] = None,
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """The nearest nodes to each NODE in saved embeddings, best first.

    The score is the cosine, the dot product, or minus the Euclidean distance; the search is exact unless faiss does it.

    \b
    Examples
      graphrep neighbors collab.embeddings.npz "Grace Hopper" "Ada Lovelace" -n 5
      graphrep neighbors runs/demo/embeddings.npz 42 --json
      graphrep neighbors collab.embeddings.npz --all -n 10 --out knn.parquet
    """  # noqa: D301
    from graphrep.cli.knn import check_target, find_lists, open_index, print_lists, write_lists
    from graphrep.cli.nodes import find_node
    from graphrep.cli.system import use_threads
    from graphrep.errors import GraphrepError

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    if everyone == bool(nodes):
        raise GraphrepError("Which nodes?", hint=f"graphrep neighbors {file} NODE, or --all --out FILE")
    if everyone and out is None:
        raise GraphrepError("The lists of all nodes go into a file.", hint="--all --out knn.csv")
    if out is not None:
        check_target(out)
    use_threads(threads)
    index, ids = open_index(file, metric=metric, backend=backend)
    rows = None if everyone else [find_node(node, ids) for node in nodes or []]
    places, scores = find_lists(console, index, rows, n)
    queries = ids if rows is None else ids[rows]
    payload: dict[str, Any] = {"file": str(file), "metric": index.metric, "backend": index.backend}
    if out is not None:
        write_lists(out, queries, ids[places], scores)
        console.say(f"Wrote {out}: {len(queries)} nodes, {places.shape[1]} neighbours each ({index!r})")
        payload |= {"out": str(out), "nodes": len(queries), "neighbors_each": int(places.shape[1])}
    else:
        payload |= print_lists(console, queries, ids[places], scores)
    console.finish(payload, path=out)
