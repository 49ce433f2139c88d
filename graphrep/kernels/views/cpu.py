"""Views on CPU: each chunk of rows is counted, then compacted, by one thread.

Bytes per entry: its edge number, one flag and its column read, column and position written; the transpose reads a flag
and a position more, in random order (3 MB of flags for 3 million edges). Which entries stay cannot be predicted, so the
loops write every entry and move on only past those that stay: a missed branch costs more than a store. Prefetching made
the transpose's loop five times faster (3.2 million entries on Zen, 68 to 13 ms).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._counter import DOMAIN_VIEW, fraction, stream_start
from graphrep.kernels._dispatch import register
from graphrep.kernels._numba import prefetch_row, twin
from graphrep.kernels._ops import bounds_of
from graphrep.kernels.csr import CSR

__all__ = ["compact_view", "keep_mask", "outer_scale"]

BLOCK = 4096  # draws that a thread makes at a time
AHEAD = 64  # entries between a prefetch and its use


@register("keep_mask", "cpu")
def keep_mask(count: int, rate: float | Tensor, seed: int, leader: Tensor | None, device: torch.device) -> Tensor:
    """(count,) bool; arguments as in the reference."""
    out = _numba.empty_output((count,), torch.int8)
    single, rates = (0.0, rate.contiguous().numpy()) if isinstance(rate, Tensor) else (float(rate), None)
    leaders = None if leader is None else leader.contiguous().numpy()
    _draw(out.numpy(), single, rates, leaders, np.uint64(seed), work=4 * count)
    return out.view(torch.bool)


@twin()
def _draw(out: Any, rate: float, rates: Any, leader: Any, seed: Any) -> None:
    start = stream_start(seed, DOMAIN_VIEW, np.uint64(0))
    for block in prange((out.size + BLOCK - 1) // BLOCK):
        for e in range(block * BLOCK, min((block + 1) * BLOCK, out.size)):
            number = np.uint64(e) if leader is None else np.uint64(leader[e])
            out[e] = fraction(start, number) >= (rate if rates is None else rates[e])


@register("compact_view", "cpu")
def compact_view(csr: CSR, flag: Tensor, flags: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """rowptr, col, then rowptr, col, positions of the transpose; arguments as in the reference."""
    transpose, position = csr.pattern_t(), csr.t_perm()
    kept, rowptr = _count(csr.rowptr, flag, flags.view(torch.int8))
    t_kept, t_rowptr = _count(transpose.rowptr, position, kept)
    kind = csr.col.dtype
    place = _numba.empty_output((csr.nnz,), kind)
    col, t_col, t_perm = (_room(int(rowptr[-1]), kind) for _ in range(3))
    _fill(
        *_arrays(csr.rowptr, csr.col, kept, rowptr),
        *(t.numpy() for t in (col, place)),
        work=csr.nnz,
    )
    _fill_transpose(
        *_arrays(transpose.rowptr, transpose.col, t_kept, t_rowptr),
        *(t.numpy() for t in (position, place, t_col, t_perm)),
        work=csr.nnz,
    )
    return rowptr, col, t_rowptr, t_col, t_perm


def _room(size: int, dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor in memory of a rounded size.

    So that the next view, a little smaller or larger, fits into what this one leaves: fresh pages cost as much as half
    of all the work here.
    """
    grain = 1 << max(size.bit_length() - 5, 0)
    return _numba.empty_output((-(-size // grain) * grain,), dtype)[:size]


def _count(rowptr: Tensor, which: Tensor, flags: Tensor) -> tuple[Tensor, Tensor]:
    """(nnz,) flag of each entry, and the offsets of the rows once the others are gone."""
    kept = _numba.empty_output((which.numel(),), torch.int8)
    offsets = torch.empty_like(rowptr)
    arrays = (t.numpy() for t in (rowptr, which, flags, kept, offsets))
    _count_kept(bounds_of(rowptr), *arrays, work=which.numel())
    return kept, offsets


def _arrays(rowptr: Tensor, *others: Tensor) -> tuple[Any, ...]:
    return bounds_of(rowptr), rowptr.numpy(), *(t.numpy() for t in others)


@twin()
def _count_kept(bounds: Any, rowptr: Any, which: Any, flags: Any, kept: Any, offsets: Any) -> None:
    for chunk in prange(bounds.size - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            count = 0
            for e in range(np.int64(rowptr[i]), np.int64(rowptr[i + 1])):
                prefetch_row(flags, np.int64(which[min(e + AHEAD, which.size - 1)]))
                stays = flags[np.uint64(which[e])]
                kept[e] = stays
                count += stays
            offsets[i + 1] = count
    offsets[0] = 0
    for i in range(1, offsets.size):
        offsets[i] += offsets[i - 1]


@twin()
def _fill(bounds: Any, rowptr: Any, col: Any, kept: Any, offsets: Any, new_col: Any, place: Any) -> None:
    """`place` gets the new position of each entry that stays."""
    for chunk in prange(bounds.size - 1):
        q, end = np.int64(offsets[bounds[chunk]]), np.int64(offsets[bounds[chunk + 1]])
        for e in range(rowptr[bounds[chunk]], rowptr[bounds[chunk + 1]]):
            if q < end:  # the place behind the chunk is another thread's
                new_col[q] = col[e]
                place[e] = q
                q += kept[e]


@twin()
def _fill_transpose(
    bounds: Any,
    rowptr: Any,
    col: Any,
    kept: Any,
    offsets: Any,
    position: Any,
    place: Any,
    new_col: Any,
    new_position: Any,
) -> None:
    for chunk in prange(bounds.size - 1):
        q, end = np.int64(offsets[bounds[chunk]]), np.int64(offsets[bounds[chunk + 1]])
        for e in range(np.int64(rowptr[bounds[chunk]]), np.int64(rowptr[bounds[chunk + 1]])):
            prefetch_row(place, np.int64(position[min(e + AHEAD, position.size - 1)]))
            if q < end:
                new_col[q] = col[e]
                new_position[q] = place[np.uint64(position[e])]
                q += kept[e]


@register("outer_scale", "cpu")
def outer_scale(rowptr: Tensor, col: Tensor, scale: Tensor) -> Tensor:
    """(nnz,) products; arguments as in the reference."""
    out = _room(col.numel(), scale.dtype)
    _multiply(bounds_of(rowptr), *(t.numpy() for t in (rowptr, col, scale, out)), work=col.numel())
    return out


@twin()
def _multiply(bounds: Any, rowptr: Any, col: Any, scale: Any, out: Any) -> None:
    for chunk in prange(bounds.size - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            for e in range(rowptr[i], rowptr[i + 1]):
                out[e] = scale[i] * scale[col[e]]
