"""Plain torch: gathers both ends of every entry; dot products in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._dispatch import register

__all__ = ["sddmm", "sddmm_winners"]


@register("sddmm", "reference")
def sddmm(
    rowptr: Tensor,
    col: Tensor,
    q: Tensor,
    k: Tensor,
    heads: int,
    t_rowptr: Tensor | None,
    t_col: Tensor | None,
    t_perm: Tensor | None,
) -> Tensor:
    """<q[row], k[col]> for each entry, over all axes (heads 0) or for each index of axis 1."""
    row = _rows(rowptr)
    return _dot(q[row].double() * k[col.long()].double(), heads).to(q.dtype)


@register("sddmm_winners", "reference")
def sddmm_winners(
    rowptr: Tensor,
    col: Tensor,
    q: Tensor,
    k: Tensor,
    arg: Tensor,
    heads: int,
    t_rowptr: Tensor | None,
    t_col: Tensor | None,
    t_perm: Tensor | None,
) -> Tensor:
    """The same over those numbers of the row for which `arg` names the entry."""
    row = _rows(rowptr)
    entry = torch.arange(col.numel(), device=q.device).reshape(-1, *[1] * (q.dim() - 1))
    products = q[row].double() * k[col.long()].double()
    return _dot(torch.where(arg[row] == entry, products, 0), heads).to(q.dtype)


def _rows(rowptr: Tensor) -> Tensor:
    degree = (rowptr[1:] - rowptr[:-1]).long()
    return torch.repeat_interleave(torch.arange(degree.numel(), device=rowptr.device), degree)


def _dot(products: Tensor, heads: int) -> Tensor:
    return products.reshape(products.shape[0], *([heads] if heads else []), -1 if products.numel() else 0).sum(-1)
