"""Louvain and Leiden: numbers of their own and wanted ones, components, isolated nodes, quality, errors."""

from __future__ import annotations

import builtins
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from cluster_cases import planted, same
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep import Graph, Leiden, Louvain, load
from graphrep.errors import EmptyGraphError, GraphrepError, MissingExtraError, MissingFeaturesError, UnknownNameError
from graphrep.kernels import CSR, louvain, modularity
from graphrep.methods._partition_input import prepared
from graphrep.methods._resolution import best_of, effective_number, search_resolution
from graphrep.methods.communities import _main_part
from graphrep.nn._components import connected_components

both = pytest.mark.parametrize("method", [Louvain, Leiden])


def undirected(graph: nx.Graph) -> Graph:
    links = torch.tensor(list(graph.edges)).reshape(-1, 2).t()
    return Graph(torch.cat([links, links.flip(0)], dim=1), num_nodes=graph.number_of_nodes())


@both
def test_own_number_is_that_of_the_best_seed(method: type[Any]) -> None:
    graph = load("karate")
    model = method(num_seeds=10).fit(graph)
    assert model.num_clusters_ == 4
    assert model.modularity_ == pytest.approx(0.4449, abs=1e-4)  # the optimum of the weighted club
    assert model.resolution_ == 1.0
    more = method(resolution=3.0).fit(graph)
    assert more.num_clusters_ > model.num_clusters_
    simple = prepared(graph)
    assert model.modularity_ == pytest.approx(modularity(simple.csr, model.labels_), abs=1e-12)


def test_seeds_and_best() -> None:
    csr = prepared(load("karate")).csr
    values = [modularity(csr, louvain(csr, seed=s)) for s in range(5)]
    found = best_of(lambda r, s: louvain(csr, resolution=r, seed=s), csr, 1.0, range(5))
    assert found.quality == max(values)
    assert found.seed == values.index(max(values))


@both
@pytest.mark.parametrize("k", [1, 2, 3, 5, 8, 13, 34])
def test_any_wanted_number_is_reached(method: type[Any], k: int) -> None:
    model = method(k, num_seeds=2).fit(load("karate"))
    assert model.num_clusters_ == k
    assert torch.bincount(model.labels_).numel() == k


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 12))
def test_search_gives_connected_graphs_exactly_k(seed: int, k: int) -> None:
    csr = prepared(undirected(nx.connected_watts_strogatz_graph(24, 4, 0.3, seed=seed))).csr
    found = search_resolution(lambda r, s: louvain(csr, resolution=r, seed=s), csr, k, [seed])
    assert sorted(set(found.labels.tolist())) == list(range(k))
    if k > 1:
        assert found.quality == pytest.approx(modularity(csr, found.labels, resolution=found.resolution), abs=1e-12)


def test_mergers_take_the_best_pair() -> None:
    """From four pairs of a path of cliques to two: each merger is the one of largest modularity at the resolution."""
    from graphrep.methods._resolution import _merge

    csr = prepared(undirected(nx.connected_caveman_graph(4, 5))).csr
    labels = torch.arange(20) // 5
    for resolution in (0.2, 1.0):
        one = _merge(csr, labels, 1, resolution)
        pairs = [torch.where(labels == b, a, labels) for a in range(4) for b in range(a + 1, 4)]
        best = max(modularity(csr, p, resolution=resolution) for p in pairs)
        assert modularity(csr, one, resolution=resolution) == pytest.approx(best, abs=1e-12)
        assert int(_merge(csr, labels, 3, resolution).max()) == 0
        assert torch.equal(_merge(csr, labels, 0, resolution), labels)


def test_effective_number() -> None:
    assert effective_number(torch.arange(7)) == pytest.approx(7.0)
    assert effective_number(torch.zeros(7, dtype=torch.int64)) == pytest.approx(1.0)
    assert 1 < effective_number(torch.tensor([0, 0, 0, 1])) < 2


@both
def test_wanted_groups_in_one_component(method: type[Any]) -> None:
    graph, groups = planted((30, 20, 10), features=False, weighted=True)
    model = method(3).fit(graph)
    assert same(model.labels_, groups)
    assert model.notes_ == [] or "merged into others" in model.notes_[0]


@both
def test_isolated_nodes_by_features_or_kept(method: type[Any]) -> None:
    graph, groups = planted(isolated=6, noise=0.2)
    by_features = method(3).fit(graph)
    assert same(by_features.labels_, groups)
    fate = "6 of 66 nodes have no neighbours: assigned to the cluster with the nearest mean features."
    assert fate in by_features.notes_
    own = method().fit(graph)
    assert same(own.labels_, groups)
    assert own.notes_ == [fate]
    kept = method(isolated="keep").fit(graph)
    assert kept.num_clusters_ == 9
    assert kept.notes_ == ["6 of 66 nodes have no neighbours: each is a cluster of its own."]
    nine = method(9, isolated="keep").fit(graph)
    assert same(nine.labels_, kept.labels_)
    bare = graph.replace(x=None)
    assert same(method().fit(bare).labels_, kept.labels_)
    with pytest.raises(GraphrepError, match=r"Asked for 3 clusters but the graph has 7 connected components"):
        method(3).fit(bare)
    with pytest.raises(GraphrepError, match="no resolution joins two of them"):
        method(3, isolated="keep").fit(graph)


def test_small_components_go_by_features_as_a_whole() -> None:
    """Two links apart from the rest, whose ends have features of different groups: the mean decides for both."""
    graph, groups = planted(isolated=0, noise=0.1)
    assert isinstance(graph.x, Tensor)
    extra = torch.zeros(4, 8)
    extra[0, 0], extra[1, 0], extra[1, 1], extra[2, 2], extra[3, 2] = 1.0, 0.8, 0.7, 1.0, 1.0
    links = torch.tensor([[60, 61, 62, 63], [61, 60, 63, 62]])
    wide = Graph(torch.cat([graph.edge_index, links], dim=1), x=torch.cat([graph.x, extra]), num_nodes=64)
    model = Louvain(3).fit(wide)
    assert same(model.labels_[:60], groups)
    assert model.labels_[60:].tolist() == [int(model.labels_[0])] * 2 + [int(model.labels_[59])] * 2
    assert model.notes_[0].startswith("4 of 64 nodes lie outside the large components (0 of them without neighbours)")


def test_components_that_are_large_enough() -> None:
    component = torch.tensor([0] * 50 + [1] * 30 + [2] * 3 + [3])
    isolated = component == 3
    assert _main_part(component, isolated, 2).tolist() == [True] * 80 + [False] * 4
    assert _main_part(component, isolated, 3).tolist() == [True] * 83 + [False]
    assert _main_part(component, isolated, 1).tolist() == [True] * 50 + [False] * 34


def test_connected_components_ignore_zero_weights() -> None:
    edges = torch.tensor([[4, 0, 1, 2, 3, 1], [0, 4, 2, 1, 1, 3]])
    csr = CSR.from_edge_index(edges, torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0, 0.0]), size=(5, 5))
    assert connected_components(csr).tolist() == [0, 1, 1, 2, 0]
    plain = CSR.from_edge_index(edges, size=(5, 5))
    assert connected_components(plain).tolist() == [0, 1, 1, 1, 0]


def test_more_clusters_than_the_large_part_has_nodes() -> None:
    x = torch.eye(10)
    graph = Graph(torch.tensor([[0, 1], [1, 0]]), x=x, num_nodes=10)
    with pytest.raises(GraphrepError, match="the largest components have 2 nodes"):
        Louvain(5).fit(graph)


def test_toy_graphs(toy_graph: tuple[int, Tensor]) -> None:
    """Connected communities whatever the graph; a graph without links is refused."""
    num_nodes, edges = toy_graph
    graph = Graph(edges, num_nodes=num_nodes)
    if not edges.numel():
        with pytest.raises(EmptyGraphError):
            Louvain().fit(graph)
        return
    model = Louvain(num_seeds=2).fit(graph)
    net = nx.Graph(edges.t().tolist())
    net.add_nodes_from(range(num_nodes))
    for community in range(model.num_clusters_):
        members = (model.labels_ == community).nonzero().squeeze(1).tolist()
        assert nx.is_connected(net.subgraph(members))
    parts = nx.number_connected_components(net)
    assert model.num_clusters_ >= parts
    assert Louvain(parts, num_seeds=2).fit(graph).num_clusters_ == parts
    with pytest.raises(GraphrepError, match="Asked for"):
        Louvain(num_nodes + 1).fit(graph)


@both
def test_errors(method: type[Any]) -> None:
    graph, _ = planted()
    with pytest.raises(UnknownNameError, match='isolated is "drop"'):
        method(isolated="drop").fit(graph)
    with pytest.raises(MissingFeaturesError):
        method(isolated="features").fit(graph.replace(x=None))
    with pytest.raises(GraphrepError, match="num_seeds must be an integer of at least 1"):
        method(num_seeds=0).fit(graph)
    with pytest.raises(EmptyGraphError, match="no link between two nodes"):
        method().fit(Graph(torch.tensor([[0], [0]]), num_nodes=3))
    with pytest.raises(GraphrepError, match=r"edge_weight\[0\] is -1"):
        method().fit(Graph(graph.edge_index, -torch.ones(graph.num_edges)))


def test_leiden_says_which_extra_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name == "leidenalg":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="leidenalg, which is not installed") as caught:
        Leiden().fit(load("karate"))
    assert 'pip install "graphrep[leiden]"' in str(caught.value)
    assert Louvain().fit(load("karate")).num_clusters_ == 4


def test_leiden_settings() -> None:
    graph, groups = planted(features=False)
    model = Leiden(3, iterations=-1, seed=2**40).fit(graph)
    assert same(model.labels_, groups)
    assert repr(model) == f"Leiden(num_clusters=3, iterations=-1, seed={2**40})"
    for bad in (0, -2, 1.5):
        with pytest.raises(GraphrepError, match="iterations must be an integer"):
            Leiden(iterations=bad).fit(graph)  # type: ignore[arg-type]


def test_louvain_is_about_as_good_as_leiden() -> None:
    """On a graph with a thousand nodes and blurred groups: within two per cent of modularity."""
    graph = undirected(nx.random_partition_graph([40] * 25, 0.25, 0.01, seed=3))
    ours, theirs = (method(num_seeds=3).fit(graph).modularity_ for method in (Louvain, Leiden))
    assert ours >= 0.98 * theirs


@pytest.mark.slow
def test_usps_with_k_is_found_as_published(data_root: Any) -> None:
    """Ten communities of the digits' neighbour graph: 95 per cent, for several first seeds (labels only to judge)."""
    from graphrep.eval import cluster_scores

    graph = load("clustering/usps", data_root)
    for seed in (0, 100):
        assert cluster_scores(graph.y, Louvain(10, seed=seed).fit(graph).labels_).acc > 0.94
    assert np.unique(Louvain(10).fit(graph).labels_).size == 10


@pytest.mark.slow
def test_smoothed_features_reach_the_published_row(data_root: Any) -> None:
    """ACC and NMI of the training-free row, within a point and a half (labels only to judge)."""
    from graphrep import SmoothedKMeans
    from graphrep.eval import cluster_scores

    wanted = {"acm": (85.5, 58.6), "dblp": (75.0, 42.6), "citeseer": (67.9, 42.2), "usps": (68.6, 67.0)}
    for name, (acc, nmi) in wanted.items():
        graph = load(f"clustering/{name}", data_root)
        scores = cluster_scores(graph.y, SmoothedKMeans(graph.num_classes).fit(graph).labels_)
        assert 100 * scores.acc == pytest.approx(acc, abs=1.5)
        assert 100 * scores.nmi == pytest.approx(nmi, abs=1.5)
