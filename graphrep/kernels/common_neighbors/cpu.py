"""Intersections of sorted rows on CPU, and sums of feature rows over them.

Rows of similar length are merged; where one is much longer, each entry of the shorter is searched for in it by
doubling steps from the last place. The hits of one pair wait in a buffer of the length of its shorter row, so that
their feature rows are summed in registers, block after block of columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels._numba import twin
from graphrep.kernels._ops import accumulator, flat_bits, line_of, rounded
from graphrep.kernels._rows import CHUNKS, PIECE, chunk_bounds, helper, inline
from graphrep.kernels._simd import address, at, prefetch, put, vload, vstore, vzero
from graphrep.kernels._simd_math import vadd
from graphrep.kernels._sorted import lower_bound
from graphrep.kernels.common_neighbors._blocks import pool_transposed_by_blocks

__all__ = ["neighbor_sets", "pool"]

MUCH_LONGER = 16  # ratio of row lengths from which searching beats merging


@register("neighbor_sets", "cpu")
def neighbor_sets(rowptr: Tensor, col: Tensor, pairs: Tensor, common: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(offsets, pair, node) of the nodes in both rows of each pair, or in the first row alone; sorted, int64."""
    arrays = (rowptr.numpy(), col.numpy(), pairs[0].contiguous().numpy(), pairs[1].contiguous().numpy())
    bounds, work = _shares(rowptr, pairs)
    offsets = np.zeros(pairs.shape[1] + 1, np.int64)
    _count(bounds, *arrays, common, offsets, work=work)
    np.cumsum(offsets, out=offsets)
    pair, node = (_numba.empty_output((int(offsets[-1]),), torch.int64) for _ in range(2))
    _fill(bounds, *arrays, common, offsets, pair.numpy(), node.numpy(), work=work)
    return torch.from_numpy(offsets), pair, node


@register("common_neighbor_pool", "cpu")
def pool(rowptr: Tensor, col: Tensor, x: Tensor, pairs: Tensor) -> Tensor:
    """(P, D) sums over common neighbours; half types in float32."""
    out = _numba.empty_output((pairs.shape[1], x.shape[1]), accumulator(x.dtype))
    if out.numel():
        bounds, work = _shares(rowptr, pairs)
        longest = int((rowptr[pairs + 1] - rowptr[pairs]).amin(0).max())
        hits = np.empty((CHUNKS, longest), np.int64)
        ends = (pairs[0].contiguous().numpy(), pairs[1].contiguous().numpy())
        arrays = (rowptr.numpy(), col.numpy(), *ends, flat_bits(x), out.view(-1).numpy(), hits, line_of(x))
        _pool(bounds, *arrays, work=work * 4)
    return rounded(out, x.dtype)


@register("common_neighbor_pool_t", "cpu")
def pool_transposed(rowptr: Tensor, col: Tensor, grad: Tensor, pairs: Tensor, num_cols: int) -> Tensor:
    """(num_cols, D) sums of the rows of `grad` over the pairs that have each node as a common neighbour."""
    return pool_transposed_by_blocks(rowptr, col, grad, pairs, num_cols)


def _shares(rowptr: Tensor, pairs: Tensor) -> tuple[np.ndarray[Any, Any], int]:
    """Bounds of chunks of pairs with about equal numbers of row entries, and that number in all."""
    total = torch.zeros(pairs.shape[1] + 1, dtype=torch.int64)
    torch.cumsum((rowptr[pairs + 1] - rowptr[pairs]).long().sum(0), 0, out=total[1:])
    return chunk_bounds(total.numpy(), np.empty(CHUNKS + 1, np.int64)), int(total[-1])


@twin()
def _count(bounds: Any, rowptr: Any, col: Any, left: Any, right: Any, common: bool, offsets: Any) -> None:
    for chunk in prange(bounds.size - 1):
        for p in range(bounds[chunk], bounds[chunk + 1]):
            i, j = left[p], right[p]
            a = (np.int64(rowptr[i]), np.int64(rowptr[i + 1]))
            count = _intersect(col, a, (np.int64(rowptr[j]), np.int64(rowptr[j + 1])), None, 0)
            offsets[p + 1] = count if common else a[1] - a[0] - count


@twin()
def _fill(
    bounds: Any, rowptr: Any, col: Any, left: Any, right: Any, common: bool, offsets: Any, pair: Any, node: Any
) -> None:
    for chunk in prange(bounds.size - 1):
        for p in range(bounds[chunk], bounds[chunk + 1]):
            i, j = left[p], right[p]
            a, b = (np.int64(rowptr[i]), np.int64(rowptr[i + 1])), (np.int64(rowptr[j]), np.int64(rowptr[j + 1]))
            if common:
                _intersect(col, a, b, node, offsets[p])
            else:
                _difference(col, a, b, node, offsets[p])
            for place in range(offsets[p], offsets[p + 1]):
                pair[place] = p


@twin()
def _pool(bounds: Any, rowptr: Any, col: Any, left: Any, right: Any, x: Any, out: Any, hits: Any, line: int) -> None:
    width = out.size // left.size
    for chunk in prange(bounds.size - 1):
        for p in range(bounds[chunk], bounds[chunk + 1]):
            i, j = left[p], right[p]
            a, b = (np.int64(rowptr[i]), np.int64(rowptr[i + 1])), (np.int64(rowptr[j]), np.int64(rowptr[j + 1]))
            count = _intersect(col, a, b, hits[chunk], 0)
            _sum(address(x), address(hits), chunk * hits.shape[1], count, address(out), p * width, width, line)


@helper  # type: ignore[untyped-decorator]
def _intersect(col: Any, a: Any, b: Any, found: Any, count: int) -> Any:
    """Writes the nodes of both ranges to ``found[count:]`` unless it is None; returns `count` plus their number."""
    if a[1] - a[0] > b[1] - b[0]:
        a, b = b, a
    (i, i_end), (j, j_end) = a, b
    if (i_end - i) * MUCH_LONGER < j_end - j:
        while i < i_end and j < j_end:
            node = col[i]
            j = _gallop(col, j, j_end, node)
            if j < j_end and col[j] == node:
                if found is not None:
                    found[count] = node
                count += 1
                j += 1
            i += 1
        return count
    while i < i_end and j < j_end:
        node, other = col[i], col[j]
        if node == other:
            if found is not None:
                found[count] = node
            count += 1
        # No branch on which side is behind: that is a coin toss, which the processor cannot guess.
        i += np.int64(node <= other)
        j += np.int64(other <= node)
    return count


@inline  # type: ignore[untyped-decorator]
def _gallop(col: Any, low: int, high: int, node: int) -> Any:
    """The first position in [low, high) whose number is at least `node`, by doubling steps from `low`."""
    step = 1
    while low + step < high and col[low + step] < node:
        low += step
        step <<= 1
    return lower_bound(col, low, min(low + step + 1, high), node)


@helper  # type: ignore[untyped-decorator]
def _difference(col: Any, a: Any, b: Any, found: Any, count: int) -> None:
    """Writes the nodes of range `a` that are not in `b` to ``found[count:]``."""
    (i, i_end), (j, j_end) = a, b
    while i < i_end:
        node = col[i]
        if (j_end - j) > (i_end - i) * MUCH_LONGER:
            j = _gallop(col, j, j_end, node)
        while j < j_end and col[j] < node:
            j += 1
        if j == j_end or col[j] != node:
            found[count] = node
            count += 1
        i += 1


@helper  # type: ignore[untyped-decorator]
def _sum(x: Any, hits: Any, first: int, count: int, out: Any, place: int, width: int, line: int) -> None:
    """Sums `count` rows of x, piece after piece, into ``out[place:]``."""
    for j in range(place, place + width):
        put(out, j, 0)
    if line > 0:
        for h in range(first, first + count):
            for offset in range(at(hits, h) * width, (at(hits, h) + 1) * width, line):
                prefetch(x, offset)
    for start in range(first, first + count, PIECE):
        stop, j = min(start + PIECE, first + count), 0
        while j + 32 <= width:
            _block(vzero(x, 32), x, hits, start, stop, out, place + j, j, width)
            j += 32
        while j + 4 <= width:
            _block(vzero(x, 4), x, hits, start, stop, out, place + j, j, width)
            j += 4
        while j < width:
            _block(vzero(x, 1), x, hits, start, stop, out, place + j, j, width)
            j += 1


@inline  # type: ignore[untyped-decorator]
def _block(acc: Any, x: Any, hits: Any, start: int, stop: int, out: Any, place: int, j: int, width: int) -> None:
    before = vload(out, place, acc)
    for h in range(start, stop):
        acc = vadd(acc, vload(x, at(hits, h) * width + j, acc))
    vstore(out, place, vadd(before, acc))
