"""Archives with several kinds of nodes, and the real sets of these kinds."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import graphrep as gr
from graphrep.data import GraphWarning, Interactions, KnowledgeGraph, LinkSplit, cards, open_graph
from graphrep.data.npz_kinds import text_of
from graphrep.errors import DTypeError, FileFormatError

OTHERS = [entry.full_name for entry in cards.list_datasets() if entry.kind != "graph"]
TEXTS = [entry.full_name for entry in cards.list_datasets(family="tag") if entry.kind == "graph"]


def packed(name: str, texts: list[str]) -> dict[str, np.ndarray]:
    parts = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, parts)])
    return {f"{name}_bytes": np.frombuffer(b"".join(parts), dtype=np.uint8), f"{name}_offsets": offsets}


def save(folder: Path, **arrays) -> Path:
    np.savez(folder / "g.npz", **arrays)
    return folder / "g.npz"


def typed(**more) -> dict[str, np.ndarray]:
    x = sp.csr_array(np.array([[0, 2.0], [1, 0], [0, 0]], dtype=np.float32))
    return {
        "rel_pa": np.array([[0, 1, 1], [0, 0, 1]], dtype=np.int32),
        "rel_ps": np.array([[2], [0]]),
        "num_p": np.int64(3),
        "num_a": np.int64(2),
        "num_s": np.int64(1),
        "x_p_indptr": x.indptr,
        "x_p_indices": x.indices.astype(np.uint16),
        "x_p_data": x.data,
        "x_p_shape": np.array(x.shape),
        "x_a": np.ones((2, 1)),
        "y": np.array([0, 1, 0]),
        "target_type": np.array("p"),
        "train_20": np.array([2, 0]),
        **more,
    }


def test_typed_graphs(tmp_path) -> None:
    graph = gr.read(save(tmp_path, **typed()))
    assert isinstance(graph, gr.HeteroGraph)
    assert graph.edge_types == (("p", "pa", "a"), ("p", "ps", "s"))
    assert graph.edge_index["p", "pa", "a"].tolist() == [[0, 1, 1], [0, 0, 1]]
    assert dict(graph.num_nodes) == {"p": 3, "a": 2, "s": 1}
    assert graph.x["p"].to_dense().tolist() == [[0, 2], [1, 0], [0, 0]]
    assert graph.x["a"].shape == (2, 1)
    assert (graph.target, graph.y.tolist(), graph.splits["train_20"].tolist()) == ("p", [0, 1, 0], [2, 0])
    assert graph.name == "g"


def test_text_belongs_to_the_type_in_its_name_or_to_the_target(tmp_path) -> None:
    parts = {"rel_film_star": np.array([[0, 1], [0, 0]]), "num_film": 2, "num_star": 1, "y": np.array([0, 1])}
    texts = {**packed("title", ["Übung", ""]), **packed("words", ["a|b", "c"]), **packed("star_name", ["Zoë"])}
    graph = gr.read(save(tmp_path, **parts, **texts))
    assert graph.target == "film"
    assert graph.text["film"].tolist() == ["Übung\na|b", "\nc"]
    assert graph.text["star"].tolist() == ["Zoë"]
    assert graph.edge_types == (("film", "film_star", "star"),)


def test_text_of_a_graph(tmp_path) -> None:
    path = save(tmp_path, edge_index=np.array([[0, 1], [1, 0]]), **packed("text", ["one", "zwölf"]))
    graph = gr.read(path)
    assert graph.text.tolist() == ["one", "zwölf"]
    assert "a text per node" in repr(graph)
    assert graph.replace(name="other").text.tolist() == ["one", "zwölf"]


def test_interactions(tmp_path) -> None:
    parts = {"train_user": [0, 1], "train_item": [2, 0], "test_user": [1], "test_item": [1]}
    parts = {key: np.array(value, dtype=np.int32) for key, value in parts.items()}
    path = save(tmp_path, **parts, train_count=np.array([5, 7]), num_users=3, num_items=4)
    data = gr.read(path)
    assert isinstance(data, Interactions)
    assert (data.num_users, data.num_items, data.parts) == (3, 4, ("train", "test"))
    assert data.user.tolist() == [0, 1, 1]
    assert data.weight.tolist() == [5, 7, 1]
    assert gr.read(path, weight=False).weight is None
    with pytest.raises(DTypeError, match="form of Interactions, not of Graph"):
        open_graph(path)


def test_link_splits(tmp_path) -> None:
    pairs = {"train_pos": [[0, 1], [1, 2]], "val_pos": [[2], [3]], "val_neg": [[0], [3]], "test_neg": [[0], [2]]}
    split = gr.read(save(tmp_path, num_nodes=4, **{key: np.array(value) for key, value in pairs.items()}))
    assert isinstance(split, LinkSplit)
    assert split.graph.edge_index.tolist() == gr.Graph([[0, 1], [1, 2]]).to_undirected().edge_index.tolist()
    assert split.graph.num_nodes == 4
    assert split.val_neg.tolist() == [[0], [3]]
    assert split.test_pos is None


def test_knowledge_graphs(tmp_path) -> None:
    kg = gr.read(
        save(
            tmp_path,
            train=np.array([[0, 1], [0, 1], [1, 2]], dtype=np.int32),
            test=np.array([[2], [0], [0]]),
            num_entities=3,
            num_relations=2,
            **packed("entity_id", ["a", "b", "c"]),
            **packed("entity_text", ["first", "", "third"]),
            train_qual=np.array([[1], [2]]),
            train_qual_offsets=np.array([0, 1, 1]),
        )
    )
    assert isinstance(kg, KnowledgeGraph)
    assert kg.entity_ids.tolist() == ["a", "b", "c"]
    assert kg.entity_text.tolist() == ["first", "", "third"]
    assert kg.relation_ids is None
    assert kg.qualifiers["train"][1].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (typed(rel_xy=np.array([[0], [0]])), "rel_xy is not made of two node types"),
        ({"rel_aaa": np.array([[0], [0]]), "num_a": 1, "num_aa": 1}, "rel_aaa fits several pairs of node types"),
        ({"rel_ab": np.array([[0], [0]]), "num_a": 2, "num_b": 2, "y": np.array([0, 1])}, "2 labels fit 2 node types"),
        ({"rel_ab": np.array([[0], [0]]), "num_a": 2, "num_b": 2, "y": np.array([0])}, "1 labels fit 0 node types"),
        ({**typed(), "x_p_data": None}, "There is x_p_indptr but no x_p_data"),
        (typed(text_bytes=np.zeros(3, np.uint8)), "text_bytes belongs to no node type or has no offsets"),
        (typed(**{**packed("text", ["a", "b", "c"]), "text_offsets": np.array([0, 1])}), "do not cut text_bytes"),
        (typed(text_bytes=np.array([255], np.uint8), text_offsets=np.array([0, 1, 1, 1])), "text_bytes is not UTF-8"),
    ],
)
def test_archives_that_do_not_fit(tmp_path, arrays, message) -> None:
    with pytest.raises(FileFormatError, match=f"g.npz: .*{message}"):
        gr.read(save(tmp_path, **{key: value for key, value in arrays.items() if value is not None}))


@pytest.mark.parametrize("options", [{"directed": True}, {"keep_self_loops": True}, {"weight": "w"}])
def test_options_of_graphs_do_not_apply(tmp_path, options) -> None:
    with pytest.raises(gr.GraphrepError, match=r"g.npz holds a typed graph, which is read as it is stored"):
        gr.read(save(tmp_path, **typed()), **options)


def test_long_texts_cost_their_own_length_only() -> None:
    texts = text_of(packed("text", ["x" * 100_000, *["y"] * 1000]), "text")
    assert texts.nbytes < 1_000_000  # the long one lies outside; fixed-width text would take 400 MB


# the real files


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_real_files_match_their_cards(data_root, name) -> None:
    entry, data = cards.card(name), gr.load(name, data_root)
    if entry.kind == "hetero":
        assert (sum(data.num_nodes.values()), data.num_edges) == (entry.nodes, entry.edges)
        assert data.num_classes == entry.classes
        assert len(data.y) == data.num_nodes[data.target]
    elif entry.kind == "interactions":
        assert (data.num_users + data.num_items, data.num_rows) == (entry.nodes, entry.edges)
        assert entry.split == "/".join(str(len(data.rows(part))) for part in data.parts)
        assert sum(data.csr(part, binarize=True).nnz for part in data.parts) == entry.edges
    elif entry.kind == "link split":
        sizes = [data.graph.num_edges // 2, data.val_pos.shape[1], data.test_pos.shape[1]]
        assert entry.split == "/".join(map(str, sizes)) + " links"
        assert (data.graph.num_nodes, sum(sizes)) == (entry.nodes, entry.edges)
        whole = entry.source.rpartition(" ")[2]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphWarning)  # that pubmed's features are incomplete
            links = gr.load(whole + "_partial" * whole.endswith("pubmed"), data_root).edge_index
        links = set(map(tuple, links.t().tolist()))
        for key in ("val_pos", "test_pos", "val_neg", "test_neg"):
            pairs = [tuple(pair) in links for pair in getattr(data, key).t().tolist()]
            assert all(pairs) if key.endswith("pos") else not any(pairs)
    else:
        sizes = [data.part(part).shape[1] for part in ("train", "val", "test")]
        assert (data.num_entities, sum(sizes)) == (entry.nodes, entry.edges)
        assert data.graph().num_edges == sizes[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_real_texts_are_there(data_root, name) -> None:
    graph = gr.load(name, data_root)
    assert graph.text.shape == (graph.num_nodes,)
    assert sum(map(len, graph.text.tolist())) > 20 * graph.num_nodes


@pytest.mark.slow
def test_meta_paths_of_acm_have_the_published_number_of_pairs(data_root) -> None:
    relations = gr.load("hetero/acm", data_root).relations()
    for path, pairs in ((("pa", "ap"), 57_853), (("ps", "sp"), 4_338_213)):
        assert (relations[path[0]].to_scipy() @ relations[path[1]].to_scipy()).nnz == pairs
    assert torch.equal(relations["ap"].col, relations["pa"].t().col)
