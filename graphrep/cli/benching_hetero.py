"""The suite of `graphrep bench` for heterogeneous graphs: trained on the whole graph, judged by probes and k-means."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphrep.cli.benching_course import COURSE, course_cells, course_facts
from graphrep.cli.judging import judge_clusters, judge_probe_splits, mean_std
from graphrep.cli.system import peak_memory, reset_peak_memory
from graphrep.cli.typed import named_splits
from graphrep.errors import DivergedError, MissingLabelsError
from graphrep.recipes import Recipe

__all__ = ["hetero_line", "hetero_run", "hetero_table"]

_PROBE = (("macro_f1", "Ma-F1"), ("micro_f1", "Mi-F1"), ("auc", "AUC"))
_CLUSTERS = (("nmi", "NMI"), ("ari", "ARI"))
_KMEANS = range(10)


def hetero_run(
    method: Any, params: dict[str, Any], options: Mapping[str, Any], dataset: str, graph: Any
) -> dict[str, Any]:
    """One training without labels, and what a linear layer and k-means read off its vectors.

    Args:
        method: the estimator's class.
        params: of its constructor.
        options: of the probe (``lr``, ``weight_decay``), as the recipe has them.
        dataset: what the user calls the graph.
        graph: a :class:`~graphrep.HeteroGraph` with labels and splits.

    Raises:
        MissingLabelsError: no classes.
        FileFormatError: no splits.
    """
    if graph.y is None or graph.y.dim() != 1:
        raise MissingLabelsError(
            f"{dataset} has no classes of its target.", hint="label = COLUMN of [nodes.TYPE] in graph.toml"
        )
    splits = named_splits(graph, dataset)
    reset_peak_memory()
    began = time.perf_counter()
    try:
        model = method(**params).fit(graph)
    except DivergedError as error:  # a row that says so
        return {"scores": {}, "clusters": {}, "status": error.message, "seconds": 0.0, "peak_memory_bytes": 0}
    seconds = time.perf_counter() - began
    memory = peak_memory()
    z, y = model.embedding_.numpy(), np.asarray(graph.y)
    probe = judge_probe_splits(z, y, "dmgi", options, splits)
    clusters = judge_clusters(z, y, k=None, seeds=_KMEANS)
    history = model.history_
    return {
        "scores": {row["split"]: {name: row[name] for name, _ in _PROBE} for row in probe["rows"]},
        "clusters": {name: 100 * clusters[name] for name, _ in _CLUSTERS},
        "status": "ok",
        **course_facts(history),
        "loss": history.epochs[-1].loss if history.epochs else None,
        "parts": dict(history.epochs[-1].parts) if history.epochs else {},
        "attention": {path: list(pair) for path, pair in getattr(model, "attention_", {}).items()},
        "seconds": round(seconds, 3),
        "peak_memory_bytes": memory,
        "notes": list(model.notes_),
    }


def hetero_line(row: Mapping[str, Any]) -> str:
    """A finished run, for the log."""
    text = row["status"]
    if row["scores"]:
        parts = [f"{split} {scores['macro_f1']:.1f}".lstrip() for split, scores in row["scores"].items()]
        text = f"Ma-F1 {'  '.join(parts)}   NMI {row['clusters']['nmi']:.1f}   epoch {row['kept_epoch']}"
    return f"{row['dataset']:<10} {row['label']:<22} seed {row['seed']:<3} {text}   {row['seconds']:.0f} s"


def hetero_table(
    datasets: Sequence[str],
    labels: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    recipes: Mapping[tuple[str, str], Recipe],
) -> list[str]:
    """Markdown: a line per set and method, under it what its authors publish, or their program gave here.

    Args:
        datasets: in order.
        labels: of the methods, in order.
        rows: finished runs.
        recipes: by label and data set; their published and measured numbers stand under the row.
    """
    lines: list[str] = []
    for dataset in datasets:
        own = [row for row in rows if row["dataset"] == dataset]
        splits = list(dict.fromkeys(split for row in own for split in row["scores"]))
        head = ["data set", "method", "seeds"]
        head += [f"{split + ': ' if split else ''}{title}" for split in splits for _, title in _PROBE]
        head += [*(title for _, title in _CLUSTERS), *COURSE]
        lines += [*([""] if lines else []), "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for label in labels:
            lines += _lines(dataset, label, splits, [row for row in own if row["label"] == label])
            lines += _published(dataset, label, splits, recipes.get((label, dataset)))
    return [
        *lines,
        "",
        "Mean +- sample standard deviation over seeds of the whole pipeline; every training sees the whole graph and "
        "no label. A number in front of a score: labelled nodes per class. Each score of a seed is the mean over 50 "
        "initialisations of one linear layer on its vectors, each at its best step by the validation nodes (protocol "
        "dmgi), with the learning rate of the recipe; NMI and ARI are means of ten k-means runs with as many clusters "
        "as classes. Rows in italics are the authors' own figures, or those of their program.",
    ]


def _lines(dataset: str, label: str, splits: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    from graphrep.eval import summarize

    good = [row for row in rows if row["scores"]]
    if not good:
        empty = len(splits) * len(_PROBE) + len(_CLUSTERS) + 3
        return [f"| {dataset} | {label} | {rows[0]['status']} |" + " |" * empty] if rows else []
    found = [summarize([row["scores"][split][name] for row in good]) for split in splits for name, _ in _PROBE]
    found += [summarize([row["clusters"][name] for row in good]) for name, _ in _CLUSTERS]
    cells = [dataset, label, str(len(good)), *(mean_std(s.mean, s.std) for s in found)]
    return ["| " + " | ".join([*cells, *course_cells(good)]) + " |"]


def _published(dataset: str, label: str, splits: Sequence[str], found: Recipe | None) -> list[str]:
    lines = []
    for kind in ("published", "measured"):
        known: dict[str, Any] = getattr(found, kind) if found is not None else {}
        if not known:
            continue
        names = [str(count) for count in known.get("labels", ())]
        title = "published" if kind == "published" else known.get("by", kind)
        cells = [dataset, f"*{label}, {title}*", ""]
        for split in splits:
            cells += [f"{known[name][names.index(split)]:.2f}" if split in names else "" for name, _ in _PROBE]
        cells += [f"{known[name]:.1f}" if name in known else "" for name, _ in _CLUSTERS]
        lines.append("| " + " | ".join([*cells, "", "", ""]) + " |")
    return lines
