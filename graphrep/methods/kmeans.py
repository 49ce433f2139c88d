"""k-means on node features, and on the embedding of any method."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from graphrep.data.check import GraphWarning, grouped
from graphrep.data.graph import Graph
from graphrep.errors import GraphrepError, OutOfMemoryError, UnknownNameError
from graphrep.eval.clustering import kmeans
from graphrep.methods._feature_rows import Rows, dense_rows, features, leading_directions, means, times, unit
from graphrep.methods._partition_input import check_cluster_count, check_integer, on_host
from graphrep.methods.clusterer import Clusterer
from graphrep.registry import METHODS, lookup

__all__ = ["EmbeddingKMeans", "KMeans", "nearest_centre", "rows_to_labels"]

_LARGEST = 1 << 28  # entries of the dense matrix that k-means runs on: 2 GB in float64


def rows_to_labels(rows: Tensor, k: int, *, n_init: int, seed: int) -> tuple[Tensor, Tensor]:
    """Labels (N,) of k-means, and the centres (k, d)."""
    labels = torch.from_numpy(kmeans(rows, k, n_init=n_init, seed=seed))
    return labels, means(rows.double().contiguous(), labels, k)


def nearest_centre(rows: Tensor, centres: Tensor) -> Tensor:
    """(N,) the nearest of the centres (k, d)."""
    distance = centres.square().sum(1) - 2 * times(rows.to(centres), centres.t())
    return distance.argmin(1)


class KMeans(Clusterer):
    """k-means on the features alone; the links of the graph are not used.

    Args:
        num_clusters: K.
        svd_dims: replace the features by their coordinates along so many leading singular directions first; None: the
            features as they are, in memory as N x F float64.
        normalize: rows to unit length first.
        n_init: starts of k-means; the one with the least inertia is kept.
        seed: of the starts.

    Attributes:
        labels_, num_clusters_, probabilities_, notes_: see :class:`~graphrep.methods.clusterer.Clustering`.
        centres_: (K, d), rows by label.
        directions_: (F, svd_dims) singular directions, None without `svd_dims`.

    Raises:
        MissingFeaturesError, OutOfMemoryError, GraphrepError: no features, too many for a dense matrix, or an argument
            out of range (raised by `fit`).

    Source: Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28(2), 1982; starts:
    Arthur, Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.

    Example:
        >>> import graphrep as gr
        >>> KMeans(10).fit(gr.load("digits")).num_clusters_
        10
    """

    _state = ("centres_", "directions_")
    centres_: Tensor
    directions_: Tensor | None

    def __init__(
        self,
        num_clusters: int | None = None,
        *,
        svd_dims: int | None = None,
        normalize: bool = False,
        n_init: int = 10,
        seed: int = 0,
    ) -> None:
        self.num_clusters = num_clusters
        self.svd_dims = svd_dims
        self.normalize = normalize
        self.n_init = n_init
        self.seed = seed

    def fit(self, graph: Any) -> Self:
        """Clusters the rows of ``graph.x``."""
        graph = on_host(graph)
        k = check_cluster_count(self.num_clusters, graph.num_nodes)
        rows = self._rows(graph)
        self.directions_ = None
        if self.svd_dims is not None:
            self.directions_ = leading_directions(rows, check_integer("svd_dims", self.svd_dims, 1), self.seed)[0]
        labels, centres = rows_to_labels(self._points(rows), k, n_init=self.n_init, seed=self.seed)
        order = self._keep(labels, notes=_zero_rows(rows))
        self.centres_, self.ids_ = centres[order], graph.ids
        return self

    def predict(self, graph: Any) -> Tensor:
        """Labels (N,) of the nodes of any graph with such features: the nearest centre.

        Raises:
            CheckpointMismatchError: another number of features.
        """
        centres: Tensor = self._fitted("centres_")
        width = centres.shape[1] if self.directions_ is None else self.directions_.shape[0]
        return nearest_centre(self._points(self._rows(on_host(graph), width)), centres)

    def _rows(self, graph: Graph, width: int | None = None) -> Rows:
        rows = features(graph, type(self).__name__, width=width)
        return unit(rows) if self.normalize else rows

    def _points(self, rows: Rows) -> Tensor:
        if self.directions_ is not None:
            return times(rows, self.directions_)
        if rows.shape[0] * rows.shape[1] > _LARGEST:
            raise OutOfMemoryError(
                f"k-means on {grouped(rows.shape[0])} x {grouped(rows.shape[1])} dense features needs "
                f"{rows.shape[0] * rows.shape[1] * 8 / 2**30:.1f} GiB.",
                hint="svd_dims=64",
            )
        return dense_rows(rows)


def _zero_rows(rows: Rows) -> list[str]:
    filled = rows.count_nonzero(dim=1) if isinstance(rows, Tensor) else rows.degree()
    count = int((filled == 0).sum())
    return [f"{grouped(count)} of {grouped(rows.shape[0])} nodes have no features (all 0)."] if count else []


class EmbeddingKMeans(Clusterer):
    """k-means on the vectors of an embedding method.

    Args:
        num_clusters: K.
        method: a name of :data:`graphrep.registry.METHODS` whose task is to embed.
        options: arguments of that method, for example ``{"dim": 64}``; it takes `seed` from here.
        normalize: vectors to unit length first.
        n_init: starts of k-means.
        seed: of the method and of the starts.

    Attributes:
        labels_, num_clusters_, probabilities_, notes_: see :class:`~graphrep.methods.clusterer.Clustering`.
        embedder_: the fitted method.
        embedding_: (N, dim), as the method gives it.
        centres_: (K, dim), rows by label.

    Raises:
        UnknownNameError: no such method, or one that does not embed (raised by `fit`, as are the method's own errors).

    Example:
        >>> import graphrep as gr
        >>> EmbeddingKMeans(2, method="fastrp", options={"dim": 16}).fit(gr.load("karate")).num_clusters_
        2
    """

    _state = ("centres_", "embedding_")
    centres_: Tensor
    embedding_: Tensor
    embedder_: Any

    def __init__(
        self,
        num_clusters: int | None = None,
        *,
        method: str = "fastrp",
        options: Mapping[str, Any] | None = None,
        normalize: bool = True,
        n_init: int = 10,
        seed: int = 0,
    ) -> None:
        self.num_clusters = num_clusters
        self.method = method
        self.options = options
        self.normalize = normalize
        self.n_init = n_init
        self.seed = seed

    def fit(self, graph: Any, **training: Any) -> Self:
        """Embeds `graph` and clusters the vectors; `training` goes to the method's `fit`."""
        graph = Graph.coerce(graph)
        k = check_cluster_count(self.num_clusters, graph.num_nodes)
        entry = lookup(self.method, METHODS, kind="method")
        if entry.task != "embed":
            raise UnknownNameError(f"{self.method} is for {entry.task}, not for embedding.", hint='method="fastrp"')
        self.embedder_ = entry.load()(**{"seed": self.seed, **(self.options or {})})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", GraphWarning)
            self.embedder_.fit(graph, **training)
        notes = [str(w.message) for w in caught if issubclass(w.category, GraphWarning)]
        for other in caught:
            if not issubclass(other.category, GraphWarning):
                warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
        self.embedding_ = self.embedder_.embedding_
        labels, centres = rows_to_labels(self._points(self.embedding_), k, n_init=self.n_init, seed=self.seed)
        order = self._keep(labels, notes=notes)
        self.centres_, self.ids_ = centres[order], graph.ids
        return self

    def predict(self, graph: Any) -> Tensor:
        """Labels (N,) of the nodes of another graph: embedded by the fitted method, then the nearest centre.

        Raises:
            GraphrepError: the method's vectors of different graphs cannot be compared.
        """
        centres: Tensor = self._fitted("centres_")
        if self.method == "spectral":
            raise GraphrepError(
                "Eigenvectors of another graph are other axes; the clusters have no place among them.",
                hint='method="fastrp", or fit_predict on the whole graph',
            )
        return nearest_centre(self._points(self.embedder_.embed(graph)), centres)

    def save(self, path: str | os.PathLike[str]) -> None:
        """As :meth:`Clusterer.save`; the method's own files go to the folder ``embedder`` inside."""
        super().save(path)
        self.embedder_.save(Path(path) / "embedder")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The clustering that :meth:`save` wrote.

        Raises:
            FileFormatError: the folder does not hold such a clustering.
        """
        model = super().load(path)
        model.embedder_ = lookup(model.method, METHODS, kind="method").load().load(Path(path) / "embedder")
        return model

    def _points(self, embedding: Tensor) -> Tensor:
        rows = embedding.double()
        return unit(rows) if self.normalize else rows
