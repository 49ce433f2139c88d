"""Curves that help to choose the number of clusters; no index recovers it, so all of them are shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphrep.data.check import grouped
from graphrep.data.graph import Graph
from graphrep.errors import GraphrepError
from graphrep.eval._result import Result
from graphrep.eval.clustering import cluster_scores
from graphrep.eval.partition import davies_bouldin, silhouette
from graphrep.kernels import modularity
from graphrep.methods._partition_input import SimpleGraph, check_cluster_count, check_integer, induced, prepared
from graphrep.methods._quality_space import quality_space
from graphrep.methods.base import Estimator

__all__ = ["ClusterCurve", "Suggestion", "cluster_curve"]

Fit = Callable[[Graph, int, int], Any]  # (graph, number of clusters, seed) -> labels (N,)
Floats = NDArray[np.float64]
_SHARE = 0.5
_UPWARD = ("modularity", "silhouette", "singular_gap", "stability")  # larger is better; davies_bouldin: smaller


@dataclass(frozen=True, eq=False, repr=False)
class Suggestion(Result):
    """A number of clusters to begin with, and why; `k` is None where nothing can be said."""

    k: int | None
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class ClusterCurve(Result):
    """Indices of a clustering for every number of clusters that was tried; NaN where one is not defined.

    Attributes:
        ks: (Q,) numbers asked for.
        found: (Q,) clusters that have a node.
        modularity: (Q,) of the partition of the graph; larger is better, and it likes many clusters.
        silhouette: (Q,) of the vectors in `space`; larger is better, and it likes few.
        davies_bouldin: (Q,) of the vectors; smaller is better.
        singular_gap: (Q,) ratio of singular values K and K + 1 of the vectors; it does not depend on the method.
        stability: (Q,) mean adjusted Rand index between clusterings of two random halves, on the nodes in both.
        space: what the vectors are.
        suggestion: a number to begin with.
        notes: sentences that a user must be told.
    """

    ks: NDArray[np.int64]
    found: NDArray[np.int64]
    modularity: Floats
    silhouette: Floats
    davies_bouldin: Floats
    singular_gap: Floats
    stability: Floats
    space: str
    suggestion: Suggestion
    notes: list[str]

    def to_dict(self, *, arrays: bool = True) -> dict[str, Any]:
        """Plain values; the curves are lists."""
        return super().to_dict(arrays=arrays)

    def to_json(self, *, arrays: bool = True, indent: int | None = None) -> str:
        """The curves as JSON text, NaN as null."""
        return super().to_json(arrays=arrays, indent=indent)

    def rows(self) -> list[dict[str, float]]:
        """One dict per number of clusters."""
        names = ("ks", "found", *_UPWARD[:2], "davies_bouldin", *_UPWARD[2:])
        return [{name: getattr(self, name)[i].item() for name in names} for i in range(len(self.ks))]


def cluster_curve(
    fit: Any, graph: Any, ks: Iterable[int] = range(2, 11), *, resamples: int = 3, seed: int = 0
) -> ClusterCurve:
    """Clusters a graph into each number of clusters and measures every result without labels.

    Modularity is that of the graph without direction. Silhouette (on 20 000 random nodes above that many),
    Davies-Bouldin index and singular values are those of features smoothed over four hops, as
    :class:`~graphrep.methods.SmoothedKMeans` has them, or of leading eigenvectors where there are no features. For the
    stability the graph is halved at random `resamples` times two; the two clusterings are compared on the nodes that
    are in both halves.

    The suggestion is the number with the best mean rank over the five curves. It is a place to begin, no more: none of
    the indices recovers the number of classes of public sets, and which numbers are tried changes the ranks. With
    SmoothedKMeans and 2 to 12 it was 3, 5, 6, 5 and 11 on ACM (3 classes), DBLP (4), CiteSeer (6), Cora (7) and USPS
    (10).

    Args:
        fit: a clusterer with a `num_clusters`, which is copied for every fit; or a function of a graph, a number and a
            seed that gives labels (N,).
        graph: anything that :meth:`Graph.coerce` takes.
        ks: numbers to try, each between 1 and N.
        resamples: pairs of halves; 0 leaves stability out. Each costs two fits per number.
        seed: of the fits and of the halves.

    Raises:
        EmptyGraphError: neither links nor features.
        GraphrepError: nothing to try, or a number that is out of range.

    Example:
        >>> import graphrep as gr
        >>> curve = cluster_curve(gr.SmoothedKMeans(), gr.load("digits"), [5, 10], resamples=1)
        >>> curve.ks.tolist(), curve.space
        ([5, 10], 'features smoothed over 4 hops')
    """
    simple = prepared(graph)
    numbers = sorted({check_cluster_count(int(k), simple.num_nodes) for k in ks})
    if not numbers:
        raise GraphrepError("There are no numbers of clusters to try.", hint="ks=range(2, 11)")
    check_integer("resamples", resamples, 0)
    run = _runner(fit)
    space = quality_space(simple, numbers[-1] + 1, seed)
    notes = list(simple.notes)
    labels = [_labels(run(simple.graph, k, seed), simple.num_nodes) for k in numbers]
    stability = _stability(run, simple, numbers, resamples, seed, notes)
    curves = {
        "modularity": [modularity(simple.csr, found) if simple.csr.nnz else math.nan for found in labels],
        "silhouette": [silhouette(space.rows, found, seed=seed) for found in labels],
        "davies_bouldin": [davies_bouldin(space.rows, found) for found in labels],
        "singular_gap": [space.gap(k) for k in numbers],
        "stability": stability,
    }
    arrays = {name: np.array(values, dtype=np.float64) for name, values in curves.items()}
    return ClusterCurve(
        ks=np.array(numbers), found=np.array([int(torch.unique(found).numel()) for found in labels]), **arrays,
        space=space.name, suggestion=_suggest(numbers, arrays), notes=notes,
    )  # fmt: skip


def _runner(fit: Any) -> Fit:
    """A function of graph, number and seed from an estimator or such a function."""
    if isinstance(fit, Estimator):
        if "num_clusters" not in fit.get_params():
            raise GraphrepError(f"{type(fit).__name__} takes no number of clusters.", hint="SmoothedKMeans()")

        def run(graph: Graph, k: int, seed: int) -> Any:
            params = {**fit.get_params(), "num_clusters": k}
            if "seed" in params:
                params["seed"] += seed
            return type(fit)(**params).fit_predict(graph)  # type: ignore[attr-defined]

        return run
    if not callable(fit):
        raise GraphrepError(f"fit is a {type(fit).__name__}.", hint="a clusterer, or a function (graph, k, seed)")
    return fit  # type: ignore[no-any-return]


def _labels(found: Any, num_nodes: int) -> Tensor:
    labels = torch.as_tensor(found).long().cpu()
    if labels.shape != (num_nodes,):
        raise GraphrepError(f"fit gave labels of shape {tuple(labels.shape)} for {num_nodes} nodes.", hint="(N,)")
    return labels


def _stability(
    run: Fit, simple: SimpleGraph, numbers: list[int], resamples: int, seed: int, notes: list[str]
) -> list[float]:
    """Mean adjusted Rand index per number; NaN where halves cannot be clustered, which is added to the notes."""
    scores: dict[int, list[float]] = {k: [] for k in numbers}
    refused: dict[int, str] = {}
    for pair in range(resamples):
        halves = list(_halves(simple, seed, pair))
        both = halves[0][0] & halves[1][0]
        for k in numbers:
            try:
                found = [_labels(run(part.graph, k, seed), part.num_nodes) for _, part in halves]
            except GraphrepError as error:
                refused.setdefault(k, error.message)
                continue
            first, second = (labels[both[kept]] for labels, (kept, _) in zip(found, halves, strict=True))
            if first.numel():
                scores[k].append(cluster_scores(first, second).ari)
    notes += [f"Halves of the graph cannot be clustered into {k}: {message}" for k, message in refused.items()]
    return [float(np.mean(values)) if values else math.nan for values in scores.values()]


def _halves(simple: SimpleGraph, seed: int, pair: int) -> Iterator[tuple[Tensor, SimpleGraph]]:
    """Two random halves of the nodes, drawn independently, with the links inside each."""
    generator = torch.Generator().manual_seed(seed + (pair << 32))
    count = max(1, round(_SHARE * simple.num_nodes))
    for _ in range(2):
        kept = torch.zeros(simple.num_nodes, dtype=torch.bool)
        kept[torch.randperm(simple.num_nodes, generator=generator)[:count]] = True
        yield kept, induced(simple, kept)


def _suggest(numbers: list[int], curves: dict[str, Floats]) -> Suggestion:
    """The number of best mean rank, and what each curve says on its own."""
    from scipy.stats import rankdata

    ranks, favourites = [], []
    for name, values in curves.items():
        known = ~np.isnan(values)
        if len(np.unique(values[known])) < 2:
            continue
        signed = np.where(known, values if name in _UPWARD else -values, -np.inf)
        ranks.append(rankdata(-signed))
        favourites.append((name.replace("_", " "), numbers[int(signed.argmax())]))
    if not ranks:
        reason = "Only one number was tried." if len(numbers) == 1 else "No index tells these numbers apart."
        return Suggestion(None, reason)
    best = numbers[int(np.mean(ranks, axis=0).argmin())]
    alone = ", ".join(f"{name} {k}" for name, k in favourites)
    reason = (
        f"{grouped(best)} has the best mean rank over {len(ranks)} indices; on their own they prefer: {alone}. "
        "None of them knows the true number: look at the curves."
    )
    return Suggestion(best, reason)
