"""Centralities and GCA's weights: golden files, plain loops, eigenvectors of numpy, permutations, edge cases."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.nn import drop_probability, gca_edge_weights, gca_feature_weights, node_centrality

GOLDEN = Path(__file__).parents[1] / "golden" / "gcl"
KINDS = ("degree", "pagerank", "eigenvector")
SHORT = {"degree": "degree", "pagerank": "pr", "eigenvector": "evc"}
kinds = pytest.mark.parametrize("kind", KINDS)
graphs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20)


def undirected(pairs: list[tuple[int, int]]) -> Tensor:
    one_way = torch.tensor(sorted({(min(p), max(p)) for p in pairs if p[0] != p[1]}), dtype=torch.int64)
    one_way = one_way.reshape(-1, 2).t()
    return torch.cat([one_way, one_way.flip(0)], 1)


def ring(size: int) -> Tensor:
    return undirected([(i, (i + 1) % size) for i in range(size)])


# golden files


@pytest.mark.parametrize(("name", "backend"), [("gca_karate", "cpu"), ("gca_ba60", "cpu"), ("gca_karate", "reference")])
def test_golden(name: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHREP_BACKEND", backend)
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as arrays:
        g = {key: torch.from_numpy(np.array(arrays[key])) for key in arrays.files}
    edges, size = g["edge_index"], int(g["num_nodes"])

    def close(found: Tensor, key: str, tol: float) -> None:
        torch.testing.assert_close(found, g[key], rtol=0, atol=tol * max(1.0, float(g[key].abs().max())))

    close(node_centrality(edges, size, "degree"), "deg", 0)
    close(node_centrality(edges, size, "pagerank"), "pagerank_k200", 1e-10)
    close(node_centrality(edges, size, "pagerank", iterations=10), "pagerank_k10", 1e-10)
    close(node_centrality(edges, size, "eigenvector"), "eigenvector", 1e-7)
    columns = {"degree": "deg", "pagerank": "pagerank_k10", "eigenvector": "eigenvector"}
    for kind, short in SHORT.items():
        tol = 1e-6 if kind == "eigenvector" else 1e-10
        weight = gca_edge_weights(edges, size, kind)  # type: ignore[arg-type]
        close(weight, f"edge_w_{short}", tol)
        for rate in (0.3, 0.6):
            close(drop_probability(weight, rate), f"edge_p_{short}_{rate}", tol)
        for x in (g["x"], g["x"].to_sparse_csr()):
            feature = gca_feature_weights(x, g[columns[kind]], binary=True)
            close(feature, f"feat_w_{short}", tol)
            close(drop_probability(feature, 0.3), f"feat_p_{short}_0.3", tol)
        for x in (g["x_dense"], g["x_dense"].to_sparse_csr()):
            close(gca_feature_weights(x, g[columns[kind]]), f"feat_w_dense_{short}", tol)
        single = gca_feature_weights(g["x_dense"].float(), g[columns[kind]].float())
        assert single.dtype == torch.float32
        close(single.double(), f"feat_w_dense_{short}", 1e-5)


# plain loops


def plain_pagerank(edges: list[list[int]], size: int, iterations: int) -> list[float]:
    out = [sum(source == node for source, _ in edges) for node in range(size)]
    x = [1.0] * size
    for _ in range(iterations):
        arrived = [0.0] * size
        for source, target in edges:
            arrived[target] += x[source] / out[source]
        x = [0.15 * old + 0.85 * new for old, new in zip(x, arrived, strict=True)]
    return x


@settings(max_examples=40, deadline=None)
@given(graphs, st.integers(0, 20))
def test_degree_and_pagerank_of_any_directed_graph(pairs: list[tuple[int, int]], iterations: int) -> None:
    edges = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    neighbours = [{j for j, i in pairs if i == node} | {i for j, i in pairs if j == node} for node in range(8)]
    assert node_centrality(edges, 8, "degree").tolist() == [float(len(found)) for found in neighbours]
    found = node_centrality(edges, 8, "pagerank", iterations=iterations)
    wanted = torch.tensor(plain_pagerank(edges.t().tolist(), 8, iterations), dtype=torch.float64)
    torch.testing.assert_close(found, wanted)


def leading(edges: Tensor, size: int) -> Tensor:
    dense = torch.zeros(size, size, dtype=torch.float64)
    dense[edges[1], edges[0]] = 1
    return torch.linalg.eigh(dense).eigenvectors[:, -1].abs()


def path(size: int) -> Tensor:
    return undirected([(i, i + 1) for i in range(size - 1)])


@pytest.mark.parametrize("size", [2, 3, 20, 200])
def test_eigenvector_of_a_path(size: int) -> None:
    """Known in closed form; bipartite, and with a small gap to the next eigenvalue."""
    wanted = torch.sin(math.pi * torch.arange(1, size + 1, dtype=torch.float64) / (size + 1))
    found = node_centrality(path(size), size, "eigenvector")
    torch.testing.assert_close(found, wanted / wanted.norm(), rtol=0, atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(graphs)
def test_eigenvector_of_connected_graphs(pairs: list[tuple[int, int]]) -> None:
    edges = undirected([*pairs, *((0, i) for i in range(1, 7))])
    found = node_centrality(edges, 7, "eigenvector")
    torch.testing.assert_close(found, leading(edges, 7), rtol=0, atol=1e-7)


def test_eigenvector_of_a_larger_graph_solves_its_equation() -> None:
    generator = torch.Generator().manual_seed(0)
    one_way = torch.randint(0, 2000, (2, 5000), generator=generator)
    edges = torch.cat([one_way, one_way.flip(0)], 1).unique(dim=1)
    v = node_centrality(edges, 2000, "eigenvector")
    product = torch.zeros(2000, dtype=torch.float64).index_add_(0, edges[1], v[edges[0]])
    torch.testing.assert_close(product, v * (v @ product) / (v @ v), rtol=0, atol=1e-6)
    assert abs(float(v.norm()) - 1) < 1e-6


def test_eigenvector_follows_the_direction() -> None:
    """0 <-> 1 -> 2 with eigenvalue 1: x2 = x1; node 3 sends to 0 and gets nothing."""
    edges = torch.tensor([[0, 1, 1, 3], [1, 0, 2, 0]])
    root = 1 / math.sqrt(3)
    wanted = torch.tensor([root, root, root, 0.0], dtype=torch.float64)
    torch.testing.assert_close(node_centrality(edges, 4, "eigenvector"), wanted, rtol=0, atol=1e-7)


def test_equal_components_share_the_eigenvector() -> None:
    edges = torch.cat([ring(4), ring(4) + 4, torch.tensor([[8, 9], [9, 8]])], 1)  # the last one has eigenvalue 1 < 2
    wanted = torch.tensor([8**-0.5] * 8 + [0.0, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(node_centrality(edges, 11, "eigenvector"), wanted, rtol=0, atol=1e-7)


# properties


@settings(max_examples=60, deadline=None)
@given(graphs, st.permutations(range(9)), st.sampled_from(KINDS), st.data())
def test_nodes_and_edges_may_come_in_any_order(
    pairs: list[tuple[int, int]], order: list[int], kind: Any, data: Any
) -> None:
    edges, node = undirected(pairs), torch.tensor(order)
    shuffle = torch.tensor(data.draw(st.permutations(range(edges.shape[1]))), dtype=torch.int64)
    other = node[edges[:, shuffle]]
    a, b = node_centrality(edges, 9, kind), node_centrality(other, 9, kind)
    torch.testing.assert_close(b[node], a, rtol=1e-7, atol=1e-7)
    if kind == "eigenvector":  # entries that are 0 before the offset differ by rounding in their logarithm
        return
    weight = gca_edge_weights(edges, 9, kind)
    torch.testing.assert_close(gca_edge_weights(other, 9, kind), weight[shuffle], rtol=1e-7, atol=1e-7)
    x = torch.rand(9, 4, dtype=torch.float64)
    turned = torch.empty_like(x).index_copy_(0, node, x)
    torch.testing.assert_close(gca_feature_weights(turned, b), gca_feature_weights(x, a), rtol=1e-6, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(graphs, st.sampled_from(KINDS), st.floats(0, 0.99), st.floats(0.01, 1))
def test_probabilities_are_probabilities(pairs: list[tuple[int, int]], kind: Any, p: float, cap: float) -> None:
    edges = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    weight = gca_edge_weights(edges, 9, kind)
    assert bool((weight >= 0).all())
    if len(pairs):
        assert abs(float(weight.mean()) - 1) < 1e-6
    found = drop_probability(weight, p, cap=cap)
    assert bool(((found >= 0) & (found <= cap)).all())
    if len(pairs) and float(found.max()) < cap:
        assert abs(float(found.mean()) - p) < 1e-6


# edge cases


@kinds
def test_equal_centralities_give_the_uniform_rate(kind: Any) -> None:
    for size in (3, 7, 30):
        weight = gca_edge_weights(ring(size), size + 2, kind)  # two isolated nodes behind
        assert torch.equal(weight, torch.ones(2 * size, dtype=torch.float64))
        assert torch.equal(drop_probability(weight, 0.3), torch.full((2 * size,), 0.3, dtype=torch.float64))


def test_rounding_is_not_blown_up_to_differences() -> None:
    """Complete graphs of several sizes: PageRank is 1 everywhere, but sums of k times 1/k are not all exactly 1."""
    parts, first = [], 0
    for size in (4, 8, 11, 12, 50):
        parts.append(undirected([(first + i, first + j) for i in range(size) for j in range(i)]))
        first += size
    edges = torch.cat(parts, 1)
    assert node_centrality(edges, first, "pagerank").unique().numel() > 1
    assert torch.equal(gca_edge_weights(edges, first, "pagerank"), torch.ones(edges.shape[1], dtype=torch.float64))


@kinds
def test_graphs_without_edges(kind: Any) -> None:
    nothing = torch.empty(2, 0, dtype=torch.int64)
    for size in (0, 1, 4):
        found = node_centrality(nothing, size, kind)
        assert found.shape == (size,)
        assert bool(torch.isfinite(found).all())
        assert gca_edge_weights(nothing, size, kind).shape == (0,)
    loop = torch.zeros(2, 1, dtype=torch.int64)
    assert gca_edge_weights(loop, 1, kind).tolist() == [1.0]


@kinds
@pytest.mark.parametrize("num_nodes", [3, 6])
def test_edges_without_a_way_back(kind: Any, num_nodes: int) -> None:
    """A chain 0 -> 1 -> 2: no cycle, so PageRank drains and the only eigenvalue is 0."""
    edges = torch.tensor([[0, 1], [1, 2]])
    for iterations in (200, 5000):
        found = node_centrality(edges, num_nodes, kind, iterations=iterations)
        assert bool((torch.isfinite(found) & (found >= 0)).all())
    assert bool(torch.isfinite(gca_edge_weights(edges, num_nodes, kind)).all())


def test_repeated_edges_and_loops() -> None:
    edges = torch.tensor([[0, 1, 0, 1, 2], [1, 0, 1, 2, 2]])
    assert node_centrality(edges, 3, "degree").tolist() == [1.0, 2.0, 2.0]
    once = edges.unique(dim=1)
    torch.testing.assert_close(node_centrality(edges, 3, "eigenvector"), node_centrality(once, 3, "eigenvector"))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("binary", [False, True])
def test_empty_columns_change_nothing(sparse: bool, binary: bool) -> None:
    x = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 0.0]])
    c = torch.tensor([2.0, 1.0], dtype=torch.float64)
    wide = torch.cat([torch.zeros(2, 1), x, torch.zeros(2, 2)], 1)
    small, large = (gca_feature_weights(t.to_sparse_csr() if sparse else t, c, binary=binary) for t in (x, wide))
    torch.testing.assert_close(large[1:4], small)
    assert large[[0, 4, 5]].tolist() == [1.0, 1.0, 1.0]
    torch.testing.assert_close(drop_probability(large, 0.3)[1:4], drop_probability(small, 0.3))
    sums = [2.0, 3.0, 2.0] if binary else [2.0, 7.0, 1.0]
    s = torch.tensor(sums, dtype=torch.float64).log()
    torch.testing.assert_close(small, (s.max() - s) / (s.max() - s.mean()))


def test_columns_that_only_unimportant_nodes_have() -> None:
    weight = gca_feature_weights(torch.eye(3), torch.tensor([0.0, 1.0, 3.0]))
    assert weight.tolist() == [1.0, 2.0, 0.0]


def test_features_without_entries_rows_or_columns() -> None:
    for shape in ((3, 4), (0, 4), (3, 0)):
        x = torch.zeros(shape)
        for given_x in (x, x.to_sparse_csr()):
            assert gca_feature_weights(given_x, torch.ones(shape[0])).tolist() == [1.0] * shape[1]


def test_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphrep.nn import centrality as module

    x, c = torch.randn(50, 6), torch.rand(50, dtype=torch.float64)
    whole = gca_feature_weights(x, c)
    monkeypatch.setattr(module, "ROWS", 7)
    torch.testing.assert_close(gca_feature_weights(x, c), whole)


def test_probabilities_by_hand() -> None:
    weight = torch.tensor([0.0, 1.0, 5.0])
    assert drop_probability(weight, 0.5, cap=0.9).tolist() == pytest.approx([0.0, 0.25, 0.9])
    assert drop_probability(torch.zeros(2), 0.5).tolist() == [0.5, 0.5]
    assert drop_probability(torch.zeros(2), 0.9).tolist() == pytest.approx([0.7, 0.7])
    assert drop_probability(torch.empty(0), 0.5).shape == (0,)
    assert weight.tolist() == [0.0, 1.0, 5.0]


# errors


def test_errors() -> None:
    edges, x, c = ring(3), torch.ones(3, 2), torch.ones(3)
    with pytest.raises(UnknownNameError, match="closeness"):
        node_centrality(edges, 3, "closeness")  # type: ignore[arg-type]
    with pytest.raises(IndexRangeError, match="2"):
        gca_edge_weights(edges, 2)
    with pytest.raises(GraphrepError, match="iterations"):
        node_centrality(edges, 3, "pagerank", iterations=-1)
    with pytest.raises(ShapeError, match="3 rows"):
        gca_feature_weights(x, torch.ones(4))
    with pytest.raises(DTypeError, match="centrality"):
        gca_feature_weights(x, torch.ones(3).long())
    with pytest.raises(NonFiniteError, match="centrality is nan"):
        gca_feature_weights(x, c * float("nan"))
    with pytest.raises(NonFiniteError, match="column 0"):
        gca_feature_weights(x * float("inf"), c)
    with pytest.raises(GraphrepError, match="weights is -1"):
        drop_probability(-c, 0.3)
    with pytest.raises(NonFiniteError, match="weights is inf"):
        drop_probability(c / 0, 0.3)
    for p in (1.0, -0.1, float("nan")):
        with pytest.raises(GraphrepError, match="p is"):
            drop_probability(c, p)
    with pytest.raises(DTypeError, match="p must be"):
        drop_probability(c, "0.3")  # type: ignore[arg-type]
    for cap in (0.0, 1.1):
        with pytest.raises(GraphrepError, match="cap is"):
            drop_probability(c, 0.3, cap=cap)
