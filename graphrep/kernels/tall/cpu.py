"""Tall products on register tiles.

Bytes: each matrix is read once per call; within a block 256 rows at a time stay in the L2 cache, those of the narrower
one in L1. Arithmetic: 2 N k m. A tile that would stick out at the right or the bottom is moved back inside, so that
nothing is read or written beyond the matrices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._numba import twin
from graphrep.kernels._rows import helper
from graphrep.kernels._simd import address, at, put
from graphrep.kernels.blockwise._gemm import ROWS, product, product_add, tile_shape

__all__ = ["combine_columns", "cross_product", "subtract_product", "takes"]

STRIP = 256  # rows between two visits of a tile of the result
_TYPES = (torch.float32, torch.float64)


def takes(a: Tensor, b: Tensor) -> bool:
    """Whether both matrices are on the CPU, of a type and at least as wide and high as a tile."""
    if a.device.type != "cpu" or a.dtype not in _TYPES or b.dtype != a.dtype:
        return False
    least = max(*tile_shape(a.dtype.itemsize), ROWS)
    if a.shape[0] < STRIP or min(a.shape[1], b.shape[1]) < least:
        return False
    return all(t.stride(1) == 1 and t.stride(0) >= t.shape[1] for t in (a, b))


def cross_product(a: Tensor, b: Tensor, starts: list[int], *, double: bool) -> Tensor:
    """A' b in float64."""
    kind = torch.float64 if double else a.dtype
    k, m = a.shape[1], b.shape[1]
    blocks = len(starts) - 1
    parts = _numba.empty_output((blocks, k, m), kind)
    columns = tile_shape(kind.itemsize)[1]
    arguments = (np.array(starts), _flat(a), a.stride(0), k, _flat(b), b.stride(0), m, parts.numpy().reshape(-1))
    scratch, work = _room(blocks, ROWS * columns, kind), a.shape[0] * k * m
    if kind == a.dtype:
        _cross(*arguments, scratch, columns, work=work)
    else:
        same = a.data_ptr() == b.data_ptr() and k == m
        room = _room(blocks, STRIP * (k if same else k + m), kind)
        _cross_widened(*arguments, scratch, columns, room, same, work=work)
    total = parts[0].double()
    for part in parts[1:]:
        total += part
    return total


def subtract_product(target: Tensor, a: Tensor, factors: Tensor, starts: list[int]) -> None:
    """``target -= a @ factors``."""
    k, m = factors.shape
    columns = tile_shape(a.dtype.itemsize)[1]
    _subtract(
        np.array(starts),
        _flat(target),
        target.stride(0),
        _flat(a),
        a.stride(0),
        k,
        (-factors).contiguous().numpy().reshape(-1),
        m,
        _room(len(starts) - 1, ROWS * columns, a.dtype),
        columns,
        work=a.shape[0] * k * m,
    )


def combine_columns(matrix: Tensor, mix: Tensor, starts: list[int]) -> None:
    """``matrix @ mix`` over the first columns of `matrix`."""
    k, m = mix.shape
    _combine(
        np.array(starts),
        _flat(matrix),
        matrix.stride(0),
        k,
        mix.contiguous().numpy().reshape(-1),
        m,
        _room(len(starts) - 1, ROWS * m, matrix.dtype),
        tile_shape(matrix.dtype.itemsize)[1],
        work=matrix.shape[0] * k * m,
    )


def _room(blocks: int, size: int, dtype: torch.dtype) -> np.ndarray[Any, Any]:
    """Scratch space of `size` numbers for each block of rows."""
    return np.empty(blocks * size, np.float64 if dtype == torch.float64 else np.float32)


def _flat(matrix: Tensor) -> np.ndarray[Any, Any]:
    """The memory of a matrix with contiguous rows, gaps between them included."""
    rows, columns = matrix.shape
    flat: np.ndarray[Any, Any] = matrix.as_strided(((rows - 1) * matrix.stride(0) + columns,), (1,)).numpy()
    return flat


@twin()
def _cross(
    starts: Any, a: Any, lda: int, k: int, b: Any, ldb: int, m: int, parts: Any, scratch: Any, columns: int
) -> None:
    """``parts[block] = a[block]' b[block]``."""
    for block in prange(starts.size - 1):
        tile, out = (address(scratch), block * ROWS * columns), (address(parts), block * k * m)
        for first in range(starts[block], starts[block + 1], STRIP):
            depth, adds = min(STRIP, starts[block + 1] - first), first > starts[block]
            left, right = (address(a), first * lda, lda), (address(b), first * ldb, ldb)
            _strip(left, right, k, m, depth, out, tile, columns, adds)


@twin()
def _cross_widened(
    starts: Any, a: Any, lda: int, k: int, b: Any, ldb: int, m: int, parts: Any, scratch: Any, columns: int, room: Any,
    same: bool,
) -> None:  # fmt: skip
    """The same in the type of `parts` and `room`, into which strips of a and, if it is not the `same`, b are copied."""
    blocks = starts.size - 1
    for block in prange(blocks):
        tile, out = (address(scratch), block * ROWS * columns), (address(parts), block * k * m)
        place = block * (room.size // blocks)
        other = place if same else place + STRIP * k
        for first in range(starts[block], starts[block + 1], STRIP):
            depth, adds = min(STRIP, starts[block + 1] - first), first > starts[block]
            _widen(address(a), first * lda, lda, k, depth, address(room), place)
            if not same:
                _widen(address(b), first * ldb, ldb, m, depth, address(room), other)
            left, right = (address(room), place, k), (address(room), other, m)
            _strip(left, right, k, m, depth, out, tile, columns, adds)


@helper  # type: ignore[untyped-decorator]
def _widen(source: Any, first: int, ld: int, width: int, rows: int, room: Any, place: int) -> None:
    for r in range(rows):
        for j in range(width):
            put(room, place + r * width + j, at(source, first + r * ld + j))


@helper  # type: ignore[untyped-decorator]
def _strip(left: Any, right: Any, k: int, m: int, depth: int, out: Any, tile: Any, columns: int, adds: bool) -> None:
    """Adds a' b of a strip of rows to the (k, m) result at `out`, or writes it."""
    a, a0, lda = left
    b, b0, ldb = right
    for j in range(0, m, columns):
        c = min(j, m - columns)
        for i in range(0, k, ROWS):
            r = min(i, k - ROWS)
            place = (out[0], out[1] + r * m + c, m)
            _tile((a, a0 + r, 1, lda), (b, b0 + c, ldb), depth, place, tile, i - r, j - c, columns, adds)


@helper  # type: ignore[untyped-decorator]
def _tile(
    left: Any, right: Any, depth: int, place: Any, tile: Any, above: int, before: int, columns: int, adds: bool
) -> None:
    """One tile of a product; its first rows and columns, which another tile covers, are left as they are."""
    a, a0, ar, ak = left
    b, b0, bk = right
    c, c0, cr = place
    if above == 0 and before == 0:
        if adds:
            product_add(a, a0, ar, ak, b, b0, bk, depth, c, c0, cr)
        else:
            product(a, a0, ar, ak, b, b0, bk, depth, c, c0, cr)
        return
    product(a, a0, ar, ak, b, b0, bk, depth, tile[0], tile[1], columns)
    for r in range(above, ROWS):
        for j in range(before, columns):
            target = c0 + r * cr + j
            number = at(tile[0], tile[1] + r * columns + j)
            put(c, target, at(c, target) + number if adds else number)


@twin()
def _subtract(
    starts: Any, target: Any, ldt: int, a: Any, lda: int, k: int, factors: Any, m: int, scratch: Any, columns: int
) -> None:
    """Adds ``a @ factors``, which are negative already, to `target`."""
    for block in prange(starts.size - 1):
        tile = (address(scratch), block * ROWS * columns)
        for i in range(starts[block], starts[block + 1], ROWS):
            r = max(0, min(i, starts[block + 1] - ROWS))
            for j in range(0, m, columns):
                c = min(j, m - columns)
                place = (address(target), r * ldt + c, ldt)
                left, right = (address(a), r * lda, lda, 1), (address(factors), c, m)
                _tile(left, right, k, place, tile, i - r, j - c, columns, True)


@twin()
def _combine(starts: Any, matrix: Any, ld: int, k: int, mix: Any, m: int, scratch: Any, columns: int) -> None:
    """Rows times `mix`, a tile of rows at a time, through `scratch`, because the result lies over them.

    A last tile of rows may begin among rows that hold results already; what it computes of them is not used.
    """
    for block in prange(starts.size - 1):
        room = block * ROWS * m
        for i in range(starts[block], starts[block + 1], ROWS):
            r = max(0, min(i, starts[block + 1] - ROWS))
            for j in range(0, m, columns):
                c = min(j, m - columns)
                product(address(matrix), r * ld, ld, 1, address(mix), c, m, k, address(scratch), room + c, m)
            for row in range(i - r, ROWS):
                for j in range(m):
                    put(address(matrix), (r + row) * ld + j, at(address(scratch), room + row * m + j))
