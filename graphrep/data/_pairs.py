"""Sorting edges as pairs of nodes: counting sorts in which each thread places the entries of its own range of nodes.

Every thread reads all edges, which is sequential and cheap, and writes only to its range, which is random and dear; so
the result does not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from graphrep.kernels._numba import SMALL_WORK, num_threads
from graphrep.kernels.projection._parallel import run_ranges

__all__ = ["both_directions", "sort_pairs"]

_compiled = numba.njit(cache=True, nogil=True)


def sort_pairs(source: Any, destination: Any, weight: Any, num_nodes: int, directed: bool, keep_loops: bool) -> Any:
    """Edges as (low, high) pairs, sorted by high, then low: counting sort by low, then stably by high.

    Directed: low is the source, high the destination. Undirected: the smaller and the larger end. A code is
    2 low + 1 if the edge ran from the larger to the smaller end. Returns the range of each high, codes, weights, loops.
    """
    given = (source, destination, directed, keep_loops)
    first, second, loops = _count(given, num_nodes)
    kept = int(first[num_nodes])
    middle = np.empty(kept, dtype=np.int64)  # 2 high + swapped, in order of low
    middle_weight = np.empty(kept if weight.size else 0, dtype=np.float64)
    _by_range(first, lambda start, stop: _place_low(start, stop, *given, weight, first, middle, middle_weight))
    code = np.empty(kept, dtype=np.int64)
    sorted_weight = np.empty(middle_weight.size, dtype=np.float64)
    _by_range(
        second,
        lambda start, stop: _place_high(start, stop, first, second, middle, middle_weight, code, sorted_weight),
    )
    return second, code, sorted_weight, loops


def both_directions(pointer: Any, low: Any, weight: Any) -> Any:
    """Both directions of every pair, sorted by (destination, source), and their weights.

    Pairs come by high, then low: a row gets its smaller neighbours while `high` is the row, and its larger ones
    afterwards, each in ascending order, so that one placing pass leaves every row sorted.
    """
    begin = _degrees(pointer, low)
    edges = np.empty((2, int(begin[-1])), dtype=np.int64)
    out_weight = np.empty(edges.shape[1] if weight.size else 0, dtype=np.float64)
    _by_range(
        begin, lambda start, stop: _place_both(start, stop, pointer, low, weight, begin, edges[0], edges[1], out_weight)
    )
    return edges, out_weight


def _by_range(offsets: Any, kernel: Callable[[int, int], Any]) -> None:
    """Calls `kernel` for one range of nodes per thread, with about equally many entries in each."""
    total, parts = int(offsets[-1]), num_threads()
    inner = np.searchsorted(offsets, [total * part // parts for part in range(1, parts)])
    bounds = np.unique(np.concatenate([[0], inner, [offsets.size - 1]])).astype(np.int64)
    run_ranges(kernel, bounds, work=total)


def _count(given: tuple[Any, ...], num_nodes: int) -> tuple[Any, Any, int]:
    """Offsets by low and by high, and the number of loops."""
    edges = given[0].size
    parts = num_threads() if edges >= max(SMALL_WORK, 4 * num_nodes) else 1
    bounds = np.linspace(0, edges, parts + 1).astype(np.int64)
    found: dict[int, Any] = {}
    run_ranges(
        lambda start, stop: found.__setitem__(start, _count_ends(start, stop, *given, num_nodes)), bounds, work=edges
    )
    first, second, loops = (sum(part) for part in zip(*found.values(), strict=True))
    return np.cumsum(first), np.cumsum(second), int(loops)


@_compiled  # type: ignore[untyped-decorator]
def _count_ends(
    start: int, stop: int, source: Any, destination: Any, directed: bool, keep_loops: bool, num_nodes: int
) -> Any:
    first = np.zeros(num_nodes + 1, dtype=np.int64)
    second = np.zeros(num_nodes + 1, dtype=np.int64)
    loops = 0
    for e in range(start, stop):
        u, v = source[e], destination[e]
        loops += u == v
        if u != v or keep_loops:
            swap = not directed and u > v
            first[(v if swap else u) + 1] += 1
            second[(u if swap else v) + 1] += 1
    return first, second, loops


@_compiled  # type: ignore[untyped-decorator]
def _place_low(
    start: int,
    stop: int,
    source: Any,
    destination: Any,
    directed: bool,
    keep_loops: bool,
    weight: Any,
    first: Any,
    middle: Any,
    middle_weight: Any,
) -> None:
    cursor = first[start:stop].copy()
    for e in range(source.size):
        u, v = source[e], destination[e]
        swap = not directed and u > v
        low, high = (v, u) if swap else (u, v)
        if start <= low < stop and (u != v or keep_loops):
            place = cursor[low - start]
            middle[place] = 2 * np.int64(high) + swap
            if weight.size:
                middle_weight[place] = weight[e]
            cursor[low - start] += 1


@_compiled  # type: ignore[untyped-decorator]
def _place_high(
    start: int, stop: int, first: Any, second: Any, middle: Any, middle_weight: Any, code: Any, sorted_weight: Any
) -> None:
    cursor = second[start:stop].copy()
    for low in range(first.size - 1):
        for p in range(first[low], first[low + 1]):
            high = middle[p] >> 1
            if start <= high < stop:
                place = cursor[high - start]
                code[place] = 2 * low + (middle[p] & 1)
                if middle_weight.size:
                    sorted_weight[place] = middle_weight[p]
                cursor[high - start] += 1


@_compiled  # type: ignore[untyped-decorator]
def _degrees(pointer: Any, low: Any) -> Any:
    """First entry of each row when both directions are stored."""
    num_nodes = pointer.size - 1
    begin = np.zeros(num_nodes + 1, dtype=np.int64)
    for high in range(num_nodes):
        for p in range(pointer[high], pointer[high + 1]):
            begin[high + 1] += 1
            begin[low[p] + 1] += low[p] != high
    return np.cumsum(begin)


@_compiled  # type: ignore[untyped-decorator]
def _place_both(
    start: int, stop: int, pointer: Any, low: Any, weight: Any, begin: Any, source: Any, destination: Any, out: Any
) -> None:
    cursor = begin[start:stop].copy()
    for v in range(start, stop):
        destination[begin[v] : begin[v + 1]] = v
    for high in range(start, pointer.size - 1):  # a pair below `start` has both ends there
        mine = high < stop
        for p in range(pointer[high], pointer[high + 1]):
            u = low[p]
            if mine:
                place = cursor[high - start]
                source[place] = u
                if weight.size:
                    out[place] = weight[p]
                cursor[high - start] += 1
            if start <= u < stop and u != high:
                place = cursor[u - start]
                source[place] = high
                if weight.size:
                    out[place] = weight[p]
                cursor[u - start] += 1
