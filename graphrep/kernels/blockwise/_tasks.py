"""One task of the CPU form: a block of rows against a block of columns, forward or backward.

Both blocks are copied (scaled to unit length where asked, widened from half types) with rows padded to whole vectors;
the columns' block also transposed, so that every product reads contiguous vectors. Then tile by tile: similarities,
exponentials, and in backward the two products that carry the weights to the gradients of both blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphrep.kernels._rows import helper, inline
from graphrep.kernels._simd import at, put, vload, vstore, vzero
from graphrep.kernels._simd_math import vmul
from graphrep.kernels.blockwise._gemm import panel_zero, product, product_add
from graphrep.kernels.blockwise._schedule import BLOCK_COLUMNS, BLOCK_ROWS
from graphrep.kernels.blockwise._strips import (
    add_columns,
    bounded_sums,
    bounded_weights,
    general_weights,
    masked_sums,
    running_sums,
)

__all__ = ["backward_task", "carry", "flush", "forward_task", "load_blocks", "similarities"]


@helper  # type: ignore[untyped-decorator]
def _widen(x: Any, first: int, count: int, factor: Any, node: int, unit: bool, out: Any, o0: int, layout: Any) -> None:
    """Rows first..first + count of x, times their factor, into `out`; what pads them is 0."""
    width, ld, _, _, _, columns, _ = layout
    wide, single = vzero(out, 8), vzero(out, 1)
    for i in range(count):
        scale = at(factor, node + i) if unit else at(factor, node + i) * 0 + 1
        source, target, k = (first + i) * width, o0 + i * ld, 0
        while k + 8 <= width:
            vstore(out, target + k, vmul(scale, vload(x, source + k, wide)))
            k += 8
        while k < width:
            vstore(out, target + k, vmul(scale, vload(x, source + k, single)))
            k += 1
        while k < ld:
            put(out, target + k, 0)
            k += 1
    for k in range(o0 + count * ld, o0 + -(-count // columns) * columns * ld):
        put(out, k, 0)


@helper  # type: ignore[untyped-decorator]
def _copy(
    x: Any, side: int, first: int, count: int, factor: Any, node: int, unit: bool, out: Any, o0: int, layout: Any
) -> None:
    """The same for side 0 or 1 of `x` = ((u, v) as they are, as bfloat16 bits, as float16 bits, which of the three)."""
    plain, bfloat, half, kind = x
    if kind == 0:
        _widen(plain[side], first, count, factor, node, unit, out, o0, layout)
    elif kind == 1:
        _widen(bfloat[side], first, count, factor, node, unit, out, o0, layout)
    else:
        _widen(half[side], first, count, factor, node, unit, out, o0, layout)


@helper  # type: ignore[untyped-decorator]
def _transpose(block: Any, b0: int, count: int, out: Any, o0: int, layout: Any) -> None:
    """Panels of `columns` rows of a copied block, dimension by dimension."""
    width, ld, _, _, _, columns, _ = layout
    for start in range(0, count, columns):
        panel, source = o0 + start * width, b0 + start * ld
        for k in range(width):
            for c in range(columns):
                put(out, panel + k * columns + c, at(block, source + c * ld + k))


@helper  # type: ignore[untyped-decorator]
def load_blocks(task: Any, x: Any, sizes: Any, factor: Any, unit: bool, room: Any, r0: int, layout: Any) -> Any:
    """Copies both blocks; returns first nodes and counts of rows and columns."""
    _, ld, chunk, _, _, _, _ = layout
    count_u, count_v, base = sizes
    row_side, row_chunk, col_side, col_chunk = at(task, 0), at(task, 1), at(task, 2), at(task, 3)
    first_i, first_j = row_chunk * chunk, col_chunk * chunk
    num_i = min(chunk, (count_v if row_side == 1 else count_u) - first_i)
    num_j = min(chunk, (count_v if col_side == 1 else count_u) - first_j)
    rows, cols = r0, r0 + chunk * ld
    _copy(x, row_side, first_i, num_i, factor, row_side * base + first_i, unit, room, rows, layout)
    _copy(x, col_side, first_j, num_j, factor, col_side * base + first_j, unit, room, cols, layout)
    _transpose(room, cols, num_j, room, cols + chunk * ld, layout)
    return first_i, num_i, first_j, num_j


@helper  # type: ignore[untyped-decorator]
def similarities(room: Any, a0: int, panel: int, width_j: int, strip: int, layout: Any) -> None:
    """A strip of rows times a block of columns."""
    width, ld, _, lds, _, columns, _ = layout
    for j in range(0, width_j, columns):
        product(room, a0, ld, 1, room, panel + j * width, columns, width, room, strip + j, lds)


@helper  # type: ignore[untyped-decorator]
def _lists(task: Any, masks: Any) -> Any:
    """The pairs to leave out of the rows' sums and of the columns' sums."""
    rowptr, col, offsets = masks
    kind = at(task, 0) * 2 + at(task, 2)
    return (rowptr, col, at(offsets, kind)), (rowptr, col, at(offsets, 4 + kind))


@inline  # type: ignore[untyped-decorator]
def _square(i: int) -> int:
    """The first column of the tile on the diagonal in a block with itself; tiles before it hold the same pairs."""
    return i // BLOCK_COLUMNS * BLOCK_COLUMNS


@helper  # type: ignore[untyped-decorator]
def _sum_row(
    zero: Any, mode: Any, numbers: Any, masks: Any, sums: Any, tops: Any, room: Any, places: Any, width: int,
    with_cols: bool, nodes: Any,
) -> None:  # fmt: skip
    """Adds one row of a strip to its sum: `places` = (row, side row, column sums) in `room`, `nodes` = (the row's place
    and the first column's among all numbers, the row and the first column of the masks).
    """
    bounded, scale, shift = mode
    start, side, cols = places
    place, column, anchor, first = nodes
    if not bounded:
        running_sums(
            zero, room, start, width, at(numbers[0], place), numbers[1], column, masks[0], anchor, first, tops, sums,
            place, room, side,
        )  # fmt: skip
    elif masks[0][2] >= 0 or (with_cols and masks[1][2] >= 0):
        total = masked_sums(
            zero, room, start, width, scale, shift, room, cols, with_cols, room, side, masks, anchor, first
        )
        put(sums, place, at(sums, place) + total)
    else:
        total = bounded_sums(zero, room, start, width, scale, shift, room, cols, with_cols)
        put(sums, place, at(sums, place) + total)


@helper  # type: ignore[untyped-decorator]
def forward_task(
    task: Any, x: Any, sizes: Any, factor: Any, unit: bool, mode: Any, numbers: Any, masks: Any, sums: Any, tops: Any,
    room: Any, r0: int, layout: Any,
) -> None:  # fmt: skip
    """Adds the exponentials of one pair of blocks to the sums of the rows and, where the task says so, columns."""
    zero = panel_zero(room)
    _, ld, chunk, lds, rows, _, _ = layout
    row_base, col_base = at(task, 0) * sizes[2], at(task, 2) * sizes[2]
    diagonal, halved = at(task, 5) == 1, at(task, 6) == 0
    first_i, num_i, first_j, num_j = load_blocks(task, x, sizes, factor, unit, room, r0, layout)
    panels = r0 + 2 * chunk * ld
    strip = panels + chunk * layout[0]
    side = strip + BLOCK_ROWS * lds
    cols = side + lds
    lists = _lists(task, masks)
    for j in range(cols, cols + chunk):
        put(room, j, 0)
    for jb in range(0, num_j, BLOCK_COLUMNS):
        width = min(BLOCK_COLUMNS, num_j - jb)
        for i in range(0, num_i, rows):
            if halved and jb < _square(i):
                continue
            with_cols = at(task, 4) == 1 and not (halved and jb == _square(i))
            similarities(room, r0 + i * ld, panels + jb * layout[0], width, strip, layout)
            for r in range(min(rows, num_i - i)):
                start, anchor = strip + r * lds, first_i + i + r
                if diagonal and jb <= i + r < jb + width:
                    put(room, start + i + r - jb, -np.inf)
                nodes = (row_base + anchor, col_base + first_j + jb, anchor, first_j + jb)
                places = (start, side, cols + jb)
                _sum_row(zero, mode, numbers, lists, sums, tops, room, places, width, with_cols, nodes)
    if at(task, 4) == 1:
        add_columns(sums, col_base + first_j, room, cols, num_j)


@helper  # type: ignore[untyped-decorator]
def _weights(
    task: Any, sizes: Any, mode: Any, numbers: Any, masks: Any, at_rows: Any, at_columns: Any, room: Any, places: Any,
    layout: Any,
) -> None:  # fmt: skip
    """A tile of gradient weights: `at_rows` = (first node, row of the block, count), `at_columns` alike."""
    zero = panel_zero(room)
    _, ld, _, lds, rows, _, _ = layout
    r0, panels, tile, side = places
    first_i, ib, num_i = at_rows
    first_j, jb, num_j = at_columns
    row_base, col_base = at(task, 0) * sizes[2], at(task, 2) * sizes[2]
    with_cols, diagonal = at(task, 4) == 1, at(task, 5) == 1
    lists = _lists(task, masks)
    bounded, scale, shift = mode
    for i in range(0, num_i, rows):
        similarities(room, r0 + (ib + i) * ld, panels + jb * layout[0], num_j, tile + i * lds, layout)
        for r in range(i, min(i + rows, num_i)):
            start, anchor = tile + r * lds, first_i + ib + r
            node = row_base + anchor
            c = col_base + first_j + jb
            if bounded:
                columns = numbers[3] if with_cols else numbers[1]
                bounded_weights(zero, room, start, num_j, scale, shift, at(numbers[3], node), columns, c)
            else:
                general_weights(
                    zero, room, start, num_j, numbers, node, c, with_cols, room, side, lists, anchor, first_j + jb
                )  # fmt: skip
            if diagonal and jb <= ib + r < jb + num_j:
                put(room, start + ib + r - jb, 0)


@helper  # type: ignore[untyped-decorator]
def carry(room: Any, places: Any, ib: int, num_i: int, jb: int, num_j: int, to_columns: bool, layout: Any) -> None:
    """Adds the tile of weights times the columns to the rows' gradient, and transposed to the columns'."""
    width, ld, _, lds, rows, columns, _ = layout
    r0, block_j, grad_i, grad_j, tile = places
    for c in range(0, width, columns):
        for i in range(0, num_i, rows):
            source, target = block_j + jb * ld + c, grad_i + (ib + i) * ld + c
            product_add(room, tile + i * lds, lds, 1, room, source, ld, num_j, room, target, ld)
        if to_columns:
            for j in range(0, num_j, rows):
                source, target = r0 + ib * ld + c, grad_j + (jb + j) * ld + c
                product_add(room, tile + j, 1, lds, room, source, ld, num_i, room, target, ld)


@helper  # type: ignore[untyped-decorator]
def flush(room: Any, g0: int, count: int, out: Any, first: int, layout: Any) -> None:
    """Adds a block's gradient to the nodes' rows."""
    width, ld = layout[0], layout[1]
    for i in range(count):
        source, target = g0 + i * ld, (first + i) * width
        for k in range(width):
            put(out, target + k, at(out, target + k) + at(room, source + k))


@helper  # type: ignore[untyped-decorator]
def backward_task(
    task: Any, x: Any, sizes: Any, factor: Any, unit: bool, mode: Any, numbers: Any, masks: Any, grads: Any,
    room: Any, r0: int, layout: Any,
) -> None:  # fmt: skip
    """Adds one pair of blocks' share of the gradients of its rows and columns."""
    _, ld, chunk, lds, _, _, _ = layout
    first_i, num_i, first_j, num_j = load_blocks(task, x, sizes, factor, unit, room, r0, layout)
    halved = at(task, 6) == 0
    block_j, panels = r0 + chunk * ld, r0 + 2 * chunk * ld
    tile = panels + chunk * layout[0]
    side = tile + BLOCK_ROWS * lds
    grad_i = side + lds
    grad_j = grad_i + chunk * ld
    for k in range(grad_i, grad_j + chunk * ld):
        put(room, k, 0)
    for jb in range(0, num_j, BLOCK_COLUMNS):
        width = min(BLOCK_COLUMNS, num_j - jb)
        for ib in range(0, num_i, BLOCK_ROWS):
            if halved and jb < _square(ib):
                continue
            height, to_columns = min(BLOCK_ROWS, num_i - ib), not (halved and jb == _square(ib))
            _weights(
                task, sizes, mode, numbers, masks, (first_i, ib, height), (first_j, jb, width), room,
                (r0, panels, tile, side), layout,
            )  # fmt: skip
            carry(room, (r0, block_j, grad_i, grad_j, tile), ib, height, jb, width, to_columns, layout)
    flush(room, grad_i, num_i, grads[1] if at(task, 0) == 1 else grads[0], first_i, layout)
    flush(room, grad_j, num_j, grads[1] if at(task, 2) == 1 else grads[0], first_j, layout)
