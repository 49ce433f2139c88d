"""The Triton kernels behind the operators."""

from __future__ import annotations

from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels.edge_softmax.backward_cuda import softmax_backward
from graphrep.kernels.edge_softmax.forward_cuda import softmax_forward

__all__ = ["edge_softmax", "edge_softmax_backward"]


@register("edge_softmax", "cuda")
def edge_softmax(rowptr: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over the entries of each row, and log-sum-exp; rows of only -inf give 0 and -inf."""
    return softmax_forward(rowptr, logits)


@register("edge_softmax_backward", "cuda")
def edge_softmax_backward(rowptr: Tensor, alpha: Tensor, grad: Tensor, grad_lse: Tensor | None) -> Tensor:
    """``alpha * (grad - sum of alpha * grad over the row + grad_lse)``."""
    return softmax_backward(rowptr, alpha, grad, grad_lse)
