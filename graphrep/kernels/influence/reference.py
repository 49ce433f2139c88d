"""Plain torch on any device: each block of rows is expanded, sorted and summed, power after power."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._budget import ranges_within
from graphrep.kernels._dispatch import register
from graphrep.kernels._expand import BLOCK_PRODUCTS, expanded, multiplied

__all__ = ["influence_counts", "influence_rows"]


@register("influence_counts", "reference")
@register("influence_counts", "cuda")  # sorts and segment sums, which run in a fixed order on the device too
def influence_counts(rowptr: Tensor, col: Tensor, rows: Tensor, cost: Tensor, order: int, limit: int) -> Tensor:
    """(R,) int64 number of nodes within `order` steps of each of `rows`, at most `limit`."""
    counts = torch.zeros(rows.numel(), dtype=torch.int64, device=rows.device)
    for first, last in ranges_within(cost, BLOCK_PRODUCTS):
        key = _within(rowptr, col, rows[first:last], order)
        counts[first:last] = torch.bincount(key // _size(rowptr), minlength=last - first)
    return counts.clamp(max=limit)


@register("influence_rows", "reference")
@register("influence_rows", "cuda")
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
    """(nnz,) columns in the index type of the matrix, and values of the power, or of the sum of powers, row by row."""
    rows = torch.arange(_size(rowptr), device=rowptr.device)
    nnz = int(offsets[-1])
    columns, values = col.new_empty(nnz), value.new_empty(nnz, dtype=dtype)
    for first, last in ranges_within(cost, BLOCK_PRODUCTS):
        block = rows[first:last]
        key, number = _powers(rowptr, col, value, block, order, cumulative)
        if top_m:
            key, number = _largest(key, number, top_m, _size(rowptr), block.numel())
        part = slice(int(offsets[first]), int(offsets[last]))
        columns[part], values[part] = key % _size(rowptr), number
    return columns, values


def _size(rowptr: Tensor) -> int:
    return rowptr.numel() - 1


def _within(rowptr: Tensor, col: Tensor, rows: Tensor, order: int) -> Tensor:
    """Sorted keys (number of the row * N + node) of the nodes within `order` steps; self-loops keep nodes reached."""
    size = _size(rowptr)
    key = torch.arange(rows.numel(), device=rows.device) * size + rows
    for _ in range(order):
        owner, place = expanded(rowptr, key % size)
        key = torch.unique((key // size)[owner] * size + col[place])
    return key


def _powers(
    rowptr: Tensor, col: Tensor, value: Tensor, rows: Tensor, order: int, cumulative: bool
) -> tuple[Tensor, Tensor]:
    """Sorted keys and float64 values. The sum by Horner's rule: ``A + ... + A^r = (I + A + ... + A^(r-1)) A``."""
    size = _size(rowptr)
    start = torch.arange(rows.numel(), device=rows.device) * size + rows
    key, number = start, torch.ones(rows.numel(), dtype=torch.float64, device=rows.device)
    for step in range(order):
        if cumulative and step:
            number = number + (key == start[key // size])
        key, number = multiplied(key, number, (rowptr, col, value), size, size)
    return key, number


def _largest(key: Tensor, number: Tensor, top_m: int, size: int, rows: int) -> tuple[Tensor, Tensor]:
    """The `top_m` largest of each row as float32 numbers; of equal ones those of smaller column."""
    by_value = torch.sort(number.float(), descending=True, stable=True).indices
    by_row = by_value[torch.sort(key[by_value] // size, stable=True).indices]
    row = key[by_row] // size
    length = torch.bincount(row, minlength=rows)
    rank = torch.arange(key.numel(), device=key.device) - (length.cumsum(0) - length)[row]
    kept = by_row[rank < top_m].sort().values
    return key[kept], number[kept]
