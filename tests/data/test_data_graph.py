"""Graph: what it accepts, what it refuses with which message, and its compressed rows."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphrep as gr
from graphrep.data import GraphWarning
from graphrep.errors import (
    DTypeError,
    IndexRangeError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)

EDGES = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 0]])


def edge_lists(max_nodes: int = 8, max_edges: int = 30) -> st.SearchStrategy[tuple[int, list[tuple[int, int]]]]:
    """(number of nodes, edges)."""
    return st.integers(1, max_nodes).flatmap(
        lambda n: st.tuples(
            st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=max_edges)
        )
    )


# values


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.int16, torch.uint8])
def test_any_integer_type_becomes_int64(dtype: torch.dtype) -> None:
    graph = gr.Graph(EDGES.to(dtype))
    assert graph.edge_index.dtype == torch.int64
    assert torch.equal(graph.edge_index, EDGES)
    assert graph.num_nodes == 3


@pytest.mark.parametrize("make", [list, np.array, lambda e: np.array(e, dtype=np.uint16)])
def test_lists_and_numpy_arrays_are_taken(make) -> None:
    assert torch.equal(gr.Graph(make(EDGES.tolist())).edge_index, EDGES)


def test_number_of_nodes_comes_from_the_parts_in_order() -> None:
    assert gr.Graph(EDGES, x=torch.ones(5, 2)).num_nodes == 5
    assert gr.Graph(EDGES, y=torch.zeros(6)).num_nodes == 6
    assert gr.Graph(EDGES, ids=["a", "b", "c", "d"]).num_nodes == 4
    assert gr.Graph(EDGES, num_nodes=9).num_nodes == 9
    assert gr.Graph(torch.empty(2, 0, dtype=torch.int64)).num_nodes == 0
    assert gr.Graph(torch.empty(2, 0)).num_edges == 0


def test_parts_are_brought_to_one_form() -> None:
    graph = gr.Graph(
        EDGES,
        torch.tensor([1, 2, 3, 4]),
        torch.tensor([1, 2, 3]),
        torch.tensor([[0], [1], [1]], dtype=torch.int32),
        ids=torch.tensor([7, 5, 6], dtype=torch.int32),
        train_idx=torch.tensor([True, False, True]),
        feature_names=["age"],
    )
    assert graph.edge_weight is not None
    assert graph.edge_weight.dtype == torch.float32
    assert graph.x is not None
    assert graph.x.tolist() == [[1.0], [2.0], [3.0]]
    assert graph.y is not None
    assert graph.y.tolist() == [0, 1, 1]
    assert graph.y.dtype == torch.int64
    assert graph.num_classes == 2
    assert graph.ids.tolist() == [7, 5, 6]
    assert graph.train_idx.tolist() == [0, 2]
    assert graph.feature_names == ("age",)


@pytest.mark.parametrize("form", ["scipy", "coo", "csr", "int", "unsorted"])
def test_sparse_features_become_csr(form: str) -> None:
    dense = torch.tensor([[1.0, 0, 0], [0, 0, 2], [0, 3, 0]])
    x = {
        "scipy": lambda: sp.coo_array(dense.numpy()),
        "coo": dense.to_sparse,
        "csr": lambda: gr.Graph(EDGES, x=sp.csr_array(dense.numpy())).x,
        "int": lambda: sp.csr_array(dense.int().numpy()),
        "unsorted": lambda: sp.csr_array(([1.0, 1, 1, 3], [0, 2, 2, 1], [0, 1, 3, 4])),
    }[form]()
    graph = gr.Graph(EDGES, x=x)
    assert graph.x.layout is torch.sparse_csr
    assert graph.x.is_floating_point()
    assert torch.equal(graph.x.to_dense(), dense)
    assert graph.num_features == 3


def test_repr_names_what_is_there() -> None:
    graph = gr.Graph(
        EDGES, torch.ones(4), torch.ones(3, 2), torch.tensor([[0, 1], [1, 1], [0, 0]]), ids=["a", "b", "c"], name="toy"
    )
    assert repr(graph) == "Graph(toy: 3 nodes, 4 stored edges, weighted, 2 features, 2 labels, text ids)"
    big = gr.Graph(torch.tensor([[0, 1, 1], [1, 0, 1]]), num_nodes=12345, ids=torch.arange(12345), train_idx=[0, 1])
    assert big.is_undirected()
    assert repr(big) == "Graph(12 345 nodes, 2 edges, undirected, integer ids, split 2)"
    assert "directed edges" in repr(gr.Graph(EDGES, directed=True))


def test_x_is_padded_only_when_asked() -> None:
    with pytest.warns(GraphWarning, match=r"x has 3 rows and num_nodes is 5: the last 2 nodes get zero features"):
        graph = gr.Graph(EDGES, x=torch.ones(3, 2), num_nodes=5)
    assert graph.x.tolist() == [[1, 1]] * 3 + [[0, 0]] * 2
    with pytest.warns(GraphWarning):
        sparse = gr.Graph(EDGES, x=sp.csr_array(np.ones((3, 2))), num_nodes=5)
    assert torch.equal(sparse.x.to_dense(), graph.x)


def test_replace_keeps_the_rest_and_the_adjacency() -> None:
    graph = gr.Graph(EDGES, x=torch.ones(3, 2))
    csr = graph.csr("out")
    named = graph.replace(name="toy")
    assert named.name == "toy"
    assert named.x is graph.x
    assert named.csr("out") is csr
    other = graph.replace(edge_index=EDGES[:, :2], x=None)
    assert other.num_edges == 2
    assert other.csr("out").nnz == 2
    with pytest.raises(UnknownNameError, match="colour"):
        graph.replace(colour=1)


def test_graph_is_immutable() -> None:
    graph = gr.Graph(EDGES)
    with pytest.raises(AttributeError, match=r"graph.replace\(x=...\)"):
        graph.x = torch.ones(3, 1)


def test_inputs_stay_as_they_are() -> None:
    edges, weight, x = EDGES.clone(), torch.tensor([1.0, 2, 3, 4]), torch.ones(3, 2)
    graph = gr.Graph(edges, weight, x)
    graph.csr("in"), graph.csr("out"), graph.to_undirected()
    assert torch.equal(edges, EDGES)
    assert weight.tolist() == [1, 2, 3, 4]
    assert bool((x == 1).all())


# compressed rows


@pytest.mark.parametrize("direction", ["in", "out", "both"])
@given(case=edge_lists(), seed=st.integers(0, 1000), weighted=st.booleans())
@settings(max_examples=40, deadline=None)
def test_rows_hold_the_edges_and_ignore_their_order(direction, case, seed, weighted) -> None:
    n, pairs = case
    edges = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(1, 4, (len(pairs),), generator=generator).double() if weighted else None
    csr = gr.Graph(edges, weight, num_nodes=n).csr(direction)
    values = torch.ones(len(pairs), dtype=torch.float64) if weight is None else weight
    expected = torch.zeros(n, n, dtype=torch.float64)
    if direction in ("in", "both"):
        expected.index_put_((edges[1], edges[0]), values, accumulate=True)
    if direction in ("out", "both"):
        expected.index_put_((edges[0], edges[1]), values, accumulate=True)
    assert np.array_equal(csr.to_scipy().toarray(), expected.numpy())
    order = torch.randperm(len(pairs), generator=generator)
    other = gr.Graph(edges[:, order], None if weight is None else weight[order], num_nodes=n).csr(direction)
    assert torch.equal(csr.rowptr, other.rowptr)
    assert torch.equal(csr.col, other.col)
    if weight is not None:
        assert torch.equal(csr.value, other.value)
        assert torch.equal(csr.value, weight[csr.perm.long()])
    if direction == "in":
        assert torch.equal(csr.col.long(), edges[0][csr.perm.long()])
        assert torch.equal(csr.row().long(), edges[1][csr.perm.long()])


def test_rows_are_built_once() -> None:
    graph = gr.Graph(EDGES)
    assert graph.csr("out") is graph.csr("out")


def test_gradients_flow_to_the_weights() -> None:
    weight = torch.tensor([1.0, 2, 3, 4], requires_grad=True)
    graph = gr.Graph(EDGES, weight)
    for _ in range(2):  # a second pass must not meet a freed graph
        (graph.csr("in").value * torch.arange(4.0)).sum().backward()
    order = graph.csr("in").perm.long()
    assert torch.equal(weight.grad[order], 2 * torch.arange(4.0))


@given(case=edge_lists())
@settings(max_examples=40, deadline=None)
def test_undirected_means_a_symmetric_matrix(case) -> None:
    n, pairs = case
    edges = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    graph = gr.Graph(edges, num_nodes=n)
    dense = torch.zeros(n, n).index_put_((edges[0], edges[1]), torch.ones(len(pairs)), accumulate=True)
    assert graph.is_undirected() == torch.equal(dense, dense.t())
    made = graph.to_undirected()
    assert gr.Graph(made.edge_index, num_nodes=n).is_undirected()
    links = {frozenset(p) for p in pairs if p[0] != p[1]}
    assert made.num_edges == 2 * len(links)
    assert {frozenset(p) for p in made.edge_index.t().tolist()} == links


def test_weights_decide_about_symmetry() -> None:
    both = torch.tensor([[0, 1], [1, 0]])
    assert gr.Graph(both, torch.tensor([2.0, 2.0])).is_undirected()
    assert not gr.Graph(both, torch.tensor([2.0, 3.0])).is_undirected()
    assert not gr.Graph(both, directed=True).is_undirected()
    assert gr.Graph(both, directed=False).is_undirected()
    assert gr.Graph(both, torch.tensor([2.0, 3.0])).to_undirected().edge_weight.tolist() == [5.0, 5.0]
    assert gr.Graph(both, torch.tensor([2.0, 2.0])).to_undirected().edge_weight.tolist() == [2.0, 2.0]


# errors: the messages are part of the interface


@pytest.mark.parametrize(
    ("kind", "arguments", "message", "hint"),
    [
        (
            IndexRangeError,
            {"x": torch.ones(2, 1)},
            r"edge_index refers to node 2 but x has 2 rows \(valid ids are 0\.\.1\)\.",
            r"ids that start at 1 need edge_index - 1, or pass num_nodes=3 if the last node has no features",
        ),
        (IndexRangeError, {"num_nodes": 2}, "edge_index refers to node 2 but num_nodes is 2", "num_nodes=3"),
        (IndexRangeError, {"edge_index": [[0, -1], [1, 1]]}, r"refers to node -1 \(edge 1\)", "graphrep.read"),
        (ShapeError, {"edge_index": EDGES.t()}, r"edge_index must have shape \(2, E\); got \(4, 2\)", r"t\(\)"),
        (DTypeError, {"edge_index": EDGES.float()}, "edge_index must hold integers.*torch.float32", "long()"),
        (ShapeError, {"edge_weight": torch.ones(3)}, r"edge_weight has shape \(3,\) but there are 4 edges", r"\(E,\)"),
        (DTypeError, {"edge_weight": torch.ones(4, dtype=torch.complex64)}, "real numbers", "real"),
        (
            NonFiniteError,
            {"edge_weight": torch.tensor([1, float("nan"), 1, float("inf")])},
            r"edge_weight has NaN in 2 of 4 edges \(first: 1, 3\)",
            "nan_to_num",
        ),
        (
            NonFiniteError,
            {"x": torch.tensor([[0, 1.0], [0, float("nan")], [0, float("nan")]])},
            r"Feature column 1 has NaN in 2 of 3 rows \(first: rows 1, 2\)",
            "nan_to_num",
        ),
        (
            NonFiniteError,
            {"x": sp.csr_array(np.array([[0, 1.0], [0, np.inf], [2, 0]]))},
            r"Feature column 1 has infinity in 1 of 3 rows \(first: rows 1\)",
            "nan_to_num",
        ),
        (ShapeError, {"x": torch.ones(3, 1, 1)}, r"x must have shape \(N, F\)", "flatten"),
        (ShapeError, {"x": torch.ones(3, 1), "y": torch.ones(4)}, "y has 4 rows but the graph has 3 nodes", "per node"),
        (ShapeError, {"ids": [1, 2, 3], "num_nodes": 4}, "ids has 3 rows but the graph has 4 nodes", "per node"),
        (ShapeError, {"y": torch.ones(3, 1, 1)}, r"y must have shape", "reshape"),
        (gr.GraphrepError, {"ids": [1, 2, 2]}, "ids must be distinct: 2 occurs more than once", "one id per node"),
        (gr.GraphrepError, {"ids": ["a", "b", "a"]}, "ids must be distinct: 'a'", "one id per node"),
        (DTypeError, {"ids": [0.5, 1.5, 2.5]}, "ids must be integers or text; got float64", "str"),
        (DTypeError, {"ids": torch.ones(3)}, "ids must be integers or text; got torch.float32", "long"),
        (IndexRangeError, {"val_idx": [0, 3]}, r"val_idx refers to node 3; valid ids are 0\.\.2", "external"),
        (DTypeError, {"test_idx": [0.5]}, "test_idx must hold node numbers", "long"),
        (ShapeError, {"x": torch.ones(3, 2), "feature_names": ["a"]}, "feature_names has 1 names but x has 2", "each"),
        (gr.GraphrepError, {"directed": False}, "stored in one direction only", "to_undirected"),
        (DTypeError, {"x": "abc"}, "x has dtype", "as_tensor"),
    ],
)
def test_bad_parts_are_refused(kind, arguments, message, hint) -> None:
    arguments = {"edge_index": EDGES, **arguments}
    with pytest.raises(kind, match=message) as caught:
        gr.Graph(**arguments)
    assert isinstance(caught.value, gr.GraphrepError)
    assert re.search(hint, caught.value.hint)


def test_unknown_direction() -> None:
    with pytest.raises(UnknownNameError, match="sideways"):
        gr.Graph(EDGES).csr("sideways")


def test_coerce_takes_what_people_have() -> None:
    import networkx as nx

    expected = [[0, 1], [1, 0]]
    graph = gr.Graph(torch.tensor(expected))
    assert gr.Graph.coerce(graph) is graph
    for other in (
        torch.tensor(expected),
        np.array(expected),
        graph.csr("in"),
        sp.csr_array(np.array([[0, 1], [1, 0]])),
        sp.csr_matrix(np.array([[0, 1], [1, 0]])),
        nx.path_graph(2),
    ):
        found = gr.Graph.coerce(other)
        assert sorted(found.edge_index.t().tolist()) == [[0, 1], [1, 0]], type(other)
    with pytest.raises(DTypeError, match=r"graphrep.read\(path\)"):
        gr.Graph.coerce("edges.csv")
    with pytest.raises(DTypeError, match="A dict is not a graph"):
        gr.Graph.coerce({})
