"""ProGCL: negatives weighted by how likely they are true negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from graphrep.errors import GraphrepError
from graphrep.methods._contrast import Contrast
from graphrep.methods._views import Rates, Source
from graphrep.methods.gca import adaptive_rates
from graphrep.methods.trained import inherits_arguments
from graphrep.methods.two_view import TwoViewEstimator
from graphrep.objectives import BetaMixture, info_nce, progcl_contrast

__all__ = ["ProGCL"]


class ProGCL(TwoViewEstimator):
    """GCA's views, and from epoch `mixture_start` on InfoNCE with weights from a mixture of two Beta densities.

    The mixture is fitted to the similarities of all nodes with `fit_columns` random ones. The weights follow from the
    similarities of the epoch of the last fit, as in the authors' program, and are evaluated tile by tile: no N x N
    array exists. All other arguments are those of :class:`~graphrep.methods.GRACE`; `loss` must stay "info_nce".

    Args:
        dim: d, numbers per node.
        centrality: of the views; "degree", "pagerank" or "eigenvector".
        mixture_start: first epoch with weights.
        mixture_iters: rounds of expectation and maximisation.
        mixture_weight: share of the false negatives at the start of the fit.
        fit_columns: nodes whose similarities to all others are fitted.
        refit_every: epochs between two fits; None: fitted once.

    Source: Xia et al., "ProGCL: Rethinking Hard Negative Mining in Graph Contrastive Learning", ICML 2022,
    arXiv:2110.02027 (the weighting form).

    Example:
        >>> import graphrep as gr
        >>> gr.ProGCL(dim=16, epochs=4, mixture_start=3).fit(gr.load("digits")).embedding_.shape
        torch.Size([1797, 16])
    """

    def __init__(
        self,
        dim: int = 128,
        *,
        centrality: str = "eigenvector",
        mixture_start: int = 400,
        mixture_iters: int = 10,
        mixture_weight: float = 0.05,
        fit_columns: int = 100,
        refit_every: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dim, **{**_DEFAULTS, **options})
        self.centrality = centrality
        self.mixture_start = mixture_start
        self.mixture_iters = mixture_iters
        self.mixture_weight = mixture_weight
        self.fit_columns = fit_columns
        self.refit_every = refit_every

    def _rates(self, source: Source) -> Rates:
        return adaptive_rates(source, self.centrality, super()._rates(source))

    def _contrast(self, source: Source) -> Contrast:
        if self.loss != "info_nce" or self.loss_options:
            raise GraphrepError("ProGCL has a loss of its own.", hint='loss="info_nce" without loss_options')
        if self.batch_size is not None:
            raise GraphrepError("ProGCL keeps the views of all nodes of one epoch.", hint="batch_size=None")
        mixture = BetaMixture(iters=self.mixture_iters, init_weight=self.mixture_weight)
        weighted = _Weighted(mixture, source.num_nodes, self.dim)
        weighted.temperature, weighted.columns = self.temperature, self.fit_columns
        weighted.start, weighted.every = self.mixture_start, self.refit_every
        return weighted


_DEFAULTS: dict[str, Any] = {"drop_edge_rates": (0.3, 0.1), "temperature": 0.6, "epochs": 700}
inherits_arguments(ProGCL, **_DEFAULTS)


class _Weighted(Contrast):
    """InfoNCE until the mixture is fitted; the fit and its views are buffers, so that a saved state has them."""

    fitted: Tensor
    frozen: Tensor
    temperature: float
    columns: int
    start: int
    every: int | None

    def __init__(self, mixture: BetaMixture, num_nodes: int, dim: int) -> None:
        super().__init__()
        self.mixture = mixture
        self.register_buffer("fitted", torch.zeros(7, dtype=torch.float64))  # whether, alpha, beta, weight
        self.register_buffer("frozen", torch.zeros(2, num_nodes, dim))

    def forward(self, views: Sequence[Tensor], nodes: Tensor | None, epoch: int, generator: torch.Generator) -> Tensor:
        """The loss of two views (N, d); fits the mixture where that is due. `nodes` is None: all are compared."""
        u, v = views[0], views[1]
        if epoch < self.start:
            return info_nce(u, v, temperature=self.temperature)
        due = self.every is not None and (epoch - self.start) % self.every == 0
        if not self.fitted[0] or due:
            self._fit(u.detach(), v.detach(), generator)
        parts = self.fitted[1:].cpu().reshape(3, 2)
        self.mixture.alpha, self.mixture.beta, self.mixture.weight = parts[0], parts[1], parts[2]
        frozen = (self.frozen[0], self.frozen[1])
        return progcl_contrast(u, v, temperature=self.temperature, mixture=self.mixture, frozen=frozen)

    def _fit(self, u: Tensor, v: Tensor, generator: torch.Generator) -> None:
        chosen = torch.randint(len(u), (self.columns,), generator=generator).to(u.device)
        self.mixture.fit((normalize(u) @ normalize(v[chosen]).t() + 1) / 2)
        found = torch.cat([self.mixture.alpha, self.mixture.beta, self.mixture.weight])
        self.fitted[0] = 1
        self.fitted[1:] = found.to(self.fitted.device)
        self.frozen[0], self.frozen[1] = u.to(self.frozen.dtype), v.to(self.frozen.dtype)
