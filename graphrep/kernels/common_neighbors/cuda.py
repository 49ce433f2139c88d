"""Sums over common neighbours in Triton: a program per pair and block of columns.

Lanes take the entries of the shorter row, each looks its own up in the longer one, and the feature rows of the hits are
summed. Bytes: about min(degree) log2(max degree) reads from L2 per pair, and one row of x per hit. Each result has one
owner, so no atomics.
"""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels import _triton
from graphrep.kernels._counter_cuda import lower_bound
from graphrep.kernels._dispatch import register
from graphrep.kernels._triton import CompileCase, accumulator, ceil_div, jit, launch, next_power_of_2, pointer

__all__ = ["compile_cases", "pool"]

ENTRIES = 32
MOST_COLUMNS = 128


@register("common_neighbor_pool", "cuda")
def pool(rowptr: Tensor, col: Tensor, x: Tensor, pairs: Tensor) -> Tensor:
    """(P, D) sums over common neighbours; half types in float32."""
    count, width = pairs.shape[1], x.shape[1]
    out = _triton.empty((count, width), x.dtype, x.device)
    block = min(max(16, next_power_of_2(width)), MOST_COLUMNS)
    tensors = (rowptr, col, pairs[0].contiguous(), pairs[1].contiguous(), x.contiguous(), out)
    grid = (count, ceil_div(width, block))
    constants = {"ENTRIES": ENTRIES, "BLOCK": block, "ACC": accumulator(x.dtype)}
    launch(_pool, grid, *tensors, width, on=x, num_warps=_warps(block), **constants)
    return out


def _warps(block: int) -> int:
    return 4 if block > 64 else 2


@jit
def _pool(
    rowptr_ptr: tl.tensor,
    col_ptr: tl.tensor,
    left_ptr: tl.tensor,
    right_ptr: tl.tensor,
    x_ptr: tl.tensor,
    out_ptr: tl.tensor,
    width: tl.tensor,
    ENTRIES: tl.constexpr,
    BLOCK: tl.constexpr,
    ACC: tl.constexpr,
) -> None:
    pair = tl.program_id(0).to(tl.int64)
    left, right = tl.load(left_ptr + pair), tl.load(right_ptr + pair)
    low, high = tl.load(rowptr_ptr + left).to(tl.int64), tl.load(rowptr_ptr + left + 1).to(tl.int64)
    first, last = tl.load(rowptr_ptr + right).to(tl.int64), tl.load(rowptr_ptr + right + 1).to(tl.int64)
    swap = high - low > last - first
    begin, end = tl.where(swap, first, low), tl.where(swap, last, high)
    first, last = tl.where(swap, low, first), tl.where(swap, high, last)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], ACC)
    for start in range(begin, end, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        node = tl.load(col_ptr + entry, mask=entry < end, other=0).to(tl.int64)
        limit = tl.where(entry < end, last, first)
        place = lower_bound(col_ptr, tl.zeros([ENTRIES], tl.int64) + first, limit, node)
        hit = (place < limit) & (tl.load(col_ptr + place, mask=place < limit, other=-1).to(tl.int64) == node)
        rows = x_ptr + node[:, None] * width + columns[None, :]
        found = tl.load(rows, mask=hit[:, None] & (columns < width)[None, :], other=0.0).to(ACC)
        total += tl.sum(found, axis=0)
    tl.store(out_ptr + pair * width + columns, total.to(out_ptr.dtype.element_ty), mask=columns < width)


def compile_cases() -> list[CompileCase]:
    """Every type and both widths of index."""
    cases = []
    for dtype, index in ((torch.float32, torch.int32), (torch.bfloat16, torch.int64), (torch.float64, torch.int32)):
        for block in (16, MOST_COLUMNS):
            signature = dict.fromkeys(["rowptr_ptr", "col_ptr"], pointer(index))
            signature |= dict.fromkeys(["left_ptr", "right_ptr"], pointer(torch.int64))
            signature |= dict.fromkeys(["x_ptr", "out_ptr"], pointer(dtype))
            constants = {"ENTRIES": ENTRIES, "BLOCK": block, "ACC": accumulator(dtype)}
            cases.append(CompileCase(_pool, signature | {"width": "i32:16"}, constants, _warps(block)))
    return cases
