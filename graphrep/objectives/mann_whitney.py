"""A smooth form of the area under the ROC curve: every positive against every negative."""

from __future__ import annotations

from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels.blockwise.pairs import softplus_pairs
from graphrep.objectives._common import Objective, check_temperature

__all__ = ["MannWhitneyLoss", "mann_whitney"]


def mann_whitney(pos: Tensor, neg: Tensor, *, temperature: float) -> Tensor:
    """``mean over pairs of softplus(-(pos_p - neg_n) / t)``, which bounds 1 - AUC from above up to the factor log 2.

    Args:
        pos: (P,) scores of positives, P >= 1.
        neg: (Q,) scores of negatives, Q >= 1.
        temperature: t > 0.

    Returns:
        A scalar, float32 for half types. Differentiable once, twice for up to a million pairs. O(P Q) time, O(P + Q)
        memory: gradients are computed block by block along with the value.

    Raises:
        ShapeError: an input is empty or not one-dimensional.
        GraphrepError: the temperature is not positive.

    Source: the logistic surrogate of the Mann-Whitney statistic; Yan et al., "Optimizing Classifier Performance via an
    Approximation to the Wilcoxon-Mann-Whitney Statistic", 2003.

    Example:
        >>> import torch
        >>> mann_whitney(torch.tensor([2.0]), torch.tensor([0.0, 1.0]), temperature=1.0)
        tensor(0.2201)
    """
    check_temperature(temperature)
    for name, scores in (("pos", pos), ("neg", neg)):
        if scores.dim() != 1 or scores.numel() == 0:
            raise ShapeError(f"{name} has shape {tuple(scores.shape)}; at least one score is needed.", hint="(P,)")
    return softplus_pairs(pos, neg, 1 / temperature)


class MannWhitneyLoss(Objective):
    """:func:`mann_whitney` as a module.

    Example:
        >>> import torch
        >>> MannWhitneyLoss(temperature=1.0)(torch.tensor([2.0]), torch.tensor([0.0, 1.0]))
        tensor(0.2201)
    """

    def __init__(self, *, temperature: float) -> None:
        check_temperature(temperature)
        super().__init__(temperature=temperature)

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """See :func:`mann_whitney`."""
        return mann_whitney(pos, neg, **self.options)
