"""The POT regulariser of two-view methods: node compactness of both views' encoders, in O(E d) (Yu et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels import CSR, spmm
from graphrep.methods._views import Rates, Source, View
from graphrep.nn.encoder import GCNEncoder
from graphrep.objectives.compactness._graph import Dropping, budgets
from graphrep.objectives.compactness._relaxed import Encoder, official_scores, sound_scores
from graphrep.objectives.compactness.bounds import scaled_bounds
from graphrep.objectives.compactness.scores import BOUNDS, contrast_vectors, pot

__all__ = ["Compactness"]


class Compactness:
    """What the scores of one training graph share: degrees, budgets and bounds of each view, computed once.

    Args:
        source: the graph.
        rates: of the views; the budget of a node is the rounded number of in-edges that it loses on average.
        bound: see :func:`graphrep.objectives.node_compactness`.
        num_nodes: nodes whose scores enter the mean, drawn anew in each step; None: all.

    Raises:
        GraphrepError: the encoder or the number of views is none that can be bounded.
    """

    def __init__(self, source: Source, rates: Rates, encoder: object, *, bound: str, num_nodes: int | None) -> None:
        if not isinstance(encoder, GCNEncoder) or len(encoder.convs) != 2:
            what = type(encoder).__name__ if not isinstance(encoder, GCNEncoder) else f"{len(encoder.convs)} layers"
            raise GraphrepError(
                f"POT bounds a two-layer GCN; the encoder is {what}.", hint="pot=False, or num_layers=2"
            )
        if bound not in BOUNDS:
            raise GraphrepError(f'pot_bound is "{bound}".', hint="one of " + ", ".join(BOUNDS))
        encoder.negative_slope  # noqa: B018 - raises for an activation that has none
        self.bound, self.num_nodes, self.source = bound, num_nodes, source
        csr = source.pattern
        self.droppings = []
        for rate in rates.edges:
            prob = rate[csr.perm.long()].double() if isinstance(rate, Tensor) else None
            budget = budgets(csr, None if prob is not None else float(rate), prob)
            self.droppings.append(Dropping(csr, *scaled_bounds(csr.degree() + 1, budget, source.dtype)))

    def loss(
        self, encoder: GCNEncoder, views: Sequence[View], z: Sequence[Tensor], generator: torch.Generator
    ) -> Tensor:
        """Mean over both views of the mean over nodes of softplus(-score)."""
        nodes = None
        if self.num_nodes is not None and self.num_nodes < self.source.num_nodes:
            nodes = torch.randperm(self.source.num_nodes, generator=generator)[: self.num_nodes]
        layers, slope = encoder.layers, encoder.negative_slope
        if isinstance(slope, Tensor):
            slope = slope.clamp(0, 1)
        total = z[0].new_zeros(())
        for k, other in ((0, 1), (1, 0)):
            x = views[k].x
            inside = spmm(x, layers[0][0]) if isinstance(x, CSR) else x @ layers[0][0]
            bounded = Encoder(inside, layers, slope, self.droppings[k % len(self.droppings)])
            contrast = contrast_vectors(z[other])
            if self.bound == "official":
                scores = official_scores(bounded, contrast, self._sampled(views[k]), None)
            else:
                scores = sound_scores(bounded, contrast, self.bound)
            total = total + pot(scores if nodes is None else scores[nodes]) / 2
        return total

    def _sampled(self, view: View) -> CSR:
        """The edges that stayed, without weights; found by the mask, not by sorting."""
        sampled: CSR = self.source.plain_dropper.view(view.keep)
        return sampled
