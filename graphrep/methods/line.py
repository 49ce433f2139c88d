"""LINE: nodes with similar neighbours get similar vectors (Tang et al. 2015); the second-order proximity."""

from __future__ import annotations

from typing import Any

from graphrep.methods.skipgram import SkipGramEstimator
from graphrep.methods.trained import inherits_arguments

__all__ = ["LINE"]

_CHANGED: dict[str, Any] = {
    "epochs": 200,
    "walk_length": 1,
    "window": 1,
    "direction": "out",
}


class LINE(SkipGramEstimator):
    """Node embeddings by skip-gram with negative sampling on the edges: LINE's second-order proximity.

    The pairs are edges drawn in proportion to their weight, source to destination; an undirected graph gives both
    directions. The first-order proximity, which has one table only, is not offered.

    Args:
        dim: d, numbers per node.
        epochs: passes; each draws as many edges as the graph stores, with replacement. The learning rate falls linearly
            to nothing over all of them.
        walk_length: 1, so that each pair is an edge of its own draw. With longer walks and `window` above 1 there are
            pairs of nodes further apart, as with GraphVite's settings; an epoch then has as many steps, not walks, as
            the graph stores edges.
        window: most steps between the nodes of a pair; only later nodes of a walk are met.
        direction: of a directed graph: ``"out"``: pairs follow the edges; ``"both"``: they ignore directions.
        options: all other arguments are those of :class:`~graphrep.methods.DeepWalk`.

    Attributes:
        embedding_: (N, dim); nodes without edges out of them, which no pair begins at, have zero vectors.
        context_: (N, dim): an edge (u, v) scores ``embedding_[u] @ context_[v]``.

    Negatives of a directed graph are drawn by the weight of the edges into and out of a node, so that every node that
    can be a destination can be a negative.

    Raises:
        EmptyGraphError: no edges (raised by `fit`).
        GraphrepError: an argument out of range, or a negative weight.

    Source: Tang, Qu, Wang, Zhang, Yan, Mei, "LINE: Large-scale Information Network Embedding", WWW 2015,
    arXiv:1503.03578.

    Example:
        >>> import graphrep as gr
        >>> gr.LINE(dim=16, epochs=2).fit_transform(gr.load("karate")).shape
        torch.Size([34, 16])
    """

    _by_edge = True
    _both = False

    def __init__(self, dim: int = 128, **options: Any) -> None:
        super().__init__(dim, **{**_CHANGED, **options})


inherits_arguments(LINE, **_CHANGED)
