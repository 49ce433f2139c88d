"""Products of one sparse row with a sparse matrix on CPU (Gustavson, ACM TOMS 4(3), 1978), inside numba kernels.

A row lives in arrays that belong to a thread: a stamp per column says whether this row has it, a list holds the columns
found, and a dense array the values. Nothing is cleared between rows; each takes the next stamp.
"""

from __future__ import annotations

import threading
from typing import Any

import numba
import numpy as np
from torch import Tensor

from graphrep.kernels.projection._parallel import balanced_ranges

__all__ = ["RowScratch", "ascending", "cost_ranges", "mark_step", "select", "sum_step"]

SCAN_SHARE = 64  # sorting one column costs as much as looking at this many stamps
_options = {"nogil": True, "cache": True, "error_model": "numpy"}


class RowScratch(threading.local):
    """Arrays of one thread: stamps of the columns seen, two lists of columns, two rows of values.

    Args:
        size: the most rows or columns of any matrix that rows go through.
        values: whether values are kept, or columns alone.
    """

    def __init__(self, size: int, *, values: bool = True) -> None:
        self.seen = np.zeros(size + 1, np.int64)  # the last element is the stamp in use
        self.nodes = np.empty((2 if values else 1, size), np.int64)
        self.values = np.empty((2, size if values else 0), np.float64)


def cost_ranges(cost: Tensor) -> tuple[np.ndarray[Any, Any], int]:
    """Boundaries of row ranges of about equal cost, and the cost in all, for :func:`run_ranges`."""
    total = np.zeros(cost.numel() + 1, np.int64)
    np.cumsum(cost.numpy(), out=total[1:])
    return balanced_ranges(total, 1), int(total[-1])


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def mark_step(rowptr: Any, col: Any, current: Any, limit: int, seen: Any, found: Any, count: int) -> int:
    """Appends the columns in the rows `current` that do not carry the latest stamp to ``found[count:]``.

    Stops between two rows once `limit` columns are found. Returns the columns in the list.
    """
    stamp = seen[-1]
    for node in current:
        if count >= limit:
            break
        for e in range(np.int64(rowptr[node]), np.int64(rowptr[node + 1])):
            other = np.int64(col[e])
            if seen[other] != stamp:
                seen[other], found[count] = stamp, other
                count += 1
    return count


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def sum_step(
    rowptr: Any, col: Any, value: Any, current: Any, weight: Any, seen: Any, nodes: Any, numbers: Any, side: int
) -> int:
    """One product of a row vector with a matrix, into list and values number `side`; returns the columns found.

    `weight` holds the values of the columns `current`.
    """
    seen[-1] += 1
    stamp, count = seen[-1], 0
    for node in current:
        share = weight[node]
        for e in range(np.int64(rowptr[node]), np.int64(rowptr[node + 1])):
            other = np.int64(col[e])
            if seen[other] == stamp:
                numbers[side, other] += share * value[e]
            else:
                seen[other], nodes[side, count], numbers[side, other] = stamp, other, share * value[e]
                count += 1
    return count


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def ascending(found: Any, seen: Any) -> Any:
    """The columns of a list, which carry the latest stamp, in ascending order; a long list is read off the stamps."""
    if found.size * SCAN_SHARE < seen.size:
        found.sort()
        return found
    count, stamp = 0, seen[-1]
    for node in range(seen.size - 1):
        if seen[node] == stamp:
            found[count] = node
            count += 1
    return found


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def select(key: Any, wanted: int) -> Any:
    """The number that would stand at `wanted` in ascending order (Hoare's selection; numba's own compiles in 10 s).

    Reorders `key`.
    """
    low, high = 0, key.size - 1
    while low < high:
        pivot = key[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while key[i] < pivot:
                i += 1
            while key[j] > pivot:
                j -= 1
            if i <= j:
                key[i], key[j] = key[j], key[i]
                i, j = i + 1, j - 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return key[wanted]
