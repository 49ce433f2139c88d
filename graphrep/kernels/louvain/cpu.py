"""Local moving of nodes between communities on CPU: one thread, because each move depends on those before it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from graphrep.kernels._dispatch import register

__all__ = ["move_nodes"]

_options = {"nogil": True, "cache": True, "error_model": "numpy"}


@register("louvain_move", "cpu")
def move_nodes(
    rowptr: Any, col: Any, value: Any, strength: Any, order: Any, labels: Any, resolution: float, total: float
) -> int:
    """Moves in place, returns their number; arguments as in the reference."""
    return int(_move(rowptr, col, value, strength, order, labels, resolution, total))


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _move(
    rowptr: Any, col: Any, value: Any, strength: Any, order: Any, labels: Any, resolution: float, total: float
) -> int:
    size = labels.size
    mass, members = np.zeros((size, 2)), np.zeros(size, np.int64)
    for node in range(size):
        mass[labels[node], 0] += strength[node, 0]
        mass[labels[node], 1] += strength[node, 1]
        members[labels[node]] += 1
    spare, num_spare = np.empty(size, np.int64), 0
    for community in range(size - 1, -1, -1):
        if members[community] == 0:
            spare[num_spare] = community
            num_spare += 1
    queue, waiting, begin, count = order.copy(), np.ones(size, np.bool_), 0, size
    link, seen, found = np.zeros(size), np.zeros(size, np.bool_), np.empty(size, np.int64)
    moves = 0
    while count > 0:
        node = queue[begin]
        begin, count = (begin + 1) % size, count - 1
        waiting[node] = False
        num_found = 0
        for e in range(rowptr[node], rowptr[node + 1]):
            other = col[e]
            if other != node:
                community = labels[other]
                if not seen[community]:
                    seen[community], found[num_found], link[community] = True, community, 0.0
                    num_found += 1
                link[community] += value[e]
        old, out, into = labels[node], strength[node, 0], strength[node, 1]
        a, b, least = resolution * out / total, resolution * into / total, 1e-12 * max(out, into) * max(1.0, resolution)
        mass[old, 0] -= out
        mass[old, 1] -= into
        members[old] -= 1
        best, gain = old, (link[old] if seen[old] else 0.0) - (a * mass[old, 1] + b * mass[old, 0])
        for k in range(num_found):
            community = found[k]
            other_gain = link[community] - (a * mass[community, 1] + b * mass[community, 0])
            if other_gain > gain + least:
                best, gain = community, other_gain
            seen[community] = False
        if gain < -least and members[old] > 0:
            num_spare -= 1
            best = spare[num_spare]
        if members[old] == 0 and best != old:
            mass[old, 0], mass[old, 1] = 0.0, 0.0  # rounding must not pile up
            spare[num_spare] = old
            num_spare += 1
        mass[best, 0] += out
        mass[best, 1] += into
        members[best] += 1
        if best == old:
            continue
        labels[node] = best
        moves += 1
        for e in range(rowptr[node], rowptr[node + 1]):
            other = col[e]
            if labels[other] != best and not waiting[other]:
                waiting[other] = True
                queue[(begin + count) % size] = other
                count += 1
    return moves
