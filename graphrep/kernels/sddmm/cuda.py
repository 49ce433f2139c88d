"""Dot products along the entries of a sparse matrix, in Triton.

Bytes: E rows of k gathered (from L2 where they repeat), rows of q read once per 4 to 32 entries from L1, E products
written. Arithmetic: 2 E d. Entries are independent, so rows that were cut into pieces need no second kernel.
"""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels import _triton
from graphrep.kernels._dispatch import register
from graphrep.kernels._schedule import Work, schedule_of
from graphrep.kernels._triton import CompileCase, Tile, ceil_div, jit, launch, pointer, row_tile

__all__ = ["compile_cases", "sddmm", "sddmm_winners"]


@register("sddmm", "cuda")
def sddmm(
    rowptr: Tensor,
    col: Tensor,
    q: Tensor,
    k: Tensor,
    heads: int,
    t_rowptr: Tensor | None,
    t_col: Tensor | None,
    t_perm: Tensor | None,
) -> Tensor:
    """<q[row], k[col]> for each entry, over all axes (heads 0) or for each index of axis 1."""
    return _run(rowptr, col, q, k, None, heads)


@register("sddmm_winners", "cuda")
def sddmm_winners(
    rowptr: Tensor,
    col: Tensor,
    q: Tensor,
    k: Tensor,
    arg: Tensor,
    heads: int,
    t_rowptr: Tensor | None,
    t_col: Tensor | None,
    t_perm: Tensor | None,
) -> Tensor:
    """The same over those numbers of the row for which `arg` names the entry."""
    return _run(rowptr, col, q, k, arg.contiguous(), heads)


def _run(rowptr: Tensor, col: Tensor, q: Tensor, k: Tensor, arg: Tensor | None, heads: int) -> Tensor:
    out = _triton.empty((col.numel(), heads) if heads else (col.numel(),), q.dtype, q.device)
    if not out.numel():
        return out
    q, k = q.contiguous(), k.contiguous()
    width = q[:1].numel() // max(heads, 1)
    schedule = schedule_of(rowptr)
    long_tile = row_tile(width, q.dtype, short=False)
    _launch(schedule.short, (col, arg, q, k, out), width, max(heads, 1), row_tile(width, q.dtype, short=True))
    for work in (schedule.long, schedule.pieces):
        _launch(work, (col, arg, q, k, out), width, max(heads, 1), long_tile)
    return out


def _launch(work: Work, tensors: tuple[Tensor | None, ...], width: int, heads: int, tile: Tile) -> None:
    q = tensors[2]
    assert q is not None  # only `arg` is optional
    vector = _triton.vector_width(width, q.dtype)
    launch(
        _dots,
        (ceil_div(work.count, tile.rows), heads),
        work.start,
        work.stop,
        work.row,
        *tensors,
        work.count,
        width // vector,
        heads,
        on=q,
        num_warps=tile.num_warps,
        VECTOR=vector,
        ROWS=tile.rows,
        EDGES=tile.edges,
        BLOCK=tile.block,
        ACC=_triton.accumulator(q.dtype),
    )


@jit
def _dots(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    col_ptr: tl.tensor,
    arg_ptr: tl.tensor,
    q_ptr: tl.tensor,
    k_ptr: tl.tensor,
    out_ptr: tl.tensor,
    count: tl.tensor,
    units: tl.tensor,  # columns of a head / VECTOR
    heads: tl.tensor,
    VECTOR: tl.constexpr,
    ROWS: tl.constexpr,
    EDGES: tl.constexpr,
    BLOCK: tl.constexpr,
    ACC: tl.constexpr,
) -> None:
    item = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    head = tl.program_id(1)
    live = item < count
    start = tl.load(start_ptr + item, mask=live, other=0)
    length = tl.load(stop_ptr + item, mask=live, other=0) - start
    row = tl.load(row_ptr + item, mask=live, other=0).to(tl.int64)
    width = units * VECTOR
    lane = tl.arange(0, EDGES)
    for first in range(0, tl.max(length, 0), EDGES):
        used = (first + lane)[None, :] < length[:, None]  # (ROWS, EDGES)
        entry = start[:, None].to(tl.int64) + (first + lane)[None, :]
        source = tl.load(col_ptr + entry, mask=used, other=0).to(tl.int64)
        total = tl.zeros([ROWS, EDGES, BLOCK], ACC)
        for begin in range(0, width, BLOCK):
            column = begin + tl.arange(0, BLOCK)
            inside = column < width
            left = ((row * heads + head) * width)[:, None, None] + column  # (ROWS, 1, BLOCK)
            right = ((source * heads + head) * width)[:, :, None] + column
            mask = used[:, :, None] & inside
            known = live[:, None, None] & inside
            if arg_ptr is not None:
                mask = mask & (tl.load(arg_ptr + left, mask=known, other=-1) == entry[:, :, None])
            ours = tl.load(q_ptr + left, mask=known, other=0).to(ACC)
            theirs = tl.load(k_ptr + right, mask=mask, other=0).to(ACC)
            total += tl.where(mask, ours * theirs, 0)
        result = tl.sum(total, 2).to(out_ptr.dtype.element_ty)
        tl.store(out_ptr + (entry * heads + head), result, mask=used)


def compile_cases() -> list[CompileCase]:
    """The variants that the compile tests build."""
    cases = []
    for dtype, width, index, short in (
        (torch.float32, 64, "*i32", False),
        (torch.bfloat16, 256, "*i32", True),
        (torch.float64, 7, "*i64", True),
    ):
        signature = dict.fromkeys(("start_ptr", "stop_ptr", "row_ptr", "col_ptr"), index)
        signature |= dict.fromkeys(("q_ptr", "k_ptr", "out_ptr"), pointer(dtype))
        if width < 64:
            signature["arg_ptr"] = index
        tile, vector = row_tile(width, dtype, short=short), _triton.vector_width(width, dtype)
        constants = {"VECTOR": vector, "ROWS": tile.rows, "EDGES": tile.edges, "BLOCK": tile.block}
        constants["ACC"] = _triton.accumulator(dtype)
        cases.append(CompileCase(_dots, signature, constants, tile.num_warps, vector * dtype.itemsize == 16))
    return cases
