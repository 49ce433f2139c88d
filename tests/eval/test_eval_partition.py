"""partition_scores: modularity, conductance, coverage, silhouette."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrep.errors import DTypeError, EmptyGraphError, GraphrepError, IndexRangeError, ShapeError
from graphrep.eval import partition_scores


@pytest.mark.parametrize("name", ["a", "weighted"])
def test_golden(golden, name) -> None:
    g = golden(f"evaluation/partition_{name}")
    edges, weight, labels = (torch.from_numpy(g[key]) for key in ("edge_index", "edge_weight", "labels"))
    found = partition_scores(edges, labels, weight, x=torch.from_numpy(g["x"]))
    assert found.modularity == pytest.approx(float(g["modularity"]), abs=1e-12)
    assert found.conductance == pytest.approx(g["conductance"].tolist())
    assert found.silhouette == pytest.approx(float(g["silhouette"]), abs=1e-9)
    twice = partition_scores(edges, labels, weight, resolution=2.0)
    assert twice.modularity == pytest.approx(float(g["modularity_res2"]), abs=1e-12)
    assert partition_scores(edges, labels).coverage == pytest.approx(float(g["coverage_unweighted"]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_against_networkx_listed_once_or_twice(seed) -> None:
    rng = np.random.default_rng(seed)
    graph = nx.gnm_random_graph(12, 25, seed=seed)
    for edge in graph.edges:
        graph.edges[edge]["weight"] = float(rng.integers(1, 5))
    edges = np.array(graph.edges).T
    weight = np.array([w for *_, w in graph.edges.data("weight")])
    labels = rng.integers(0, 3, 12)
    labels[:3] = 0, 1, 2
    groups = [set(np.flatnonzero(labels == k).tolist()) for k in range(3)]
    shuffled = rng.permutation(50)
    both = np.hstack([edges, edges[::-1]])[:, shuffled]
    for found in (
        partition_scores(edges, labels, weight),
        partition_scores(both.astype(np.int32), labels, np.tile(weight, 2)[shuffled]),
    ):
        assert found.modularity == pytest.approx(nx.community.modularity(graph, groups), abs=1e-12)
        for share, group in zip(found.conductance, groups, strict=True):
            rest = set(graph) - group
            if nx.volume(graph, group, "weight") and nx.volume(graph, rest, "weight"):
                assert share == pytest.approx(nx.conductance(graph, group, weight="weight"))
    plain = partition_scores(edges, labels)
    assert plain.coverage == pytest.approx(nx.community.partition_quality(graph, groups)[0])


def test_undefined_conductance_is_counted_and_left_out_of_the_mean() -> None:
    found = partition_scores([[0], [1]], [0, 1, 2])
    assert found.conductance[:2] == [1.0, 1.0]
    assert math.isnan(found.conductance[2])
    assert (found.conductance_mean, found.num_undefined) == (1.0, 1)
    whole = partition_scores([[0, 1], [1, 2]], [5, 5, 5])
    assert math.isnan(whole.conductance_mean)
    assert '"conductance": [null]' in whole.to_json()
    assert whole.modularity == pytest.approx(0.0)


def test_self_loops_are_left_out_and_repeats_add_up() -> None:
    plain = partition_scores([[0, 1, 2], [1, 2, 3]], [0, 0, 1, 1], [2.0, 1.0, 1.0])
    messy = partition_scores([[0, 0, 1, 2, 3], [1, 1, 2, 3, 3]], [0, 0, 1, 1])
    assert messy.modularity == pytest.approx(plain.modularity)


def test_silhouette_is_sampled_above_a_size(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    x = rng.standard_normal((100, 2)) * 0.1 + labels[:, None]
    whole = partition_scores([[0], [1]], labels, x=x)
    monkeypatch.setattr("graphrep.eval.partition._SILHOUETTE_ROWS", 40)
    part = partition_scores([[0], [1]], labels, x=x)
    assert (whole.silhouette_rows, part.silhouette_rows) == (100, 40)
    assert part.silhouette == pytest.approx(whole.silhouette, abs=0.05)


def test_silhouette_of_one_cluster_is_undefined() -> None:
    assert math.isnan(partition_scores([[0], [1]], [0, 0, 0], x=np.eye(3)).silhouette)
    assert partition_scores([[0], [1]], [0, 0, 0]).silhouette is None


def test_errors() -> None:
    with pytest.raises(EmptyGraphError):
        partition_scores(np.empty((2, 0), dtype=int), [0, 1])
    with pytest.raises(EmptyGraphError, match="two different nodes"):
        partition_scores([[0], [0]], [0, 1])
    with pytest.raises(IndexRangeError, match="node 2"):
        partition_scores([[0], [2]], [0, 1])
    with pytest.raises(ShapeError, match=r"\(2, E\)"):
        partition_scores([[0, 1, 2]], [0, 1, 1])
    with pytest.raises(DTypeError):
        partition_scores([[0.0], [1.0]], [0, 1])
    with pytest.raises(GraphrepError, match=">= 0"):
        partition_scores([[0], [1]], [0, 1], [-1.0])
    with pytest.raises(ShapeError, match="3 rows"):
        partition_scores([[0], [1]], [0, 1], x=np.eye(3))
