"""HeteroGraph: parts and their checks, matrices, relation names, the graph of all nodes."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import graphrep as gr
from graphrep.data import as_graph, as_hetero
from graphrep.errors import DTypeError, IndexRangeError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.kernels import spmm

WRITES, CITES = ("author", "writes", "paper"), ("paper", "cites", "paper")


def library(**changes) -> gr.HeteroGraph:
    parts = {
        "edge_index": {WRITES: [[0, 1, 1, 1], [2, 0, 2, 2]], CITES: [[0, 1, 1], [1, 1, 2]]},
        "edge_weight": {WRITES: [1.0, 2.0, 4.0, 3.0]},
        "x": {"paper": np.eye(3, dtype=np.float32)},
        "y": [0, 1, 1],
        "target": "paper",
        "ids": {"author": ["ann", "bob"]},
        "splits": {"train": [0], "test_20": [True, False, True]},
        "text": {"paper": ["on graphs", "", "on trees"]},
        "name": "library",
    }
    return gr.HeteroGraph(**{**parts, **changes})


def test_parts_and_counts() -> None:
    graph = library()
    assert graph.node_types == ("author", "paper")
    assert graph.edge_types == (WRITES, CITES)
    assert dict(graph.num_nodes) == {"author": 2, "paper": 3}
    assert (graph.num_edges, graph.num_classes, graph.device.type) == (7, 2, "cpu")
    assert graph.splits["test_20"].tolist() == [0, 2]
    assert graph.text["paper"].tolist() == ["on graphs", "", "on trees"]
    assert repr(graph) == (
        "HeteroGraph(library: 2 author, 3 paper; 4 author-writes-paper, 3 paper-cites-paper; features paper 3; "
        "2 classes of paper; text of paper; splits train 1, test_20 2)"
    )
    assert repr(gr.HeteroGraph({})) == "HeteroGraph(no nodes)"


def test_the_order_and_size_of_types_can_be_given() -> None:
    graph = gr.HeteroGraph({CITES: [[0], [1]]}, num_nodes={"venue": 4, "paper": 5})
    assert graph.node_types == ("venue", "paper")
    assert graph.csr("cites").shape == (5, 5)
    only = gr.HeteroGraph({CITES: [[0], [1]]}, y=[0, 1], splits={"train": [1]})
    assert only.target == "paper"


def test_it_is_immutable_and_replace_copies() -> None:
    graph = library()
    with pytest.raises(AttributeError, match=r"replace\(name=...\)"):
        graph.name = "other"
    with pytest.raises(TypeError):
        graph.x["paper"] = None
    csr = graph.csr("writes")
    other = graph.replace(name="other", y=None)
    assert other.csr("writes") is csr
    assert (other.y, other.name, graph.name) == (None, "other", "library")
    assert graph.replace(edge_weight={}).csr("writes").value is None
    assert graph.to("cpu").splits["train"].tolist() == [0]
    with pytest.raises(UnknownNameError, match="no part 'z'"):
        graph.replace(z=1)


def test_meta_paths_go_along() -> None:
    graph = library(metapaths=["paper>author>paper", "paper>paper"])
    assert graph.metapaths == ("paper>author>paper", "paper>paper")
    assert "; meta-paths paper>author>paper, paper>paper; text of paper" in repr(graph)
    for other in (graph.replace(name="other"), graph.to("cpu"), copy.deepcopy(graph), gr.from_pyg(gr.to_pyg(graph))):
        assert other.metapaths == graph.metapaths
    assert library().metapaths == ()
    theirs = gr.to_pyg(library())
    theirs.metapaths = [[("paper", "author")]]  # of somebody else's making
    assert gr.from_pyg(theirs).metapaths == ()


# matrices


@pytest.mark.parametrize("direction", ["in", "out"])
def test_csr_is_the_relation_matrix(direction) -> None:
    graph = library()
    dense = np.zeros((2, 3))
    np.add.at(dense, ([0, 1, 1, 1], [2, 0, 2, 2]), [1.0, 2.0, 4.0, 3.0])
    csr = graph.csr(WRITES, direction)
    assert np.array_equal(csr.to_scipy().toarray(), dense if direction == "out" else dense.T)
    assert graph.csr("writes", direction) is csr
    edges = graph.edge_index[WRITES]
    rows = edges[0 if direction == "out" else 1, csr.perm.long()]
    assert torch.equal(csr.row().long(), rows)
    assert torch.equal(csr.value, graph.edge_weight[WRITES][csr.perm.long()])
    with pytest.raises(UnknownNameError, match='Unknown direction "both"'):
        graph.csr(WRITES, "both")
    with pytest.raises(UnknownNameError, match="no edge type 'reads'") as caught:
        graph.csr("reads")
    assert '"writes", "cites"' in caught.value.hint


def test_gradients_reach_the_weights() -> None:
    weight = torch.tensor([1.0, 2.0, 4.0, 3.0], dtype=torch.float64, requires_grad=True)
    graph = library(edge_weight={WRITES: weight})
    x = torch.tensor([[1.0], [10.0]], dtype=torch.float64)
    spmm(graph.csr("writes"), x).sum().backward()
    assert weight.grad.tolist() == [1.0, 10.0, 10.0, 10.0]


def test_relations_multiply_along_a_meta_path() -> None:
    graph = gr.HeteroGraph({("p", "pa", "a"): [[0, 1, 1, 2], [0, 0, 1, 1]], ("p", "ps", "s"): [[0, 1, 2], [0, 0, 1]]})
    relations = graph.relations()
    assert list(relations) == ["pa", "ps", "ap", "sp"]
    pap = relations["pa"].to_scipy() @ relations["ap"].to_scipy()
    assert pap.toarray().tolist() == [[1, 1, 0], [1, 2, 1], [0, 1, 1]]


@pytest.mark.parametrize(
    ("edge_types", "names"),
    [
        ([("p", "pa", "a"), ("a", "ap", "p")], ["pa", "ap"]),
        ([("paper", "to", "author"), ("author", "to", "paper")], ["paper_author", "author_paper"]),
        ([("paper", "to", "author")], ["to"]),
        ([("p", "cites", "p"), ("p", "likes", "p"), ("a", "likes", "p")], ["p_cites_p", "p_likes_p", "a_likes_p"]),
        ([("p", "pp", "p")], ["pp"]),
        ([("movie", "movie_actor", "actor")], ["movie_actor", "actor_movie"]),
        ([("p", "~r", "a")], ["p_a", "a_p"]),
        ([("a_b", "c", "d"), ("a", "b_c", "d"), ("x", "c", "d"), ("a", "c", "d")], None),
    ],
)
def test_relation_names_are_unique(edge_types, names) -> None:
    graph = gr.HeteroGraph({key: [[0], [0]] for key in edge_types})
    found = list(graph.relations())
    assert len(set(found)) == len(found) >= len(edge_types)
    assert names is None or found == names
    assert not any(name.startswith("~") for name in found)
    for name, edge_type in zip(found, edge_types, strict=False):
        assert graph.edge_type(name) == edge_type


# one numbering


def test_to_homogeneous() -> None:
    graph = library(x={"paper": np.eye(3, 2, dtype=np.float32), "author": sp.csr_array(np.ones((2, 2), np.float32))})
    merged = graph.to_homogeneous()
    assert merged.ranges == {"author": (0, 2), "paper": (2, 5)}
    assert merged.graph.edge_index.tolist() == [[0, 1, 1, 1, 2, 3, 3], [4, 2, 4, 4, 3, 3, 4]]
    assert merged.graph.edge_weight.tolist() == [1, 2, 4, 3, 1, 1, 1]
    assert merged.edge_type.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert merged.edge_types == graph.edge_types
    assert merged.graph.x.to_dense().tolist() == [[1, 1], [1, 1], [1, 0], [0, 1], [0, 0]]
    assert merged.graph.y.tolist() == [-1, -1, 0, 1, 1]
    assert merged.graph.train_idx.tolist() == [2]
    assert merged.graph.test_idx is None
    assert merged.graph.ids.tolist() == ["author:ann", "author:bob", "paper:0", "paper:1", "paper:2"]
    assert merged.graph.text.tolist() == ["", "", "on graphs", "", "on trees"]
    assert library().to_homogeneous().graph.x is None
    empty = gr.HeteroGraph({}, num_nodes={"a": 2}).to_homogeneous().graph
    assert (empty.num_nodes, empty.num_edges, empty.ids) == (2, 0, None)


def test_homogeneous_matches_pyg() -> None:
    graph = library(ids=None, text=None)
    theirs = gr.to_pyg(graph).to_homogeneous(add_edge_type=True)
    ours = graph.to_homogeneous()
    assert torch.equal(ours.graph.edge_index, theirs.edge_index)
    assert torch.equal(ours.edge_type, theirs.edge_type)


# what does not fit


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"edge_index": {"cites": [[0], [1]]}}, UnknownNameError, "'cites' is no edge type"),
        ({"edge_index": {CITES: [[0, 1]]}}, ShapeError, r"Edge type \('paper', 'cites', 'paper'\): edge_index must"),
        (
            {"num_nodes": {"paper": 2}, "x": None, "text": None, "y": None},
            IndexRangeError,
            r"nodes of paper\) refers to",
        ),
        ({"edge_index": {WRITES: [[-1], [0]]}}, IndexRangeError, r"nodes of author\) refers to -1"),
        ({"edge_weight": {WRITES: [1.0]}}, ShapeError, "Edge type .*edge_weight has shape"),
        ({"edge_weight": {WRITES: [1, 1, float("nan"), 1]}}, NonFiniteError, "edge_weight has NaN"),
        ({"edge_weight": {("a", "b", "c"): [1.0]}}, UnknownNameError, "no edge type"),
        ({"x": {"paper": np.eye(4)}}, ShapeError, "x has 4 rows|text has 3 rows"),
        ({"x": {"paper": [[1.0], [float("inf")], [0]]}}, NonFiniteError, "Node type paper: Feature column 0"),
        ({"ids": {"author": ["ann", "ann"]}}, gr.GraphrepError, "must be distinct: 'ann'"),
        ({"ids": {"author": ["ann"]}}, IndexRangeError, "refers to 1"),
        ({"y": [0, 1]}, ShapeError, "y has 2 rows but node type paper has 3 nodes"),
        ({"target": None}, gr.GraphrepError, "target does not say which"),
        ({"target": "venue"}, UnknownNameError, 'no node type "venue"'),
        ({"splits": {"val": [3]}}, IndexRangeError, "val refers to node 3"),
        ({"splits": {"val": [True]}}, ShapeError, "val has 1 rows but node type paper has 3"),
        ({"text": {"paper": ["a", None, "b"]}}, DTypeError, "text holds None"),
        ({"metapaths": "pap"}, DTypeError, "metapaths must be a list of texts; got 'pap'"),
        ({"metapaths": ["pap", ("by", "~by")]}, DTypeError, "metapaths must be a list of texts"),
        ({"text": {"paper": ["a"]}}, ShapeError, "text has 1 rows but node type paper has 3"),
    ],
)
def test_what_does_not_fit_is_refused(changes, kind, message) -> None:
    with pytest.raises(kind, match=message):
        library(**changes)


def test_other_objects_say_what_they_are() -> None:
    graph = library()
    assert gr.HeteroGraph.coerce(graph) is graph
    with pytest.raises(DTypeError, match="several node types, which Graph cannot hold") as caught:
        as_graph(graph)
    assert "to_homogeneous()" in caught.value.hint
    with pytest.raises(DTypeError, match="A Graph has no typed nodes"):
        as_hetero(gr.Graph([[0], [1]]))
    with pytest.raises(DTypeError, match="A str has no typed nodes"):
        as_hetero("acm")
    with pytest.raises(DTypeError, match="A Tensor has no typed"):
        as_hetero(torch.zeros(2, 2))
