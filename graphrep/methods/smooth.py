"""Clusters of smoothed features without training: each node's features averaged over its surroundings, then k-means."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor

from graphrep.methods._feature_rows import features, leading_directions, times, unit
from graphrep.methods._partition_input import SimpleGraph, check_cluster_count, check_integer, isolated_note, prepared
from graphrep.methods.clusterer import Clusterer
from graphrep.methods.kmeans import nearest_centre, rows_to_labels
from graphrep.nn import Propagate

__all__ = ["SmoothedKMeans", "smoothed_rows"]


def smoothed_rows(simple: SimpleGraph, *, directions: Tensor, hops: int) -> Tensor:
    """(N, r) unit rows: unit feature rows in coordinates (F, r), averaged over `hops` hops.

    One hop is a product with ``(D + I)^-1/2 (A + I) (D + I)^-1/2``.
    """
    rows = times(unit(features(simple.graph, "Smoothing", width=directions.shape[0])), directions)
    if hops:
        weight = simple.graph.edge_weight
        rows = Propagate(hops)(rows, simple.graph.edge_index, None if weight is None else weight.double())
    smoothed: Tensor = unit(rows)
    return smoothed


class SmoothedKMeans(Clusterer):
    """k-means on features smoothed over the graph; no training, and hard to beat where features and links agree.

    Feature rows of unit length are written in their `dims` leading singular directions, multiplied `hops` times by
    ``S = (D + I)^-1/2 (A + I) (D + I)^-1/2``, scaled to unit length, reduced to K singular directions and scaled again.
    O(nnz(X) dims + hops E dims) besides k-means in K dimensions; weights of links count.

    Args:
        num_clusters: K.
        hops: products with S; more smooths over larger surroundings.
        dims: singular directions that are kept before smoothing.
        n_init: starts of k-means.
        seed: of the starts, and of the singular directions of more than 1024 features.

    Attributes:
        labels_, num_clusters_, probabilities_, notes_: see :class:`~graphrep.methods.clusterer.Clustering`.
        embedding_: (N, min(K, dims)) the rows that were clustered.
        centres_: (K, min(K, dims)), rows by label.
        directions_: (F, dims) of the features.
        reduction_: (dims, min(K, dims)) of the smoothed features.

    Raises:
        MissingFeaturesError, EmptyGraphError, GraphrepError: no features, or an argument out of range (raised by
            `fit`).

    Source: smoothing as in Wu et al., "Simplifying Graph Convolutional Networks", ICML 2019, and Zhang et al.,
    "Attributed Graph Clustering via Adaptive Graph Convolution", IJCAI 2019, whose choice of the number of hops is not
    used here.

    Example:
        >>> import graphrep as gr
        >>> SmoothedKMeans(10).fit(gr.load("digits")).embedding_.shape
        torch.Size([1797, 10])
    """

    _state = ("centres_", "directions_", "embedding_", "reduction_")
    centres_: Tensor
    directions_: Tensor
    embedding_: Tensor
    reduction_: Tensor

    def __init__(
        self, num_clusters: int | None = None, *, hops: int = 4, dims: int = 128, n_init: int = 10, seed: int = 0
    ) -> None:
        self.num_clusters = num_clusters
        self.hops = hops
        self.dims = dims
        self.n_init = n_init
        self.seed = seed

    def fit(self, graph: Any) -> Self:
        """Smooths the features of `graph` over its links, without direction, and clusters the nodes."""
        check_integer("hops", self.hops, 0)
        check_integer("dims", self.dims, 1)
        simple = prepared(graph)
        k = check_cluster_count(self.num_clusters, simple.num_nodes)
        rows = unit(features(simple.graph, type(self).__name__))
        self.directions_ = leading_directions(rows, self.dims, self.seed)[0]
        smoothed = smoothed_rows(simple, directions=self.directions_, hops=self.hops)
        self.reduction_ = leading_directions(smoothed, k, self.seed)[0]
        points = self._points(smoothed)
        labels, centres = rows_to_labels(points, k, n_init=self.n_init, seed=self.seed)
        notes = [*simple.notes, *isolated_note(
            int(simple.isolated().sum()), simple.num_nodes, "their own features alone decide"
        )]  # fmt: skip
        order = self._keep(labels, notes=notes)
        self.embedding_, self.centres_, self.ids_ = points, centres[order], simple.graph.ids
        return self

    def predict(self, graph: Any) -> Tensor:
        """Labels (N,) of the nodes of any graph with such features: smoothed over its links, then the nearest centre.

        Raises:
            CheckpointMismatchError: another number of features.
        """
        centres: Tensor = self._fitted("centres_")
        smoothed = smoothed_rows(prepared(graph), directions=self.directions_, hops=self.hops)
        return nearest_centre(self._points(smoothed), centres)

    def _points(self, smoothed: Tensor) -> Tensor:
        rows: Tensor = unit(times(smoothed, self.reduction_))
        return rows
