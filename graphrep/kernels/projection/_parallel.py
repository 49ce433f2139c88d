"""Row ranges of equal work, run by plain threads over serial kernels that release the GIL.

Threads of our own rather than an OpenMP region: ranges are handed out as threads become free (rows of a power-law
graph differ by 10^4), progress can be reported in between, Ctrl-C works, and a forked child is safe. Which thread runs
a range never changes a result, since no range writes to the rows of another.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from graphrep.kernels._numba import SMALL_WORK, num_threads

__all__ = ["Progress", "balanced_ranges", "even_ranges", "run_ranges"]

Progress = Callable[[int, int], None]
_RANGE_WORK = 1 << 22  # multiply-adds per range: some milliseconds


def balanced_ranges(rowptr: np.ndarray[Any, Any], width: int) -> np.ndarray[Any, Any]:
    """Row boundaries (r_0 = 0 < ... < r_k = num_rows) with about equal numbers of entries plus rows between them."""
    num_rows = rowptr.size - 1
    work = int(rowptr[-1]) + num_rows
    count = max(1, min(num_rows, work * max(width, 1) // _RANGE_WORK))
    if count == 1:
        return np.array([0, num_rows], dtype=np.int64)
    # A row costs its entries and one more, so that many empty rows are split as well.
    targets = np.linspace(0, work, count + 1)[1:-1]
    cost = rowptr.astype(np.int64) + np.arange(num_rows + 1)
    inner = np.searchsorted(cost, targets)
    return np.unique(np.concatenate([[0], inner, [num_rows]])).astype(np.int64)


def even_ranges(num_rows: int, width: int) -> np.ndarray[Any, Any]:
    """Boundaries of row blocks of equal size; they depend on the shape alone, never on the threads."""
    step = max(1, _RANGE_WORK // 4 // max(width, 1))
    return np.append(np.arange(0, num_rows, step), num_rows).astype(np.int64)


def run_ranges(
    kernel: Callable[[int, int], Any],
    bounds: np.ndarray[Any, Any],
    *,
    work: int,
    progress: Progress | None = None,
    done: Callable[[int, int], int] | None = None,
    total: int = 0,
) -> None:
    """Calls ``kernel(start, stop)`` for every range between `bounds`, on as many threads as kernels use.

    Args:
        kernel: writes only to the rows of its range.
        bounds: increasing row numbers.
        work: elements touched in all; small work stays on the calling thread.
        progress: called from the calling thread with (done, total), about ten times a second and at the end.
        done: amount of work of one range (default 1).
        total: amount of work of all ranges.
    """
    ranges = list(itertools.pairwise(bounds.tolist()))
    threads = min(num_threads(), len(ranges))
    if threads <= 1 or work < SMALL_WORK:
        _run_here(kernel, ranges, progress, done, total)
    else:
        _run_threads(kernel, ranges, threads, progress, done, total)


def _run_here(kernel: Any, ranges: list[tuple[int, int]], progress: Any, done: Any, total: int) -> None:
    finished, last = 0, time.monotonic()
    for start, stop in ranges:
        kernel(start, stop)
        finished += done(start, stop) if done else 1
        if progress is not None and time.monotonic() - last > 0.1:
            progress(finished, total)
            last = time.monotonic()
    if progress is not None:
        progress(total, total)


def _run_threads(
    kernel: Any, ranges: list[tuple[int, int]], threads: int, progress: Any, done: Any, total: int
) -> None:
    tickets = itertools.count()  # next() is atomic under the GIL
    finished: list[int] = []
    stopping = False

    def drain() -> None:
        nonlocal stopping
        while not stopping:
            ticket = next(tickets)
            if ticket >= len(ranges):
                return
            start, stop = ranges[ticket]
            try:
                kernel(start, stop)
            except BaseException:
                stopping = True
                raise
            finished.append(done(start, stop) if done else 1)

    with ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(drain) for _ in range(threads)]
        try:
            while progress is not None and wait(jobs, timeout=0.1).not_done:
                progress(sum(finished), total)
            for job in jobs:
                job.result()
        finally:
            stopping = True
    if progress is not None:
        progress(total, total)
