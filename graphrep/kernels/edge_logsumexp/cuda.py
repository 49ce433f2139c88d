"""Log-sum-exps over the entries of each row, and the sums of gathered rows that are their gradients, in Triton.

Bytes: E rows of k gathered (from L2 where they repeat; in the backward pass a second time, from L1), E columns and
weights. The scale is multiplied into a copy of q, N x d numbers. Rows share programs as in _schedule.py; the results of
rows cut into pieces are combined in the order of the pieces, so there are no atomics.
"""

from __future__ import annotations

from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels import _triton
from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import accumulator
from graphrep.kernels._schedule import Work, schedule_of
from graphrep.kernels._triton import CompileCase, ceil_div, jit, launch, pointer, row_tile
from graphrep.kernels.edge_softmax.forward_cuda import combine_pieces
from graphrep.kernels.spmm.sum_cuda import add_pieces

__all__ = ["compile_cases", "edge_logsumexp", "edge_logsumexp_backward"]


@register("edge_logsumexp", "cuda")
def edge_logsumexp(
    rowptr: Tensor, col: Tensor, value: Tensor | None, q: Tensor, k: Tensor, scale: float, zero_diagonal: bool,
    t_rowptr: Tensor | None, t_col: Tensor | None, t_perm: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(num_rows,) log-sum-exps, and what the way back subtracts from the logits of each row: the same numbers."""
    total = accumulator(q.dtype)
    lse = _triton.empty((rowptr.numel() - 1,), total, q.device)
    if not lse.numel():
        return lse, lse.clone()
    schedule, arrays = schedule_of(rowptr), (col, None, _dense(value), *_scaled(q, k, scale))
    for work, short in ((schedule.short, True), (schedule.long, False)):
        _launch(_measure, work, arrays, (None, None, lse), total, short=short, ZERO_DIAGONAL=zero_diagonal)
    if schedule.hubs.count:
        top, amount = (_triton.empty((schedule.pieces.count, 1), total, q.device) for _ in range(2))
        results = (top, amount, None)
        _launch(_measure, schedule.pieces, arrays, results, total, short=False, ZERO_DIAGONAL=zero_diagonal)
        combine_pieces(schedule.hubs, top, amount, lse)
    return lse, lse.clone()


@register("edge_logsumexp_backward", "cuda")
def edge_logsumexp_backward(
    rowptr: Tensor, col: Tensor, perm: Tensor | None, value: Tensor | None, x: Tensor, y: Tensor, factor: Tensor,
    shift: Tensor, scale: float, zero_diagonal: bool, by_column: bool,
) -> Tensor:  # fmt: skip
    """See :func:`graphrep.kernels.edge_logsumexp.reference.edge_logsumexp_backward`."""
    total, width = accumulator(x.dtype), x.shape[1]
    out = _triton.empty(tuple(x.shape), total, x.device)
    if not out.numel():
        return out.to(x.dtype)
    schedule, arrays = schedule_of(rowptr), (col, _dense(perm), _dense(value), *_scaled(x, y, scale))
    options = {"ZERO_DIAGONAL": zero_diagonal, "BY_COLUMN": by_column}
    numbers = (factor.contiguous(), shift.contiguous())
    for work, short in ((schedule.short, True), (schedule.long, False)):
        _launch(_attract, work, arrays, (*numbers, out), total, short=short, WHOLE=True, **options)
    if schedule.hubs.count:
        part = _triton.empty((schedule.pieces.count, width), total, x.device)
        _launch(_attract, schedule.pieces, arrays, (*numbers, part), total, short=False, WHOLE=False, **options)
        add_pieces(schedule.hubs, rowptr, part, out, width)
    return out.to(x.dtype)


def _dense(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _scaled(x: Tensor, y: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    return (x.to(accumulator(x.dtype)) * scale).contiguous(), y.contiguous()


def _launch(
    kernel: Any,
    work: Work,
    arrays: tuple[Tensor | None, ...],
    results: tuple[Tensor | None, ...],
    total: torch.dtype,
    *,
    short: bool,
    **options: bool,
) -> None:
    y = arrays[-1]
    assert y is not None  # it is never optional
    width = y.shape[1]
    tile, vector = row_tile(max(width, 1), total, short=short), _triton.vector_width(width, y.dtype)
    blocks = ceil_div(width, tile.block) if kernel is _attract else 1
    launch(
        kernel,
        (ceil_div(work.count, tile.rows), blocks),
        work.start,
        work.stop,
        work.row,
        *arrays,
        *results,
        work.count,
        width // vector,
        on=y,
        num_warps=tile.num_warps,
        **options,
        VECTOR=vector,
        ROWS=tile.rows,
        EDGES=tile.edges,
        BLOCK=tile.block,
        ACC=_triton.accumulator(total),
    )


@jit
def _entries(
    col_ptr: tl.tensor,
    perm_ptr: tl.tensor,
    value_ptr: tl.tensor,
    x_ptr: tl.tensor,
    y_ptr: tl.tensor,
    start: tl.tensor,
    length: tl.tensor,
    row: tl.tensor,
    first: tl.tensor,
    width: tl.tensor,
    EDGES: tl.constexpr,
    BLOCK: tl.constexpr,
    ACC: tl.constexpr,
) -> tl.tensor:
    """(ROWS, EDGES) columns, weights and products from entry `first` of each row on; weight 0 behind its end."""
    lane = first + tl.arange(0, EDGES)
    used = lane[None, :] < length[:, None]
    entry = start[:, None].to(tl.int64) + lane[None, :]
    source = tl.load(col_ptr + entry, mask=used, other=0).to(tl.int64)
    logit = tl.zeros(used.shape, ACC)
    for begin in range(0, width, BLOCK):
        column = begin + tl.arange(0, BLOCK)
        inside = column < width
        ours = tl.load(x_ptr + (row * width)[:, None] + column, mask=(length > 0)[:, None] & inside, other=0)
        place = (source * width)[:, :, None] + column
        theirs = tl.load(y_ptr + place, mask=used[:, :, None] & inside, other=0).to(ACC)
        logit += tl.sum(ours[:, None, :] * theirs, 2)
    weight = used.to(ACC)
    if value_ptr is not None:
        if perm_ptr is not None:
            entry = tl.load(perm_ptr + entry, mask=used, other=0).to(tl.int64)
        weight = tl.load(value_ptr + entry, mask=used, other=0).to(ACC)
    return source, weight, logit


@jit
def _measure(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    col_ptr: tl.tensor,
    perm_ptr: tl.tensor,
    value_ptr: tl.tensor,
    x_ptr: tl.tensor,
    y_ptr: tl.tensor,
    top_ptr: tl.tensor,  # of pieces; with these two, lse_ptr is None
    amount_ptr: tl.tensor,
    lse_ptr: tl.tensor,
    count: tl.tensor,
    units: tl.tensor,  # columns / VECTOR
    ZERO_DIAGONAL: tl.constexpr,
    VECTOR: tl.constexpr,
    ROWS: tl.constexpr,
    EDGES: tl.constexpr,
    BLOCK: tl.constexpr,
    ACC: tl.constexpr,
) -> None:
    item = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    live = item < count
    start = tl.load(start_ptr + item, mask=live, other=0)
    length = tl.load(stop_ptr + item, mask=live, other=0) - start
    row = tl.load(row_ptr + item, mask=live, other=0).to(tl.int64)
    width = units * VECTOR
    most = tl.full([ROWS, EDGES], float("-inf"), ACC)
    amount = tl.zeros([ROWS, EDGES], ACC)
    for first in range(0, tl.max(length, 0), EDGES):
        source, weight, logit = _entries(
            col_ptr, perm_ptr, value_ptr, x_ptr, y_ptr, start, length, row, first, width, EDGES, BLOCK, ACC
        )
        if ZERO_DIAGONAL:
            logit = tl.where(source == row[:, None], 0, logit)
        logit = tl.where(weight == 0, float("-inf"), logit)
        larger = tl.maximum(most, logit)
        shift = tl.where(larger == float("-inf"), 0, larger)
        amount = amount * tl.exp(most - shift) + weight * tl.exp(logit - shift)
        most = larger
    top = tl.max(most, 1)
    shift = tl.where(top == float("-inf"), 0, top)
    total = tl.sum(amount * tl.exp(most - shift[:, None]), 1)
    if lse_ptr is None:
        tl.store(top_ptr + item, top, mask=live)
        tl.store(amount_ptr + item, total, mask=live)
    else:
        tl.store(lse_ptr + row, shift + tl.log(total), mask=live)


@jit
def _attract(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    col_ptr: tl.tensor,
    perm_ptr: tl.tensor,
    value_ptr: tl.tensor,
    x_ptr: tl.tensor,
    y_ptr: tl.tensor,
    factor_ptr: tl.tensor,
    shift_ptr: tl.tensor,
    out_ptr: tl.tensor,
    count: tl.tensor,
    units: tl.tensor,  # columns / VECTOR
    WHOLE: tl.constexpr,  # write to the row; else to the number of the range
    ZERO_DIAGONAL: tl.constexpr,
    BY_COLUMN: tl.constexpr,
    VECTOR: tl.constexpr,
    ROWS: tl.constexpr,
    EDGES: tl.constexpr,
    BLOCK: tl.constexpr,
    ACC: tl.constexpr,
) -> None:
    item = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    live = item < count
    start = tl.load(start_ptr + item, mask=live, other=0)
    length = tl.load(stop_ptr + item, mask=live, other=0) - start
    row = tl.load(row_ptr + item, mask=live, other=0).to(tl.int64)
    width = units * VECTOR
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    total = tl.zeros([ROWS, EDGES, BLOCK], ACC)
    for first in range(0, tl.max(length, 0), EDGES):
        source, weight, logit = _entries(
            col_ptr, perm_ptr, value_ptr, x_ptr, y_ptr, start, length, row, first, width, EDGES, BLOCK, ACC
        )
        present = weight != 0
        if ZERO_DIAGONAL:
            present = present & (source != row[:, None])
        owner = source
        if not BY_COLUMN:
            owner = tl.broadcast_to(row[:, None], [ROWS, EDGES])
        shift = tl.load(shift_ptr + owner, mask=present, other=0)
        factor = tl.load(factor_ptr + owner, mask=present, other=0)
        power = factor * weight * tl.exp(tl.where(present, logit - shift, 0))
        place = (source * width)[:, :, None] + column
        theirs = tl.load(y_ptr + place, mask=present[:, :, None] & inside, other=0).to(ACC)
        total += power[:, :, None] * theirs
    target = item
    if WHOLE:
        target = row
    place = (target.to(tl.int64) * width)[:, None] + column
    tl.store(out_ptr + place, tl.sum(total, 1), mask=live[:, None] & inside)


def compile_cases() -> list[CompileCase]:
    """The variants that the compile tests build."""
    cases = []
    for dtype, width, index, short in (
        (torch.float32, 64, "*i32", True),
        (torch.bfloat16, 256, "*i32", False),
        (torch.float64, 10, "*i64", False),
    ):
        total = "*fp64" if dtype == torch.float64 else "*fp32"
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        tile, vector = row_tile(width, wide, short=short), _triton.vector_width(width, dtype)
        signature = dict.fromkeys(("start_ptr", "stop_ptr", "row_ptr", "col_ptr"), index)
        signature |= {"value_ptr": "*fp32", "x_ptr": total, "y_ptr": pointer(dtype)}
        constants = {"ZERO_DIAGONAL": True, "VECTOR": vector, "ROWS": tile.rows, "EDGES": tile.edges}
        constants |= {"BLOCK": tile.block, "ACC": _triton.accumulator(wide)}
        results = {"lse_ptr": total} if short else {"top_ptr": total, "amount_ptr": total}
        cases.append(CompileCase(_measure, signature | results, constants, tile.num_warps))
        results = {"factor_ptr": total, "shift_ptr": total, "out_ptr": total, "perm_ptr": index}
        more = {"WHOLE": short, "BY_COLUMN": short}
        cases.append(CompileCase(_attract, signature | results, constants | more, tile.num_warps))
    return cases
