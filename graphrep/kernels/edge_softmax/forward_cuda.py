"""Softmax over each row's entries in Triton, forward.

Bytes: E x H logits read (three times for rows of more than 16 entries, twice of it from L1), E x H written. A row of up
to 512 entries is one program's. Longer rows take three launches: maximum and sum of each piece, those of the row from
its pieces in order, then the quotients.
"""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels import _triton
from graphrep.kernels._schedule import SHORT, Schedule, Work, schedule_of
from graphrep.kernels._triton import CompileCase, Tile, ceil_div, jit, launch, next_power_of_2, pointer

__all__ = ["FOLD_EDGES", "PARTS", "combine_pieces", "compile_cases", "softmax_forward", "softmax_tile"]

FOLD_EDGES = 16  # pieces that are combined side by side
PARTS = {"short": 0, "long": 1, "measure": 2, "apply": 3}  # what one launch does; the last two are for pieces
SHORT_ROWS, LONG_ROWS, MEASURE, APPLY = (tl.constexpr(part) for part in PARTS.values())


def softmax_tile(heads: int, *, short: bool) -> Tile:
    """Rows x entries x heads of one program; all entries of a short row at once."""
    block = min(next_power_of_2(heads), 32)
    if short:
        return Tile(max(1, min(32, 1024 // (SHORT * block))), SHORT, block, 2)
    return Tile(1, min(128, 1024 // block), block, 2)


def softmax_forward(rowptr: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """(nnz, ...) softmax of the logits over the entries of each row, and (num_rows, ...) log-sum-exp."""
    rows, logits = rowptr.numel() - 1, logits.contiguous()
    alpha = _triton.empty(tuple(logits.shape), logits.dtype, logits.device)
    lse = _triton.empty((rows, *logits.shape[1:]), logits.dtype, logits.device)
    if lse.numel():
        heads, schedule = lse.numel() // rows, schedule_of(rowptr)
        _launch(schedule.short, "short", logits, (None, None, alpha, lse), heads)
        _launch(schedule.long, "long", logits, (None, None, alpha, lse), heads)
        if schedule.hubs.count:
            _hubs(schedule, logits, alpha, lse, heads)
    return alpha, lse


def _hubs(schedule: Schedule, logits: Tensor, alpha: Tensor, lse: Tensor, heads: int) -> None:
    """The rows that were cut into pieces."""
    total = torch.float64 if logits.dtype == torch.float64 else torch.float32
    top, amount = (_triton.empty((schedule.pieces.count, heads), total, logits.device) for _ in range(2))
    _launch(schedule.pieces, "measure", logits, (top, amount, None, None), heads)
    shift, divisor = combine_pieces(schedule.hubs, top, amount, lse)
    _launch(schedule.pieces, "apply", logits, (shift, divisor, alpha, None), heads)


def combine_pieces(hubs: Work, top: Tensor, amount: Tensor, lse: Tensor) -> tuple[Tensor, Tensor]:
    """From (pieces, H) maxima and sums of exponentials: log-sum-exp of the hubs' rows, written into `lse`.

    Returns:
        (pieces, H) what each piece is to subtract from its logits and to divide by.
    """
    heads = top.shape[1]
    block = softmax_tile(heads, short=False).block
    shift, divisor = (_triton.empty(tuple(top.shape), top.dtype, top.device) for _ in range(2))
    arrays = (hubs.start, hubs.stop, hubs.row, top, amount, shift, divisor, lse)
    grid = (hubs.count, ceil_div(heads, block))
    launch(_combine, grid, *arrays, heads, on=top, num_warps=1, EDGES=FOLD_EDGES, BLOCK=block)
    return shift, divisor


def _launch(work: Work, part: str, logits: Tensor, arrays: tuple[Tensor | None, ...], heads: int) -> None:
    tile, vector = softmax_tile(heads, short=part == "short"), _triton.vector_width(heads, logits.dtype)
    launch(
        _softmax,
        (ceil_div(work.count, tile.rows), ceil_div(heads, tile.block)),
        work.start,
        work.stop,
        work.row,
        logits,
        *arrays,
        work.count,
        heads // vector,
        on=logits,
        num_warps=tile.num_warps,
        PART=PARTS[part],
        VECTOR=vector,
        ROWS=tile.rows,
        EDGES=tile.edges,
        BLOCK=tile.block,
        ACC=_triton.accumulator(logits.dtype),
    )


@jit
def _logits(
    logit_ptr: tl.tensor,
    start: tl.tensor,
    length: tl.tensor,
    first: tl.tensor,
    head: tl.tensor,
    heads: tl.tensor,
    EDGES: tl.constexpr,
    ACC: tl.constexpr,
) -> tl.tensor:
    """(ROWS, EDGES, BLOCK) logits from entry `first` of each row on, -inf behind its end; their places and mask."""
    lane = first + tl.arange(0, EDGES)
    mask = (lane[None, :] < length[:, None])[:, :, None] & (head < heads)
    place = ((start[:, None].to(tl.int64) + lane[None, :]) * heads)[:, :, None] + head
    return tl.load(logit_ptr + place, mask=mask, other=float("-inf")).to(ACC), place, mask


@jit
def _finite(top: tl.tensor) -> tl.tensor:
    """What to subtract before exponentials: the maximum, but 0 where that is -inf."""
    return tl.where(top == float("-inf"), 0, top)


@jit
def _quotient(power: tl.tensor, total: tl.tensor) -> tl.tensor:
    """``power / total``, and 0 where the row has nothing but -inf."""
    return tl.where(total == 0, 0, power / tl.where(total == 0, 1, total))


@jit
def _softmax(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    logit_ptr: tl.tensor,
    shift_ptr: tl.tensor,  # per piece: written by MEASURE, read by APPLY
    total_ptr: tl.tensor,
    alpha_ptr: tl.tensor,
    lse_ptr: tl.tensor,
    count: tl.tensor,
    units: tl.tensor,  # heads / VECTOR
    PART: tl.constexpr,
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
    heads = units * VECTOR
    head = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    known = live[:, None] & (head < heads)
    piece = (item.to(tl.int64) * heads)[:, None] + head
    longest = tl.max(length, 0)
    if PART == APPLY:
        shift = tl.load(shift_ptr + piece, mask=known, other=0)
        total = tl.load(total_ptr + piece, mask=known, other=0)
    else:
        if PART == SHORT_ROWS:  # everything fits the tile
            logit, place, mask = _logits(logit_ptr, start, length, 0, head, heads, EDGES, ACC)
            top = tl.max(logit, 1)
            shift = _finite(top)
            power = tl.exp(logit - shift[:, None, :])
            total = tl.sum(power, 1)
            alpha = _quotient(power, total[:, None, :])
            tl.store(alpha_ptr + place, alpha.to(alpha_ptr.dtype.element_ty), mask=mask)
        else:
            most = tl.full([ROWS, EDGES, BLOCK], float("-inf"), ACC)
            for first in range(0, longest, EDGES):
                logit, place, mask = _logits(logit_ptr, start, length, first, head, heads, EDGES, ACC)
                most = tl.maximum(most, logit)
            top = tl.max(most, 1)
            shift = _finite(top)
            powers = tl.zeros([ROWS, EDGES, BLOCK], ACC)
            for first in range(0, longest, EDGES):
                logit, place, mask = _logits(logit_ptr, start, length, first, head, heads, EDGES, ACC)
                powers += tl.exp(logit - shift[:, None, :])
            total = tl.sum(powers, 1)
        if PART == MEASURE:
            tl.store(shift_ptr + piece, top, mask=known)
            tl.store(total_ptr + piece, total, mask=known)
        else:
            row = tl.load(row_ptr + item, mask=live, other=0).to(tl.int64)
            lse = shift + tl.log(total)
            tl.store(lse_ptr + (row * heads)[:, None] + head, lse.to(lse_ptr.dtype.element_ty), mask=known)
    if (PART == LONG_ROWS) | (PART == APPLY):
        for first in range(0, longest, EDGES):
            logit, place, mask = _logits(logit_ptr, start, length, first, head, heads, EDGES, ACC)
            alpha = _quotient(tl.exp(logit - shift[:, None, :]), total[:, None, :])
            tl.store(alpha_ptr + place, alpha.to(alpha_ptr.dtype.element_ty), mask=mask)


@jit
def _combine(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    top_ptr: tl.tensor,
    amount_ptr: tl.tensor,
    shift_ptr: tl.tensor,
    total_ptr: tl.tensor,
    lse_ptr: tl.tensor,
    heads: tl.tensor,
    EDGES: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Maximum and sum of one row from those of its pieces, handed back to each piece."""
    hub = tl.program_id(0)
    start, stop = tl.load(start_ptr + hub).to(tl.int64), tl.load(stop_ptr + hub).to(tl.int64)
    head = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    lane = tl.arange(0, EDGES)
    most = tl.full([EDGES, BLOCK], float("-inf"), top_ptr.dtype.element_ty)
    for first in range(start, stop, EDGES):
        mask = (first + lane < stop)[:, None] & (head < heads)
        place = ((first + lane) * heads)[:, None] + head
        most = tl.maximum(most, tl.load(top_ptr + place, mask=mask, other=float("-inf")))
    shift = _finite(tl.max(most, 0))
    total = tl.zeros([EDGES, BLOCK], top_ptr.dtype.element_ty)
    for first in range(start, stop, EDGES):
        mask = (first + lane < stop)[:, None] & (head < heads)
        place = ((first + lane) * heads)[:, None] + head
        power = tl.exp(tl.load(top_ptr + place, mask=mask, other=float("-inf")) - shift)
        total += power * tl.load(amount_ptr + place, mask=mask, other=0)
    amount = tl.sum(total, 0)
    row = tl.load(row_ptr + hub).to(tl.int64)
    lse = shift + tl.log(amount)
    tl.store(lse_ptr + row * heads + head, lse.to(lse_ptr.dtype.element_ty), mask=head < heads)
    for first in range(start, stop, EDGES):
        mask = (first + lane < stop)[:, None] & (head < heads)
        place = ((first + lane) * heads)[:, None] + head
        tl.store(shift_ptr + place, tl.broadcast_to(shift[None, :], [EDGES, BLOCK]), mask=mask)
        tl.store(total_ptr + place, tl.broadcast_to(amount[None, :], [EDGES, BLOCK]), mask=mask)


def compile_cases() -> list[CompileCase]:
    """The variants that the compile tests build."""
    cases = []
    for dtype, heads, index, part in (
        (torch.float32, 4, "*i32", "short"),
        (torch.bfloat16, 8, "*i32", "long"),
        (torch.float64, 3, "*i64", "measure"),
        (torch.float32, 1, "*i32", "apply"),
    ):
        tile, vector = softmax_tile(heads, short=part == "short"), _triton.vector_width(heads, dtype)
        signature = dict.fromkeys(("start_ptr", "stop_ptr", "row_ptr"), index)
        signature |= dict.fromkeys(("logit_ptr", "alpha_ptr", "lse_ptr"), pointer(dtype))
        signature |= dict.fromkeys(("shift_ptr", "total_ptr"), "*fp64" if dtype == torch.float64 else "*fp32")
        constants = {"PART": PARTS[part], "VECTOR": vector, "ROWS": tile.rows, "EDGES": tile.edges}
        constants |= {"BLOCK": tile.block, "ACC": _triton.accumulator(dtype)}
        cases.append(CompileCase(_softmax, signature, constants, tile.num_warps, vector * dtype.itemsize == 16))
    signature = dict.fromkeys(("start_ptr", "stop_ptr", "row_ptr"), "*i32") | {"lse_ptr": "*bf16"}
    signature |= dict.fromkeys(("top_ptr", "amount_ptr", "shift_ptr", "total_ptr"), "*fp32")
    return [*cases, CompileCase(_combine, signature, {"EDGES": FOLD_EDGES, "BLOCK": 8}, num_warps=1)]
