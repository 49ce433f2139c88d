"""GraphML, read and written: one graph, attributes declared by ``key`` elements, direction stated by the file."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from graphrep.data._listing import Listing, edge_rows, feature_titles, label_titles, label_values, node_rows
from graphrep.data._xml import escape, flush_lines, parse_xml, typed_value
from graphrep.data.graph import Graph
from graphrep.errors import FileFormatError

__all__ = ["read_graphml", "write_graphml"]


def read_graphml(path: Path, *, weight: str | bool | int | None = None, **cleaning: Any) -> Graph:
    """Reads the one graph of a GraphML file; :func:`graphrep.read` has the arguments.

    Raises:
        FileFormatError: not GraphML, several or nested graphs, hyperedges, document types or entities.
        EdgeListError: an edge to a node that is not listed, or a weight that is no number.
    """
    parser = _GraphML(path.name, weight)
    parse_xml(path, "graphml", parser.start, parser.end)
    if parser.graphs == 0:
        raise FileFormatError(f"{path.name} holds no <graph>.", hint="the file may be cut off")
    parser.resolve()
    return parser.listing.finish(cleaning, directed=parser.directed, name=parser.names.get("name"))


class _GraphML:
    def __init__(self, source: str, weight: str | bool | int | None) -> None:
        self.source = source
        self.listing = Listing(source, "GraphML", weight)
        self.keys: dict[str, tuple[str, str, str]] = {}  # id -> (for, name, type)
        self.defaults: dict[str, dict[str, Any]] = {"node": {}, "edge": {}}
        self.graphs, self.directed = 0, False
        self.names: dict[str, Any] = {}
        self.key = self.data = ""
        self.owner: dict[str, Any] | None = None
        self.pending: list[tuple[str, str, bool, str]] = []
        self.edge_data: list[dict[str, Any]] = []

    def start(self, tag: str, attributes: dict[str, str], place: str) -> None:
        if tag == "key":
            self.key = attributes.get("id", "")
            names = attributes.get("attr.name", self.key), attributes.get("attr.type", "string")
            self.keys[self.key] = attributes.get("for", "all"), *names
        elif tag == "graph":
            self._graph(attributes, place)
        elif tag == "node":
            name = self._required(attributes, "id", "node", place)
            number = self.listing.node(name, dict(self.defaults["node"]))
            self.owner = self.listing.attributes[number]
        elif tag == "edge":
            ends = [self._required(attributes, end, "edge", place) for end in ("source", "target")]
            directed = typed_value(attributes.get("directed", str(self.directed)), "boolean") is True
            self.owner = dict(self.defaults["edge"])
            self.pending.append((ends[0], ends[1], directed, place))
            self.edge_data.append(self.owner)
        elif tag == "hyperedge":
            raise FileFormatError(
                f"{self.source}{place}: hyperedges are not read.", hint="edges between two nodes only"
            )
        elif tag == "data":
            self.data = attributes.get("key", "")

    def end(self, tag: str, text: str) -> None:
        if tag == "default" and self.key in self.keys:
            domain, name, kind = self.keys[self.key]
            for owner in ("node", "edge"):
                if domain in (owner, "all"):
                    self.defaults[owner][name] = typed_value(text, kind)
        elif tag == "data":
            _, name, kind = self.keys.get(self.data, ("", self.data, "string"))
            if self.owner is not None:
                self.owner[name] = typed_value(text, kind)
            else:
                self.names[name] = text.strip()
        elif tag in ("node", "edge"):
            self.owner = None

    def _graph(self, attributes: dict[str, str], place: str) -> None:
        if self.graphs:
            raise FileFormatError(
                f"{self.source}{place}: a second or nested graph begins; one graph per file is read.",
                hint="split the file",
            )
        self.graphs = 1
        self.directed = attributes.get("edgedefault", "undirected") == "directed"

    def _required(self, attributes: dict[str, str], key: str, tag: str, place: str) -> str:
        if not self.graphs or key not in attributes:
            what = f"has no {key}" if self.graphs else "stands outside a graph"
            raise FileFormatError(f"{self.source}{place}: a {tag} {what}.", hint="the file is no complete GraphML")
        return attributes[key]

    def resolve(self) -> None:
        """Joins the edges to their nodes, which may stand behind them."""
        listing = self.listing
        for (source, target, directed, place), data in zip(self.pending, self.edge_data, strict=True):
            ends = listing.known(source, place), listing.known(target, place)
            listing.edge(*ends, data, directed=directed)
        listing.integers()


def write_graphml(graph: Graph, file: IO[bytes]) -> None:
    """Writes one graph: ids, direction, ``weight``, ``y`` and a key per feature column.

    Raises:
        GraphrepError: an id that XML cannot hold.
    """
    directed, edges = edge_rows(graph)
    titles = feature_titles(graph.feature_names, graph.num_features)
    kind = "long" if graph.y is not None and not graph.y.is_floating_point() else "double"
    labels = label_titles(graph)
    keys = [(f"x{i}", "node", title, "double") for i, title in enumerate(titles)]
    keys += [(f"l{i}", "node", title, kind) for i, title in enumerate(labels)]
    keys += [("w", "edge", "weight", "double")] if graph.edge_weight is not None else []
    out = ['<?xml version="1.0" encoding="UTF-8"?>', '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">']
    out += [
        f'<key id="{key}" for="{owner}" attr.name="{escape(name)}" attr.type="{type_}"/>'
        for key, owner, name, type_ in keys
    ]
    if graph.name:
        out.append('<key id="n" for="graph" attr.name="name" attr.type="string"/>')
    out.append(f'<graph edgedefault="{"directed" if directed else "undirected"}">')
    if graph.name:
        out.append(f'<data key="n">{escape(graph.name)}</data>')
    names = []
    for name, features, label in node_rows(graph):
        names.append(escape(name))
        data = "".join(f'<data key="x{i}">{value!r}</data>' for i, value in enumerate(features))
        data += "".join(f'<data key="l{i}">{value!r}</data>' for i, value in enumerate(label_values(label)))
        out.append(f'<node id="{names[-1]}">{data}</node>' if data else f'<node id="{names[-1]}"/>')
        flush_lines(out, file)
    for u, v, w in edges:
        data = "/>" if w is None else f'><data key="w">{w!r}</data></edge>'
        out.append(f'<edge source="{names[u]}" target="{names[v]}"{data}')
        flush_lines(out, file)
    out.append("</graph></graphml>")
    flush_lines(out, file, 0)
