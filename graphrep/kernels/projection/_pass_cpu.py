"""The fused pass in numba: serial kernels over row ranges, run on threads.

Row sums: entries in order, four rows in flight; pieces of 512 entries are summed apart and added in order (less
rounding on hubs), blocks of 16,384 entries of still longer rows are summed by whichever thread is free, then added in
order. The grouping depends on the row alone, so the bytes never depend on the threads.

No reordering of the nodes: reverse Cuthill-McKee made a pass 1.3 to 1.5 times faster (500k nodes, d = 256, with and
without communities), but finding it and permuting matrix and result costs as much as three passes save.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels._numba import int_bits, prefetch_row
from graphrep.kernels.csr import CSR
from graphrep.kernels.projection._bits import narrow, widen
from graphrep.kernels.projection._parallel import balanced_ranges, run_ranges

__all__: list[str] = []

PIECE = 512
BLOCK = 32 * PIECE
_LINE = 64
_AHEAD = 8  # entries
# Rows are prefetched unless they are so short that it costs more than it brings, or so long that the CPU's own streams
# take over after the first lines (measured on Zen 3, 10^6 rows: 256 and 512 bytes gain 1.2 to 1.3 times, 1 KB loses).
_PREFETCHED = range(128, 513)
_CACHE_BYTES = 1 << 20  # an `x` below this stays in a core's own cache
_FAST = {"nsz", "contract", "reassoc"}
_options: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": _FAST, "error_model": "numpy"}


@register("fused_power", "cpu")
def _fused_power(
    csr: CSR,
    x: Tensor,
    row_scale: Tensor,
    x_scale: Tensor | None,
    own: Tensor | None,
    out: Tensor | None,
    result: Tensor | None,
    weight: float,
    self_weight: float,
    fresh: bool,
    normalize: bool,
    progress: Any,
) -> None:
    work_type = row_scale.dtype
    value = None if csr.value is None else csr.value.detach().to(work_type).contiguous().numpy()
    rows = int_bits(x.contiguous())
    scale = None if x_scale is None else x_scale.to(work_type).contiguous().numpy()
    rowptr, col = csr.rowptr.numpy(), csr.col.numpy()
    row_bytes = rows.shape[1] * rows.itemsize
    reach = row_bytes if rows.nbytes > _CACHE_BYTES and row_bytes in _PREFETCHED else 0
    matrix = (rowptr, col, value, rows, scale, reach)
    hubs, first_block, partial = _sum_hubs(matrix, row_scale.numpy())
    nothing = np.empty((0, x.shape[1]), row_scale.numpy().dtype)
    targets = (
        nothing if out is None else int_bits(out),
        nothing if result is None else result.detach().numpy(),
        np.empty(0, np.int64) if own is None else own.numpy(),
    )
    numbers = (float(weight), float(self_weight), bool(fresh), bool(normalize))
    run_ranges(
        lambda start, stop: _rows(
            start, stop, *matrix, hubs, first_block, partial, row_scale.numpy(), *targets, *numbers
        ),
        balanced_ranges(rowptr, x.shape[1]),
        work=(csr.nnz + csr.num_rows) * x.shape[1],
        progress=progress,
        done=lambda start, stop: int(rowptr[stop]) - int(rowptr[start]),
        total=csr.nnz,
    )


def _sum_hubs(matrix: tuple[Any, ...], row_scale: Any) -> tuple[Any, Any, Any]:
    """Block sums of rows longer than BLOCK: hub rows, index of each one's first block, (blocks, d) sums."""
    rowptr, rows = matrix[0], matrix[3]
    degree = np.diff(rowptr)
    hubs = np.flatnonzero(degree > BLOCK).astype(np.int64)
    blocks = -(-degree[hubs].astype(np.int64) // BLOCK)
    first_block = np.concatenate([[0], np.cumsum(blocks)]).astype(np.int64)
    partial = np.zeros((int(first_block[-1]), rows.shape[1]), row_scale.dtype)
    if hubs.size:
        owner = np.repeat(np.arange(hubs.size), blocks)
        start = rowptr[hubs].astype(np.int64)[owner] + BLOCK * (np.arange(owner.size) - first_block[owner])
        stop = np.minimum(start + BLOCK, rowptr[hubs + 1].astype(np.int64)[owner])
        run_ranges(
            lambda a, b: _blocks(a, b, *matrix[1:], start, stop, partial),
            np.arange(owner.size + 1),
            work=int(degree[hubs].sum()) * rows.shape[1],
        )
    return hubs, first_block, partial


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _prefetch(x: Any, row: Any, reach: int) -> None:
    offset = np.int64(row) * x.shape[1]
    for line in range(0, reach // x.itemsize, _LINE // x.itemsize):
        prefetch_row(x, offset + line)


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _coefficient(value: Any, scale: Any, e: Any, j: Any, one: Any) -> Any:
    factor = one
    if value is not None:
        factor = factor * value[e]
    if scale is not None:
        factor = factor * scale[j]
    return factor


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _add_entries(total: Any, start: Any, stop: Any, col: Any, value: Any, x: Any, scale: Any, reach: int) -> None:
    """Adds to `total` the rows of entries start..stop-1, each times its coefficient."""
    dim, final = x.shape[1], col.size - 1
    one = total.dtype.type(1)
    e = start
    while e + 4 <= stop:
        if reach > 0:
            for k in range(4):
                _prefetch(x, col[min(e + _AHEAD + k, final)], reach)
        j0, j1, j2, j3 = col[e], col[e + 1], col[e + 2], col[e + 3]
        if value is None and scale is None:
            for c in range(dim):
                total[c] += (widen(x[j0, c], one) + widen(x[j1, c], one)) + (
                    widen(x[j2, c], one) + widen(x[j3, c], one)
                )
        else:
            a0, a1 = _coefficient(value, scale, e, j0, one), _coefficient(value, scale, e + 1, j1, one)
            a2, a3 = _coefficient(value, scale, e + 2, j2, one), _coefficient(value, scale, e + 3, j3, one)
            for c in range(dim):
                total[c] += (a0 * widen(x[j0, c], one) + a1 * widen(x[j1, c], one)) + (
                    a2 * widen(x[j2, c], one) + a3 * widen(x[j3, c], one)
                )
        e += 4
    while e < stop:
        if reach > 0:
            _prefetch(x, col[min(e + _AHEAD, final)], reach)
        j = col[e]
        a = _coefficient(value, scale, e, j, one)
        for c in range(dim):
            total[c] += a * widen(x[j, c], one)
        e += 1


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _sum_block(
    total: Any, spare: Any, start: Any, stop: Any, col: Any, value: Any, x: Any, scale: Any, reach: int
) -> None:
    """Puts the sum over entries start..stop-1 into `total`, piece by piece."""
    total[:] = 0
    _add_entries(total, start, min(start + PIECE, stop), col, value, x, scale, reach)
    for piece in range(start + PIECE, stop, PIECE):
        spare[:] = 0
        _add_entries(spare, piece, min(piece + PIECE, stop), col, value, x, scale, reach)
        for c in range(total.size):
            total[c] += spare[c]


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _blocks(
    first: int, last: int, col: Any, value: Any, x: Any, scale: Any, reach: int, start: Any, stop: Any, partial: Any
) -> None:
    spare = np.empty(x.shape[1], partial.dtype)
    for b in range(first, last):
        _sum_block(partial[b], spare, start[b], stop[b], col, value, x, scale, reach)


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _factor(weight: Any, row: Any, normalize: Any) -> Any:
    """Returns weight / |row|, or 0 for a zero row; squares in float64 so that small rows do not vanish."""
    if not normalize:
        return weight
    square = 0.0
    for c in range(row.size):
        square += np.float64(row[c]) * np.float64(row[c])
    return weight / np.sqrt(square) if square > 0.0 else 0.0


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _add_scaled(target: Any, factor: Any, row: Any, fresh: Any) -> None:
    """Adds factor * row to `target`, or puts it there; the product in float64."""
    if fresh:
        for c in range(row.size):
            target[c] = factor * row[c]
    else:
        for c in range(row.size):
            target[c] += factor * row[c]


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _rows(
    first: int,
    last: int,
    rowptr: Any,
    col: Any,
    value: Any,
    x: Any,
    scale: Any,
    reach: int,
    hubs: Any,
    first_block: Any,
    partial: Any,
    row_scale: Any,
    out: Any,
    result: Any,
    own: Any,
    weight: float,
    self_weight: float,
    fresh: bool,
    normalize: bool,
) -> None:
    dim = x.shape[1]
    total, spare = np.empty(dim, row_scale.dtype), np.empty(dim, row_scale.dtype)
    one = row_scale.dtype.type(1)
    for i in range(first, last):
        start, stop = np.int64(rowptr[i]), np.int64(rowptr[i + 1])
        if stop - start > BLOCK:
            total[:] = 0
            slot = np.searchsorted(hubs, i)
            for b in range(first_block[slot], first_block[slot + 1]):
                for c in range(dim):
                    total[c] += partial[b, c]
        else:
            _sum_block(total, spare, start, stop, col, value, x, scale, reach)
        for c in range(dim):
            total[c] *= row_scale[i]
        if out.shape[0] > 0:
            for c in range(dim):
                out[i, c] = narrow(total[c], out)
        if result.shape[0] > 0:
            empty = fresh
            if self_weight != 0.0:
                j = own[i] if own.size > 0 else i
                a = one if scale is None else scale[j]
                for c in range(dim):
                    spare[c] = a * widen(x[j, c], one)
                _add_scaled(result[i], _factor(self_weight, spare, normalize), spare, empty)
                empty = False
            if weight != 0.0:
                _add_scaled(result[i], _factor(weight, total, normalize), total, empty)
            elif empty:
                result[i, :] = 0
