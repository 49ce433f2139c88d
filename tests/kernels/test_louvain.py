"""Louvain and modularity: brute force on small graphs, networkx and igraph, both backends, structure of the result."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, NonFiniteError, ShapeError
from graphrep.kernels import CSR, louvain, modularity

RESOLUTIONS = (0.0, 0.4, 1.0, 2.5)


def random_graph(num_nodes: int, num_links: int, seed: int, *, weighted: bool = True) -> tuple[nx.Graph, CSR]:
    graph = nx.gnm_random_graph(num_nodes, num_links, seed=seed)
    rng = np.random.default_rng(seed)
    for edge in graph.edges:
        graph.edges[edge]["weight"] = float(rng.integers(1, 6)) / 4 if weighted else 1.0
    return graph, csr_of(graph, weighted=weighted)


def csr_of(graph: nx.Graph, *, weighted: bool = True) -> CSR:
    size = graph.number_of_nodes()
    links = torch.tensor(list(graph.edges), dtype=torch.int64).reshape(-1, 2).t()
    weight = torch.tensor([w for *_, w in graph.edges.data("weight", default=1.0)], dtype=torch.float64)
    both = torch.cat([links, links.flip(0)], dim=1)
    return CSR.from_edge_index(both, torch.cat([weight, weight]) if weighted else None, size=(size, size))


def groups(labels: Tensor) -> list[set[int]]:
    return [set(torch.nonzero(labels == c).squeeze(1).tolist()) for c in range(int(labels.max()) + 1)]


def two_cliques(size: int) -> nx.Graph:
    return nx.disjoint_union(nx.complete_graph(size), nx.complete_graph(size))


def partitions(size: int) -> Iterator[list[int]]:
    """All partitions of 0..size-1 as restricted growth strings."""

    def grow(prefix: list[int]) -> Iterator[list[int]]:
        if len(prefix) == size:
            yield prefix
            return
        for label in range(max(prefix) + 2):
            yield from grow([*prefix, label])

    yield from grow([0])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(RESOLUTIONS))
def test_modularity_is_that_of_networkx(seed: int, resolution: float) -> None:
    graph, csr = random_graph(12, 22, seed)
    labels = torch.from_numpy(np.random.default_rng(seed).integers(0, 4, 12))
    wanted = nx.community.modularity(graph, [g for g in groups(labels) if g], resolution=resolution)
    assert modularity(csr, labels, resolution=resolution) == pytest.approx(wanted, abs=1e-12)
    order = torch.from_numpy(np.random.default_rng(seed + 1).permutation(12))
    moved = CSR.from_edge_index(order[torch.stack([csr.col.long(), csr.row().long()])], csr.value, size=(12, 12))
    again = torch.empty_like(labels)
    again[order] = labels
    assert modularity(moved, again, resolution=resolution) == pytest.approx(wanted, abs=1e-12)


def test_modularity_is_that_of_igraph_and_leidenalg() -> None:
    igraph, leidenalg = pytest.importorskip("igraph"), pytest.importorskip("leidenalg")
    graph, csr = random_graph(30, 70, 3)
    weights = [w for *_, w in graph.edges.data("weight")]
    net = igraph.Graph(n=30, edges=list(graph.edges))
    for resolution in RESOLUTIONS[1:]:
        labels = louvain(csr, resolution=resolution, seed=1)
        ours = modularity(csr, labels, resolution=resolution)
        assert ours == pytest.approx(net.modularity(labels.tolist(), weights=weights, resolution=resolution), abs=1e-12)
        theirs = leidenalg.RBConfigurationVertexPartition(
            net, initial_membership=labels.tolist(), weights=weights, resolution_parameter=resolution
        )
        assert ours == pytest.approx(theirs.quality() / (2 * sum(weights)), abs=1e-12)


def test_a_loop_of_igraph_is_twice_its_weight_on_the_diagonal() -> None:
    igraph = pytest.importorskip("igraph")
    net = igraph.Graph(n=3, edges=[(0, 1), (1, 2), (2, 2)])
    edges = torch.tensor([[0, 1, 1, 2, 2], [1, 0, 2, 1, 2]])
    csr = CSR.from_edge_index(edges, torch.tensor([1.0, 1.0, 1.0, 1.0, 2.0]))
    for labels in ([0, 0, 1], [0, 1, 1], [0, 0, 0]):
        assert modularity(csr, torch.tensor(labels)) == pytest.approx(net.modularity(labels), abs=1e-12)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("seed", range(3))
def test_best_of_a_few_seeds_is_the_best_of_all_partitions(seed: int, resolution: float) -> None:
    _, csr = random_graph(7, 11, seed)
    best = max(modularity(csr, torch.tensor(p), resolution=resolution) for p in partitions(7))
    found = max(modularity(csr, louvain(csr, resolution=resolution, seed=s), resolution=resolution) for s in range(10))
    assert found == pytest.approx(best, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(RESOLUTIONS), st.booleans())
def test_no_move_no_merger_and_no_split_gains(seed: int, resolution: float, weighted: bool) -> None:
    """Against the definition: each node into each community or alone, each pair of communities as one."""
    graph, csr = random_graph(20, 34, seed, weighted=weighted)
    labels = louvain(csr, resolution=resolution, seed=seed)
    value = modularity(csr, labels, resolution=resolution)
    count = int(labels.max()) + 1
    for node, community in itertools.product(range(20), range(count + 1)):
        moved = labels.clone()
        moved[node] = community
        assert modularity(csr, moved, resolution=resolution) <= value + 1e-9
    for a, b in itertools.combinations(range(count), 2):
        merged = torch.where(labels == b, a, labels)
        assert modularity(csr, merged, resolution=resolution) <= value + 1e-9
    for community in groups(labels):
        assert nx.is_connected(graph.subgraph(community))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.floats(0, 3), st.integers(0, 10_000))
def test_backends_give_the_same_labels(size: int, density: float, seed: int) -> None:
    _, csr = random_graph(size, int(density * size), seed)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cpu", "reference"):
            patch.setenv("GRAPHREP_BACKEND", name)
            found.append(louvain(csr, resolution=0.7, seed=seed))
    assert torch.equal(*found)
    first = [found[0].tolist().index(c) for c in range(int(found[0].max()) + 1)]
    assert first == sorted(first)  # numbered by first node
    assert torch.equal(louvain(csr, resolution=0.7, seed=seed), found[0])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_clear_communities_do_not_depend_on_the_numbering(seed: int) -> None:
    links = torch.tensor(list(nx.connected_caveman_graph(5, 6).edges)).t()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(seed))
    csr = CSR.from_edge_index(order[torch.cat([links, links.flip(0)], dim=1)], size=(30, 30))
    labels, wanted = louvain(csr, seed=seed)[order], torch.arange(30) // 6
    assert torch.equal(labels[:, None] == labels, wanted[:, None] == wanted)


def test_at_least_as_good_as_networkx_on_a_larger_graph() -> None:
    graph = nx.random_partition_graph([40, 60, 30, 20], 0.3, 0.02, seed=5)
    csr = csr_of(graph, weighted=False)
    theirs = max(nx.community.modularity(graph, nx.community.louvain_communities(graph, seed=s)) for s in range(3))
    assert max(modularity(csr, louvain(csr, seed=s)) for s in range(3)) >= theirs - 1e-9


def test_small_and_broken_graphs(backend: str) -> None:
    none = torch.empty(2, 0, dtype=torch.int64)
    assert louvain(CSR.from_edge_index(none, size=(1, 1)), seed=0).tolist() == [0]
    assert louvain(CSR.from_edge_index(none, size=(3, 3)), seed=0).tolist() == [0, 1, 2]
    assert louvain(CSR.from_edge_index(none, size=(0, 0)), seed=0).tolist() == []
    assert modularity(CSR.from_edge_index(none, size=(2, 2)), torch.tensor([0, 1])) == 0.0
    graph = two_cliques(4)
    graph.add_node(8)
    assert louvain(csr_of(graph, weighted=False), seed=0).tolist() == [0] * 4 + [1] * 4 + [2]
    assert louvain(csr_of(graph, weighted=False), resolution=0.0, seed=0).tolist() == [0] * 4 + [1] * 4 + [2]
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    silent = CSR.from_edge_index(edges, torch.zeros(4))
    assert louvain(silent, seed=0).tolist() == [0, 1, 2]
    assert modularity(silent, torch.tensor([0, 0, 0])) == 0.0
    half_silent = CSR.from_edge_index(edges, torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert louvain(half_silent, seed=0).tolist() == [0, 0, 1]  # a weight of 0 is no link
    assert louvain(half_silent, resolution=0.0, seed=0).tolist() == [0, 0, 1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_types(dtype: torch.dtype, index: torch.dtype) -> None:
    """Weights that every type holds exactly: the same labels."""
    _, csr = random_graph(40, 80, 7)
    assert csr.value is not None
    edges = torch.stack([csr.col, csr.row()]).to(index)
    typed = CSR.from_edge_index(edges, csr.value.to(dtype), size=(40, 40))
    labels = louvain(typed, seed=2)
    assert torch.equal(labels, louvain(csr, seed=2))
    assert labels.dtype == torch.int64
    assert modularity(typed, labels.to(index)) == pytest.approx(modularity(csr, labels), abs=1e-12)


def test_repeated_entries_add_up_and_resolution_makes_more() -> None:
    edges = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
    twice = CSR.from_edge_index(torch.cat([edges, edges[:, :2]], dim=1))
    summed = CSR.from_edge_index(edges, torch.tensor([2.0, 2.0, 1.0, 1.0, 1.0, 1.0]))
    labels = torch.tensor([0, 0, 1, 1])
    assert modularity(twice, labels) == pytest.approx(modularity(summed, labels), abs=1e-12)
    assert torch.equal(louvain(twice, seed=0), louvain(summed, seed=0))
    _, csr = random_graph(60, 150, 0)
    counts = [int(louvain(csr, resolution=r, seed=0).max()) + 1 for r in (0.1, 1.0, 3.0, 1000.0)]
    assert counts == sorted(counts)
    assert counts[-1] == 60


def test_more_passes_are_no_worse() -> None:
    _, csr = random_graph(200, 500, 1, weighted=False)
    values = [modularity(csr, louvain(csr, seed=0, max_passes=p)) for p in (1, 2, 10)]
    assert values == sorted(values)


def test_errors() -> None:
    edges = torch.tensor([[0, 1], [1, 0]])
    csr = CSR.from_edge_index(edges)
    with pytest.raises(ShapeError, match="square"):
        louvain(CSR.from_edge_index(edges, size=(2, 3)), seed=0)
    with pytest.raises(GraphrepError, match="not symmetric at"):
        louvain(CSR.from_edge_index(edges[:, :1], size=(2, 2)), seed=0)
    with pytest.raises(GraphrepError, match="not symmetric"):
        louvain(CSR.from_edge_index(edges, torch.tensor([1.0, 2.0])), seed=0)
    with pytest.raises(GraphrepError, match="weight of -1"):
        louvain(CSR.from_edge_index(edges, -torch.ones(2)), seed=0)
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        louvain(CSR.from_edge_index(edges, torch.full((2,), torch.nan)), seed=0)
    for resolution in (-1.0, float("nan"), float("inf")):
        with pytest.raises(GraphrepError, match="resolution must be finite"):
            louvain(csr, resolution=resolution, seed=0)
    with pytest.raises(GraphrepError, match="max_passes must be an integer"):
        louvain(csr, seed=0, max_passes=0)
    with pytest.raises(DTypeError, match="seed must be an integer"):
        louvain(csr, seed=0.5)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="labels has 3 entries"):
        modularity(csr, torch.tensor([0, 1, 2]))
    with pytest.raises(DTypeError, match="labels must hold integers"):
        modularity(csr, torch.tensor([0.0, 1.0]))
    with pytest.raises(IndexRangeError):
        modularity(csr, torch.tensor([0, -1]))
