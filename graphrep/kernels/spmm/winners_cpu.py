"""The way back from a maximum on CPU: each number goes to the column of the entry that won.

Bytes: N rows of gradients and positions read, and at most N d numbers read, added to and written. A gather over the
transpose (:mod:`graphrep.kernels.spmm.sum_cpu`) reads two rows for every entry instead, which is less only where rows
are short. A task owns some columns of the features or some columns of the matrix, so each number of the result is
summed by one thread, in the order of the rows, however the work is shared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from graphrep.kernels._numba import twin

__all__ = ["scatter_winners", "shares_of"]

_WIDE = 128  # numbers per row from which threads share the columns of the features


def shares_of(stride: int, threads: int) -> tuple[int, int]:
    """In how many blocks the features' columns and the matrix' columns are shared out between threads."""
    return (threads, 1) if stride >= _WIDE else (1, threads)


@twin()
def scatter_winners(
    bounds: Any, col: Any, value: Any, grad: Any, arg: Any, out: Any, stride: int, heads: int, blocks: int
) -> None:
    """Adds ``value[e] * grad[i, c]`` to ``out[col[e], c]`` for e = arg[i, c], where that is no -1.

    `bounds`: columns of the matrix at which the share of one task ends and the next begins. `value` None: weights 1.
    `blocks`: number of shares of the features' columns.
    """
    shares, rows, width = bounds.size - 1, grad.size // stride, stride // heads
    for task in prange(blocks * shares):
        begin, end = task // shares * stride // blocks, (task // shares + 1) * stride // blocks
        low, high = bounds[task % shares], bounds[task % shares + 1]
        for i in range(rows):
            for c in range(begin, end):
                e = np.int64(arg[i * stride + c])
                if e >= 0:
                    source = np.int64(col[e])
                    if low <= source < high:
                        number = grad[i * stride + c]
                        if value is not None:
                            number *= value[e * heads + c // width]
                        out[source * stride + c] += number
