"""The last steps of `graphrep recommend`: every file, the last words, the JSON object."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import graphrep
from graphrep.cli.console import Console
from graphrep.cli.recommending.counting import counted
from graphrep.cli.recommending.fitting import training_facts
from graphrep.cli.recommending.indexing import write_index
from graphrep.cli.recommending.lists import write_lists
from graphrep.cli.recommending.page import write_page
from graphrep.cli.recommending.words import print_lists
from graphrep.cli.runs import command_line
from graphrep.cli.system import describe, versions
from graphrep.data.check import grouped

if TYPE_CHECKING:
    from graphrep.cli.recommending.job import Job

__all__ = ["finish"]


def finish(console: Console, job: Job) -> None:
    """Writes lists, vectors, model, page and result.json, and says where."""
    assert job.lists is not None
    started = time.perf_counter()
    (path, kind), folder, (users, items) = job.target, job.folder.path, job.ids
    write_lists(path, kind, job.lists, users, items)
    written = _vectors(job)
    job.model.save(folder / "model")
    index = job.settings["recommend"].get("index")
    if index:
        kept = write_index(Path(str(index)), job.model.item_embedding_, items, seed=int(_seed(job)))
        written.append((Path(str(index)), f"index of the item vectors: {kept}"))
    _about_lists(job)
    job.seconds["write"] = time.perf_counter() - started
    write_page(folder / "report.html", job)
    result = _result(job)
    job.folder.result(result)
    job.folder.drop_checkpoint()
    for note in job.notes:
        console.say(f"  {note}")
    print_lists(console, job.lists, users, items)
    console.say(f"Wrote {path} ({grouped(job.lists.rows)} rows: user, rank, item, score)")
    for file, what in written:
        console.say(f"Wrote {file} ({what})")
    console.say(f"Wrote {folder} (report.html, result.json, model)")
    console.say(f"Next  graphrep recommend apply {folder} NEW.csv     lists for users who came later, without training")
    for line in console.lines:
        job.folder.log(line)
    console.finish(result, path=path)


def _seed(job: Job) -> Any:
    return job.settings["params"].get("seed", 0)


def _vectors(job: Job) -> list[tuple[Path, str]]:
    """Vectors of users and items beside each other, of methods that have some."""
    from graphrep.data.embeddings import save_embeddings

    if not training_facts(job.model):
        return []
    run, written = job.settings["run"], []
    remembered = {
        "method": run["method"], "params": job.settings["params"], "graph": run["graph"],
        "graphrep": graphrep.__version__,
    }  # fmt: skip
    for side, ids in zip(("user", "item"), job.ids, strict=True):
        file = job.folder.path / f"{side}_vectors.npz"
        vectors = getattr(job.model, f"{side}_embedding_")
        save_embeddings(file, vectors, ids=ids, settings=remembered)
        written.append((file, f"{grouped(len(vectors))} x {vectors.shape[1]}; a score is the inner product"))
    return written


def _about_lists(job: Job) -> None:
    """Sentences on lists that are short or cold."""
    assert job.lists is not None
    lists, k = job.lists, job.ks[-1]
    if lists.short:
        job.notes.append(f"{counted(lists.short, 'list')} with fewer than {k} items: nothing else is left.")
    if lists.cold.any():
        job.notes.append(
            f"{counted(int(lists.cold.sum()), 'list')} of the most popular items, for users of whom nothing is known."
        )
    if not job.settings["recommend"].get("include_seen"):
        job.notes.append("Lists leave out everything that a user had, test pairs too (--include-seen keeps it).")


def _result(job: Job) -> dict[str, Any]:
    """result.json."""
    assert job.lists is not None
    assert job.coverage is not None
    run = job.settings["run"]
    return {
        "out": str(job.target[0]),
        "run": str(job.folder.path),
        "model": str(job.folder.path / "model"),
        "graph": run["graph"],
        "method": run["method"],
        "data": {"name": job.inputs.name, "columns": job.inputs.table, **job.divided.counts},
        "split": job.divided.how,
        "protocol": job.divided.protocol,
        "at": list(job.ks),
        "test": None if job.judged is None else job.judged.to_dict(),
        "lists": {
            "users": len(job.lists.users), "rows": job.lists.rows, "short": job.lists.short,
            "cold": int(job.lists.cold.sum()),
        },
        "coverage": job.coverage.to_dict(),
        "notes": [*job.inputs.notes, *job.divided.notes, *job.notes],
        "training": training_facts(job.model),
        "params": job.settings["params"],
        "settings": job.settings,
        "seconds": {name: round(value, 6) for name, value in job.seconds.items()},
        "peak_memory_bytes": job.peak,
        "command": command_line(),
        "versions": versions(),
        **describe(job.device, job.threads),
    }  # fmt: skip
