"""Graphs of networkx: simple, directed and multigraphs, with weights, features, labels and any hashable nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data.graph import Graph
from graphrep.data.hetero import HeteroGraph
from graphrep.errors import DTypeError, GraphrepError, MissingFeaturesError
from graphrep.interop._splits import SPLITS, as_index, as_mask, both_ways, order_to_keep

__all__ = [
    "add_rows", "add_splits", "from_networkx", "ids_of", "labels_of", "precision", "rows_of", "splits_of", "text_of",
    "to_networkx", "with_dtype",
]  # fmt: skip


def from_networkx(
    graph: Any,
    *,
    weight: str | None = "weight",
    features: str | Sequence[str] | None = None,
    label: str | None = None,
    node_type: str | None = None,
    edge_type: str | None = None,
    target: str | None = None,
) -> Graph | HeteroGraph:
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
        node_type: node attribute with the type; it makes the result a :class:`HeteroGraph`, with nodes of a type in
            the order of ``graph.nodes``, ``x`` and ``y`` where all nodes of a type have them, and an undirected edge
            between two types stored once, from the type that comes first to the other. Default: what
            :func:`to_networkx` noted for a typed graph.
        edge_type: edge attribute with the relation, which is ``to`` for edges without it; default ``edge_type``.
        target: node type of the labels.

    What :func:`to_networkx` writes besides is taken over: the node attribute ``text``, the splits, and the precision
    of numbers.

    Raises:
        MissingFeaturesError: a node lacks an attribute that was asked for.
        GraphrepError: two nodes have the same text; or several node types have labels and `target` does not choose.

    Example:
        >>> import networkx as nx
        >>> g = from_networkx(nx.Graph([("b", "a", {"weight": 2.0})]))
        >>> g.ids.tolist(), g.edge_index.tolist(), g.edge_weight.tolist()
        (['b', 'a'], [[0, 1], [1, 0]], [2.0, 2.0])
    """
    if node_type is not None or {"node_type", "node_types"} <= graph.graph.keys():
        from graphrep.interop._networkx_hetero import hetero_from_networkx

        names = (node_type or graph.graph["node_type"], edge_type or "edge_type")
        return hetero_from_networkx(graph, *names, weight=weight, features=features, label=label, target=target)
    number = {node: i for i, node in enumerate(graph.nodes)}
    links = list(graph.edges(data=True))
    ends = np.array([(number[u], number[v]) for u, v, _ in links], dtype=np.int64).reshape(-1, 2).T
    values = None
    noted = graph.graph.get("edge_weight_dtype")
    if weight is not None and (noted or any(weight in data for _, _, data in links)):
        values = with_dtype([data.get(weight, 1.0) for _, _, data in links], noted or "float32")
    edges = torch.from_numpy(np.ascontiguousarray(ends))
    if not graph.is_directed():
        edges, values = both_ways(ends, values)
    rows = list(graph.nodes(data=True))
    x, feature_names = rows_of(rows, features, "float32" if features else graph.graph.get("x_dtype", "float32"))
    if features is None and x is not None:
        feature_names = graph.graph.get("feature_names", feature_names)
    splits: dict[str, Any] = {f"{key}_idx": index for key, index in splits_of(graph, rows).items() if key in SPLITS}
    result = Graph(
        edges, values, x, labels_of(rows, label, graph.graph.get("y_dtype")),
        num_nodes=len(number), ids=ids_of(list(number)), name=graph.name or None, text=text_of(rows),
        feature_names=feature_names, **splits,
    )  # fmt: skip
    if graph.is_directed():
        object.__setattr__(result, "_undirected", False)
    return result


def ids_of(nodes: list[Any]) -> Any:
    """External ids of nodes: none for 0..N-1, integers, or text."""
    if all(isinstance(v, int) and not isinstance(v, bool) for v in nodes):
        return None if nodes == list(range(len(nodes))) else torch.tensor(nodes)
    texts = [str(v) for v in nodes]
    if len(set(texts)) != len(texts):
        twice = next(t for i, t in enumerate(texts) if t in texts[:i])
        raise GraphrepError(
            f'Two nodes have the same text "{twice}".', hint="networkx.relabel_nodes gives them distinct names"
        )
    return np.array(texts, dtype=str)


def rows_of(
    nodes: list[tuple[Any, dict[str, Any]]], features: str | Sequence[str] | None, dtype: str
) -> tuple[Any, tuple[str, ...] | None]:
    """(N, F) features and their names out of (node, attributes) pairs."""
    if features is None:
        if not nodes or not all("x" in data for _, data in nodes):
            return None, None
        features = "x"
    names = (features,) if isinstance(features, str) else tuple(features)
    x = with_dtype([[_attribute(node, data, name) for name in names] for node, data in nodes], dtype)
    if isinstance(features, str) and x.dim() == 3:
        return x[:, 0], None
    return x, names


def _attribute(node: Any, data: dict[str, Any], name: str) -> Any:
    if name not in data:
        raise MissingFeaturesError(
            f'Node {node!r} has no attribute "{name}".', hint="give every node the attribute, or leave it out"
        )
    return data[name]


def labels_of(nodes: list[tuple[Any, dict[str, Any]]], label: str | None, dtype: str | None) -> Any:
    """(N,) or (N, C) labels out of (node, attributes) pairs."""
    if label is None:
        if not nodes or not all("y" in data for _, data in nodes):
            return None
        label = "y"
    values = np.array([_attribute(node, data, label) for node, data in nodes])
    if values.dtype.kind not in "biuf":
        raise DTypeError(f'Node attribute "{label}" holds no numbers.', hint="number the classes from 0")
    if dtype is not None:
        return with_dtype(values, dtype)
    return values.astype(np.int64) if values.dtype.kind in "bi" else values


def text_of(nodes: list[tuple[Any, dict[str, Any]]]) -> list[str] | None:
    """The attribute ``text`` if every node has it as a string."""
    texts = [text for _, data in nodes if isinstance(text := data.get("text"), str)]
    return texts if texts and len(texts) == len(nodes) else None


def add_rows(graph: Any, nodes: list[Any], x: Tensor | None, y: Tensor | None, text: Any) -> None:
    """Writes features (a list), labels and text as attributes of `nodes`."""
    for name, values in (("x", x), ("y", y)):
        if values is not None:
            dense = values if values.layout is torch.strided else values.to_dense()
            for node, value in zip(nodes, dense.detach().cpu().tolist(), strict=True):
                graph.nodes[node][name] = value
    if text is not None:
        for node, value in zip(nodes, text.tolist(), strict=True):
            graph.nodes[node]["text"] = value


def add_splits(graph: Any, nodes: list[Any], splits: Mapping[str, Tensor]) -> None:
    """Writes masks as attributes of `nodes`, and the nodes as a graph attribute where a mask would lose their order."""
    for key, index in splits.items():
        for node, inside in zip(nodes, as_mask(index, len(nodes)).tolist(), strict=True):
            graph.nodes[node][f"{key}_mask"] = inside
        if order_to_keep(index) is not None:
            graph.graph[f"{key}_idx"] = [nodes[i] for i in index.tolist()]


def splits_of(graph: Any, nodes: list[tuple[Any, dict[str, Any]]]) -> dict[str, Tensor]:
    """By name the splits that the attributes ``<name>_mask`` of some nodes tell, with true or false as values."""
    keys = dict.fromkeys(key for _, data in nodes for key, value in data.items() if isinstance(value, bool))
    number = {node: i for i, (node, _) in enumerate(nodes)}
    found = {}
    for key in (key.removesuffix("_mask") for key in keys if key.endswith("_mask")):
        mask = torch.tensor([data.get(f"{key}_mask") is True for _, data in nodes])
        order = [number[node] for node in graph.graph.get(f"{key}_idx", ()) if node in number]
        index = as_index(mask, order or None)
        if index is not None:
            found[key] = index
    return found


def precision(**parts: Tensor | None) -> dict[str, str]:
    """Graph attributes for what Python's numbers do not tell: the dtypes, as torch names them."""
    return {f"{name}_dtype": str(part.dtype).removeprefix("torch.") for name, part in parts.items() if part is not None}


def with_dtype(values: Any, dtype: str) -> Tensor:
    """A tensor of numbers in the dtype that :func:`precision` noted, which numpy need not know."""
    array = np.asarray(values, dtype=np.float32 if dtype == "float32" else None)
    return torch.from_numpy(np.array(array, dtype=np.float64 if array.dtype.kind not in "biuf" else None)).to(
        getattr(torch, dtype)
    )


def to_networkx(graph: Graph | HeteroGraph, *, features: bool = True) -> Any:
    """A networkx graph: undirected if every edge is stored both ways, a multigraph if edges repeat.

    Nodes are the external ids; weights become the edge attribute ``weight``, features, labels, text and splits the node
    attributes ``x`` (a list), ``y``, ``text`` and ``train_mask``, ``val_mask``, ``test_mask``.
    networkx groups edges by their source; edges of one source keep their order.

    Args:
        graph: the graph. A :class:`HeteroGraph` becomes a ``MultiDiGraph`` with nodes (type, id), the node attribute
            ``node_type`` and the edge attribute ``edge_type``.
        features: False leaves ``x`` out.

    Example:
        >>> to_networkx(Graph(torch.tensor([[0, 1], [1, 0]]))).edges
        EdgeView([(0, 1)])
    """
    import networkx as nx

    if isinstance(graph, HeteroGraph):
        from graphrep.interop._networkx_hetero import hetero_to_networkx

        return hetero_to_networkx(graph, features)
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
    add_rows(result, nodes, graph.x if features else None, graph.y, graph.text)
    result.graph.update(precision(edge_weight=graph.edge_weight, x=graph.x if features else None, y=graph.y))
    add_splits(result, nodes, {key: index for key in SPLITS if (index := getattr(graph, f"{key}_idx")) is not None})
    if features and graph.feature_names is not None:
        result.graph["feature_names"] = graph.feature_names
    result.name = graph.name or ""
    return result
