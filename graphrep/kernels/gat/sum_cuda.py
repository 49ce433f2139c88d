"""Attention-weighted sums in Triton: the weights are computed where they are used.

Bytes: as a sum of neighbour rows, plus E x H numbers of the gathered part of the logits (and of log-sum-exp on the way
back). A weight is one exponential per entry and head, not per number. Rows that are cut into pieces need no rescaling,
because log-sum-exp is known beforehand: their sums are added like any others.
"""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels import _triton
from graphrep.kernels._schedule import Work, schedule_of
from graphrep.kernels._triton import CompileCase, ceil_div, jit, launch, next_power_of_2, pointer, row_tile
from graphrep.kernels.spmm.sum_cuda import add_pieces

__all__ = ["attention_sums", "compile_cases"]


def attention_sums(
    rowptr: Tensor,
    col: Tensor,
    own: Tensor,
    gathered: Tensor,
    lse: Tensor,
    value: Tensor | None,
    slope: float,
    *,
    gathers_lse: bool = False,
    with_positive: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """``sum_e p_e value[col[e]]`` with ``p_e = exp(leaky(z_e) - lse)`` and ``z_e = own[row] + gathered[col[e]]``.

    Args:
        rowptr: (num_rows + 1,) offsets.
        col: (nnz,) columns.
        own: (num_rows, H) part of the logits.
        gathered: (num_cols, H) part of the logits.
        lse: (num_rows, H), or (num_cols, H) with `gathers_lse`; its dtype is that of the sums.
        value: (num_cols, H, D); default ones with D = 1.
        slope: of the leaky ReLU.
        gathers_lse: whether `lse` belongs to the columns.
        with_positive: also the sum over entries with z_e > 0.

    Returns:
        (num_rows, H, D) sums, and those over positive z_e or None.
    """
    rows, heads = own.shape
    width = value.shape[2] if value is not None else 1
    shape = (rows, heads, width)
    out = _triton.empty(shape, lse.dtype, lse.device)
    positive = _triton.empty(shape, lse.dtype, lse.device) if with_positive else None
    if not out.numel():
        return out, positive
    arrays = (col, own.contiguous(), gathered.contiguous(), lse, None if value is None else value.contiguous())
    sizes, schedule = (heads, width), schedule_of(rowptr)
    for work, short in ((schedule.short, True), (schedule.long, False)):
        _launch(work, sizes, arrays, (out, positive), slope, short=short, whole=True, gathers_lse=gathers_lse)
    if schedule.hubs.count:
        size = (schedule.pieces.count, heads * width)
        parts = [None if t is None else _triton.empty(size, lse.dtype, lse.device) for t in (out, positive)]
        pair = (parts[0], parts[1])
        _launch(schedule.pieces, sizes, arrays, pair, slope, short=False, whole=False, gathers_lse=gathers_lse)
        for part, result in zip(parts, (out, positive), strict=True):
            if part is not None and result is not None:
                add_pieces(schedule.hubs, rowptr, part, result, heads * width)
    return out, positive


def _blocks(heads: int, width: int, dtype: torch.dtype, *, short: bool, two: bool) -> tuple[dict[str, int], int]:
    """Tile sizes and warps: rows x entries x heads x columns of a head."""
    columns = min(next_power_of_2(width), 128)
    some = max(1, min(next_power_of_2(heads), 128 // columns))
    tile = row_tile(columns * some, dtype, short=short)
    edges = max(2, tile.edges // 2) if two else tile.edges
    return {"ROWS": tile.rows, "EDGES": edges, "HEADS": some, "COLUMNS": columns}, tile.num_warps


def _launch(
    work: Work,
    sizes: tuple[int, int],
    arrays: tuple[Tensor | None, ...],
    results: tuple[Tensor | None, Tensor | None],
    slope: float,
    *,
    short: bool,
    whole: bool,
    gathers_lse: bool,
) -> None:
    heads, width = sizes
    lse, value = arrays[3], arrays[4]
    assert lse is not None  # it is never optional
    blocks, num_warps = _blocks(heads, width, lse.dtype, short=short, two=results[1] is not None)
    vector = _triton.vector_width(width, lse.dtype if value is None else value.dtype)
    launch(
        _attend,
        (ceil_div(work.count, blocks["ROWS"]), ceil_div(heads, blocks["HEADS"]), ceil_div(width, blocks["COLUMNS"])),
        work.start,
        work.stop,
        work.row,
        *arrays,
        *results,
        work.count,
        heads,
        width // vector,
        on=lse,
        num_warps=num_warps,
        SLOPE=slope,
        WHOLE=whole,
        GATHERS_LSE=gathers_lse,
        VECTOR=vector,
        ACC=_triton.accumulator(lse.dtype),
        **blocks,
    )


@jit
def _attend(
    start_ptr: tl.tensor,
    stop_ptr: tl.tensor,
    row_ptr: tl.tensor,
    col_ptr: tl.tensor,
    own_ptr: tl.tensor,
    gathered_ptr: tl.tensor,
    lse_ptr: tl.tensor,
    value_ptr: tl.tensor,
    out_ptr: tl.tensor,
    positive_ptr: tl.tensor,
    count: tl.tensor,
    heads: tl.tensor,
    units: tl.tensor,  # columns of a head / VECTOR
    SLOPE: tl.constexpr,
    WHOLE: tl.constexpr,  # write to the row; else to the number of the range
    GATHERS_LSE: tl.constexpr,
    VECTOR: tl.constexpr,
    ROWS: tl.constexpr,
    EDGES: tl.constexpr,
    HEADS: tl.constexpr,
    COLUMNS: tl.constexpr,
    ACC: tl.constexpr,
) -> None:
    item = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    live = item < count
    start = tl.load(start_ptr + item, mask=live, other=0)
    length = tl.load(stop_ptr + item, mask=live, other=0) - start
    row = tl.load(row_ptr + item, mask=live, other=0).to(tl.int64)
    width = units * VECTOR
    head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    column = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    known = live[:, None] & (head < heads)
    mine = (row * heads)[:, None] + head
    own = tl.load(own_ptr + mine, mask=known, other=0).to(ACC)[:, None, :]
    if not GATHERS_LSE:
        lse = tl.load(lse_ptr + mine, mask=known, other=0)[:, None, :]
    lane = tl.arange(0, EDGES)
    total = tl.zeros([ROWS, EDGES, HEADS, COLUMNS], ACC)
    if positive_ptr is not None:
        above = tl.zeros([ROWS, EDGES, HEADS, COLUMNS], ACC)
    for first in range(0, tl.max(length, 0), EDGES):
        used = (first + lane)[None, :] < length[:, None]  # (ROWS, EDGES)
        entry = start[:, None].to(tl.int64) + (first + lane)[None, :]
        source = tl.load(col_ptr + entry, mask=used, other=0).to(tl.int64)
        mask = used[:, :, None] & (head < heads)  # (ROWS, EDGES, HEADS)
        place = (source * heads)[:, :, None] + head
        z = own + tl.load(gathered_ptr + place, mask=mask, other=0).to(ACC)
        if GATHERS_LSE:
            lse = tl.load(lse_ptr + place, mask=mask, other=0)
        shift = tl.where(lse == float("-inf"), 0, lse)
        power = tl.where(mask, tl.exp(tl.where(z > 0, z, SLOPE * z) - shift), 0)
        number = power[:, :, :, None]
        if value_ptr is not None:
            inside = mask[:, :, :, None] & (column < width)
            number *= tl.load(value_ptr + (place * width)[:, :, :, None] + column, mask=inside, other=0).to(ACC)
        total += number
        if positive_ptr is not None:
            above += tl.where((z > 0)[:, :, :, None], number, 0)
    target = mine
    if not WHOLE:
        target = (item.to(tl.int64) * heads)[:, None] + head
    place = (target * width)[:, :, None] + column
    inside = known[:, :, None] & (column < width)
    tl.store(out_ptr + place, tl.sum(total, 1), mask=inside)
    if positive_ptr is not None:
        tl.store(positive_ptr + place, tl.sum(above, 1), mask=inside)


def compile_cases() -> list[CompileCase]:
    """The variants that the compile tests build."""
    cases = []
    for dtype, heads, width, index, short, two in (
        (torch.float32, 4, 16, "*i32", True, False),
        (torch.float32, 8, 64, "*i32", False, True),
        (torch.bfloat16, 4, 64, "*i32", True, True),
        (torch.float64, 3, 20, "*i64", False, False),
        (torch.float32, 4, 1, "*i32", False, True),
    ):
        total = torch.float64 if dtype == torch.float64 else torch.float32
        blocks, num_warps = _blocks(heads, width, total, short=short, two=two)
        signature = dict.fromkeys(("start_ptr", "stop_ptr", "row_ptr", "col_ptr"), index)
        signature |= dict.fromkeys(("own_ptr", "gathered_ptr"), pointer(dtype))
        signature |= dict.fromkeys(("lse_ptr", "out_ptr"), pointer(total))
        signature |= {"positive_ptr": pointer(total)} if two else {}
        signature |= {"value_ptr": pointer(dtype)} if width > 1 else {}
        vector = _triton.vector_width(width, dtype)
        constants = {"SLOPE": 0.2, "WHOLE": short, "GATHERS_LSE": two, "VECTOR": vector}
        constants |= {"ACC": _triton.accumulator(total), **blocks}
        cases.append(CompileCase(_attend, signature, constants, num_warps, vector * dtype.itemsize == 16))
    return cases
