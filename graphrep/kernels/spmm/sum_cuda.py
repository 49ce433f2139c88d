"""Sums of neighbour rows in Triton.

Bytes: E rows of x gathered (from L2 where they repeat), rows of the result written once, 4 E for the columns, and as
many for weights. Arithmetic: 2 E d. A program keeps a tile of rows x edges x columns in registers, so all loads of a
step are in flight together; the edges of a row are added up lane by lane and then across lanes, always in one order.
"""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels import _triton
from graphrep.kernels._schedule import Work, schedule_of
from graphrep.kernels._triton import CompileCase, Tile, ceil_div, jit, launch, pointer, row_tile

__all__ = ["add_pieces", "compile_cases", "sum_rows"]

FOLD_EDGES = 16  # pieces that are added side by side


def sum_rows(
    rowptr: Tensor,
    col: Tensor,
    perm: Tensor | None,
    value: Tensor | None,
    scale: Tensor | None,
    arg: Tensor | None,
    x: Tensor,
    *,
    mean: bool = False,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """``out[i] = sum_e value[perm[e]] * scale[col[e]] * x[col[e]]`` over the entries e of row i.

    Args:
        rowptr: (num_rows + 1,) offsets.
        col: (nnz,) columns.
        perm: (nnz,) where the weight of each entry is, and the entry that `arg` names; default the entry itself.
        value: (nnz,) or (nnz, H) weights.
        scale: (num_cols,) factors of the rows of x.
        arg: (num_cols, ...) shaped as x: only numbers whose `arg` names the entry count.
        x: (num_cols, ...) numbers, int8 included.
        mean: divide by the number of entries.
        dtype: of the result; default that of x.

    Returns:
        (num_rows, ...), summed in float32, or in float64 where x or the result is float64, and rounded once.
    """
    rows = rowptr.numel() - 1
    x = x.contiguous()
    out = _triton.empty((rows, *x.shape[1:]), dtype or x.dtype, x.device)
    if not out.numel():
        return out
    total = torch.float64 if torch.float64 in (x.dtype, out.dtype) else torch.float32
    features, schedule = out.numel() // rows, schedule_of(rowptr)
    heads = value.shape[1] if value is not None and value.dim() == 2 else 1
    optional = (perm, value, scale, arg)
    tensors = (col, *(None if t is None else t.contiguous() for t in optional), x)
    sizes = (features, heads)
    short_tile, long_tile = (row_tile(features, total, short=short) for short in (True, False))
    _launch(schedule.short, *sizes, tensors, out, short_tile, total, mean=mean, whole=True)
    _launch(schedule.long, *sizes, tensors, out, long_tile, total, mean=mean, whole=True)
    if schedule.hubs.count:
        partial = _triton.empty((schedule.pieces.count, features), total, x.device)
        _launch(schedule.pieces, *sizes, tensors, partial, long_tile, total, mean=False, whole=False)
        add_pieces(schedule.hubs, rowptr, partial, out, features, mean=mean)
    return out


def _launch(
    work: Work,
    features: int,
    heads: int,
    tensors: tuple[Tensor | None, ...],
    out: Tensor,
    tile: Tile,
    total: torch.dtype,
    *,
    mean: bool,
    whole: bool,
) -> None:
    x = tensors[-1]
    assert x is not None  # it is never optional
    vector = _triton.vector_width(features, x.dtype)
    launch(
        _sum_ranges,
        (ceil_div(work.count, tile.rows), ceil_div(features, tile.block)),
        work.start,
        work.stop,
        work.row,
        *tensors,
        out,
        work.count,
        features // vector,
        features // heads,
        heads,
        on=x,
        num_warps=tile.num_warps,
        MEAN=mean,
        WHOLE=whole,
        VECTOR=vector,
        ROWS=tile.rows,
        EDGES=tile.edges,
        BLOCK=tile.block,
        ACC=_triton.accumulator(total),
    )


def add_pieces(hubs: Work, rowptr: Tensor, partial: Tensor, out: Tensor, features: int, *, mean: bool = False) -> None:
    """Writes the sums of (pieces, features) partial results, in their order, into the hubs' rows of `out`."""
    block = row_tile(features, partial.dtype, short=False).block
    vector = _triton.vector_width(features, partial.dtype)
    launch(
        _add_pieces,
        (hubs.count, ceil_div(features, block)),
        hubs.start,
        hubs.stop,
        hubs.row,
        rowptr,
        partial,
        out,
        features // vector,
        on=partial,
        num_warps=2,
        MEAN=mean,
        VECTOR=vector,
        EDGES=FOLD_EDGES,
        BLOCK=block,
    )


@jit
def _sum_ranges(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    col_ptr: tl.tensor,
    perm_ptr: tl.tensor,
    value_ptr: tl.tensor,
    scale_ptr: tl.tensor,
    arg_ptr: tl.tensor,
    x_ptr: tl.tensor,
    out_ptr: tl.tensor,
    count: tl.tensor,
    units: tl.tensor,  # columns / VECTOR
    width: tl.tensor,  # columns per head
    heads: tl.tensor,
    MEAN: tl.constexpr,
    WHOLE: tl.constexpr,  # write to the row; else to the number of the range
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
    total = tl.zeros([ROWS, EDGES, BLOCK], ACC)
    for first in range(0, tl.max(length, 0), EDGES):
        used = (first + lane)[None, :] < length[:, None]  # (ROWS, EDGES)
        entry = start[:, None].to(tl.int64) + (first + lane)[None, :]
        source = tl.load(col_ptr + entry, mask=used, other=0)
        place = (source.to(tl.int64) * features)[:, :, None] + column
        mask = used[:, :, None] & inside
        if perm_ptr is not None:
            entry = tl.load(perm_ptr + entry, mask=used, other=0).to(tl.int64)
        if arg_ptr is not None:
            mask = mask & (tl.load(arg_ptr + place, mask=mask, other=-1) == entry[:, :, None])
        number = tl.load(x_ptr + place, mask=mask, other=0).to(ACC)
        if value_ptr is not None:
            if heads == 1:
                number *= tl.load(value_ptr + entry, mask=used, other=0).to(ACC)[:, :, None]
            else:
                weight = (entry * heads)[:, :, None] + column // width
                number *= tl.load(value_ptr + weight, mask=mask, other=0).to(ACC)
        if scale_ptr is not None:
            number *= tl.load(scale_ptr + source, mask=used, other=0).to(ACC)[:, :, None]
        total += number
    result = tl.sum(total, 1)  # (ROWS, BLOCK)
    if MEAN:
        result = result / tl.maximum(length, 1).to(ACC)[:, None]
    target = item
    if WHOLE:
        target = tl.load(row_ptr + item, mask=live, other=0)
    out_place = (target.to(tl.int64) * features)[:, None] + column
    tl.store(out_ptr + out_place, result.to(out_ptr.dtype.element_ty), mask=live[:, None] & inside)


@jit
def _add_pieces(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    rowptr_ptr: tl.tensor,
    partial_ptr: tl.tensor,
    out_ptr: tl.tensor,
    units: tl.tensor,
    MEAN: tl.constexpr,
    VECTOR: tl.constexpr,
    EDGES: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    hub = tl.program_id(0)
    start, stop, row = tl.load(start_ptr + hub), tl.load(stop_ptr + hub), tl.load(row_ptr + hub)
    features = units * VECTOR
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < features
    total = tl.zeros([EDGES, BLOCK], partial_ptr.dtype.element_ty)
    for first in range(0, stop - start, EDGES):
        piece = first + tl.arange(0, EDGES)
        mask = (piece < stop - start)[:, None] & inside
        place = ((start.to(tl.int64) + piece) * features)[:, None] + column
        total += tl.load(partial_ptr + place, mask=mask, other=0)
    result = tl.sum(total, 0)
    if MEAN:
        length = tl.load(rowptr_ptr + row + 1) - tl.load(rowptr_ptr + row)
        result = result / length.to(partial_ptr.dtype.element_ty)
    tl.store(out_ptr + row.to(tl.int64) * features + column, result.to(out_ptr.dtype.element_ty), mask=inside)


def compile_cases() -> list[CompileCase]:
    """The variants that the compile tests build."""
    both = {"value_ptr": "*fp32", "perm_ptr": "*i64", "scale_ptr": "*fp32"}
    cases = [
        _case(torch.float32, 64, "*i32", {}, short=True),
        _case(torch.float32, 20, "*i64", both, short=False),
        _case(torch.bfloat16, 256, "*i32", {"value_ptr": "*bf16"}, short=False),
        _case(torch.float16, 63, "*i32", {"arg_ptr": "*i32", "perm_ptr": "*i32"}, short=True),
        _case(torch.float64, 128, "*i64", {"value_ptr": "*fp64"}, short=True),
    ]
    signature = dict.fromkeys(("start_ptr", "stop_ptr", "row_ptr", "rowptr_ptr"), "*i32")
    signature |= {"partial_ptr": "*fp32", "out_ptr": "*bf16"}
    constants = {"MEAN": True, "VECTOR": 4, "EDGES": FOLD_EDGES, "BLOCK": 128}
    return [*cases, CompileCase(_add_pieces, signature, constants, num_warps=2, wide_loads=True)]


def _case(dtype: torch.dtype, features: int, index: str, options: dict[str, str], *, short: bool) -> CompileCase:
    signature = dict.fromkeys(("start_ptr", "stop_ptr", "row_ptr", "col_ptr"), index)
    signature |= {"x_ptr": pointer(dtype), "out_ptr": pointer(dtype), **options}
    tile, vector = row_tile(features, dtype, short=short), _triton.vector_width(features, dtype)
    constants = {"MEAN": short, "WHOLE": True, "VECTOR": vector, "ACC": _triton.accumulator(dtype)}
    constants |= {"ROWS": tile.rows, "EDGES": tile.edges, "BLOCK": tile.block}
    return CompileCase(_sum_ranges, signature, constants, tile.num_warps, wide_loads=vector * dtype.itemsize == 16)
