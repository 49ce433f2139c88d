"""Losses of link prediction from scores of links and of their negatives: cross-entropy, ranking, contrast."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels._check import check_device, check_floating
from graphrep.objectives._common import Objective, check_choice, check_temperature

__all__ = [
    "LinkAdversarialLoss",
    "LinkBCELoss",
    "LinkBPRLoss",
    "LinkInfoNCELoss",
    "link_adversarial",
    "link_bce",
    "link_bpr",
    "link_info_nce",
]


def link_bce(pos: Tensor, neg: Tensor, *, pos_weight: Tensor | None = None, reduction: str = "balanced") -> Tensor:
    """Binary cross-entropy of scores: ``softplus(-pos)`` and ``softplus(neg)``, without overflow.

    Args:
        pos: (B,) scores (logits) of links, B >= 1.
        neg: (B, K) scores of negatives, K >= 1; (M, 1) with another number of rows where they belong to no link.
        pos_weight: (B,) weights of the links' terms, not negative. No gradient.
        reduction: ``"balanced"``: the mean over links plus the mean over negatives; ``"concat"``: the mean over all
            B + BK terms, in which negatives dominate for K > 1.

    Returns:
        A scalar, float32 for half types. O(BK).

    Raises:
        ShapeError, DTypeError, DeviceError, GraphrepError, UnknownNameError: the arguments do not fit each other.

    Example:
        >>> link_bce(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]))
        tensor(1.3863)
        >>> link_bce(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]), reduction="concat")
        tensor(0.6931)
    """
    check_choice("reduction", reduction, ("balanced", "concat"))
    pos, neg = _checked(pos, neg, own_rows=False)
    links, others = softplus(-pos), softplus(neg)
    if pos_weight is not None:
        links = links * _weights(pos_weight, pos)
    if reduction == "balanced":
        return links.mean() + others.mean()
    return (links.sum() + others.sum()) / (links.numel() + others.numel())


def link_bpr(pos: Tensor, neg: Tensor) -> Tensor:
    """Bayesian personalised ranking of each link above its own negatives: the mean of ``softplus(neg - pos)``.

    Args:
        pos: (B,) scores of links, B >= 1.
        neg: (B, K) scores of each link's negatives, K >= 1.

    Returns:
        A scalar, float32 for half types. O(BK).

    Raises:
        ShapeError, DTypeError, DeviceError: the arguments do not fit each other.

    Source: Rendle, Freudenthaler, Gantner, Schmidt-Thieme, "BPR: Bayesian Personalized Ranking from Implicit Feedback",
    2009, arXiv:1205.2618.

    Example:
        >>> link_bpr(torch.tensor([1.0]), torch.tensor([[1.0, 1.0]]))
        tensor(0.6931)
    """
    pos, neg = _checked(pos, neg)
    return softplus(neg - pos[:, None]).mean()


def link_info_nce(pos: Tensor, neg: Tensor, *, temperature: float) -> Tensor:
    """Contrast of each link with its own negatives: the mean of ``log sum exp(all / t) - pos / t``.

    Args:
        pos: (B,) scores of links, B >= 1.
        neg: (B, K) scores of each link's negatives, K >= 1.
        temperature: t > 0; 0.05 to 0.1 for cosines.

    Returns:
        A scalar, float32 for half types. O(BK).

    Raises:
        ShapeError, DTypeError, DeviceError, GraphrepError: the arguments do not fit each other.

    Source: van den Oord, Li, Vinyals, "Representation Learning with Contrastive Predictive Coding", 2018,
    arXiv:1807.03748.

    Example:
        >>> link_info_nce(torch.tensor([1.0]), torch.tensor([[1.0]]), temperature=0.1)
        tensor(0.6931)
    """
    check_temperature(temperature)
    pos, neg = _checked(pos, neg)
    # differences first: of scores in the hundreds the quotients would lose the digits that matter
    return torch.cat([torch.zeros_like(neg[:, :1]), (neg - pos[:, None]) / temperature], dim=1).logsumexp(1).mean()


def link_adversarial(
    pos: Tensor, neg: Tensor, *, adversarial_temperature: float = 1.0, scope: str = "positive"
) -> Tensor:
    """Cross-entropy in which negatives that score high count more: self-adversarial weights.

    ``(mean softplus(-pos) + mean_i sum_j w_ij softplus(neg_ij)) / 2`` with ``w_i = softmax_j(a neg_ij)``, detached.

    Args:
        pos: (B,) scores of links, B >= 1.
        neg: (B, K) scores of each link's negatives, K >= 1.
        adversarial_temperature: a >= 0, a factor of the scores; 0 weights all negatives equally.
        scope: ``"positive"``: the softmax runs over each link's own K; ``"batch"``: over all BK, and the second part
            is their weighted sum.

    Returns:
        A scalar, float32 for half types. O(BK).

    Raises:
        ShapeError, DTypeError, DeviceError, GraphrepError, UnknownNameError: the arguments do not fit each other.

    Source: Sun, Deng, Nie, Tang, "RotatE: Knowledge Graph Embedding by Relational Rotation in Complex Space", ICLR
    2019, arXiv:1902.10197, section 3.3.

    Example:
        >>> link_adversarial(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]]))
        tensor(0.6931)
    """
    check_choice("scope", scope, ("positive", "batch"))
    if not (math.isfinite(adversarial_temperature) and adversarial_temperature >= 0):
        raise GraphrepError(
            f"adversarial_temperature is {adversarial_temperature}; it is 0 or more.", hint="adversarial_temperature=1"
        )
    pos, neg = _checked(pos, neg)
    rows = neg if scope == "positive" else neg.reshape(1, -1)
    weight = (adversarial_temperature * rows.detach()).softmax(1)
    return (softplus(-pos).mean() + (weight * softplus(rows)).sum(1).mean()) / 2


def _checked(pos: Tensor, neg: Tensor, *, own_rows: bool = True) -> tuple[Tensor, Tensor]:
    """Both in the type to compute in."""
    check_floating(pos, "pos")
    check_floating(neg, "neg")
    check_device(pos.device, neg=neg)
    fits = pos.dim() == 1 and neg.dim() == 2 and pos.numel() > 0 and neg.numel() > 0
    if not fits or (neg.shape[0] != pos.shape[0] and (own_rows or neg.shape[1] != 1)):
        raise ShapeError(
            f"pos has shape {tuple(pos.shape)} and neg {tuple(neg.shape)}; each link has K negatives.",
            hint="(B,) and (B, K), both at least 1: neg[:, None] for one negative each",
        )
    dtype = torch.promote_types(torch.promote_types(pos.dtype, neg.dtype), torch.float32)
    return pos.to(dtype), neg.to(dtype)


def _weights(weight: Tensor, pos: Tensor) -> Tensor:
    check_floating(weight, "pos_weight")
    check_device(pos.device, pos_weight=weight)
    if weight.shape != pos.shape:
        raise ShapeError(f"pos_weight has shape {tuple(weight.shape)}, pos {tuple(pos.shape)}.", hint="one per link")
    if not bool((weight >= 0).all()):
        raise GraphrepError("pos_weight has entries that are negative or NaN.", hint="weights of 0 or more")
    return weight.detach().to(pos.dtype)


class LinkBCELoss(Objective):
    """:func:`link_bce` as a module; `pos_weight` goes with the scores.

    Example:
        >>> LinkBCELoss()(torch.tensor([0.0]), torch.tensor([[0.0]]))
        tensor(1.3863)
    """

    def __init__(self, *, reduction: str = "balanced") -> None:
        super().__init__(reduction=reduction)

    def forward(self, pos: Tensor, neg: Tensor, *, pos_weight: Tensor | None = None) -> Tensor:
        """See :func:`link_bce`."""
        return link_bce(pos, neg, pos_weight=pos_weight, **self.options)


class LinkBPRLoss(Objective):
    """:func:`link_bpr` as a module.

    Example:
        >>> LinkBPRLoss()(torch.tensor([0.0]), torch.tensor([[0.0]]))
        tensor(0.6931)
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """See :func:`link_bpr`."""
        return link_bpr(pos, neg)


class LinkInfoNCELoss(Objective):
    """:func:`link_info_nce` as a module.

    Example:
        >>> LinkInfoNCELoss(temperature=0.5)(torch.tensor([0.0]), torch.tensor([[0.0]]))
        tensor(0.6931)
    """

    def __init__(self, *, temperature: float) -> None:
        super().__init__(temperature=temperature)

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """See :func:`link_info_nce`."""
        return link_info_nce(pos, neg, **self.options)


class LinkAdversarialLoss(Objective):
    """:func:`link_adversarial` as a module.

    Example:
        >>> LinkAdversarialLoss()(torch.tensor([0.0]), torch.tensor([[0.0]]))
        tensor(0.6931)
    """

    def __init__(self, *, adversarial_temperature: float = 1.0, scope: str = "positive") -> None:
        super().__init__(adversarial_temperature=adversarial_temperature, scope=scope)

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """See :func:`link_adversarial`."""
        return link_adversarial(pos, neg, **self.options)
