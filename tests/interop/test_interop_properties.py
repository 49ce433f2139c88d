"""For any graph: there and back through another library gives the same graph."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interop_cases import SETTINGS, assert_same_graph, assert_same_hetero, graphs, hetero_graphs, stored

import graphrep as gr
from graphrep.data import Interactions, as_graph, as_hetero, as_interactions


@given(graph=graphs())
@settings(**SETTINGS)
def test_pyg_loses_nothing(graph) -> None:
    assert_same_graph(gr.from_pyg(gr.to_pyg(graph)), graph, ordered=True)


@given(graph=graphs())
@settings(**SETTINGS)
def test_dgl_loses_nothing(graph) -> None:
    pytest.importorskip("dgl")
    assert_same_graph(gr.from_dgl(gr.to_dgl(graph)), graph, ordered=True)


@given(graph=graphs())
@settings(**SETTINGS)
def test_networkx_loses_only_the_order_of_edges(graph) -> None:
    assert_same_graph(gr.from_networkx(gr.to_networkx(graph)), graph, ordered=False)


@given(graph=graphs())
@settings(**SETTINGS)
def test_pandas_keeps_the_order_of_directed_edges(graph) -> None:
    found = gr.from_pandas(*gr.to_pandas(graph))
    assert_same_graph(found, graph, ordered=not graph.is_undirected())


@given(graph=graphs())
@settings(**SETTINGS)
def test_scipy_keeps_edges_and_weights(graph) -> None:
    found = gr.from_scipy(gr.to_scipy(graph), x=graph.x, y=graph.y, ids=graph.ids)
    weight = graph.edge_weight
    plain = weight is None or bool((weight == 1).all())  # a matrix of ones is an unweighted graph
    assert (found.edge_weight is None) == plain
    assert plain or found.edge_weight.dtype == weight.dtype
    assert found.num_nodes == graph.num_nodes
    assert stored(found.edge_index, found.edge_weight) == stored(graph.edge_index, None if plain else weight)


@given(graph=hetero_graphs())
@settings(**SETTINGS)
@pytest.mark.parametrize("library", ["pyg", "networkx"])
def test_typed_graphs_lose_nothing(library, graph) -> None:
    there, back = getattr(gr, f"to_{library}"), getattr(gr, f"from_{library}")
    assert_same_hetero(back(there(graph)), graph)
    assert_same_hetero(as_hetero(there(graph)), graph)


@given(graph=hetero_graphs())
@settings(**SETTINGS)
def test_typed_tables_lose_nothing(graph) -> None:
    edges, nodes = gr.to_pandas(graph)
    assert_same_hetero(gr.from_pandas(edges, nodes), graph)
    assert_same_hetero(as_hetero((edges, nodes)), graph)


@given(graph=hetero_graphs(alone=False))
@settings(**SETTINGS)
def test_typed_dgl_graphs_lose_nothing(graph) -> None:
    pytest.importorskip("dgl")
    assert_same_hetero(gr.from_dgl(gr.to_dgl(graph)), graph)


@st.composite
def interactions(draw) -> Interactions:
    users, items = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    rows = draw(st.lists(st.tuples(st.integers(0, users - 1), st.integers(0, items - 1)), max_size=8))
    count = len(rows)

    def maybe(strategy):
        return draw(st.one_of(st.none(), st.lists(strategy, min_size=count, max_size=count)))

    numbers = torch.tensor(rows, dtype=torch.int64).reshape(-1, 2)
    weight = maybe(st.integers(2, 50).map(lambda n: n / 10))
    time = maybe(st.integers(2**60, 2**60 + 5))
    return Interactions(
        numbers[:, 0],
        numbers[:, 1],
        None if weight is None else torch.tensor(weight, dtype=draw(st.sampled_from([torch.float32, torch.float64]))),
        None if time is None else torch.tensor(time, dtype=torch.int64),
        part=None if (part := maybe(st.integers(0, 2))) is None else torch.tensor(part, dtype=torch.int8),
        num_users=users,
        num_items=items,
        user_ids=draw(st.sampled_from([None, [f"u{i}" for i in range(users)], [7 * i + 3 for i in range(users)]])),
        item_ids=draw(st.sampled_from([None, [f"i{i}" for i in range(items)][::-1]])),
        name=draw(st.sampled_from([None, "toy"])),
    )


def assert_same_interactions(found: Interactions, expected: Interactions) -> None:
    for key in ("user", "item", "weight", "time", "part"):
        one, other = getattr(found, key), getattr(expected, key)
        assert (one is None) == (other is None), key
        assert one is None or (one.dtype == other.dtype and torch.equal(one, other)), key
    for key in ("user_ids", "item_ids"):
        one, other = getattr(found, key), getattr(expected, key)
        assert (None if one is None else one.tolist()) == (None if other is None else other.tolist())
    assert (found.num_users, found.num_items, found.name) == (expected.num_users, expected.num_items, expected.name)


@given(data=interactions())
@settings(**SETTINGS)
def test_interactions_lose_nothing(data) -> None:
    assert_same_interactions(Interactions.from_pandas(data.to_pandas()), data)
    assert_same_interactions(Interactions.from_pyg(data.to_pyg()), data)
    assert_same_interactions(as_interactions(data.to_pyg()), data)


@given(data=interactions())
@settings(**SETTINGS)
def test_matrices_hold_the_sum_of_each_pair(data) -> None:
    expected = torch.zeros(data.num_users, data.num_items, dtype=torch.float64)
    for row in range(data.num_rows):
        expected[data.user[row], data.item[row]] += 1 if data.weight is None else float(data.weight[row])
    matrix = data.to_scipy()
    assert matrix.has_canonical_format
    assert torch.allclose(torch.from_numpy(matrix.toarray()).double(), expected, rtol=1e-6, atol=0)
    found = Interactions.from_scipy(matrix, user_ids=data.user_ids, item_ids=data.item_ids)
    assert (found.to_scipy() != matrix).nnz == 0
    pairs = set(zip(data.user.tolist(), data.item.tolist(), strict=True))
    assert data.csr(binarize=True).nnz == data.csr().nnz == len(pairs)
    assert set(data.csr(binarize=True).value.tolist()) <= {1.0}


@given(graph=graphs(), hetero=hetero_graphs(), data=interactions())
@settings(**SETTINGS)
def test_copies_and_pickles_lose_nothing(graph, hetero, data) -> None:
    for copied in (copy.deepcopy, lambda part: pickle.loads(pickle.dumps(part))):
        assert_same_graph(copied(graph), graph, ordered=True)
        assert_same_hetero(copied(hetero), hetero)
        assert_same_interactions(copied(data), data)


@given(graph=graphs())
@settings(**SETTINGS)
def test_as_graph_takes_them_all(graph) -> None:
    for library in ("pyg", "networkx"):
        assert_same_graph(as_graph(getattr(gr, f"to_{library}")(graph)), graph, ordered=library == "pyg")
    assert_same_graph(as_graph(gr.to_pandas(graph)), graph, ordered=not graph.is_undirected())
