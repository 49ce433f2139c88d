"""Pairs of distinct nodes as one number each, and draws from the pairs that no edge uses.

Unordered pair (i, j), i < j, has rank ``j (j - 1) / 2 + i``; ordered pair (i, j), i != j, has rank
``j (N - 1) + i - [i > j]``: ranks ascend as canonical edges do, by j, then i. The unused pairs are the ranks between
the edges' sorted ranks, and the r-th of them is found by binary search: no pair is ever drawn and refused, however
dense the graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["draw_unused", "num_pairs", "pair_of", "rank_of", "sorted_distinct"]

Array = np.ndarray[Any, Any]


def num_pairs(num_nodes: int, *, directed: bool) -> int:
    """Pairs of distinct nodes: N (N - 1), or half of that when direction does not matter."""
    return num_nodes * (num_nodes - 1) // (1 if directed else 2)


def rank_of(pairs: Array, num_nodes: int, *, directed: bool) -> Array:
    """(P,) int64 ranks of (2, P) pairs of distinct nodes.

    Example:
        >>> rank_of(np.array([[0, 3], [1, 2]]), 4, directed=False).tolist()
        [0, 5]
    """
    i, j = np.asarray(pairs, dtype=np.int64)
    low, high = np.minimum(i, j), np.maximum(i, j)
    ranks: Array = j * (num_nodes - 1) + i - (i > j) if directed else high * (high - 1) // 2 + low
    return ranks


def pair_of(ranks: Array, num_nodes: int, *, directed: bool) -> Array:
    """(2, P) int64 pairs with the given ranks; the inverse of :func:`rank_of`.

    Example:
        >>> pair_of(np.array([0, 5]), 4, directed=False).tolist()
        [[0, 2], [1, 3]]
    """
    ranks = np.asarray(ranks, dtype=np.int64)
    if directed:
        j = ranks // max(num_nodes - 1, 1)
        i = ranks - j * (num_nodes - 1)
        return np.stack([i + (i >= j), j])
    high = ((1.0 + np.sqrt(1.0 + 8.0 * ranks.astype(np.float64))) / 2.0).astype(np.int64)
    # The square root is rounded: move to the one number with high (high - 1) / 2 <= rank < (high + 1) high / 2.
    high -= high * (high - 1) // 2 > ranks
    high += (high + 1) * high // 2 <= ranks
    return np.stack([ranks - high * (high - 1) // 2, high])


def draw_unused(used: Array, count: int, num_nodes: int, rng: np.random.Generator, *, directed: bool) -> Array:
    """`count` distinct pairs, uniform over the pairs that are not in `used`, in random order.

    Args:
        used: sorted distinct ranks.
        count: at most the number of unused pairs.
        num_nodes: N.
        rng: source of randomness.
        directed: whether (i, j) and (j, i) are two pairs.

    Returns:
        (2, count) int64. O(E + count log E).
    """
    free = num_pairs(num_nodes, directed=directed) - used.size
    picked = _distinct(free, count, rng)
    # Below the r-th unused rank lie as many used ones as there are with used[k] - k <= r.
    below = np.searchsorted(used - np.arange(used.size, dtype=np.int64), picked, side="right")
    return pair_of(rng.permutation(picked + below), num_nodes, directed=directed)


def sorted_distinct(values: Array) -> Array:
    """The distinct values in ascending order; by sorting, which for many numbers beats numpy's hash table."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if ordered.size else ordered


def _distinct(population: int, count: int, rng: np.random.Generator) -> Array:
    """`count` distinct numbers below `population`, every set of them equally likely, in ascending order."""
    if 3 * count >= population:
        return np.sort(rng.permutation(population)[:count])
    drawn = np.empty(0, dtype=np.int64)
    while drawn.size < count:
        more = rng.integers(0, population, size=count - drawn.size + (count - drawn.size) // 8 + 8)
        drawn = sorted_distinct(np.concatenate([drawn, more]))
    surplus = rng.choice(drawn.size, drawn.size - count, replace=False)
    return np.delete(drawn, surplus)
