"""Plain torch: logits, weights and messages of every entry in float64, so memory is E x d."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import accumulator
from graphrep.kernels.edge_softmax.reference import edge_softmax

__all__ = ["gat", "gat_backward"]


@register("gat", "reference")
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
    row, source, total = _rows(rowptr), col.long(), accumulator(x.dtype)
    z = el[source].double() + er[row].double()
    alpha, lse = edge_softmax(rowptr, torch.nn.functional.leaky_relu(z, slope))
    shape = (rowptr.numel() - 1, *x.shape[1:])
    wide = x[source].double()
    out = wide.new_zeros(shape).index_add_(0, row, alpha.unsqueeze(-1) * wide)
    if not training:
        return out.to(x.dtype), out.new_empty(0, dtype=total), out.new_empty(0, dtype=total)
    above = torch.where(z > 0, alpha, 0)
    share = above.new_zeros(shape[:2]).index_add_(0, row, above)
    rest = out.new_zeros(shape).index_add_(0, row, above.unsqueeze(-1) * wide) - out * share.unsqueeze(-1)
    return out.to(x.dtype), lse.to(total), rest.to(total)


@register("gat_backward", "reference")
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
    """Gradients of `x`, `el` and `er`, entry by entry of the transpose."""
    source, row = _rows(t_rowptr), t_col.long()
    wide = grad.double()
    z = el[source].double() + er[row].double()
    shift = torch.where(lse == -torch.inf, 0, lse).double()
    alpha = (torch.nn.functional.leaky_relu(z, slope) - shift[row]).exp()
    by_alpha = ((x[source].double() - out[row].double()) * wide[row]).sum(-1)
    by_z = alpha * by_alpha * torch.where(z > 0, torch.ones_like(z), slope)
    grad_x = wide.new_zeros(x.shape).index_add_(0, source, alpha.unsqueeze(-1) * wide[row])
    grad_el = wide.new_zeros(el.shape).index_add_(0, source, by_z)
    grad_er = wide.new_zeros(er.shape).index_add_(0, row, by_z)
    return grad_x.to(x.dtype), grad_el.to(el.dtype), grad_er.to(er.dtype)


def _rows(rowptr: Tensor) -> Tensor:
    degree = (rowptr[1:] - rowptr[:-1]).long()
    return torch.repeat_interleave(torch.arange(degree.numel(), device=rowptr.device), degree)
