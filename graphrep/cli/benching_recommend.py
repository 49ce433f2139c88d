"""The recommendation suite of `graphrep bench`: every method stopped by the same validation pairs, all items ranked."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphrep.cli.benching_course import COURSE, course_cells, course_facts
from graphrep.cli.judging import mean_std
from graphrep.cli.system import peak_memory, reset_peak_memory
from graphrep.data.check import grouped
from graphrep.errors import GraphrepError
from graphrep.recipes import recipe, recipe_names

__all__ = ["KS", "METRICS", "find_interactions", "recommend_line", "recommend_run", "recommend_table"]

KS = (20, 40)
METRICS = tuple(f"{name}@{k}" for k in KS for name in ("recall", "ndcg"))


def find_interactions(dataset: str, data_dir: Path | None) -> Any:
    """The interactions that the user's name stands for: a data set, or a file that holds them.

    Raises:
        GraphrepError: there are none, or they have no test part.
    """
    from graphrep.data import Interactions
    from graphrep.data.datasets import load
    from graphrep.data.read import read

    found = read(dataset) if Path(dataset).is_file() else load(dataset, data_dir)
    if not isinstance(found, Interactions):
        raise GraphrepError(
            f"{dataset} holds no interactions of users with items.", hint="graphrep list datasets: task recommend"
        )
    if "train" not in found.parts or "test" not in found.parts:
        raise GraphrepError(f"{dataset} has no train and test parts.", hint="interactions.split(test=0.2, seed=0)")
    return found


def fingerprint(data: Any) -> dict[str, Any]:
    """What says whether two tables are about the same data: sizes, pairs of each part, a digest of them."""
    digest = hashlib.blake2b(digest_size=6)
    pairs = {}
    for part in data.parts:
        csr = data.csr(part)
        pairs[part] = csr.nnz
        for array in (csr.rowptr, csr.col):
            digest.update(array.long().numpy().tobytes())
    return {"users": data.num_users, "items": data.num_items, **pairs, "digest": digest.hexdigest()}


def recommend_run(method: Any, params: dict[str, Any], data: Any) -> dict[str, Any]:
    """One training that never sees the test part, and its scores on it."""
    reset_peak_memory()
    began = time.perf_counter()
    facts = {"fingerprint": fingerprint(data)}
    try:
        model = method(**params).fit(data)
    except GraphrepError as error:  # a diverged training is a row that says so
        return {"scores": {}, **facts, "status": str(error).splitlines()[0], "seconds": 0.0, "peak_memory_bytes": 0}
    seconds = time.perf_counter() - began
    memory = peak_memory()
    scores = {}
    for average in ("users", "official"):
        found = model.evaluate(data, ks=KS, average=average)
        scores[average] = {f"{name}@{k}": getattr(found, name)[k] for k in KS for name in ("recall", "ndcg")}
    history = model.history_
    looked = [log.signals["recall"] for log in history.epochs if "recall" in log.signals]
    return {
        **facts,
        "scores": scores,
        "status": "ok",
        **course_facts(history),
        "validation_recall": max(looked) if looked else None,
        "seconds": round(seconds, 3),
        "peak_memory_bytes": memory,
        "notes": list(model.notes_),
    }


def recommend_line(row: Mapping[str, Any]) -> str:
    """A finished run, for the log."""
    found = row["scores"].get("users")
    text = row["status"]
    if found is not None:
        text = "  ".join(f"{name} {found[name]:.4f}" for name in METRICS[:2]) + f"   epoch {row['kept_epoch']}"
    return f"{row['dataset']:<14} {row['label']:<12} seed {row['seed']:<3} {text}   {row['seconds']:.0f} s"


def recommend_table(datasets: Sequence[str], labels: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown: a line per set and method, published scores of the same split under it; `labels` to methods."""
    head = ["data set", "method", "seeds", *METRICS, *COURSE]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for dataset in datasets:
        for label, method in labels.items():
            lines += _lines(dataset, label, [r for r in rows if (r["dataset"], r["label"]) == (dataset, label)])
            lines += _published(dataset, label, method)
    return [
        *lines,
        "",
        *_facts(datasets, rows),
        "Mean +- sample standard deviation over seeds. Every item is ranked but those of training and validation; each "
        "user with a test item counts once (the result file also has the means of batches of 256 users). The epoch is "
        "chosen by Recall@20 on the set's own validation pairs, else on a tenth of each user's training pairs that is "
        "held out; the test pairs are looked at once. *Published* rows are the authors' own figures on the same split; "
        "theirs train on the held-out tenth too and took the best epoch by the test pairs.",
    ]


def _facts(datasets: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line on what each set holds."""
    lines = []
    for dataset in datasets:
        found = next((row["fingerprint"] for row in rows if row["dataset"] == dataset), None)
        if found is not None:
            counts = ", ".join(f"{grouped(n)} {name}" for name, n in found.items() if name != "digest")
            lines += [f"{dataset}: {counts}; digest {found['digest']}.", ""]
    return lines


def _lines(dataset: str, label: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    from graphrep.eval import summarize

    good = [row for row in rows if row["scores"]]
    if not good:
        return [f"| {dataset} | {label} | {rows[0]['status']} |" + " |" * (len(METRICS) + 3)] if rows else []
    found = [summarize([100 * row["scores"]["users"][metric] for row in good]) for metric in METRICS]
    cells = [dataset, label, str(len(good)), *(mean_std(s.mean, s.std) for s in found)]
    return ["| " + " | ".join([*cells, *course_cells(good)]) + " |"]


def _published(dataset: str, label: str, method: str) -> list[str]:
    """The line of the scores in the recipe, which are of this very split."""
    name = f"{method}/{dataset.rpartition('/')[2]}"
    known = recipe(name).published if name in recipe_names() else {}
    if not known:
        return []
    values = {f"{kind}@{k}": v for kind in ("recall", "ndcg") for k, v in zip(known["ks"], known[kind], strict=True)}
    cells = [dataset, f"*{label}, published*", "", *(f"{values[m]:.2f}" if m in values else "" for m in METRICS)]
    return ["| " + " | ".join([*cells, "", "", ""]) + " |"]
