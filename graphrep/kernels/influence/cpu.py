"""Powers of a sparse matrix on CPU, row by row (Gustavson, ACM TOMS 4(3), 1978): no power is ever stored.

A row is carried through all its steps in two dense accumulators, which belong to the thread: 40 bytes a node. Ranges of
rows are handed to threads as these become free, because rows of a power-law graph differ by factors of 10^4.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels._sparse_rows import RowScratch, ascending, cost_ranges, mark_step, select, sum_step
from graphrep.kernels.projection._parallel import run_ranges

__all__ = ["influence_counts", "influence_rows"]

_options = {"nogil": True, "cache": True, "error_model": "numpy"}


@register("influence_counts", "cpu")
def influence_counts(rowptr: Tensor, col: Tensor, rows: Tensor, cost: Tensor, order: int, limit: int) -> Tensor:
    """(R,) int64 number of nodes within `order` steps of each of `rows`, at most `limit`."""
    counts, scratch = torch.zeros(rows.numel(), dtype=torch.int64), RowScratch(rowptr.numel() - 1, values=False)
    arrays = (rowptr.numpy(), col.numpy(), rows.numpy(), order, limit, counts.numpy())
    bounds, work = cost_ranges(cost)
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
    nnz, scratch = int(offsets[-1]), RowScratch(rowptr.numel() - 1)
    columns = _numba.empty_output((nnz,), col.dtype)
    values = _numba.empty_output((nnz,), torch.float64 if dtype == torch.float64 else torch.float32)
    fixed = (rowptr.numpy(), col.numpy(), value.numpy(), order, cumulative, top_m, offsets.numpy())
    out = (columns.numpy(), values.numpy())
    bounds, work = cost_ranges(cost)
    run_ranges(lambda a, b: _fill(a, b, *fixed, *out, scratch.seen, scratch.nodes, scratch.values), bounds, work=work)
    return columns, values.to(dtype)


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _count(
    first: int, last: int, rowptr: Any, col: Any, rows: Any, order: int, limit: int, counts: Any, seen: Any, nodes: Any
) -> None:
    """Breadth-first to `order` steps, or until `limit` nodes are found."""
    for k in range(first, last):
        seen[-1] += 1
        row = rows[k]
        seen[row], nodes[0] = seen[-1], row
        begin, end = 0, 1
        for _ in range(order):
            begin, end = end, mark_step(rowptr, col, nodes[begin:end], limit, seen, nodes, end)
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
            count = sum_step(rowptr, col, value, nodes[side, :count], numbers[side], seen, nodes, numbers, 1 - side)
            side = 1 - side
        found = ascending(nodes[side, :count], seen)
        begin, size = offsets[row], offsets[row + 1] - offsets[row]
        if count == size:
            for k in range(count):
                columns[begin + k], values[begin + k] = found[k], numbers[side, found[k]]
        else:
            _largest(found, numbers[side], size, columns[begin : begin + size], values[begin : begin + size])


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _largest(found: Any, number: Any, size: int, columns: Any, values: Any) -> None:
    """The `size` largest as float32 numbers; of equal ones those of smaller column (`found` ascends)."""
    key = np.empty(found.size, np.float32)
    for k in range(found.size):
        key[k] = number[found[k]]
    least = select(key.copy(), found.size - size)
    ties = size
    for k in range(found.size):
        ties -= key[k] > least
    place = 0
    for k in range(found.size):
        if key[k] > least or (key[k] == least and ties > 0):
            ties -= key[k] == least
            columns[place], values[place] = found[k], number[found[k]]
            place += 1
