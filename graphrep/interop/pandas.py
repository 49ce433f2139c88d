"""Tables: a row per edge and a row per node, for one type or for each of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from graphrep.data.graph import Graph
from graphrep.data.hetero import HeteroGraph
from graphrep.errors import DTypeError, GraphrepError
from graphrep.interop import _frames as frames
from graphrep.interop._splits import SPLITS, both_ways

__all__ = ["from_pandas", "to_pandas"]


def from_pandas(
    edges: Any,
    nodes: Any = None,
    *,
    source: str = "source",
    target: str = "target",
    weight: str | bool | None = None,
    id: str | None = None,
    features: Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    directed: bool | None = None,
    target_type: str | None = None,
) -> Graph | HeteroGraph:
    """A graph from a table of edges and, optionally, a table of nodes.

    Rows keep their order, and repeated rows are separate edges (:func:`graphrep.read` merges them).

    Args:
        edges: a row per edge; or such a table for each edge type (source type, relation, destination type), which
            gives a :class:`HeteroGraph` with the edges as listed.
        nodes: a row per node, in the order that the graph's rows get; by node type for typed edges. Without it the
            nodes are the sorted distinct end points.
        source: column of the sources, as node ids.
        target: column of the destinations.
        weight: column of the weights; default ``weight`` if there is one; False ignores weights.
        id: column of `nodes` with the ids; default its index.
        features: columns of `nodes` with a number each; default those that :func:`to_pandas` wrote.
        label: column of `nodes` with class numbers, or one 0/1 column per label; default ``y`` if there is one.
        directed: True takes the edges as they are. False stores both directions of each (a self-loop once), unless
            the table lists both already, with equal weights. Default: what :func:`to_pandas` noted in
            ``edges.attrs``, else False. Tables by type are always taken as they are.
        target_type: node type of the labels and splits of tables by type; default the only one that has them.

    Boolean columns ``train``, ``val``, ``test`` of `nodes` are the splits, and ``text`` is the text.

    Returns:
        The graph. Ids that are 0..N-1 in order are not kept in ``ids``.

    Raises:
        UnknownNameError: no such column.
        GraphrepError: an edge names a node that `nodes` lacks, or two nodes have the same id.
        DTypeError: ids that are neither integers nor text, or columns of numbers with something else.
        MissingExtraError: pandas is not installed.

    Example:
        >>> import pandas as pd
        >>> g = from_pandas(pd.DataFrame({"source": ["ann", "bob"], "target": ["bob", "cat"], "weight": [1.0, 2.0]}))
        >>> g.ids.tolist(), g.edge_index.tolist(), g.edge_weight.tolist()
        (['ann', 'bob', 'cat'], [[0, 1, 1, 2], [1, 0, 2, 1]], [1.0, 1.0, 2.0, 2.0])
    """
    pd = frames.pandas()
    ends = (source, target)
    if isinstance(edges, Mapping):
        if directed is not None:
            raise GraphrepError("directed does not apply to tables by type.", hint="the edges are taken as listed")
        from graphrep.interop._pandas_hetero import hetero_from_pandas

        return hetero_from_pandas(edges, nodes, ends, weight, id, features, label, target_type)
    if target_type is not None:
        raise GraphrepError(f'target_type="{target_type}" applies to tables by type.', hint="leave it out")
    for table in (edges, *([] if nodes is None else [nodes])):
        if not isinstance(table, pd.DataFrame):
            raise DTypeError(f"A {type(table).__name__} is no table.", hint="a pandas DataFrame")
    rows = [frames.ids_in(frames.column(edges, name), f'Column "{name}"') for name in ends]
    if nodes is None:
        ids = frames.distinct(rows)
    else:
        ids = frames.ids_in(nodes.index if id is None else frames.column(nodes, id), "The id of the nodes")
    ends_found = np.stack([frames.place(ids, row, f'Column "{name}"') for row, name in zip(rows, ends, strict=True)])
    parts: dict[str, Any] = {
        "num_nodes": len(ids),
        "ids": frames.kept_ids(ids),
        "name": frames.notes(edges).get("name"),
    }
    if nodes is not None:
        parts["x"], parts["feature_names"] = frames.features_in(nodes, features)
        parts["y"], parts["text"] = frames.labels_in(nodes, label), frames.text_in(nodes)
        splits = frames.splits_in(nodes)
        parts.update({f"{key}_idx": splits[key] for key in SPLITS if key in splits})
    weights = frames.numbers_in(edges, weight, "weight")
    if directed is None:
        directed = bool(frames.notes(edges).get("directed", False))
    graph = Graph(torch.from_numpy(ends_found), weights, **parts, directed=True if directed else None)
    if directed or graph.is_undirected():
        return graph
    both, weights = both_ways(ends_found, graph.edge_weight)
    return graph.replace(edge_index=both, edge_weight=weights)


def to_pandas(graph: Graph | HeteroGraph) -> tuple[Any, Any]:
    """A table of the edges and a table of the nodes; for a :class:`HeteroGraph` a dict of tables by type of each.

    Edges have the columns ``source`` and ``target``, which hold external ids, and ``weight`` if there are weights.
    Every stored edge of a directed graph is a row; an edge of an undirected one is a row once, from the smaller node
    number to the larger. Nodes have the ids as the index, a column per feature (sparse columns for sparse features,
    without zeros that were stored), ``y`` (``y0``, ``y1``, ... for several labels), ``text``, and a boolean column per
    split. ``attrs`` of both note what :func:`from_pandas` needs to give the same graph back.

    Raises:
        GraphrepError: a feature has the name of another column.
        MissingExtraError: pandas is not installed.

    Example:
        >>> edges, nodes = to_pandas(Graph([[0, 1], [1, 0]], [2.0, 2.0], y=[1, 0], ids=["a", "b"]))
        >>> edges.to_dict("records"), nodes["y"].to_dict()
        ([{'source': 'a', 'target': 'b', 'weight': 2.0}], {'a': 1, 'b': 0})
    """
    frames.pandas()
    if isinstance(graph, HeteroGraph):
        from graphrep.interop._pandas_hetero import hetero_to_pandas

        return hetero_to_pandas(graph)
    source, target = graph.edge_index
    weight = graph.edge_weight
    if undirected := graph.is_undirected():
        keep = source <= target
        source, target, weight = source[keep], target[keep], None if weight is None else weight[keep]
    edges = frames.edge_frame(source, target, weight, graph.ids, graph.ids)
    edges.attrs["graphrep"].update(directed=not undirected, name=graph.name)
    splits = {key: index for key in SPLITS if (index := getattr(graph, f"{key}_idx")) is not None}
    nodes = frames.node_frame(
        graph.num_nodes, graph.ids, graph.x, graph.y, graph.text, splits, graph.feature_names
    )  # fmt: skip
    return edges, nodes
