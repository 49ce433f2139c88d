"""Negatives on CPU: each draw searches its user's row by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._counter import DOMAIN_NEGATIVE, below, stream_start
from graphrep.kernels._dispatch import register
from graphrep.kernels._numba import twin

__all__ = ["uniform_negatives"]

BLOCK = 256  # users that a thread takes at a time


@register("uniform_negatives", "cpu")
def uniform_negatives(rowptr: Tensor, col: Tensor, num_cols: int, users: Tensor, num: int, seed: int) -> Tensor:
    """As the reference."""
    out = _numba.empty_output((users.numel(), num), torch.int64)
    arrays = (rowptr.numpy(), col.numpy(), users.contiguous().numpy(), out.numpy())
    _draw(*arrays, num_cols, np.uint64(seed), work=8 * out.numel())
    return out


@twin()
def _draw(rowptr: Any, col: Any, users: Any, out: Any, num_cols: int, seed: Any) -> None:
    for block in prange((users.size + BLOCK - 1) // BLOCK):
        for i in range(block * BLOCK, min((block + 1) * BLOCK, users.size)):
            begin, end = np.int64(rowptr[users[i]]), np.int64(rowptr[users[i] + 1])
            missing = num_cols - (end - begin)
            stream = stream_start(seed, DOMAIN_NEGATIVE, np.uint64(i))
            for t in range(out.shape[1]):
                if missing == 0:
                    out[i, t] = -1
                    continue
                rank = below(stream, np.uint64(t), missing)
                low, high = begin, end
                while low < high:
                    middle = (low + high) >> 1
                    if np.int64(col[middle]) - (middle - begin) <= rank:
                        low = middle + 1
                    else:
                        high = middle
                out[i, t] = rank + low - begin
