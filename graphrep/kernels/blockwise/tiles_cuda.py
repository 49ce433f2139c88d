"""Triton kernels of the all-pairs log-sum-exp: one program owns a block of rows and walks over all columns.

Nothing is shared between programs, so sums and gradients are the same on every run. Arithmetic per pair: 2 d in the
forward kernel, 4 d in the backward one, one exponential for each direction; bytes: the columns' rows once per block of
rows, from L2. Row offsets are 64-bit, so millions of rows of any width work.
"""

from __future__ import annotations

import triton.language as tl

from graphrep.kernels._triton import jit

__all__ = ["grad_rows", "lse_rows"]


@jit
def _rows(
    x_ptr: tl.tensor, row: tl.tensor, live: tl.tensor, first: tl.tensor, width: tl.tensor, DIM: tl.constexpr
) -> tl.tensor:
    """Columns first..first + DIM of some rows, 0 outside."""
    column = first + tl.arange(0, DIM)
    mask = live[:, None] & (column < width)[None, :]
    return tl.load(x_ptr + row.to(tl.int64)[:, None] * width + column[None, :], mask=mask, other=0)


@jit
def _product(a: tl.tensor, b: tl.tensor, ACC: tl.constexpr, PRECISION: tl.constexpr, WIDE: tl.constexpr) -> tl.tensor:
    """A matrix product summed in float32; WIDE converts half types first."""
    if WIDE:
        a, b = a.to(ACC), b.to(ACC)
    return tl.dot(a, b, input_precision=PRECISION, out_dtype=ACC)


@jit
def _similarity(
    x_ptr: tl.tensor,
    y_ptr: tl.tensor,
    row: tl.tensor,
    col: tl.tensor,
    live_row: tl.tensor,
    live_col: tl.tensor,
    width: tl.tensor,
    DIM: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    ACC: tl.constexpr,
    PRECISION: tl.constexpr,
    WIDE: tl.constexpr,
) -> tl.tensor:
    total = tl.zeros([ROWS, COLS], ACC)
    for first in range(0, width, DIM):
        a = _rows(x_ptr, row, live_row, first, width, DIM)
        b = _rows(y_ptr, col, live_col, first, width, DIM)
        total += _product(a, tl.trans(b), ACC, PRECISION, WIDE)
    return total


@jit
def _without(
    tile: tl.tensor,
    place: tl.tensor,
    stop: tl.tensor,
    list_ptr: tl.tensor,
    col: tl.tensor,
    last: tl.tensor,
    number: tl.constexpr,
) -> tl.tensor:
    """The tile with `number` at the listed columns up to `last`, and where each row's list goes on."""
    listed = tl.load(list_ptr + place, mask=place < stop, other=last + 1)
    while tl.max((listed <= last).to(tl.int32), 0) > 0:
        hit = listed <= last
        tile = tl.where((col[None, :] == listed[:, None]) & hit[:, None], number, tile)
        place += hit.to(tl.int64)
        listed = tl.load(list_ptr + place, mask=place < stop, other=last + 1)
    return tile, place


@jit
def _numbers(
    pointer: tl.tensor, index: tl.tensor, live: tl.tensor, other: tl.constexpr, ACC: tl.constexpr
) -> tl.tensor:
    """Numbers of some rows, or `other` for rows that do not exist and where there is no array."""
    if pointer is None:  # noqa: SIM108 - the compiler leaves one branch out
        numbers = tl.full(index.shape, other, ACC)
    else:
        numbers = tl.load(pointer + index, mask=live, other=other)
    return numbers


@jit
def lse_rows(
    x_ptr: tl.tensor,
    y_ptr: tl.tensor,
    x_factor_ptr: tl.tensor,
    y_factor_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    rowptr_ptr: tl.tensor,
    list_ptr: tl.tensor,
    out_ptr: tl.tensor,
    count: tl.tensor,
    num_cols: tl.tensor,
    width: tl.tensor,
    SKIP: tl.constexpr,
    DIM: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    ACC: tl.constexpr,
    PRECISION: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    """Log-sum-exp of each row of x over the rows of y, with a running maximum."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    live_row = row < count
    factor = _numbers(x_factor_ptr, row, live_row, 1, ACC)
    top = tl.full([ROWS], float("-inf"), ACC)
    total = tl.zeros([ROWS], ACC)
    if list_ptr is not None:
        place = tl.load(rowptr_ptr + row, mask=live_row, other=0)
        stop = tl.load(rowptr_ptr + row + 1, mask=live_row, other=0)
    for first in range(0, num_cols, COLS):
        col = first + tl.arange(0, COLS)
        live_col = col < num_cols
        logits = _similarity(x_ptr, y_ptr, row, col, live_row, live_col, width, DIM, ROWS, COLS, ACC, PRECISION, WIDE)
        logits = logits * factor[:, None] * _numbers(y_factor_ptr, col, live_col, 1, ACC)[None, :]
        logits += _numbers(bias_ptr, col, live_col, 0, ACC)[None, :]
        logits = tl.where(live_col[None, :], logits, float("-inf"))
        if SKIP:
            logits = tl.where(row[:, None] == col[None, :], float("-inf"), logits)
        if list_ptr is not None:
            logits, place = _without(logits, place, stop, list_ptr, col, first + COLS - 1, float("-inf"))
        raised = tl.maximum(top, tl.max(logits, 1))
        shift = tl.where(raised == float("-inf"), 0, raised)
        total = total * tl.exp(top - shift) + tl.sum(tl.exp(logits - shift[:, None]), 1)
        top = raised
    lse = tl.where(total == 0, float("-inf"), top + tl.log(total))
    tl.store(out_ptr + row, tl.where(top == float("inf"), float("inf"), lse), mask=live_row)


@jit
def grad_rows(
    x_ptr: tl.tensor,
    y_ptr: tl.tensor,
    x_norm_ptr: tl.tensor,
    y_norm_ptr: tl.tensor,
    x_scale_ptr: tl.tensor,
    y_scale_ptr: tl.tensor,
    x_bias_ptr: tl.tensor,
    y_bias_ptr: tl.tensor,
    x_shift_ptr: tl.tensor,
    y_shift_ptr: tl.tensor,
    x_weight_ptr: tl.tensor,
    y_weight_ptr: tl.tensor,
    own_rowptr_ptr: tl.tensor,
    own_list_ptr: tl.tensor,
    other_rowptr_ptr: tl.tensor,
    other_list_ptr: tl.tensor,
    grad_ptr: tl.tensor,
    count: tl.tensor,
    num_cols: tl.tensor,
    width: tl.tensor,
    OWN: tl.constexpr,
    OTHER: tl.constexpr,
    SKIP: tl.constexpr,
    DIM: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    OUT: tl.constexpr,
    ACC: tl.constexpr,
    PRECISION: tl.constexpr,
    WIDE: tl.constexpr,
    CARRY: tl.constexpr,
) -> None:
    """Adds to the gradient of the rows of x what their pairs with the rows of y give: as anchors (OWN), as columns
    of y's anchors (OTHER).
    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    begin = tl.program_id(1) * OUT
    live_row = row < count
    x_norm = _numbers(x_norm_ptr, row, live_row, 1, ACC)
    x_scale = _numbers(x_scale_ptr, row, live_row, 0, ACC)
    x_bias = _numbers(x_bias_ptr, row, live_row, 0, ACC)
    x_shift = _numbers(x_shift_ptr, row, live_row, float("inf"), ACC)
    x_weight = _numbers(x_weight_ptr, row, live_row, 0, ACC)
    total = tl.zeros([ROWS, OUT], ACC)
    if own_list_ptr is not None:
        own_place = tl.load(own_rowptr_ptr + row, mask=live_row, other=0)
        own_stop = tl.load(own_rowptr_ptr + row + 1, mask=live_row, other=0)
    if other_list_ptr is not None:
        other_place = tl.load(other_rowptr_ptr + row, mask=live_row, other=0)
        other_stop = tl.load(other_rowptr_ptr + row + 1, mask=live_row, other=0)
    for first in range(0, num_cols, COLS):
        col = first + tl.arange(0, COLS)
        last = first + COLS - 1
        live_col = col < num_cols
        s = _similarity(x_ptr, y_ptr, row, col, live_row, live_col, width, DIM, ROWS, COLS, ACC, PRECISION, WIDE)
        y_norm = _numbers(y_norm_ptr, col, live_col, 1, ACC)
        s = s * x_norm[:, None] * y_norm[None, :]
        weights = tl.zeros([ROWS, COLS], ACC)
        if OWN:
            logits = s * x_scale[:, None] + _numbers(y_bias_ptr, col, live_col, 0, ACC)[None, :]
            part = tl.exp(logits - x_shift[:, None]) * x_weight[:, None]
            if own_list_ptr is not None:
                part, own_place = _without(part, own_place, own_stop, own_list_ptr, col, last, 0.0)
            weights += part
        if OTHER:
            logits = s * _numbers(y_scale_ptr, col, live_col, 0, ACC)[None, :] + x_bias[:, None]
            shift = _numbers(y_shift_ptr, col, live_col, float("inf"), ACC)
            part = tl.exp(logits - shift[None, :]) * _numbers(y_weight_ptr, col, live_col, 0, ACC)[None, :]
            if other_list_ptr is not None:
                part, other_place = _without(part, other_place, other_stop, other_list_ptr, col, last, 0.0)
            weights += part
        if SKIP:
            weights = tl.where(row[:, None] == col[None, :], 0, weights)
        weights = tl.where(live_col[None, :], weights * y_norm[None, :], 0)
        y = _rows(y_ptr, col, live_col, begin, width, OUT)
        total += _product(weights.to(CARRY), y.to(CARRY), ACC, PRECISION, WIDE)
    column = begin + tl.arange(0, OUT)
    place = row[:, None] * width + column[None, :]
    mask = live_row[:, None] & (column < width)[None, :]
    tl.store(grad_ptr + place, tl.load(grad_ptr + place, mask=mask, other=0) + total, mask=mask)
