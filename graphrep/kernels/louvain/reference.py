"""Local moving of nodes between communities, as a plain program over Python numbers."""

from __future__ import annotations

from collections import deque
from typing import Any

from graphrep.kernels._dispatch import register

__all__ = ["move_nodes"]


@register("louvain_move", "reference")
def move_nodes(
    rowptr: Any, col: Any, value: Any, strength: Any, order: Any, labels: Any, resolution: float, total: float
) -> int:
    """Moves nodes to the neighbouring (or an empty) community with the largest gain until no move gains anything.

    With (K0, K1) the strengths of a community without the node, (s0, s1) those of the node and w the weight of the
    node's links into it, the gain of being in it is ``w - resolution (s0 K1 + s1 K0) / total``; of equal gains the own
    community wins, then the first one met. Undirected modularity has s0 = s1 = row sum and twice the sum of weights as
    `total`; a bipartite graph has s1 = 0 for its rows, s0 = 0 for its columns, and the weight of its links as `total`.

    Args:
        rowptr: (n + 1,) int64.
        col: (nnz,) int64.
        value: (nnz,) float64.
        strength: (n, 2) float64.
        order: (n,) int64, the order in which nodes are looked at first; later those whose neighbour moved.
        labels: (n,) int64 communities below n, changed in place.
        resolution: of the modularity.
        total: above 0.

    Returns:
        Number of moves.
    """
    bounds, columns, weights, strengths = rowptr.tolist(), col.tolist(), value.tolist(), strength.tolist()
    label, mass, members = labels.tolist(), [[0.0, 0.0] for _ in strengths], [0] * len(strengths)
    for node, community in enumerate(label):
        _add(mass[community], strengths[node], 1.0)
        members[community] += 1
    spare = [c for c in reversed(range(len(members))) if not members[c]]
    queue, moves = deque(order.tolist()), 0
    waiting = set(queue)
    while queue:
        node = queue.popleft()
        waiting.remove(node)
        entries = [(columns[e], weights[e]) for e in range(bounds[node], bounds[node + 1])]
        link: dict[int, float] = {}
        for other, weight in entries:
            if other != node:
                link[label[other]] = link.get(label[other], 0.0) + weight
        old, own = label[node], strengths[node]
        a, b = (resolution * k / total for k in own)
        least = 1e-12 * max(own) * max(1.0, resolution)
        _add(mass[old], own, -1.0)
        members[old] -= 1
        best, gain = old, link.get(old, 0.0) - (a * mass[old][1] + b * mass[old][0])
        for community, weight in link.items():
            other_gain = weight - (a * mass[community][1] + b * mass[community][0])
            if other_gain > gain + least:
                best, gain = community, other_gain
        if gain < -least and members[old]:
            best = spare.pop()
        if best != old and not members[old]:
            mass[old] = [0.0, 0.0]
            spare.append(old)
        _add(mass[best], own, 1.0)
        members[best] += 1
        if best != old:
            label[node] = best
            moves += 1
            for other, _ in entries:
                if label[other] != best and other not in waiting:
                    waiting.add(other)
                    queue.append(other)
    labels[:] = label
    return moves


def _add(mass: list[float], strength: list[float], sign: float) -> None:
    mass[0] += sign * strength[0]
    mass[1] += sign * strength[1]
