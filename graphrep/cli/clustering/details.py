"""How sure each node's cluster is, and what each cluster is like: size, conductance, features, central nodes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from graphrep.data import Graph

__all__ = ["Certainty", "ClusterFacts", "certainty", "describe_clusters"]

Array = np.ndarray[Any, Any]
_TOP_FEATURES = 5
_CENTRAL = 3
_COMMON = 1e-12  # spread of a feature that is the same everywhere
_ROWS = 1 << 14


@dataclass(frozen=True)
class Certainty:
    """How sure each node's cluster is.

    Attributes:
        confidence: (N,) share of the node's own cluster; NaN where nothing is known.
        second: (N,) the other cluster with the largest share, -1 where there is none.
        margin: (N,) own share minus that of `second`; negative where another cluster has a larger one.
        meaning: what a share is.
    """

    confidence: Array
    second: Array
    margin: Array
    meaning: str


def certainty(labels: Array, probabilities: Any, graph: Graph) -> Certainty:
    """Shares of the clusters for each node: those of the method, or else those of the node's links.

    Args:
        labels: (N,) clusters 0..K-1.
        probabilities: (N, C) of the method, or None.
        graph: undirected.
    """
    if probabilities is not None:
        return _by_method(labels, np.asarray(probabilities, dtype=np.float64))
    return _by_links(labels, graph)


def _by_method(labels: Array, shares: Array) -> Certainty:
    own = shares[np.arange(len(labels)), labels]
    others = shares.copy()
    others[np.arange(len(labels)), labels] = -1.0
    second = others.argmax(1) if shares.shape[1] > 1 else np.full(len(labels), -1)
    best = np.where(second >= 0, others.max(1), 0.0) if shares.shape[1] > 1 else np.zeros(len(labels))
    return Certainty(own, second, own - best, "the method's own share (q) of the cluster")


def _by_links(labels: Array, graph: Graph) -> Certainty:
    """A node's links (their weights) by the cluster of the other end; memory O(E)."""
    import scipy.sparse as sp

    count = len(labels)
    member = sp.csr_array((np.ones(count), (np.arange(count), labels)), shape=(count, int(labels.max(initial=0)) + 1))
    adjacency = graph.csr("in").to_scipy().astype(np.float64)
    inside = (adjacency @ member).tocsr()
    total = np.asarray(inside.sum(1)).reshape(-1)
    row = np.repeat(np.arange(count), np.diff(inside.indptr))
    share = inside.data / np.where(total > 0, total, 1.0)[row]
    mine = inside.indices == labels[row]
    own = np.zeros(count)
    own[row[mine]] = share[mine]
    second, best = np.full(count, -1), np.zeros(count)
    other = np.flatnonzero(~mine)
    order = other[np.lexsort((-inside.indices[other], share[other]))]  # of equal shares the lower cluster comes last
    second[row[order]], best[row[order]] = inside.indices[order], share[order]
    nothing = total == 0
    return Certainty(
        np.where(nothing, np.nan, own),
        second,
        np.where(nothing, np.nan, own - best),
        "the share of the node's links (weights) that stay in the cluster",
    )


@dataclass(frozen=True)
class ClusterFacts:
    """What a cluster is like.

    Attributes:
        cluster: its number.
        size: nodes.
        conductance: cut over the smaller volume; None where that is 0 / 0.
        confidence: mean over its nodes; None where it is known for none.
        features: (name, standardised difference of its mean from the mean of all nodes), largest first.
        central: names of the nodes with most links inside.
        classes: (class, nodes of it in the cluster), most first; empty without labels.
    """

    cluster: int
    size: int
    conductance: float | None
    confidence: float | None
    features: list[tuple[str, float]]
    central: list[str]
    classes: list[tuple[str, int]]


def describe_clusters(
    graph: Graph,
    labels: Array,
    sure: Certainty,
    names: Sequence[Any],
    *,
    features: tuple[Any, Sequence[str]] | None,
    conductance: Sequence[float] | None,
    known: tuple[Array, Sequence[str]] | None = None,
) -> list[ClusterFacts]:
    """A row per cluster.

    Args:
        graph: undirected.
        labels: (N,) clusters 0..K-1.
        sure: of these labels.
        names: of the nodes.
        features: (N, F) numbers, dense or sparse, and F names; None: nothing is said of features.
        conductance: of each cluster.
        known: (N,) class numbers and the classes' names.
    """
    count = int(labels.max()) + 1
    size = np.bincount(labels, minlength=count)
    leading = _leading_features(labels, count, *features) if features is not None else [[] for _ in range(count)]
    central = _central(graph, labels, count, names)
    known_classes = _classes(labels, count, known)
    facts = []
    for cluster in range(count):
        mine = sure.confidence[labels == cluster]
        mine = mine[~np.isnan(mine)]
        leak = None if conductance is None or np.isnan(conductance[cluster]) else float(conductance[cluster])
        facts.append(
            ClusterFacts(
                cluster, int(size[cluster]), leak, float(mine.mean()) if len(mine) else None,
                leading[cluster], central[cluster], known_classes[cluster],
            )
        )  # fmt: skip
    return facts


def _classes(labels: Array, count: int, known: tuple[Array, Sequence[str]] | None) -> list[list[tuple[str, int]]]:
    if known is None:
        return [[] for _ in range(count)]
    y, names = known
    table = np.zeros((count, len(names)), dtype=np.int64)
    np.add.at(table, (labels[y >= 0], y[y >= 0]), 1)
    order = np.argsort(-table, axis=1, kind="stable")
    return [[(names[c], int(table[k, c])) for c in order[k] if table[k, c]] for k in range(count)]


def _central(graph: Graph, labels: Array, count: int, names: Sequence[Any]) -> list[list[str]]:
    """The nodes of each cluster with the most links (weights) inside it."""
    source, target = np.asarray(graph.edge_index)
    inside = labels[source] == labels[target]
    weight = None if graph.edge_weight is None else np.asarray(graph.edge_weight, dtype=np.float64)[inside]
    strength = np.bincount(target[inside], weights=weight, minlength=len(labels))
    order = np.lexsort((np.arange(len(labels)), -strength, labels))
    starts = np.searchsorted(labels[order], np.arange(count + 1))
    return [
        [str(names[node]) for node in order[first : min(first + _CENTRAL, last)] if strength[node] > 0]
        for first, last in itertools.pairwise(starts.tolist())
    ]


def _leading_features(labels: Array, count: int, x: Any, names: Sequence[str]) -> list[list[tuple[str, float]]]:
    """Features whose mean in a cluster lies farthest above the mean of all nodes, in standard deviations."""
    rows = _matrix(x)
    size = np.maximum(np.bincount(labels, minlength=count), 1)[:, None]
    sums, square = _sums(labels, count, rows)
    mean, overall = sums / size, sums.sum(0) / max(len(labels), 1)
    square = square / max(len(labels), 1)
    spread = np.sqrt(np.maximum(square - overall**2, 0.0))
    above = np.where(spread > _COMMON, (mean - overall) / np.where(spread > _COMMON, spread, 1.0), 0.0)
    order = np.argsort(-above, axis=1, kind="stable")[:, :_TOP_FEATURES]
    return [[(str(names[f]), float(above[k, f])) for f in order[k] if above[k, f] > 0] for k in range(count)]


def _sums(labels: Array, count: int, rows: Any) -> tuple[Array, Array]:
    """(count, F) sums of the rows of each cluster and (F,) sums of all squares, a block of rows at a time."""
    import scipy.sparse as sp

    sums, square = np.zeros((count, rows.shape[1])), np.zeros(rows.shape[1])
    for start in range(0, len(labels), _ROWS):
        mine = labels[start : start + _ROWS]
        part = rows[start : start + _ROWS].astype(np.float64)
        product = sp.csr_array((np.ones(len(mine)), (mine, np.arange(len(mine)))), shape=(count, len(mine))) @ part
        if sp.issparse(part):
            sums += product.toarray()
            square += np.asarray(part.multiply(part).sum(0)).reshape(-1)
        else:
            sums += product
            square += np.einsum("ij,ij->j", part, part)
    return sums, square


def _matrix(x: Any) -> Any:
    """Features as a scipy CSR or numpy array."""
    import scipy.sparse as sp

    if sp.issparse(x):
        return sp.csr_array(x)
    if getattr(x, "layout", None) is not None and str(x.layout) == "torch.sparse_csr":
        pieces = (x.values().float().numpy(), x.col_indices().numpy(), x.crow_indices().numpy())
        return sp.csr_array(pieces, shape=tuple(x.shape))
    return np.asarray(x)
