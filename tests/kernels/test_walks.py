"""Random walks: only along entries, the same on every backend, and with the stated probabilities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_cases import random_csr
from set_cases import adjacency, follows, same_for_any_threads
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, NonFiniteError, ShapeError
from graphrep.kernels import CSR, random_walks
from graphrep.kernels._counter import DOMAIN_WALK, below, stream_start, torch_below, torch_start, torch_word, word


def links(*pairs: tuple[int, int], size: int) -> CSR:
    """An undirected graph."""
    edges = torch.tensor(pairs).t()
    return CSR.from_edge_index(torch.cat([edges, edges.flip(0)], dim=1), size=(size, size))


def test_words_are_the_same_in_torch_and_numba() -> None:
    index = torch.tensor([0, 1, 2**40, 2**63 - 1])
    for seed in (0, 5, 2**64 - 1):
        start = torch_start(seed, DOMAIN_WALK, index)
        for t in (0, 1, 10**6):
            for i, found in enumerate(torch_word(start, t).tolist()):
                begin = np.uint64(stream_start(np.uint64(seed), DOMAIN_WALK, int(index[i])))
                assert found % 2**64 == int(word(begin, np.uint64(t)))
                drawn = torch_below(torch_word(start, t)[i : i + 1], torch.tensor([7]))
                assert int(drawn) == below(begin, t, 7)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (0.5, 2.0), (3.0, 0.7)])
def test_both_backends_walk_alike(monkeypatch: pytest.MonkeyPatch, weighted: bool, p: float, q: float) -> None:
    csr = random_csr(60, 60, 240, weights=() if weighted else None, seed=2, dtype=torch.float32)
    if csr.value is not None:
        csr = csr.with_value(csr.value.abs() * (csr.value > -1))  # some weights of 0
    starts = torch.arange(60).repeat(2).int()
    found = []
    for name in ("cpu", "reference"):
        monkeypatch.setenv("GRAPHREP_BACKEND", name)
        found.append(random_walks(csr, starts, 12, p=p, q=q, seed=-3))
    assert torch.equal(*found)
    assert found[0].dtype == torch.int64
    assert torch.equal(found[0][:, 0], starts.long())


@given(
    edges=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=30),
    p=st.sampled_from([0.25, 1.0, 4.0]),
    seed=st.integers(-(2**70), 2**70),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_steps_are_entries_and_dead_ends_stay(edges: list[tuple[int, int]], p: float, seed: int) -> None:
    csr = CSR.from_edge_index(torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t(), size=(9, 9))
    walks = random_walks(csr, torch.arange(9), 6, p=p, seed=seed)
    dense, degree = adjacency(csr), csr.degree()
    for row in walks.tolist():
        for node, following in itertools.pairwise(row):
            assert dense[node, following] or (degree[node] == 0 and node == following)


def test_a_walk_depends_on_seed_position_and_step_alone(backend: str) -> None:
    csr, starts = random_csr(50, 50, 300, seed=1), torch.arange(50)
    walks = random_walks(csr, starts, 10, p=0.5, seed=1)
    assert torch.equal(random_walks(csr, starts[:20], 6, p=0.5, seed=1), walks[:20, :7])
    assert not torch.equal(random_walks(csr, starts, 10, p=0.5, seed=2), walks)


def test_same_bytes_for_any_number_of_threads() -> None:
    csr = random_csr(500, 500, 4000, weights=(), seed=4)
    assert csr.value is not None
    csr, starts = csr.with_value(csr.value.abs()), torch.arange(500).repeat(40)

    def results() -> list[Tensor]:
        plain = csr.with_value(None)
        return [random_walks(c, starts, 8, p=p, seed=0) for c, p in ((plain, 1.0), (csr, 1.0), (csr, 0.5))]

    same_for_any_threads(results)


def test_neighbours_are_drawn_by_weight(backend: str) -> None:
    """Node 0 has entries of weight 1, 2, 3, 0 and a duplicate of 2 to node 1."""
    edges = torch.tensor([[1, 2, 3, 4, 1], [0, 0, 0, 0, 0]])
    csr = CSR.from_edge_index(edges, torch.tensor([1.0, 2.0, 3.0, 0.0, 2.0]), size=(5, 5))
    found = torch.bincount(random_walks(csr, torch.zeros(20_000, dtype=torch.int64), 1, seed=0)[:, 1], minlength=5)
    follows(found, torch.tensor([0, 3.0, 2.0, 3.0, 0]) / 8)
    plain = random_walks(csr.with_value(None), torch.zeros(20_000, dtype=torch.int64), 1, seed=1)
    follows(torch.bincount(plain[:, 1], minlength=5), torch.tensor([0, 2.0, 1.0, 1.0, 1.0]) / 5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("p", "q"), [(0.25, 4.0), (4.0, 0.5)])
def test_second_step_has_the_biases_of_node2vec(backend: str, weighted: bool, p: float, q: float) -> None:
    """From 0 to 1, then: back to 0, to the common neighbour 2, or on to 3 and 4."""
    csr = links((0, 1), (1, 2), (0, 2), (1, 3), (1, 4), (3, 4), size=5)
    weight = torch.ones(5)
    if weighted:
        weight = torch.tensor([1.0, 1.0, 2.0, 3.0, 0.5])
        csr = csr.with_value(weight[csr.col.long()])
    walks = random_walks(csr, torch.zeros(30_000, dtype=torch.int64), 2, p=p, q=q, seed=3)
    through = walks[walks[:, 1] == 1][:, 2]
    mass = weight * torch.tensor([1 / p, 0, 1, 1 / q, 1 / q])
    follows(torch.bincount(through, minlength=5), mass / mass.sum())


@pytest.mark.parametrize("count", [0, 1, 2, 63, 257])
def test_sizes(backend: str, count: int) -> None:
    csr = random_csr(10, 10, 30)
    starts = torch.arange(count) % 10
    assert random_walks(csr, starts, 3, seed=0).shape == (count, 4)
    assert torch.equal(random_walks(csr, starts, 0, q=2.0, seed=0), starts[:, None])


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_without_entries_walks_stay(backend: str, p: float) -> None:
    csr = CSR.from_edge_index(torch.empty(2, 0, dtype=torch.int64), torch.empty(0), size=(3, 3))
    assert torch.equal(random_walks(csr, torch.arange(3), 2, p=p, seed=0), torch.arange(3)[:, None].expand(-1, 3))


def test_errors() -> None:
    csr, starts = random_csr(4, 4, 9, weights=()), torch.arange(4)
    assert csr.value is not None
    with pytest.raises(ShapeError, match="square matrix; this one is 4 x 5"):
        random_walks(random_csr(4, 5, 9), starts, 2, seed=0)
    with pytest.raises(IndexRangeError, match="starts refers to 4"):
        random_walks(csr, torch.tensor([4]), 2, seed=0)
    with pytest.raises(GraphrepError, match="length must be a number of steps"):
        random_walks(csr, starts, -1, seed=0)
    with pytest.raises(GraphrepError, match="q must be a positive number; got 0"):
        random_walks(csr, starts, 1, q=0, seed=0)
    with pytest.raises(GraphrepError, match="a weight is negative"):
        random_walks(csr.with_value(-csr.value.abs()), starts, 1, seed=0)
    with pytest.raises(NonFiniteError):
        random_walks(csr.with_value(csr.value / 0), starts, 1, seed=0)
    with pytest.raises(ShapeError, match="one weight per entry"):
        random_walks(csr.with_value(csr.value[:, None]), starts, 1, seed=0)
    with pytest.raises(DTypeError, match="seed must be an integer"):
        random_walks(csr.with_value(None), starts, 1, seed=0.5)  # type: ignore[arg-type]
