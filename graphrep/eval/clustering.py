"""Clusters against known classes: accuracy and F1 under the best matching, information and pair counts; k-means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import GraphrepError, ShapeError
from graphrep.eval._arrays import as_labels, as_matrix, choose, drop_unlabelled, unit_rows
from graphrep.eval._f1 import f1_of_counts
from graphrep.eval._result import Result

__all__ = ["ClusterScores", "cluster_scores", "kmeans"]

Ints = NDArray[np.int64]
# The matching needs the whole table of classes x clusters: 400 MB of float64 at this many entries.
_LARGEST_TABLE = 50_000_000


@dataclass(frozen=True, eq=False, repr=False)
class ClusterScores(Result):
    """Agreement of a clustering with classes; all between 0 and 1 but for `ari` and `ami`, which may be negative.

    Example:
        >>> scores = cluster_scores([0, 0, 1, 1], [5, 5, 9, 2])
        >>> scores.acc, scores.macro_f1, scores.mapped.tolist()
        (0.75, 0.8333333333333333, [0, 0, -1, 1])
    """

    acc: float
    nmi: float
    ari: float
    macro_f1: float
    macro_f1_all: float
    micro_f1: float
    purity: float
    ami: float
    homogeneity: float
    completeness: float
    nmi_geometric: float
    nmi_max: float
    nmi_min: float
    mapped: Ints
    num_classes: int
    num_clusters: int
    num_scored: int


def cluster_scores(y: Any, c: Any) -> ClusterScores:
    """Scores of assignments `c` against classes `y`; the labels of either need be neither contiguous nor equally many.

    - ``acc``: share of nodes matched by the one-to-one matching of clusters to classes that matches most (Kuhn 1955).
      A surplus cluster matches nothing: its nodes have ``mapped`` -1 and count as wrong.
    - ``macro_f1``: mean F1 over the classes of `y` after that matching; ``macro_f1_all`` counts each surplus cluster as
      one more label with F1 0; ``micro_f1`` equals ``acc``. Where several matchings are optimal, one of them is used.
    - ``nmi``: mutual information over the arithmetic mean of the two entropies (``_geometric``, ``_max``, ``_min``:
      over those means). Two constant labelings give 1, one constant labeling 0.
    - ``ari`` adjusted Rand index, ``ami`` adjusted mutual information, ``homogeneity``, ``completeness``; ``purity``:
      share of nodes in the majority class of their cluster (never below ``acc``).

    `c` is scored as it is: an empty cluster changes nothing.

    Args:
        y: (N,) integer classes; -1 = unlabelled, left out of every score.
        c: (N,) integer assignments, any values.

    Raises:
        ShapeError: lengths differ, or nothing to score.
        MissingLabelsError: every label is -1.

    Example:
        >>> scores = cluster_scores([0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 0, 0])
        >>> round(scores.acc, 4), round(scores.nmi, 4), round(scores.ari, 4)
        (0.8333, 0.4787, 0.3243)
    """
    labels, groups = as_labels(y, "y"), as_labels(c, "c")
    if len(labels) != len(groups):
        raise ShapeError(f"y has {len(labels)} labels and c has {len(groups)}.", hint="one cluster for each node")
    kept = drop_unlabelled(labels)
    classes, truth = np.unique(labels[kept], return_inverse=True)
    clusters, found = np.unique(groups[kept], return_inverse=True)
    table = _contingency(truth, found, len(classes), len(clusters))
    matched = _match(table)  # class of each cluster, -1 for a surplus one
    real = matched >= 0
    hits, predicted = np.zeros(len(classes)), np.zeros(len(classes))
    hits[matched[real]], predicted[matched[real]] = table[matched[real], real], table.sum(0)[real]
    per_class = f1_of_counts(hits, predicted, table.sum(1))
    acc = float(hits.sum() / len(kept))
    return ClusterScores(
        acc=acc,
        **_information(table, truth, found),
        macro_f1=float(per_class.mean()),
        macro_f1_all=float(per_class.sum() / (len(classes) + np.count_nonzero(~real))),
        micro_f1=acc,
        purity=float(table.max(0).sum() / len(kept)),
        mapped=_mapped(groups, clusters, np.where(real, classes[matched], -1)),
        num_classes=len(classes),
        num_clusters=len(clusters),
        num_scored=len(kept),
    )


def _contingency(truth: Ints, found: Ints, num_classes: int, num_clusters: int) -> Ints:
    """(classes, clusters) counts."""
    if num_classes * num_clusters > _LARGEST_TABLE:
        raise GraphrepError(
            f"{num_classes} classes x {num_clusters} clusters are too many to match one to one.",
            hint="is c really a cluster assignment, or a node id?",
        )
    cells = np.bincount(truth * num_clusters + found, minlength=num_classes * num_clusters)
    return cells.reshape(num_classes, num_clusters).astype(np.int64)


def _match(table: Ints) -> Ints:
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    matched = np.full(table.shape[1], -1, dtype=np.int64)
    matched[columns] = rows
    return matched


def _mapped(groups: Ints, clusters: Ints, label: Ints) -> Ints:
    """Class matched to each node's cluster; -1 also for a cluster that holds unlabelled nodes only."""
    position = np.searchsorted(clusters, groups).clip(max=len(clusters) - 1)
    return np.where(clusters[position] == groups, label[position], -1)


def _information(table: Ints, truth: Ints, found: Ints) -> dict[str, float]:
    from sklearn import metrics

    of_classes, of_clusters = _entropy(table.sum(1)), _entropy(table.sum(0))
    shared = float(metrics.mutual_info_score(None, None, contingency=table))
    means = {
        "nmi": (of_classes + of_clusters) / 2,
        "nmi_geometric": float(np.sqrt(of_classes * of_clusters)),
        "nmi_max": max(of_classes, of_clusters),
        "nmi_min": min(of_classes, of_clusters),
    }
    constant = (table.shape[0] == 1) + (table.shape[1] == 1)
    scores = {name: 1.0 if constant == 2 else 0.0 if constant else shared / mean for name, mean in means.items()}
    return scores | {
        "ari": float(metrics.adjusted_rand_score(truth, found)),
        "ami": float(metrics.adjusted_mutual_info_score(truth, found)),
        "homogeneity": shared / of_classes if table.shape[0] > 1 else 1.0,
        "completeness": shared / of_clusters if table.shape[1] > 1 else 1.0,
    }


def _entropy(counts: Ints) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum()) if len(share) > 1 else 0.0


def kmeans(
    z: Any, k: int, n_init: int = 10, seed: int = 0, backend: str = "auto", *, normalize: bool = False
) -> NDArray[np.int64]:
    """Assignments (N,) of k-means with k-means++ starts, the best of `n_init` by inertia.

    Args:
        z: (N, d) embeddings.
        k: clusters; the published protocols take the number of classes.
        n_init: restarts; 10 (some papers 20).
        seed: of the starts.
        backend: "sklearn"; "torch": on the device of `z`, in float64; "auto": torch for tensors on a GPU, else sklearn.
            Both take the same rules (greedy k-means++, at most 300 steps, empty clusters refilled), but other random
            numbers.
        normalize: scale the rows to unit norm first; belongs in the protocol's name.

    Raises:
        GraphrepError: k is not between 1 and N.
        NonFiniteError: NaN or infinity in `z`.

    Example:
        >>> labels = kmeans([[0.0], [0.1], [5.0], [5.1]], 2)
        >>> bool(labels[0] == labels[1]), bool(labels[1] == labels[2])
        (True, False)
    """
    choose(backend, ("auto", "sklearn", "torch"), "k-means back end")
    rows = as_matrix(z, "z")
    if not 1 <= k <= len(rows):
        raise GraphrepError(f"k must lie between 1 and the number of rows {len(rows)}; got {k}.", hint="fewer clusters")
    if n_init < 1:
        raise GraphrepError(f"n_init must be at least 1; got {n_init}.", hint="n_init=10")
    points = unit_rows(rows) if normalize else rows
    device = str(getattr(z, "device", "cpu"))
    if backend == "torch" or (backend == "auto" and not device.startswith("cpu")):
        import torch

        from graphrep.eval._kmeans import torch_kmeans

        found = torch_kmeans(torch.from_numpy(points).to(device), int(k), n_init=int(n_init), seed=int(seed))
        return np.asarray(found.cpu().numpy(), dtype=np.int64)
    from sklearn.cluster import KMeans

    model = KMeans(n_clusters=int(k), init="k-means++", n_init=int(n_init), random_state=int(seed))
    labels: Ints = model.fit_predict(points).astype(np.int64)
    return labels
