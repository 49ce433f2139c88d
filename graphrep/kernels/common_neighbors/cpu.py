"""Intersections of sorted rows on CPU, and sums of feature rows over them.

The hits of one pair wait in a buffer of the length of its shorter row, so that their feature rows are summed in
registers, block after block of columns. The rows of the pair after next are fetched meanwhile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels._hits_cpu import sum_hits
from graphrep.kernels._numba import twin
from graphrep.kernels._ops import accumulator, flat_bits, line_of, rounded
from graphrep.kernels._rows import CHUNKS, chunk_bounds, inline
from graphrep.kernels._simd import address, prefetch
from graphrep.kernels.common_neighbors._blocks import pool_transposed_by_blocks
from graphrep.kernels.common_neighbors._rows_cpu import difference, intersect

__all__ = ["neighbor_sets", "pool"]


@register("neighbor_sets", "cpu")
def neighbor_sets(rowptr: Tensor, col: Tensor, pairs: Tensor, common: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(offsets, pair, node) of the nodes in both rows of each pair, or in the first row alone; sorted, int64."""
    arrays = (rowptr.numpy(), col.numpy(), pairs[0].contiguous().numpy(), pairs[1].contiguous().numpy())
    bounds, work = _shares(rowptr, pairs)
    offsets = np.zeros(pairs.shape[1] + 1, np.int64)
    _count(bounds, *arrays, common, offsets, work=work)
    np.cumsum(offsets, out=offsets)
    pair, node = (_numba.empty_output((int(offsets[-1]),), torch.int64) for _ in range(2))
    if pair.numel():
        _fill(bounds, *arrays, common, offsets, _hits(rowptr, pairs), pair.numpy(), node.numpy(), work=work)
    return torch.from_numpy(offsets), pair, node


@register("common_neighbor_pool", "cpu")
def pool(rowptr: Tensor, col: Tensor, x: Tensor, pairs: Tensor) -> Tensor:
    """(P, D) sums over common neighbours; half types in float32."""
    out = _numba.empty_output((pairs.shape[1], x.shape[1]), accumulator(x.dtype))
    if out.numel():
        bounds, work = _shares(rowptr, pairs)
        ends = (pairs[0].contiguous().numpy(), pairs[1].contiguous().numpy())
        arrays = (
            rowptr.numpy(),
            col.numpy(),
            *ends,
            flat_bits(x),
            out.view(-1).numpy(),
            _hits(rowptr, pairs),
            line_of(x),
        )
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


def _hits(rowptr: Tensor, pairs: Tensor) -> np.ndarray[Any, Any]:
    """Room for the hits of one pair per chunk."""
    shorter = (rowptr[pairs + 1] - rowptr[pairs]).amin(0)
    return np.empty((CHUNKS, int(shorter.max())), np.int64)


@twin()
def _count(bounds: Any, rowptr: Any, col: Any, left: Any, right: Any, common: bool, offsets: Any) -> None:
    for chunk in prange(bounds.size - 1):
        for p in range(bounds[chunk], bounds[chunk + 1]):
            a, b = _ranges(rowptr, col, left, right, p)
            count = intersect(address(col), a, b, None, 0)
            offsets[p + 1] = count if common else a[1] - a[0] - count


@twin()
def _fill(
    bounds: Any,
    rowptr: Any,
    col: Any,
    left: Any,
    right: Any,
    common: bool,
    offsets: Any,
    hits: Any,
    pair: Any,
    node: Any,
) -> None:
    for chunk in prange(bounds.size - 1):
        for p in range(bounds[chunk], bounds[chunk + 1]):
            a, b = _ranges(rowptr, col, left, right, p)
            if common:
                intersect(address(col), a, b, address(hits), chunk * hits.shape[1])
                for place in range(offsets[p], offsets[p + 1]):
                    node[place] = hits[chunk, place - offsets[p]]
            else:
                difference(address(col), a, b, address(node), offsets[p])
            for place in range(offsets[p], offsets[p + 1]):
                pair[place] = p


@twin()
def _pool(bounds: Any, rowptr: Any, col: Any, left: Any, right: Any, x: Any, out: Any, hits: Any, line: int) -> None:
    width = out.size // left.size
    for chunk in prange(bounds.size - 1):
        for p in range(bounds[chunk], bounds[chunk + 1]):
            a, b = _ranges(rowptr, col, left, right, p)
            count = intersect(address(col), a, b, address(hits), chunk * hits.shape[1])
            sum_hits(address(x), address(hits), chunk * hits.shape[1], count, address(out), p * width, width, line)


@inline  # type: ignore[untyped-decorator]
def _ranges(rowptr: Any, col: Any, left: Any, right: Any, p: int) -> Any:
    """Where the rows of pair p begin and end; the beginnings of the rows of the pair after next are fetched."""
    later = min(p + 2, left.size - 1)
    prefetch(address(col), np.int64(rowptr[left[later]]))
    prefetch(address(col), np.int64(rowptr[right[later]]))
    i, j = left[p], right[p]
    return (np.int64(rowptr[i]), np.int64(rowptr[i + 1])), (np.int64(rowptr[j]), np.int64(rowptr[j + 1]))
