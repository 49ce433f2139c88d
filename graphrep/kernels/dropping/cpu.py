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

INSERTION = 24  # entries up to which a row is sorted by insertion


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
    """Offsets, columns, budgets, and factors: each source's smallest and largest, and 1 / sqrt(k) by k."""
    full = rowptr.long().diff() + 1
    longest = int(full.max()) if full.numel() else 1
    roots = torch.arange(longest + 1, dtype=torch.float64).clamp(min=1).rsqrt()
    factors = (roots[full].numpy(), roots[full - budget].numpy(), roots.numpy())
    return rowptr.numpy(), col.numpy(), budget.numpy(), factors


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _sort(parts: Any, count: int) -> None:
    """Ascending; most rows are short, where insertion is fastest."""
    if count > INSERTION:
        parts[:count].sort()
        return
    for e in range(1, count):
        value, place = parts[e], e
        while place > 0 and parts[place - 1] > value:
            parts[place] = parts[place - 1]
            place -= 1
        parts[place] = value


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _choose(
    rowptr: Any, col: Any, budget: Any, factors: Any, x: Any, i: int, parts: Any, ordered: Any
) -> tuple[float, int, float]:
    """The least sum of row i, how many entries that drops, and the smallest part dropped; fills `parts`."""
    fewest, most, roots = factors
    start, count = rowptr[i], rowptr[i + 1] - rowptr[i]
    total = 0.0
    for e in range(count):
        j = col[start + e]
        value = x[j]
        parts[e] = value * (most[j] if value < 0 else fewest[j])
        total += parts[e]
    own, root = x[i], roots[count + 1]
    least = root * (total + root * own)
    dropped, edge = 0, np.inf
    if budget[i] > 0:
        for e in range(count):
            ordered[e] = parts[e]
        _sort(ordered, count)
        for k in range(1, budget[i] + 1):
            total -= ordered[count - k]
            root = roots[count + 1 - k]
            sums = root * (total + root * own)
            if sums < least:
                least, dropped, edge = sums, k, ordered[count - k]
    return least, dropped, edge


@twin()
def _least(rowptr: Any, col: Any, budget: Any, factors: Any, x: Any, out: Any) -> None:
    for k in prange(x.shape[0]):
        parts, ordered = np.empty(factors[2].size), np.empty(factors[2].size)
        for i in range(x.shape[1]):
            out[k, i] = _choose(rowptr, col, budget, factors, x[k], i, parts, ordered)[0]


@twin()
def _least_backward(rowptr: Any, col: Any, budget: Any, factors: Any, x: Any, grad: Any, out: Any) -> None:
    for k in prange(x.shape[0]):
        parts, ordered = np.empty(factors[2].size), np.empty(factors[2].size)
        fewest, most, roots = factors
        for i in range(x.shape[1]):
            _, dropped, edge = _choose(rowptr, col, budget, factors, x[k], i, parts, ordered)
            start, count = rowptr[i], rowptr[i + 1] - rowptr[i]
            root = roots[count + 1 - dropped]
            out[k, i] += grad[k, i] * root * root
            ties = dropped  # entries equal to the last one dropped that are dropped too
            for e in range(count):
                ties -= parts[e] > edge
            for e in range(count):
                if parts[e] > edge:
                    continue
                if parts[e] == edge and ties > 0:
                    ties -= 1
                    continue
                j = col[start + e]
                out[k, j] += grad[k, i] * root * (most[j] if x[k, j] < 0 else fewest[j])
