"""The numba kernels behind the operators: layouts, allocation, scratch space.

Half types are widened up front, N x d numbers, and so are weights of another type than sums are kept in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import accumulator, bounds_of, flat_array, line_of, rounded
from graphrep.kernels._rows import CHUNKS, PIECE
from graphrep.kernels.edge_logsumexp.rows_cpu import RUNS, attract_rows, measure_rows
from graphrep.kernels.gat._slots_cpu import LANES, RUN
from graphrep.kernels.spmm.cpu import in_order

__all__ = ["edge_logsumexp", "edge_logsumexp_backward"]


@register("edge_logsumexp", "cpu")
def edge_logsumexp(
    rowptr: Tensor, col: Tensor, value: Tensor | None, q: Tensor, k: Tensor, scale: float, zero_diagonal: bool,
    t_rowptr: Tensor | None, t_col: Tensor | None, t_perm: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(num_rows,) log-sum-exps, and the largest logit of each row."""
    total, rows = accumulator(q.dtype), rowptr.numel() - 1
    lse, top = (_numba.empty_output((rows,), total) for _ in range(2))
    if rows:
        measure_rows(
            bounds_of(rowptr),
            rowptr.numpy(),
            col.numpy(),
            flat_array(value, total),
            flat_array(q, total),
            flat_array(k, total),
            lse.numpy(),
            top.numpy(),
            _room(0, 0, total),
            scale,
            zero_diagonal,
            line_of(k),
            work=col.numel() * max(q.shape[1], 1) + rows,
        )
    return lse, top


@register("edge_logsumexp_backward", "cpu")
def edge_logsumexp_backward(
    rowptr: Tensor, col: Tensor, perm: Tensor | None, value: Tensor | None, x: Tensor, y: Tensor, factor: Tensor,
    shift: Tensor, scale: float, zero_diagonal: bool, by_column: bool,
) -> Tensor:  # fmt: skip
    """See :func:`graphrep.kernels.edge_logsumexp.reference.edge_logsumexp_backward`; no logit exceeds its `shift`."""
    total = accumulator(x.dtype)
    out = _numba.empty_output(tuple(x.shape), total)
    if out.numel():
        if value is not None and perm is not None:
            value = in_order(value, perm)
        attract_rows(
            bounds_of(rowptr),
            rowptr.numpy(),
            col.numpy(),
            flat_array(value, total),
            flat_array(x, total),
            flat_array(y, total),
            flat_array(factor, total),
            flat_array(shift, total),
            out.view(-1).numpy(),
            _room(col.numel(), x.shape[1], total),
            scale,
            zero_diagonal,
            by_column,
            line_of(y),
            work=col.numel() * x.shape[1] + out.numel(),
        )
    return rounded(out, x.dtype)


def _room(nnz: int, width: int, dtype: torch.dtype) -> np.ndarray[Any, Any]:
    """Scratch space of each chunk: runs of logits and weights, then levels of partial sums for long rows."""
    levels = (nnz // PIECE).bit_length() + 2
    size = RUNS * RUN + levels * width
    return torch.empty(CHUNKS, -(-size // LANES) * LANES, dtype=dtype).numpy()
