"""How CPU kernels share rows between threads and cut long rows: the same sums whatever the number of threads."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["AHEAD", "CHUNKS", "PIECE", "chunk_start", "helper", "inline"]

CHUNKS = 64  # row ranges of about equal work; more than threads, so that uneven ones even out
PIECE = 512  # edges summed one after another; longer rows are summed pairwise over such pieces
AHEAD = 12  # edges between a prefetch and its use

# A helper that its caller absorbs: never cached or called on its own.
inline = numba.njit(nogil=True, error_model="numpy", forceinline=True)
helper = numba.njit(nogil=True, error_model="numpy")  # the same, as a call


@inline  # type: ignore[untyped-decorator]
def chunk_start(rowptr: Any, chunk: int, chunks: int) -> int:
    """First row of a chunk, so that each holds about the same number of rows plus edges."""
    num_rows = rowptr.size - 1
    origin = np.int64(rowptr[0])
    wanted = (np.int64(rowptr[num_rows]) - origin + num_rows) * chunk // chunks
    low, high = 0, num_rows
    while low < high:
        middle = (low + high) >> 1
        if np.int64(rowptr[middle]) - origin + middle < wanted:
            low = middle + 1
        else:
            high = middle
    return low
