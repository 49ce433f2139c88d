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
from graphrep.kernels._numba import CACHE_LINE
from graphrep.kernels._ops import accumulator, bounds_of, flat_array, rounded
from graphrep.kernels._rows import CHUNKS, PIECE
from graphrep.kernels.edge_logsumexp.rows_cpu import RUNS, attract_rows, measure_rows
from graphrep.kernels.gat._slots_cpu import LANES, RUN
from graphrep.kernels.spmm.cpu import in_order

__all__ = ["edge_logsumexp", "edge_logsumexp_backward"]

CACHED_BYTES = 1 << 20  # of gathered rows that need no prefetch; above, a gather would wait for memory


@register("edge_logsumexp", "cpu")
def edge_logsumexp(
    rowptr: Tensor, col: Tensor, value: Tensor | None, q: Tensor, k: Tensor, scale: float, zero_diagonal: bool,
    t_rowptr: Tensor | None, t_col: Tensor | None, t_perm: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(num_rows,) log-sum-exps, and the largest logit of each row."""
    total, rows = accumulator(q.dtype), rowptr.numel() - 1
    lse, top = (_numba.empty_output((rows,), total) for _ in range(2))
    if rows:
        q, k = _wide_rows(q, k, total)
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
            _line(k),
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
        wide, y = _wide_rows(x, y, total)
        node = torch.stack([factor, shift], 1)
        attract_rows(
            bounds_of(rowptr),
            rowptr.numpy(),
            col.numpy(),
            flat_array(value, total),
            flat_array(wide, total),
            flat_array(y, total),
            flat_array(node, total),
            out.view(-1).numpy(),
            _room(col.numel(), wide.shape[1], total),
            scale,
            zero_diagonal,
            by_column,
            _line(y),
            work=col.numel() * x.shape[1] + out.numel(),
        )
    return rounded(out, x.dtype)


def _room(nnz: int, width: int, dtype: torch.dtype) -> np.ndarray[Any, Any]:
    """Scratch space of each chunk: runs of logits and weights, then levels of partial sums for long rows."""
    levels = (nnz // PIECE).bit_length() + 2
    size = RUNS * RUN + levels * width
    return torch.empty(CHUNKS, -(-size // LANES) * LANES, dtype=dtype).numpy()


def _wide_rows(x: Tensor, y: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Both in `dtype`, with zeros behind each row where that makes whole vectors of what would be many short ones."""
    gap = -x.shape[1] % LANES
    gap = gap if gap < LANES - 4 else 0
    same = x.data_ptr() == y.data_ptr() and x.shape == y.shape and x.stride() == y.stride()
    wide = torch.nn.functional.pad(x.detach().to(dtype), (0, gap))
    return wide, wide if same else torch.nn.functional.pad(y.detach().to(dtype), (0, gap))


def _line(y: Tensor) -> int:
    """Numbers of `y` per cache line where its rows do not all fit the first caches, else 0."""
    return CACHE_LINE // y.itemsize if y.nbytes > CACHED_BYTES else 0
