"""The last steps of `graphrep linkpred`: every file, the last words, the JSON object."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

import graphrep
from graphrep.cli.console import Console
from graphrep.cli.linking.page import write_page
from graphrep.cli.linking.predictors import kind_of
from graphrep.cli.nodes import id_array
from graphrep.cli.runs import command_line
from graphrep.cli.system import describe, versions

if TYPE_CHECKING:
    from graphrep.cli.linking.job import Job

__all__ = ["finish"]


def finish(console: Console, job: Job) -> None:
    """Writes vectors, page and result.json, and says where."""
    assert job.divided is not None
    started = time.perf_counter()
    folder = job.folder.path
    saved = ["split.npz", *(["model.safetensors"] if kind_of(job.method) != "heuristic" else [])]
    saved += _vectors(job)
    job.seconds["write"] = time.perf_counter() - started
    write_page(folder / "report.html", job)
    result = _result(job)
    job.folder.result(result)
    job.folder.drop_checkpoint()
    job.kept.drop()
    console.say(f"Wrote {folder} (report.html, result.json, {', '.join(saved)})")
    console.say(f"Next  graphrep linkpred top {folder}                    the best missing links of every node")
    console.say(f"      graphrep linkpred score {folder} pairs.csv        scores of pairs of your own")
    for line in console.lines:
        job.folder.log(line)
    console.finish(result, path=folder / "result.json")


def _vectors(job: Job) -> list[str]:
    """Vectors of the nodes, where the method has some."""
    from graphrep.data.embeddings import save_embeddings

    predictor = job.predictor
    if predictor is None or predictor.kind == "heuristic":
        return []
    z: Any = predictor.z if predictor.kind == "vectors" else predictor.model.embedding_  # type: ignore[attr-defined]
    graph = job.inputs.graph
    remembered = {
        "method": job.method, "params": job.settings["params"], "graph": job.settings["run"].get("graph"),
        "graphrep": graphrep.__version__,
    }  # fmt: skip
    path = job.folder.path / "embeddings.npz"
    save_embeddings(path, np.asarray(z), ids=id_array(graph.ids, graph.num_nodes), settings=remembered)
    return [path.name]


def _result(job: Job) -> dict[str, Any]:
    """result.json."""
    assert job.divided is not None
    run, asked = job.settings["run"], job.settings["linkpred"]
    rows = [{key: value for key, value in row.items() if key != "ranks"} for row in job.kept.rows]
    device = str(job.settings["params"].get("device", "cpu"))
    return {
        "run": str(job.folder.path),
        "graph": run.get("graph"),
        "method": job.method,
        "data": {"name": job.inputs.name, **job.divided.counts},
        "split": {"how": job.divided.how, "file": asked.get("split"), "seeds": job.seeds},
        "summary": [summary.to_dict() for summary in job.summaries if summary.rows[0]["scores"]],
        "verdicts": job.verdicts,
        "rows": rows,
        "notes": [*job.inputs.notes, *job.divided.notes, *job.notes],
        "training": dict(job.own_row()["training"]),
        "params": job.settings["params"],
        "settings": job.settings,
        "seconds": {name: round(value, 6) for name, value in job.seconds.items()},
        "peak_memory_bytes": job.own_row()["peak_memory_bytes"],
        "command": command_line(),
        "versions": versions(),
        **describe(device, job.threads),
    }
