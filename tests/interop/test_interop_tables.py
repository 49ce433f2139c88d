"""Tables that users bring, and typed graphs and interactions of other libraries that we did not write."""

from __future__ import annotations

import sys

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch

import graphrep as gr
from graphrep.data import Interactions, as_graph, as_hetero
from graphrep.errors import DTypeError, MissingExtraError, MissingFeaturesError, UnknownNameError

FRIENDS = pd.DataFrame({"source": ["bob", "ann", "bob"], "target": ["cat", "bob", "cat"], "weight": [2, 1, 5]})


# tables of one type


def test_edges_alone() -> None:
    graph = gr.from_pandas(FRIENDS)
    assert graph.ids.tolist() == ["ann", "bob", "cat"]
    assert graph.edge_index.tolist() == [[1, 2, 0, 1, 1, 2], [2, 1, 1, 0, 2, 1]]
    assert graph.edge_weight.tolist() == [2, 2, 1, 1, 5, 5]
    assert graph.is_undirected()
    directed = gr.from_pandas(FRIENDS, directed=True, weight=False)
    assert directed.edge_index.tolist() == [[1, 0, 1], [2, 1, 2]]
    assert directed.edge_weight is None
    numbered = gr.from_pandas(pd.DataFrame({"a": [1, 0], "b": [1, 2]}), source="a", target="b")
    assert numbered.ids is None
    assert numbered.edge_index.tolist() == [[1, 0, 2], [1, 2, 0]]  # the self-loop once
    assert as_graph(FRIENDS).num_edges == 6


def test_a_table_with_both_directions_is_taken_as_it_is() -> None:
    both = pd.DataFrame({"source": ["a", "b"], "target": ["b", "a"], "w": [3.0, 3.0]})
    assert gr.from_pandas(both, weight="w").num_edges == 2
    both["w"] = [3.0, 4.0]
    assert gr.from_pandas(both, weight="w").num_edges == 4


def test_a_table_of_nodes_says_which_rows_there_are() -> None:
    nodes = pd.DataFrame(
        {
            "who": ["cat", "zoe", "bob", "ann"],
            "age": [3, 4, 5, 6],
            "height": [1.5, 2.5, 3.5, 4.5],
            "y": [1, 0, 1, -1],
            "train": [True, False, False, True],
            "text": ["a", "b", "c", "d"],
        }
    )
    graph = gr.from_pandas(FRIENDS, nodes, id="who", features=["height", "age"])
    assert graph.ids.tolist() == ["cat", "zoe", "bob", "ann"]
    assert graph.x.tolist() == [[1.5, 3], [2.5, 4], [3.5, 5], [4.5, 6]]
    assert graph.feature_names == ("height", "age")
    assert graph.y.tolist() == [1, 0, 1, -1]
    assert graph.train_idx.tolist() == [0, 3]
    assert graph.text.tolist() == ["a", "b", "c", "d"]
    assert (graph.val_idx, gr.from_pandas(FRIENDS, nodes, id="who").x) == (None, None)
    several = gr.from_pandas(FRIENDS, nodes, id="who", label=["y", "train"])
    assert several.y.tolist() == [[1, 1], [0, 0], [1, 0], [-1, 1]]
    assert gr.from_pandas(FRIENDS, nodes.set_index("who")).ids.tolist() == ["cat", "zoe", "bob", "ann"]


def test_columns_that_we_write() -> None:
    graph = gr.Graph(
        [[0, 1, 1], [1, 0, 1]], x=torch.eye(2), y=[[1, 0], [1, 1]], ids=[7, 9], train_idx=[1], text=["p", "q"]
    )
    edges, nodes = gr.to_pandas(graph)
    assert edges.to_dict("list") == {"source": [7, 9], "target": [9, 9]}
    assert list(nodes.columns) == ["x0", "x1", "y0", "y1", "text", "train"]
    assert nodes.index.tolist() == [7, 9]
    assert nodes.index.name == "id"
    assert nodes["train"].tolist() == [False, True]
    with pytest.raises(gr.GraphrepError, match='would be called "text"'):
        gr.to_pandas(graph.replace(feature_names=["a", "text"]))
    with pytest.raises(gr.GraphrepError, match='would be called "a"'):
        gr.to_pandas(graph.replace(feature_names=["a", "a"]))


def test_a_written_and_read_table_gives_the_same_graph(tmp_path) -> None:
    edges, _ = gr.to_pandas(gr.load("lesmis"))
    edges.to_csv(tmp_path / "lesmis.csv", index=False)
    found = gr.read(tmp_path / "lesmis.csv")
    assert found.num_edges == gr.load("lesmis").num_edges
    assert float(found.edge_weight.sum()) == float(gr.load("lesmis").edge_weight.sum())


@pytest.mark.parametrize(
    ("edges", "nodes", "options", "kind", "message"),
    [
        (FRIENDS, None, {"source": "from"}, UnknownNameError, 'no column "from"'),
        (FRIENDS, None, {"weight": "w"}, UnknownNameError, 'no column "w"'),
        (
            FRIENDS,
            pd.DataFrame(index=["ann", "bob"]),
            {},
            gr.GraphrepError,
            r"has .cat. \(row 0\), which is",
        ),
        (FRIENDS, pd.DataFrame(index=["ann", "bob", "cat", "cat"]), {}, gr.GraphrepError, "'cat' occurs more than"),
        (FRIENDS, pd.DataFrame(index=[1, 2]), {}, DTypeError, "holds text and the nodes' ids are integers"),
        (FRIENDS.assign(source=[0, 1, 2]), None, {}, DTypeError, "Some end points are integers"),
        (FRIENDS.assign(source=[0.5, 1, 2]), None, {}, DTypeError, 'Column "source" holds float64'),
        (FRIENDS.assign(source=["a", None, "b"]), None, {}, DTypeError, 'Column "source" holds'),
        (FRIENDS.assign(weight=["1", "2", "x"]), None, {}, DTypeError, 'Column "weight" holds no numbers'),
        (FRIENDS.assign(weight=[1.0, None, 2]), None, {}, gr.GraphrepError, "edge_weight has NaN"),
        (FRIENDS, pd.DataFrame(index=["ann", "bob", "cat"]), {"label": "z"}, UnknownNameError, 'no column "z"'),
        (FRIENDS, pd.DataFrame(index=["ann", "bob", "cat"]), {"features": ["z"]}, UnknownNameError, 'no column "z"'),
        (FRIENDS, None, {"target_type": "a"}, gr.GraphrepError, "applies to tables by type"),
        ([[0, 1]], None, {}, DTypeError, "A list is no table"),
        (FRIENDS, {"a": FRIENDS}, {}, DTypeError, "A dict is no table"),
        ({"a": FRIENDS}, None, {}, UnknownNameError, "'a' is no edge type"),
        ({("a", "b", "c"): FRIENDS}, None, {"directed": True}, gr.GraphrepError, "directed does not apply"),
    ],
)
def test_table_errors(edges, nodes, options, kind, message) -> None:
    with pytest.raises(kind, match=message):
        gr.from_pandas(edges, nodes, **options)


def test_without_pandas_the_package_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pandas, which is not installed"):
        gr.to_pandas(gr.Graph([[0], [1]]))


# tables by type


def test_typed_tables() -> None:
    edges = {("user", "rates", "film"): pd.DataFrame({"source": ["u2", "u1"], "target": [30, 10], "weight": [4, 5]})}
    graph = gr.from_pandas(edges)
    assert graph.ids["user"].tolist() == ["u1", "u2"]
    assert graph.ids["film"].tolist() == [10, 30]
    assert graph.edge_index["user", "rates", "film"].tolist() == [[1, 0], [1, 0]]
    assert graph.edge_weight["user", "rates", "film"].tolist() == [4, 5]
    nodes = {"film": pd.DataFrame({"year": [1999.0, 2001, 2010], "y": [0, 1, 0]}, index=[30, 20, 10])}
    graph = gr.from_pandas(edges, nodes, features=["year"])
    assert graph.ids["film"].tolist() == [30, 20, 10]
    assert graph.x["film"].tolist() == [[1999], [2001], [2010]]
    assert (graph.target, graph.y.tolist()) == ("film", [0, 1, 0])
    assert as_hetero((edges, nodes)).num_nodes["film"] == 3
    assert as_hetero(edges).num_nodes["film"] == 2
    both = {**nodes, "user": pd.DataFrame({"y": [1, 2]}, index=["u1", "u2"])}
    with pytest.raises(gr.GraphrepError, match=r"2 node types have labels or masks \(film, user\)"):
        gr.from_pandas(edges, both)
    assert gr.from_pandas(edges, both, target_type="user").y.tolist() == [1, 2]


# PyG


def test_foreign_hetero_data() -> None:
    from torch_geometric.data import HeteroData

    data = HeteroData()
    data["paper"].x = torch.ones(3, 2)
    data["paper"].y = torch.tensor([0, 1, 1])
    data["paper"].train_mask = torch.tensor([True, False, True])
    data["author", "writes", "paper"].edge_index = torch.tensor([[0, 4], [1, 2]])
    data["author", "writes", "paper"].edge_attr = torch.tensor([[2.0], [3.0]])
    graph = gr.from_pyg(data)
    assert dict(graph.num_nodes) == {"paper": 3, "author": 5}
    assert (graph.target, graph.splits["train"].tolist()) == ("paper", [0, 2])
    assert graph.edge_weight["author", "writes", "paper"].tolist() == [2, 3]
    assert gr.to_pyg(graph).validate()
    data["author"].y = torch.zeros(5, dtype=torch.int64)
    with pytest.raises(gr.GraphrepError, match="2 node types have labels"):
        gr.from_pyg(data)
    assert gr.from_pyg(data, target="author").y.tolist() == [0] * 5
    del data["author", "writes", "paper"].edge_index
    with pytest.raises(gr.GraphrepError, match="has no edge_index"):
        gr.from_pyg(data, target="author")


def test_masks_win_over_an_order_that_no_longer_fits() -> None:
    data = gr.to_pyg(gr.Graph([[0, 1], [1, 2]], num_nodes=4, train_idx=[2, 0]))
    assert gr.from_pyg(data).train_idx.tolist() == [2, 0]
    data.train_mask[3] = True
    assert gr.from_pyg(data).train_idx.tolist() == [0, 2, 3]


def test_interactions_of_foreign_hetero_data() -> None:
    import torch_geometric.transforms as transforms
    from torch_geometric.data import HeteroData

    data = HeteroData()
    data["user"].num_nodes = 3
    data["movie"].x = torch.ones(4, 2)
    data["user", "rates", "movie"].edge_index = torch.tensor([[0, 2], [3, 1]])
    data["user", "rates", "movie"].rating = torch.tensor([5, 3])
    found = Interactions.from_pyg(transforms.ToUndirected()(data), weight="rating")
    assert (found.num_users, found.num_items) == (3, 4)
    assert found.item.tolist() == [3, 1]
    assert found.weight.tolist() == [5, 3]
    with pytest.raises(UnknownNameError, match="no attribute stars"):
        Interactions.from_pyg(data, weight="stars", edge_type=("user", "rates", "movie"))
    with pytest.raises(UnknownNameError, match="no edge type"):
        Interactions.from_pyg(data, edge_type=("a", "b", "c"))
    data["user", "sees", "movie"].edge_index = torch.tensor([[0], [0]])
    with pytest.raises(UnknownNameError, match="edge_type does not say which"):
        Interactions.from_pyg(data)
    store = data["user", "sees", "movie"]
    store.train_mask, store.test_mask = torch.tensor([True]), torch.tensor([True])
    with pytest.raises(gr.GraphrepError, match="exactly one part"):
        Interactions.from_pyg(data, edge_type=("user", "sees", "movie"))
    store.train_mask = torch.tensor([False])
    assert Interactions.from_pyg(data, edge_type=("user", "sees", "movie")).parts == ("test",)


# DGL


def test_foreign_heterographs() -> None:
    dgl = pytest.importorskip("dgl")
    graph = dgl.heterograph(
        {("user", "rates", "film"): ([0, 1], [1, 1]), ("user", "likes", "film"): ([0], [0])},
        num_nodes_dict={"user": 3, "film": 2},
    )
    graph.nodes["film"].data["label"] = torch.tensor([1, 0])
    graph.nodes["film"].data["test_mask"] = torch.tensor([False, True])
    graph.edges["rates"].data["w"] = torch.tensor([0.5, 1.5])
    found = gr.from_dgl(graph)
    assert dict(found.num_nodes) == {"user": 3, "film": 2}
    assert (found.target, found.y.tolist(), found.splits["test"].tolist()) == ("film", [1, 0], [1])
    assert found.edge_weight["user", "rates", "film"].tolist() == [0.5, 1.5]
    graph.nodes["user"].data["label"] = torch.tensor([1, 0, 0])
    with pytest.raises(gr.GraphrepError, match="2 node types have labels"):
        gr.from_dgl(graph)
    assert gr.from_dgl(graph, target="user").y.tolist() == [1, 0, 0]


def test_what_dgl_has_no_form_for() -> None:
    pytest.importorskip("dgl")
    with pytest.raises(gr.GraphrepError, match="without edge types"):
        gr.to_dgl(gr.HeteroGraph({}, num_nodes={"a": 1}))
    with pytest.raises(gr.GraphrepError, match='node type "b", which no edge type names'):
        gr.to_dgl(gr.HeteroGraph({("a", "r", "a"): [[0], [0]]}, num_nodes={"b": 1}))


# networkx


def test_foreign_typed_networkx_graphs() -> None:
    graph = nx.Graph()
    graph.add_node("p1", kind="paper", size=1.0)
    graph.add_node("ann", kind="author")
    graph.add_node("p2", kind="paper", size=2.0)
    graph.add_edge("ann", "p2", role="wrote", weight=3.0)
    graph.add_edge("p1", "p2")
    found = gr.from_networkx(graph, node_type="kind", edge_type="role", features=["size"])
    assert dict(found.num_nodes) == {"paper": 2, "author": 1}
    assert found.edge_index["paper", "wrote", "author"].tolist() == [[1], [0]]
    assert found.edge_index["paper", "to", "paper"].tolist() == [[0, 1], [1, 0]]
    assert found.edge_weight["paper", "wrote", "author"].tolist() == [3]
    assert found.x["paper"].tolist() == [[1], [2]]
    assert set(found.x) == {"paper"}
    assert found.ids["paper"].tolist() == ["p1", "p2"]
    assert isinstance(gr.from_networkx(graph), gr.Graph)
    del graph.nodes["ann"]["kind"]
    with pytest.raises(MissingFeaturesError, match="Node 'ann' has no attribute \"kind\""):
        gr.from_networkx(graph, node_type="kind")


def test_a_target_that_is_no_type_is_named() -> None:
    graph = gr.HeteroGraph({("a", "r", "b"): [[0], [0]]}, y=[1], target="a")
    for library in ("pyg", "networkx"):
        with pytest.raises(UnknownNameError, match='There is no node type "c"'):
            getattr(gr, f"from_{library}")(getattr(gr, f"to_{library}")(graph), target="c")
    with pytest.raises(UnknownNameError, match='There is no node type "c"'):
        gr.from_pandas(*gr.to_pandas(graph), target_type="c")


def test_a_subgraph_keeps_what_is_left_of_the_splits() -> None:
    graph = gr.Graph([[0, 1, 2], [1, 2, 0]], ids=["a", "b", "c"], train_idx=[2, 0], feature_names=None)
    part = gr.to_networkx(graph).subgraph(["a", "b"])
    assert gr.from_networkx(part).train_idx.tolist() == [0]


# interactions


def test_foreign_tables_of_interactions() -> None:
    frame = pd.DataFrame(
        {
            "who": ["u", "v", "u"],
            "what": [30, 10, 10],
            "stars": [5, 3, 4],
            "when": pd.to_datetime(["2024-01-02 00:00:00", "2024-01-01 00:00:00", "2024-01-01 00:00:01"]),
            "set": ["train", "test", "val"],
        }
    )
    columns = {"user": "who", "item": "what", "weight": "stars", "time": "when", "part": "set"}
    data = Interactions.from_pandas(frame, **columns)
    assert data.user.tolist() == [0, 1, 0]
    assert data.item_ids.tolist() == [10, 30]
    assert data.weight.tolist() == [5, 3, 4]
    assert data.time.tolist() == [1704153600 * 10**9, 1704067200 * 10**9, 1704067201 * 10**9]
    assert [data.rows(part).tolist() for part in ("train", "val", "test")] == [[0], [2], [1]]
    plain = Interactions.coerce(frame[["who", "what"]].rename(columns={"who": "user", "what": "item"}))
    assert (plain.weight, plain.time, plain.part) == (None, None, None)
    fixed = Interactions.from_pandas(frame, **columns, item_ids=[30, 20, 10])
    assert (fixed.num_items, fixed.item.tolist()) == (3, [0, 2, 2])
    with pytest.raises(gr.GraphrepError, match=r'"what" has 30 \(row 0\), which is no node'):
        Interactions.from_pandas(frame, **columns, item_ids=[10])
    with pytest.raises(UnknownNameError, match='no column "user"'):
        Interactions.from_pandas(frame)
    with pytest.raises(gr.GraphrepError, match="rows without a date"):
        Interactions.from_pandas(frame.assign(when=[pd.NaT, *frame["when"][1:]]), **columns)
    with pytest.raises(DTypeError, match="A list is no table"):
        Interactions.from_pandas([1])


def test_matrices_of_interactions() -> None:
    matrix = np.array([[0, 2.0, 0], [1.0, 0, 3.0]])
    data = Interactions([0, 1, 1], [1, 0, 2], [2.0, 1.0, 3.0])
    assert np.array_equal(data.to_scipy().toarray(), matrix)
    assert np.array_equal(data.replace(part=[0, 2, 2]).to_scipy("test").toarray(), matrix * [[0], [1]])


def test_networkx_can_write_what_we_give_it(tmp_path) -> None:
    graph = gr.load("karate").replace(train_idx=[0, 5], name="club")
    nx.write_graphml(gr.to_networkx(graph), tmp_path / "club.graphml")
    found = gr.from_networkx(nx.read_graphml(tmp_path / "club.graphml", node_type=int))
    assert found.train_idx.tolist() == [0, 5]
    assert torch.equal(found.y, graph.y)
    assert found.edge_weight.sum() == graph.edge_weight.sum()


def test_a_number_per_node_is_a_feature_with_a_name() -> None:
    graph = nx.path_graph(2)
    nx.set_node_attributes(graph, {0: 1.5, 1: 2.5}, "x")
    found = gr.from_networkx(graph)
    assert found.x.tolist() == [[1.5], [2.5]]
    assert found.feature_names == ("x",)
