"""Prediction of a slow encoder's output, without negatives (BGRL; Thakoor et al., ICLR 2022)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from graphrep.kernels._check import check_device, check_floating
from graphrep.objectives._common import Objective, check_choice, check_pairs, reduced

__all__ = ["BootstrapLoss", "bootstrap"]


def bootstrap(prediction: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """``2 - 2 cos(p_i, t_i)`` for each node, the squared distance of unit rows.

    For both directions the caller adds ``bootstrap(predictor(online(view 1)), slow(view 2))`` and the one with views
    exchanged.

    Args:
        prediction: (N, d), the predictor's output on one view.
        target: (N, d), the slow encoder's output on the other view; no gradient flows to it.
        reduction: ``"mean"``, or ``"none"`` for (N,) rows.

    Returns:
        A scalar, or (N,); float32 for half types. A row of zeros has cosine 0. O(N d) time and memory.

    Raises:
        ShapeError, DTypeError, DeviceError, UnknownNameError: the arguments do not fit.

    See also: :func:`cca_ssg` (one encoder).

    Source: Thakoor et al., "Large-Scale Representation Learning on Graphs via Bootstrapping", 2022, arXiv:2102.06514;
    there the constant 2 is left out.

    Example:
        >>> bootstrap(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [0.0, -1.0]]), reduction="none")
        tensor([0., 4.])
    """
    check_choice("reduction", reduction, ("mean", "none"))
    check_pairs(prediction, target)
    check_floating(prediction, "prediction")
    check_floating(target, "target")
    check_device(prediction.device, target=target)
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    cosine = (normalize(prediction.to(dtype)) * normalize(target.detach().to(dtype))).sum(1)
    return reduced(2 - 2 * cosine, reduction)


class BootstrapLoss(Objective):
    """:func:`bootstrap` as a module.

    Example:
        >>> BootstrapLoss()(torch.eye(2), torch.eye(2))
        tensor(0.)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        check_choice("reduction", reduction, ("mean", "none"))
        super().__init__(reduction=reduction)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See :func:`bootstrap`."""
        return bootstrap(prediction, target, **self.options)
