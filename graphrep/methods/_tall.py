"""Products of tall matrices (N, few columns) by fixed blocks of rows, summed in a fixed order, on plain threads.

BLAS and torch run on one thread inside a block. Their own threads would cut sums differently for another number of
threads, and on a busy machine spend more time waiting for each other than these small products take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from graphrep.kernels._numba import num_threads

__all__ = ["Team", "one_thread"]

_MIN_ROWS, _MAX_ROWS = 1720, 32768
_SMALL = 1 << 17  # numbers in a column block below which threads cost more than they bring
_SMALL_SPMM = 1 << 25  # the same for multiply-adds of a sparse product


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch and its BLAS on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Team:
    """Threads that share the row blocks of matrices with `num_rows` rows; a context manager.

    Within the context torch has one thread, except inside :meth:`sparse_threads`.
    """

    def __init__(self, num_rows: int, width: int, device: torch.device) -> None:
        step = min(max(num_rows // 64, _MIN_ROWS), _MAX_ROWS)
        self.blocks = [slice(first, min(first + step, num_rows)) for first in range(0, num_rows, step)]
        self._outside = torch.get_num_threads()
        count = min(num_threads(), len(self.blocks))
        alone = count <= 1 or device.type != "cpu" or num_rows * width < _SMALL
        self._pool = None if alone else ThreadPoolExecutor(count)

    def __enter__(self) -> Self:
        torch.set_num_threads(1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        torch.set_num_threads(self._outside)
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    @contextmanager
    def sparse_threads(self, work: int) -> Iterator[None]:
        """For a sparse product of `work` multiply-adds, whose kernel has threads of its own: as many as outside.

        A small one stays on one thread, since idle OpenMP threads would spin through the work that follows.
        """
        torch.set_num_threads(self._outside if work >= _SMALL_SPMM else 1)
        try:
            yield
        finally:
            torch.set_num_threads(1)

    def map(self, task: Callable[[slice], Tensor]) -> list[Tensor]:
        """`task` of every block of rows; results in order."""
        return list(map(task, self.blocks) if self._pool is None else self._pool.map(task, self.blocks))

    def product(self, a: Tensor, b: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """The product a' b on the host: blocks multiplied in `dtype` (default their own), summed in float64."""

        def part(rows: slice) -> Tensor:
            left = a[rows].to(dtype or a.dtype)
            return (left.t() @ (left if b is a else b[rows].to(dtype or a.dtype))).double()

        first, *others = self.map(part)
        for other in others:
            first += other
        return first.cpu()

    def remove(self, basis: Tensor, block: Tensor) -> Tensor:
        """Subtracts from `block`, in place, its projection on the columns of `basis`; returns the coefficients."""
        share = self.product(basis, block)
        coefficients = share.to(block)
        self.map(lambda rows: block[rows].addmm_(basis[rows], coefficients, alpha=-1.0))
        return share

    def combine(self, matrix: Tensor, mix: Tensor) -> Tensor:
        """``matrix @ mix`` written over the first columns of `matrix`, without a second copy; returns that part."""
        mix = mix.to(matrix)
        result = matrix[:, : mix.shape[1]]
        self.map(lambda rows: result[rows].copy_(matrix[rows] @ mix))
        return result

    def copy(self, target: Tensor, source: Tensor, scale: Tensor | None = None) -> Tensor:
        """Writes `source`, its rows times `scale` (N, 1), into `target`, which may be `source`; returns `target`."""
        if scale is None:
            self.map(lambda rows: target[rows].copy_(source[rows]))
        else:
            self.map(lambda rows: torch.mul(source[rows], scale[rows], out=target[rows]))
        return target
