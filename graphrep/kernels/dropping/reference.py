"""Plain torch: the factors of every entry at the minimum, by sorting within rows."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels.csr import CSR

__all__ = ["least", "least_backward", "least_coefficients"]


@torch.no_grad()
def least_coefficients(csr: CSR, values: Tensor, own: Tensor, budget: Tensor) -> tuple[Tensor, Tensor]:
    """The factors at which the minimum is attained, for numbers that differ between the entries of a source.

    Args:
        csr: (N, N) without duplicates and self-loops.
        values: (nnz,) number of each entry, in CSR order.
        own: (N,) number of each row's self-loop.
        budget: (N,) entries that row i may lose.

    Returns:
        (nnz,) factors, 0 for entries that are dropped, and (N,) factors of `own`; constants of the minimum's gradient.
    """
    return _coefficients(csr.rowptr.long(), csr.col.long(), values, own, budget.long())


def _coefficients(rowptr: Tensor, col: Tensor, values: Tensor, own: Tensor, budget: Tensor) -> tuple[Tensor, Tensor]:
    degree = rowptr.diff()
    row = torch.repeat_interleave(torch.arange(len(degree), device=col.device), degree)
    wide, full = values.double(), (degree + 1).double()
    factor = torch.where(wide < 0, (full - budget)[col], full[col]).rsqrt()
    parts = factor * wide
    order = parts.argsort(descending=True, stable=True)
    order = order[row[order].argsort(stable=True)]
    before = torch.cat([parts.new_zeros(1), parts[order].cumsum(0)])
    start = before[rowptr[:-1]]
    total = before[rowptr[1:]] - start
    rank = torch.arange(1, len(col) + 1, device=col.device) - rowptr[row]
    rest = total[row] - (before[1:] - start[row])  # once this entry and the larger ones are gone
    left = (full[row] - rank).clamp(min=1)
    sums = rest * left.rsqrt() + own.double()[row] / left
    sums = torch.where(rank <= budget[row], sums, torch.inf)
    nothing = total * full.rsqrt() + own.double() / full
    least = nothing.scatter_reduce(0, row, sums, "amin")
    fewest = torch.where(sums == least[row], rank, len(col) + 1)
    dropped = torch.where(nothing == least, 0, len(col) + 1).scatter_reduce(0, row, fewest, "amin")
    dropped = torch.where(dropped > degree, 0, dropped)  # only NaN gets here
    root = (full - dropped).rsqrt()
    kept = torch.zeros_like(factor)
    kept[order] = torch.where(rank > dropped[row], (root[row] * factor[order]), 0)
    return kept.to(values.dtype), (root * root).to(own.dtype)


@register("least_sums", "reference")
def least(rowptr: Tensor, col: Tensor, x: Tensor, budget: Tensor) -> Tensor:
    """(N, D), one column of `x` at a time."""
    rowptr, col, out = rowptr.long(), col.long(), torch.empty_like(x)
    row = torch.repeat_interleave(torch.arange(x.shape[0], device=x.device), rowptr.diff())
    for k in range(x.shape[1]):
        kept, own = _coefficients(rowptr, col, x[col, k], x[:, k], budget)
        out[:, k] = (own * x[:, k]).index_add(0, row, kept * x[col, k])
    return out


@register("least_sums_backward", "reference")
def least_backward(grad: Tensor, rowptr: Tensor, col: Tensor, x: Tensor, budget: Tensor) -> Tensor:
    """The gradient in `x`: each entry's factor times the gradient of its row."""
    rowptr, col, out = rowptr.long(), col.long(), torch.empty_like(x)
    row = torch.repeat_interleave(torch.arange(x.shape[0], device=x.device), rowptr.diff())
    for k in range(x.shape[1]):
        kept, own = _coefficients(rowptr, col, x[col, k], x[:, k], budget)
        out[:, k] = (own * grad[:, k]).index_add(0, col, kept * grad[row, k])
    return out
