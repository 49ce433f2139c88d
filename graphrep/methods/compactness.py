"""Which nodes of a trained two-layer GCN keep to their other view however a few edges are dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from graphrep.data import Graph
from graphrep.errors import MissingFeaturesError, ShapeError
from graphrep.methods._gcn_layers import gcn_layers
from graphrep.objectives import adjacency_bounds, contrast_vectors, node_compactness

__all__ = ["VERDICTS", "CompactnessReport", "DegreeBucket", "compactness_report"]

FIRST_DEGREES = (0, 1, 2, 3, 5, 9, 17, 33, 65)
_RANGE = (0.1, 0.9)
VERDICTS = ("certified", "fragile", "badly_trained")


@dataclass(frozen=True)
class DegreeBucket:
    """Nodes with `low` to `high` in-edges (`high` None: no limit): counts, means, and 10 % and 90 % quantiles."""

    low: int
    high: int | None
    nodes: int
    certified: int
    fragile: int
    badly_trained: int
    mean_clean: float
    mean_bound: float
    mean_official: float
    range_clean: tuple[float, float]
    range_bound: tuple[float, float]
    range_official: tuple[float, float]


@dataclass(frozen=True)
class CompactnessReport:
    """Per node: the value on the given graph, a lower bound over droppings, and the published score.

    Every node is one of three. *badly trained*: `clean` <= 0, it is no closer to its positive than to the others'
    average even before an edge is dropped. *certified*: `clean` > 0 and `bound` > 0, no permitted dropping changes
    that. *fragile*: `clean` > 0 and `bound` <= 0, nothing is proved; some permitted dropping may turn it.

    Attributes:
        clean: (N,) ``<w_i, z_i>`` on the graph as it is.
        bound: (N,) a sound lower bound of it over all permitted graphs.
        official: (N,) the authors' score, no bound.
        degree: (N,) in-edges, duplicates counted once and self-loops not.
        budget: (N,) in-edges that may be dropped.
        negative_slope: of the encoder's activation.
        drop_rate: p of the permitted droppings; None where each edge has its own probability.

    Example:
        >>> ones, counts = torch.ones(2), torch.tensor([1, 4])
        >>> report = CompactnessReport(ones, ones - torch.tensor([0.5, 2.0]), ones, counts, counts - 1, 0.0)
        >>> report.certified.tolist(), report.fragile.tolist()
        ([True, False], [False, True])
    """

    clean: Tensor
    bound: Tensor
    official: Tensor
    degree: Tensor
    budget: Tensor
    negative_slope: float
    drop_rate: float | None = None

    @property
    def badly_trained(self) -> Tensor:
        """(N,) bool."""
        return ~(self.clean > 0)

    @property
    def certified(self) -> Tensor:
        """(N,) bool."""
        return (self.clean > 0) & (self.bound > 0)

    @property
    def fragile(self) -> Tensor:
        """(N,) bool."""
        return (self.clean > 0) & ~(self.bound > 0)

    @property
    def verdict(self) -> Tensor:
        """(N,) int64: 0 certified, 1 fragile, 2 badly trained."""
        return torch.where(self.clean > 0, (~(self.bound > 0)).long(), 2)

    def by_degree(self, first: Sequence[int] = FIRST_DEGREES) -> list[DegreeBucket]:
        """The nodes grouped by in-degree; each bucket begins at one of `first` and ends before the next.

        Raises:
            ShapeError: `first` is empty, does not ascend, or leaves out the smallest degree.
        """
        ends = list(first)
        lowest = int(self.degree.min()) if self.degree.numel() else 0
        if not ends or ends != sorted(set(ends)) or ends[0] > lowest:
            raise ShapeError(
                f"first is {ends}; it must ascend and start at or below the smallest degree, {lowest}.",
                hint="(0, 1, 2)",
            )
        place = torch.bucketize(self.degree, torch.tensor(ends, device=self.degree.device), right=True) - 1
        buckets = []
        for k, low in enumerate(ends):
            inside = place == k
            if bool(inside.any()):
                high = ends[k + 1] - 1 if k + 1 < len(ends) else None
                buckets.append(self._bucket(low, high, inside))
        return buckets

    def _bucket(self, low: int, high: int | None, inside: Tensor) -> DegreeBucket:
        counts = self.verdict[inside].bincount(minlength=len(VERDICTS)).tolist()
        scores = [score[inside].double().cpu().numpy() for score in (self.clean, self.bound, self.official)]
        means = (float(score.mean()) for score in scores)
        ranges = (tuple(np.quantile(score, _RANGE).tolist()) for score in scores)
        return DegreeBucket(low, high, int(inside.sum()), *counts, *means, *ranges)

    def summary(self) -> dict[str, int]:
        """Numbers of nodes: all, certified, fragile, badly trained."""
        counts = self.verdict.bincount(minlength=len(VERDICTS)).tolist()
        return {"nodes": self.clean.numel(), **dict(zip(VERDICTS, counts, strict=True))}


@torch.no_grad()
def compactness_report(
    encoder: nn.Module,
    graph: Any,
    z_other: Tensor | None = None,
    *,
    drop_rate: float | None = None,
    edge_prob: Tensor | None = None,
    tighten: bool = True,
) -> CompactnessReport:
    """Reads the layers of a trained encoder, checks that they explain its output, and bounds every node's value.

    Args:
        encoder: called as ``encoder(x, edge_index)``; two GCNConv (PyG's or graphrep's) with ReLU, LeakyReLU or one
            PReLU slope after both, no projection head. It runs in eval mode and is left as it was.
        graph: anything :meth:`Graph.coerce` takes, with features; its edge weights must not be used by the encoder.
        z_other: (N, d) outputs for the other view; default the outputs on the graph itself.
        drop_rate: p of the permitted droppings, see :func:`~graphrep.objectives.adjacency_bounds`.
        edge_prob: (E,) instead, one probability per edge.
        tighten: the narrower bounds of :func:`~graphrep.objectives.node_compactness`.

    Raises:
        MissingFeaturesError: the graph has no features.
        GraphrepError: a layer cannot be bounded (the message names it), or the arguments do not fit.

    Source: Yu et al., "Provable Training for Graph Contrastive Learning", 2023.

    Example:
        >>> from graphrep.nn import GCNEncoder
        >>> ring = Graph(torch.tensor([[0, 1, 2], [1, 2, 0]]), x=torch.eye(3))
        >>> compactness_report(GCNEncoder(3, 4, 2), ring, drop_rate=0.3).summary()["nodes"]
        3
    """
    graph = Graph.coerce(graph)
    if graph.x is None:
        raise MissingFeaturesError("The graph has no features x; the encoder needs them.", hint="graph.replace(x=...)")
    x, edges = graph.x, graph.edge_index
    x = x.to_dense() if x.layout != torch.strided else x
    layers, slope, clean = gcn_layers(encoder, x, edges)
    other = clean if z_other is None else z_other.detach()
    options: dict[str, Any] = {"drop_rate": drop_rate, "edge_prob": edge_prob, "negative_slope": slope}
    official = node_compactness(x, edges, layers, other, bound="official", **options)
    bound = node_compactness(x, edges, layers, other, bound="best", tighten=tighten, **options)
    _, least, budget = adjacency_bounds(
        edges, num_nodes=x.shape[0], drop_rate=drop_rate, edge_prob=edge_prob, dtype=torch.float64
    )
    value = (contrast_vectors(other) * clean).sum(1)
    degree = least.reciprocal().round().long() - 1
    return CompactnessReport(value, bound, official, degree, budget, slope, drop_rate)
