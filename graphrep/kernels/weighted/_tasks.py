"""One task of the CPU form: a block of anchors against a block of columns, forward or backward.

The products are those of :mod:`graphrep.kernels.blockwise`; `labels` or `network`, whichever is not None, says what
the pairs weigh (:mod:`graphrep.kernels.weighted._strips`). Numba leaves the other's branches out.
"""

from __future__ import annotations

from typing import Any

from graphrep.kernels._rows import helper
from graphrep.kernels._simd import at, put
from graphrep.kernels.blockwise._gemm import panel_zero
from graphrep.kernels.blockwise._schedule import BLOCK_COLUMNS, BLOCK_ROWS
from graphrep.kernels.blockwise._tasks import carry, flush, load_blocks, similarities
from graphrep.kernels.weighted._strips import (
    accumulate,
    label_shares,
    label_terms,
    logits_of,
    network_shares,
    network_terms,
    unit_gradients,
)

__all__ = ["backward_task", "forward_task"]


@helper  # type: ignore[untyped-decorator]
def forward_task(
    task: Any, x: Any, sizes: Any, factor: Any, scale: Any, labels: Any, network: Any, sums: Any, tops: Any,
    totals: Any, room: Any, r0: int, layout: Any,
) -> None:  # fmt: skip
    """Adds the weighted exponentials of one pair of blocks to the sums of the rows; `totals` those of the weights."""
    zero = panel_zero(room)
    width, ld, chunk, lds, rows, _, scratch = layout
    first_i, num_i, first_j, num_j = load_blocks(task, x, sizes, factor, False, room, r0, layout)
    panels = r0 + 2 * chunk * ld
    strip = panels + chunk * width
    side, logits = strip + BLOCK_ROWS * lds, r0 + scratch
    for jb in range(0, num_j, BLOCK_COLUMNS):
        count = min(BLOCK_COLUMNS, num_j - jb)
        for i in range(0, num_i, rows):
            similarities(room, r0 + i * ld, panels + jb * width, count, strip, layout)
            for r in range(min(rows, num_i - i)):
                row, start = first_i + i + r, strip + r * lds
                if labels is not None:
                    label_terms(zero, room, start, side, count, scale, labels, row, first_j + jb)
                if network is not None:
                    logits_of(zero, room, network, row, first_j + jb, count, logits, logits + BLOCK_COLUMNS)
                    network_terms(zero, room, start, side, count, scale, logits)
                    if totals[2]:
                        accumulate(zero, room, logits, side, count, totals[0], totals[1], row)
                accumulate(zero, room, start, side, count, tops, sums, row)


@helper  # type: ignore[untyped-decorator]
def _columns(network: Any, room: Any, place: int, count: int, first: int, out: Any, chunk: int) -> None:
    """Adds the units' sums over a block's columns to those of the nodes, and clears them for the next task."""
    _, _, _, units, stride, _, _ = network
    for k in range(units):
        for j in range(count):
            put(out, k * stride + first + j, at(out, k * stride + first + j) + at(room, place + k * chunk + j))


@helper  # type: ignore[untyped-decorator]
def backward_task(
    task: Any, x: Any, sizes: Any, factor: Any, scale: Any, labels: Any, network: Any, numbers: Any, totals: bool,
    grads: Any, parts: Any, room: Any, r0: int, layout: Any,
) -> None:  # fmt: skip
    """Adds one pair of blocks' share of the gradients of its rows and columns, and of their units' numbers."""
    zero = panel_zero(room)
    width, ld, chunk, lds, rows, _, scratch = layout
    first_i, num_i, first_j, num_j = load_blocks(task, x, sizes, factor, False, room, r0, layout)
    block_j, panels = r0 + chunk * ld, r0 + 2 * chunk * ld
    tile = panels + chunk * width
    grad_i = tile + (BLOCK_ROWS + 1) * lds
    grad_j, slopes = grad_i + chunk * ld, r0 + scratch
    units = slopes + BLOCK_COLUMNS
    for k in range(grad_i, grad_j + chunk * ld):
        put(room, k, 0)
    if network is not None:
        columns = units + network[3] * BLOCK_COLUMNS
        for k in range(columns, columns + network[3] * chunk):
            put(room, k, 0)
    for jb in range(0, num_j, BLOCK_COLUMNS):
        count, col = min(BLOCK_COLUMNS, num_j - jb), first_j + jb
        for ib in range(0, num_i, BLOCK_ROWS):
            height = min(BLOCK_ROWS, num_i - ib)
            for i in range(0, height, rows):
                similarities(room, r0 + (ib + i) * ld, panels + jb * width, count, tile + i * lds, layout)
                for r in range(i, min(i + rows, height)):
                    row, start = first_i + ib + r, tile + r * lds
                    if labels is not None:
                        label_shares(zero, room, start, count, scale, labels, numbers, row, col)
                    if network is not None:
                        logits_of(zero, room, network, row, col, count, slopes, units)
                        network_shares(zero, room, start, count, scale, numbers, row, slopes, totals)
                        unit_gradients(
                            zero, room, slopes, units, count, columns + jb, chunk, network, row, grads[2], parts
                        )
            carry(room, (r0, block_j, grad_i, grad_j, tile), ib, height, jb, count, True, layout)
    flush(room, grad_i, num_i, grads[0], first_i, layout)
    flush(room, grad_j, num_j, grads[1], first_j, layout)
    if network is not None:
        _columns(network, room, columns, num_j, first_j, grads[3], chunk)
