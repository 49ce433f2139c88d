"""GCA: views that drop unimportant edges and features more often."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from graphrep.errors import UnknownNameError
from graphrep.methods._views import Rate, Rates, Source
from graphrep.methods.trained import inherits_arguments
from graphrep.methods.two_view import TwoViewEstimator, per_view
from graphrep.nn import drop_probability, gca_edge_weights, gca_feature_weights, node_centrality

__all__ = ["GCA", "adaptive_rates"]

CENTRALITIES = ("degree", "pagerank", "eigenvector")


class GCA(TwoViewEstimator):
    """GRACE with dropping probabilities that fall with the importance of an edge or a column.

    Importance follows from a centrality of the nodes: of an edge, that of its target; of a column, the sum of the
    centralities of the nodes that have it. All other arguments are those of :class:`~graphrep.methods.GRACE`.

    Args:
        dim: d, numbers per node.
        centrality: "degree", "pagerank" or "eigenvector".
        drop_edge_rates, drop_feature_rates: mean probabilities of the views; none exceeds 0.7.

    Source: Zhu et al., "Graph Contrastive Learning with Adaptive Augmentation", WWW 2021, arXiv:2010.14945.

    Example:
        >>> import graphrep as gr
        >>> gr.GCA(dim=16, epochs=2, centrality="pagerank").fit(gr.load("digits")).embedding_.shape
        torch.Size([1797, 16])
    """

    def __init__(self, dim: int = 128, *, centrality: str = "degree", **options: Any) -> None:
        super().__init__(dim, **{**_DEFAULTS, **options})
        self.centrality = centrality

    def _rates(self, source: Source) -> Rates:
        return adaptive_rates(source, self.centrality, super()._rates(source))


_DEFAULTS: dict[str, Any] = {"drop_edge_rates": (0.3, 0.1), "temperature": 0.9, "epochs": 700}
inherits_arguments(GCA, **_DEFAULTS)


def adaptive_rates(source: Source, kind: str, mean: Rates) -> Rates:
    """Probabilities per edge and column with the given means.

    Raises:
        UnknownNameError: no such centrality.
    """
    if kind not in CENTRALITIES:
        raise UnknownNameError(f'centrality is "{kind}".', hint=" | ".join(CENTRALITIES))
    weights = gca_edge_weights(source.edge_index, source.num_nodes, kind)
    edges = per_view(weights, [float(r) for r in mean.edges], drop_probability)
    columns: tuple[Rate, ...] = mean.features
    if any(isinstance(r, Tensor) or r > 0 for r in mean.features):
        steps = 10 if kind == "pagerank" else 200  # as published: fewer for features
        centrality = node_centrality(source.edge_index, source.num_nodes, kind, iterations=steps)
        binary = _is_binary(source.x)
        importance = gca_feature_weights(source.x, centrality, binary=binary)
        columns = per_view(importance, [float(r) for r in mean.features], drop_probability)
    return Rates(edges, columns)


def _is_binary(x: Tensor) -> bool:
    """Whether each row has one value beside zero: 0/1 features, divided by row or not."""
    values = x if x.layout is not None and not x.is_sparse_csr else None
    if values is None:
        rowptr, entries = x.crow_indices(), x.values()
        if not entries.numel():
            return True
        count = rowptr[1:] - rowptr[:-1]
        first = entries[rowptr[:-1].clamp(max=entries.numel() - 1)]
        return bool((entries == first.repeat_interleave(count)).all())
    largest = values.amax(1, keepdim=True)
    return bool(((values == 0) | (values == largest)).all())
