"""Named data sets: those that are always there, cards, names, data roots, and the real files where there are any."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

import graphrep as gr
from graphrep.data import GraphWarning, as_graph, cards, datasets, open_graph
from graphrep.data.embedded import nearest_neighbor_edges
from graphrep.data.fetching.forms import FORMS
from graphrep.errors import DTypeError, FileFormatError, UnknownNameError

REAL = [entry.full_name for entry in cards.list_datasets(kind="graph") if entry.family != "embedded"]


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No data root but an empty cache folder."""
    monkeypatch.delenv("GRAPHREP_DATA", raising=False)
    monkeypatch.setenv("GRAPHREP_CACHE", str(tmp_path / "cache"))
    return tmp_path


# embedded sets


@pytest.mark.parametrize("name", ["digits", "karate", "lesmis", "davis"])
def test_embedded_sets_match_their_cards(no_data, name) -> None:
    graph, entry = gr.load(name), cards.card(name)
    assert (graph.num_nodes, graph.num_edges // 2) == (entry.nodes, entry.edges)
    assert (graph.num_features, graph.num_classes) == (entry.features, entry.classes)
    assert gr.Graph(graph.edge_index, graph.edge_weight).is_undirected()
    assert graph.name == name
    assert not bool((graph.edge_index[0] == graph.edge_index[1]).any())
    again = gr.load(name)
    assert torch.equal(graph.edge_index, again.edge_index)


def test_karate_is_the_weighted_club() -> None:
    graph = gr.load("karate")
    assert graph.y.sum() == 17
    assert graph.edge_weight.sum() == 2 * 231
    assert graph.ids is None


def test_lesmis_and_davis_keep_names() -> None:
    assert "Valjean" in gr.load("lesmis").ids.tolist()
    davis = gr.load("davis")
    assert "Evelyn Jefferson" in davis.ids.tolist()
    ends = davis.y[davis.edge_index]
    assert bool((ends[0] != ends[1]).all())
    assert davis.y.tolist().count(0) == 18


def test_digits_links_are_nearest_neighbours() -> None:
    graph = gr.load("digits")
    assert graph.x.max() == 16
    x = graph.x.numpy().astype(np.float64)
    distances, _ = NearestNeighbors(n_neighbors=11).fit(x).kneighbors(x)
    reach = distances[:, 10]  # its own zero comes first, so this is the tenth neighbour
    u, v = graph.edge_index.numpy()
    length = np.sqrt(((x[u] - x[v]) ** 2).sum(1))
    assert bool((length <= np.maximum(reach[u], reach[v]) + 1e-9).all())
    assert int(torch.bincount(graph.edge_index[1]).min()) >= 10


def test_nearest_neighbours_break_ties_by_index() -> None:
    x = np.array([[0.0], [1], [1], [2], [-1]])
    edges = nearest_neighbor_edges(x, 2, block=2)
    assert edges.reshape(2, 5, 2)[0].tolist() == [[1, 2], [2, 0], [1, 0], [1, 2], [0, 1]]
    assert edges[1].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_networkx_names() -> None:
    graph = gr.load("nx:petersen_graph")
    assert (graph.num_nodes, graph.num_edges, graph.name) == (10, 30, "petersen_graph")
    assert torch.equal(gr.read("nx:petersen_graph").edge_index, graph.edge_index)
    with pytest.raises(UnknownNameError, match=r'no graph "petersen".*"petersen_graph"'):
        gr.load("nx:petersen")
    with pytest.raises(UnknownNameError, match=r"path_graph needs arguments \(n\)"):
        gr.load("nx:path_graph")
    with pytest.raises(UnknownNameError, match=r'no graph "read_gpickle"'):
        gr.load("nx:read_gpickle")


# cards and names


def test_every_card_is_complete() -> None:
    entries = cards.list_datasets()
    assert len(entries) == 56
    assert len({e.full_name for e in entries}) == 56
    for entry in entries:
        assert entry.description
        assert entry.source
        assert entry.licence
        assert entry.task in ("classify", "cluster", "embed", "linkpred", "recommend")
        assert entry.nodes > 0
        assert entry.edges > 0
        assert entry.family in cards.FAMILIES
        if entry.family != "embedded":
            assert entry.file == f"{entry.full_name}.npz"
            assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
            assert entry.bytes > 0
        if entry.download is not None:
            assert entry.download.form in FORMS
            assert all(url.startswith("https://") for url in entry.download.urls)
            assert re.fullmatch("[0-9a-f]{64}", entry.download.content)
        if entry.citation:
            assert entry.citation.startswith("@")
            assert entry.citation.count("{") == entry.citation.count("}")


def test_short_names_follow_the_order_of_families() -> None:
    assert cards.resolve("citeseer") == "planetoid/citeseer"
    assert cards.resolve("clustering/citeseer") == "clustering/citeseer"
    assert cards.resolve("acm") == "clustering/acm"
    assert cards.resolve("dblp") == "clustering/dblp"
    assert cards.resolve("Hetero/DBLP") == "hetero/dblp"
    assert cards.resolve(" Cora ") == "planetoid/cora"
    with pytest.raises(UnknownNameError, match=r'Unknown data set "coraa"\. Did you mean "cora"') as caught:
        cards.resolve("coraa")
    assert caught.value.hint == "graphrep list datasets"


def test_lists_can_be_narrowed() -> None:
    assert {e.kind for e in cards.list_datasets(family="kg")} == {"knowledge graph"}
    assert all(e.task == "recommend" for e in cards.list_datasets(task="recommend"))
    assert cards.card("blogcatalog").multilabel


# data roots


def test_roots_come_in_order(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GRAPHREP_DATA", str(tmp_path / "env"))
    monkeypatch.setenv("GRAPHREP_CACHE", str(tmp_path / "cache"))
    assert datasets.data_roots(tmp_path / "arg") == [tmp_path / "arg", tmp_path / "env", tmp_path / "cache" / "data"]
    monkeypatch.delenv("GRAPHREP_DATA")
    monkeypatch.delenv("GRAPHREP_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert datasets.data_roots() == [tmp_path / "xdg" / "graphrep" / "data"]
    monkeypatch.setattr("sys.platform", "darwin")
    assert datasets.cache_dir() == Path.home() / "Library" / "Caches" / "graphrep"


def test_a_missing_file_says_where_it_was_looked_for(no_data) -> None:
    with pytest.raises(FileFormatError, match="planetoid/cora is not there") as caught:
        gr.load("cora", data_dir=no_data / "mine")
    assert str(no_data / "mine" / "planetoid" / "cora.npz") in caught.value.message
    assert str(no_data / "cache" / "data" / "planetoid" / "cora.npz") in caught.value.message
    assert "GRAPHREP_DATA=FOLDER" in caught.value.hint


def fake_usair(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small file that takes the place of a real one, with a card that fits it."""
    path = root / "linkpred" / "usair.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, edge_index=np.array([[0, 1], [1, 0]]), num_nodes=2)
    entry = cards.card("usair")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    changed = cards.Card(**{**vars(entry), "sha256": digest, "bytes": path.stat().st_size})
    monkeypatch.setitem(cards._cards(), "linkpred/usair", changed)
    return path


def test_checksums_are_compared(no_data, monkeypatch) -> None:
    path = fake_usair(no_data, monkeypatch)
    assert gr.load("usair", no_data).num_edges == 2
    assert open_graph("usair", data_dir=no_data).num_nodes == 2
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="its checksum differs from the card's"):
        gr.load("usair", no_data)
    path.write_bytes(bytes(content) + b"x")
    with pytest.raises(FileFormatError, match="bytes and the card says"):
        gr.load("usair", no_data)
    np.savez(path, edge_index=np.array([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
    assert gr.load("usair", no_data, verify=False).num_nodes == 3


@pytest.mark.parametrize("name", ["hetero/acm", "lastfm", "kg/umls", "tag/imdb_text", "cora_split702010"])
def test_commands_refuse_other_kinds_before_they_look_for_the_file(no_data, name) -> None:
    with pytest.raises(DTypeError, match=f"{name}, a data set of kind .*, has .*, (which|not) .*Graph") as caught:
        open_graph(name)
    assert caught.value.hint
    with pytest.raises(FileFormatError, match="is not there"):
        gr.load(name)


# the first argument of a command


def test_open_graph_tells_files_from_names(no_data, monkeypatch) -> None:
    monkeypatch.chdir(no_data)
    Path("karate").mkdir()
    assert open_graph("karate").num_nodes == 34
    Path("mine.csv").write_text("a b\n")
    assert open_graph("mine.csv", directed=True).num_edges == 1
    assert open_graph("nx:petersen_graph").num_nodes == 10
    assert open_graph(torch.tensor([[0], [1]])).num_edges == 1
    assert open_graph("karate", weight=False).edge_weight is None
    for missing in ("none.csv", "./none", "folder/none.csv.gz"):
        with pytest.raises(FileFormatError, match="There is no file"):
            open_graph(missing)
    with pytest.raises(UnknownNameError, match="Unknown data set"):
        open_graph("kar")
    with pytest.raises(FileFormatError, match="pyg:Planetoid/Cora is not there"):
        open_graph("pyg:Planetoid/Cora")
    with pytest.raises(gr.GraphrepError, match="sep applies to files"):
        open_graph("karate", sep=",")
    with pytest.raises(FileFormatError, match="is a folder"):
        open_graph(str(no_data))
    assert as_graph(gr.load("karate")).num_nodes == 34


# the real files


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_files_match_their_cards(data_root, name) -> None:
    entry = cards.card(name)
    if name == "planetoid/pubmed_partial":
        with pytest.warns(GraphWarning, match="features for only 1 060 of 19 717 nodes"):
            graph = gr.load(name, data_root)
    else:
        graph = gr.load(name, data_root)
    assert (graph.num_nodes, graph.num_edges // 2) == (entry.nodes, entry.edges)
    assert graph.num_features == entry.features
    assert graph.num_classes == entry.classes
    assert (graph.y is not None and graph.y.dim() == 2) == entry.multilabel
    assert gr.Graph(graph.edge_index, num_nodes=graph.num_nodes).is_undirected()
    if entry.split:
        sizes = [len(i) for i in (graph.train_idx, graph.val_idx, graph.test_idx)]
        assert entry.split == "public " + "/".join(map(str, sizes))
    if entry.edges_key == "edge_index":
        assert graph.report.mirrored


@pytest.mark.slow
def test_raw_edges_give_the_cleaned_graph(data_root) -> None:
    for name in ("cora", "citeseer", "musae_github", "wiki"):
        clean, raw = gr.load(name, data_root), gr.load(name, data_root, edges="raw_edge_index")
        assert torch.equal(clean.edge_index, raw.edge_index)
