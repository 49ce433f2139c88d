"""The links of an undirected graph, each once, from an edge list in one or both directions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import DTypeError, EmptyGraphError, GraphrepError, IndexRangeError, ShapeError
from graphrep.eval._arrays import as_numpy, as_scores

__all__ = ["undirected_links"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def undirected_links(edge_index: Any, edge_weight: Any, num_nodes: int, *, owner: str) -> tuple[Ints, Ints, Floats]:
    """Each undirected link once: (smaller end, larger end, weight), self-loops left out.

    A link listed in both directions has the mean of the two weights; repeated entries add up.

    Args:
        edge_index: (2, E) integer node ids.
        edge_weight: (E,) weights >= 0, or None for 1.
        num_nodes: N.
        owner: what says so, with a place for N: "c has {} labels".

    Raises:
        ShapeError, DTypeError, IndexRangeError, EmptyGraphError, GraphrepError: no list of links between the N nodes.
    """
    edges = as_numpy(edge_index, "edge_index")
    if edges.ndim != 2 or edges.shape[0] != 2:
        raise ShapeError(f"edge_index must have shape (2, E); got {edges.shape}.", hint="edge_index.T")
    if edges.size == 0:
        raise EmptyGraphError("edge_index holds no edge.", hint="at least one edge is needed")
    if edges.dtype.kind not in "iu":
        raise DTypeError(f"edge_index must hold integers; got {edges.dtype}.", hint="edge_index.astype('int64')")
    if edges.min() < 0 or edges.max() >= num_nodes:
        worst = int(edges.min() if edges.min() < 0 else edges.max())
        raise IndexRangeError(
            f"edge_index refers to node {worst}, but {owner.format(num_nodes)}.", hint="one for each node"
        )
    weight = np.ones(edges.shape[1]) if edge_weight is None else as_scores(edge_weight, "edge_weight")
    if len(weight) != edges.shape[1] or not np.isfinite(weight).all() or weight.min() < 0:
        raise GraphrepError(
            f"edge_weight must hold {edges.shape[1]} finite values >= 0; got {weight.shape}, least {weight.min()}.",
            hint="one weight per edge",
        )
    src, dst = edges.astype(np.int64)
    low, high, proper = np.minimum(src, dst), np.maximum(src, dst), src != dst
    keys, link = np.unique((low * num_nodes + high)[proper], return_inverse=True)
    upward = (src < dst)[proper]
    one_way, other_way = (
        np.bincount(link[chosen], weights=weight[proper][chosen], minlength=len(keys)) for chosen in (upward, ~upward)
    )
    ways = sum((np.bincount(link[chosen], minlength=len(keys)) > 0).astype(np.float64) for chosen in (upward, ~upward))
    return keys // num_nodes, keys % num_nodes, (one_way + other_way) / ways
