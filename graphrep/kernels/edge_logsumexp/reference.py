"""Plain torch in float64, a block of rows at a time, so that no E x D array exists (a long row may exceed a block)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from graphrep.kernels._budget import ranges_within
from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import accumulator

__all__ = ["edge_logsumexp", "edge_logsumexp_backward"]

BLOCK_NUMBERS = 1 << 22  # gathered numbers of one block of rows
Block = tuple[slice, Tensor, Tensor, Tensor, Tensor]


@register("edge_logsumexp", "reference")
def edge_logsumexp(
    rowptr: Tensor, col: Tensor, value: Tensor | None, q: Tensor, k: Tensor, scale: float, zero_diagonal: bool,
    t_rowptr: Tensor | None, t_col: Tensor | None, t_perm: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(num_rows,) log-sum-exps, and what the way back subtracts from the logits of each row: the same numbers."""
    lse = q.new_full((rowptr.numel() - 1,), -torch.inf, dtype=torch.float64)
    for rows, row, source, weight, logits in _blocks(rowptr, col, None, value, q, k, scale):
        if zero_diagonal:
            logits = torch.where(row == source, 0, logits)
        logits, place = torch.where(weight == 0, -torch.inf, logits), row - rows.start
        top = lse[rows].scatter_reduce(0, place, logits, "amax")
        top = torch.where(top == -torch.inf, 0, top)
        total = torch.zeros_like(top).index_add_(0, place, weight * (logits - top[place]).exp())
        lse[rows] = total.log() + top
    lse = lse.to(accumulator(q.dtype))
    return lse, lse.clone()


@register("edge_logsumexp_backward", "reference")
def edge_logsumexp_backward(
    rowptr: Tensor, col: Tensor, perm: Tensor | None, value: Tensor | None, x: Tensor, y: Tensor, factor: Tensor,
    shift: Tensor, scale: float, zero_diagonal: bool, by_column: bool,
) -> Tensor:  # fmt: skip
    """``sum_e factor w_e exp(scale <x_i, y_col> - shift) y_col`` over each row, in the shape of `x`.

    `factor` and `shift` belong to the rows, or with `by_column` to the columns; `perm` says where the weight of each
    entry is. With `zero_diagonal`, entries (i, i) add nothing.
    """
    out = torch.zeros_like(x, dtype=torch.float64)
    for _, row, source, weight, logits in _blocks(rowptr, col, perm, value, x, y, scale):
        owner = source if by_column else row
        absent = (weight == 0) | ((row == source) & zero_diagonal)
        logits = torch.where(absent, -torch.inf, logits - shift.double()[owner])
        share = weight * logits.exp() * factor.double()[owner]
        out.index_add_(0, row, share.unsqueeze(1) * y[source].double())
    return out.to(x.dtype)


def _blocks(
    rowptr: Tensor, col: Tensor, perm: Tensor | None, value: Tensor | None, x: Tensor, y: Tensor, scale: float
) -> Iterator[Block]:
    """A range of rows, and row, column, weight and logit of each of its entries."""
    degree = rowptr.diff().long()
    rows = torch.arange(degree.numel(), device=rowptr.device)
    for first, last in ranges_within(degree * max(x.shape[1], 1), BLOCK_NUMBERS):
        entries = slice(int(rowptr[first]), int(rowptr[last]))
        row = rows[first:last].repeat_interleave(degree[first:last])
        source = col[entries].long()
        weight = torch.ones_like(row, dtype=torch.float64)
        if value is not None:
            weight = (value[entries] if perm is None else value[perm[entries].long()]).double()
        logits = scale * (x[row].double() * y[source].double()).sum(1)
        yield slice(first, last), row, source, weight, logits
