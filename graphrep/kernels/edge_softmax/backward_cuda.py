"""Softmax over each row's entries in Triton, backward: ``alpha * (grad - total)``, total = sum of alpha * grad.

Bytes: E x H of alpha and of the gradient read (twice for rows of more than 16 entries, once of it from L1), E x H
written. Rows of more than 512 entries take three launches, as forward.
"""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels import _triton
from graphrep.kernels._schedule import Work, schedule_of
from graphrep.kernels._triton import CompileCase, ceil_div, jit, launch, pointer
from graphrep.kernels.edge_softmax.forward_cuda import FOLD_EDGES, PARTS, softmax_tile

__all__ = ["compile_cases", "softmax_backward"]

SHORT_ROWS, LONG_ROWS, MEASURE, APPLY = (tl.constexpr(part) for part in PARTS.values())


def softmax_backward(rowptr: Tensor, alpha: Tensor, grad: Tensor, grad_lse: Tensor | None) -> Tensor:
    """``alpha * (grad - sum of alpha * grad over the row + grad_lse)``, shaped as `alpha`."""
    out = _triton.empty(tuple(alpha.shape), alpha.dtype, alpha.device)
    if not out.numel():
        return out
    alpha, grad = alpha.contiguous(), grad.contiguous()
    grad_lse = None if grad_lse is None else grad_lse.contiguous()
    heads, schedule = alpha[:1].numel(), schedule_of(rowptr)
    _launch(schedule.short, "short", alpha, grad, (grad_lse, None, out), heads)
    _launch(schedule.long, "long", alpha, grad, (grad_lse, None, out), heads)
    hubs = schedule.hubs
    if hubs.count:
        dtype = torch.float64 if alpha.dtype == torch.float64 else torch.float32
        size, block = (schedule.pieces.count, heads), softmax_tile(heads, short=False).block
        partial, total = (_triton.empty(size, dtype, alpha.device) for _ in range(2))
        _launch(schedule.pieces, "measure", alpha, grad, (None, partial, None), heads)
        grid = (hubs.count, ceil_div(heads, block))
        arrays = (hubs.start, hubs.stop, hubs.row, grad_lse, partial, total)
        launch(_total, grid, *arrays, heads, on=alpha, num_warps=1, EDGES=FOLD_EDGES, BLOCK=block)
        _launch(schedule.pieces, "apply", alpha, grad, (None, total, out), heads)
    return out


def _launch(work: Work, part: str, alpha: Tensor, grad: Tensor, arrays: tuple[Tensor | None, ...], heads: int) -> None:
    tile, vector = softmax_tile(heads, short=part == "short"), _triton.vector_width(heads, alpha.dtype)
    launch(
        _softmax_back,
        (ceil_div(work.count, tile.rows), ceil_div(heads, tile.block)),
        work.start,
        work.stop,
        work.row,
        alpha,
        grad,
        *arrays,
        work.count,
        heads // vector,
        on=alpha,
        num_warps=tile.num_warps,
        PART=PARTS[part],
        VECTOR=vector,
        ROWS=tile.rows,
        EDGES=tile.edges,
        BLOCK=tile.block,
        ACC=_triton.accumulator(alpha.dtype),
    )


@jit
def _pair(
    alpha_ptr: tl.tensor,
    grad_ptr: tl.tensor,
    start: tl.tensor,
    length: tl.tensor,
    first: tl.tensor,
    head: tl.tensor,
    heads: tl.tensor,
    EDGES: tl.constexpr,
    ACC: tl.constexpr,
) -> tl.tensor:
    """(ROWS, EDGES, BLOCK) of both arrays from entry `first` of each row on; their places and mask."""
    lane = first + tl.arange(0, EDGES)
    mask = (lane[None, :] < length[:, None])[:, :, None] & (head < heads)
    place = ((start[:, None].to(tl.int64) + lane[None, :]) * heads)[:, :, None] + head
    alpha = tl.load(alpha_ptr + place, mask=mask, other=0).to(ACC)
    return alpha, tl.load(grad_ptr + place, mask=mask, other=0).to(ACC), place, mask


@jit
def _softmax_back(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    alpha_ptr: tl.tensor,
    grad_ptr: tl.tensor,
    grad_lse_ptr: tl.tensor,
    total_ptr: tl.tensor,  # per piece: written by MEASURE, read by APPLY
    out_ptr: tl.tensor,
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
        total = tl.load(total_ptr + piece, mask=known, other=0)
    else:
        products = tl.zeros([ROWS, EDGES, BLOCK], ACC)
        for first in range(0, longest, EDGES):
            alpha, grad, place, mask = _pair(alpha_ptr, grad_ptr, start, length, first, head, heads, EDGES, ACC)
            products += alpha * grad
        total = tl.sum(products, 1)
        if grad_lse_ptr is not None:
            row = tl.load(row_ptr + item, mask=live, other=0).to(tl.int64)
            total -= tl.load(grad_lse_ptr + (row * heads)[:, None] + head, mask=known, other=0).to(ACC)
    if PART == MEASURE:
        tl.store(total_ptr + piece, total, mask=known)
    else:
        for first in range(0, longest, EDGES):
            alpha, grad, place, mask = _pair(alpha_ptr, grad_ptr, start, length, first, head, heads, EDGES, ACC)
            result = alpha * (grad - total[:, None, :])
            tl.store(out_ptr + place, result.to(out_ptr.dtype.element_ty), mask=mask)


@jit
def _total(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    grad_lse_ptr: tl.tensor,
    partial_ptr: tl.tensor,
    total_ptr: tl.tensor,
    heads: tl.tensor,
    EDGES: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """The sum of one row from those of its pieces, less the gradient of log-sum-exp, handed back to each piece."""
    hub = tl.program_id(0)
    start, stop = tl.load(start_ptr + hub).to(tl.int64), tl.load(stop_ptr + hub).to(tl.int64)
    head = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    lane = tl.arange(0, EDGES)
    total = tl.zeros([EDGES, BLOCK], partial_ptr.dtype.element_ty)
    for first in range(start, stop, EDGES):
        mask = (first + lane < stop)[:, None] & (head < heads)
        total += tl.load(partial_ptr + ((first + lane) * heads)[:, None] + head, mask=mask, other=0)
    amount = tl.sum(total, 0)
    if grad_lse_ptr is not None:
        row = tl.load(row_ptr + hub).to(tl.int64)
        more = tl.load(grad_lse_ptr + row * heads + head, mask=head < heads, other=0)
        amount -= more.to(partial_ptr.dtype.element_ty)
    for first in range(start, stop, EDGES):
        mask = (first + lane < stop)[:, None] & (head < heads)
        place = ((first + lane) * heads)[:, None] + head
        tl.store(total_ptr + place, tl.broadcast_to(amount[None, :], [EDGES, BLOCK]), mask=mask)


def compile_cases() -> list[CompileCase]:
    """The variants that the compile tests build."""
    cases = []
    for dtype, heads, index, part in (
        (torch.float32, 4, "*i32", "short"),
        (torch.bfloat16, 8, "*i32", "long"),
        (torch.float64, 3, "*i64", "apply"),
    ):
        tile, vector = softmax_tile(heads, short=part == "short"), _triton.vector_width(heads, dtype)
        signature = dict.fromkeys(("start_ptr", "stop_ptr", "row_ptr"), index)
        signature |= dict.fromkeys(("alpha_ptr", "grad_ptr", "grad_lse_ptr", "out_ptr"), pointer(dtype))
        signature["total_ptr"] = "*fp64" if dtype == torch.float64 else "*fp32"
        constants = {"PART": PARTS[part], "VECTOR": vector, "ROWS": tile.rows, "EDGES": tile.edges}
        constants |= {"BLOCK": tile.block, "ACC": _triton.accumulator(dtype)}
        cases.append(CompileCase(_softmax_back, signature, constants, tile.num_warps, vector * dtype.itemsize == 16))
    signature = dict.fromkeys(("start_ptr", "stop_ptr", "row_ptr"), "*i32")
    signature |= {"grad_lse_ptr": "*fp32", "partial_ptr": "*fp32", "total_ptr": "*fp32"}
    return [*cases, CompileCase(_total, signature, {"EDGES": FOLD_EDGES, "BLOCK": 4}, num_warps=1)]
