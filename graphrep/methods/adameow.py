"""AdaMEOW: MEOW whose negatives are weighted by a small network that is trained along (Yu, Ge, Li, Zhou 2024)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.errors import GraphrepError
from graphrep.methods._meow import MetaPathModule, ViewLoss
from graphrep.methods.metapath import MetaPathEstimator
from graphrep.methods.trained import inherits_arguments
from graphrep.objectives import AdaptiveNegativeWeight, adameow_contrast
from graphrep.objectives._common import check_temperature

__all__ = ["AdaMEOW"]

VANISHING = 0.01  # mean weight below which the loss no longer tells nodes apart
_DEFAULTS: dict[str, Any] = {"lr": 5e-5, "weight_decay": 1e-5, "dropout": 0.3, "epochs": 400, "stop": "none"}


class AdaMEOW(MetaPathEstimator):
    """Vectors for one node type as by :class:`MEOW`, with a trained soft weight in place of clusters and prototypes.

    The loss is :func:`graphrep.objectives.adameow_contrast`. It falls without limit as all weights go to 0, which
    teaches the encoder nothing, so watch ``weight`` in ``history_``: the mean weight of a pair; below 0.01 there is a
    warning. ``normalise_weights=True`` closes that way out, and was worth four to six points of F1 on ACM,
    nothing on DBLP (benchmarks/hetero.md).

    Args:
        dim: d, numbers per node.
        temperature: tau of the contrast.
        hidden_weights: width of the network that weights pairs.
        normalise_weights: weights of a node's negatives are divided by their mean (an addition).
        metapaths and all others: see :class:`MEOW`. The published program trains 1,000 to 3,000 epochs and gives no
            rule to stop.

    Attributes:
        embedding_, ids_, attention_, notes_, module_: see :class:`MEOW`.
        history_: per epoch also ``weight`` and ``weight_std``, mean and deviation over pairs.

    Source: Yu, Ge, Li, Zhou, "Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Adaptively Weighted
    Negative Samples", IEEE TKDE 2024, arXiv:2212.13847.

    Example:
        >>> import torch
        >>> from graphrep import HeteroGraph
        >>> by = torch.tensor([[0, 1, 2, 3, 0, 2], [0, 0, 1, 1, 2, 2]])
        >>> graph = HeteroGraph({("paper", "by", "author"): by}, x={"paper": torch.eye(4)}, target="paper")
        >>> AdaMEOW(8, epochs=3).fit_transform(graph).shape
        torch.Size([4, 8])
    """

    _left_out = ("weights.",)

    def __init__(
        self,
        dim: int = 64,
        *,
        temperature: float = 1.0,
        hidden_weights: int = 16,
        normalise_weights: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(dim, **{**_DEFAULTS, **options})
        self.temperature = temperature
        self.hidden_weights = hidden_weights
        self.normalise_weights = normalise_weights

    def _check_settings(self) -> None:
        super()._check_settings()
        check_temperature(self.temperature)
        if self.hidden_weights < 1:
            raise GraphrepError(f"hidden_weights is {self.hidden_weights}.", hint="16")

    def _loss(self, module: MetaPathModule, num_nodes: int) -> ViewLoss:
        net = AdaptiveNegativeWeight(self.dim, self.hidden_weights)
        module.weights = net.to(self.device, next(module.parameters()).dtype)
        told = False

        def loss(coarse: Tensor, fine: Tensor, epoch: int) -> tuple[Tensor, Mapping[str, Tensor | float]]:
            nonlocal told
            value = adameow_contrast(fine, coarse, net, temperature=self.temperature, normalise=self.normalise_weights)
            with torch.no_grad():
                found = net.statistics(fine, coarse)
            if found.mean < VANISHING and not self.normalise_weights and not told:
                told = True
                warnings.warn(
                    f"After {epoch} epochs the mean weight of a negative is {found.mean:.3g}: the loss falls because "
                    "weights vanish, not because nodes are told apart. Try normalise_weights=True or fewer epochs.",
                    stacklevel=2,
                )
            return value, {"weight": found.mean, "weight_std": found.std}

        return loss

    def _finished(self, module: nn.Module) -> None:
        if hasattr(module, "weights"):
            del module.weights


inherits_arguments(AdaMEOW, **_DEFAULTS)
