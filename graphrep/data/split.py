"""Splits without leaks: of edges, with negatives that are no edges, and (from `_node_split`) of nodes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.data._node_split import PARTS, Array, NodeSplit, part_sizes, split_nodes
from graphrep.data._pair_ranks import draw_unused, num_pairs, rank_of, sorted_distinct
from graphrep.data._structure import find_root
from graphrep.data.canonical import canonical_edges
from graphrep.data.check import grouped
from graphrep.data.graph import Graph
from graphrep.errors import EmptyGraphError, GraphrepError, LeakySplitError, ShapeError

__all__ = ["EdgeSplit", "NodeSplit", "check_leak", "same_pairs", "split_edges", "split_nodes"]


@dataclasses.dataclass(frozen=True)
class EdgeSplit:
    """Edges of the three parts and as many pairs that are no edges.

    An undirected edge is listed once, smaller node first, and is held out in both directions. No pair occurs twice,
    neither inside a part nor across parts, neither as an edge nor as a negative.

    Attributes:
        train, val, test: (2, n) int64 edges.
        train_neg, val_neg, test_neg: (2, m) int64 pairs that are an edge of no part.
        num_nodes: N of the graph.
        directed: whether (i, j) and (j, i) are different edges.
        seed: that the split was drawn with.
    """

    train: Tensor
    val: Tensor
    test: Tensor
    train_neg: Tensor
    val_neg: Tensor
    test_neg: Tensor
    num_nodes: int
    directed: bool
    seed: int

    def train_edge_index(self) -> Tensor:
        """(2, E) what messages may pass over: the training edges, in both directions unless directed."""
        return self.train if self.directed else torch.cat([self.train, self.train.flip(0)], dim=1)

    def sizes(self) -> dict[str, int]:
        """Edges and negatives in each part."""
        return {key: getattr(self, key).shape[1] for part in PARTS for key in (part, f"{part}_neg")}


def split_edges(
    graph: Any,
    *,
    shares: Sequence[float] = (0.85, 0.05, 0.10),
    negatives: float = 1.0,
    keep_connected: bool = False,
    directed: bool | None = None,
    seed: int = 0,
) -> EdgeSplit:
    """Holds out edges for link prediction, with uniform negatives.

    Duplicates are merged and self-loops dropped before anything is drawn, so that no edge can be on both sides.

    Args:
        graph: a Graph, or anything :meth:`Graph.coerce` takes.
        shares: of training, validation and test; they add up to 1 or to 100. The numbers of validation and test
            edges are rounded down, and training gets the rest.
        negatives: pairs that are no edges, per edge of each part.
        keep_connected: training keeps a random spanning forest, so that what is connected stays connected (and no
            node loses its last edge).
        directed: True: (i, j) and (j, i) are different edges; False: they are one; default: what the graph is.
        seed: of the draw; same seed, same split, whatever the order of the edges.

    Raises:
        EmptyGraphError: no edges.
        GraphrepError: shares that do not add up, too few edges outside a spanning forest, or too few pairs that are
            no edges.

    Example:
        >>> ring = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 0]])
        >>> split = split_edges(ring, shares=(60, 20, 20), directed=False)
        >>> split.sizes()
        {'train': 3, 'train_neg': 3, 'val': 1, 'val_neg': 1, 'test': 1, 'test_neg': 1}
    """
    graph = Graph.coerce(graph)
    count = graph.num_nodes
    directed = not graph.is_undirected() if directed is None else directed
    edges = canonical_edges(graph.edge_index, None, count, directed=directed).edge_index.numpy()
    if not edges.size:
        raise EmptyGraphError("The graph has no edges to split.", hint="a graph with edges between different nodes")
    edges = edges if directed else edges[:, edges[0] < edges[1]]
    used = rank_of(edges, count, directed=directed)  # ascending, as canonical edges are sorted in the same way
    _, val, test = part_sizes(used.size, shares)
    rng = np.random.default_rng(seed)
    order = rng.permutation(used.size)
    held = _outside_forest(edges, order, count, val + test) if keep_connected else order[: val + test]
    kept = np.ones(used.size, dtype=bool)
    kept[held] = False
    parts = [edges[:, kept], edges[:, held[:val]], edges[:, held[val:]]]
    wanted = [math.ceil(negatives * part.shape[1] - 1e-9) for part in parts]
    free = num_pairs(count, directed=directed) - used.size
    if negatives < 0 or sum(wanted) > free:
        raise GraphrepError(
            f"{grouped(sum(wanted))} negatives were asked for, but only {grouped(free)} pairs are no edges.",
            hint=f"negatives={free / used.size:.2g} or less",
        )
    pool = draw_unused(used, sum(wanted), count, rng, directed=directed)
    drawn = np.split(pool, np.cumsum(wanted)[:-1], axis=1)
    keys = (*PARTS, *(f"{part}_neg" for part in PARTS))
    tensors: dict[str, Any] = {
        key: torch.from_numpy(np.ascontiguousarray(part)) for key, part in zip(keys, (*parts, *drawn), strict=True)
    }
    return EdgeSplit(**tensors, num_nodes=count, directed=directed, seed=seed)


def _outside_forest(edges: Array, order: Array, num_nodes: int, wanted: int) -> Array:
    """The first `wanted` edges of `order` that a spanning forest, grown from its end, does not need."""
    spare = order[~_in_forest(edges[0], edges[1], order, num_nodes)]
    if spare.size < wanted:
        raise GraphrepError(
            f"{grouped(wanted)} edges are to be held out, but only {grouped(spare.size)} of {grouped(order.size)} can "
            "be removed without cutting the graph.",
            hint="a larger share for training, or keep_connected=False",
        )
    held: Array = spare[:wanted]
    return held


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _in_forest(source: Any, destination: Any, order: Any, num_nodes: int) -> Any:
    """Which edges, in the sequence of `order`, join two trees when they are added last to first."""
    parent = np.arange(num_nodes)
    joins = np.zeros(order.size, dtype=np.bool_)
    for p in range(order.size - 1, -1, -1):
        u, v = find_root(parent, source[order[p]]), find_root(parent, destination[order[p]])
        if u != v:
            parent[max(u, v)] = min(u, v)
            joins[p] = True
    return joins


def check_leak(train: Any, test: Any, *, directed: bool = False, name: str = "test") -> None:
    """Raises when test edges occur in the training edges.

    Args:
        train: (2, E) node numbers, torch or numpy.
        test: (2, P) likewise.
        directed: True looks for the same direction only; False for both.
        name: what the second part is called in the message.

    Raises:
        LeakySplitError: with the number of test edges and the direction they occur in.

    Example:
        >>> check_leak(torch.tensor([[0, 1], [1, 2]]), torch.tensor([[2], [1]]))
        Traceback (most recent call last):
        graphrep.errors.LeakySplitError: 1 of 1 test edges also occur in the training edges (reversed direction).
        Try: graphrep data split --undirected; pass --allow-leak to go on anyway.
    """
    same, back = _overlap(_pairs(train, "train"), _pairs(test, name))
    leaks = int((same if directed else same | back).sum())
    if not leaks:
        return
    reversed_only = 0 if directed else int((back & ~same).sum())
    how = " (reversed direction)" if reversed_only else ""
    if 0 < reversed_only < leaks:
        how = f" ({grouped(leaks - reversed_only)} in the same direction, {grouped(reversed_only)} reversed)"
    raise LeakySplitError(
        f"{grouped(leaks)} of {grouped(same.size)} {name} edges also occur in the training edges{how}.",
        hint="graphrep data split --undirected; pass --allow-leak to go on anyway.",
    )


def same_pairs(edges: Any, pairs: Any) -> int:
    """How many of `pairs` (2, P) are among `edges` (2, E), in either direction."""
    same, back = _overlap(_pairs(edges, "edges"), _pairs(pairs, "pairs"))
    return int((same | back).sum())


def _overlap(known: Array, asked: Array) -> tuple[Array, Array]:
    """(P,) bool twice: which of `asked` are in `known` as they are, and which are there reversed."""
    if not known.size or not asked.size:
        return (np.zeros(asked.shape[1], dtype=bool),) * 2
    base = int(max(known.max(), asked.max())) + 1
    keys = sorted_distinct(known[0] * base + known[1])
    return _contains(keys, asked[0] * base + asked[1]), _contains(keys, asked[1] * base + asked[0])


def _pairs(edges: Any, name: str) -> Array:
    array = edges.detach().cpu().numpy() if isinstance(edges, Tensor) else np.asarray(edges)
    if array.ndim != 2 or array.shape[0] != 2:
        raise ShapeError(f"{name} must have shape (2, E); got {array.shape}.", hint=f"{name}.T")
    return array.astype(np.int64)


def _contains(keys: Array, values: Array) -> Array:
    """Which values are among the sorted `keys`."""
    at = np.minimum(np.searchsorted(keys, values), keys.size - 1)
    found: Array = keys[at] == values
    return found
