"""The Triton kernels behind the operators: log-sum-exp first, then weighted sums."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import accumulator
from graphrep.kernels.gat.lse_cuda import row_lse
from graphrep.kernels.gat.sum_cuda import attention_sums

__all__ = ["gat", "gat_backward"]


@register("gat", "cuda")
def gat(
    rowptr: Tensor,
    col: Tensor,
    x: Tensor,
    el: Tensor,
    er: Tensor,
    slope: float,
    training: bool,
    t_rowptr: Tensor | None,
    t_col: Tensor | None,
    t_perm: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The sums and, for `training`, log-sum-exp of each row's logits and what the gradient of `er` needs."""
    total = accumulator(x.dtype)
    lse = row_lse(rowptr, col, el, er, slope, total)
    out, above = attention_sums(rowptr, col, er, el, lse, x, slope, with_positive=training)
    if above is None:
        return out.to(x.dtype), lse.new_empty(0), lse.new_empty(0)
    share = attention_sums(rowptr, col, er, el, lse, None, slope, with_positive=True)[1]
    assert share is not None  # it was asked for
    rest = torch.addcmul(above, out, share, value=-1)
    return out.to(x.dtype), lse, rest


@register("gat_backward", "cuda")
def gat_backward(
    t_rowptr: Tensor,
    t_col: Tensor,
    x: Tensor,
    el: Tensor,
    er: Tensor,
    lse: Tensor,
    rest: Tensor,
    out: Tensor,
    grad: Tensor,
    slope: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `x`, `el` and `er`."""
    total = lse.dtype
    along_out = (grad.to(total) * out.to(total)).sum(-1, keepdim=True)
    grad_er = (1 - slope) * (grad.to(total) * rest).sum(-1)
    logits = (t_rowptr, t_col, el, er, lse)
    sums, above = attention_sums(*logits, grad, slope, gathers_lse=True, with_positive=True)
    less, less_above = attention_sums(*logits, along_out, slope, gathers_lse=True, with_positive=True)
    assert above is not None
    assert less_above is not None
    wide = x.to(total)
    grad_el = slope * ((sums * wide).sum(-1) - less.squeeze(-1))
    grad_el += (1 - slope) * ((above * wide).sum(-1) - less_above.squeeze(-1))
    return sums.to(x.dtype), grad_el.to(el.dtype), grad_er.to(er.dtype)
