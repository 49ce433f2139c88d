"""`graphrep embed --model`: a trained model applied to a graph; nothing is trained."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphrep.cli.console import Console
from graphrep.cli.features import with_features
from graphrep.cli.graphs import announce, find_graph, short_name
from graphrep.cli.system import peak_memory, use_threads, versions
from graphrep.cli.typed import TypedRows, announce_typed, find_typed
from graphrep.errors import GraphrepError

__all__ = ["apply_model"]


def apply_model(
    console: Console, folder: Path, run: Mapping[str, Any], read: Mapping[str, Any], *, given: Sequence[str]
) -> None:
    """Embeds a graph by the model in a folder, and writes the vectors.

    Args:
        console: where words go.
        folder: of ``graphrep train``, or of ``model.save``.
        run: graph, out, format, features, threads, data_dir of the command line.
        read: options of the reader.
        given: options that only make sense when something is trained.

    Raises:
        GraphrepError: such an option, or no graph.
        FileFormatError: no model in the folder.
        CheckpointMismatchError: the graph has other features than the model was trained on.
    """
    from graphrep.data.embeddings import embedding_format, save_embeddings
    from graphrep.methods import MetaPathEstimator, load_model

    if given:
        raise GraphrepError(f"{given[0]} does not go with --model, which trains nothing.", hint="leave it out")
    if not run.get("graph"):
        raise GraphrepError("No graph was given.", hint="graphrep embed new.npz --model runs/train-grace-old")
    use_threads(run.get("threads"))
    name = str(run["graph"])
    wanted = {key: value for key, value in read.items() if value is not None}
    model = load_model(folder)
    where: dict[str, Any] = {"data_dir": run.get("data_dir"), "read": wanted}
    graph: Any
    if isinstance(model, MetaPathEstimator):
        if run.get("features"):
            raise GraphrepError("--features does not apply to typed graphs.", hint="features in graph.toml")
        graph = find_typed(name, **where)
        lines, ids = announce_typed(graph, name), TypedRows.of(graph, model.target_).ids
    else:
        graph = find_graph(name, **where)
        if run.get("features"):
            graph = with_features(graph, str(run["features"]), seed=int(model.seed))
        lines, ids = announce(graph, name), graph.ids
    for line in lines:
        console.say(line)
    started = time.perf_counter()
    z = model.embed(graph)
    seconds = time.perf_counter() - started
    out = Path(run.get("out") or f"{short_name(name)}.embeddings.{run.get('format') or 'npz'}")
    settings = {"method": type(model).__name__.lower(), "model": str(folder), "graph": name}
    save_embeddings(out, z, ids=ids, settings=settings, format=embedding_format(out, run.get("format")))
    head = f"{type(model).__name__}  dim {z.shape[1]}  from {folder}  "
    console.say(f"{head:.<70} {seconds:.2f} s   peak {peak_memory() / 2**30:.2f} GiB")
    console.say(f"Wrote {out}")
    console.finish(
        {"out": str(out), "model": str(folder), "num_nodes": len(z), "dim": int(z.shape[1]),
         "seconds": round(seconds, 6), "versions": versions()},
        path=out,
    )  # fmt: skip
