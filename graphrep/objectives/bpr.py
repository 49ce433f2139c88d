"""Bayesian personalised ranking: a met item above one that was not met (Rendle et al., UAI 2009)."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels._check import check_device, check_floating
from graphrep.objectives._common import Objective, reduced

__all__ = ["BPRLoss", "bpr"]


def bpr(pos: Tensor, neg: Tensor, *, reduction: str = "mean") -> Tensor:
    """How far scores of met items lie above those of others: the mean of ``softplus(neg - pos)``.

    That is ``-log sigmoid(pos - neg)``, without overflow for scores of any size.

    Args:
        pos: (T,) scores of met items.
        neg: (T,) scores of items that were not met, one for each of `pos`.
        reduction: ``"mean"``, or ``"none"`` for (T,) rows.

    Returns:
        A scalar, or (T,); float32 for half types.

    Raises:
        ShapeError, DTypeError, DeviceError, UnknownNameError: the arguments do not fit each other.

    Source: Rendle, Freudenthaler, Gantner, Schmidt-Thieme, "BPR: Bayesian Personalized Ranking from Implicit Feedback",
    2009, arXiv:1205.2618.

    Example:
        >>> bpr(torch.tensor([2.0, 1.0]), torch.tensor([0.0, 1.0]))
        tensor(0.4100)
    """
    check_floating(pos, "pos")
    check_floating(neg, "neg")
    check_device(pos.device, neg=neg)
    if pos.dim() != 1 or pos.shape != neg.shape or not pos.numel():
        raise ShapeError(
            f"pos has shape {tuple(pos.shape)} and neg {tuple(neg.shape)}; one score of each per pair.", hint="(T,)"
        )
    dtype = torch.promote_types(torch.promote_types(pos.dtype, neg.dtype), torch.float32)
    return reduced(torch.nn.functional.softplus(neg.to(dtype) - pos.to(dtype)), reduction)


class BPRLoss(Objective):
    """:func:`bpr` as a module.

    Example:
        >>> BPRLoss()(torch.tensor([1.0]), torch.tensor([1.0]))
        tensor(0.6931)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """See :func:`bpr`."""
        return bpr(pos, neg, **self.options)
