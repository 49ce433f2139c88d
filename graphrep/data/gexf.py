"""GEXF (Gephi's format), read and written: one static graph, attributes declared once, direction stated by the file."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from graphrep.data._listing import Listing, edge_rows, feature_titles, label_titles, label_values, node_rows
from graphrep.data._xml import escape, flush_lines, parse_xml, typed_value
from graphrep.data.graph import Graph
from graphrep.errors import FileFormatError

__all__ = ["read_gexf", "write_gexf"]


def read_gexf(path: Path, *, weight: str | bool | int | None = None, **cleaning: Any) -> Graph:
    """Reads the graph of a GEXF file; :func:`graphrep.read` has the arguments.

    Times are ignored: a dynamic graph is read as the union of its moments. Nodes inside nodes are read as nodes.

    Raises:
        FileFormatError: not GEXF, document types or entities.
        EdgeListError: an edge to a node that is not listed, or a weight that is no number.
    """
    parser = _Gexf(path.name, weight)
    parse_xml(path, "gexf", parser.start, parser.end)
    if parser.graphs == 0:
        raise FileFormatError(f"{path.name} holds no <graph>.", hint="the file may be cut off")
    parser.resolve()
    return parser.listing.finish(cleaning, directed=parser.directed)


class _Gexf:
    def __init__(self, source: str, weight: str | bool | int | None) -> None:
        self.source = source
        self.listing = Listing(source, "GEXF", weight)
        self.titles: dict[tuple[str, str], tuple[str, str]] = {}  # (class, id) -> (title, type)
        self.defaults: dict[str, dict[str, Any]] = {"node": {}, "edge": {}}
        self.graphs, self.directed, self.kind, self.attribute = 0, False, "node", ""
        self.owners: list[tuple[str, dict[str, Any]]] = []
        self.pending: list[tuple[str, str, bool, str]] = []
        self.edge_data: list[dict[str, Any]] = []

    def start(self, tag: str, attributes: dict[str, str], place: str) -> None:
        if tag == "graph":
            if self.graphs:
                raise FileFormatError(f"{self.source}{place}: a second graph begins.", hint="split the file")
            self.graphs, self.directed = 1, attributes.get("defaultedgetype") == "directed"
        elif tag == "attributes":
            self.kind = attributes.get("class", "node")
        elif tag == "attribute":
            self.attribute = attributes.get("id", "")
            declared = attributes.get("title", self.attribute), attributes.get("type", "string")
            self.titles[self.kind, self.attribute] = declared
        elif tag == "node":
            number = self.listing.node(self._required(attributes, "id", "node", place), dict(self.defaults["node"]))
            self.owners.append(("node", self.listing.attributes[number]))
        elif tag == "edge":
            ends = [self._required(attributes, end, "edge", place) for end in ("source", "target")]
            data = dict(self.defaults["edge"])
            if "weight" in attributes:
                data["weight"] = typed_value(attributes["weight"], "double")
            kind = attributes.get("type")
            self.pending.append((ends[0], ends[1], kind == "directed" if kind else self.directed, place))
            self.edge_data.append(data)
            self.owners.append(("edge", data))
        elif tag == "attvalue" and self.owners:
            kind, owner = self.owners[-1]
            key = attributes.get("for", attributes.get("id", ""))
            title, form = self.titles.get((kind, key), (key, "string"))
            owner[title] = typed_value(attributes.get("value", ""), form)

    def end(self, tag: str, text: str) -> None:
        if tag == "default" and (self.kind, self.attribute) in self.titles:
            title, form = self.titles[self.kind, self.attribute]
            self.defaults.setdefault(self.kind, {})[title] = typed_value(text, form)
        elif tag in ("node", "edge") and self.owners:
            self.owners.pop()

    def _required(self, attributes: dict[str, str], key: str, tag: str, place: str) -> str:
        if not self.graphs or key not in attributes:
            what = f"has no {key}" if self.graphs else "stands outside a graph"
            raise FileFormatError(f"{self.source}{place}: a {tag} {what}.", hint="the file is no complete GEXF")
        return attributes[key]

    def resolve(self) -> None:
        """Joins the edges to their nodes, which may stand behind them."""
        for (source, target, directed, place), data in zip(self.pending, self.edge_data, strict=True):
            ends = self.listing.known(source, place), self.listing.known(target, place)
            self.listing.edge(*ends, data, directed=directed)
        self.listing.integers()


def write_gexf(graph: Graph, file: IO[bytes]) -> None:
    """Writes one static graph: ids (also as labels), direction, weights, ``y`` and an attribute per feature column.

    Raises:
        GraphrepError: an id that XML cannot hold.
    """
    directed, edges = edge_rows(graph)
    kind = "long" if graph.y is not None and not graph.y.is_floating_point() else "double"
    titles = [(escape(t), "double") for t in feature_titles(graph.feature_names, graph.num_features)]
    titles += [(t, kind) for t in label_titles(graph)]
    out = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<gexf xmlns="http://gexf.net/1.3" version="1.3">',
        f'<graph mode="static" defaultedgetype="{"directed" if directed else "undirected"}">',
    ]
    if titles:
        out.append('<attributes class="node">')
        out += [f'<attribute id="{i}" title="{title}" type="{form}"/>' for i, (title, form) in enumerate(titles)]
        out.append("</attributes>")
    out.append("<nodes>")
    names = []
    for name, features, label in node_rows(graph):
        names.append(escape(name))
        values = enumerate([*features, *label_values(label)])
        data = "".join(f'<attvalue for="{i}" value="{value!r}"/>' for i, value in values)
        data = f"><attvalues>{data}</attvalues></node>" if data else "/>"
        out.append(f'<node id="{names[-1]}" label="{names[-1]}"{data}')
        flush_lines(out, file)
    out += ["</nodes>", "<edges>"]
    for i, (u, v, w) in enumerate(edges):
        weight = "" if w is None else f' weight="{w!r}"'
        out.append(f'<edge id="{i}" source="{names[u]}" target="{names[v]}"{weight}/>')
        flush_lines(out, file)
    out.append("</edges></graph></gexf>")
    flush_lines(out, file, 0)
