"""Louvain and modularity of bipartite graphs: brute force on small ones, the definition, both backends."""

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
from graphrep.kernels import CSR, bipartite_louvain, bipartite_modularity

RESOLUTIONS = (0.0, 0.5, 1.0, 4.0)


def random_links(rows: int, cols: int, density: float, seed: int, *, weighted: bool = True) -> np.ndarray:
    rng = np.random.default_rng(seed)
    weight = rng.integers(1, 6, (rows, cols)) / 4 if weighted else np.ones((rows, cols))
    return np.where(rng.random((rows, cols)) < density, weight, 0.0)


def csr_of(dense: np.ndarray) -> CSR:
    row, col = np.nonzero(dense)
    edges = torch.from_numpy(np.stack([col, row]))
    return CSR.from_edge_index(edges, torch.from_numpy(dense[row, col]), size=dense.T.shape)


def by_loops(dense: np.ndarray, rows: list[int], cols: list[int], resolution: float) -> float:
    """The definition, a pair at a time."""
    total, value = dense.sum(), 0.0
    for u, i in itertools.product(range(dense.shape[0]), range(dense.shape[1])):
        if rows[u] == cols[i]:
            value += dense[u, i] / total - resolution * dense[u].sum() * dense[:, i].sum() / total**2
    return value


def partitions(size: int) -> Iterator[list[int]]:
    """All partitions of 0..size-1 as restricted growth strings."""

    def grow(prefix: list[int]) -> Iterator[list[int]]:
        if len(prefix) == size:
            yield prefix
            return
        for label in range(max(prefix) + 2):
            yield from grow([*prefix, label])

    yield from grow([0])


def value_of(csr: CSR, labels: tuple[Tensor, Tensor], resolution: float) -> float:
    return bipartite_modularity(csr, *labels, resolution=resolution)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(RESOLUTIONS))
def test_modularity_is_its_definition(seed: int, resolution: float) -> None:
    dense = random_links(7, 5, 0.4, seed)
    dense[0, 0] = 1.0
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(0, 3, 7), rng.integers(0, 4, 5)
    wanted = by_loops(dense, rows.tolist(), cols.tolist(), resolution)
    labels = torch.from_numpy(rows), torch.from_numpy(cols)
    assert value_of(csr_of(dense), labels, resolution) == pytest.approx(wanted, abs=1e-12)
    turned = bipartite_modularity(csr_of(dense.T), labels[1], labels[0], resolution=resolution)
    assert turned == pytest.approx(wanted, abs=1e-12)
    order = rng.permutation(7)
    again = bipartite_modularity(csr_of(dense[order]), labels[0][order], labels[1], resolution=resolution)
    assert again == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("seed", range(3))
def test_best_of_a_few_seeds_is_the_best_of_all_partitions(seed: int, resolution: float) -> None:
    dense = random_links(4, 4, 0.5, seed)
    best = max(by_loops(dense, p[:4], p[4:], resolution) for p in partitions(8))
    csr = csr_of(dense)
    found = max(value_of(csr, bipartite_louvain(csr, resolution=resolution, seed=s), resolution) for s in range(10))
    assert found == pytest.approx(best, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(RESOLUTIONS), st.booleans())
def test_no_move_no_merger_and_no_split_gains(seed: int, resolution: float, weighted: bool) -> None:
    dense = random_links(10, 8, 0.2, seed, weighted=weighted)
    dense[0, 0] = 1.0
    csr = csr_of(dense)
    labels = torch.cat(bipartite_louvain(csr, resolution=resolution, seed=seed))
    count = int(labels.max()) + 1

    def value(found: Tensor) -> float:
        return bipartite_modularity(csr, found[:10], found[10:], resolution=resolution)

    best = value(labels)
    for node, community in itertools.product(range(18), range(count + 1)):
        moved = labels.clone()
        moved[node] = community
        assert value(moved) <= best + 1e-9
    for a, b in itertools.combinations(range(count), 2):
        assert value(torch.where(labels == b, a, labels)) <= best + 1e-9
    graph = nx.Graph()
    graph.add_nodes_from(range(18))
    graph.add_edges_from((int(u), 10 + int(i)) for u, i in zip(*np.nonzero(dense), strict=True))
    for community in range(count):
        assert nx.is_connected(graph.subgraph(torch.nonzero(labels == community).squeeze(1).tolist()))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 25), st.integers(1, 25), st.floats(0, 0.5), st.integers(0, 10_000))
def test_backends_give_the_same_labels(rows: int, cols: int, density: float, seed: int) -> None:
    csr = csr_of(random_links(rows, cols, density, seed))
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cpu", "reference"):
            patch.setenv("GRAPHREP_BACKEND", name)
            found.append(torch.cat(bipartite_louvain(csr, resolution=1.3, seed=seed)))
    assert torch.equal(*found)
    first = [found[0].tolist().index(c) for c in range(int(found[0].max()) + 1)]
    assert first == sorted(first)  # one numbering, by first row, then first column


def test_blocks_are_found_and_isolated_ones_are_alone(backend: str) -> None:
    dense = np.zeros((7, 6))
    dense[:3, :2], dense[3:6, 2:5] = 1.0, 1.0
    rows, cols = bipartite_louvain(csr_of(dense), seed=0)
    assert rows.tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert cols.tolist() == [0, 0, 1, 1, 1, 3]
    assert value_of(csr_of(dense), (rows, cols), 1.0) == pytest.approx(1 - (6 / 15) ** 2 - (9 / 15) ** 2)


def test_empty_and_silent(backend: str) -> None:
    none = torch.empty(2, 0, dtype=torch.int64)
    rows, cols = bipartite_louvain(CSR.from_edge_index(none, size=(3, 2)), seed=0)
    assert (rows.tolist(), cols.tolist()) == ([0, 1], [2, 3, 4])
    rows, cols = bipartite_louvain(CSR.from_edge_index(none, size=(2, 0)), seed=0)
    assert (rows.tolist(), cols.tolist()) == ([], [0, 1])
    silent = CSR.from_edge_index(torch.tensor([[0], [0]]), torch.zeros(1), size=(1, 1))
    rows, cols = bipartite_louvain(silent, seed=0)
    assert (rows.tolist(), cols.tolist()) == ([0], [1])
    assert bipartite_modularity(silent, rows, cols) == 0.0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_types(dtype: torch.dtype, index: torch.dtype) -> None:
    """Weights that every type holds exactly: the same labels."""
    csr = csr_of(random_links(20, 30, 0.1, 7))
    assert csr.value is not None
    edges = torch.stack([csr.col, csr.row()]).to(index)
    typed = CSR.from_edge_index(edges, csr.value.to(dtype), size=(30, 20))
    found, wanted = bipartite_louvain(typed, seed=2), bipartite_louvain(csr, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    labels = tuple(part.to(index) for part in found)
    assert value_of(typed, labels, 1.0) == pytest.approx(value_of(csr, wanted, 1.0), abs=1e-12)


def test_repeated_links_add_up_and_resolution_makes_more() -> None:
    edges = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 2, 3, 0]])
    twice = CSR.from_edge_index(edges, size=(2, 4))
    summed = CSR.from_edge_index(edges[:, :4], torch.tensor([2.0, 1.0, 1.0, 1.0]), size=(2, 4))
    labels = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1])
    assert value_of(twice, labels, 1.0) == pytest.approx(value_of(summed, labels, 1.0), abs=1e-12)
    csr = csr_of(random_links(40, 40, 0.1, 0))
    counts = [int(torch.cat(bipartite_louvain(csr, resolution=r, seed=0)).max()) + 1 for r in (0.1, 1.0, 5.0, 1e4)]
    assert counts == sorted(counts)
    assert counts[-1] == 80


def test_errors() -> None:
    edges = torch.tensor([[0, 1], [1, 0]])
    csr = CSR.from_edge_index(edges)
    with pytest.raises(GraphrepError, match="weight of -1"):
        bipartite_louvain(CSR.from_edge_index(edges, -torch.ones(2)), seed=0)
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        bipartite_louvain(CSR.from_edge_index(edges, torch.full((2,), torch.nan)), seed=0)
    with pytest.raises(GraphrepError, match="resolution must be finite"):
        bipartite_louvain(csr, resolution=-1.0, seed=0)
    with pytest.raises(GraphrepError, match="max_passes must be an integer"):
        bipartite_louvain(csr, seed=0, max_passes=0)
    with pytest.raises(DTypeError, match="seed must be an integer"):
        bipartite_louvain(csr, seed=0.5)  # type: ignore[arg-type]
    good = torch.tensor([0, 1])
    with pytest.raises(ShapeError, match="col_labels has 1 entries"):
        bipartite_modularity(csr, good, torch.tensor([0]))
    with pytest.raises(DTypeError, match="row_labels must hold integers"):
        bipartite_modularity(csr, good.double(), good)
    with pytest.raises(IndexRangeError):
        bipartite_modularity(csr, good, torch.tensor([0, -1]))
