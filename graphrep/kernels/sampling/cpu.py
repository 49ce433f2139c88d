"""Neighbour samples on CPU: each seed's entries are drawn by one thread into its part of the result."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._counter import DOMAIN_SAMPLE, below, stream_start
from graphrep.kernels._dispatch import register
from graphrep.kernels._numba import twin
from graphrep.kernels._sorted import lower_bound

__all__ = ["sample_positions"]

BLOCK = 64  # seeds that a thread takes at a time


@register("sample_positions", "cpu")
def sample_positions(
    rowptr: Tensor, seeds: Tensor, offsets: Tensor, count: int, fanout: int, replace: bool, seed: int
) -> Tensor:
    """(count,) positions of the drawn entries; arguments as in the reference."""
    out = _numba.empty_output((count,), torch.int64)
    arrays = (rowptr.numpy(), seeds.contiguous().numpy(), offsets.numpy(), out.numpy())
    _draw(*arrays, fanout, replace, np.uint64(seed), work=8 * count)
    return out


@twin()
def _draw(rowptr: Any, seeds: Any, offsets: Any, out: Any, fanout: int, replace: bool, seed: Any) -> None:
    for block in prange((seeds.size + BLOCK - 1) // BLOCK):
        for i in range(block * BLOCK, min((block + 1) * BLOCK, seeds.size)):
            low, begin, end = np.int64(rowptr[seeds[i]]), offsets[i], offsets[i + 1]
            degree = np.int64(rowptr[seeds[i] + 1]) - low
            stream = stream_start(seed, DOMAIN_SAMPLE, np.uint64(i))
            for place in range(begin, end):
                t = place - begin
                if replace and fanout >= 0:
                    out[place] = low + below(stream, np.uint64(t), degree)
                elif end - begin == degree:
                    out[place] = low + t
                else:
                    # Floyd's method: the set of those drawn so far is kept sorted in the result itself.
                    last = degree - fanout + t
                    drawn = low + below(stream, np.uint64(t), last + 1)
                    found = lower_bound(out, begin, place, drawn)
                    if found < place and out[found] == drawn:
                        drawn, found = low + last, place
                    for other in range(place, found, -1):
                        out[other] = out[other - 1]
                    out[found] = drawn
