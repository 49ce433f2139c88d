"""Counts over sorted pairs: column p of row `high` is ``low[p]`` for p in ``pointer[high]..pointer[high + 1] - 1``."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["components", "count_loops", "find_root", "one_way"]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find_root(parent: Any, node: Any) -> Any:
    """The root of a node's tree in a union-find forest; halves the path on the way."""
    root = np.int64(node)
    while parent[root] != root:
        parent[root] = parent[parent[root]]
        root = parent[root]
    return root


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def one_way(pointer: Any, low: Any) -> Any:
    """Directed edges whose reverse is absent, by binary search in the sorted rows."""
    count = 0
    for high in range(pointer.size - 1):
        for p in range(pointer[high], pointer[high + 1]):
            row = low[pointer[low[p]] : pointer[low[p] + 1]]
            at = np.searchsorted(row, high)
            count += at == row.size or row[at] != high
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_loops(pointer: Any, low: Any) -> Any:
    count = 0
    for high in range(pointer.size - 1):
        for p in range(pointer[high], pointer[high + 1]):
            count += low[p] == high
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def components(pointer: Any, low: Any) -> Any:
    """Number of connected components and of nodes without another neighbour (union-find with path halving)."""
    num_nodes = pointer.size - 1
    parent = np.arange(num_nodes)
    alone = np.ones(num_nodes, dtype=np.bool_)
    components = num_nodes
    for high in range(num_nodes):
        for p in range(pointer[high], pointer[high + 1]):
            u, v = np.int64(low[p]), high
            if u == v:
                continue
            alone[u] = alone[v] = False
            u, v = find_root(parent, u), find_root(parent, v)
            if u != v:
                parent[v if u < v else u] = u if u < v else v
                components -= 1
    return components, np.sum(alone)
