"""Typed graphs as networkx graphs whose nodes and edges have their type as an attribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphrep.data.hetero import EdgeType, HeteroGraph
from graphrep.errors import MissingFeaturesError
from graphrep.interop._splits import labelled_type
from graphrep.interop.networkx import (
    add_rows,
    add_splits,
    ids_of,
    labels_of,
    precision,
    rows_of,
    splits_of,
    text_of,
    with_dtype,
)

__all__ = ["hetero_from_networkx", "hetero_to_networkx"]


def hetero_from_networkx(
    graph: Any,
    node_type: str,
    edge_type: str,
    *,
    weight: str | None,
    features: str | Sequence[str] | None,
    label: str | None,
    target: str | None,
) -> HeteroGraph:
    """See :func:`graphrep.from_networkx`."""
    noted = graph.graph
    rows: dict[str, list[tuple[Any, dict[str, Any]]]] = {key: [] for key in noted.get("node_types", ())}
    place: dict[Any, tuple[str, int]] = {}
    for node, data in graph.nodes(data=True):
        if node_type not in data:
            raise MissingFeaturesError(
                f'Node {node!r} has no attribute "{node_type}".', hint="give every node its type"
            )
        key = str(data[node_type])
        place[node] = (key, len(rows.setdefault(key, [])))
        rows[key].append((node, data))
    edges, weights = _edges(graph, place, list(rows), edge_type, weight)
    x = {
        key: rows_of(part, _shared(part, features), noted.get(f"x_{key}_dtype", "float32"))[0]
        for key, part in rows.items()
    }
    labelled = [key for key, part in rows.items() if part and all((label or "y") in data for _, data in part)]
    splits = {key: splits_of(graph, part) for key, part in rows.items()}
    masked = [key for key, part in splits.items() if part]
    target = labelled_type(rows, labelled, masked, target or noted.get("target"))
    text = {key: text_of(part) for key, part in rows.items()}
    return HeteroGraph(
        edges, weights, {key: part for key, part in x.items() if part is not None},
        labels_of(rows[target], label, noted.get("y_dtype")) if target in labelled else None,
        num_nodes={key: len(part) for key, part in rows.items()}, target=target, splits=splits.get(target or "", {}),
        ids={key: ids for key, part in rows.items() if (ids := _ids(part, key)) is not None},
        text={key: part for key, part in text.items() if part is not None}, name=graph.name or None,
        metapaths=noted.get("metapaths", ()),
    )  # fmt: skip


def _shared(rows: list[tuple[Any, dict[str, Any]]], features: str | Sequence[str] | None) -> Any:
    """`features` where some node of this type has one of them; a type that has none stays without."""
    if features is None:
        return None
    names = (features,) if isinstance(features, str) else tuple(features)
    return features if any(name in data for _, data in rows for name in names) else None


def _ids(rows: list[tuple[Any, dict[str, Any]]], key: str) -> Any:
    """Ids of the nodes of a type; of nodes (type, id), as :func:`hetero_to_networkx` names them, the second part."""
    nodes = [node for node, _ in rows]
    pairs = all(isinstance(node, tuple) and len(node) == 2 and node[0] == key for node in nodes)
    return ids_of([node[1] for node in nodes] if pairs else nodes)


def _edges(
    graph: Any, place: dict[Any, tuple[str, int]], types: list[str], edge_type: str, weight: str | None
) -> tuple[dict[EdgeType, Any], dict[EdgeType, Any]]:
    """Edges and weights by edge type, in the order of ``graph.edges``, or of their positions where these are noted."""
    found: dict[EdgeType, list[tuple[int, int, int, float | None]]] = {
        tuple(key): [] for key in graph.graph.get("edge_types", ())
    }
    rank = {key: i for i, key in enumerate(types)}
    for u, v, data in graph.edges(data=True):
        ends = [(place[u], place[v])]
        if not graph.is_directed():
            if rank[place[u][0]] > rank[place[v][0]]:
                ends = [(place[v], place[u])]
            elif place[u][0] == place[v][0] and u != v:
                ends.append((place[v], place[u]))
        for (source, i), (destination, j) in ends:
            key = (source, str(data.get(edge_type, "to")), destination)
            value = None if weight is None else data.get(weight)
            found.setdefault(key, []).append((int(data.get("edge_position", 0)), i, j, value))
    edges, weights = {}, {}
    for key, rows in found.items():
        rows.sort(key=lambda row: row[0])
        edges[key] = np.array([row[1:3] for row in rows], dtype=np.int64).reshape(-1, 2).T.copy()
        noted = None if weight is None else graph.graph.get(f"edge_weight_{'_'.join(key)}_dtype")
        if noted or any(row[3] is not None for row in rows):
            weights[key] = with_dtype([1.0 if row[3] is None else row[3] for row in rows], noted or "float32")
    return edges, weights


def hetero_to_networkx(graph: HeteroGraph, features: bool) -> Any:
    """See :func:`graphrep.to_networkx`."""
    import networkx as nx

    result = nx.MultiDiGraph()
    nodes = {
        key: [(key, value) for value in (graph.ids[key].tolist() if key in graph.ids else range(count))]
        for key, count in graph.num_nodes.items()
    }
    for key, named in nodes.items():
        result.add_nodes_from(named, node_type=key)
        own = key == graph.target
        x = graph.x.get(key) if features else None
        add_rows(result, named, x, graph.y if own else None, graph.text.get(key))
        result.graph.update(precision(**{f"x_{key}": x}))
    for edge_type, edges in graph.edge_index.items():
        weight = graph.edge_weight.get(edge_type)
        values = [None] * edges.shape[1] if weight is None else weight.detach().cpu().tolist()
        for position, (u, v, value) in enumerate(zip(*edges.tolist(), values, strict=True)):
            data = {"edge_type": edge_type[1], "edge_position": position}
            data.update({} if value is None else {"weight": value})
            result.add_edge(nodes[edge_type[0]][u], nodes[edge_type[2]][v], **data)
        if weight is not None:
            result.graph.update(precision(**{f"edge_weight_{'_'.join(edge_type)}": weight}))
    result.graph.update(node_type="node_type", node_types=graph.node_types, edge_types=graph.edge_types)
    result.graph.update(precision(y=graph.y))
    if graph.target is not None:
        result.graph["target"] = graph.target
        add_splits(result, nodes[graph.target], graph.splits)
    if graph.metapaths:
        result.graph["metapaths"] = graph.metapaths
    result.name = graph.name or ""
    return result
