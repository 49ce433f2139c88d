"""The link prediction suite of `graphrep bench`: new random splits per seed, heuristics beside what is trained."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.benching_course import course_facts
from graphrep.cli.graphs import find_graph
from graphrep.cli.judging import mean_std
from graphrep.cli.linking.judging import HeldOut, hard_negatives, judge
from graphrep.cli.linking.predictors import kind_of, make_predictor
from graphrep.cli.system import peak_memory, reset_peak_memory
from graphrep.data.check import grouped
from graphrep.data.links import LinkSplit
from graphrep.data.split import split_edges
from graphrep.errors import GraphrepError
from graphrep.recipes import recipe, recipe_names

__all__ = ["LinkBench", "linkpred_line", "linkpred_run", "linkpred_table"]

KS = (20, 50, 100)
PLANETOID = ("cora", "citeseer", "pubmed", "pubmed_partial")  # the protocol of the NCN paper; others: 85/5/10
HARD_LINKS = 300  # test links that have hard negatives, 500 each
_COLUMNS: dict[str, tuple[str, ...]] = {
    "AUC": ("uniform", "auc"), "AP": ("uniform", "ap"), "MRR": ("uniform", "mrr"),
    "Hits@20": ("uniform", "hits", "20"), "Hits@100": ("uniform", "hits", "100"),
    "HeaRT MRR": ("heart", "mrr"), "HeaRT Hits@10": ("heart", "hits", "10"),
}  # fmt: skip


class LinkBench:
    """A graph with its splits and hard negatives, each made once for a seed.

    Args:
        dataset: the user's name for it.
        data_dir: root of named data sets.
    """

    def __init__(self, dataset: str, data_dir: Path | None) -> None:
        self.graph = find_graph(dataset, data_dir=data_dir)
        self.planetoid = dataset.rpartition("/")[2] in PLANETOID
        self._made: dict[int, tuple[LinkSplit, HeldOut]] = {}

    def parts(self, seed: int) -> tuple[LinkSplit, HeldOut]:
        """The split of a seed, and what its predictors are judged by."""
        if seed not in self._made:
            split = self._planetoid(seed) if self.planetoid else self._usual(seed)
            assert split.test_pos is not None
            assert split.test_neg is not None
            hard = hard_negatives(split, seed=seed, most=HARD_LINKS) if self.planetoid else (None, None)
            ks = tuple(k for k in KS if k < split.test_neg.shape[1]) or (1,)
            self._made[seed] = split, HeldOut(split.test_pos, split.test_neg, ks, *hard)
        return self._made[seed]

    def _usual(self, seed: int) -> LinkSplit:
        return split_edges(self.graph, shares=(85, 5, 10), directed=False, seed=seed).link_split(self.graph)

    def _planetoid(self, seed: int) -> LinkSplit:
        """70/10/20 with as many negatives for validation as for test."""
        sizes = split_edges(self.graph, shares=(70, 10, 20), negatives=0, directed=False, seed=seed).sizes()
        ratio = sizes["test"] / max(sizes["val"], 1)
        made = split_edges(self.graph, shares=(70, 10, 20), negatives=ratio, directed=False, seed=seed)
        split = made.link_split(self.graph)
        return split.replace(test_neg=made.test_neg[:, : sizes["test"]], val_neg=made.val_neg[:, : sizes["test"]])


def linkpred_run(method: str, params: Mapping[str, Any], data: LinkBench) -> dict[str, Any]:
    """One training on the split of its seed, and its scores on the test pairs."""
    split, test = data.parts(int(params["seed"]))
    assert split.val_pos is not None
    sizes = {"train": split.graph.num_edges // 2, "val": split.val_pos.shape[1], "test": test.pos.shape[1]}
    facts = {
        "sizes": {
            **sizes,
            "test_neg": test.neg.shape[1],
            "hard": list(test.hard.shape[:2]) if test.hard is not None else None,
        }
    }
    reset_peak_memory()
    began = time.perf_counter()
    try:
        predictor = make_predictor(method, params).fit(split)
        fitted = time.perf_counter()
        scores, _ = judge(predictor, test)
    except GraphrepError as error:  # a diverged training is a row that says so
        return {"scores": {}, **facts, "status": str(error).splitlines()[0], "seconds": 0.0, "peak_memory_bytes": 0}
    history = getattr(getattr(predictor, "model", None), "history_", None)
    return {
        **facts,
        "title": predictor.title,
        "scores": scores,
        "status": "ok",
        **(course_facts(history) if history is not None else {}),
        "seconds": round(fitted - began, 4),
        "judge_seconds": round(time.perf_counter() - fitted, 4),
        "peak_memory_bytes": peak_memory(),
        "notes": predictor.notes,
    }


def _value(row: Mapping[str, Any], column: str) -> float | None:
    found: Any = row["scores"]
    for key in _COLUMNS[column]:
        found = found.get(key) if isinstance(found, Mapping) else None
    return None if found is None else float(found)


def linkpred_line(row: Mapping[str, Any]) -> str:
    """A finished run, for the log."""
    values = {name: _value(row, name) for name in _COLUMNS}
    told = "  ".join(f"{name} {100 * value:.2f}" for name, value in values.items() if value is not None)
    epoch = f"   epoch {row['kept_epoch']}/{row['epochs']}" if row.get("epochs") else ""
    head = f"{row['dataset']:<10} {row['label']:<22} seed {row['seed']:<3}"
    return f"{head} {told or row['status']}{epoch}   {row['seconds']:.1f} + {row.get('judge_seconds', 0):.1f} s"


def linkpred_table(datasets: Sequence[str], variants: Sequence[Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown: a line per set and variant, a column with the paired difference to the base row, published scores."""
    head = ["data set", "method", "seeds", *_COLUMNS, "kept epoch", "s / epoch", "seconds", "peak GiB"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for dataset in datasets:
        mine = [row for row in rows if row["dataset"] == dataset]
        best = _best_heuristic(mine)
        for variant in variants:
            own = sorted((row for row in mine if row["label"] == variant.label), key=lambda row: row["seed"])
            lines += _lines(dataset, variant, own, mine, best)
    return [
        *lines,
        "",
        *_facts(datasets, rows),
        "Mean +- sample standard deviation over seeds, in percent. Each seed draws a new split and starts a new "
        "training; the epoch is chosen by Hits@K of the validation links, and the test pairs are looked at once. "
        "Hits@K and MRR: each test link among all test negatives, drawn uniformly. HeaRT: among hard negatives of "
        "its own. A * marks a learned method whose mean is below that of the best heuristic of the column. In "
        "brackets the mean difference to the row it is an ablation of, on the same seeds, and its 95 % interval. "
        "*Published* rows are the authors' own figures, on other random splits.",
    ]  # fmt: skip


def _best_heuristic(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """For each column the best mean of a heuristic."""
    labels = {row["label"] for row in rows if kind_of(row["method"]) == "heuristic"}
    found: dict[str, float] = {}
    for column in _COLUMNS:
        means = [np.mean(v) for label in labels if (v := _values(rows, label, column))]
        if means:
            found[column] = float(max(means))
    return found


def _values(rows: Sequence[Mapping[str, Any]], label: str, column: str) -> list[float]:
    found = (_value(row, column) for row in rows if row["label"] == label)
    return [value for value in found if value is not None]


def _lines(
    dataset: str, variant: Any, own: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]],
    best: Mapping[str, float],
) -> list[str]:  # fmt: skip
    good = [row for row in own if row["scores"]]
    if not good:
        blanks = " |" * (len(_COLUMNS) + 4)
        return [f"| {dataset} | {variant.label} | {own[0]['status']} |{blanks}"] if own else []
    learned = kind_of(variant.method) != "heuristic"
    cells = [dataset, variant.label, str(len(good)), *(_cell(good, rows, variant, c, best, learned) for c in _COLUMNS)]
    epochs = [row["kept_epoch"] for row in good if row.get("kept_epoch")]
    span = (
        f"{min(epochs)}" if epochs and min(epochs) == max(epochs) else f"{min(epochs)}-{max(epochs)}" if epochs else ""
    )
    speed = [row["seconds_per_epoch"] for row in good if row.get("seconds_per_epoch") is not None]
    cells += [span, f"{np.median(speed):.3g}" if speed else "", f"{np.median([row['seconds'] for row in good]):.3g}"]
    cells.append(f"{max(row['peak_memory_bytes'] for row in good) / 2**30:.2f}")
    return ["| " + " | ".join(cells) + " |", *_published(dataset, variant)]


def _cell(
    good: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], variant: Any, column: str,
    best: Mapping[str, float], learned: bool,
) -> str:  # fmt: skip
    from graphrep.eval import compare, summarize

    mine = {row["seed"]: 100 * value for row in good if (value := _value(row, column)) is not None}
    if not mine:
        return ""
    summary = summarize(list(mine.values()))
    text = mean_std(summary.mean, summary.std)
    if learned and column in best and summary.mean < 100 * best[column]:
        text += " *"
    base = {r["seed"]: 100 * v for r in rows if r["label"] == variant.base and (v := _value(r, column)) is not None}
    shared = sorted(mine.keys() & base.keys())
    if len(shared) < 2:
        return text
    difference = compare([base[s] for s in shared], [mine[s] for s in shared])
    low, high = difference.ci95
    return f"{text} ({difference.mean_difference:+.2f}: {low:+.2f} to {high:+.2f})"


def _published(dataset: str, variant: Any) -> list[str]:
    """The line of the authors' scores, of the whole method alone."""
    name = f"{variant.method}/{dataset.rpartition('/')[2]}"
    known = recipe(name).published if name in recipe_names() and not variant.params else {}
    if not known.get("hits"):
        return []
    values = {f"Hits@{k}": value for k, value in zip(known["hits_at"], known["hits"], strict=True)}
    cells = [
        dataset,
        f"*{variant.label}, published*",
        "",
        *(f"{values[c]:.2f}" if c in values else "" for c in _COLUMNS),
    ]
    return ["| " + " | ".join([*cells, "", "", "", ""]) + " |"]


def _facts(datasets: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line on what each set holds."""
    lines = []
    for dataset in datasets:
        found = next((row["sizes"] for row in rows if row["dataset"] == dataset), None)
        if found is not None:
            parts = (
                f"{grouped(found['train'])} training, {grouped(found['val'])} validation, {grouped(found['test'])} test"
            )
            hard = (
                f"; {found['hard'][0]} test links with {found['hard'][1]} hard negatives each" if found["hard"] else ""
            )
            lines += [f"{dataset}: {parts} links, {grouped(found['test_neg'])} test negatives{hard}.", ""]
    return lines
