"""node2vec: DeepWalk on walks that remember where they came from (Grover, Leskovec 2016)."""

from __future__ import annotations

from typing import Any

from graphrep.methods.skipgram import SkipGramEstimator
from graphrep.methods.trained import inherits_arguments

__all__ = ["Node2Vec"]


class Node2Vec(SkipGramEstimator):
    """Node embeddings by skip-gram with negative sampling on second-order random walks.

    A walk at v that came from u goes on to x with probability proportional to the weight of (v, x) times 1/p if x = u,
    1 if u and x are neighbours, 1/q otherwise. Steps are drawn by rejection: no table per edge is kept, so memory stays
    O(E + N d), where tables need the sum of the squared degrees.

    Args:
        dim: d, numbers per node.
        p: return parameter; above 1 walks turn back less often.
        q: in-out parameter; above 1 walks stay near where they came from.
        options: all other arguments are those of :class:`~graphrep.methods.DeepWalk`, which also says what becomes of
            weights, directions and nodes without neighbours.

    Raises:
        EmptyGraphError: no edges (raised by `fit`).
        GraphrepError: an argument out of range, or a negative weight.

    Source: Grover, Leskovec, "node2vec: Scalable Feature Learning for Networks", KDD 2016, arXiv:1607.00653.

    Example:
        >>> import graphrep as gr
        >>> gr.Node2Vec(dim=16, p=0.25, q=0.25, epochs=2).fit_transform(gr.load("karate")).shape
        torch.Size([34, 16])
    """

    def __init__(self, dim: int = 128, *, p: float = 1.0, q: float = 1.0, **options: Any) -> None:
        super().__init__(dim, **options)
        self.p = p
        self.q = q

    def _bias(self) -> tuple[float, float]:
        return float(self.p), float(self.q)


inherits_arguments(Node2Vec)
