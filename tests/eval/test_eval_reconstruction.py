"""Network reconstruction: golden values, an explicit loop, ties, samples, errors."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from graphrep.errors import EmptyGraphError, GraphrepError, IndexRangeError, NonFiniteError, UnknownNameError
from graphrep.eval import reconstruction

KINDS = ["dot", "cosine", "neg_l2"]


def similarities(z: np.ndarray, kind: str) -> np.ndarray:
    z = z.astype(np.float64)
    if kind == "dot":
        return np.array([[a @ b for b in z] for a in z])
    if kind == "neg_l2":
        return np.array([[-np.square(a - b).sum() for b in z] for a in z])
    norm = np.maximum(np.linalg.norm(z, axis=1), 1e-300)
    return np.array([[a @ b / (m * n) for b, n in zip(z, norm, strict=True)] for a, m in zip(z, norm, strict=True)])


def by_loops(z, edges, kind, hops, pair_ks, node_ks):
    """The definitions, one node at a time."""
    n = len(z)
    graph = nx.empty_graph(n)
    graph.add_edges_from((a, b) for a, b in np.asarray(edges).T.tolist() if a != b)
    score, found = similarities(z, kind), {}
    distance = {u: nx.single_source_shortest_path_length(graph, u) for u in range(n)}
    for h in hops:
        for mode, fits in (("exact", lambda d, h=h: d == h), ("within", lambda d, h=h: 1 <= d <= h)):
            values = []
            for u in range(n):
                others = [v for v in range(n) if v != u]
                relevant = [fits(distance[u].get(v, -1)) for v in others]
                if any(relevant):
                    values.append(average_precision_score(relevant, score[u, others]))
            found[mode, h] = (np.mean(values) if values else math.nan, len(values))
    pairs = sorted(((i, j) for i in range(n) for j in range(i + 1, n)), key=lambda p: -score[p])  # stable
    for k in pair_ks:
        found["pair", k] = np.mean([graph.has_edge(*pair) for pair in pairs[:k]])
    for k in node_ks:
        shares, capped = [], []
        for u in range(n):
            if graph.degree(u):
                best = sorted((v for v in range(n) if v != u), key=lambda v, u=u: -score[u, v])[:k]
                hits = sum(graph.has_edge(u, v) for v in best)
                shares.append(hits / k)
                capped.append(hits / min(k, graph.degree(u)))
        found["node", k] = (np.mean(shares), np.mean(capped))
    return found


def check(result, wanted, hops, pair_ks, node_ks) -> None:
    for h in hops:
        for mode in ("exact", "within"):
            value, count = wanted[mode, h]
            assert getattr(result, f"map_{mode}")[h] == pytest.approx(value, abs=1e-9, nan_ok=True)
            assert getattr(result, f"num_nodes_{mode}")[h] == count
    for k in pair_ks:
        assert result.pair_precision[k] == pytest.approx(wanted["pair", k])
    for k in node_ks:
        assert result.node_precision[k] == pytest.approx(wanted["node", k][0])
        assert result.node_precision_capped[k] == pytest.approx(wanted["node", k][1])


def random_case(seed: int, n: int = 24, m: int = 30, levels: int | None = None):
    """Vectors and edges; with `levels` whole numbers, so that many scores tie exactly."""
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, n - 2, (2, m))  # the last two nodes are isolated; loops and repeats occur
    edges[:, 0] = 0, 1
    z = rng.standard_normal((n, 4)) if levels is None else rng.integers(0, levels, (n, 2)).astype(np.float64)
    return z, edges


# values


@pytest.mark.parametrize("name", ["reconstruction_a", "reconstruction_b"])
@pytest.mark.parametrize("kind", KINDS)
def test_golden(golden, name, kind) -> None:
    g = golden(f"evaluation/{name}")
    z, edges = torch.from_numpy(g["z"]), torch.from_numpy(g["edge_index"])
    count = edges.shape[1] // 2
    result = reconstruction(z, edges, similarity=kind, pair_ks=[10, 50, 200, count], node_ks=[1, 5, 10])
    for hop in (1, 2, 3):
        for mode in ("exact", "within"):
            assert getattr(result, f"map_{mode}")[hop] == pytest.approx(
                float(g[f"map_{kind}_hop{hop}_{mode}"]), abs=1e-9
            )
            assert getattr(result, f"num_nodes_{mode}")[hop] == int(g[f"n_nodes_hop{hop}_{mode}"])
    for k in (10, 50, 200, count):
        key = f"pairs_precision{'_E' if k == count else k}_{kind}"
        assert result.pair_precision[k] == pytest.approx(float(g[key]), abs=1e-9)
    for k in (1, 5, 10):
        assert result.node_precision[k] == pytest.approx(float(g[f"node_precision{k}_{kind}"]), abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "levels"),  # whole numbers tie exactly, but their cosines only up to rounding in the loop
    [("dot", None), ("cosine", None), ("neg_l2", None), ("dot", 3), ("neg_l2", 3)],
)
@pytest.mark.parametrize("entries", [1 << 21, 50])
def test_explicit_loops(monkeypatch, kind, levels, entries) -> None:
    monkeypatch.setattr("graphrep.eval.reconstruct._ENTRIES", entries)
    z, edges = random_case(1, levels=levels)
    hops, pair_ks, node_ks = (1, 2, 3, 20), (1, 7, 25, 276), (1, 3, 23)
    result = reconstruction(z, edges, similarity=kind, hops=hops, pair_ks=pair_ks, node_ks=node_ks)
    check(result, by_loops(z, edges, kind, hops, pair_ks, node_ks), hops, pair_ks, node_ks)
    assert (result.num_sources, result.sampled, result.map_exact_ci95) == (24, False, {})


def test_float32_input_is_scored_in_float64() -> None:
    z, edges = random_case(2)
    single = z.astype(np.float32)
    a = reconstruction(torch.from_numpy(single), edges, similarity="neg_l2")
    b = reconstruction(single.astype(np.float64), edges, similarity="neg_l2")
    assert a.map_within == b.map_within


# properties


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_order_direction_and_repeats_of_edges_do_not_matter(seed) -> None:
    z, edges = random_case(seed, n=12, m=14)
    first = reconstruction(z, edges, pair_ks=(5,), node_ks=(2,))
    mixed = np.concatenate([edges[::-1], edges[:, ::-1], edges[:, :3]], axis=1)
    second = reconstruction(z, mixed, pair_ks=(5,), node_ks=(2,))
    assert first.to_json() == second.to_json()


def test_identical_vectors_tie_exactly() -> None:
    """All scores equal: average precision is the share of relevant nodes, and precision goes by id."""
    z = np.tile(np.random.default_rng(0).standard_normal(7), (6, 1))
    for kind in KINDS:
        result = reconstruction(z, [[4, 0], [5, 3]], similarity=kind, hops=(1,), pair_ks=(3, 15), node_ks=(1, 4))
        assert result.map_exact[1] == pytest.approx(1 / 5)
        assert result.pair_precision == {3: 1 / 3, 15: 2 / 15}
        assert result.node_precision[4] == pytest.approx((1 + 1 + 0 + 0) / 4 / 4)  # nodes 0, 3, 4, 5


def test_perfect_vectors_score_one() -> None:
    """Two cliques, vectors their indicators."""
    edges = np.array([(i, j) for i in range(8) for j in range(i) if (i < 4) == (j < 4)]).T
    z = np.eye(2)[[0] * 4 + [1] * 4]
    result = reconstruction(z, edges, pair_ks=(12,), node_ks=(3,), hops=(1, 2))
    assert (result.map_exact[1], result.pair_precision[12], result.node_precision[3]) == (1.0, 1.0, 1.0)
    assert math.isnan(result.map_exact[2])
    assert result.num_nodes_exact[2] == 0


def test_samples_of_sources_estimate_the_whole() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((300, 6))
    near = np.argsort(-(z @ z.T), axis=1)[:, 1:6].reshape(-1)
    edges = np.stack([np.repeat(np.arange(300), 5), near])
    whole = reconstruction(z, edges, hops=(1, 2), node_ks=(5,))
    part = reconstruction(z, edges, hops=(1, 2), node_ks=(5,), sources=150, seed=1)
    again = reconstruction(z, edges, hops=(1, 2), node_ks=(5,), sources=150, seed=1)
    assert part.to_json() == again.to_json()
    assert (part.num_sources, part.sampled) == (150, True)
    for name in ("map_exact", "map_within", "node_precision"):
        for key, (low, high) in getattr(part, f"{name}_ci95").items():
            assert low < getattr(part, name)[key] < high
            assert low - 0.02 < getattr(whole, name)[key] < high + 0.02
    chosen = np.flatnonzero(rng.random(300) < 0.5)
    mask = np.isin(np.arange(300), chosen)
    assert reconstruction(z, edges, sources=chosen).map_exact == reconstruction(z, edges, sources=mask).map_exact
    assert not reconstruction(z, edges, sources=300).sampled


def test_above_two_thousand_nodes_sources_are_drawn() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2100, 2))
    edges = np.stack([np.arange(2099), np.arange(1, 2100)])
    result = reconstruction(z, edges, hops=(1,))
    assert (result.num_sources, result.sampled, result.seed) == (2000, True, 0)


# errors


def test_errors() -> None:
    z, edges = random_case(0)
    with pytest.raises(EmptyGraphError):
        reconstruction(z, np.array([[1], [1]]))
    with pytest.raises(IndexRangeError, match="z has 24 rows"):
        reconstruction(z, np.array([[1], [24]]))
    with pytest.raises(NonFiniteError):
        reconstruction(np.where(z == z.max(), np.nan, z), edges)
    with pytest.raises(NonFiniteError, match="overflows"):
        reconstruction(z * 1e200, edges)
    with pytest.raises(UnknownNameError, match="similarity"):
        reconstruction(z, edges, similarity="l2")
    with pytest.raises(GraphrepError, match="of 276 pairs"):
        reconstruction(z, edges, pair_ks=(277,))
    with pytest.raises(GraphrepError, match="at least 1"):
        reconstruction(z, edges, sources=0)
    with pytest.raises(IndexRangeError, match="sources"):
        reconstruction(z, edges, sources=[24])
    with pytest.raises(GraphrepError, match="every K"):
        reconstruction(z, edges, hops=(0,))
