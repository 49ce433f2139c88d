"""The last steps of `graphrep train lmgnn`: every file, the last words, the JSON object."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import graphrep
from graphrep.cli.console import Console
from graphrep.cli.runs import command_line, write_text
from graphrep.cli.settings import Settings
from graphrep.cli.system import describe, peak_memory, versions
from graphrep.cli.texting.examples import suggestions
from graphrep.cli.texting.fitting import stage_facts
from graphrep.cli.texting.models import Speed
from graphrep.cli.texting.page import write_page
from graphrep.cli.texting.parts import LinkParts, NodeParts
from graphrep.data import Graph

if TYPE_CHECKING:
    from graphrep.cli.texting.job import Job

__all__ = ["finish", "show_plan"]

_MANY = 50_000  # nodes above which not every node's missing links are listed
_TOP = 5


def show_plan(console: Console, settings: Settings, model: Any, where: Path, speed: Speed | None) -> None:
    """What ``--dry-run`` prints."""
    console.say(f"{model!r}")
    console.say(f"  would write the folder {where}")
    found = None if speed is None else {"tokens": speed.tokens, "tokens_per_second": speed.tokens_per_second}
    console.finish({"plan": settings, "estimate": found, "run": str(where), "dry_run": True}, path=where)


def finish(console: Console, job: Job, *, report: bool) -> None:
    """Writes model, vectors, predictions, page and result.json, and says where."""
    from graphrep.data.embeddings import save_embeddings

    started = time.perf_counter()
    folder = job.folder.path
    job.model.save(folder)
    remembered = {
        "method": "lmgnn", "params": job.settings["params"], "graph": job.settings["run"]["graph"],
        "graphrep": graphrep.__version__,
    }  # fmt: skip
    save_embeddings(folder / "embeddings.npz", job.model.embedding_, ids=job.ids, settings=remembered)
    listed = _predictions(job) if isinstance(job.parts, NodeParts) else _suggestions(console, job)
    job.seconds["write"] = time.perf_counter() - started
    if report:
        write_page(folder / "report.html", job)
    result = _result(job)
    job.folder.result(result)
    job.folder.drop_checkpoint()
    files = ["model.safetensors", "embeddings.npz", *listed, *(["report.html"] if report else []), "result.json"]
    console.say(f"Wrote {folder} ({', '.join(files)})")
    name = job.ids[0] if len(job.ids) else "NODE"
    console.say(f'Next  graphrep neighbors {folder / "embeddings.npz"} "{name}"')
    console.say(f"      graphrep embed --cold texts.csv --model {folder}      new texts without links")
    for line in console.lines:
        job.folder.log(line)
    console.finish(result, path=folder / "result.json")


def _predictions(job: Job) -> list[str]:
    """predictions.csv: the likeliest class of every node."""
    assert isinstance(job.parts, NodeParts)
    assert job.graph.y is not None
    probability = np.asarray(job.model.predict_proba())
    part = np.full(len(probability), "", dtype="U5")
    for name in ("train", "val", "test"):
        part[getattr(job.parts, name)] = name
    y = np.asarray(job.graph.y).tolist()
    known = ["" if label < 0 else job.named(label) for label in y]
    said = [job.named(number) for number in probability.argmax(1).tolist()]
    columns = [
        job.ids.tolist(), said, [f"{p:.4g}" for p in probability.max(1).tolist()], known,
        part.tolist(),
    ]  # fmt: skip
    names = ("id", "class", "probability", "known", "part")
    _table(job.folder.path / "predictions.csv", names, zip(*columns, strict=True))
    return ["predictions.csv"]


def _suggestions(console: Console, job: Job) -> list[str]:
    """missing_links.csv: the likeliest partners of every node."""
    if not isinstance(job.graph, Graph) or job.graph.num_nodes > _MANY:
        console.say("  missing links are not listed for every node of so large a graph, or of one with several kinds")
        return []
    assert isinstance(job.parts, LinkParts)
    rows = [
        (job.ids[node], rank, job.ids[other], f"{score:.6g}")
        for node, found in suggestions(job, range(job.graph.num_nodes), _TOP)
        for rank, (other, score) in enumerate(found, start=1)
    ]
    if not rows:
        return []
    _table(job.folder.path / "missing_links.csv", ("node", "rank", "other", "score"), rows)
    return ["missing_links.csv"]


def _table(path: Path, names: tuple[str, ...], rows: Any) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _result(job: Job) -> dict[str, Any]:
    """result.json."""
    parts = job.parts
    sizes = parts.counts if isinstance(parts, LinkParts) else (len(parts.train), len(parts.val), len(parts.test))
    stages = {key: {k: v for k, v in facts.items() if k != "said"} for key, facts in stage_facts(job.model).items()}
    device = str(job.settings["params"].get("device", "cpu"))
    return {
        "run": str(job.folder.path),
        "graph": job.settings["run"]["graph"],
        "method": "lmgnn",
        "task": job.task,
        "parts": {"train": sizes[0], "val": sizes[1], "test": sizes[2], "how": parts.how},
        "classes": job.classes,
        "num_nodes": len(job.ids),
        "dim": int(job.model.embedding_.shape[1]),
        "scores": [row.to_dict() for row in job.rows],
        "stages": stages,
        "notes": job.notes,
        "params": job.settings["params"],
        "settings": job.settings,
        "seconds": {name: round(value, 6) for name, value in job.seconds.items()},
        "peak_memory_bytes": peak_memory(),
        "command": command_line(),
        "versions": versions(),
        **describe(device, job.threads),
    }
