"""Spectral clustering of the graph alone: leading eigenvectors of its normalised adjacency, then k-means."""

from __future__ import annotations

import warnings
from typing import Any, Self

import torch
from torch import Tensor

from graphrep.data.check import GraphWarning, grouped
from graphrep.errors import GraphrepError
from graphrep.methods._feature_rows import features
from graphrep.methods._leftover import assign_by_features, assign_rest
from graphrep.methods._partition_input import SimpleGraph, check_cluster_count, isolated_note, prepared
from graphrep.methods.clusterer import Clusterer
from graphrep.methods.kmeans import rows_to_labels
from graphrep.methods.spectral import RandomizedSpectral

__all__ = ["SpectralClustering"]


class SpectralClustering(Clusterer):
    """k-means on the K leading eigenvectors of the regularised normalised adjacency, rows to unit length.

    Nodes without neighbours have no place among eigenvectors: their features decide, or else they join the largest
    cluster; ``notes_`` says how many.

    Args:
        num_clusters: K.
        regularization: tau in units of the mean degree, see :class:`~graphrep.methods.RandomizedSpectral`. Without it
            (0) every small component takes an eigenvector of its own.
        n_init: starts of k-means.
        seed: of the eigensolver and of the starts.

    Attributes:
        labels_, num_clusters_, probabilities_, notes_: see :class:`~graphrep.methods.clusterer.Clustering`.
        embedding_: (N, K) unit rows; zeros for nodes without neighbours.
        eigenvalues_: (K,) descending.

    Raises:
        EmptyGraphError, GraphrepError: fewer nodes with neighbours than clusters, or an argument out of range (raised
            by `fit`).

    Source: Ng, Jordan, Weiss, "On Spectral Clustering: Analysis and an algorithm", NIPS 2001; regularised as in Qin,
    Rohe, NeurIPS 2013.

    Example:
        >>> import graphrep as gr
        >>> SpectralClustering(2).fit(gr.load("karate")).labels_[:4].tolist()
        [1, 1, 1, 1]
    """

    _state = ("embedding_", "eigenvalues_")
    embedding_: Tensor
    eigenvalues_: Tensor

    def __init__(
        self, num_clusters: int | None = None, *, regularization: float = 0.05, n_init: int = 10, seed: int = 0
    ) -> None:
        self.num_clusters = num_clusters
        self.regularization = regularization
        self.n_init = n_init
        self.seed = seed

    def fit(self, graph: Any) -> Self:
        """Clusters the nodes of `graph` by its links, without direction."""
        simple = prepared(graph)
        k = check_cluster_count(self.num_clusters, simple.num_nodes)
        isolated = simple.isolated()
        linked = int((~isolated).sum())
        if linked < k:
            raise GraphrepError(
                f"Asked for {grouped(k)} clusters but only {grouped(linked)} nodes have neighbours.",
                hint=f"num_clusters={max(linked, 1)} or less",
            )
        self.eigenvalues_, self.embedding_ = self._eigenvectors(simple, k)
        labels = torch.full((simple.num_nodes,), -1)
        labels[~isolated] = rows_to_labels(self.embedding_[~isolated], k, n_init=self.n_init, seed=self.seed)[0]
        labels, fate = _place(simple, labels, k)
        self._keep(labels, notes=[*simple.notes, *isolated_note(int(isolated.sum()), simple.num_nodes, fate)])
        self.ids_ = simple.graph.ids
        return self

    def _eigenvectors(self, simple: SimpleGraph, k: int) -> tuple[Tensor, Tensor]:
        model = RandomizedSpectral(
            k, eigenvalue_power=0.0, regularization=self.regularization, skip_first=False, restarts=20, tol=1e-6,
            seed=self.seed, dtype=torch.float64,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphWarning)  # nodes without neighbours: a note says what becomes of them
            model.fit(simple.graph)
        return model.eigenvalues_, model.embedding_


def _place(simple: SimpleGraph, labels: Tensor, k: int) -> tuple[Tensor, str]:
    """Labels for the nodes without neighbours, and how they were found."""
    if not bool((labels < 0).any()):
        return labels, ""
    if simple.graph.num_features:
        rows = features(simple.graph, "SpectralClustering")
        groups = torch.arange(simple.num_nodes)
        return assign_by_features(rows, labels, groups, k), "assigned to the cluster with the nearest mean features"
    return assign_rest(labels, k), "put into the largest cluster, because nothing is known of them"
