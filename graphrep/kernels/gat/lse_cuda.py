"""Log-sum-exp of each row's attention logits in Triton, without storing the logits.

Bytes: E x H numbers of `el` gathered twice, the second time from caches, and N x H written. Rows share programs as in
_schedule.py; those cut into pieces get their maximum and sum from the pieces in order.
"""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels import _triton
from graphrep.kernels._schedule import Work, schedule_of
from graphrep.kernels._triton import CompileCase, ceil_div, jit, launch, pointer
from graphrep.kernels.edge_softmax.forward_cuda import combine_pieces, softmax_tile

__all__ = ["compile_cases", "row_lse"]


def row_lse(rowptr: Tensor, col: Tensor, el: Tensor, er: Tensor, slope: float, dtype: torch.dtype) -> Tensor:
    """(num_rows, H) of ``log sum_e exp(leaky(el[col[e]] + er[row]))`` in `dtype`; -inf for empty rows."""
    lse = _triton.empty(tuple(er.shape), dtype, er.device)
    if not lse.numel():
        return lse
    schedule, el, er = schedule_of(rowptr), el.contiguous(), er.contiguous()
    arrays = (col, el, er)
    _launch(schedule.short, arrays, (None, None, lse), slope, short=True)
    _launch(schedule.long, arrays, (None, None, lse), slope, short=False)
    if schedule.hubs.count:
        size = (schedule.pieces.count, er.shape[1])
        top, amount = (_triton.empty(size, dtype, er.device) for _ in range(2))
        _launch(schedule.pieces, arrays, (top, amount, None), slope, short=False)
        combine_pieces(schedule.hubs, top, amount, lse)
    return lse


def _launch(
    work: Work,
    arrays: tuple[Tensor, ...],
    results: tuple[Tensor | None, ...],
    slope: float,
    *,
    short: bool,
) -> None:
    er = arrays[-1]
    total = torch.float64 if er.dtype == torch.float64 else torch.float32
    heads = er.shape[1]
    tile, vector = softmax_tile(heads, short=short), _triton.vector_width(heads, er.dtype)
    launch(
        _measure,
        (ceil_div(work.count, tile.rows), ceil_div(heads, tile.block)),
        work.start,
        work.stop,
        work.row,
        *arrays,
        *results,
        work.count,
        heads // vector,
        on=er,
        num_warps=tile.num_warps,
        SLOPE=slope,
        VECTOR=vector,
        ROWS=tile.rows,
        EDGES=tile.edges,
        BLOCK=tile.block,
        ACC=_triton.accumulator(total),
    )


@jit
def _logits(
    col_ptr: tl.tensor,
    el_ptr: tl.tensor,
    own: tl.tensor,  # (ROWS, BLOCK)
    start: tl.tensor,
    length: tl.tensor,
    first: tl.tensor,
    head: tl.tensor,
    heads: tl.tensor,
    SLOPE: tl.constexpr,
    EDGES: tl.constexpr,
    ACC: tl.constexpr,
) -> tl.tensor:
    """(ROWS, EDGES, BLOCK) logits from entry `first` of each row on, -inf behind its end."""
    lane = first + tl.arange(0, EDGES)
    used = lane[None, :] < length[:, None]
    source = tl.load(col_ptr + start[:, None].to(tl.int64) + lane[None, :], mask=used, other=0)
    mask = used[:, :, None] & (head < heads)
    place = (source.to(tl.int64) * heads)[:, :, None] + head
    z = tl.load(el_ptr + place, mask=mask, other=0).to(ACC) + own[:, None, :]
    return tl.where(mask, tl.where(z > 0, z, SLOPE * z), float("-inf"))


@jit
def _measure(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    col_ptr: tl.tensor,
    el_ptr: tl.tensor,
    er_ptr: tl.tensor,
    top_ptr: tl.tensor,  # of pieces; with these two, lse_ptr is None
    amount_ptr: tl.tensor,
    lse_ptr: tl.tensor,
    count: tl.tensor,
    units: tl.tensor,  # heads / VECTOR
    SLOPE: tl.constexpr,
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
    heads = units * VECTOR
    head = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    known = live[:, None] & (head < heads)
    own = tl.load(er_ptr + (row * heads)[:, None] + head, mask=known, other=0).to(ACC)
    longest = tl.max(length, 0)
    most = tl.full([ROWS, EDGES, BLOCK], float("-inf"), ACC)
    for first in range(0, longest, EDGES):
        logit = _logits(col_ptr, el_ptr, own, start, length, first, head, heads, SLOPE, EDGES, ACC)
        most = tl.maximum(most, logit)
    top = tl.max(most, 1)
    shift = tl.where(top == float("-inf"), 0, top)
    powers = tl.zeros([ROWS, EDGES, BLOCK], ACC)
    for first in range(0, longest, EDGES):
        logit = _logits(col_ptr, el_ptr, own, start, length, first, head, heads, SLOPE, EDGES, ACC)
        powers += tl.exp(logit - shift[:, None, :])
    amount = tl.sum(powers, 1)
    if lse_ptr is None:
        piece = (item.to(tl.int64) * heads)[:, None] + head
        tl.store(top_ptr + piece, top, mask=known)
        tl.store(amount_ptr + piece, amount, mask=known)
    else:
        tl.store(lse_ptr + (row * heads)[:, None] + head, shift + tl.log(amount), mask=known)


def compile_cases() -> list[CompileCase]:
    """The variants that the compile tests build."""
    cases = []
    for dtype, heads, index, short in (
        (torch.float32, 4, "*i32", True),
        (torch.bfloat16, 8, "*i32", False),
        (torch.float64, 3, "*i64", False),
    ):
        total = "*fp64" if dtype == torch.float64 else "*fp32"
        tile, vector = softmax_tile(heads, short=short), _triton.vector_width(heads, dtype)
        signature = dict.fromkeys(("start_ptr", "stop_ptr", "row_ptr", "col_ptr"), index)
        signature |= dict.fromkeys(("el_ptr", "er_ptr"), pointer(dtype))
        signature |= {"lse_ptr": total} if short else {"top_ptr": total, "amount_ptr": total}
        constants = {"SLOPE": 0.2, "VECTOR": vector, "ROWS": tile.rows, "EDGES": tile.edges}
        constants |= {"BLOCK": tile.block, "ACC": _triton.accumulator(dtype)}
        cases.append(CompileCase(_measure, signature, constants, tile.num_warps))
    return cases
