"""Choosing among several clusterings of one graph without labels: can a cluster be told in two independent ways?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.errors import EmptyGraphError, GraphrepError, ShapeError
from graphrep.eval._result import Result
from graphrep.eval.partition import silhouette
from graphrep.kernels import CSR, modularity
from graphrep.methods._feature_rows import features, leading_directions, times, unit
from graphrep.methods._partition_input import SimpleGraph, prepared
from graphrep.methods.base import Estimator
from graphrep.methods.clusterer import Clustering, ordered_labels

__all__ = ["PartitionChoice", "PartitionEvidence", "select_partition"]

_DIMS, _FOLDS, _SHRINKAGE = 64, 5, 0.05
_BLOCK = 1 << 24  # entries of one (rows, K) block of discriminants
_CLOSE = 0.98  # of the best score: too close to call


@dataclass(frozen=True, eq=False, repr=False)
class PartitionEvidence(Result):
    """What speaks for one candidate; None where it was not looked at.

    Attributes:
        score: by which candidates are ranked; larger is better.
        from_features: Cohen's kappa of labels that a linear discriminant of the node's own features predicts.
        from_links: Cohen's kappa of the weightiest label among the node's neighbours.
        modularity: of the partition.
        silhouette: of unit feature rows, for graphs without links only.
        num_clusters: clusters that have a node.
    """

    score: float
    from_features: float | None
    from_links: float | None
    modularity: float | None
    silhouette: float | None
    num_clusters: int


@dataclass(frozen=True, eq=False, repr=False)
class PartitionChoice(Result):
    """The candidate that was chosen, why, and what speaks for each.

    Attributes:
        name: of the candidate.
        reason: one or two sentences.
        evidence: by name, in the order of the candidates.
    """

    name: str
    reason: str
    evidence: dict[str, PartitionEvidence]


def select_partition(graph: Any, candidates: Mapping[str, Any], *, seed: int = 0) -> PartitionChoice:
    """The candidate whose clusters links and features agree on; labels of the nodes are never looked at.

    Every method makes clusters that are clear in what it optimised: communities in the links, k-means in the features.
    So a candidate is judged in both, each by itself: how well the cluster of a node is predicted

    - from its own features, not smoothed, by a linear discriminant that was fitted on other nodes (five folds, 64
      singular directions of the unit feature rows), and
    - from its neighbours, as the weightiest cluster among them (nodes without neighbours are left out).

    Both are Cohen's kappa, 0 for what the sizes alone would give; negative ones count as 0. The score is their product.
    A graph without features is judged by modularity, one without links by the silhouette of unit feature rows.

    Args:
        graph: anything that :meth:`Graph.coerce` takes.
        candidates: fitted clusterers, or labels (N,), by name. They should have the same number of clusters: fewer are
            easier to tell.
        seed: of the folds.

    Returns:
        The choice; of equal scores the first candidate.

    Raises:
        EmptyGraphError: neither links nor features.
        GraphrepError, ShapeError: no candidates, or labels that do not fit the graph.

    The rule was picked among seventeen by the classes of ACM, DBLP, CiteSeer, Cora and USPS, where it takes the best of
    eight baselines or one within 1.5 points of accuracy; on eight other sets its choice is 2.3 points below the best in
    the mean. It is no proof of quality: true classes score below the clusters of a good method.

    Example:
        >>> import graphrep as gr
        >>> digits = gr.load("digits")
        >>> models = {"smooth": gr.SmoothedKMeans(10), "kmeans": gr.KMeans(10)}
        >>> select_partition(digits, {name: model.fit(digits) for name, model in models.items()}).name
        'smooth'
    """
    simple = prepared(graph)
    if not candidates:
        raise GraphrepError("There are no candidates to choose from.", hint="{'louvain': Louvain(7).fit(graph), ...}")
    labels = {name: _labels(value, simple.num_nodes, name) for name, value in candidates.items()}
    linked = not bool(simple.isolated().all())
    rows = None
    if simple.graph.num_features:
        whole = unit(features(simple.graph, "Selection"))
        rows = unit(times(whole, leading_directions(whole, _DIMS, seed)[0]))
    elif not linked:
        raise EmptyGraphError("The graph has neither links nor features.", hint="one of them")
    evidence = {name: _evidence(simple, rows, found, linked, seed) for name, found in labels.items()}
    best = max(evidence, key=lambda name: evidence[name].score)
    return PartitionChoice(best, _reason(best, evidence), evidence)


def _labels(value: Any, num_nodes: int, name: str) -> Tensor:
    if isinstance(value, Estimator) and not isinstance(value, Clustering):
        raise GraphrepError(f'candidate "{name}" is a {type(value).__name__} that is not fitted.', hint=".fit(graph)")
    found = torch.as_tensor(value.labels_ if isinstance(value, Clustering) else value).long().cpu()
    if found.shape != (num_nodes,):
        raise ShapeError(
            f'candidate "{name}" has labels of shape {tuple(found.shape)}; the graph has {num_nodes} nodes.',
            hint="(N,)",
        )
    if int(found.min()) < 0:
        raise GraphrepError(f'candidate "{name}" has the label {int(found.min())}.', hint="labels 0..K-1 for all nodes")
    return ordered_labels(found)[0]


def _evidence(simple: SimpleGraph, rows: Tensor | None, labels: Tensor, linked: bool, seed: int) -> PartitionEvidence:
    count = int(labels.max()) + 1
    told = None if rows is None else kappa(_from_features(rows, labels, count, seed), labels)
    linked_nodes = ~simple.isolated()
    near = kappa(_from_links(simple.csr, labels, count)[linked_nodes], labels[linked_nodes]) if linked else None
    value = modularity(simple.csr, labels) if linked else None
    apart = None if linked or rows is None else silhouette(rows, labels, seed=seed)
    if told is not None and near is not None:
        score = max(told, 0.0) * max(near, 0.0)
    else:
        score = value if value is not None else apart  # type: ignore[assignment]
    return PartitionEvidence(-math.inf if math.isnan(score) else score, told, near, value, apart, count)


def kappa(predicted: Tensor, labels: Tensor) -> float:
    """Cohen's kappa: agreement beyond what the frequencies give by themselves; 0 where that is all there can be.

    Example:
        >>> kappa(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1]))
        0.5
    """
    count = int(max(predicted.max(), labels.max())) + 1
    share = [torch.bincount(part, minlength=count).double() / labels.numel() for part in (predicted, labels)]
    chance = float((share[0] * share[1]).sum())
    return (float((predicted == labels).double().mean()) - chance) / (1 - chance) if chance < 1 else 0.0


def _from_features(rows: Tensor, labels: Tensor, count: int, seed: int) -> Tensor:
    """(N,) labels predicted by linear discriminants fitted on the other folds.

    The sums of a fold are taken off those of all nodes, so that nothing is added up twice.
    """
    size, width = rows.shape
    folds = torch.randperm(size, generator=torch.Generator().manual_seed(seed)) % _FOLDS
    parts = [(folds == fold).nonzero().squeeze(1) for fold in range(_FOLDS)]
    sums = [_sums(rows[part], labels[part], count) for part in parts]
    whole = [torch.stack(kind).sum(0) for kind in zip(*sums, strict=True)]
    predicted = torch.empty_like(labels)
    for part, own in zip(parts, sums, strict=True):
        number, first, second = (a - b for a, b in zip(whole, own, strict=True))
        weight, offset = _discriminant(number, first, second, width)
        for block in torch.split(part, max(1, _BLOCK // count)):
            predicted[block] = (rows[block] @ weight + offset).argmax(1)
    return predicted


def _sums(rows: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of each cluster (K,), their sums (K, d), and the products of all rows (d, d)."""
    total = torch.zeros((count, rows.shape[1]), dtype=rows.dtype).index_add_(0, labels, rows)
    return torch.bincount(labels, minlength=count).double(), total, rows.t() @ rows


def _discriminant(number: Tensor, first: Tensor, second: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Weights (d, K) and offsets (K,) of Fisher's linear discriminant; a cluster without rows is never predicted.

    The covariance within clusters is drawn a little towards a multiple of I.
    """
    mean = first / number.clamp(min=1)[:, None]
    within = (second - mean.t() @ first) / number.sum().clamp(min=1)
    spread = within.diagonal().mean().clamp(min=1e-12)
    within = (1 - _SHRINKAGE) * within + _SHRINKAGE * spread * torch.eye(width, dtype=within.dtype)
    weight = torch.linalg.solve(within, mean.t())
    prior = (number / number.sum().clamp(min=1)).log()
    return weight, prior - (mean.t() * weight).sum(0) / 2


def _from_links(csr: CSR, labels: Tensor, count: int) -> Tensor:
    """(N,) the weightiest label among each node's neighbours, the smaller of equal ones; -1 without neighbours."""
    key = csr.row().long() * count + labels[csr.col.long()]
    pair, place = torch.unique(key, return_inverse=True)
    value = torch.ones(csr.nnz, dtype=torch.float64) if csr.value is None else csr.value.detach().double()
    weight = torch.zeros(pair.numel(), dtype=torch.float64).index_add_(0, place, value).numpy()
    node, label = (pair // count).numpy(), (pair % count).numpy()
    order = np.lexsort((-label, weight, node))  # the last entry of each node is the one wanted
    found = np.full(csr.num_rows, -1)
    found[node[order]] = label[order]
    return torch.from_numpy(found)


def _reason(best: str, evidence: dict[str, PartitionEvidence]) -> str:
    mine = evidence[best]
    if mine.from_features is not None and mine.from_links is not None:
        text = (
            f"{best}: a node's cluster is told from its features with kappa {mine.from_features:.2f} and from its "
            f"neighbours with {mine.from_links:.2f}, together {mine.score:.2f}"
        )
    else:
        kind = "silhouette of the features" if mine.modularity is None else "modularity"
        text = f"{best} has the largest {kind}, {mine.score:.2f}"
    others = sorted((e.score, name) for name, e in evidence.items() if name != best)
    text += f" (next: {others[-1][1]}, {others[-1][0]:.2f})." if others else "; there is no other candidate."
    if others and others[-1][0] >= _CLOSE * mine.score:
        text += " The two are too close to call."
    if len({e.num_clusters for e in evidence.values()}) > 1:
        text += " The candidates have different numbers of clusters, and fewer are easier to tell."
    return text
