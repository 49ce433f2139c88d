"""Clusters without labels: modularity, conductance, coverage of the graph; silhouette, Davies-Bouldin of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import EmptyGraphError, ShapeError
from graphrep.eval._arrays import as_labels, as_matrix
from graphrep.eval._links import undirected_links
from graphrep.eval._result import Result

__all__ = ["PartitionScores", "davies_bouldin", "partition_scores", "silhouette"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SILHOUETTE_ROWS = 20_000


@dataclass(frozen=True, eq=False, repr=False)
class PartitionScores(Result):
    """Scores of a partition of the nodes of an undirected graph; `conductance` per label, labels ascending.

    Example:
        >>> partition_scores([[0, 2], [1, 3]], [0, 0, 1, 1])
        PartitionScores(modularity=0.5, coverage=1, conductance=[0, 0], conductance_mean=0, num_undefined=0, \
silhouette=None, silhouette_rows=0, num_clusters=2)
    """

    modularity: float
    coverage: float
    conductance: list[float]
    conductance_mean: float
    num_undefined: int
    silhouette: float | None
    silhouette_rows: int
    num_clusters: int


def partition_scores(
    edge_index: Any, c: Any, edge_weight: Any = None, *, x: Any = None, resolution: float = 1.0, seed: int = 0
) -> PartitionScores:
    """Modularity, conductance, coverage of a partition, and the silhouette of vectors `x` under it.

    With W the total weight, W_S inside cluster S, vol S the sum of weighted degrees:

    - ``modularity`` = sum_S [ W_S / W - resolution (vol S / 2 W)^2 ] (Newman 2004; Reichardt and Bornholdt 2006);
    - ``conductance`` of S = cut(S) / min(vol S, vol of the rest), NaN where that is 0 / 0 (a cluster without edges, or
      all nodes); `conductance_mean` leaves those out and `num_undefined` counts them;
    - ``coverage`` = sum_S W_S / W;
    - ``silhouette`` (Euclidean) of `x`; on 20 000 random rows above that many, None without `x`, NaN unless there are
      between 2 and N - 1 clusters.

    The graph is undirected: a link may be listed once or in both directions (then with the mean of the two weights),
    with the same numbers. Repeated entries add up; self-loops are left out.

    Args:
        edge_index: (2, E) integer node ids.
        c: (N,) integer labels.
        edge_weight: (E,) weights >= 0; default 1.
        x: (N, d) vectors for the silhouette.
        resolution: larger favours smaller clusters.
        seed: of the sampled rows of the silhouette.

    Raises:
        EmptyGraphError: no edge with a positive weight between two nodes.
        IndexRangeError: an edge names a node without a label.

    Example:
        >>> scores = partition_scores([[0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3]], [0, 0, 0, 1, 1, 1])
        >>> round(scores.modularity, 4), [round(v, 4) for v in scores.conductance]
        (0.3571, [0.1429, 0.1429])
    """
    labels = as_labels(c, "c")
    names, group = np.unique(labels, return_inverse=True)
    first, second, weight = undirected_links(edge_index, edge_weight, len(labels), owner="c has {} labels")
    total = float(weight.sum())
    if total == 0:
        raise EmptyGraphError("the graph has no edge between two different nodes.", hint="edges with positive weight")
    inside = group[first] == group[second]
    within = np.bincount(group[first[inside]], weights=weight[inside], minlength=len(names))
    volume = sum(np.bincount(group[end], weights=weight, minlength=len(names)) for end in (first, second))
    smaller = np.minimum(volume, 2 * total - volume)
    # Rounding must not make a positive "rest" of a cluster that holds every edge.
    smaller[smaller <= 1e-12 * total] = 0.0
    cut = volume - 2 * within
    conductance = np.divide(cut, smaller, out=np.full(len(names), np.nan), where=smaller > 0)
    defined = conductance[~np.isnan(conductance)]
    rows = None if x is None else as_matrix(x, "x")
    return PartitionScores(
        modularity=float((within / total - resolution * (volume / (2 * total)) ** 2).sum()),
        coverage=float(within.sum() / total),
        conductance=conductance.tolist(),
        conductance_mean=float(defined.mean()) if defined.size else float("nan"),
        num_undefined=int(np.isnan(conductance).sum()),
        silhouette=None if rows is None else silhouette(rows, group, seed=seed),
        silhouette_rows=0 if rows is None else min(len(rows), _SILHOUETTE_ROWS),
        num_clusters=len(names),
    )


def silhouette(x: Any, c: Any, *, seed: int = 0) -> float:
    """Mean silhouette (Euclidean) of vectors under a partition: near 1 for tight and distant clusters, 0 for none.

    Args:
        x: (N, d) vectors.
        c: (N,) integer labels.
        seed: of the 20 000 rows that are looked at where there are more.

    Returns:
        NaN unless there are between 2 and N - 1 clusters. O(N^2 d) time for the N rows looked at.

    Raises:
        ShapeError: another number of labels than rows.

    Source: Rousseeuw, J. Comput. Appl. Math. 20, 1987.

    Example:
        >>> round(silhouette([[0.0], [0.1], [5.0], [5.1]], [0, 0, 1, 1]), 2)
        0.98
    """
    from sklearn.metrics import silhouette_score

    rows, group = _rows_and_labels(x, c)
    if len(rows) > _SILHOUETTE_ROWS:
        chosen = np.random.default_rng(seed).choice(len(rows), _SILHOUETTE_ROWS, replace=False)
        rows, group = rows[chosen], group[chosen]
    if not 2 <= len(np.unique(group)) < len(rows):
        return float("nan")
    return float(silhouette_score(rows, group))


def davies_bouldin(x: Any, c: Any) -> float:
    """Mean over clusters of the largest (spread_a + spread_b) / distance of the means; smaller is better, 0 at best.

    Args:
        x: (N, d) vectors.
        c: (N,) integer labels.

    Returns:
        NaN unless there are between 2 and N - 1 clusters. O(N d + K^2 d) time.

    Raises:
        ShapeError: another number of labels than rows.

    Source: Davies, Bouldin, IEEE TPAMI 1(2), 1979.

    Example:
        >>> round(davies_bouldin([[0.0], [0.2], [5.0], [5.2]], [0, 0, 1, 1]), 2)
        0.04
    """
    from sklearn.metrics import davies_bouldin_score

    rows, group = _rows_and_labels(x, c)
    if not 2 <= len(np.unique(group)) < len(rows):
        return float("nan")
    return float(davies_bouldin_score(rows, group))


def _rows_and_labels(x: Any, c: Any) -> tuple[Floats, Ints]:
    rows, group = as_matrix(x, "x"), as_labels(c, "c")
    if len(rows) != len(group):
        raise ShapeError(f"x has {len(rows)} rows and c has {len(group)} labels.", hint="one row per node")
    return rows, group
