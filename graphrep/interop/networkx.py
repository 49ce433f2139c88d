"""Graphs of networkx: simple, directed and multigraphs, with weights, features, labels and any hashable nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from graphrep.data.graph import Graph
from graphrep.errors import DTypeError, GraphrepError, MissingFeaturesError

__all__ = ["from_networkx", "to_networkx"]


def from_networkx(
    graph: Any, *, weight: str | None = "weight", features: str | Sequence[str] | None = None, label: str | None = None
) -> Graph:
    """A graph whose rows follow ``graph.nodes``.

    An undirected networkx graph stores both directions of every edge (a self-loop once), a directed one only those it
    has; parallel edges stay separate. Nodes that are 0..N-1 in order need no ids; other integers become integer ids,
    everything else its text.

    Args:
        graph: ``Graph``, ``DiGraph``, ``MultiGraph`` or ``MultiDiGraph``.
        weight: edge attribute; edges without it count 1, and if no edge has it the graph is unweighted.
        features: node attribute that holds a vector, or several that hold a number each; default ``x`` if every node
            has it.
        label: node attribute with class numbers; default ``y`` if every node has it.

    Raises:
        MissingFeaturesError: a node lacks an attribute that was asked for.
        GraphrepError: two nodes have the same text.

    Example:
        >>> import networkx as nx
        >>> g = from_networkx(nx.Graph([("b", "a", {"weight": 2.0})]))
        >>> g.ids.tolist(), g.edge_index.tolist(), g.edge_weight.tolist()
        (['b', 'a'], [[0, 1], [1, 0]], [2.0, 2.0])
    """
    number = {node: i for i, node in enumerate(graph.nodes)}
    links = list(graph.edges(data=True))
    ends = np.array([(number[u], number[v]) for u, v, _ in links], dtype=np.int64).reshape(-1, 2).T
    values = None
    if weight is not None and any(weight in data for _, _, data in links):
        values = np.array([data.get(weight, 1.0) for _, _, data in links], dtype=np.float32)
    if not graph.is_directed():
        back = ends[::-1, ends[0] != ends[1]]
        values = None if values is None else np.concatenate([values, values[ends[0] != ends[1]]])
        order = _interleave(ends)
        ends = np.concatenate([ends, back], axis=1)[:, order]
        values = None if values is None else values[order]
    x, names = _features(graph, features)
    y = _labels(graph, label)
    result = Graph(
        torch.from_numpy(np.ascontiguousarray(ends)), values, x, y, num_nodes=len(number), ids=_ids(list(number)),
        feature_names=names, name=graph.name or None,
    )  # fmt: skip
    if graph.is_directed():
        object.__setattr__(result, "_undirected", False)
    return result


def _interleave(ends: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Order that puts the reverse of each edge right behind it."""
    proper = ends[0] != ends[1]
    first = np.arange(ends.shape[1]) * 2
    return np.argsort(np.concatenate([first, first[proper] + 1]), kind="stable")


def _ids(nodes: list[Any]) -> Any:
    if all(isinstance(v, int) and not isinstance(v, bool) for v in nodes):
        return None if nodes == list(range(len(nodes))) else torch.tensor(nodes)
    texts = [str(v) for v in nodes]
    if len(set(texts)) != len(texts):
        twice = next(t for i, t in enumerate(texts) if t in texts[:i])
        raise GraphrepError(
            f'Two nodes have the same text "{twice}".', hint="networkx.relabel_nodes gives them distinct names"
        )
    return np.array(texts, dtype=str)


def _features(graph: Any, features: str | Sequence[str] | None) -> tuple[Any, tuple[str, ...] | None]:
    if features is None:
        if len(graph) == 0 or not all("x" in data for _, data in graph.nodes(data=True)):
            return None, None
        features = "x"
    names = (features,) if isinstance(features, str) else tuple(features)
    rows = [[_attribute(node, data, name) for name in names] for node, data in graph.nodes(data=True)]
    x = np.array(rows, dtype=np.float32)
    if isinstance(features, str) and x.ndim == 3:
        return x[:, 0], None
    return x, names


def _attribute(node: Any, data: dict[str, Any], name: str) -> Any:
    if name not in data:
        raise MissingFeaturesError(
            f'Node {node!r} has no attribute "{name}".', hint="give every node the attribute, or leave it out"
        )
    return data[name]


def _labels(graph: Any, label: str | None) -> Any:
    if label is None:
        if len(graph) == 0 or not all("y" in data for _, data in graph.nodes(data=True)):
            return None
        label = "y"
    values = np.array([_attribute(node, data, label) for node, data in graph.nodes(data=True)])
    if values.dtype.kind not in "biuf":
        raise DTypeError(f'Node attribute "{label}" holds no numbers.', hint="number the classes from 0")
    return values.astype(np.int64) if values.dtype.kind in "bi" else values


def to_networkx(graph: Graph, *, features: bool = True) -> Any:
    """A networkx graph: undirected if every edge is stored both ways, a multigraph if edges repeat.

    Nodes are the external ids; weights become the edge attribute ``weight``, features and labels the node attributes
    ``x`` (a list) and ``y``.

    Args:
        graph: the graph.
        features: False leaves ``x`` out.

    Example:
        >>> to_networkx(Graph(torch.tensor([[0, 1], [1, 0]]))).edges
        EdgeView([(0, 1)])
    """
    import networkx as nx

    nodes = list(range(graph.num_nodes)) if graph.ids is None else graph.ids.tolist()
    source, destination = (part.numpy() for part in graph.edge_index.cpu())
    keep = np.ones(len(source), dtype=bool)
    if undirected := graph.is_undirected():
        keep = source <= destination
    pairs = source[keep] * np.int64(graph.num_nodes) + destination[keep]
    multi = len(np.unique(pairs)) < len(pairs)
    kinds = {(False, False): nx.DiGraph, (False, True): nx.MultiDiGraph, (True, False): nx.Graph}
    result = kinds.get((undirected, multi), nx.MultiGraph)()
    result.add_nodes_from(nodes)
    ends = [(nodes[u], nodes[v]) for u, v in zip(source[keep].tolist(), destination[keep].tolist(), strict=True)]
    if graph.edge_weight is None:
        result.add_edges_from(ends)
    else:
        weights = graph.edge_weight.detach().cpu()[torch.from_numpy(keep)].tolist()
        result.add_edges_from((u, v, {"weight": w}) for (u, v), w in zip(ends, weights, strict=True))
    if features and graph.x is not None:
        dense = graph.x if graph.x.layout is torch.strided else graph.x.to_dense()
        nx.set_node_attributes(result, dict(zip(nodes, dense.detach().cpu().tolist(), strict=True)), "x")
    if graph.y is not None:
        nx.set_node_attributes(result, dict(zip(nodes, graph.y.cpu().tolist(), strict=True)), "y")
    result.name = graph.name or ""
    return result
