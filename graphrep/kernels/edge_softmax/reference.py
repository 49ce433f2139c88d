"""Plain torch: maximum, exponentials and sum of each row's entries, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._dispatch import register

__all__ = ["edge_softmax", "edge_softmax_backward"]


@register("edge_softmax", "reference")
def edge_softmax(rowptr: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over the entries of each row, and log-sum-exp; rows of only -inf give 0 and -inf."""
    row, wide = _rows(rowptr), logits.double()
    shape = (rowptr.numel() - 1, *logits.shape[1:])
    index = row.reshape(-1, *[1] * (logits.dim() - 1)).expand_as(wide)
    largest = wide.new_full(shape, -torch.inf).scatter_reduce_(0, index, wide, "amax", include_self=False)
    shift = torch.where(largest == -torch.inf, 0, largest)
    exponentials = (wide - shift[row]).exp()
    total = wide.new_zeros(shape).index_add_(0, row, exponentials)
    alpha = torch.where(total[row] == 0, 0, exponentials / total[row])
    return alpha.to(logits.dtype), (shift + total.log()).to(logits.dtype)


@register("edge_softmax_backward", "reference")
def edge_softmax_backward(rowptr: Tensor, alpha: Tensor, grad: Tensor, grad_lse: Tensor | None) -> Tensor:
    """``alpha * (grad - sum of alpha * grad over the row + grad_lse)``."""
    row, wide = _rows(rowptr), alpha.double()
    shape = (rowptr.numel() - 1, *alpha.shape[1:])
    total = wide.new_zeros(shape).index_add_(0, row, wide * grad)
    if grad_lse is not None:
        total = total - grad_lse
    return (wide * (grad - total[row])).to(alpha.dtype)


def _rows(rowptr: Tensor) -> Tensor:
    degree = (rowptr[1:] - rowptr[:-1]).long()
    return torch.repeat_interleave(torch.arange(degree.numel(), device=rowptr.device), degree)
