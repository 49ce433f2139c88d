"""On CPU a thread takes whole columns of numbers, so that gradients need no locks; rows are sorted in place."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from numba import prange
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels._numba import twin

__all__ = ["least", "least_backward"]


@register("least_sums", "cpu")
def least(rowptr: Tensor, col: Tensor, x: Tensor, budget: Tensor) -> Tensor:
    """See :func:`graphrep.kernels.dropping.least_sums`."""
    columns = _columns(x)
    out = np.empty_like(columns)
    _least(*_graph(rowptr, col, budget), columns, out, work=4 * col.numel() * len(columns))
    return torch.from_numpy(out).t().contiguous()


@register("least_sums_backward", "cpu")
def least_backward(grad: Tensor, rowptr: Tensor, col: Tensor, x: Tensor, budget: Tensor) -> Tensor:
    """The gradient in `x`, with the choice of dropped entries made again."""
    columns = _columns(x)
    out = np.zeros_like(columns)
    _least_backward(*_graph(rowptr, col, budget), columns, _columns(grad), out, work=4 * col.numel() * len(columns))
    return torch.from_numpy(out).t().contiguous()


def _columns(x: Tensor) -> np.ndarray[Any, Any]:
    """(D, N), so that one column lies in one piece."""
    return x.detach().t().contiguous().numpy()


def _graph(rowptr: Tensor, col: Tensor, budget: Tensor) -> tuple[Any, ...]:
    degree = rowptr.long().diff()
    longest = int(degree.max()) if degree.numel() else 0
    return rowptr.numpy(), col.numpy(), budget.numpy(), longest


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _choose(rowptr: Any, col: Any, budget: Any, x: Any, i: int, parts: Any, ordered: Any) -> tuple[float, int, float]:
    """The least sum of row i, how many entries that drops, and the smallest part dropped; fills `parts`."""
    start, count = rowptr[i], rowptr[i + 1] - rowptr[i]
    total = 0.0
    for e in range(count):
        j = col[start + e]
        full = rowptr[j + 1] - rowptr[j] + 1
        value = x[j]
        parts[e] = value / np.sqrt(full - budget[j]) if value < 0 else value / np.sqrt(full)
        total += parts[e]
    least = total / np.sqrt(count + 1) + x[i] / (count + 1)
    dropped, edge = 0, np.inf
    if budget[i] > 0:
        for e in range(count):
            ordered[e] = parts[e]
        ordered[:count].sort()
        for k in range(1, budget[i] + 1):
            total -= ordered[count - k]
            left = count + 1 - k
            sums = total / np.sqrt(left) + x[i] / left
            if sums < least:
                least, dropped, edge = sums, k, ordered[count - k]
    return least, dropped, edge


@twin()
def _least(rowptr: Any, col: Any, budget: Any, longest: int, x: Any, out: Any) -> None:
    for k in prange(x.shape[0]):
        parts, ordered = np.empty(longest), np.empty(longest)
        for i in range(x.shape[1]):
            out[k, i] = _choose(rowptr, col, budget, x[k], i, parts, ordered)[0]


@twin()
def _least_backward(rowptr: Any, col: Any, budget: Any, longest: int, x: Any, grad: Any, out: Any) -> None:
    for k in prange(x.shape[0]):
        parts, ordered = np.empty(longest), np.empty(longest)
        for i in range(x.shape[1]):
            _, dropped, edge = _choose(rowptr, col, budget, x[k], i, parts, ordered)
            start, count = rowptr[i], rowptr[i + 1] - rowptr[i]
            left = count + 1 - dropped
            out[k, i] += grad[k, i] / left
            ties = dropped
            for e in range(count):
                ties -= parts[e] > edge
            for e in range(count):
                if parts[e] > edge:
                    continue
                if parts[e] == edge and ties > 0:
                    ties -= 1
                    continue
                j = col[start + e]
                full = rowptr[j + 1] - rowptr[j] + 1
                root = np.sqrt(full - budget[j]) if x[k, j] < 0 else np.sqrt(full)
                out[k, j] += grad[k, i] / (root * np.sqrt(left))
