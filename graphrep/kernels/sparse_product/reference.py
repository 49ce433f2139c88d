"""Plain torch on any device: each block of rows is expanded into its terms, sorted and summed."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._budget import ranges_within
from graphrep.kernels._dispatch import register
from graphrep.kernels._expand import BLOCK_PRODUCTS, expanded, multiplied
from graphrep.kernels._select import row_entries
from graphrep.kernels.csr import CSR
from graphrep.kernels.sparse_product._choice import Choice, best_of

__all__ = ["best_entries", "product_counts", "product_rows", "reached"]


def reached(a: CSR, b: CSR, rows: Tensor) -> Tensor:
    """Keys, ascending, of the entries that the product of patterns has in `rows`, which are counted from 0."""
    owner, place = expanded(a.rowptr, rows)
    term, entry = expanded(b.rowptr, a.col[place].long())
    key: Tensor = torch.unique(owner[term] * b.num_cols + b.col[entry])
    return key


@register("product_counts", "reference")
@register("product_counts", "cuda")  # sorts and segment sums, which run in a fixed order on the device too
def product_counts(a: CSR, b: CSR, rows: Tensor, cost: Tensor, limit: int) -> Tensor:
    """(R,) int64 entries of `rows` of the product of patterns, at most `limit`."""
    counts = torch.zeros(rows.numel(), dtype=torch.int64, device=rows.device)
    for first, last in ranges_within(cost, BLOCK_PRODUCTS):
        key = reached(a, b, rows[first:last])
        counts[first:last] = torch.bincount(key // max(b.num_cols, 1), minlength=last - first)
    return counts.clamp(max=limit)


@register("product_rows", "reference")
@register("product_rows", "cuda")
def product_rows(
    a: CSR, b: CSR, cost: Tensor, offsets: Tensor, choice: Choice, dtype: torch.dtype | None
) -> tuple[Tensor, Tensor | None]:
    """(nnz,) columns, ascending in each row, and values in `dtype`; None: the pattern alone.

    `a` and `b` have float64 values where there is a `dtype`. Rows that would be longer than `offsets` says keep their
    best entries.
    """
    rows, size = torch.arange(a.num_rows, device=a.device), max(b.num_cols, 1)
    columns: list[Tensor] = [a.col.new_empty(0)]
    values: list[Tensor] = [torch.empty(0, device=a.device)]
    for first, last in ranges_within(cost, BLOCK_PRODUCTS):
        key, number = _block(a, b, rows[first:last], dtype)
        length = offsets[first + 1 : last + 1] - offsets[first:last]
        if key.numel() > int(length.sum()):
            kept = best_of(key // size, key % size, number, choice, length, first)
            key, number = key[kept], number[kept]
        columns.append((key % size).to(a.col.dtype))
        values.append(number)
    return torch.cat(columns), None if dtype is None else torch.cat(values).to(dtype)


def _block(a: CSR, b: CSR, rows: Tensor, dtype: torch.dtype | None) -> tuple[Tensor, Tensor]:
    """Keys and values of some rows; a pattern has the value 1 everywhere."""
    if dtype is None:
        key = reached(a, b, rows)
        return key, torch.ones(key.numel(), device=a.device)
    assert a.value is not None  # as the caller says
    assert b.value is not None
    owner, place = expanded(a.rowptr, rows)
    start = owner * a.num_cols + a.col[place]
    key, number = multiplied(start, a.value[place], (b.rowptr, b.col, b.value), max(a.num_cols, 1), max(b.num_cols, 1))
    return key, number if dtype == torch.float64 else number.float()  # the types that entries are compared in


@register("best_entries", "reference")
@register("best_entries", "cuda")
def best_entries(csr: CSR, value: Tensor, offsets: Tensor, choice: Choice) -> Tensor:
    """(nnz,) int64 positions of the best entries of each row, as many as `offsets` says, ascending."""
    found: list[Tensor] = [torch.empty(0, dtype=torch.int64, device=csr.device)]
    rows = torch.arange(csr.num_rows, device=csr.device)
    for first, last in ranges_within(csr.degree().long(), BLOCK_PRODUCTS):
        pointer, place = row_entries(csr.rowptr, rows[first:last])
        row = torch.repeat_interleave(pointer.diff(), output_size=place.numel())
        length = offsets[first + 1 : last + 1] - offsets[first:last]
        kept = best_of(row, csr.col[place].long(), value[place], choice, length, first)
        found.append(place[kept])
    return torch.cat(found)
