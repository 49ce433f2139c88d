"""Contrast with negatives weighted by clusterings (MEOW; Yu, Li, SDM 2023), and plain InfoNCE for comparison."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, IndexRangeError, ShapeError
from graphrep.kernels import streaming_logsumexp
from graphrep.kernels._check import check_device, check_index
from graphrep.kernels.weighted import label_contrast
from graphrep.objectives._common import Objective, check_temperature, check_unit_views, reduced

__all__ = ["MEOWContrastLoss", "meow_contrast"]


def meow_contrast(
    anchor: Tensor,
    z: Tensor,
    assignments: Sequence[Tensor] | None,
    *,
    temperature: float,
    reduction: str = "mean",
) -> Tensor:
    """InfoNCE whose negatives count as often as clusterings tell them apart from the anchor.

        ``l_i = -log [ exp(a_i.z_i / t) / sum_j w_ij exp(a_i.z_j / t) ]``,  ``w_ij = sum_t [q_t(i) != q_t(j)]``

    One direction only; w_ii = 0, so the positive is not in the sum and the loss may be negative. With
    ``assignments=None`` all weights are 1, the positive's too: InfoNCE without cluster weights.

    Args:
        anchor: (N, d), one view; row i is node i. Rows are taken as they are: pass unit rows.
        z: (N, d), the other view.
        assignments: T >= 1 integer tensors (N,), the cluster of each node in each clustering, or None. Any labels >= 0;
            clusters without members and with one member are fine. No gradient.
        temperature: t > 0.
        reduction: ``"mean"``, or ``"none"`` for (N,) rows.

    Returns:
        A scalar, or (N,); float32 for half types. Differentiable once in both views.

    Cost per pair: d multiply-adds and T comparisons forward, 3 d and T backward; O(N (d + T)) memory.

    Raises:
        GraphrepError: there is no negative at all, because every clustering puts all nodes into one cluster (a single
            node included). As "in the same cluster" is an equivalence, then and only then a row lacks negatives, and
            then all rows do: -log(x / 0) has no value, and there is no sensible mean to take.
        ShapeError, DTypeError, IndexRangeError, DeviceError, UnknownNameError: the arguments do not fit.

    See also: :func:`prototype_contrast` (the second term of MEOW's loss), :func:`adameow_contrast` (learned weights).

    Source: Yu, Li, "Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Weighted Negative Samples",
    2023.

    Example:
        >>> unit = torch.eye(3)
        >>> meow_contrast(unit, unit, [torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])], temperature=1.0)
        tensor(-0.0365)
    """
    check_temperature(temperature)
    dtype = check_unit_views(anchor, z)
    a, b, scale = anchor.to(dtype), z.to(dtype), 1 / temperature
    if assignments is None:
        lse = streaming_logsumexp(a, b, scale=scale)
    else:
        lse = label_contrast(a, b, _labels(assignments, anchor), scale=scale)
    return reduced(lse - (a * b).sum(1) * scale, reduction)


def _labels(assignments: Sequence[Tensor], anchor: Tensor) -> Tensor:
    """(T, N) int32, each clustering's labels renumbered; raises unless there is a negative."""
    given = list(assignments)
    if not given:
        raise GraphrepError("assignments is empty.", hint="one tensor per clustering, or None for plain InfoNCE")
    rows, apart = [], False
    for t, labels in enumerate(given):
        name = f"assignments[{t}]"
        check_index(labels, name)
        check_device(anchor.device, **{name: labels})
        if labels.shape[0] != anchor.shape[0]:
            raise ShapeError(f"{name} has {labels.shape[0]} labels for {anchor.shape[0]} nodes.", hint="one per node")
        kept, numbered = torch.unique(labels, return_inverse=True)
        if int(kept[0]) < 0:
            where = int((labels < 0).nonzero()[0])
            raise IndexRangeError(f"{name} holds {int(labels[where])} at position {where}.", hint="labels from 0 on")
        apart = apart or kept.numel() > 1
        rows.append(numbered.int())
    if not apart:
        raise GraphrepError(
            f"Every clustering puts all {anchor.shape[0]} nodes into one cluster, so there is no negative.",
            hint="more clusters, or assignments=None for plain InfoNCE",
        )
    return torch.stack(rows)


class MEOWContrastLoss(Objective):
    """:func:`meow_contrast` as a module.

    Example:
        >>> MEOWContrastLoss(temperature=0.4)
        MEOWContrastLoss(temperature=0.4, reduction='mean')
    """

    def __init__(self, *, temperature: float, reduction: str = "mean") -> None:
        check_temperature(temperature)
        super().__init__(temperature=temperature, reduction=reduction)

    def forward(self, anchor: Tensor, z: Tensor, assignments: Sequence[Tensor] | None) -> Tensor:
        """See :func:`meow_contrast`."""
        return meow_contrast(anchor, z, assignments, **self.options)
