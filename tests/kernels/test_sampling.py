"""Neighbour samples: subsets of the right rows, the same on every backend, every subset equally likely."""

from __future__ import annotations

import itertools

import pytest
import torch
from kernel_cases import random_csr
from set_cases import follows, same_for_any_threads
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError
from graphrep.kernels import CSR, sample_neighbors
from graphrep.kernels.sampling.local import local_ids


def star(degree: int) -> CSR:
    """Node 0 has the neighbours 1..degree."""
    edges = torch.stack([torch.arange(1, degree + 1), torch.zeros(degree, dtype=torch.int64)])
    return CSR.from_edge_index(edges, size=(degree + 1, degree + 1))


@pytest.mark.parametrize("fanout", [-1, 0, 1, 3, 10])
@pytest.mark.parametrize("replace", [False, True])
def test_samples_are_parts_of_the_rows(monkeypatch: pytest.MonkeyPatch, fanout: int, replace: bool) -> None:
    csr = random_csr(40, 30, 200, weights=(2,), seed=3)
    seeds = torch.tensor([5, 39, 0, 5, 7, 11]).int()
    found = []
    for name in ("cpu", "reference"):
        monkeypatch.setenv("GRAPHREP_BACKEND", name)
        found.append(sample_neighbors(csr, seeds, fanout, replace=replace, seed=9))
    assert torch.equal(found[0].perm, found[1].perm)
    sample = found[0]
    assert sample.shape == (6, 30)
    assert csr.value is not None
    assert sample.value is not None
    for i, node in enumerate(seeds.tolist()):
        perm = sample.perm[sample.rowptr[i] : sample.rowptr[i + 1]].tolist()
        low, high = int(csr.rowptr[node]), int(csr.rowptr[node + 1])
        assert all(low <= e < high for e in perm)
        if fanout >= 0 and replace:
            assert len(perm) == (fanout if high > low else 0)
        else:
            assert len(perm) == (high - low if fanout < 0 else min(fanout, high - low))
            assert perm == sorted(set(perm))
    assert torch.equal(sample.col.long(), csr.col[sample.perm.long()].long())
    assert torch.equal(sample.value, csr.value[sample.perm.long()])


def test_every_subset_is_equally_likely(backend: str) -> None:
    csr, count = star(6), 20_000
    sample = sample_neighbors(csr, torch.zeros(count, dtype=torch.int64), 3, seed=0)
    subsets = {subset: i for i, subset in enumerate(itertools.combinations(range(1, 7), 3))}
    drawn = torch.tensor([subsets[tuple(row)] for row in sample.col.reshape(count, 3).tolist()])
    follows(torch.bincount(drawn, minlength=20), torch.full((20,), 1 / 20))


def test_every_sequence_is_equally_likely_with_replacement(backend: str) -> None:
    count = 20_000
    col = sample_neighbors(star(4), torch.zeros(count, dtype=torch.int64), 2, replace=True, seed=1).col
    drawn = col.reshape(count, 2).long() - 1
    follows(torch.bincount(4 * drawn[:, 0] + drawn[:, 1], minlength=16), torch.full((16,), 1 / 16))


def test_large_samples_of_a_hub(backend: str) -> None:
    sample = sample_neighbors(star(1000), torch.tensor([0]), 700, seed=2)
    assert sample.col.unique().numel() == 700
    halves = torch.bincount((sample.col.long() - 1) // 100, minlength=10)
    assert int(halves.min()) > 45  # 70 expected, standard deviation 4.6


def test_a_sample_depends_on_seed_and_position_alone(backend: str) -> None:
    csr, seeds = random_csr(50, 50, 900, seed=1), torch.arange(50)
    whole = sample_neighbors(csr, seeds, 5, seed=4)
    part = sample_neighbors(csr, seeds[:20], 5, seed=4)
    assert torch.equal(part.perm, whole.perm[: part.nnz])
    assert not torch.equal(sample_neighbors(csr, seeds, 5, seed=5).perm, whole.perm)


def test_same_bytes_for_any_number_of_threads() -> None:
    csr, seeds = random_csr(2000, 2000, 40_000), torch.arange(2000).repeat(3)

    def results() -> list[Tensor]:
        return [sample_neighbors(csr, seeds, 8, replace=replace, seed=0).perm for replace in (False, True)]

    same_for_any_threads(results)


def test_gradients_reach_the_weights() -> None:
    csr = random_csr(10, 10, 40, weights=())
    assert csr.value is not None
    weight = csr.value.clone().requires_grad_()
    sample = sample_neighbors(csr.with_value(weight), torch.arange(10), 2, seed=0)
    assert sample.value is not None
    gradient = torch.autograd.grad(sample.value.sum(), weight)[0]
    assert int(gradient.sum()) == sample.nnz


@pytest.mark.parametrize("count", [0, 1, 2, 63, 257])
def test_sizes(backend: str, count: int) -> None:
    csr = random_csr(10, 12, 30)
    sample = sample_neighbors(csr, torch.arange(count) % 10, 2, seed=0)
    assert sample.shape == (count, 12)
    empty = CSR.from_edge_index(torch.empty(2, 0, dtype=torch.int64), size=(12, 10))
    assert sample_neighbors(empty, torch.arange(count) % 10, 2, replace=True, seed=0).nnz == 0


def test_errors() -> None:
    csr = random_csr(4, 5, 9)
    with pytest.raises(IndexRangeError, match="seeds refers to 4"):
        sample_neighbors(csr, torch.tensor([4]), 2, seed=0)
    with pytest.raises(GraphrepError, match="fanout must be 0 or more, or -1 for all; got -2"):
        sample_neighbors(csr, torch.tensor([0]), -2, seed=0)
    with pytest.raises(DTypeError, match="seed must be an integer"):
        sample_neighbors(csr, torch.tensor([0]), 2, seed=True)


@pytest.mark.parametrize("known", [0, 5, 300])
def test_local_ids_number_new_nodes_in_the_order_of_their_first_sight(backend: str, known: int) -> None:
    generator = torch.Generator().manual_seed(known)
    nodes = torch.randperm(10**6, generator=generator)[:known] << 30
    asked = torch.randint(0, 50, (200,), generator=generator)
    asked[::2] = nodes[asked[::2] % known] if known else asked[::2]
    ids, added = local_ids(nodes, asked)
    whole = torch.cat([nodes, added])
    assert torch.equal(whole[ids], asked)
    assert whole.unique().numel() == whole.numel()
    order = ids[ids >= known]
    first = [int((order == i).nonzero()[0]) for i in range(known, whole.numel())]
    assert first == sorted(first)


def test_local_ids_of_repeated_nodes_are_those_of_the_first(backend: str) -> None:
    ids, added = local_ids(torch.tensor([7, 7, 3]), torch.tensor([3, 7, 9, 9]))
    assert ids.tolist() == [2, 0, 3, 3]
    assert added.tolist() == [9]
