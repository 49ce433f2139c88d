"""How CPU kernels share rows between threads and cut long rows: the same sums whatever the number of threads."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch

__all__ = ["AHEAD", "CHUNKS", "PIECE", "chunk_bounds", "helper", "inline", "scratch"]

CHUNKS = 64  # row ranges of about equal work; more than threads, so that uneven ones even out
PIECE = 512  # edges summed one after another; longer rows are summed pairwise over such pieces
AHEAD = 12  # edges between a prefetch and its use

# What a kernel calls is compiled into it and never called from Python, so it needs no wrappers and no cache.
_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
helper = numba.njit(**_OPTIONS)
inline = numba.njit(forceinline=True, **_OPTIONS)


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def chunk_bounds(rowptr: Any, bounds: Any) -> Any:
    """Fills `bounds` with the first row of each chunk, so that each has about the same number of rows plus edges."""
    num_rows, chunks = rowptr.size - 1, bounds.size - 1
    origin = np.int64(rowptr[0])
    total = np.int64(rowptr[num_rows]) - origin + num_rows
    for chunk in range(chunks + 1):
        low, high = 0, num_rows
        while low < high:
            middle = (low + high) >> 1
            if np.int64(rowptr[middle]) - origin + middle < total * chunk // chunks:
                low = middle + 1
            else:
                high = middle
        bounds[chunk] = low
    return bounds


def scratch(nnz: int, stride: int, dtype: torch.dtype) -> np.ndarray[Any, Any]:
    """Room for the partial sums of one long row per chunk: a stack as deep as the pairwise tree is high."""
    levels = (nnz // PIECE).bit_length() + 2 if nnz > PIECE else 0
    return np.empty(CHUNKS * levels * stride, np.float64 if dtype == torch.float64 else np.float32)
