"""Products of sparse matrices on CPU, row by row: the full product is never stored where rows are cut.

A row of a long product is found, ordered and cut while it lies in the arrays of its thread (40 bytes per column).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._counter import DOMAIN_PAIR, fraction, stream_start
from graphrep.kernels._dispatch import register
from graphrep.kernels._sparse_rows import RowScratch, ascending, cost_ranges, mark_step, select, sum_step
from graphrep.kernels.csr import CSR
from graphrep.kernels.projection._parallel import run_ranges
from graphrep.kernels.sparse_product._choice import Choice

__all__ = ["best_entries", "product_counts", "product_rows"]

_options = {"nogil": True, "cache": True, "error_model": "numpy"}


@register("product_counts", "cpu")
def product_counts(a: CSR, b: CSR, rows: Tensor, cost: Tensor, limit: int) -> Tensor:
    """(R,) int64 entries of `rows` of the product of patterns, at most `limit`."""
    counts, scratch = torch.zeros(rows.numel(), dtype=torch.int64), RowScratch(b.num_cols, values=False)
    arrays = (*_pattern(a), *_pattern(b), rows.numpy(), limit, counts.numpy())
    bounds, work = cost_ranges(cost)
    run_ranges(lambda i, j: _count(i, j, *arrays, scratch.seen, scratch.nodes[0]), bounds, work=work)
    return counts


@register("product_rows", "cpu")
def product_rows(
    a: CSR, b: CSR, cost: Tensor, offsets: Tensor, choice: Choice, dtype: torch.dtype | None
) -> tuple[Tensor, Tensor | None]:
    """As the reference; sums in float64, rounded once."""
    columns = _numba.empty_output((int(offsets[-1]),), a.col.dtype)
    bounds, work = cost_ranges(cost)
    order = (choice.own.numpy(), choice.other.numpy(), choice.ties, np.uint64(choice.seed), choice.keep_self)
    if dtype is None:
        scratch = RowScratch(b.num_cols, values=False)
        plain = (*_pattern(a), *_pattern(b), offsets.numpy(), *order, columns.numpy())
        run_ranges(lambda i, j: _reach(i, j, *plain, scratch.seen, scratch.nodes[0]), bounds, work=work)
        return columns, None
    scratch = RowScratch(max(a.num_rows, a.num_cols, b.num_cols))
    values = _numba.empty_output(tuple(columns.shape), torch.float64 if dtype == torch.float64 else torch.float32)
    arrays = (*_pattern(a), _numbers(a), *_pattern(b), _numbers(b))
    fixed = (*arrays, offsets.numpy(), *order, columns.numpy(), values.numpy())
    run_ranges(lambda i, j: _fill(i, j, *fixed, scratch.seen, scratch.nodes, scratch.values), bounds, work=work)
    return columns, values.to(dtype)


@register("best_entries", "cpu")
def best_entries(csr: CSR, value: Tensor, offsets: Tensor, choice: Choice) -> Tensor:
    """(nnz,) int64 positions of the best entries of each row, as many as `offsets` says, ascending."""
    found = _numba.empty_output((int(offsets[-1]),), torch.int64)
    order = (choice.own.numpy(), choice.other.numpy(), choice.ties, np.uint64(choice.seed), choice.keep_self)
    wide = value if value.dtype.itemsize > 2 else value.float()
    arrays = (*_pattern(csr), wide.contiguous().numpy(), offsets.numpy(), *order, found.numpy())
    bounds, work = cost_ranges(csr.degree().long() * 16)  # a hash, a copy and two selections
    run_ranges(lambda i, j: _best(i, j, *arrays), bounds, work=work)
    return found


def _pattern(csr: CSR) -> tuple[Any, Any]:
    return csr.rowptr.numpy(), csr.col.numpy()


def _numbers(csr: CSR) -> Any:
    assert csr.value is not None  # given by the caller
    return csr.value.numpy()


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _count(
    first: int,
    last: int,
    a_rowptr: Any,
    a_col: Any,
    b_rowptr: Any,
    b_col: Any,
    rows: Any,
    limit: int,
    counts: Any,
    seen: Any,
    nodes: Any,
) -> None:
    for k in range(first, last):
        seen[-1] += 1
        middle = a_col[np.int64(a_rowptr[rows[k]]) : np.int64(a_rowptr[rows[k] + 1])]
        counts[k] = min(mark_step(b_rowptr, b_col, middle, limit, seen, nodes, 0), limit)


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _reach(
    first: int,
    last: int,
    a_rowptr: Any,
    a_col: Any,
    b_rowptr: Any,
    b_col: Any,
    offsets: Any,
    own: Any,
    other: Any,
    ties: int,
    seed: Any,
    keep_self: bool,
    columns: Any,
    seen: Any,
    nodes: Any,
) -> None:
    for row in range(first, last):
        seen[-1] += 1
        middle = a_col[np.int64(a_rowptr[row]) : np.int64(a_rowptr[row + 1])]
        count = mark_step(b_rowptr, b_col, middle, nodes.size, seen, nodes, 0)
        found = ascending(nodes[:count], seen)
        begin, size = offsets[row], offsets[row + 1] - offsets[row]
        if count == size:
            columns[begin : begin + size] = found
        else:
            ones = np.ones(count, np.float32)
            kept = _kept(found, ones, row, size, own, other, ties, seed, keep_self)
            for k in range(size):
                columns[begin + k] = found[kept[k]]


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _fill(
    first: int,
    last: int,
    a_rowptr: Any,
    a_col: Any,
    a_value: Any,
    b_rowptr: Any,
    b_col: Any,
    b_value: Any,
    offsets: Any,
    own: Any,
    other: Any,
    ties: int,
    seed: Any,
    keep_self: bool,
    columns: Any,
    values: Any,
    seen: Any,
    nodes: Any,
    numbers: Any,
) -> None:
    for row in range(first, last):
        nodes[0, 0], numbers[0, row] = row, 1.0
        count = sum_step(a_rowptr, a_col, a_value, nodes[0, :1], numbers[0], seen, nodes, numbers, 1)
        count = sum_step(b_rowptr, b_col, b_value, nodes[1, :count], numbers[1], seen, nodes, numbers, 0)
        found = ascending(nodes[0, :count], seen)
        begin, size = offsets[row], offsets[row + 1] - offsets[row]
        if count == size:
            for k in range(size):
                columns[begin + k], values[begin + k] = found[k], numbers[0, found[k]]
        else:
            value = np.empty(count, values.dtype)
            for k in range(count):
                value[k] = numbers[0, found[k]]
            kept = _kept(found, value, row, size, own, other, ties, seed, keep_self)
            for k in range(size):
                columns[begin + k], values[begin + k] = found[kept[k]], value[kept[k]]


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _best(
    first: int,
    last: int,
    rowptr: Any,
    col: Any,
    value: Any,
    offsets: Any,
    own: Any,
    other: Any,
    ties: int,
    seed: Any,
    keep_self: bool,
    found: Any,
) -> None:
    for row in range(first, last):
        low, high = np.int64(rowptr[row]), np.int64(rowptr[row + 1])
        begin, size = offsets[row], offsets[row + 1] - offsets[row]
        if high - low == size:
            for k in range(size):
                found[begin + k] = low + k
        else:
            kept = _kept(col[low:high], value[low:high], row, size, own, other, ties, seed, keep_self)
            for k in range(size):
                found[begin + k] = low + kept[k]


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _kept(
    col: Any, value: Any, row: int, size: int, own: Any, other: Any, ties: int, seed: Any, keep_self: bool
) -> Any:
    """(size,) positions, ascending, of the best entries of a row."""
    score = np.empty(col.size, np.float64)
    for k in range(col.size):
        score[k] = value[k]
        if own.size > 0 and score[k] != 0:
            score[k] = 2 * score[k] / (own[row] + other[col[k]])
        if keep_self and col[k] == row:
            score[k] = np.inf
    least, equal, left = select(score.copy(), col.size - size), 0, size
    for k in range(col.size):
        left -= score[k] > least
        equal += score[k] == least
    tie = np.empty(equal if left < equal else 0, np.float64)  # not needed where all of the equal ones stay
    if left < equal:
        stream, place = stream_start(seed, DOMAIN_PAIR, np.uint64(row)), 0
        for k in range(col.size):
            if score[k] == least:
                tie[place] = _tie(np.int64(col[k]), ties, stream)
                place += 1
        bar = select(tie.copy(), equal - left)
        for t in range(equal):
            left -= tie[t] > bar
    kept = np.empty(size, np.int64)
    place, at = 0, 0
    for k in range(col.size):
        keep = score[k] > least
        if score[k] == least:
            keep = True
            if tie.size > 0:
                keep = tie[at] > bar or (tie[at] == bar and left > 0)
                left -= tie[at] == bar
                at += 1
        if keep:
            kept[place] = k
            place += 1
    return kept


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _tie(col: int, ties: int, stream: Any) -> Any:
    """What is larger for the entry that comes first among equal ones; the numbers are those of `TIES`."""
    if ties == 2:
        return fraction(stream, np.uint64(col))
    return np.float64(col if ties == 1 else -col)
