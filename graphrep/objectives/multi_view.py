"""Contrast among more than two views of the same nodes, for example one per meta-path."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels.blockwise import DOTS, UU, UV, VU, contrast
from graphrep.objectives._common import Objective, check_pairs, check_temperature, reduced

__all__ = ["MVDHELLoss", "MVInfoNCELoss", "mv_dhel", "mv_info_nce"]


def mv_info_nce(views: Sequence[Tensor], *, temperature: float, reduction: str = "mean") -> Tensor:
    """InfoNCE with one term per node over all pairs of views.

    For unit rows u_il of node i in view l, ``-log [ sum_{l != l'} exp(u_il.u_il' / t) / sum_{l, l'} sum_j
    exp(u_il.u_jl' / t) ]`` where (j, l') = (i, l) is left out of the sum below.

    Args:
        views: K >= 2 tensors (N, d); row i of all is node i. Rows are divided by their length inside.
        temperature: t > 0.
        reduction: ``"mean"``, or ``"none"`` for (N,) rows.

    Returns:
        A scalar, or (N,). Costs K^2 N^2 d multiply-adds forward and backward, O(K N d) memory.

    Raises:
        ShapeError: fewer than two views, or shapes that differ.

    Source: "A Principled Framework for Multi-View Contrastive Learning", 2025, MV-InfoNCE.

    Example:
        >>> mv_info_nce([torch.eye(2)] * 3, temperature=1.0)
        tensor(0.4394)
    """
    _check(views, temperature)
    scale = 1 / temperature
    negatives = [contrast(view, view, terms=UU, scale=scale, unit=True)[0] for view in views]
    positives = []
    for u, v in itertools.combinations(views, 2):
        lse_u, lse_v, dots = contrast(u, v, terms=UV | VU | DOTS, scale=scale, unit=True)
        negatives += [lse_u, lse_v]
        positives += [dots, dots]
    rows = torch.stack(negatives).logsumexp(0) - torch.stack(positives).logsumexp(0)
    return reduced(rows, reduction)


def mv_dhel(views: Sequence[Tensor], *, temperature: float, reduction: str = "mean") -> Tensor:
    """Alignment over all pairs of views and uniformity inside each, without products across views of other nodes.

    ``-log sum_{l < l'} exp(u_il.u_il' / t) + sum_l log sum_{j != i} exp(u_il.u_jl / t)`` for unit rows.

    Args:
        views: K >= 2 tensors (N, d), N >= 2. Rows are divided by their length inside.
        temperature: t > 0.
        reduction: ``"mean"``, or ``"none"`` for (N,) rows.

    Returns:
        A scalar, or (N,). Costs 2 K N^2 d multiply-adds forward and backward, O(K N d) memory.

    Raises:
        ShapeError: fewer than two views or rows, or shapes that differ.

    Source: "A Principled Framework for Multi-View Contrastive Learning", 2025, MV-DHEL.

    Example:
        >>> mv_dhel([torch.eye(2)] * 2, temperature=1.0)
        tensor(-1.0000)
    """
    _check(views, temperature, fewest=2)
    scale = 1 / temperature
    uniform = sum(contrast(view, view, terms=UU, scale=scale, unit=True)[0] for view in views)
    pairs = [contrast(u, v, terms=DOTS, scale=scale, unit=True)[2] for u, v in itertools.combinations(views, 2)]
    return reduced(uniform - torch.stack(pairs).logsumexp(0), reduction)


def _check(views: Sequence[Tensor], temperature: float, *, fewest: int = 1) -> None:
    check_temperature(temperature)
    if len(views) < 2:
        raise ShapeError(f"{len(views)} views leave nothing to compare.", hint="a list of at least two tensors")
    for view in views[1:]:
        check_pairs(views[0], view, fewest=fewest)


class MVInfoNCELoss(Objective):
    """:func:`mv_info_nce` as a module.

    Example:
        >>> MVInfoNCELoss(temperature=1.0)([torch.eye(2)] * 3)
        tensor(0.4394)
    """

    def __init__(self, *, temperature: float, reduction: str = "mean") -> None:
        check_temperature(temperature)
        super().__init__(temperature=temperature, reduction=reduction)

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """See :func:`mv_info_nce`."""
        return mv_info_nce(views, **self.options)


class MVDHELLoss(Objective):
    """:func:`mv_dhel` as a module.

    Example:
        >>> MVDHELLoss(temperature=1.0)([torch.eye(2)] * 2)
        tensor(-1.0000)
    """

    def __init__(self, *, temperature: float, reduction: str = "mean") -> None:
        check_temperature(temperature)
        super().__init__(temperature=temperature, reduction=reduction)

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """See :func:`mv_dhel`."""
        return mv_dhel(views, **self.options)
