"""The clustering suite of `graphrep bench`: learned methods at three epochs, beside what needs no training."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphrep.cli.judging import mean_std
from graphrep.cli.system import peak_memory, reset_peak_memory
from graphrep.errors import GraphrepError, MissingLabelsError

__all__ = ["CONTEXT", "METRICS", "cluster_line", "cluster_run", "cluster_table"]

METRICS = ("acc", "nmi", "ari", "f1")
RULES = ("label-free stop", "last epoch", "oracle")
# Published by PyAGC, means of five seeds; the first of Dink-Net is its own paper's.
CONTEXT: dict[str, tuple[tuple[str, tuple[float, float, float, float]], ...]] = {
    "cora": (
        ("Dink-Net, its paper", (78.10, 62.28, 61.61, 72.66)),
        ("Dink-Net, PyAGC's rerun", (72.49, 55.56, 52.45, 70.12)),
        ("NS4GC, by PyAGC", (74.92, 59.40, 56.63, 72.81)),
        ("MAGI, by PyAGC", (74.22, 58.94, 53.51, 72.65)),
        ("MS2CAG, by PyAGC", (70.29, 53.64, 45.76, 69.17)),
        ("DMoN, by PyAGC", (52.99, 43.84, 33.35, 49.57)),
    ),
}


def cluster_run(method: Any, params: dict[str, Any], dataset: str, graph: Any) -> dict[str, Any]:
    """One fit from random weights (pretraining included), and its agreement with the labels by each rule.

    A method that trains runs all its epochs with the classes logged beside; the label-free stop is read off the course,
    the oracle is the best epoch of each score by itself, as the papers report.
    """
    if graph.y is None or graph.y.dim() != 1:
        raise MissingLabelsError(f"{dataset} has no classes.", hint="a set of task cluster: graphrep list datasets")
    y = np.asarray(graph.y)
    trains = "epochs" in method._parameters() and "stop" in method._parameters()
    settings = {"num_clusters": len(np.unique(y[y >= 0])), **params}
    if trains:
        settings["stop"] = "none"
    reset_peak_memory()
    began = time.perf_counter()
    status = "ok"
    try:
        model = method(**settings)
        model = model.fit(graph, oracle_labels=y) if _has_oracle(method) else model.fit(graph)
    except GraphrepError as error:  # a resolution search that finds no such number, say: a row that says so
        return {"scores": {}, "status": str(error).splitlines()[0], "seconds": 0.0, "peak_memory_bytes": 0}
    seconds = time.perf_counter() - began
    final = _scores(y, model.labels_)
    scores = {"last epoch": final}
    epochs, stopped = 0, None
    if _has_oracle(method):
        course, epochs = model.history_.epochs, len(model.history_.epochs)
        stopped = _stop(course, model.min_delta)
        scores["label-free stop"] = _after(course, stopped, final)
        scores["oracle"] = {m: max(final[m], *(100 * e.parts[f"oracle_{m}"] for e in course)) for m in METRICS}
    return {
        "scores": scores,
        "status": status,
        "epochs": epochs,
        "stopped": stopped,
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak_memory(),
        "notes": list(getattr(model, "notes_", [])),
    }


def _has_oracle(method: Any) -> bool:
    import inspect

    return "oracle_labels" in inspect.signature(method.fit).parameters


def _scores(y: Any, labels: Any) -> dict[str, float]:
    from graphrep.eval import cluster_scores

    found = cluster_scores(y, np.asarray(labels))
    values = (found.acc, found.nmi, found.ari, found.macro_f1)
    return {name: 100 * float(value) for name, value in zip(METRICS, values, strict=True)}


def _stop(course: Sequence[Any], least: float) -> int:
    """The number of the first epoch whose share of changed labels is below `least`; else the last."""
    for log in course:
        if log.parts.get("changed", 1.0) < least:
            return int(log.epoch)
    return len(course)


def _after(course: Sequence[Any], epoch: int, final: dict[str, float]) -> dict[str, float]:
    """Scores of the labels after that epoch, which are those at the start of the next."""
    if epoch >= len(course):
        return final
    return {m: 100 * float(course[epoch].parts[f"oracle_{m}"]) for m in METRICS}


def cluster_line(row: Mapping[str, Any]) -> str:
    """A finished run, for the log."""
    found = row["scores"].get("label-free stop") or row["scores"].get("last epoch")
    text = (
        row["status"] if found is None else "ACC {acc:.1f}  NMI {nmi:.1f}  ARI {ari:.1f}  F1 {f1:.1f}".format(**found)
    )
    return f"{row['dataset']:<20} {row['label']:<28} seed {row['seed']:<3} {text}   {row['seconds']:.0f} s"


def cluster_table(datasets: Sequence[str], labels: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown: a line per set, method and rule, then published rows where there are some."""
    head = ["data set", "method", "epoch", "seeds", "ACC", "NMI", "ARI", "F1", "s", "peak GiB"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for dataset in datasets:
        for label in labels:
            lines += _lines(dataset, label, [r for r in rows if (r["dataset"], r["label"]) == (dataset, label)])
        for name, values in CONTEXT.get(dataset, ()):
            cells = [dataset, f"*{name}*", "published", "", *(f"{v:.2f}" for v in values), "", ""]
            lines.append("| " + " | ".join(cells) + " |")
    return [
        *lines,
        "",
        "Mean +- sample standard deviation over seeds of the whole pipeline, pretraining included. *Label-free stop*: "
        "after the first epoch in which less than 1 % of the labels differ from those five epochs before. *Oracle*: "
        "each score at its own best epoch by the true labels, as the papers report; not to be had without labels. "
        "Rows without an epoch need no training. *Published* rows are other programs' own figures, for context.",
    ]


def _lines(dataset: str, label: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    from graphrep.eval import summarize

    good = [row for row in rows if row["scores"]]
    if not good:
        return [f"| {dataset} | {label} | {rows[0]['status']} |" + " |" * 7] if rows else []
    lines = []
    learned = "oracle" in good[0]["scores"]
    for rule in RULES if learned else ("last epoch",):
        found = [row["scores"][rule] for row in good]
        summaries = [summarize([scores[m] for scores in found]) for m in METRICS]
        cells = [
            dataset,
            label,
            rule if learned else "",
            str(len(found)),
            *(mean_std(s.mean, s.std) for s in summaries),
        ]
        cells.append(f"{np.median([row['seconds'] for row in good]):.3g}")
        cells.append(f"{max(row['peak_memory_bytes'] for row in good) / 2**30:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines
