"""GraphML, GEXF, GML and JSON: what is understood, compared with networkx, and the error for what is wrong."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import graphrep as gr
from graphrep.errors import EdgeListError, EmptyGraphError, FileFormatError, NonFiniteError, UnknownNameError


def node_link(graph: nx.Graph, path: Path, edges: str = "edges") -> None:
    path.write_text(json.dumps(nx.node_link_data(graph, edges=edges)))


WRITERS = {
    "graphml": nx.write_graphml_xml,
    "gexf": nx.write_gexf,
    "gml": nx.write_gml,
    "json": node_link,
    "links.json": lambda g, path: node_link(g, path, "links"),
    "adjacency.json": lambda g, path: path.write_text(json.dumps(nx.adjacency_data(g))),
}
KINDS = pytest.mark.parametrize("kind", WRITERS)


def put(folder: Path, kind: str, graph: nx.Graph) -> Path:
    path = folder / f"g.{kind}"
    WRITERS[kind](graph, path)
    return path


def links(graph: gr.Graph) -> Counter:
    ids = list(range(graph.num_nodes)) if graph.ids is None else graph.ids.tolist()
    weight = [1] * graph.num_edges if graph.edge_weight is None else graph.edge_weight.tolist()
    return Counter(
        (str(ids[u]), str(ids[v]), w) for (u, v), w in zip(graph.edge_index.t().tolist(), weight, strict=True)
    )


@KINDS
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("multi", [False, True])
def test_what_networkx_writes(tmp_path: Path, kind: str, directed: bool, multi: bool) -> None:
    graph = {(0, 0): nx.Graph, (1, 0): nx.DiGraph, (0, 1): nx.MultiGraph, (1, 1): nx.MultiDiGraph}[directed, multi]()
    graph.add_node("alone")
    graph.add_weighted_edges_from([("b", "é & <a>", 2.5), ("c", "b", 1.0), ("c", "c", 4.0)])
    if multi:
        graph.add_edge("b", "é & <a>", weight=3.0)
    expected = gr.from_networkx(graph)
    found = gr.read(put(tmp_path, kind, graph), raw=True)
    assert links(found) == links(expected)
    assert found.num_nodes == 4
    assert found.is_undirected() is not directed
    assert found.report.rows == graph.number_of_edges()
    assert (found.report.merged, found.report.self_loops) == (int(multi), 1)
    cleaned = gr.read(tmp_path / f"g.{kind}")
    assert cleaned.report.edges == 2
    assert cleaned.report.directed is directed
    assert cleaned.is_undirected() is not directed
    assert gr.read(tmp_path / f"g.{kind}", directed=not directed).is_undirected() is directed
    assert "each listed in both directions" not in cleaned.report.lines()[1]


@KINDS
def test_features_and_labels(tmp_path: Path, kind: str) -> None:
    graph = nx.path_graph(3)
    for i in graph:
        graph.nodes[i].update(size=i + 0.5, y=i % 2, colour="red", flag=True)
    graph.nodes[0]["sometimes"] = 1.0
    found = gr.read(put(tmp_path, kind, graph))
    if kind in ("graphml", "gexf"):
        assert found.ids is None
    assert found.y.tolist() == [0, 1, 0]
    names = dict(zip(found.feature_names, found.x.t().tolist(), strict=True))
    assert names["size"] == [0.5, 1.5, 2.5]
    assert "colour" not in names
    assert "sometimes" not in names


def test_labels_called_label(tmp_path: Path) -> None:
    graph = nx.path_graph(3)
    nx.set_node_attributes(graph, {0: 2, 1: 0, 2: 1}, "label")
    for kind in ("graphml", "json"):
        assert gr.read(put(tmp_path, kind, graph)).y.tolist() == [2, 0, 1]
    nx.set_node_attributes(graph, {0: "x", 1: "y", 2: "z"}, "label")
    for kind in ("graphml", "json"):
        assert gr.read(put(tmp_path, kind, graph)).y is None


@KINDS
def test_other_weights(tmp_path: Path, kind: str) -> None:
    graph = nx.DiGraph()
    graph.add_edge("a", "b", weight=2.0, km=5.0)
    graph.add_edge("b", "c", weight=3.0)
    path = put(tmp_path, kind, graph)
    assert links(gr.read(path)) == {("a", "b", 2): 1, ("b", "c", 3): 1}
    assert links(gr.read(path, weight="km")) == {("a", "b", 5): 1, ("b", "c", 1): 1}
    assert gr.read(path, weight=False).edge_weight is None
    with pytest.raises(UnknownNameError, match='no edge has an attribute "mass"'):
        gr.read(path, weight="mass")
    with pytest.raises(gr.GraphrepError, match="sep does not apply"):
        gr.read(path, sep=",")


def test_gml_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "g.gml"
    path.write_bytes(
        b'Creator "someone"\ngraph [\n  comment "x ] y"\n directed 0\n node [ id 5 label "caf\xe9" value 1 ]\n'
        b'  node [ id 7 label "b &amp; c" value 0 graphics [ x 1.5 y -.5e3 ] ]\n edge [ source 7 target 5 value 2 ] ]\n'
    )
    graph = gr.read(path)
    assert graph.ids.tolist() == ["café", "b & c"]
    assert graph.edge_weight.tolist() == [2, 2]
    assert graph.feature_names == ("value",)
    path.write_text('graph [ directed 1 node [ id 1 label "a" ] node [ id 2 label "a" ] edge [ source 1 target 2 ] ]')
    assert links(gr.read(path)) == {("1", "2", 1): 1}


def test_mixed_directions(tmp_path: Path) -> None:
    path = tmp_path / "g.graphml"
    path.write_text(
        '<graphml><graph edgedefault="undirected"><edge source="a" target="b" directed="true"/>'
        '<edge source="b" target="c"/><node id="a"/><node id="b"/><node id="c"/></graph></graphml>'
    )
    assert links(gr.read(path)) == {("a", "b", 1): 1, ("b", "c", 1): 1, ("c", "b", 1): 1}


XML_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<{kind}><graph>&b;</graph></{kind}>"
)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("g.graphml", XML_BOMB.replace("{kind}", "graphml"), FileFormatError, "line 1: .* document type or entities"),
        ("g.gexf", XML_BOMB.replace("{kind}", "gexf"), FileFormatError, "line 1: .* document type or entities"),
        ("g.graphml", "<graphml>" * 100, FileFormatError, "nested more than 64 deep"),
        ("g.graphml", "<gexf></gexf>", FileFormatError, "begins with <gexf>, not <graphml>"),
        ("g.graphml", "<graphml><graph>", FileFormatError, "line 1: not well-formed XML"),
        ("g.graphml", "<graphml></graphml>", FileFormatError, "holds no <graph>"),
        ("g.graphml", "<graphml><graph></graph></graphml>", EmptyGraphError, "lists no nodes"),
        ("g.graphml", "<graphml><graph/><graph/></graphml>", FileFormatError, "a second or nested graph"),
        ("g.graphml", "<graphml><graph><hyperedge/></graph></graphml>", FileFormatError, "hyperedges"),
        ("g.graphml", "<graphml><node id='a'/></graphml>", FileFormatError, "a node stands outside a graph"),
        ("g.graphml", "<graphml><graph><edge source='a'/></graph></graphml>", FileFormatError, "edge has no target"),
        (
            "g.graphml", "<graphml><graph><node id='a'/>\n<edge source='a' target='b'/></graph></graphml>",
            EdgeListError, "line 2: an edge refers to node 'b', which is not listed",
        ),
        ("g.graphml", '<?xml version="1.0" encoding="no-such"?><graphml/>', FileFormatError, "XML"),
        ("g.gexf", "<gexf/>", FileFormatError, "holds no <graph>"),
        (
            "g.gexf", '<gexf><graph><node id="a"/><edge source="a" target="a" weight="x"/></graph></gexf>',
            EdgeListError, 'weight "x" of edge 0',
        ),
        ("g.gml", "graph [ node [ id 0 ]", FileFormatError, "ends inside a block"),
        ("g.gml", "graph [ ] ]", FileFormatError, "line 1: a ] too many"),
        ("g.gml", "graph [\n node 5 ]", FileFormatError, "node 5 is no block"),
        ("g.gml", "graph [\n ; ]", FileFormatError, "line 2: .* is not understood"),
        ("g.gml", "graph [ a yes ]", FileFormatError, "no number or text"),
        ("g.gml", "x 1", FileFormatError, "holds 0 graphs"),
        ("g.gml", "a [ " * 100, FileFormatError, "nested more than 64 deep"),
        ("g.gml", "graph [ node [ id 0 ] node [ id 0 ] ]", FileFormatError, "an id of its own"),
        ("g.gml", "graph [ node [ id 0 ] edge [ source 0 target 1 ] ]", EdgeListError, "edge 0 .* runs from 0 to 1"),
        ("g.json", "[1, 2]", FileFormatError, "holds a JSON list"),
        ("g.json", "{", FileFormatError, "is not JSON"),
        ("g.json", '{"a":' + "[" * 100_000, FileFormatError, "is not JSON: it is nested too deep"),
        ("g.json", '{"vectors": []}', FileFormatError, "has the keys vectors"),
        ("g.json", '{"nodes": [{"id": 1}]}', FileFormatError, "has the keys nodes"),
        ("g.json", '{"nodes": [3], "edges": []}', EdgeListError, "node 0 .* has no id"),
        ("g.json", '{"nodes": [{"id": null}], "edges": []}', EdgeListError, "the id of node 0 .* is None"),
        ("g.json", '{"nodes": [{"id": 1}, {"id": 1}], "edges": []}', EdgeListError, "listed twice"),
        ("g.json", '{"nodes": [{"id": 1}], "edges": [{"source": 1}]}', EdgeListError, "edge 0 .* lacks source"),
        ("g.json", '{"nodes": [{"id": 1}], "links": [{"source": 1, "target": 2}]}', EdgeListError, "refers to node 2"),
        ("g.json", '{"nodes": [{"id": 1}], "adjacency": []}', EdgeListError, "1 nodes have 0 rows"),
        (
            "g.json", '{"nodes": [{"id": 1}], "edges": [{"source": 1, "target": 1, "weight": NaN}]}', NonFiniteError,
            "edge_weight has NaN",
        ),
        ("g.json", '{"nodes": [{"id": 1, "x": NaN}], "edges": []}', NonFiniteError, "Feature column 0 has NaN"),
    ],
)  # fmt: skip
def test_wrong_files(tmp_path: Path, name: str, content: str, error: type[Exception], message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(error, match=message):
        gr.read(tmp_path / name)


def test_json_ids_of_many_kinds(tmp_path: Path) -> None:
    nodes = [{"id": v} for v in (1, "a", 2.5, True, [1, "b"])]
    (tmp_path / "g.json").write_text(json.dumps({"nodes": nodes, "edges": [{"source": [1, "b"], "target": 2.5}]}))
    graph = gr.read(tmp_path / "g.json")
    assert graph.ids.tolist() == ["1", "a", "2.5", "True", "(1, 'b')"]
    assert graph.edge_index.tolist() == [[4, 2], [2, 4]]


def test_format_by_content(tmp_path: Path) -> None:
    graph = nx.path_graph(4)
    for kind in ("graphml", "gexf", "json"):
        put(tmp_path, kind, graph).rename(tmp_path / "unnamed")
        assert gr.read(tmp_path / "unnamed").num_edges == 6


def test_edges_of_large_weights_keep_double_precision(tmp_path: Path) -> None:
    graph = nx.Graph()
    graph.add_edge("a", "b", weight=0.1)
    found = gr.read(put(tmp_path, "graphml", graph))
    assert found.edge_weight.numpy().dtype == np.float64
    assert found.edge_weight.tolist() == [0.1, 0.1]
