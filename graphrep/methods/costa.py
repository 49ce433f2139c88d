"""COSTA: the augmentation is a random projection over the nodes, in the space of embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor

from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.kernels import random_projection
from graphrep.methods._contrast import Contrast, make_contrast
from graphrep.methods._views import Source
from graphrep.methods.trained import inherits_arguments
from graphrep.methods.two_view import TwoViewEstimator

__all__ = ["COSTA"]


class COSTA(TwoViewEstimator):
    """Two views, multiplied by one random matrix P (ratio N x N) before the head; between-view negatives alone.

    P is drawn anew in each step, is the same for both views, and is never stored. All other arguments are those of
    :class:`~graphrep.methods.GRACE`; `loss` must stay "info_nce".

    Args:
        dim: d, numbers per node.
        sketch: "gaussian" (entries N(0, 1) / sqrt(k), as published) or "sparse" (few random signs per row; faster).
        ratio: rows of P over N.

    Source: Zhang, Zhu, Song, Koniusz, King, "COSTA: Covariance-Preserving Feature Augmentation for Graph Contrastive
    Learning", KDD 2022, arXiv:2206.04726 (multi-view form).

    Example:
        >>> import graphrep as gr
        >>> gr.COSTA(dim=16, epochs=2).fit(gr.load("digits")).embedding_.shape
        torch.Size([1797, 16])
    """

    def __init__(self, dim: int = 256, *, sketch: str = "gaussian", ratio: float = 0.5, **options: Any) -> None:
        super().__init__(dim, **{**_DEFAULTS, **options})
        self.sketch = sketch
        self.ratio = ratio

    def _contrast(self, source: Source) -> Contrast:
        if self.loss != "info_nce" or self.loss_options:
            raise GraphrepError("COSTA has a loss of its own.", hint='loss="info_nce" without loss_options')
        options = {"intra_view": False}
        return make_contrast(
            "info_nce", options, temperature=self.temperature, num_nodes=source.num_nodes, guide=source.smoothed
        )

    def _between(self, num_rows: int) -> Callable[[Tensor, int], Tensor] | None:
        if self.sketch not in ("gaussian", "sparse"):
            raise UnknownNameError(f'sketch is "{self.sketch}".', hint='"gaussian" or "sparse"')
        if not 0 < self.ratio <= 1:
            raise GraphrepError(f"ratio is {self.ratio}.", hint="above 0, at most 1, as 0.5")
        kind: Literal["gaussian", "sparse"] = "gaussian" if self.sketch == "gaussian" else "sparse"
        ratio = self.ratio
        return lambda z, seed: random_projection(max(2, int(ratio * len(z))), z, seed, kind=kind)


_DEFAULTS: dict[str, Any] = {
    "drop_edge_rates": (0.2, 0.4), "temperature": 0.4, "epochs": 700, "lr": 1e-3, "weight_decay": 0.0,
}  # fmt: skip
inherits_arguments(COSTA, **_DEFAULTS)
