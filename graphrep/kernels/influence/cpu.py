"""Powers of a sparse matrix on CPU, row by row (Gustavson, ACM TOMS 4(3), 1978): no power is ever stored.

A row is carried through all its steps in two dense accumulators, which belong to the thread: 40 bytes a node. Ranges of
rows are handed to threads as these become free, because rows of a power-law graph differ by factors of 10^4.
"""

from __future__ import annotations

import threading
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels.projection._parallel import balanced_ranges, run_ranges

__all__ = ["influence_counts", "influence_rows"]

SCAN_SHARE = 64  # sorting one node costs as much as looking at this many stamps
_options = {"nogil": True, "cache": True, "error_model": "numpy"}


class _Scratch(threading.local):
    """Arrays of one thread: stamps of the nodes seen, two lists of nodes, two rows of values, the last stamp."""

    def __init__(self, size: int) -> None:
        self.seen = np.zeros(size + 1, np.int64)  # the last element is the stamp in use
        self.nodes = np.empty((2, size), np.int64)
        self.values = np.empty((2, size), np.float64)


def _ranges(cost: Tensor) -> tuple[Any, int]:
    """Row boundaries of about equal cost, and the cost in all."""
    total = np.zeros(cost.numel() + 1, np.int64)
    np.cumsum(cost.numpy(), out=total[1:])
    return balanced_ranges(total, 1), int(total[-1])


@register("influence_counts", "cpu")
def influence_counts(rowptr: Tensor, col: Tensor, rows: Tensor, cost: Tensor, order: int, limit: int) -> Tensor:
    """(R,) int64 number of nodes within `order` steps of each of `rows`, at most `limit`."""
    counts, scratch = torch.zeros(rows.numel(), dtype=torch.int64), _Scratch(rowptr.numel() - 1)
    arrays = (rowptr.numpy(), col.numpy(), rows.numpy(), order, limit, counts.numpy())
    bounds, work = _ranges(cost)
    run_ranges(lambda a, b: _count(a, b, *arrays, scratch.seen, scratch.nodes[0]), bounds, work=work)
    return counts


@register("influence_rows", "cpu")
def influence_rows(
    rowptr: Tensor,
    col: Tensor,
    value: Tensor,
    cost: Tensor,
    order: int,
    cumulative: bool,
    top_m: int,
    offsets: Tensor,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """(nnz,) columns in the index type of the matrix, and values; sums in float64, rounded once."""
    nnz, scratch = int(offsets[-1]), _Scratch(rowptr.numel() - 1)
    columns = _numba.empty_output((nnz,), col.dtype)
    values = _numba.empty_output((nnz,), torch.float64 if dtype == torch.float64 else torch.float32)
    fixed = (rowptr.numpy(), col.numpy(), value.numpy(), order, cumulative, top_m, offsets.numpy())
    out = (columns.numpy(), values.numpy())
    bounds, work = _ranges(cost)
    run_ranges(lambda a, b: _fill(a, b, *fixed, *out, scratch.seen, scratch.nodes, scratch.values), bounds, work=work)
    return columns, values.to(dtype)


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _count(
    first: int, last: int, rowptr: Any, col: Any, rows: Any, order: int, limit: int, counts: Any, seen: Any, nodes: Any
) -> None:
    """Breadth-first to `order` steps, or until `limit` nodes are found."""
    for k in range(first, last):
        seen[-1] += 1
        stamp, row = seen[-1], rows[k]
        seen[row], nodes[0] = stamp, row
        begin, end = 0, 1
        for _ in range(order):
            reached = end
            for n in range(begin, end):
                if reached >= limit:
                    break
                node = nodes[n]
                for e in range(np.int64(rowptr[node]), np.int64(rowptr[node + 1])):
                    other = np.int64(col[e])
                    if seen[other] != stamp:
                        seen[other], nodes[reached] = stamp, other
                        reached += 1
            begin, end = end, reached
        counts[k] = min(end, limit)


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _fill(
    first: int,
    last: int,
    rowptr: Any,
    col: Any,
    value: Any,
    order: int,
    cumulative: bool,
    top_m: int,
    offsets: Any,
    columns: Any,
    values: Any,
    seen: Any,
    nodes: Any,
    numbers: Any,
) -> None:
    for row in range(first, last):
        side, count = 0, 1
        nodes[0, 0], numbers[0, row] = row, 1.0
        for step in range(order):
            if cumulative and step > 0:
                numbers[side, row] += 1.0  # Horner: A + ... + A^r = (I + A + ... + A^(r-1)) A
            seen[-1] += 1
            stamp = seen[-1]
            count = _step(rowptr, col, value, nodes[side, :count], numbers[side], stamp, seen, nodes, numbers, 1 - side)
            side = 1 - side
        found = _ascending(nodes[side, :count], seen)
        begin, size = offsets[row], offsets[row + 1] - offsets[row]
        if count == size:
            for k in range(count):
                columns[begin + k], values[begin + k] = found[k], numbers[side, found[k]]
        else:
            _largest(found, numbers[side], size, columns[begin : begin + size], values[begin : begin + size])


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _step(
    rowptr: Any,
    col: Any,
    value: Any,
    current: Any,
    weight: Any,
    stamp: int,
    seen: Any,
    nodes: Any,
    numbers: Any,
    side: int,
) -> int:
    """One product of a row vector with the matrix, into list and accumulator `side`; returns the entries found."""
    count = 0
    for node in current:
        share = weight[node]
        for e in range(np.int64(rowptr[node]), np.int64(rowptr[node + 1])):
            other = np.int64(col[e])
            if seen[other] == stamp:
                numbers[side, other] += share * value[e]
            else:
                seen[other], nodes[side, count], numbers[side, other] = stamp, other, share * value[e]
                count += 1
    return count


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _ascending(found: Any, seen: Any) -> Any:
    """The nodes of a list, which carry the latest stamp, in ascending order; a long list is read off the stamps."""
    if found.size * SCAN_SHARE < seen.size:
        found.sort()
        return found
    count, stamp = 0, seen[-1]
    for node in range(seen.size - 1):
        if seen[node] == stamp:
            found[count] = node
            count += 1
    return found


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _select(key: Any, wanted: int) -> Any:
    """The number that would stand at `wanted` in ascending order (Hoare's selection; numba's own compiles in 10 s)."""
    low, high = 0, key.size - 1
    while low < high:
        pivot = key[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while key[i] < pivot:
                i += 1
            while key[j] > pivot:
                j -= 1
            if i <= j:
                key[i], key[j] = key[j], key[i]
                i, j = i + 1, j - 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return key[wanted]


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _largest(found: Any, number: Any, size: int, columns: Any, values: Any) -> None:
    """The `size` largest as float32 numbers; of equal ones those of smaller column (`found` ascends)."""
    key = np.empty(found.size, np.float32)
    for k in range(found.size):
        key[k] = number[found[k]]
    least = _select(key.copy(), found.size - size)
    ties = size
    for k in range(found.size):
        ties -= key[k] > least
    place = 0
    for k in range(found.size):
        if key[k] > least or (key[k] == least and ties > 0):
            ties -= key[k] == least
            columns[place], values[place] = found[k], number[found[k]]
            place += 1
