"""The canonical form of an edge list: sorted, merged, symmetric on request; independent of the order of the rows.

Two counting sorts and one merging pass, O(E + N). Weights of repeated edges are sorted before they are summed, so that
the sums do not depend on the order of the rows either.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.data._pairs import both_directions, sort_pairs
from graphrep.data._structure import components as count_components
from graphrep.data._structure import count_loops, one_way
from graphrep.errors import GraphrepError

__all__ = ["Canonical", "canonical_edges"]

_MAX_NODES = 2**31 - 2


@dataclasses.dataclass(frozen=True)
class Canonical:
    """A canonical edge list and what was changed to get it.

    Attributes:
        edge_index: (2, E) int64, sorted by (destination, source), without duplicates.
        edge_weight: (E,) float32 or float64, or None.
        edges: distinct edges; an undirected edge counts once.
        merged: given rows that repeated an earlier edge.
        mirrored: undirected, and every edge was given in both directions with equal weights.
        self_loops: rows from a node to itself, dropped unless they were to be kept.
        one_way: edges given in one direction only.
        components: connected components, direction ignored.
        isolated: nodes without a neighbour other than themselves.
    """

    edge_index: Tensor
    edge_weight: Tensor | None
    edges: int
    merged: int
    mirrored: bool
    self_loops: int
    one_way: int
    components: int
    isolated: int


def canonical_edges(
    edge_index: Tensor | tuple[Any, Any],
    edge_weight: Any | None,
    num_nodes: int,
    *,
    directed: bool,
    keep_self_loops: bool = False,
) -> Canonical:
    """Sorts and merges an edge list.

    Args:
        edge_index: (2, E) integers below `num_nodes` (not checked), or a pair of int32 numpy arrays.
        edge_weight: (E,) or None.
        num_nodes: N, below 2^31 - 1.
        directed: False stores both directions of every edge. Repeats are summed, in both directions together; but
            when the list holds every edge in both directions with equal weights, it is taken as symmetric already and
            the two directions are one edge.
        keep_self_loops: keep edges from a node to itself (once).

    Example:
        >>> result = canonical_edges(torch.tensor([[2, 0, 0, 1], [1, 1, 1, 1]]), None, 3, directed=False)
        >>> result.edge_index.tolist(), result.merged, result.self_loops
        ([[1, 0, 2, 1], [0, 1, 1, 2]], 1, 1)
    """
    if num_nodes > _MAX_NODES:
        raise GraphrepError(f"The graph has {num_nodes} nodes; at most {_MAX_NODES} are supported.")
    source, destination = (_int32(part) for part in edge_index)
    weighted = edge_weight is not None
    weight, dtype = _float64(edge_weight)
    pointer, code, weight, loops = sort_pairs(source, destination, weight, num_nodes, directed, keep_self_loops)
    low, total, forward, mirrored, single = _merge(pointer, code, weight, weighted)
    mirrored = bool(mirrored and not directed and low.size > 0)
    components, isolated = count_components(pointer, low)
    kept_loops = int(loops) if keep_self_loops else 0
    if directed:
        single = one_way(pointer, low)
        edges, out_weight = _directed_edges(pointer, low), total
    else:
        edges, out_weight = both_directions(pointer, low, forward if mirrored else total)
    given = source.size - int(loops) + kept_loops
    distinct = low.size if directed or not mirrored else 2 * low.size - count_loops(pointer, low)
    return Canonical(
        edge_index=torch.from_numpy(edges),
        edge_weight=torch.from_numpy(out_weight.astype(dtype)) if weighted else None,
        edges=int(low.size),
        merged=int(given - distinct),
        mirrored=mirrored,
        self_loops=int(loops),
        one_way=int(single),
        components=int(components),
        isolated=int(isolated),
    )


def _int32(part: Any) -> Any:
    array = part.detach().cpu().numpy() if isinstance(part, Tensor) else part
    return np.ascontiguousarray(array, dtype=np.int32)


def _float64(weight: Any | None) -> tuple[Any, Any]:
    if weight is None:
        return np.empty(0, dtype=np.float64), np.float32
    array = weight.detach().cpu() if isinstance(weight, Tensor) else weight
    if isinstance(array, Tensor):
        array = (array if array.dtype in (torch.float32, torch.float64) else array.float()).numpy()
    dtype = np.float64 if array.dtype == np.float64 and isinstance(weight, Tensor) else np.float32
    return np.ascontiguousarray(array, dtype=np.float64), dtype


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _merge(pointer: Any, code: Any, weight: Any, weighted: bool) -> Any:
    """Merges equal pairs and makes `pointer` point into the merged list.

    Returns low (E,), the summed weights, the sums of the forward direction alone, whether every pair occurs in both
    directions with equal sums, and the number of pairs with one direction only.
    """
    low_out = np.empty(code.size, dtype=np.int32)
    total = np.empty(code.size if weighted else 0, dtype=np.float64)
    forward = np.empty(total.size, dtype=np.float64)
    mirrored, one_way, k, begin = True, 0, 0, 0
    for high in range(pointer.size - 1):
        end = pointer[high + 1]
        p = begin
        while p < end:
            low = code[p] >> 1
            q, back = p, 0
            while q < end and code[q] >> 1 == low:
                back += code[q] & 1
                q += 1
            both = (0 < back < q - p) or low == high
            one_way += not both
            low_out[k] = low
            mirrored = mirrored and both
            if weighted:
                total[k], forward[k], backward = _sums(weight[p:q], code[p:q])
                mirrored = mirrored and (forward[k] == backward or low == high)
            k += 1
            p = q
        begin = end
        pointer[high + 1] = k
    return low_out[:k].copy(), total[: k if weighted else 0], forward[: k if weighted else 0], mirrored, one_way


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sums(weight: Any, code: Any) -> Any:
    """All, forward and backward sums of one edge's weights, each over sorted values."""
    if weight.size == 1:
        return weight[0], weight[0], weight[0]
    everything, forward, backward = 0.0, 0.0, 0.0
    order = np.argsort(weight)
    for i in order:
        everything += weight[i]
        if code[i] & 1:
            backward += weight[i]
        else:
            forward += weight[i]
    return everything, forward, backward


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _directed_edges(pointer: Any, low: Any) -> Any:
    edges = np.empty((2, low.size), dtype=np.int64)
    for high in range(pointer.size - 1):
        for p in range(pointer[high], pointer[high + 1]):
            edges[0, p] = low[p]
            edges[1, p] = high
    return edges
