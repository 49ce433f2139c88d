"""Heuristics: against networkx and dense algebra, hand-made graphs, properties, odd inputs, memory, errors."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import graphrep as gr
from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.eval import heuristics
from graphrep.eval.heuristics import HEURISTICS, heuristic_scores, neighbor_sets


@pytest.fixture(params=["cpu", "reference"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GRAPHREP_BACKEND", request.param)
    return str(request.param)


def some_graph(size: int = 60, links: int = 200, seed: int = 0) -> tuple[Tensor, nx.Graph]:
    """A graph whose last nodes are isolated, with self-loops and repeated links, and what networkx makes of it."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, size - 4, (2, links), generator=generator)
    edges = torch.cat([edges, edges[:, :20].flip(0), edges[:, :9], torch.tensor([[3], [3]])], dim=1)
    other = nx.Graph()
    other.add_nodes_from(range(size))
    other.add_edges_from((a, b) for a, b in edges.t().tolist() if a != b)
    return edges, other


def some_pairs(size: int = 60, count: int = 300) -> Tensor:
    pairs = torch.randint(0, size, (2, count), generator=torch.Generator().manual_seed(1))
    return pairs[:, pairs[0] != pairs[1]]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("jaccard", nx.jaccard_coefficient),
        ("adamic-adar", nx.adamic_adar_index),
        ("resource-allocation", nx.resource_allocation_index),
        ("preferential-attachment", nx.preferential_attachment),
    ],
)
def test_as_networkx(backend: str, name: str, theirs) -> None:
    edges, other = some_graph()
    pairs = some_pairs()
    wanted = [score for _, _, score in theirs(other, pairs.t().tolist())]
    found = heuristic_scores(gr.Graph(edges, num_nodes=60), pairs, name)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(wanted, abs=1e-12)


def test_common_neighbours_by_hand(backend: str) -> None:
    edges, other = some_graph()
    pairs = some_pairs()
    wanted = [len(set(other[a]) & set(other[b])) for a, b in pairs.t().tolist()]
    assert heuristic_scores(gr.Graph(edges, num_nodes=60), pairs, "common-neighbors").tolist() == wanted


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_katz_is_a_sum_of_powers(backend: str, hops: int) -> None:
    edges, other = some_graph()
    dense = torch.from_numpy(nx.to_numpy_array(other, nodelist=range(60)))
    pairs = some_pairs()
    wanted = sum(0.02**n * torch.linalg.matrix_power(dense, n) for n in range(1, hops + 1))[pairs[0], pairs[1]]
    found = heuristic_scores(gr.Graph(edges, num_nodes=60), pairs, "katz", beta=0.02, hops=hops)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-15)


def test_pagerank_is_the_sum_of_both_ways(backend: str, monkeypatch) -> None:
    edges, other = some_graph()
    pairs = some_pairs()
    graph = gr.Graph(edges, num_nodes=60)
    found = heuristic_scores(graph, pairs, "pagerank", tolerance=1e-12)
    own = {n: nx.pagerank(other, alpha=0.85, personalization={n: 1}, tol=1e-15, max_iter=1000) for n in range(56)}
    for node in range(56, 60):
        own[node] = {n: float(n == node) for n in range(60)}  # networkx restarts walks that cannot go on
    wanted = [own[a][b] + own[b][a] for a, b in pairs.t().tolist()]
    connected = [i for i, (a, b) in enumerate(pairs.t().tolist()) if other.degree[a] and other.degree[b]]
    assert found[connected].tolist() == pytest.approx([wanted[i] for i in connected], abs=1e-9)
    assert len(connected) > 200
    monkeypatch.setattr(heuristics, "BLOCK_ENTRIES", 100)
    assert torch.equal(heuristic_scores(graph, pairs, "pagerank", tolerance=1e-12), found)


# properties

PAIRS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20)


@settings(max_examples=40, deadline=None)
@given(PAIRS, st.permutations(range(8)), st.sampled_from(sorted(HEURISTICS)))
def test_direction_repeats_and_numbering_do_not_matter(edges, order, name: str) -> None:
    index, renamed = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t(), torch.tensor(order)
    every = torch.cartesian_prod(torch.arange(8), torch.arange(8)).t()
    settings_ = {"tolerance": 1e-13} if name == "pagerank" else {}
    found = heuristic_scores(gr.Graph(index, num_nodes=8), every, name, **settings_)
    other = gr.Graph(renamed[torch.cat([index.flip(0), index], 1)], num_nodes=8)
    again = heuristic_scores(other, renamed[every], name, **settings_)
    torch.testing.assert_close(again, found, rtol=1e-12, atol=1e-10)
    assert bool((found >= 0).all())
    torch.testing.assert_close(found.reshape(8, 8), found.reshape(8, 8).t(), rtol=0, atol=0)
    assert not bool(found.isnan().any())


@pytest.mark.parametrize("name", sorted(HEURISTICS))
def test_a_score_does_not_depend_on_what_else_is_asked(name: str) -> None:
    edges, _ = some_graph()
    graph, pairs = gr.Graph(edges, num_nodes=60), some_pairs()
    whole = heuristic_scores(graph, pairs, name)
    assert torch.equal(torch.cat([heuristic_scores(graph, pairs[:, i : i + 1], name) for i in range(9)]), whole[:9])
    assert torch.equal(heuristic_scores(graph, pairs.flip(0).int(), name), whole)
    assert heuristic_scores(graph, pairs[:, :0], name).shape == (0,)


@pytest.mark.parametrize("name", sorted(HEURISTICS))
def test_what_may_be_given(name: str) -> None:
    """Weights play no part; a plain edge list, numpy pairs and a graph without links will do."""
    edges, _ = some_graph()
    plain = heuristic_scores(edges, some_pairs(56).numpy(), name)
    weighted = gr.Graph(edges, torch.rand(edges.shape[1]), num_nodes=60)
    assert torch.equal(heuristic_scores(weighted, some_pairs(56), name), plain)
    empty = gr.Graph(torch.empty(2, 0, dtype=torch.int64), num_nodes=3)
    assert heuristic_scores(empty, [[0, 1], [1, 2]], name).tolist() == [0.0, 0.0]


def test_values_at_the_edges() -> None:
    star = torch.tensor([[0, 0, 0], [1, 2, 3]])
    assert heuristic_scores(star, [[1], [1]], "adamic-adar").tolist() == [pytest.approx(1 / math.log(3))]
    assert heuristic_scores(star, [[0], [0]], "adamic-adar").tolist() == [0.0]  # neighbours of degree 1
    assert heuristic_scores(star, [[0, 1], [1, 2]], "jaccard").tolist() == [0.0, 1.0]
    assert neighbor_sets(torch.tensor([[0, 1, 1], [0, 0, 0]])).col.tolist() == [1, 0]


def test_errors() -> None:
    edges = torch.tensor([[0, 1], [1, 2]])
    with pytest.raises(UnknownNameError, match='Unknown heuristic "adamic"'):
        heuristic_scores(edges, [[0], [1]], "adamic")
    with pytest.raises(IndexRangeError, match="pairs refers to 3"):
        heuristic_scores(edges, [[0], [3]], "jaccard")
    with pytest.raises(ShapeError, match="pairs"):
        heuristic_scores(edges, [[0, 1, 2], [0, 1, 2], [0, 0, 0]], "katz")
    with pytest.raises(DTypeError):
        heuristic_scores(edges, [[0.5], [1.0]], "pagerank")
    with pytest.raises(GraphrepError, match="hops"):
        heuristic_scores(edges, [[0], [1]], "katz", hops=0)


def test_every_heuristic_tells_links_of_a_real_graph() -> None:
    graph = gr.load("lesmis")
    split = gr.data.split_edges(graph, shares=(80, 0, 20), seed=0)
    known = gr.Graph(split.train_edge_index(), num_nodes=graph.num_nodes)
    for name in HEURISTICS:
        pos, neg = (heuristic_scores(known, pairs, name) for pairs in (split.test, split.test_neg))
        assert gr.eval.link_scores(pos, neg, ks=()).auc > 0.65, name
    assert np.isfinite(heuristic_scores(known, split.test, "katz").numpy()).all()
