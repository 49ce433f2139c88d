"""LinkSplit and KnowledgeGraph."""

from __future__ import annotations

import pytest
import torch

import graphrep as gr
from graphrep.data import KnowledgeGraph, LinkSplit
from graphrep.errors import DTypeError, IndexRangeError, ShapeError, UnknownNameError

PATH = gr.Graph([[0, 1, 1, 2], [1, 0, 2, 1]], num_nodes=4)


def test_link_split() -> None:
    split = LinkSplit(PATH, val_pos=[[2], [3]], test_neg=torch.tensor([[0, 0], [2, 3]], dtype=torch.int32), name="path")
    assert split.test_neg.dtype == torch.int64
    assert split.test_pos is None
    assert split.to("cpu").val_pos.tolist() == [[2], [3]]
    assert split.replace(graph=PATH.replace(x=torch.eye(4))).graph.num_features == 4
    assert repr(split) == "LinkSplit(path: 4 nodes, 4 stored edges; val_pos 1, test_neg 2)"
    with pytest.raises(DTypeError, match="form of LinkSplit, not of Graph") as caught:
        gr.Graph.coerce(split)
    assert ".graph" in caught.value.hint


@pytest.mark.parametrize(
    ("pairs", "kind", "message"),
    [
        ([[0], [4]], IndexRangeError, "val_pos refers to 4"),
        ([[0, 1]], ShapeError, r"val_pos: edge_index must have shape \(2, E\)"),
        ([[0.5], [1]], DTypeError, "val_pos"),
    ],
)
def test_pairs_that_do_not_fit(pairs, kind, message) -> None:
    with pytest.raises(kind, match=message):
        LinkSplit(PATH, val_pos=pairs)


def test_link_split_needs_a_graph() -> None:
    with pytest.raises(DTypeError, match="graph is a list"):
        LinkSplit([[0], [1]])
    with pytest.raises(UnknownNameError, match="LinkSplit has no field 'train'"):
        LinkSplit(PATH).replace(train=None)


def facts(**changes) -> KnowledgeGraph:
    parts = {
        "train": [[0, 1, 1], [0, 1, 0], [1, 2, 2]],
        "test": [[2], [1], [0]],
        "entity_ids": ["rome", "italy", "europe"],
        "relation_ids": ["capital_of", "part_of"],
        "entity_text": ["a city", "", "a continent"],
        "qualifiers": {"train": ([[1, 0], [2, 2]], [0, 0, 2, 2])},
    }
    return KnowledgeGraph(**{**parts, **changes})


def test_knowledge_graph() -> None:
    kg = facts(name="places")
    assert (kg.num_entities, kg.num_relations) == (3, 2)
    assert kg.part("val").shape == (3, 0)
    graph = kg.graph()
    assert graph.edge_index.tolist() == [[0, 1, 1], [1, 2, 2]]
    assert graph.ids.tolist() == ["rome", "italy", "europe"]
    assert graph.text.tolist() == ["a city", "", "a continent"]
    assert kg.edge_type().tolist() == [0, 1, 0]
    assert kg.qualifiers["train"][0].tolist() == [[1, 0], [2, 2]]
    assert kg.to("cpu").test.tolist() == [[2], [1], [0]]
    assert kg.replace(test=None).part("test").shape == (3, 0)
    assert repr(kg) == "KnowledgeGraph(places: 3 entities, 2 relations; train 3, test 1)"
    with pytest.raises(DTypeError, match="form of KnowledgeGraph"):
        gr.Graph.coerce(kg)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"train": [[0], [1]]}, ShapeError, r"train must have shape \(3, T\)"),
        ({"train": [[0.5], [1], [0]]}, DTypeError, "train must hold integers"),
        ({"test": [[3], [0], [0]]}, IndexRangeError, r"test\[0\] \(entity\) refers to 3"),
        ({"test": [[0], [2], [0]]}, IndexRangeError, r"test\[1\] \(relation\) refers to 2"),
        ({"entity_ids": ["a", "a", "b"]}, gr.GraphrepError, "entity_ids: ids must be distinct"),
        ({"entity_text": ["a"]}, ShapeError, "text has 1 rows but the set of entities"),
        ({"qualifiers": {"train": ([[1], [2]], [0, 1])}}, ShapeError, "do not cut 1 columns into 3 pieces"),
        ({"qualifiers": {"train": ([[1], [9]], [0, 0, 1, 1])}}, IndexRangeError, r"qualifiers of train \(entity\)"),
        ({"qualifiers": {"dev": ([[1], [1]], [0, 1])}}, UnknownNameError, 'Unknown part "dev"'),
    ],
)
def test_facts_that_do_not_fit(changes, kind, message) -> None:
    with pytest.raises(kind, match=message):
        facts(**changes)
