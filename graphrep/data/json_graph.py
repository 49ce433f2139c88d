"""networkx's JSON: node-link data (read and written; edges under ``links`` or ``edges``) and adjacency data (read)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

import numpy as np

from graphrep.data._bytes import text_bytes
from graphrep.data._listing import Listing, edge_rows, label_titles, node_rows
from graphrep.data.graph import Graph
from graphrep.errors import EdgeListError, FileFormatError, GraphrepError

__all__ = ["read_json", "write_json"]


def read_json(path: Path, *, weight: str | bool | int | None = None, **cleaning: Any) -> Graph:
    """Reads node-link or adjacency data as networkx writes them; :func:`graphrep.read` has the arguments.

    Raises:
        FileFormatError: not JSON, or of another shape.
        EdgeListError: an edge to a node that is not listed, or a weight that is no number.
    """
    data = _load(path)
    listing = Listing(path.name, "JSON", weight)
    directed = data.get("directed", False) is True
    nodes = data.get("nodes")
    edges = next((data[key] for key in ("links", "edges") if key in data), None)
    if not isinstance(nodes, list) or not isinstance(data.get("adjacency", edges), list):
        keys = ", ".join(list(data)[:8]) or "none"
        raise FileFormatError(
            f"{path.name} has the keys {keys[:200]}; no graph is known in that form.",
            hint="networkx.node_link_data(G), or adjacency_data(G): nodes with links, edges or adjacency",
        )
    names = [_node(listing, node, i) for i, node in enumerate(nodes)]
    if "adjacency" in data:
        _adjacency(listing, names, data["adjacency"], directed=directed)
    else:
        for i, edge in enumerate(edges or ()):
            _edge(listing, edge, i, directed=directed)
    graph = data.get("graph")
    title = graph.get("name") if isinstance(graph, dict) else None
    return listing.finish(cleaning, directed=directed, name=title if isinstance(title, str) else None)


def _load(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(text_bytes(path).tobytes())
    except (ValueError, RecursionError) as error:
        detail = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise FileFormatError(
            f"{path.name} is not JSON: {detail}.", hint="the file may be cut off; copy it again"
        ) from error
    if not isinstance(data, dict):
        raise FileFormatError(
            f"{path.name} holds a JSON {type(data).__name__}, not an object.", hint="networkx.node_link_data(G)"
        )
    return data


def _name(listing: Listing, value: Any, what: str) -> Any:
    """A node's id as something that can be looked up; lists stand for tuples."""
    if isinstance(value, list):
        return str(tuple(value))
    if value is None or isinstance(value, dict):
        raise EdgeListError(f"{listing.source}: {what} is {value!r}.", hint="ids are text or numbers")
    return str(value) if isinstance(value, bool | float) else value


def _node(listing: Listing, node: Any, i: int) -> Any:
    if not isinstance(node, dict) or "id" not in node:
        raise EdgeListError(f"{listing.source}: node {i} (from 0) has no id.", hint='{"id": "a", ...}')
    name = _name(listing, node["id"], f"the id of node {i} (from 0)")
    if name in listing.number:
        raise EdgeListError(f"{listing.source}: node {name!r} is listed twice.", hint="one entry per node")
    listing.node(name, {key: value for key, value in node.items() if key != "id"})
    return name


def _edge(listing: Listing, edge: Any, i: int, *, directed: bool) -> None:
    if not isinstance(edge, dict) or not {"source", "target"} <= edge.keys():
        raise EdgeListError(
            f"{listing.source}: edge {i} (from 0) lacks source or target.", hint='{"source": "a", "target": "b"}'
        )
    ends = [_name(listing, edge[end], f"the {end} of edge {i} (from 0)") for end in ("source", "target")]
    source, target = (listing.known(end, f", edge {i} (from 0)") for end in ends)
    listing.edge(source, target, edge, directed=directed)


def _adjacency(listing: Listing, names: list[Any], rows: list[Any], *, directed: bool) -> None:
    """Every node's neighbours; an undirected edge stands in the rows of both its ends and is taken from the first."""
    if len(rows) != len(names):
        raise EdgeListError(f"{listing.source}: {len(names)} nodes have {len(rows)} rows.", hint="one row per node")
    for i, row in enumerate(rows):
        if not isinstance(row, list):
            raise EdgeListError(f"{listing.source}: row {i} (from 0) of adjacency is no list.", hint="[[...], ...]")
        for entry in row:
            if not isinstance(entry, dict) or "id" not in entry:
                raise EdgeListError(f"{listing.source}: a neighbour in row {i} (from 0) has no id.", hint='{"id": "a"}')
            j = listing.known(_name(listing, entry["id"], f"a neighbour in row {i}"), f", row {i} (from 0)")
            if directed or i <= j:
                listing.edge(i, j, entry, directed=directed)


def write_json(graph: Graph, file: IO[bytes]) -> None:
    """Writes node-link data with the key ``edges``: ids, direction, weights, ``x`` (lists), ``y``, the graph's name.

    With names, features become one attribute per column, under those names.

    Raises:
        GraphrepError: a feature is called like another key of a node.
    """
    directed, edges = edge_rows(graph)
    titles = graph.feature_names
    clash = sorted({"id", "x", "y"} & set(titles or ()))
    if clash:
        raise GraphrepError(f'A feature is called "{clash[0]}", which means something else here.', hint="rename it")
    head = {"directed": directed, "multigraph": _repeats(graph), "graph": {"name": graph.name} if graph.name else {}}
    file.write((json.dumps(head)[:-1] + ', "nodes": [').encode())
    names = []
    for i, (name, features, label) in enumerate(node_rows(graph)):
        node = {"id": name}
        if graph.x is not None:
            node |= {"x": features} if titles is None else dict(zip(titles, features, strict=True))
        if label_titles(graph):
            node["y"] = label
        names.append(json.dumps(name))
        file.write(((",\n" if i else "\n") + json.dumps(node)).encode())
    file.write(b'\n], "edges": [')
    for i, (u, v, w) in enumerate(edges):
        weight = "" if w is None else f', "weight": {json.dumps(w)}'
        file.write(f'{"," if i else ""}\n{{"source": {names[u]}, "target": {names[v]}{weight}}}'.encode())
    file.write(b"\n]}\n")


def _repeats(graph: Graph) -> bool:
    source, target = (end.numpy() for end in graph.edge_index)
    pairs = source * np.int64(graph.num_nodes) + target
    return len(np.unique(pairs)) < len(pairs)
