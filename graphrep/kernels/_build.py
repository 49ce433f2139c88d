"""Grouping an edge list by row: a stable counting sort (numba on CPU, torch's stable sort elsewhere)."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels._library import define

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


@register("group_by_row", "reference")
def _reference(row: Tensor, col: Tensor, num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    perm = torch.sort(row, stable=True).indices
    rowptr = torch.zeros(num_rows + 1, dtype=row.dtype, device=row.device)
    rowptr[1:] = torch.bincount(row, minlength=num_rows).cumsum(0)
    return rowptr, col[perm], perm.to(row.dtype)


@register("group_by_row", "cpu")
def _cpu(row: Tensor, col: Tensor, num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    outputs = _count_and_place(row.contiguous().numpy(), col.contiguous().numpy(), num_rows)
    rowptr, sorted_col, perm = (torch.from_numpy(a) for a in outputs)
    return rowptr, sorted_col, perm


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count_and_place(row: Any, col: Any, num_rows: int) -> Any:
    """Serial on purpose: stable placement is one dependent pass, and it is bound by random writes."""
    rowptr = np.zeros(num_rows + 1, dtype=row.dtype)
    for r in row:
        rowptr[r + 1] += 1
    for i in range(num_rows):
        rowptr[i + 1] += rowptr[i]
    cursor = rowptr[:-1].copy()
    sorted_col = np.empty_like(col)
    perm = np.empty_like(row)
    for e in range(row.size):
        position = cursor[row[e]]
        sorted_col[position] = col[e]
        perm[position] = e
        cursor[row[e]] = position + 1
    return rowptr, sorted_col, perm
