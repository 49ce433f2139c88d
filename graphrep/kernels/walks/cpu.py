"""Random walks on CPU: bound by the latency of two dependent loads a step, so walks advance in groups.

While one walk of a group waits for its node's offsets or its next neighbour, the loads of the others are under way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._counter import DOMAIN_WALK, below, fraction, stream_start, word
from graphrep.kernels._dispatch import register
from graphrep.kernels._numba import twin
from graphrep.kernels._ops import bounds_of
from graphrep.kernels._rows import helper
from graphrep.kernels._simd import address, prefetch
from graphrep.kernels._sorted import lower_bound
from graphrep.kernels.walks.reference import UNITS

__all__ = ["random_walks", "walk_weights"]

GROUP = 32  # walks in flight on one thread


@register("random_walks", "cpu")
def random_walks(
    rowptr: Tensor,
    col: Tensor,
    cumulative: Tensor | None,
    set_rowptr: Tensor | None,
    set_col: Tensor | None,
    starts: Tensor,
    length: int,
    accept: tuple[float, float, float],
    seed: int,
) -> Tensor:
    """Walks (S, length + 1); arguments as in the reference."""
    out = _numba.empty_output((starts.numel(), length + 1), torch.int64)
    plain = (rowptr.numpy(), col.numpy(), starts.contiguous().numpy(), out.numpy(), np.uint64(seed))
    work = 16 * out.numel()
    weights = None if cumulative is None else cumulative.numpy()
    if set_rowptr is None or set_col is None:
        _first_order(*plain, weights, work=work)
    else:
        _second_order(*plain, weights, set_rowptr.numpy(), set_col.numpy(), accept, work=4 * work)
    return out


@register("walk_weights", "cpu")
def walk_weights(rowptr: Tensor, value: Tensor) -> Tensor:
    """(nnz,) int64 running sums along each row; as in the reference."""
    out = _numba.empty_output((value.numel(),), torch.int64)
    wide = value if value.dtype.itemsize > 2 else value.float()
    arrays = (bounds_of(rowptr), rowptr.numpy(), wide.contiguous().numpy(), UNITS, out.numpy())
    _running_sums(*arrays, work=value.numel())
    return out


@twin()
def _running_sums(bounds: Any, rowptr: Any, value: Any, units: float, out: Any) -> None:
    for chunk in prange(bounds.size - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            largest, total = np.float64(0), np.int64(0)
            for e in range(np.int64(rowptr[i]), np.int64(rowptr[i + 1])):
                largest = max(largest, np.float64(value[e]))
            for e in range(np.int64(rowptr[i]), np.int64(rowptr[i + 1])):
                if largest > 0:
                    total += np.int64(np.rint(np.float64(value[e]) / largest * units))
                out[e] = total


@twin()
def _first_order(rowptr: Any, col: Any, starts: Any, out: Any, seed: Any, cumulative: Any) -> None:
    """By weight where `cumulative` is not None, else each neighbour with the same probability."""
    a_rowptr, a_col = address(rowptr), address(col)
    for group in prange((starts.size + GROUP - 1) // GROUP):
        first = group * GROUP
        size = min(GROUP, starts.size - first)
        stream, words = np.empty(GROUP, np.uint64), np.empty(GROUP, np.uint64)
        low, high = np.empty(GROUP, np.int64), np.empty(GROUP, np.int64)
        for k in range(size):
            stream[k] = stream_start(seed, DOMAIN_WALK, np.uint64(first + k))
            out[first + k, 0] = starts[first + k]
        for t in range(out.shape[1] - 1):
            for k in range(size):
                node = out[first + k, t]
                low[k], high[k] = np.int64(rowptr[node]), np.int64(rowptr[node + 1])
                words[k] = word(stream[k], np.uint64(t))
                if cumulative is None:
                    if low[k] < high[k]:
                        low[k] += below(words[k], np.uint64(0), high[k] - low[k])
                        prefetch(a_col, low[k])
                elif low[k] < high[k]:
                    prefetch(address(cumulative), high[k] - 1)
            if cumulative is not None:
                _search(cumulative, words, low, high, size)
                for k in range(size):
                    prefetch(a_col, low[k])
            for k in range(size):
                node = out[first + k, t]
                if low[k] < high[k]:
                    node = np.int64(col[low[k]])
                    prefetch(a_rowptr, node)
                out[first + k, t + 1] = node


@helper  # type: ignore[untyped-decorator]
def _search(cumulative: Any, words: Any, low: Any, high: Any, size: int) -> None:
    """Sets ``low[k]`` to the drawn entry of range k; to ``high[k]`` where there is none. All ranges halve together."""
    keys, ends = np.empty(size, np.int64), high[:size].copy()
    longest = np.int64(0)
    for k in range(size):
        total = cumulative[high[k] - 1] if low[k] < high[k] else np.int64(0)
        keys[k] = below(words[k], np.uint64(0), total) + 1
        if total == 0:
            low[k] = high[k]
        longest = max(longest, high[k] - low[k])
    while longest > 0:
        for k in range(size):
            if low[k] < ends[k]:
                middle = (low[k] + ends[k]) >> 1
                if cumulative[middle] < keys[k]:
                    low[k] = middle + 1
                else:
                    ends[k] = middle
                prefetch(address(cumulative), (low[k] + ends[k]) >> 1)
        longest >>= 1


@twin()
def _second_order(
    rowptr: Any,
    col: Any,
    starts: Any,
    out: Any,
    seed: Any,
    cumulative: Any,
    set_rowptr: Any,
    set_col: Any,
    accept: Any,
) -> None:
    """With memory of the node before; by weight where `cumulative` is not None."""
    sure, near = min(accept[1], accept[2]), max(accept[1], accept[2])
    for walk in prange(starts.size):
        stream = stream_start(seed, DOMAIN_WALK, np.uint64(walk))
        node = before = starts[walk]
        out[walk, 0] = node
        for t in range(out.shape[1] - 1):
            step = word(stream, np.uint64(t))
            found, attempt = _candidate(rowptr, col, cumulative, node, step, 0), 0
            while t > 0:
                drawn, share = fraction(step, np.uint64(2 * attempt + 1)), accept[2]
                if found == before:
                    share = accept[0]
                # Whether the two are linked is looked up only where it decides.
                elif near > drawn >= sure and _linked(set_rowptr, set_col, before, found):
                    share = accept[1]
                if drawn < share:
                    break
                attempt += 1
                found = _candidate(rowptr, col, cumulative, node, step, 2 * attempt)
            before, node = node, found
            out[walk, t + 1] = node


@helper  # type: ignore[untyped-decorator]
def _candidate(rowptr: Any, col: Any, cumulative: Any, node: int, step: Any, t: int) -> Any:
    """A neighbour of `node`, which word `t` of this step's stream chooses; `node` itself where it has none."""
    low, high = np.int64(rowptr[node]), np.int64(rowptr[node + 1])
    if low == high:
        return node
    if cumulative is None:
        return np.int64(col[low + below(step, np.uint64(t), high - low)])
    total = cumulative[high - 1]
    if total == 0:
        return node
    return np.int64(col[lower_bound(cumulative, low, high, below(step, np.uint64(t), total) + 1)])


@helper  # type: ignore[untyped-decorator]
def _linked(rowptr: Any, col: Any, row: int, node: int) -> Any:
    low, high = np.int64(rowptr[row]), np.int64(rowptr[row + 1])
    place = lower_bound(col, low, high, node)
    return place < high and col[place] == node
