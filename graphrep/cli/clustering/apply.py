"""What `graphrep cluster apply` does: a saved clustering for other nodes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.clustering.details import certainty
from graphrep.cli.clustering.files import check_target, choose_target, write_clusters
from graphrep.cli.clustering.fitting import load_fitted
from graphrep.cli.clustering.inputs import Inputs, prepare
from graphrep.cli.clustering.wanted import entry_of
from graphrep.cli.console import Console
from graphrep.cli.graphs import short_name
from graphrep.cli.settings import collect
from graphrep.cli.system import peak_memory, use_threads, versions
from graphrep.errors import FileFormatError, GraphrepError

__all__ = ["apply_clusters"]


def apply_clusters(console: Console, folder: Path, run: Mapping[str, Any], read: Mapping[str, Any]) -> None:
    """Labels the nodes of a graph by the model in a folder, and writes them.

    Args:
        console: where words go.
        folder: of a run of ``graphrep cluster``, or the folder ``model`` in it.
        run: graph, out, format, features, threads, data_dir of the command line.
        read: options of the reader.

    Raises:
        FileFormatError: no model in the folder.
        CheckpointMismatchError: the graph has other features than those the model was made with.
        GraphrepError: no graph, or a method that has no rule for other nodes.
    """
    use_threads(run.get("threads"))
    if not run.get("graph") and not run.get("features"):
        raise GraphrepError("No graph was given.", hint="graphrep cluster apply runs/cluster-old new.npz")
    method, model = _saved(folder)
    name = short_name(str(run.get("graph") or run.get("features")))
    target = choose_target(run.get("out"), run.get("format"), name, run.get("graph"))
    check_target(*target, run.get("graph"))
    needs = "features" in entry_of(method).needs
    inputs = prepare(console, collect({"run": run, "read": read}), needs_features=False)
    _require_features(folder, inputs, needs)
    for note in inputs.notes:
        console.say(f"  {note}")
    started = time.perf_counter()
    labels = np.asarray(model.predict(inputs.graph), dtype=np.int64)
    shares = model.predict_proba(inputs.graph) if hasattr(model, "predict_proba") else None
    seconds = time.perf_counter() - started
    sure = certainty(labels, shares, inputs.graph)
    settings = {"method": method, "model": str(folder), "graph": run.get("graph")}
    path, kind = target
    write_clusters(path, kind, inputs.ids, labels, sure, source=run.get("graph"), settings=settings)
    found = len(np.unique(labels))
    head = f"{method}  {found} clusters  from {folder}  "
    console.say(f"{head:.<70} {seconds:.2f} s   peak {peak_memory() / 2**30:.2f} GiB")
    console.say(f"Wrote {path}")
    payload = {
        "out": str(path), "model": str(folder), "method": method, "num_nodes": len(labels), "num_clusters": found,
        "input": inputs.counts, "notes": inputs.notes, "confidence": sure.meaning, "seconds": round(seconds, 6),
        "versions": versions(),
    }  # fmt: skip
    console.finish(payload, path=path)


def _saved(folder: Path) -> tuple[str, Any]:
    """The method and the fitted model in the folder of a run or of a model."""
    place = folder if (folder / "fit.json").is_file() else folder / "model"
    try:
        method = str(json.loads((place / "fit.json").read_text(encoding="utf8"))["method"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileFormatError(
            f"{folder} does not hold a saved clustering.", hint="the folder of a run: runs/cluster-NAME"
        ) from error
    entry_of(method)
    return method, load_fitted(method, place)


def _require_features(folder: Path, inputs: Inputs, needs: bool) -> None:
    """Features that were made from the links of one graph mean nothing on another.

    Raises:
        GraphrepError: the model was made with such features, or the graph has none.
    """
    if needs and not inputs.graph.num_features:
        raise GraphrepError(
            f"{folder} was made with features, and this graph has none.", hint="--features FILE, of the same kind"
        )
