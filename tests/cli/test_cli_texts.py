"""The pieces under train lmgnn: texts of nodes from tables, fixed tails, baselines, parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrep import Graph, HeteroGraph
from graphrep.cli.texting.baselines import best_probe, reduced_tfidf, row_cosines, tfidf
from graphrep.cli.texting.models import MINILM, Speed, find_lm
from graphrep.cli.texting.parts import link_parts, node_parts, task_of
from graphrep.cli.texting.tails import fixed_tails
from graphrep.cli.texting.texts import class_names, with_texts
from graphrep.errors import FileFormatError, GraphrepError, MissingFeaturesError, MissingLabelsError, UnknownNameError


def table(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_integer_ids_keep_their_kind_and_isolated_nodes_join(tmp_path: Path) -> None:
    graph = Graph(torch.tensor([[0, 1], [1, 2]]), ids=torch.tensor([10, 20, 30]))
    spec = table(tmp_path / "t.csv", "id,text,label,train", "20,two,b,1", "40,four,a,0", "10,one,a,1")
    found, notes = with_texts(graph, spec, "graph")
    assert found.ids.tolist() == [10, 20, 30, 40]
    assert found.text.tolist() == ["one", "two", "", "four"]
    assert found.y.tolist() == [0, 1, -1, 0]
    assert found.train_idx.tolist() == [0, 1]
    assert class_names(spec) == ["a", "b"]
    assert any("1 nodes of t.csv have no edge" in note for note in notes)
    assert any("such as 30" in note for note in notes)
    words = table(tmp_path / "w.csv", "id,text", "10,one", "x,two")
    with pytest.raises(FileFormatError, match="ids of the edges are integers"):
        with_texts(graph, words, "graph")


def test_numbers_as_classes_have_no_names(tmp_path: Path) -> None:
    assert class_names(table(tmp_path / "t.csv", "id,text,label", "a,x,3", "b,y,")) is None
    assert class_names(table(tmp_path / "u.csv", "id,text", "a,x")) is None
    assert class_names(None) is None


def test_texts_of_one_kind_among_several(tmp_path: Path) -> None:
    graph = HeteroGraph({("a", "to", "b"): [[0, 1], [0, 0]]}, num_nodes={"a": 2, "b": 1}, ids={"a": ["x", "y"]})
    spec = table(tmp_path / "t.csv", "id,words", "y,second", "z,other")
    found, notes = with_texts(graph, f"a={spec}:words", "graph")
    assert found.text["a"].tolist() == ["", "second"]
    assert notes == ["1 nodes of a are not in t.csv; their text is empty."]
    for wrong, error in ((f"c={spec}", UnknownNameError), (spec, GraphrepError), ("a=nowhere.csv", FileFormatError)):
        with pytest.raises(error):
            with_texts(graph, wrong, "graph")
    with pytest.raises(MissingFeaturesError, match="needs a text per node"):
        with_texts(graph, None, "graph")


@settings(deadline=None, max_examples=30)
@given(st.integers(3, 30), st.integers(0, 1000))
def test_tails_are_no_links_of_the_head(nodes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    links = torch.from_numpy(rng.integers(nodes, size=(2, nodes)))
    links = links[:, links[0] != links[1]]
    linked = {frozenset(pair) for pair in links.t().tolist()}
    heads = [h for h in range(nodes) if sum(h in pair for pair in linked) < nodes - 1]
    pairs = torch.tensor([heads, heads])
    tails = fixed_tails(pairs, links, nodes, count=7, seed=seed)
    assert tails.shape == (len(heads), 7)
    for head, row in zip(heads, tails.tolist(), strict=True):
        assert head not in row
        assert not any(frozenset((head, tail)) in linked for tail in row)
    assert torch.equal(tails, fixed_tails(pairs, links.flip(0), nodes, count=7, seed=seed))


def test_a_node_that_is_linked_to_all_has_no_tails() -> None:
    with pytest.raises(GraphrepError, match="every other node"):
        fixed_tails(torch.tensor([[0], [1]]), torch.tensor([[0, 0], [1, 2]]), 3)


def test_baselines_read_texts() -> None:
    texts = ["apple pear", "pear apple", "car bus", "bus car"] * 5
    y = np.array([0, 0, 1, 1] * 5)
    words = tfidf(texts)
    parts = (np.arange(8), np.arange(8, 12), np.arange(12, 20))
    assert best_probe(words, y, parts)[0].tolist() == y[12:].tolist()
    assert best_probe(words, y, (np.arange(2), *parts[1:]))[0].tolist() == [0] * 8  # one class is all there is
    pairs = torch.tensor([[0, 0], [1, 2]])
    np.testing.assert_allclose(row_cosines(words, pairs), [1, 0], atol=1e-6)
    reduced = reduced_tfidf(texts, 384)
    assert reduced.shape[0] == 20
    np.testing.assert_allclose(row_cosines(reduced, pairs), [1, 0], atol=1e-6)
    with pytest.raises(MissingFeaturesError, match="share no words"):
        tfidf(["", " "])


def test_parts() -> None:
    y = torch.tensor([0, 1, -1, 0, 1, 0, 1, 0, 1, 0, 1])
    graph = Graph(torch.stack([torch.arange(10), torch.arange(1, 11)]), y=y)
    found = node_parts(graph, shares=None, seed=0)
    everything = np.sort(np.concatenate([found.train, found.val, found.test]))
    assert everything.tolist() == [0, 1, 3, 4, 5, 6, 7, 8, 9, 10]
    own = node_parts(graph.replace(train_idx=[0, 1, 2], val_idx=[3], test_idx=[4]), shares=None, seed=0)
    assert own.train.tolist() == [0, 1]
    assert task_of("auto", graph) == "node"
    assert task_of("auto", graph.replace(y=None)) == "link"
    with pytest.raises(MissingLabelsError):
        task_of("node", graph.replace(y=None))
    links = link_parts(graph, shares=(60, 20, 20), seed=0)
    assert links.counts == (6, 2, 2)
    held = {tuple(pair) for pair in links.pos.t().tolist()}
    seen = {tuple(pair) for pair in links.data.graph.edge_index.t().tolist()}
    assert not held & seen
    assert links.data.test_pos is None


def test_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_lm(None) is None
    assert find_lm(str(tmp_path)) == tmp_path
    with pytest.raises(FileFormatError, match="no such folder"):
        find_lm(str(tmp_path / "nowhere"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(GraphrepError, match="not installed"):
        find_lm(MINILM)
    speed = Speed(tokens=1000, tokens_per_second=100.0, dim=8)
    assert speed.seconds(stages=("gnn",), lm_epochs=2, joint_epochs=1) == 10
    assert speed.seconds(stages=("lm", "gnn", "joint"), lm_epochs=2, joint_epochs=1) == 140
