"""Small real graphs built at run time from data that scikit-learn and networkx install; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from graphrep.data.canonical import canonical_edges
from graphrep.data.graph import Graph

__all__ = ["BUILDERS", "nearest_neighbor_edges"]


def _digits() -> Graph:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    edges = nearest_neighbor_edges(bunch.data.astype(np.float64), 10)
    result = canonical_edges(torch.from_numpy(edges), None, len(bunch.data), directed=False)
    x, y = torch.from_numpy(bunch.data.astype(np.float32)), torch.from_numpy(bunch.target.astype(np.int64))
    return Graph._canonical(
        result.edge_index, None, len(x), undirected=True,
        x=x, y=y, feature_names=[str(n) for n in bunch.feature_names], name="digits",
    )  # fmt: skip


def nearest_neighbor_edges(x: np.ndarray[Any, Any], k: int, *, block: int = 256) -> np.ndarray[Any, Any]:
    """Edges from each row's `k` nearest other rows by squared Euclidean distance, O(block x N) memory.

    For whole numbers the distances are exact, and ties go to the smaller index, so that the edges are the same on
    every machine.

    Args:
        x: (N, F) float64.
        k: neighbours per row, below N.
        block: rows at a time.

    Returns:
        (2, N k) int64: row 0 the neighbours, row 1 the rows they belong to.
    """
    norms = (x * x).sum(1)
    nearest = np.empty((len(x), k), dtype=np.int64)
    for start in range(0, len(x), block):
        rows = np.arange(start, min(start + block, len(x)))
        distance = norms[rows, None] + norms[None, :] - 2.0 * (x[rows] @ x.T)
        distance[np.arange(len(rows)), rows] = np.inf
        nearest[rows] = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return np.stack([nearest.reshape(-1), np.repeat(np.arange(len(x)), k)])


def _karate() -> Graph:
    import networkx as nx

    club = nx.karate_club_graph()
    y = [int(club.nodes[v]["club"] == "Officer") for v in club]
    return _from_networkx(club, y, "karate")


def _lesmis() -> Graph:
    import networkx as nx

    return _from_networkx(nx.les_miserables_graph(), None, "lesmis")


def _davis() -> Graph:
    import networkx as nx

    women = nx.davis_southern_women_graph()
    return _from_networkx(women, [women.nodes[v]["bipartite"] for v in women], "davis")


def _from_networkx(graph: Any, y: list[int] | None, name: str) -> Graph:
    from graphrep.data.read import as_graph

    found = as_graph(graph)
    result = canonical_edges(found.edge_index, found.edge_weight, found.num_nodes, directed=False)
    return Graph._canonical(
        result.edge_index, result.edge_weight, found.num_nodes, undirected=True,
        ids=found.ids, y=None if y is None else torch.tensor(y), name=name,
    )  # fmt: skip


def _pydocs() -> Graph:
    from graphrep.data.embedded_pydocs import pydocs

    return pydocs()


BUILDERS: dict[str, Callable[[], Graph]] = {
    "digits": _digits, "karate": _karate, "lesmis": _lesmis, "davis": _davis, "pydocs": _pydocs,
}  # fmt: skip
