"""CCA-SSG: two views made equal while columns stay uncorrelated; no negatives, linear in the nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.errors import GraphrepError
from graphrep.methods._contrast import Contrast
from graphrep.methods._views import Source
from graphrep.methods.trained import inherits_arguments
from graphrep.methods.two_view import TwoViewEstimator
from graphrep.objectives import cca_ssg

__all__ = ["CCASSG"]


class CCASSG(TwoViewEstimator):
    """Invariance between views plus decorrelation of the columns; O(N d^2) per epoch and no projection head.

    All other arguments are those of :class:`~graphrep.methods.GRACE`; `loss` must stay "info_nce" (unused).

    Args:
        dim: d, numbers per node.
        lambd: weight of the decorrelation.

    Source: Zhang et al., "From Canonical Correlation Analysis to Self-supervised Graph Neural Networks", NeurIPS 2021,
    arXiv:2106.12484.

    Example:
        >>> import graphrep as gr
        >>> gr.CCASSG(dim=16, epochs=2).fit(gr.load("digits")).embedding_.shape
        torch.Size([1797, 16])
    """

    def __init__(self, dim: int = 512, *, lambd: float = 1e-3, **options: Any) -> None:
        super().__init__(dim, **{**_DEFAULTS, **options})
        self.lambd = lambd

    def _contrast(self, source: Source) -> Contrast:
        if self.loss != "info_nce" or self.loss_options:
            raise GraphrepError("CCA-SSG has a loss of its own.", hint='loss="info_nce" without loss_options')
        return _Canonical(self.lambd)

    def _head(self) -> nn.Module:
        return nn.Identity()


_DEFAULTS: dict[str, Any] = {
    "hidden_dim": 512, "drop_edge_rates": (0.4, 0.4), "drop_feature_rates": (0.1, 0.1), "epochs": 50, "lr": 1e-3,
    "weight_decay": 0.0,
}  # fmt: skip
inherits_arguments(CCASSG, **_DEFAULTS)


class _Canonical(Contrast):
    def __init__(self, lambd: float) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, views: Sequence[Tensor], nodes: Tensor | None, epoch: int, generator: torch.Generator) -> Tensor:
        """The loss of two views (N, d); neither the nodes nor the epoch matters."""
        return cca_ssg(views[0], views[1], lambd=self.lambd)
