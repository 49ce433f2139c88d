"""Log-sum-exps over all pairs of rows whose pairs carry weights, from cluster labels or from a network of two layers.

For anchor i, ``lse_i = log sum_j w_ij exp(s <x_i, y_j>)``. The weights exist for a tile of pairs at a time and are
computed anew in the backward pass. Sums are kept relative to the largest term of the row among the pairs of positive
weight, so nothing overflows or vanishes at any temperature.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels._library import define
from graphrep.kernels.weighted import cpu, tiles  # noqa: F401  (they register themselves)

__all__ = ["NetworkWeights", "label_contrast", "network_contrast", "network_moments"]


class NetworkWeights(NamedTuple):
    """``w_ij = sigmoid(v . tanh(p_i + q_j) + bias)``: p (N, h), q (M, h), v (h,), bias (1,)."""

    p: Tensor
    q: Tensor
    v: Tensor
    bias: Tensor


def label_contrast(x: Tensor, y: Tensor, labels: Tensor, *, scale: float, block_size: int | None = None) -> Tensor:
    """Pairs weighted by how many of T clusterings tell them apart: ``w_ij = #{t: labels_ti != labels_tj}``.

    Args:
        x: (N, d) anchors, float32 or float64.
        y: (N, d) columns, of the same dtype.
        labels: (T, N) int32; row t is one clustering.
        scale: s, an inverse temperature.
        block_size: rows of a block; default by the shapes. The value depends on it by rounding alone.

    Returns:
        (N,) log-sum-exps; -inf for a row whose weights are all 0. Differentiable once in x and y.

    Cost per pair: d multiply-adds and T comparisons forward, 3 d and T backward; O(N d) memory.
    """
    lse: Tensor = _label(x.contiguous(), y.contiguous(), labels.contiguous(), float(scale), block_size or 0)
    return lse


def network_contrast(
    x: Tensor, y: Tensor, weights: NetworkWeights, *, scale: float, totals: bool = False, block_size: int | None = None
) -> tuple[Tensor, Tensor]:
    """Pairs weighted by a network.

    Args:
        x: (N, d) anchors, float32 or float64.
        y: (M, d) columns, of the same dtype.
        weights: tensors of the same dtype.
        scale: s, an inverse temperature.
        totals: whether to sum the weights too.
        block_size: rows of a block; default by the shapes.

    Returns:
        (N,) log-sum-exps and, with `totals`, (N,) ``log sum_j w_ij``, else an empty tensor. Differentiable once in x,
        y and the four tensors of the weights.

    Cost per pair: d multiply-adds and h hyperbolic tangents forward, 3 d and twice the work on the h units backward;
    O((N + M) (d + h)) memory.
    """
    rows = (x.contiguous(), y.contiguous(), *(t.contiguous() for t in weights))
    lse, total = _network(*rows, float(scale), totals, block_size or 0)
    return lse, total


def network_moments(weights: NetworkWeights) -> tuple[float, float, float, float]:
    """Mean, population standard deviation, smallest and largest w_ij over all pairs, which must not be empty."""
    with torch.no_grad():
        p, q, v, bias = (t.detach().contiguous() for t in weights)
        pivot = torch.sigmoid(torch.tanh(p[0] + q[0]) @ v + bias[0])
        sums: Tensor = _moments(p, q, v, bias, float(pivot))
    count = p.shape[0] * q.shape[0]
    first, second, low, high = sums.tolist()
    variance = second / count - (first / count) ** 2
    return float(pivot) + first / count, max(variance, 0.0) ** 0.5 if variance == variance else variance, low, high


_LABEL = "Tensor x, Tensor y, Tensor labels, float scale, int block_size"
_NETWORK = "Tensor x, Tensor y, Tensor p, Tensor q, Tensor v, Tensor bias, float scale, bool totals, int block_size"
_label = define(f"label_contrast({_LABEL}) -> Tensor", lambda x, *_: x.new_empty(x.shape[0]))
_label_backward = define(
    f"label_contrast_backward(Tensor grad, Tensor lse, {_LABEL}) -> (Tensor, Tensor)",
    lambda *args: (torch.empty_like(args[2]), torch.empty_like(args[3])),
    device_of=2,
)
_network = define(
    f"network_contrast({_NETWORK}) -> (Tensor, Tensor)",
    lambda *args: (args[0].new_empty(args[0].shape[0]), args[0].new_empty(args[0].shape[0] if args[7] else 0)),
)
_network_backward = define(
    f"network_contrast_backward(Tensor grad, Tensor? grad_total, Tensor lse, Tensor total, {_NETWORK})"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    lambda *args: tuple(torch.empty_like(t) for t in args[4:10]),
    device_of=4,
)
_moments = define(
    "network_moments(Tensor p, Tensor q, Tensor v, Tensor bias, float pivot) -> Tensor",
    lambda p, *_: p.new_empty(4, dtype=torch.float64),
)


def _save_label(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.scale, ctx.block_size = inputs
    ctx.save_for_backward(output, *tensors)


def _label_gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    lse, *tensors = ctx.saved_tensors
    dx, dy = _label_backward(grad.contiguous(), lse, *tensors, ctx.scale, ctx.block_size)
    return dx, dy, None, None, None


def _save_network(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.scale, ctx.totals, ctx.block_size = inputs
    ctx.save_for_backward(*output, *tensors)


def _network_gradients(ctx: Any, grad: Tensor | None, grad_total: Tensor | None) -> tuple[Any, ...]:
    lse, total, *tensors = ctx.saved_tensors
    grad = torch.zeros_like(lse) if grad is None else grad.contiguous()
    wanted = grad_total.contiguous() if ctx.totals and grad_total is not None else None
    grads = _network_backward(grad, wanted, lse, total, *tensors, ctx.scale, ctx.totals, ctx.block_size)
    return *grads, None, None, None


def _refuse(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    raise GraphrepError(
        "Second derivatives of the weighted log-sum-exp are not provided.", hint="backward without create_graph"
    )


torch.library.register_autograd("graphrep::label_contrast", _label_gradients, setup_context=_save_label)
torch.library.register_autograd("graphrep::network_contrast", _network_gradients, setup_context=_save_network)
for _name in ("label_contrast_backward", "network_contrast_backward"):
    torch.library.register_autograd(f"graphrep::{_name}", _refuse, setup_context=lambda ctx, inputs, output: None)
