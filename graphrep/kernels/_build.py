"""Grouping an edge list by row: a stable counting sort (numba on CPU, torch's stable sort elsewhere)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels._library import define
from graphrep.kernels._numba import SMALL_WORK, empty_output, num_threads, twin

__all__ = ["group_by_row"]


def group_by_row(row: Tensor, col: Tensor, num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sorts entries by row, keeping their order within a row.

    Args:
        row: (nnz,) ids below `num_rows` (not checked here).
        col: (nnz,) of the same dtype.
        num_rows: number of rows, empty ones included.

    Returns:
        rowptr (num_rows + 1,), col (nnz,) in row order, perm (nnz,) positions in the given order; dtype of `row`.
    """
    result: tuple[Tensor, Tensor, Tensor] = _group_by_row(row, col, num_rows)
    return result


_group_by_row = define(
    "group_by_row(Tensor row, Tensor col, int num_rows) -> (Tensor, Tensor, Tensor)",
    lambda row, col, num_rows: (row.new_empty(num_rows + 1), torch.empty_like(col), torch.empty_like(row)),
)


@register("group_by_row", "cuda")  # torch's stable sort is a radix sort there; the counts are integers, so exact
@register("group_by_row", "reference")
def _reference(row: Tensor, col: Tensor, num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    perm = torch.sort(row, stable=True).indices
    rowptr = torch.zeros(num_rows + 1, dtype=row.dtype, device=row.device)
    rowptr[1:] = torch.bincount(row, minlength=num_rows).cumsum(0)
    return rowptr, col[perm], perm.to(row.dtype)


@register("group_by_row", "cpu")
def _cpu(row: Tensor, col: Tensor, num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    kind = np.int32 if row.dtype == torch.int32 else np.int64
    parts = num_threads() if row.numel() >= SMALL_WORK and num_rows <= row.numel() else 1
    counts = np.zeros((parts, num_rows), kind)
    rowptr = np.zeros(num_rows + 1, kind)
    sorted_col, perm = empty_output((row.numel(),), col.dtype), empty_output((row.numel(),), row.dtype)
    arrays = (row.contiguous().numpy(), col.contiguous().numpy(), counts, rowptr, sorted_col.numpy(), perm.numpy())
    _count_and_place(*arrays, work=row.numel() if parts > 1 else 0)
    return torch.from_numpy(rowptr), sorted_col, perm


@twin()
def _count_and_place(row: Any, col: Any, counts: Any, rowptr: Any, sorted_col: Any, perm: Any) -> None:
    """A counting sort in which each part of the list counts, and later places, its own entries.

    Within a row the parts follow one another, so the result is the stable sort whatever the number of parts.
    """
    parts, num_rows = counts.shape
    size = (row.size + parts - 1) // parts
    for part in prange(parts):
        for e in range(part * size, min((part + 1) * size, row.size)):
            counts[part, row[e]] += 1
    position = 0
    for i in range(num_rows):
        for part in range(parts):
            count = counts[part, i]
            counts[part, i] = position
            position += count
        rowptr[i + 1] = position
    for part in prange(parts):
        for e in range(part * size, min((part + 1) * size, row.size)):
            place = counts[part, row[e]]
            sorted_col[place] = col[e]
            perm[place] = e
            counts[part, row[e]] = place + 1
