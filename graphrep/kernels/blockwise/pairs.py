"""The mean softplus over all pairs of two lists of scores, with both gradients, a block of pairs at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from graphrep.errors import GraphrepError
from graphrep.kernels._dispatch import register
from graphrep.kernels._library import define
from graphrep.kernels._ops import accumulator

__all__ = ["PAIRS", "softplus_pairs"]

PAIRS = 1 << 20  # differences held at a time; fewer pairs than this take the plain form


def softplus_pairs(pos: Tensor, neg: Tensor, scale: float) -> Tensor:
    """Mean over p and n of ``softplus(scale (neg_n - pos_p))``."""
    dtype = accumulator(torch.promote_types(pos.dtype, neg.dtype))
    pos, neg = pos.to(dtype), neg.to(dtype)
    if pos.numel() * neg.numel() <= PAIRS:
        return softplus(scale * (neg - pos.unsqueeze(1))).mean()
    mean: Tensor = _softplus_pairs(pos, neg, scale)[0]
    return mean


@register("softplus_pairs", "cuda")
@register("softplus_pairs", "cpu")
@register("softplus_pairs", "reference")
def _blocks(pos: Tensor, neg: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    total = pos.new_zeros((), dtype=torch.float64)
    grad_pos, grad_neg = torch.empty_like(pos), torch.zeros_like(neg, dtype=torch.float64)
    step, count = max(1, PAIRS // neg.numel()), pos.numel() * neg.numel()
    for start in range(0, pos.numel(), step):
        gaps = scale * (neg - pos[start : start + step].unsqueeze(1))
        total += softplus(gaps).sum(dtype=torch.float64)
        slopes = gaps.sigmoid_()
        grad_pos[start : start + step] = slopes.sum(1, dtype=torch.float64) * (-scale / count)
        grad_neg += slopes.sum(0, dtype=torch.float64)
    return (total / count).to(pos.dtype), grad_pos, (grad_neg * (scale / count)).to(neg.dtype)


_softplus_pairs = define(
    "softplus_pairs(Tensor pos, Tensor neg, float scale) -> (Tensor, Tensor, Tensor)",
    lambda pos, neg, scale: (pos.new_empty(()), torch.empty_like(pos), torch.empty_like(neg)),
)


@register("softplus_pairs_backward", "cuda")
@register("softplus_pairs_backward", "cpu")
@register("softplus_pairs_backward", "reference")
def _scaled(grad_pos: Tensor, grad_neg: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    return factor * grad_pos, factor * grad_neg


_softplus_pairs_backward = define(
    "softplus_pairs_backward(Tensor grad_pos, Tensor grad_neg, Tensor factor) -> (Tensor, Tensor)",
    lambda grad_pos, grad_neg, factor: (torch.empty_like(grad_pos), torch.empty_like(grad_neg)),
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1], output[2])
    ctx.mark_non_differentiable(output[1], output[2])


def _backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Any, ...]:
    return *_softplus_pairs_backward(*ctx.saved_tensors, grad), None


def _refuse(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    raise GraphrepError(
        "Second derivatives over more than a million pairs are not provided.", hint="backward without create_graph"
    )


torch.library.register_autograd("graphrep::softplus_pairs", _backward, setup_context=_save)
torch.library.register_autograd(
    "graphrep::softplus_pairs_backward", _refuse, setup_context=lambda ctx, inputs, output: None
)
