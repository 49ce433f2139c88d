"""`graphrep neighbors`: the nodes whose vectors are closest to one node's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import Json, Verbose

__all__ = ["neighbors"]


@guarded
def neighbors(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="embeddings that graphrep embed wrote")],
    node: Annotated[str, typer.Argument(metavar="NODE", help="its name or id, as in the edge list")],
    *,
    n: Annotated[int, typer.Option("--num", "-n", metavar="N", min=1, help="how many")] = 10,
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="cosine | dot | euclidean")] = "cosine",
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """The nearest nodes to NODE in saved embeddings: exact search, best first.

    The score is the cosine, the dot product, or minus the Euclidean distance.

    \b
    Examples
      graphrep neighbors collab.embeddings.npz "Grace Hopper" -n 5
      graphrep neighbors runs/demo/embeddings.npz 42 --json
    """  # noqa: D301
    from graphrep.cli.nearest import nearest
    from graphrep.cli.nodes import find_node, id_array
    from graphrep.data.embeddings import load_embeddings

    console = Console(as_json=as_json, verbose=verbose)
    saved = load_embeddings(file)
    vectors = saved.vectors.numpy() if hasattr(saved.vectors, "numpy") else saved.vectors
    ids = id_array(saved.ids, len(vectors))
    row = find_node(node, ids)
    index, score = nearest(vectors, [row], n, metric=metric)
    found = [(ids[i].item(), float(s)) for i, s in zip(index[0], score[0], strict=True)]
    width = max((len(str(name)) for name, _ in found), default=0)
    for rank, (name, value) in enumerate(found, start=1):
        console.say(f"{rank:>2}  {name!s:<{width}}  {value:.4f}")
    listed = [{"rank": rank, "id": name, "score": value} for rank, (name, value) in enumerate(found, start=1)]
    console.finish({"file": str(file), "node": ids[row].item(), "metric": metric, "neighbors": listed})
