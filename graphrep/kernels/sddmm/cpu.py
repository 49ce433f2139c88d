"""Dot products along the entries of a sparse matrix, on CPU.

Bytes: E rows of k gathered, E products written; a row of q stays in the L1 cache while its entries are visited.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels._numba import twin
from graphrep.kernels._ops import accumulator, bounds_of, flat_bits, line_of, rounded
from graphrep.kernels._rows import AHEAD, helper, inline
from graphrep.kernels._simd import address, at, prefetch_lanes, put, vload, vload_int, vzero, vzero_like
from graphrep.kernels._simd_math import vequal, vfma, vpick, vsum

__all__ = ["sddmm", "sddmm_winners"]


@register("sddmm", "cpu")
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


@register("sddmm_winners", "cpu")
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
    return _run(rowptr, col, q, k, arg, heads)


def _run(rowptr: Tensor, col: Tensor, q: Tensor, k: Tensor, arg: Tensor | None, heads: int) -> Tensor:
    out = _numba.empty_output((col.numel(), heads) if heads else (col.numel(),), accumulator(q.dtype))
    if out.numel():
        _dots(
            bounds_of(rowptr),
            rowptr.numpy(),
            col.numpy(),
            flat_bits(q),
            flat_bits(k),
            None if arg is None else arg.reshape(-1).numpy(),
            out.view(-1).numpy(),
            line_of(k),
            work=col.numel() * q[:1].numel(),
        )
    return rounded(out, q.dtype)


@twin()
def _dots(bounds: Any, rowptr: Any, col: Any, q: Any, k: Any, arg: Any, out: Any, line: int) -> None:
    last, stride, heads = col.size - 1, q.size // (rowptr.size - 1), out.size // col.size
    width = stride // heads
    a = (address(q), address(k))
    for chunk in prange(bounds.size - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            for e in range(np.int64(rowptr[i]), np.int64(rowptr[i + 1])):
                left, right = i * stride, np.int64(at(address(col), e)) * stride
                ahead = np.int64(at(address(col), min(e + AHEAD, last))) * stride - right if line > 0 else 0
                if width == 16:  # the usual widths, where a call to `_dot` would show
                    for head in range(heads):
                        put(
                            address(out),
                            e * heads + head,
                            _whole(vzero(a[0], 16), a, address(arg), left, right, e, ahead),
                        )
                        left, right = left + 16, right + 16
                    continue
                if width == 64:
                    for head in range(heads):
                        put(
                            address(out),
                            e * heads + head,
                            _whole(vzero(a[0], 64), a, address(arg), left, right, e, ahead),
                        )
                        left, right = left + 64, right + 64
                    continue
                for head in range(heads):
                    put(address(out), e * heads + head, _dot(a, address(arg), left, right, width, e, ahead))
                    left, right = left + width, right + width


@inline  # type: ignore[untyped-decorator]
def _whole(zero: Any, a: Any, arg: Any, left: int, right: int, e: int, ahead: int) -> Any:
    """The product of as many numbers as `zero` has lanes."""
    if ahead != 0:
        prefetch_lanes(a[1], right + ahead, zero)
    return vsum(_multiply(zero, a, arg, left, right, e))


@helper  # type: ignore[untyped-decorator]
def _dot(a: Any, arg: Any, left: int, right: int, width: int, e: int, ahead: int) -> Any:
    """The product of `width` numbers; `ahead`: distance to the row of `k` that is to be prefetched, 0 for none."""
    j, total = 0, vsum(vzero(a[0], 1))
    if width >= 32:
        wide = vzero(a[0], 32)
        while j + 32 <= width:
            if ahead != 0:
                prefetch_lanes(a[1], right + ahead + j, wide)
            wide = _multiply(wide, a, arg, left + j, right + j, e)
            j += 32
        total = vsum(wide)
    if j + 16 <= width:
        total += vsum(_multiply(vzero(a[0], 16), a, arg, left + j, right + j, e))
        j += 16
    if j + 4 <= width:
        narrow = vzero(a[0], 4)
        while j + 4 <= width:
            narrow = _multiply(narrow, a, arg, left + j, right + j, e)
            j += 4
        total += vsum(narrow)
    while j < width:
        total += vsum(_multiply(vzero(a[0], 1), a, arg, left + j, right + j, e))
        j += 1
    return total


@inline  # type: ignore[untyped-decorator]
def _multiply(acc: Any, a: Any, arg: Any, left: int, right: int, e: int) -> Any:
    """Adds the products of one block; with `arg`, of those numbers for which it names entry e."""
    mine, other = vload(a[0], left, acc), vload(a[1], right, acc)
    if arg is None:
        return vfma(acc, mine, other)
    won, none = vequal(vload_int(arg, left, acc), e), vzero_like(acc)
    return vfma(acc, vpick(won, mine, none), vpick(won, other, none))
