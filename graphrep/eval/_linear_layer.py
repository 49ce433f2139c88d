"""One linear layer trained by Adam from many initialisations at once: the classifier of the `gca` and `dmgi` probes.

All repeats share one training loop with a leading batch axis; since Adam works entry by entry and the loss is a sum
over the repeats, each of them takes exactly the steps that it would take alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graphrep.errors import NonFiniteError
from graphrep.eval._newton import threads_for

__all__ = ["Best", "Part", "f1_batch", "logits_of", "one_vs_rest_auc", "train_layers"]


@dataclass(frozen=True)
class Part:
    """Rows and classes of one part of the split: shared by all repeats, or a set for each of them.

    Attributes:
        x: (n, d), or (R, n, d), float32.
        y: (n,), or (R, n), int64 classes 0..K-1.
    """

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Best:
    """The layers of all repeats at the steps where one score was best.

    Attributes:
        weight: (R, d, K).
        bias: (R, K).
        step: (R,) int64, counted from 1.
    """

    weight: Tensor
    bias: Tensor
    step: Tensor


def train_layers(
    train: Part,
    judged: Part | None,
    *,
    num_classes: int,
    seeds: Sequence[int],
    steps: int,
    every: int,
    lr: float,
    weight_decay: float,
    scores: Sequence[str],
) -> list[Best]:
    """Trains one layer per seed on the mean cross-entropy and keeps it where a score of `judged` was best.

    The weights start from Xavier's uniform distribution, the bias from zero. After each `every` steps the scores of
    `judged` are taken; the first of equal steps is kept. Without `judged` the last step is.

    Args:
        train: what is learnt from.
        judged: the part whose scores choose the step, or None.
        num_classes: K.
        seeds: of the R initialisations.
        steps: of Adam, full batch.
        every: steps between two looks at `judged`.
        lr: Adam's learning rate.
        weight_decay: added to the gradient, as Adam's own L2 term.
        scores: "micro" and "macro", one :class:`Best` for each.

    Raises:
        NonFiniteError: the training diverged.
    """
    rows = max(train.x.shape[-2], judged.x.shape[-2] if judged is not None else 0)
    with threads_for(len(seeds) * rows * train.x.shape[-1] * num_classes):
        weight, bias = (start.requires_grad_() for start in _initial(train, num_classes, seeds))
        optimiser = torch.optim.Adam([weight, bias], lr=lr, weight_decay=weight_decay)
        truth = train.y.expand(len(seeds), -1)
        highest = [torch.full((len(seeds),), -1.0, device=weight.device, dtype=torch.float64) for _ in scores]
        best = [_copy(weight, bias, steps) for _ in scores]
        for step in range(1, steps + 1):
            optimiser.zero_grad(set_to_none=True)
            logits = logits_of(train.x, weight, bias)  # (R, n, K)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), truth.reshape(-1), reduction="sum")
            (loss / truth.shape[1]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if judged is not None and step % every == 0:
                with torch.no_grad():
                    found = f1_batch(judged.y, logits_of(judged.x, weight, bias).argmax(-1), num_classes)
                    for place, name in enumerate(scores):
                        better = found[name] > highest[place]
                        highest[place] = torch.where(better, found[name], highest[place])
                        best[place] = _replace(best[place], better, weight, bias, step)
    if not bool(torch.isfinite(weight).all() and torch.isfinite(bias).all()):
        raise NonFiniteError("the probe's linear layer diverged.", hint="a smaller lr, or standardised columns of z")
    return best if judged is not None else [_copy(weight, bias, steps) for _ in scores]


def _initial(train: Part, num_classes: int, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(R, d, K) weights and (R, K) zero biases, drawn on the CPU so that they are the same for every device."""
    width = train.x.shape[-1]
    weight = torch.empty(len(seeds), width, num_classes)
    for place, seed in enumerate(seeds):
        start = torch.empty(num_classes, width)
        torch.nn.init.xavier_uniform_(start, generator=torch.Generator().manual_seed(seed))
        weight[place] = start.t()
    return weight.to(train.x.device), torch.zeros(len(seeds), num_classes, device=train.x.device)


def logits_of(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(R, n, K) scores of shared rows (n, d), or of a set of rows for each repeat (R, n, d)."""
    if x.dim() == 3:
        return torch.baddbmm(bias[:, None], x, weight)
    repeats, width, classes = weight.shape
    # One product with all layers side by side instead of R small ones.
    flat = x @ weight.permute(1, 0, 2).reshape(width, repeats * classes)
    return flat.view(len(x), repeats, classes).transpose(0, 1) + bias[:, None]


def f1_batch(y: Tensor, predicted: Tensor, num_classes: int) -> dict[str, Tensor]:
    """Micro- and macro-F1, (R,) float64 each, of predictions (R, n) for labels (n,) or (R, n).

    Macro-F1 averages over the classes in the truth or in the prediction.
    """
    repeats, count = predicted.shape
    truth = y.expand(repeats, count)
    offset = torch.arange(repeats, device=y.device)[:, None] * num_classes
    size = repeats * num_classes
    true, said, hits = (
        torch.bincount(key, minlength=size).view(repeats, num_classes).double()
        for key in (
            (truth + offset).reshape(-1),
            (predicted + offset).reshape(-1),
            (truth + offset)[truth == predicted],
        )
    )
    total = true + said
    per_class = 2 * hits / total.clamp(min=1)
    return {"micro": hits.sum(1) / count, "macro": per_class.sum(1) / (total > 0).sum(1)}


def one_vs_rest_auc(y: Tensor, scores: Tensor) -> Tensor:
    """(R,) mean over classes of the AUC of a class against the rest, ties counted half.

    Classes that all or none of the labels (n,) have are left out; NaN where none remains.

    Args:
        y: (n,) classes.
        scores: (R, n, K), for instance softmax probabilities.
    """
    count = len(y)
    order = scores.double().transpose(1, 2).contiguous()  # (R, K, n)
    ascending = order.sort(dim=-1).values
    below = torch.searchsorted(ascending, order)
    up_to = torch.searchsorted(ascending, order, right=True)
    rank = (below + up_to + 1).double() / 2  # mean rank of tied scores, from 1
    member = torch.nn.functional.one_hot(y, scores.shape[-1]).t().double()  # (K, n)
    positives = member.sum(1)
    negatives = count - positives
    above = (rank * member).sum(-1) - positives * (positives + 1) / 2  # pairs in the right order
    defined = (positives > 0) & (negatives > 0)
    per_class = above / (positives * negatives).clamp(min=1)
    return torch.where(defined, per_class, 0.0).sum(1) / defined.sum()


def _copy(weight: Tensor, bias: Tensor, step: int) -> Best:
    steps = torch.full((len(weight),), step, dtype=torch.int64, device=weight.device)
    return Best(weight.detach().clone(), bias.detach().clone(), steps)


def _replace(best: Best, better: Tensor, weight: Tensor, bias: Tensor, step: int) -> Best:
    return Best(
        torch.where(better[:, None, None], weight, best.weight),
        torch.where(better[:, None], bias, best.bias),
        torch.where(better, step, best.step),
    )
