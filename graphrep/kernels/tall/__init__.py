"""Products of tall matrices: N rows, few columns. What block Krylov methods spend their time in.

Rows are taken in fixed blocks, whose sums are added in order, so results are the same bytes for any number of threads.
On CPU the products run on the register tiles of the streaming contrast; other devices, and matrices narrower than a
tile, take torch's own products block by block on one thread.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from graphrep.kernels.tall import cpu

__all__ = ["combine_columns", "cross_product", "one_thread", "subtract_product"]

_MIN_ROWS, _MAX_ROWS = 2048, 32768


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch and its BLAS on one thread, so that sums are cut in one way only."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def cross_product(a: Tensor, b: Tensor, *, double: bool = False) -> Tensor:
    """A' b for (N, k) and (N, m): (k, m) in float64 on the host; blocks are multiplied in the type of a and b.

    Args:
        a: (N, k), rows contiguous.
        b: (N, m), rows contiguous.
        double: multiply in float64 whatever the type of a and b.
    """
    if cpu.takes(a, b):
        return cpu.cross_product(a, b, _starts(a.shape[0]), double=double)
    kind = torch.float64 if double else a.dtype
    total = torch.zeros((a.shape[1], b.shape[1]), dtype=torch.float64, device=a.device)
    with one_thread():
        for rows in _blocks(a.shape[0]):
            total += (a[rows].to(kind).t() @ b[rows].to(kind)).double()
    return total.cpu()


def subtract_product(target: Tensor, a: Tensor, factors: Tensor) -> None:
    """``target -= a @ factors`` in place, for (N, m), (N, k) and (k, m); `target` and `a` do not overlap."""
    factors = factors.to(target)
    if cpu.takes(target, a) and factors.numel():
        cpu.subtract_product(target, a, factors, _starts(a.shape[0]))
        return
    with one_thread():
        for rows in _blocks(a.shape[0]):
            target[rows].addmm_(a[rows], factors, alpha=-1.0)


def combine_columns(matrix: Tensor, mix: Tensor) -> Tensor:
    """``matrix @ mix`` written over the first m columns of `matrix` (N, k), m <= k; returns that part."""
    mix = mix.to(matrix)
    result = matrix[:, : mix.shape[1]]
    if cpu.takes(matrix, result):
        cpu.combine_columns(matrix, mix, _starts(matrix.shape[0]))
        return result
    with one_thread():
        for rows in _blocks(matrix.shape[0]):
            result[rows] = matrix[rows] @ mix
    return result


def _starts(num_rows: int) -> list[int]:
    """First row of each block, then the number of rows."""
    step = min(max(num_rows // 64, _MIN_ROWS), _MAX_ROWS)
    return [*range(0, num_rows, step), num_rows]


def _blocks(num_rows: int) -> list[slice]:
    return [slice(begin, end) for begin, end in itertools.pairwise(_starts(num_rows))]
