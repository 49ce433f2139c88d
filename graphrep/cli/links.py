"""Held-out links: which edges to hide, pairs that are no edges, and how to score pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphrep.errors import GraphrepError, UnknownNameError

__all__ = ["SCORES", "hide_links", "pair_scores", "uniform_negatives"]

SCORES = ("cosine", "dot")
_BLOCK = 65_536

Array = np.ndarray[Any, Any]


def hide_links(edge_index: Array, num_nodes: int, share: float, seed: int) -> tuple[Array, Array]:
    """Splits the links of an undirected graph.

    Args:
        edge_index: (2, E), both directions stored.
        num_nodes: N.
        share: of the links to hide, between 0 and 1.
        seed: of the draw.

    Returns:
        hidden: (2, H) one direction of each hidden link, source < destination; at least one.
        keep: (E,) mask of the stored entries that stay; a hidden link is gone in both directions.

    Example:
        >>> edges = np.array([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> hidden, keep = hide_links(edges, 3, 0.5, seed=0)
        >>> hidden.shape, int(keep.sum())
        ((2, 1), 2)
    """
    low, high = edge_index.min(0).astype(np.int64), edge_index.max(0).astype(np.int64)
    key = low * num_nodes + high
    links = np.unique(key[low < high])
    count = max(1, round(share * len(links)))
    if not 0 < share < 1 or count >= len(links):
        raise GraphrepError(
            f"Hiding {100 * share:g} % of {len(links)} links leaves nothing to learn from.", hint="a share such as 0.1"
        )
    chosen = np.sort(np.random.default_rng(seed).permutation(links)[:count])
    return np.stack([chosen // num_nodes, chosen % num_nodes]), ~np.isin(key, chosen)


def uniform_negatives(edge_index: Array, num_nodes: int, count: int, seed: int) -> Array:
    """(2, count) distinct pairs source < destination, uniform among those that are no edge in either direction.

    Raises:
        GraphrepError: the graph has fewer than `count` such pairs.
    """
    low, high = edge_index.min(0).astype(np.int64), edge_index.max(0).astype(np.int64)
    known = np.unique(low * num_nodes + high)
    room = num_nodes * (num_nodes - 1) // 2 - int((known // num_nodes != known % num_nodes).sum())
    if count > room:
        raise GraphrepError(
            f"{count} pairs without an edge were asked for, but only {room} exist.", hint="hold out fewer links"
        )
    generator = np.random.default_rng(seed)
    found = np.zeros(0, dtype=np.int64)
    while len(found) < count:
        pairs = np.sort(generator.integers(0, num_nodes, size=(2, 2 * count + 16)), axis=0)
        keys = pairs[0] * num_nodes + pairs[1]
        fresh = keys[(pairs[0] < pairs[1]) & ~np.isin(keys, known) & ~np.isin(keys, found)]
        _, first = np.unique(fresh, return_index=True)
        found = np.concatenate([found, fresh[np.sort(first)]])
    return np.stack([found[:count] // num_nodes, found[:count] % num_nodes])


def pair_scores(z: Array, pairs: Array, *, score: str = "cosine") -> Array:
    """(P,) cosine (0 for a zero vector) or dot product of the end points' vectors, in float64.

    Raises:
        UnknownNameError: no such score.
    """
    if score not in SCORES:
        raise UnknownNameError(f'Unknown score "{score}".', hint=f"one of {', '.join(SCORES)}")
    parts = [np.zeros(0)]
    for start in range(0, pairs.shape[1], _BLOCK):
        a, b = (z[ends[start : start + _BLOCK]].astype(np.float64) for ends in pairs)
        value = (a * b).sum(1)
        if score == "cosine":
            norm = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            value = np.divide(value, norm, out=np.zeros_like(value), where=norm > 0)
        parts.append(value)
    return np.concatenate(parts)
