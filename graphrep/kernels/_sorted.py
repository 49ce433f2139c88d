"""Rows as sets: the pattern of a matrix with ascending columns and no duplicates, and searches in such rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.kernels._build import group_by_row
from graphrep.kernels._rows import inline
from graphrep.kernels.csr import CSR

__all__ = ["first_above", "lower_bound", "sorted_pattern"]

_KEY = "sorted_pattern"


def sorted_pattern(csr: CSR) -> CSR:
    """The pattern of `csr` with the columns of each row ascending and listed once; cached with the matrix.

    Costs O(nnz) once: two stable counting sorts, none where the rows are sorted already. The result has no weights,
    and its `perm` counts its own entries.
    """
    if _KEY not in csr._cache:
        csr._cache[_KEY] = _build(csr)
    pattern: CSR = csr._cache[_KEY]
    return pattern


def _build(csr: CSR) -> CSR:
    rowptr, col = csr.rowptr, csr.col
    row = csr.row()
    if csr.nnz > 1 and bool(((col[1:] < col[:-1]) & (row[1:] == row[:-1])).any()):
        transpose = csr.pattern_t()
        rowptr, col, _ = group_by_row(transpose.col, transpose.row(), csr.num_rows)
    again = torch.zeros(csr.nnz, dtype=torch.bool, device=csr.device)
    again[1:] = (col[1:] == col[:-1]) & (row[1:] == row[:-1])
    if bool(again.any()):
        dropped = torch.zeros(csr.nnz + 1, dtype=torch.int64, device=csr.device)
        dropped[1:] = again.cumsum(0)
        rowptr, col = rowptr - dropped[rowptr.long()].to(rowptr.dtype), col[~again]
    perm = torch.arange(col.numel(), dtype=col.dtype, device=col.device)
    return CSR._trusted(rowptr, col, None, csr.num_cols, perm)


def first_above(array: Tensor, low: Tensor, high: Tensor, key: Tensor) -> Tensor:
    """For each query the first position in [low, high) whose number is above `key`, else `high`.

    `array` ascends within every range asked about; `low`, `high` and `key` are (Q,) int64, as is the result. Costs one
    gather per halving of the longest range.
    """
    low, high = low.clone(), high.clone()
    if not array.numel():
        return low
    while bool((low < high).any()):
        middle = (low + high) >> 1
        open_ = low < high
        above = array[torch.where(open_, middle, 0)].long() > key
        high = torch.where(open_ & above, middle, high)
        low = torch.where(open_ & ~above, middle + 1, low)
    return low


@inline  # type: ignore[untyped-decorator]
def lower_bound(array: Any, low: int, high: int, key: int) -> int:
    """Inside numba kernels: the first position in [low, high) whose number is at least `key`, else `high`."""
    while low < high:
        middle = (low + high) >> 1
        if array[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low
