"""Cross-entropy on given labels and on another model's guesses, as alternating training of two models uses it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from graphrep.errors import DTypeError, GraphrepError, ShapeError
from graphrep.kernels._check import check_device, check_floating, check_index, check_range
from graphrep.objectives._common import Objective

__all__ = ["PseudoLabelLoss", "pseudo_label_loss"]


def pseudo_label_loss(logits: Tensor, y: Tensor, pseudo: Tensor, is_gold: Tensor, *, alpha: float) -> Tensor:
    """``(1 - alpha) mean CE(gold) + alpha mean CE(pseudo)`` over the rows of a batch.

    Where no row has a pseudo label the loss is the plain mean of CE(gold); where no row is gold, ``alpha`` times the
    mean of CE(pseudo), so that a batch without gold rows pulls no harder than others.

    Args:
        logits: (B, C), B >= 1.
        y: (B,) int32 or int64 labels; read at gold rows only.
        pseudo: (B,) labels, or (B, C) probabilities, of the other model; read at the other rows only. They carry no
            gradient.
        is_gold: (B,) bool.
        alpha: weight of the pseudo labels, in [0, 1].

    Returns:
        A number, float32 for half types.

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError, GraphrepError: the arguments do not fit.

    Source: Zhao et al., "Learning on Large-scale Text-attributed Graphs via Variational Inference" (GLEM), ICLR 2023,
    arXiv:2210.14709.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
        >>> gold = torch.tensor([True, False])
        >>> pseudo_label_loss(logits, torch.tensor([0, -1]), torch.tensor([-1, 1]), gold, alpha=0.5)
        tensor(0.4100)
    """
    _check(logits, y, pseudo, is_gold, alpha)
    rows = logits if logits.dtype.itemsize > 2 else logits.float()
    gold, rest = is_gold.nonzero().squeeze(1), (~is_gold).nonzero().squeeze(1)
    parts = []
    if gold.numel():
        share = 1 - alpha if rest.numel() else 1.0
        parts.append(share * functional.cross_entropy(rows[gold], _labels(y[gold], rows.shape[1], "y")))
    if rest.numel():
        target = pseudo[rest].detach()
        target = target.to(rows.dtype) if pseudo.dim() == 2 else _labels(target, rows.shape[1], "pseudo")
        parts.append(alpha * functional.cross_entropy(rows[rest], target))
    return torch.stack(parts).sum()


def _labels(labels: Tensor, num_classes: int, name: str) -> Tensor:
    check_range(labels, num_classes, f"{name} (labels that are read)")
    return labels.long()


def _check(logits: Tensor, y: Tensor, pseudo: Tensor, is_gold: Tensor, alpha: float) -> None:
    check_floating(logits, "logits")
    if logits.dim() != 2 or not logits.shape[0] or not logits.shape[1]:
        raise ShapeError(f"logits have shape {tuple(logits.shape)}.", hint="(B, C) with B >= 1")
    check_device(logits.device, y=y, pseudo=pseudo, is_gold=is_gold)
    check_index(y, "y")
    if isinstance(pseudo, Tensor) and pseudo.dim() == 2:
        check_floating(pseudo, "pseudo")
        if pseudo.shape != logits.shape:
            raise ShapeError(f"pseudo has shape {tuple(pseudo.shape)}, logits {tuple(logits.shape)}.", hint="(B, C)")
    else:
        check_index(pseudo, "pseudo")
    if is_gold.dtype != torch.bool:
        raise DTypeError(f"is_gold must hold truth values; got {is_gold.dtype}.", hint="is_gold.bool()")
    for name, part in (("y", y), ("pseudo", pseudo), ("is_gold", is_gold)):
        if part.shape[:1] != logits.shape[:1]:
            raise ShapeError(f"{name} has shape {tuple(part.shape)} for {logits.shape[0]} rows.", hint="(B,)")
    _check_alpha(alpha)


def _check_alpha(alpha: float) -> None:
    if not (math.isfinite(alpha) and 0 <= alpha <= 1):
        raise GraphrepError(f"alpha is {alpha}; a share lies in [0, 1].", hint="alpha=0.5")


class PseudoLabelLoss(Objective):
    """:func:`pseudo_label_loss` as a module.

    Example:
        >>> loss = PseudoLabelLoss(alpha=0.5)
        >>> gold = torch.tensor([True, True])
        >>> loss(torch.zeros(2, 2), torch.tensor([0, 1]), torch.tensor([0, 0]), gold)
        tensor(0.6931)
    """

    def __init__(self, *, alpha: float) -> None:
        _check_alpha(alpha)
        super().__init__(alpha=alpha)

    def forward(self, logits: Tensor, y: Tensor, pseudo: Tensor, is_gold: Tensor) -> Tensor:
        """See :func:`pseudo_label_loss`."""
        return pseudo_label_loss(logits, y, pseudo, is_gold, **self.options)
