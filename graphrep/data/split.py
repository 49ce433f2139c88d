"""Splits without leaks: of edges, with negatives that are no edges, and (from `_node_split`) of nodes.

Edges are held out at random or, where they have times, the latest ones.
"""

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
from graphrep.data._overlap import as_pairs, overlap, overlap_message
from graphrep.data._pair_ranks import draw_unused, num_pairs, rank_of
from graphrep.data._structure import find_root
from graphrep.data.canonical import canonical_edges
from graphrep.data.check import grouped
from graphrep.data.graph import Graph
from graphrep.data.links import LinkSplit
from graphrep.errors import EmptyGraphError, GraphrepError, LeakySplitError, NonFiniteError, ShapeError

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
        train_time, val_time, test_time: (n,) when each edge was first seen, None for a split without times.
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
    train_time: Tensor | None = None
    val_time: Tensor | None = None
    test_time: Tensor | None = None

    def train_edge_index(self) -> Tensor:
        """(2, E) what messages may pass over: the training edges, in both directions unless directed."""
        return self.train if self.directed else torch.cat([self.train, self.train.flip(0)], dim=1)

    def sizes(self) -> dict[str, int]:
        """Edges and negatives in each part."""
        return {key: getattr(self, key).shape[1] for part in PARTS for key in (part, f"{part}_neg")}

    def link_split(self, graph: Graph | None = None) -> LinkSplit:
        """What link predictors are given: a graph of the training edges alone, and the pairs that are held out.

        Args:
            graph: that was split; its features, labels, ids, texts and name go along, its weights do not.
        """
        known = self.train_edge_index()
        if graph is None:
            found = Graph(known, num_nodes=self.num_nodes, directed=self.directed)
        else:
            found = graph.replace(edge_index=known, edge_weight=None, directed=self.directed, report=None)
        held = {"val_pos": self.val, "val_neg": self.val_neg, "test_pos": self.test, "test_neg": self.test_neg}
        return LinkSplit(found, **held, name=found.name)


def split_edges(
    graph: Any,
    *,
    shares: Sequence[float] = (0.85, 0.05, 0.10),
    negatives: float = 1.0,
    keep_connected: bool = False,
    directed: bool | None = None,
    edge_time: Any | None = None,
    seed: int = 0,
) -> EdgeSplit:
    """Holds out edges for link prediction, at random or the latest ones, with uniform negatives.

    Duplicates are merged and self-loops dropped before anything is drawn, so that no edge can be on both sides. A
    negative is an edge of no part and, where there are times, of no time; the negatives of the parts do not overlap.

    Args:
        graph: a Graph, or anything :meth:`Graph.coerce` takes.
        shares: of training, validation and test; they add up to 1 or to 100. The numbers of validation and test
            edges are rounded down, and training gets the rest.
        negatives: pairs that are no edges, per edge of each part.
        keep_connected: training keeps a random spanning forest, so that what is connected stays connected (and no
            node loses its last edge).
        directed: True: (i, j) and (j, i) are different edges; False: they are one; default: what the graph is.
        edge_time: (E,) numbers, a time for each entry of ``graph.edge_index``: the latest edges become the test part,
            those before them the validation part. An edge that is stored several times, in whichever direction
            unless `directed`, has the earliest of its times: from then on it is known. Of edges of the same time
            around a boundary the seed decides which part each belongs to, so that the sizes are those of `shares`.
        seed: of the draw; same seed, same split, whatever the order of the edges.

    Raises:
        EmptyGraphError: no edges.
        GraphrepError: shares that do not add up, too few edges outside a spanning forest, too few pairs that are
            no edges, or both times and `keep_connected`.
        ShapeError, NonFiniteError: not one finite time for each stored entry.

    Example:
        >>> ring = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 0]])
        >>> split = split_edges(ring, shares=(60, 20, 20), directed=False)
        >>> split.sizes()
        {'train': 3, 'train_neg': 3, 'val': 1, 'val_neg': 1, 'test': 1, 'test_neg': 1}
        >>> late = split_edges(ring, shares=(60, 20, 20), directed=False, edge_time=[5, 9, 1, 2, 7])
        >>> late.test.tolist(), late.val.tolist()
        ([[1], [2]], [[0], [4]])
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
    time = None if edge_time is None else _first_times(graph, edge_time, used, directed)
    if time is not None:
        if keep_connected:
            raise GraphrepError("The latest edges are held out: no others can be kept.", hint="keep_connected=False")
        order = np.roll(order[np.argsort(time[order], kind="stable")], val + test)
    held = _outside_forest(edges, order, count, val + test) if keep_connected else order[: val + test]
    kept = np.ones(used.size, dtype=bool)
    kept[held] = False
    places = [np.flatnonzero(kept), held[:val], held[val:]]
    parts = [edges[:, place] for place in places]
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
    if time is not None:
        tensors |= {f"{part}_time": torch.from_numpy(time[place]) for part, place in zip(PARTS, places, strict=True)}
    return EdgeSplit(**tensors, num_nodes=count, directed=directed, seed=seed)


def _first_times(graph: Graph, edge_time: Any, used: Array, directed: bool) -> Array:
    """The earliest time of each edge, int64 or float64, in the order of their ranks."""
    time = edge_time.detach().cpu().numpy() if isinstance(edge_time, Tensor) else np.asarray(edge_time)
    if time.shape != (graph.num_edges,) or time.dtype.kind not in "iuf":
        raise ShapeError(
            f"edge_time must hold {grouped(graph.num_edges)} numbers; got {time.dtype} of shape {time.shape}.",
            hint="one time for each column of edge_index",
        )
    time = time.astype(np.float64 if time.dtype.kind == "f" else np.int64)
    if not np.isfinite(time).all():
        wrong = np.flatnonzero(~np.isfinite(time))
        raise NonFiniteError(f"edge_time holds {time[wrong[0]]} at {wrong[0]}.", hint="leave these edges out")
    edges = graph.edge_index.cpu().numpy()
    proper = edges[0] != edges[1]
    place = np.searchsorted(used, rank_of(edges[:, proper], graph.num_nodes, directed=directed))
    first = np.full(used.size, np.inf if time.dtype.kind == "f" else np.iinfo(np.int64).max, dtype=time.dtype)
    np.minimum.at(first, place, time[proper])
    return first


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
    same, back = overlap(as_pairs(train, "train"), as_pairs(test, name))
    if message := overlap_message(same, back, directed=directed, name=name):
        raise LeakySplitError(message, hint="graphrep data split --undirected; pass --allow-leak to go on anyway.")


def same_pairs(edges: Any, pairs: Any) -> int:
    """How many of `pairs` (2, P) are among `edges` (2, E), in either direction."""
    same, back = overlap(as_pairs(edges, "edges"), as_pairs(pairs, "pairs"))
    return int((same | back).sum())
