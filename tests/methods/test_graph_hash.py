"""GraphHash: what rows mean, tables of a wanted size, plain hashes by loops, ids that come later, errors."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrep.data import Interactions
from graphrep.errors import EmptyGraphError, GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.kernels import bipartite_louvain, bipartite_modularity
from graphrep.methods import GraphHash
from graphrep.methods._hashing import UNIVERSAL_PRIME, frequency_rows, lsh_rows, universal_rows
from graphrep.methods.base import NotFittedError

PLAIN = ("modulo", "frequency", "double", "lsh")
EVERY = (*PLAIN, "graph", "double-graph")


def random_pairs(users: int, items: int, count: int, seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([rng.integers(0, users, count), rng.integers(0, items, count)]))


def blocks(count: int, size: int) -> torch.Tensor:
    """Every user of a block with every item of it."""
    at = torch.arange(count * size)
    pairs = torch.cartesian_prod(at, at)
    return pairs[pairs[:, 0] // size == pairs[:, 1] // size].t()


# communities


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 80), st.floats(0, 20), st.integers(0, 1000))
def test_rows_are_communities(users: int, items: int, count: int, resolution: float, seed: int) -> None:
    """Two linked ids share a row exactly when they share a community; isolated ones share the last row."""
    pairs = random_pairs(users, items, count, seed)
    model = GraphHash(resolution=resolution, seed=seed)
    found = model.fit(pairs, (users, items))
    csr = Interactions(*pairs, num_users=users, num_items=items).csr(binarize=True)
    labels = bipartite_louvain(csr, resolution=resolution, seed=seed)
    degrees = csr.degree(), csr.t().degree()
    for rows, label, degree, size in zip(found, labels, degrees, model.num_rows_, strict=True):
        linked = degree > 0
        assert torch.equal(rows[linked][:, None] == rows[linked], label[linked][:, None] == label[linked])
        assert bool((rows[~linked] == size - 1).all())
        assert torch.equal(torch.unique(rows[linked]), torch.arange(size - 1))
    assert model.resolution_ == resolution
    assert model.modularity_ == pytest.approx(bipartite_modularity(csr, *labels, resolution=resolution))


def test_blocks_of_users_and_items_are_rows() -> None:
    users, items = GraphHash(resolution=1.0).fit(blocks(3, 4), (14, 12))
    assert users.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 2
    assert items.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert users.dtype == items.dtype == torch.int64


def test_only_training_pairs_count_and_repeats_do_not() -> None:
    pairs = blocks(2, 3)
    crossing = torch.tensor([[0, 1, 2, 3, 4], [3, 4, 5, 0, 1]])
    part = [0] * pairs.shape[1] + [2] * crossing.shape[1]
    split = Interactions(*torch.cat([pairs, crossing], dim=1), part=part)
    assert [m.tolist() for m in GraphHash(resolution=1.0).fit(split)] == [[0, 0, 0, 1, 1, 1]] * 2
    twice = torch.cat([pairs, pairs[:, :1].expand(2, 50)], dim=1)
    assert [m.tolist() for m in GraphHash(resolution=1.0).fit(twice)] == [[0, 0, 0, 1, 1, 1]] * 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.3, 0.5, 0.8]), st.sampled_from(EVERY))
def test_never_more_rows_than_asked_for(seed: int, fraction: float, method: str) -> None:
    pairs = random_pairs(60, 80, 500, seed)
    model = GraphHash(method=method, target_size=fraction, seed=seed)
    users, items = model.fit(pairs, (60, 80))
    assert sum(model.num_rows_) <= fraction * 140
    assert sum(model.num_rows_) >= (0.8 if "graph" in method else 0.98) * fraction * 140 - 1
    assert 0 <= int(users.min()) <= int(users.max()) < model.num_rows_[0]
    assert 0 <= int(items.min()) <= int(items.max()) < model.num_rows_[1]
    counted = GraphHash(method=method, target_size=int(fraction * 140), seed=seed)
    assert all(torch.equal(a, b) for a, b in zip((users, items), counted.fit(pairs, (60, 80)), strict=True))


@pytest.mark.parametrize("method", EVERY)
def test_same_seed_same_rows(method: str) -> None:
    pairs, options = random_pairs(50, 40, 300, 1), {"method": method, "target_size": 0.4}
    first, again = (GraphHash(**options, seed=5).fit(pairs, (50, 40)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    narrow = GraphHash(**options, seed=5).fit(pairs.int(), (50, 40))
    assert all(torch.equal(a, b) for a, b in zip(first, narrow, strict=True))
    other = GraphHash(**options, seed=6).fit(pairs, (50, 40))
    same = all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert same == (method in ("modulo", "frequency"))


def test_double_graph_adds_a_hash_into_as_many_rows() -> None:
    pairs = random_pairs(40, 30, 200, 2)
    plain, double = GraphHash(resolution=2.0), GraphHash(method="double-graph", resolution=2.0)
    one, two = plain.fit(pairs, (40, 30)), double.fit(pairs, (40, 30))
    for rows, both, size in zip(one, two, plain.num_rows_, strict=True):
        assert torch.equal(both[:, 0], rows)
        assert int(both[:, 1].min()) >= size
        assert int(both[:, 1].max()) < 2 * size
        assert len(both.unique(dim=0)) > len(rows.unique())
    assert double.num_rows_ == (2 * plain.num_rows_[0], 2 * plain.num_rows_[1])


# plain hashes


def test_modulo_and_sizes_of_both_sides() -> None:
    model = GraphHash(method="modulo", target_size=0.25)
    users, items = model.fit(random_pairs(40, 80, 60, 0), (40, 80))
    assert model.num_rows_ == (10, 20)
    assert users.tolist() == [i % 10 for i in range(40)]
    assert items.tolist() == [i % 20 for i in range(80)]
    assert (model.resolution_, model.modularity_) == (None, None)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, UNIVERSAL_PRIME - 1), min_size=1, max_size=20), st.integers(1, 1000), st.integers(0, 99))
def test_universal_hash_in_python_integers(ids: list[int], rows: int, seed: int) -> None:
    """Python's integers do not overflow."""
    draws = torch.randint(UNIVERSAL_PRIME, (4,), generator=torch.Generator().manual_seed(seed)).tolist()
    for number in (0, 1):
        a, b = draws[2 * number : 2 * number + 2]
        wanted = [(max(1, a) * x + b) % UNIVERSAL_PRIME % rows for x in ids]
        assert universal_rows(torch.tensor(ids), rows, seed, number).tolist() == wanted
    with pytest.raises(GraphrepError, match="too large to be hashed"):
        universal_rows(torch.tensor([UNIVERSAL_PRIME]), rows, seed)


def test_frequent_ids_have_rows_of_their_own() -> None:
    degree = torch.tensor([1, 5, 0, 5, 2, 7, 1])
    rows = frequency_rows(torch.arange(9), degree, 5)
    assert rows[[5, 1]].tolist() == [0, 1]  # of 1 and 3 the lower id
    rest = [0, 2, 3, 4, 6, 7, 8]
    assert rows[rest].tolist() == [i % 3 + 2 for i in rest]
    assert frequency_rows(torch.arange(7), degree, 1).tolist() == [0] * 7


def test_lsh_sends_equal_rows_to_one_place_and_isolated_ids_to_the_last() -> None:
    pairs = torch.tensor([[0, 0, 1, 1, 2, 3, 4], [0, 3, 0, 3, 1, 2, 5]])
    csr = Interactions(*pairs, num_users=6, num_items=8).csr(binarize=True)
    rows = lsh_rows(csr, 64, 3)
    assert rows[0] == rows[1]
    plane = torch.randn(8, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    dense = torch.from_numpy(csr.to_scipy().toarray()).double()
    wanted = [sum(1 << k for k, p in enumerate(row @ plane) if p > 0) for row in dense]
    assert rows.tolist() == wanted
    model = GraphHash(method="lsh", target_size=10)
    users, items = model.fit(pairs, (6, 8))
    assert users[5] == model.num_rows_[0] - 1
    assert items[[4, 6, 7]].tolist() == [model.num_rows_[1] - 1] * 3
    assert int(users[:5].max()) < model.num_rows_[0] - 1


# ids that come later


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["user", "item"]))
def test_later_ids_by_counting(seed: int, side: str) -> None:
    pairs = random_pairs(30, 25, 70, seed)
    model = GraphHash(resolution=8.0, seed=seed)
    maps = model.fit(pairs, (30, 25))
    csr = Interactions(*pairs, num_users=30, num_items=25).csr(binarize=True)
    labels = bipartite_louvain(csr, resolution=8.0, seed=seed)
    own, other = (0, 1) if side == "user" else (1, 0)
    spare = model.num_rows_[own] - 1
    row_of = {int(c): int(r) for c, r in zip(labels[own], maps[own], strict=True) if int(r) != spare}
    new = random_pairs(6, (30, 25)[other], 20, seed + 1)
    wanted = []
    for i in range(8):
        met = [int(labels[other][k]) for k in new[1][new[0] == i].tolist()]
        votes = Counter(row_of[c] for c in met if c in row_of)
        wanted.append(min(votes, key=lambda r: (-votes[r], r)) if votes else spare)
    assert model.assign(new, 8, side=side).tolist() == wanted


def test_later_ids_of_other_methods() -> None:
    pairs = random_pairs(30, 40, 90, 0)
    new = torch.tensor([[0, 0, 2], [1, 5, 7]])
    modulo = GraphHash(method="modulo", target_size=14)
    modulo.fit(pairs, (30, 40))
    assert modulo.assign(new).tolist() == [30 % 6, 31 % 6, 32 % 6]
    assert modulo.assign(new, side="item").tolist() == [40 % 8, 41 % 8, 42 % 8]
    double = GraphHash(method="double", target_size=14)
    double.fit(pairs, (30, 40))
    wanted = [universal_rows(torch.arange(30, 33), 6, 0, k) for k in (0, 1)]
    assert torch.equal(double.assign(new), torch.stack(wanted, dim=1))
    frequency = GraphHash(method="frequency", target_size=14)
    frequency.fit(pairs, (30, 40))
    assert frequency.assign(new).tolist() == [i % 3 + 3 for i in (30, 31, 32)]
    lsh = GraphHash(method="lsh", target_size=40)
    users, _ = lsh.fit(pairs, (30, 40))
    again = lsh.assign(torch.unique(pairs, dim=1), 31)  # repeats count once at fit
    assert torch.equal(again[:30], users)
    assert again[30] == lsh.num_rows_[0] - 1
    both = GraphHash(method="double-graph", resolution=5.0)
    both.fit(pairs, (30, 40))
    found = both.assign(new, 3)
    single = GraphHash(resolution=5.0)
    single.fit(pairs, (30, 40))
    assert torch.equal(found[:, 0], single.assign(new, 3))
    assert found[1, 0] == single.num_rows_[0] - 1
    assert bool((found[:, 1] >= single.num_rows_[0]).all())
    assert single.assign(new[:, :0]).shape == (0,)


# errors


def test_errors() -> None:
    pairs = blocks(2, 3)
    for options, message in (
        ({"method": "hash"}, 'method is "hash"'),
        ({"resolution": 2.0, "target_size": 0.5}, "two ways to say the same"),
        ({"method": "modulo", "resolution": 2.0}, 'means nothing to "modulo"'),
        ({"method": "lsh"}, '"lsh" needs a number of rows'),
        ({"resolution": -1.0}, "resolution is -1.0"),
        ({"resolution": float("nan")}, "resolution is nan"),
        ({"target_size": 0.0}, "target_size is 0.0"),
        ({"target_size": 1.5}, "target_size is 1.5"),
        ({"target_size": True}, "target_size is True"),
        ({"target_size": 13}, "means 13 rows for 12 users and items"),
        ({"target_size": 3}, "means 3 rows"),
        ({"target_size": 4}, "need 6 rows; target_size allows 4"),
    ):
        with pytest.raises(GraphrepError, match=message):
            GraphHash(**options).fit(pairs)
    with pytest.raises(EmptyGraphError, match='no interaction to hash by with "graph"'):
        GraphHash().fit(pairs[:, :0], (3, 3))
    with pytest.raises(ShapeError, match="0 users and 0 items"):
        GraphHash().fit(pairs[:, :0])
    with pytest.raises(GraphrepError, match="sizes belong to a tensor"):
        GraphHash().fit(Interactions(*pairs), (6, 6))
    with pytest.raises(IndexRangeError):
        GraphHash().fit(pairs, (2, 6))
    model = GraphHash(resolution=1.0)
    with pytest.raises(NotFittedError):
        model.assign(pairs)
    model.fit(pairs)
    with pytest.raises(UnknownNameError, match='side is "users"'):
        model.assign(pairs, side="users")
    with pytest.raises(IndexRangeError, match="known items"):
        model.assign(torch.tensor([[0], [6]]))
    with pytest.raises(IndexRangeError, match="new ids"):
        model.assign(torch.tensor([[4], [0]]), 3)


def test_hashes_of_isolated_sets_need_no_interaction() -> None:
    users, items = GraphHash(method="modulo", target_size=0.5).fit(torch.empty(2, 0, dtype=torch.int64), (8, 4))
    assert (users.tolist(), items.tolist()) == ([0, 1, 2, 3] * 2, [0, 1] * 2)


def test_params() -> None:
    model = GraphHash(target_size=0.5).set_params(seed=3)
    assert model.get_params() == {"method": "graph", "resolution": None, "target_size": 0.5, "seed": 3}
