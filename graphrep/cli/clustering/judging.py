"""Clusterings judged: without labels by links and features, with labels by agreement; spread and agreement of seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphrep.cli.clustering.fitting import Fit
from graphrep.cli.clustering.inputs import Inputs
from graphrep.cli.clustering.wanted import BASELINES
from graphrep.methods._partition_input import prepared
from graphrep.methods._quality_space import quality_space

__all__ = ["CRITERIA", "SCORES", "Judge", "Row", "agreement", "rows", "weak_points"]

Array = np.ndarray[Any, Any]
CRITERIA = {
    "evidence": "evidence",
    "modularity": "modularity",
    "silhouette": "silhouette",
    "conductance": "conductance",
}
SCORES = {"acc": "ACC", "nmi": "NMI", "ari": "ARI", "macro_f1": "F1"}
_SPECTRUM = 16  # values of the spectrum that the judge asks for, and does not use
_SAMPLE = 5_000  # rows of the silhouette, the same for every clustering
_CLOSE = 0.98  # of the evidence for a baseline: too close to call
_MOST = 3  # of the four scores in which a baseline must be better for a mark


class Judge:
    """Judges clusterings of one graph by the same rules.

    Args:
        inputs: the graph, and labels where there are any.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._graph, self._inputs = inputs.graph, inputs
        self._known = inputs.known
        self._space = quality_space(prepared(inputs.graph), _SPECTRUM, 0)
        count = inputs.graph.num_nodes
        chosen = np.random.default_rng(0).permutation(count)[:_SAMPLE]
        self._sample = np.sort(chosen)

    @property
    def space(self) -> str:
        """What the vectors of the silhouette are."""
        return self._space.name

    def evidence(self, fits: Sequence[Fit]) -> list[float]:
        """By which clusterings are chosen: how well clusters are told from features and from links, each by itself."""
        from graphrep.methods import select_partition

        found = select_partition(self._inputs.judged, {f"{fit.method} {fit.seed}": fit.labels for fit in fits})
        return [one.score for one in found.evidence.values()]

    def criteria(self, labels: Array) -> dict[str, float]:
        """Modularity, mean conductance and silhouette; NaN where one is undefined. :meth:`evidence` is apart."""
        from graphrep.eval import partition_scores

        found = partition_scores(self._graph.edge_index, labels, self._graph.edge_weight)
        return {
            "modularity": found.modularity,
            "conductance": found.conductance_mean,
            "silhouette": self._silhouette(labels),
        }

    def conductance(self, labels: Array) -> list[float]:
        """Of each cluster."""
        from graphrep.eval import partition_scores

        found = partition_scores(self._graph.edge_index, labels, self._graph.edge_weight)
        return list(found.conductance)

    def scores(self, labels: Array) -> dict[str, float]:
        """Agreement with the labels; empty without labels."""
        if self._known is None:
            return {}
        from graphrep.eval import cluster_scores

        found = cluster_scores(self._known.y, labels)
        return {name: float(getattr(found, name)) for name in SCORES}

    def _silhouette(self, labels: Array) -> float:
        from graphrep.eval import silhouette

        return float(silhouette(self._space.rows[self._sample], labels[self._sample]))


@dataclass(frozen=True)
class Row:
    """One method in the table.

    Attributes:
        method: its name.
        baseline: whether it was added to compare with.
        runs: its fits, by seed.
        values: name -> a value per run: evidence, criteria, scores, clusters, seconds, peak.
        agreement: mean adjusted Rand index between runs, NaN for a single one.
    """

    method: str
    baseline: bool
    runs: tuple[Fit, ...]
    values: Mapping[str, Sequence[float]]
    agreement: float

    def mean(self, name: str) -> float:
        """Over the runs; NaN where it is undefined in all of them."""
        known = [value for value in self.values[name] if not math.isnan(value)]
        return float(np.mean(known)) if known else math.nan

    def std(self, name: str) -> float:
        """Sample standard deviation over the runs (n - 1); NaN for a single one."""
        known = [value for value in self.values[name] if not math.isnan(value)]
        return float(np.std(known, ddof=1)) if len(known) > 1 else math.nan


def rows(fits: Sequence[Fit], judge: Judge) -> list[Row]:
    """A row per method, in the order of the fits."""
    found = []
    evidence = dict(zip(map(id, fits), judge.evidence(fits), strict=True))
    for method in dict.fromkeys(fit.method for fit in fits):
        mine = tuple(fit for fit in fits if fit.method == method)
        judged = [{**judge.criteria(fit.labels), **judge.scores(fit.labels)} for fit in mine]
        values: dict[str, list[float]] = {name: [one[name] for one in judged] for name in judged[0]}
        values["evidence"] = [evidence[id(fit)] for fit in mine]
        values["clusters"] = [float(fit.count) for fit in mine]
        values["seconds"] = [fit.seconds for fit in mine]
        values["peak"] = [float(fit.peak) for fit in mine]
        matrix = agreement([fit.labels for fit in mine])
        found.append(Row(method, mine[0].baseline, mine, values, mean_agreement(matrix)))
    return found


def agreement(labels: Sequence[Array]) -> Array:
    """(n, n) adjusted Rand indices between clusterings."""
    from sklearn.metrics import adjusted_rand_score

    matrix = np.eye(len(labels))
    for i, first in enumerate(labels):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = adjusted_rand_score(first, labels[j])
    return matrix


def mean_agreement(matrix: Array) -> float:
    """Mean over the pairs; NaN without a pair."""
    count = len(matrix)
    return float(matrix[np.triu_indices(count, 1)].mean()) if count > 1 else math.nan


def weak_points(row: Row, table: Sequence[Row]) -> list[str]:
    """Sentences on baselines that are better than this row: by the evidence that needs no labels, or in most scores."""
    others = [other for other in table if other.method in BASELINES and other.method != row.method]
    said = []
    ahead = [other for other in others if row.mean("evidence") < _CLOSE * other.mean("evidence")]
    if ahead:
        best = max(ahead, key=lambda other: other.mean("evidence"))
        numbers = f"evidence {best.mean('evidence'):.3f} against {row.mean('evidence'):.3f}"
        said.append(f"Better without looking at labels: {_names(ahead)}. {best.method}: {numbers}.")
    scores = [name for name in SCORES if name in row.values]
    ahead = [o for o in others if sum(o.mean(name) > row.mean(name) for name in scores) >= _MOST]
    if ahead:
        best = max(ahead, key=lambda other: sum(other.mean(name) for name in scores))
        numbers = ", ".join(f"{SCORES[n]} {100 * best.mean(n):.1f} against {100 * row.mean(n):.1f}" for n in scores)
        said.append(f"In better agreement with the labels: {_names(ahead)}. {best.method}: {numbers}.")
    return said


def _names(rows_: Sequence[Row]) -> str:
    return ", ".join(row.method for row in rows_)
