"""Graphs written and read again: what each format keeps, for any graph that hypothesis thinks of."""

from __future__ import annotations

import gzip
import math
from collections import Counter
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphrep as gr
from graphrep.data import GraphWarning
from graphrep.data.writers import FORMATS, graph_format
from graphrep.errors import GraphrepError, NonFiniteError, UnknownNameError

LISTED = ("graphml", "gexf", "json")
ROWS = ("csv", "parquet")
WHOLE = ("npz", "pt")
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NUMBERS = st.floats(-(2.0**120), 2.0**120, width=32)  # sums of repeated edges stay finite
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co")), min_size=1, max_size=6)


@st.composite
def graphs(draw, *, rows_only: bool = False) -> gr.Graph:
    """Any graph: directed or not, with repeats and loops, perhaps weights, ids, features, labels and a split."""
    count = draw(st.integers(1, 6))
    node = st.integers(0, count - 1)
    edges = draw(st.lists(st.tuples(node, node, NUMBERS), min_size=int(rows_only), max_size=10))
    if not draw(st.booleans()):
        edges = [e for u, v, w in edges for e in ((u, v, w), (v, u, w))[: 1 if u == v else 2]]
    edge_index = torch.tensor([e[:2] for e in edges], dtype=torch.int64).reshape(-1, 2).t()
    weight = torch.tensor([e[2] for e in edges]) if draw(st.booleans()) else None
    ids = None
    if draw(st.booleans()):
        kind = draw(st.sampled_from(["text", "integers"]))
        values = WORDS.map(lambda t: f"a{t}") if kind == "text" else st.integers(-(10**16), 10**16)
        ids = draw(st.lists(values, min_size=count, max_size=count, unique=True))
    if rows_only:
        return gr.Graph(edge_index, weight, num_nodes=count, ids=ids)
    width = draw(st.integers(0, 3))
    x = torch.tensor(draw(st.lists(NUMBERS, min_size=count * width, max_size=count * width))).reshape(count, width)
    names = [f"f{i}" for i in range(width)] if draw(st.booleans()) and width else None
    y = draw(st.sampled_from([None, "classes", "matrix"]))
    y = None if y is None else torch.arange(count) % 2 if y == "classes" else torch.eye(count, 2, dtype=torch.int64)
    split = torch.arange(count)[: draw(st.integers(0, count))] if draw(st.booleans()) else None
    return gr.Graph(
        edge_index, weight, x if width else None, y, num_nodes=count, ids=ids, feature_names=names, train_idx=split
    )


def entries(graph: gr.Graph) -> Counter:
    """Stored entries as (source id, destination id, weight), counted."""
    ids = list(range(graph.num_nodes)) if graph.ids is None else graph.ids.tolist()
    weight = [None] * graph.num_edges if graph.edge_weight is None else graph.edge_weight.tolist()
    return Counter((ids[u], ids[v], w) for (u, v), w in zip(graph.edge_index.t().tolist(), weight, strict=True))


def name_of(kind: str, packed: bool = False) -> str:
    return "g" + FORMATS[kind][0] + (".gz" if packed else "")


@pytest.mark.parametrize("kind", [*WHOLE, *LISTED])
@given(graph=graphs())
@QUICK
def test_everything_survives(tmp_path: Path, kind: str, graph: gr.Graph) -> None:
    path = gr.write(graph, tmp_path / name_of(kind))
    again = gr.read(path, raw=True)
    assert entries(again) == entries(graph)
    assert again.is_undirected() == graph.is_undirected()
    assert again.num_nodes == graph.num_nodes
    ids = [None if g.ids is None else list(np.asarray(g.ids)) for g in (again, graph)]
    assert ids[0] == ids[1] or (ids[0] is None and ids[1] == list(range(graph.num_nodes)))
    for part in ("x", "y"):
        mine, theirs = getattr(again, part), getattr(graph, part)
        assert (mine is None) == (theirs is None)
        assert mine is None or torch.equal(mine, theirs)
    assert again.feature_names == graph.feature_names
    if kind in WHOLE:
        assert torch.equal(again.edge_index, graph.edge_index)
        splits = [None if g.train_idx is None else g.train_idx.tolist() for g in (again, graph)]
        assert splits[0] == splits[1]


@pytest.mark.parametrize("kind", ROWS)
@given(graph=graphs(rows_only=True))
@QUICK
def test_edges_weights_and_ids_survive_in_rows(tmp_path: Path, kind: str, graph: gr.Graph) -> None:
    again = gr.read(gr.write(graph, tmp_path / name_of(kind)), raw=True)
    assert entries(again) == entries(graph)


@pytest.mark.parametrize("kind", FORMATS)
@given(graph=graphs(rows_only=True), directed=st.booleans(), loops=st.booleans())
@settings(QUICK, max_examples=25)
def test_cleaning_a_written_file_is_cleaning_the_graph(
    tmp_path: Path, kind: str, graph: gr.Graph, directed: bool, loops: bool
) -> None:
    """Every format gives the same canonical graph as the npz of the same graph does."""
    chosen = {"directed": directed, "keep_self_loops": loops}
    expected = gr.read(gr.write(graph, tmp_path / "g.npz"), **chosen)
    again = gr.read(gr.write(graph, tmp_path / name_of(kind)), **chosen)

    def rounded(found: gr.Graph) -> dict:
        return {(u, v): w for u, v, w in entries(found)}

    mine, theirs = rounded(again), rounded(expected)
    assert mine.keys() == theirs.keys()
    assert all(mine[k] == theirs[k] or math.isclose(mine[k], theirs[k], rel_tol=1e-6, abs_tol=1e-30) for k in mine)


@pytest.mark.parametrize("kind", ["csv", *LISTED])
def test_packed(tmp_path: Path, kind: str) -> None:
    graph = gr.load("karate")
    path = gr.write(graph, tmp_path / name_of(kind, packed=True))
    assert path.read_bytes()[:2] == b"\x1f\x8b"
    assert gzip.decompress(path.read_bytes())
    assert entries(gr.read(path, raw=True)) == entries(graph)


@pytest.mark.parametrize("kind", FORMATS)
def test_equal_graphs_give_equal_files(tmp_path: Path, kind: str) -> None:
    graph = gr.load("karate")
    first = gr.write(graph, tmp_path / name_of(kind)).read_bytes()
    assert gr.write(graph, tmp_path / name_of(kind)).read_bytes() == first


def test_sparse_features(tmp_path: Path) -> None:
    x = torch.eye(4, 5)
    graph = gr.Graph(torch.tensor([[0, 1], [1, 0]]), x=x.to_sparse_csr(), num_nodes=4)
    for kind in (*WHOLE, *LISTED):
        again = gr.read(gr.write(graph, tmp_path / name_of(kind)))
        if kind in WHOLE:
            assert again.x.layout is torch.sparse_csr
        assert torch.equal(again.x.to_dense(), x)


def test_tabs_and_quotes(tmp_path: Path) -> None:
    graph = gr.Graph(torch.tensor([[0, 1], [1, 2]]), ids=["#a", 'say "x", y', " b\tc "], directed=True)
    for name in ("g.csv", "g.tsv", "g.txt"):
        assert entries(gr.read(gr.write(graph, tmp_path / name), directed=True)) == entries(graph)
    assert "\t" in (tmp_path / "g.tsv").read_text().splitlines()[0]


def test_nodes_table(tmp_path: Path) -> None:
    graph = gr.Graph(
        torch.tensor([[0, 1], [1, 0]]), x=torch.tensor([[0.5, 2.0], [1.0, 0.0]]).to_sparse_csr(), y=[1, 0],
        ids=["a", "b,c"], feature_names=["big", "my, red"],
    )  # fmt: skip
    gr.write(graph, tmp_path / "g.csv", nodes=True)
    assert (tmp_path / "g.nodes.csv").read_text() == 'id,y,big,"my, red"\na,1,0.5,2\n"b,c",0,1,0\n'
    gr.write(graph, tmp_path / "g.parquet", nodes=True)
    table = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "g.nodes.parquet")
    assert table.to_pydict() == {"id": ["a", "b,c"], "y": [1, 0], "big": [0.5, 1], "my, red": [2, 0]}
    with pytest.raises(GraphrepError, match="hold the nodes already"):
        gr.write(graph, tmp_path / "g.json", nodes=True)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("multi", [False, True])
def test_networkx_reads_what_we_write(tmp_path: Path, directed: bool, multi: bool) -> None:
    kind = {(0, 0): nx.Graph, (1, 0): nx.DiGraph, (0, 1): nx.MultiGraph, (1, 1): nx.MultiDiGraph}[directed, multi]
    original = kind()
    original.add_weighted_edges_from([("a", "b", 2.5), ("b", "c", 1.0), ("c", "c", 4.0)])
    if multi:
        original.add_edge("a", "b", weight=3.0)
    graph = gr.from_networkx(original)

    def links(found) -> Counter:
        ends = ((u, v) if directed else tuple(sorted((u, v))) for u, v in found.edges())
        return Counter(zip(ends, (d["weight"] for _, _, d in found.edges(data=True)), strict=True))

    import json

    seen = [
        nx.read_graphml(gr.write(graph, tmp_path / "g.graphml"), force_multigraph=multi),
        nx.read_gexf(gr.write(graph, tmp_path / "g.gexf")),
        nx.node_link_graph(json.loads(gr.write(graph, tmp_path / "g.json").read_text()), edges="edges"),
    ]
    for found in seen:
        assert found.is_directed() == directed
        assert links(found) == links(original)


def test_torch_opens_what_we_write(tmp_path: Path) -> None:
    from torch_geometric.data import Data

    graph = gr.load("digits")
    data = Data.from_dict(torch.load(gr.write(graph, tmp_path / "g.pt"), weights_only=True))
    assert torch.equal(data.x, graph.x)
    assert torch.equal(data.edge_index, graph.edge_index)


def test_what_a_format_cannot_hold(tmp_path: Path) -> None:
    edges = torch.tensor([[0], [1]])
    for bad, kind in (("a\nb", "csv"), ("", "csv"), ("a\0b", "csv"), ("a\1b", "graphml"), ("a\1b", "gexf")):
        with pytest.raises(GraphrepError):
            gr.write(gr.Graph(edges, ids=[bad, "ok"]), tmp_path / name_of(kind))
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(NonFiniteError, match="Edge 0 has weight 1e\\+300"):
        gr.write(gr.Graph(edges, torch.tensor([1e300], dtype=torch.float64)), tmp_path / "g.csv")
    with pytest.raises(GraphrepError, match="packed inside"):
        gr.write(gr.Graph(edges), tmp_path / "g.npz.gz")


def test_formats_by_name() -> None:
    assert graph_format("a.CSV.gz") == "csv"
    with pytest.raises(UnknownNameError, match=r'Unknown format "grapml"\. Did you mean "graphml"'):
        graph_format("a", "grapml")
    with pytest.raises(UnknownNameError, match=r'no format is known for "\.xlsx"'):
        graph_format("a.xlsx")


def test_raw_keeps_the_rows_of_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text("b,a,2\na,b,3\na,a,1\nb,a,2\n")
    graph = gr.read(path, raw=True)
    assert graph.edge_index.tolist() == [[1, 0, 0, 1], [0, 1, 0, 0]]
    assert graph.edge_weight.tolist() == [2, 3, 1, 2]
    report = graph.report
    assert (report.rows, report.edges, report.merged, report.self_loops, report.raw) == (4, 4, 1, 1, True)
    assert (
        report.lines()[2] == "  kept as they are, with 1 repeated edge and 1 self-loop, 1 component, 0 isolated nodes"
    )


def test_an_archive_that_states_its_direction_gives_no_warning(tmp_path: Path) -> None:
    graph = gr.Graph(torch.tensor([[0, 1], [1, 2]]))
    again = gr.read(gr.write(graph, tmp_path / "g.npz"))
    assert again.edge_index.tolist() == [[0, 1], [1, 2]]
    np.savez(tmp_path / "h.npz", edge_index=graph.edge_index.numpy())
    with pytest.warns(GraphWarning, match="one direction only"):
        gr.read(tmp_path / "h.npz")
