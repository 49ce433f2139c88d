"""Maxima and minima of neighbour rows in Triton, with the first entry that attains them.

Bytes: as for the sum, and 4 or 8 per number of the result for the entry. A minimum is the maximum of the negated
numbers. NaN is above everything, the first NaN wins; a row of only -inf has that as its maximum, an empty row 0.
"""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels import _triton
from graphrep.kernels._schedule import Work, schedule_of
from graphrep.kernels._triton import CompileCase, Tile, ceil_div, jit, launch, pointer, row_tile

__all__ = ["compile_cases", "extreme_rows"]

FOLD_EDGES = 16  # pieces that are compared side by side


def extreme_rows(
    rowptr: Tensor, col: Tensor, value: Tensor | None, x: Tensor, *, sign: int, need_arg: bool
) -> tuple[Tensor, Tensor]:
    """``max_e value[e] * x[col[e]]`` (`sign` 1) or the minimum (-1) over the entries of each row, and its entry.

    Args:
        rowptr: (num_rows + 1,) offsets.
        col: (nnz,) columns.
        value: (nnz,) or (nnz, H) weights.
        x: (num_cols, ...) numbers.
        sign: 1 or -1.
        need_arg: also find the entries.

    Returns:
        (num_rows, ...) in the dtype of x, and the same shape in that of `rowptr`, or nothing of it.
    """
    rows = rowptr.numel() - 1
    x = x.contiguous()
    shape = (rows, *x.shape[1:])
    out = _triton.empty(shape, x.dtype, x.device)
    arg = _triton.empty(shape if need_arg else (0,), rowptr.dtype, x.device)
    if not out.numel():
        return out, arg
    features, schedule = out.numel() // rows, schedule_of(rowptr)
    value = None if value is None else value.contiguous()
    results = (out, arg if need_arg else None)
    long_tile = row_tile(features, x.dtype, short=False)
    for work, tile in ((schedule.short, row_tile(features, x.dtype, short=True)), (schedule.long, long_tile)):
        _launch(work, features, (col, value, x), results, tile, sign=sign, whole=True)
    if schedule.hubs.count:
        total = torch.float64 if x.dtype == torch.float64 else torch.float32
        size = (schedule.pieces.count, features)
        entries = _triton.empty(size, rowptr.dtype, x.device) if need_arg else None
        partial = (_triton.empty(size, total, x.device), entries)
        _launch(schedule.pieces, features, (col, value, x), partial, long_tile, sign=sign, whole=False)
        _fold(schedule.hubs, partial, results, features, sign=sign)
    return out, arg


def _launch(
    work: Work,
    features: int,
    inputs: tuple[Tensor, Tensor | None, Tensor],
    results: tuple[Tensor, Tensor | None],
    tile: Tile,
    *,
    sign: int,
    whole: bool,
) -> None:
    _, value, x = inputs
    heads = value.shape[1] if value is not None and value.dim() == 2 else 1
    vector = _triton.vector_width(features, x.dtype)
    launch(
        _extreme_ranges,
        (ceil_div(work.count, tile.rows), ceil_div(features, tile.block)),
        work.start,
        work.stop,
        work.row,
        *inputs,
        *results,
        work.count,
        features // vector,
        features // heads,
        heads,
        on=x,
        num_warps=tile.num_warps,
        SIGN=sign,
        WHOLE=whole,
        VECTOR=vector,
        ROWS=tile.rows,
        EDGES=tile.edges,
        BLOCK=tile.block,
        ACC=_triton.accumulator(x.dtype),
    )


def _fold(
    hubs: Work,
    partial: tuple[Tensor, Tensor | None],
    results: tuple[Tensor, Tensor | None],
    features: int,
    *,
    sign: int,
) -> None:
    block = row_tile(features, partial[0].dtype, short=False).block
    vector = _triton.vector_width(features, partial[0].dtype)
    launch(
        _best_of_pieces,
        (hubs.count, ceil_div(features, block)),
        hubs.start,
        hubs.stop,
        hubs.row,
        *partial,
        *results,
        features // vector,
        on=partial[0],
        num_warps=4,
        SIGN=sign,
        VECTOR=vector,
        EDGES=FOLD_EDGES,
        BLOCK=block,
    )


@jit
def _beats(number: tl.tensor, best: tl.tensor) -> tl.tensor:
    """Whether `number` takes the place of `best`, which came before it."""
    return (number > best) | ((number != number) & (best == best))


@jit
def _largest(best: tl.tensor, AXIS: tl.constexpr) -> tl.tensor:
    """Maximum along an axis; NaN where there is one."""
    top = tl.max(tl.where(best == best, best, float("-inf")), AXIS)
    return tl.where(tl.max((best != best).to(tl.int32), AXIS) > 0, float("nan"), top)


@jit
def _first(best: tl.tensor, top: tl.tensor, entry: tl.tensor, AXIS: tl.constexpr) -> tl.tensor:
    """The least entry (those below 0 do not count) whose number is `top`, the maximum along the axis; -1 if none."""
    wide = tl.expand_dims(top, AXIS)
    wins = ((best == wide) | ((best != best) & (wide != wide))) & (entry >= 0)
    none: tl.constexpr = 1 << 62
    found = tl.min(tl.where(wins, entry.to(tl.int64), none), AXIS)
    return tl.where(found == none, -1, found)


@jit
def _extreme_ranges(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    col_ptr: tl.tensor,
    value_ptr: tl.tensor,
    x_ptr: tl.tensor,
    out_ptr: tl.tensor,
    arg_ptr: tl.tensor,
    count: tl.tensor,
    units: tl.tensor,  # columns / VECTOR
    width: tl.tensor,  # columns per head
    heads: tl.tensor,
    SIGN: tl.constexpr,
    WHOLE: tl.constexpr,  # write to the row, with its sign; else to the number of the range, as the maximum
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
    features = units * VECTOR
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < features
    lane = tl.arange(0, EDGES)
    best = tl.full([ROWS, EDGES, BLOCK], float("-inf"), ACC)
    winner = tl.full([ROWS, EDGES, BLOCK], -1, start.dtype)
    for first in range(0, tl.max(length, 0), EDGES):
        used = (first + lane)[None, :] < length[:, None]  # (ROWS, EDGES)
        entry = start[:, None] + (first + lane)[None, :]
        source = tl.load(col_ptr + entry.to(tl.int64), mask=used, other=0)
        place = (source.to(tl.int64) * features)[:, :, None] + column
        mask = used[:, :, None] & inside
        number = tl.load(x_ptr + place, mask=mask, other=0).to(ACC)
        if value_ptr is not None:
            if heads == 1:
                number *= tl.load(value_ptr + entry.to(tl.int64), mask=used, other=0).to(ACC)[:, :, None]
            else:
                weight = (entry.to(tl.int64) * heads)[:, :, None] + column // width
                number *= tl.load(value_ptr + weight, mask=mask, other=0).to(ACC)
        number *= SIGN
        wins = mask & _beats(number, best)
        if arg_ptr is not None:
            wins = wins | (mask & (winner < 0))
            winner = tl.where(wins, entry[:, :, None], winner)
        best = tl.where(wins, number, best)
    top = _largest(best, 1)  # (ROWS, BLOCK)
    target = item
    result = top
    if WHOLE:
        target = tl.load(row_ptr + item, mask=live, other=0)
        result = tl.where((length > 0)[:, None], top * SIGN, 0)
    out_place = (target.to(tl.int64) * features)[:, None] + column
    mask = live[:, None] & inside
    tl.store(out_ptr + out_place, result.to(out_ptr.dtype.element_ty), mask=mask)
    if arg_ptr is not None:
        found = _first(best, top, winner, 1)
        tl.store(arg_ptr + out_place, found.to(arg_ptr.dtype.element_ty), mask=mask)


@jit
def _best_of_pieces(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    partial_ptr: tl.tensor,
    entry_ptr: tl.tensor,
    out_ptr: tl.tensor,
    arg_ptr: tl.tensor,
    units: tl.tensor,
    SIGN: tl.constexpr,
    VECTOR: tl.constexpr,
    EDGES: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    hub = tl.program_id(0)
    start, stop, row = tl.load(start_ptr + hub), tl.load(stop_ptr + hub), tl.load(row_ptr + hub)
    features = units * VECTOR
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < features
    best = tl.full([EDGES, BLOCK], float("-inf"), partial_ptr.dtype.element_ty)
    winner = tl.full([EDGES, BLOCK], -1, start.dtype)
    for first in range(0, stop - start, EDGES):
        piece = first + tl.arange(0, EDGES)
        mask = (piece < stop - start)[:, None] & inside
        place = ((start.to(tl.int64) + piece) * features)[:, None] + column
        number = tl.load(partial_ptr + place, mask=mask, other=float("-inf"))
        wins = mask & _beats(number, best)
        if entry_ptr is not None:
            wins = wins | (mask & (winner < 0))
            winner = tl.where(wins, tl.load(entry_ptr + place, mask=mask, other=-1), winner)
        best = tl.where(wins, number, best)
    top = _largest(best, 0)
    out_place = row.to(tl.int64) * features + column
    tl.store(out_ptr + out_place, (top * SIGN).to(out_ptr.dtype.element_ty), mask=inside)
    if entry_ptr is not None:
        found = _first(best, top, winner, 0)
        tl.store(arg_ptr + out_place, found.to(arg_ptr.dtype.element_ty), mask=inside)


def compile_cases() -> list[CompileCase]:
    """The variants that the compile tests build."""
    cases = [
        _case(torch.float32, 64, "*i32", {"value_ptr": "*fp32", "arg_ptr": "*i32"}, short=False),
        _case(torch.bfloat16, 128, "*i32", {}, short=True),
        _case(torch.float64, 20, "*i64", {"arg_ptr": "*i64"}, short=True),
    ]
    signature = dict.fromkeys(("start_ptr", "stop_ptr", "row_ptr", "entry_ptr", "arg_ptr"), "*i32")
    signature |= {"partial_ptr": "*fp32", "out_ptr": "*bf16"}
    constants = {"SIGN": -1, "VECTOR": 4, "EDGES": FOLD_EDGES, "BLOCK": 128}
    return [*cases, CompileCase(_best_of_pieces, signature, constants, num_warps=4, wide_loads=True)]


def _case(dtype: torch.dtype, features: int, index: str, options: dict[str, str], *, short: bool) -> CompileCase:
    signature = dict.fromkeys(("start_ptr", "stop_ptr", "row_ptr", "col_ptr"), index)
    signature |= {"x_ptr": pointer(dtype), "out_ptr": pointer(dtype), **options}
    tile, vector = row_tile(features, dtype, short=short), _triton.vector_width(features, dtype)
    constants = {"SIGN": -1, "WHOLE": short, "VECTOR": vector, "ACC": _triton.accumulator(dtype)}
    constants |= {"ROWS": tile.rows, "EDGES": tile.edges, "BLOCK": tile.block}
    return CompileCase(_extreme_ranges, signature, constants, tile.num_warps, wide_loads=vector * dtype.itemsize == 16)
