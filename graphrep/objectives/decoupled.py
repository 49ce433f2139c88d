"""Decoupled contrastive loss: InfoNCE without the positive in the sum (Yeh et al., ECCV 2022)."""

from __future__ import annotations

from torch import Tensor

from graphrep.kernels.blockwise import DOTS, SKIP_DIAGONAL, UU, UV, VU, VV, contrast
from graphrep.objectives._common import Objective, check_pairs, check_temperature, reduced

__all__ = ["DecoupledContrastiveLoss", "decoupled_contrastive"]


def decoupled_contrastive(
    u: Tensor,
    v: Tensor,
    *,
    temperature: float,
    weighted: bool = False,
    weight_temperature: float = 0.5,
    symmetric: bool = True,
    reduction: str = "mean",
) -> Tensor:
    """InfoNCE whose gradient does not fade with how easy the positive is.

    For unit rows, ``l(u_i) = -w_i u_i.v_i / t + log sum_{j != i} [ exp(u_i.u_j / t) + exp(u_i.v_j / t) ]``.

    Args:
        u: (N, d), one view of N >= 2 nodes. Rows are divided by their length inside.
        v: (N, d), the other view.
        temperature: t > 0.
        weighted: ``w_i = 2 - exp(u_i.v_i / s) / mean_k exp(u_k.v_k / s)``, without a gradient; else w_i = 1.
        weight_temperature: s > 0.
        symmetric: the mean of both directions; False is u -> v alone.
        reduction: ``"mean"``, or ``"none"`` for (N,) rows.

    Returns:
        A scalar, or (N,); may be negative. Differentiable once. Cost as :func:`info_nce`.

    Raises:
        ShapeError: fewer than two rows (no negatives), or shapes that differ.
        GraphrepError: a temperature is not positive.

    Source: Yeh et al., "Decoupled Contrastive Learning", 2022, equations 4 and 6.

    Example:
        >>> import torch
        >>> decoupled_contrastive(torch.eye(2), torch.eye(2), temperature=1.0)
        tensor(-0.3069)
    """
    check_temperature(temperature)
    check_temperature(weight_temperature, "weight_temperature")
    check_pairs(u, v, fewest=2)
    terms = UU | UV | DOTS | SKIP_DIAGONAL | (VU | VV if symmetric else 0)
    lse_u, lse_v, dots = contrast(u, v, terms=terms, scale=1 / temperature, unit=True)
    positive = dots
    if weighted:
        weight = (dots.detach() * (temperature / weight_temperature)).exp()
        positive = (2 - weight / weight.mean()) * dots
    rows = (lse_u + lse_v) / 2 - positive if symmetric else lse_u - positive
    return reduced(rows, reduction)


class DecoupledContrastiveLoss(Objective):
    """:func:`decoupled_contrastive` as a module.

    Example:
        >>> import torch
        >>> DecoupledContrastiveLoss(temperature=1.0)(torch.eye(2), torch.eye(2))
        tensor(-0.3069)
    """

    def __init__(
        self,
        *,
        temperature: float,
        weighted: bool = False,
        weight_temperature: float = 0.5,
        symmetric: bool = True,
        reduction: str = "mean",
    ) -> None:
        check_temperature(temperature)
        super().__init__(
            temperature=temperature,
            weighted=weighted,
            weight_temperature=weight_temperature,
            symmetric=symmetric,
            reduction=reduction,
        )

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """See :func:`decoupled_contrastive`."""
        return decoupled_contrastive(u, v, **self.options)
