"""Interactions: parts and their checks, matrices, splits."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphrep as gr
from graphrep.data import Interactions, as_interactions
from graphrep.errors import DTypeError, IndexRangeError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.kernels import CSR


def some(**changes) -> Interactions:
    parts = {
        "user": [0, 2, 0, 0, 2],
        "item": [3, 1, 0, 3, 1],
        "weight": [1.0, 2.0, 4.0, 0.5, -2.0],
        "part": ["train", "train", "train", "train", "test"],
        "num_items": 5,
    }
    return Interactions(**{**parts, **changes})


def test_parts_and_counts() -> None:
    data = some(name="shop")
    assert (data.num_users, data.num_items, data.num_rows) == (3, 5, 5)
    assert data.parts == ("train", "test")
    assert data.rows("train").tolist() == [0, 1, 2, 3]
    assert data.rows("val").tolist() == []
    assert data.rows().tolist() == [0, 1, 2, 3, 4]
    assert repr(data) == "Interactions(shop: 3 users, 5 items, 5 rows, weighted; train 4, test 1)"
    assert some(part=torch.tensor([0, 0, 1, 2, 2])).parts == ("train", "val", "test")
    assert some(user_ids=["a", "b", "c"], num_users=None).num_users == 3
    empty = Interactions([], [])
    assert (empty.num_users, empty.num_rows, empty.csr().shape) == (0, 0, (0, 0))


def test_repeats_are_summed_or_count_once() -> None:
    data = some()
    assert data.csr("train").to_scipy().toarray().tolist() == [[4, 0, 0, 1.5, 0], [0] * 5, [0, 2, 0, 0, 0]]
    assert data.csr().to_scipy().toarray()[2, 1] == 0  # 2 and -2: the pair stays
    assert data.csr().nnz == data.csr(binarize=True).nnz == 3
    assert data.csr(binarize=True).value.tolist() == [1, 1, 1]
    assert data.csr().perm.tolist() == [2, 0, 1]
    assert data.csr("test").perm.tolist() == [4]
    assert data.csr("train") is data.csr("train")
    counts = some(weight=None).csr()
    assert counts.value.tolist() == [1, 2, 2]
    assert counts.value.dtype == torch.float32
    assert some(weight=torch.tensor([0.1] * 5, dtype=torch.float64)).csr().value.dtype == torch.float64


def test_sums_do_not_depend_on_the_order_of_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    user, item = torch.randint(0, 3, (2, 400), generator=generator)
    weight = torch.rand(400, generator=generator)
    order = torch.randperm(400, generator=generator)
    one, other = Interactions(user, item, weight).csr(), Interactions(user[order], item[order], weight[order]).csr()
    assert torch.equal(one.value, other.value)
    assert torch.equal(one.col, other.col)


def test_it_is_immutable_and_replace_copies() -> None:
    data = some()
    with pytest.raises(AttributeError, match="Interactions is immutable"):
        data.part = None
    assert data.replace(part=None).parts == ()
    assert data.to("cpu").weight.tolist() == data.weight.tolist()
    with pytest.raises(UnknownNameError, match="no part 'z'"):
        data.replace(z=1)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"user": [0, 1]}, ShapeError, "user has 2 rows and item has 5"),
        ({"user": [0.0] * 5}, DTypeError, "user must hold numbers of rows"),
        ({"user": [[0] * 5]}, ShapeError, "user must have one axis"),
        ({"user": ["a"] * 5}, DTypeError, "user has dtype <U1"),
        ({"num_items": 3}, IndexRangeError, "item refers to 3"),
        ({"user": [-1, 0, 0, 0, 0]}, IndexRangeError, "user refers to -1"),
        ({"weight": [1.0]}, ShapeError, "weight: edge_weight has shape"),
        ({"weight": [1.0, 1, 1, 1, float("inf")]}, NonFiniteError, "infinity"),
        ({"time": [1, 2]}, ShapeError, "time has shape"),
        ({"time": [1, 2, 3, 4, float("nan")]}, NonFiniteError, "time has NaN"),
        ({"part": ["train", "val", "dev", "test", "test"]}, UnknownNameError, "part has 'dev'"),
        ({"part": [0, 1]}, ShapeError, "part has 2 rows"),
        ({"part": [0, 1, 2, 3, 0]}, IndexRangeError, "part refers to 3"),
        ({"user_ids": ["a", "a", "b"]}, gr.GraphrepError, "user_ids: ids must be distinct"),
        ({"item_ids": ["a"]}, ShapeError, "item_ids: ids has 1 rows but the set of items has 5"),
    ],
)
def test_what_does_not_fit_is_refused(changes, kind, message) -> None:
    with pytest.raises(kind, match=message):
        some(**changes)


def test_unknown_parts() -> None:
    with pytest.raises(UnknownNameError, match='Unknown part "dev"'):
        some().csr("dev")
    with pytest.raises(gr.GraphrepError, match="are not split"):
        some(part=None).csr("train")


# splits


def reference_split(users, items, times, val, test, by) -> dict[tuple[int, int], str]:
    """Part of every pair for the two splits by time, one user after the other."""
    first: dict[tuple[int, int], int] = {}
    for pair, time in zip(zip(users, items, strict=True), times, strict=True):
        first[pair] = min(first.get(pair, time), time)
    groups = [sorted(first)] if by == "time" else [[p for p in sorted(first) if p[0] == u] for u in sorted(set(users))]
    found = {}
    for group in groups:
        group = sorted(group, key=lambda pair: first[pair])
        kept = 0 if by == "time" else 1
        num_test = min(int(test * len(group) + 1e-9), len(group) - kept)
        num_val = min(int(val * len(group) + 1e-9), len(group) - kept - num_test)
        for place, pair in enumerate(reversed(group)):
            found[pair] = "test" if place < num_test else "val" if place < num_test + num_val else "train"
    return found


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=30)


@given(rows=ROWS, val=st.sampled_from([0.0, 0.1, 0.3]), test=st.sampled_from([0.0, 0.2, 0.5]))
@settings(max_examples=60, deadline=None, derandomize=True)
@pytest.mark.parametrize("by", ["time", "user_time"])
def test_splits_by_time(by, rows, val, test) -> None:
    users, items, times = (list(column) for column in zip(*rows, strict=True))
    data = Interactions(users, items, time=times).split(val=val, test=test, by=by)
    expected = reference_split(users, items, times, val, test, by)
    names = ("train", "val", "test")
    assert [names[code] for code in data.part] == [expected[pair] for pair in zip(users, items, strict=True)]


@given(rows=ROWS, seed=st.integers(0, 2**31), val=st.sampled_from([0.0, 0.3]), test=st.sampled_from([0.2, 0.6]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_random_splits(rows, seed, val, test) -> None:
    users, items, _ = (list(column) for column in zip(*rows, strict=True))
    data = Interactions(users, items).split(val=val, test=test, seed=seed)
    part_of: dict[tuple[int, int], int] = {}
    for pair, code in zip(zip(users, items, strict=True), data.part.tolist(), strict=True):
        assert part_of.setdefault(pair, code) == code  # rows of one pair stay together
    for user in set(users):
        codes = [code for pair, code in part_of.items() if pair[0] == user]
        num_test = min(int(test * len(codes) + 1e-9), len(codes) - 1)
        assert codes.count(2) == num_test
        assert codes.count(1) == min(int(val * len(codes) + 1e-9), len(codes) - 1 - num_test)
        assert codes.count(0) >= 1
    backwards = Interactions(users[::-1], items[::-1]).split(val=val, test=test, seed=seed)
    assert backwards.part.tolist() == data.part.tolist()[::-1]


def test_random_splits_follow_the_seed_and_spread_evenly() -> None:
    user = torch.arange(200).repeat_interleave(10)
    data = Interactions(user, torch.arange(10).repeat(200))
    one, other = data.split(seed=0), data.split(seed=1)
    assert torch.equal(one.part, data.split(seed=0).part)
    assert not torch.equal(one.part, other.part)
    assert torch.bincount(one.part.long()).tolist() == [1400, 200, 400]
    tested = torch.bincount(data.item[one.rows("test")], minlength=10)
    assert 15 <= int(tested.min()) <= int(tested.max()) <= 65  # 40 +- 4.4 standard deviations of the binomial


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a seed"),
        ({"seed": 0, "val": 0.5, "test": 0.5}, "leave nothing to train on"),
        ({"seed": 0, "val": -0.1}, "val=-0.1"),
        ({"by": "time"}, "needs the time of every row"),
        ({"by": "user_time", "seed": 3}, "seed=3 has no effect"),
        ({"by": "day", "seed": 0}, 'Unknown way to split "day"'),
    ],
)
def test_split_errors(options, message) -> None:
    with pytest.raises(gr.GraphrepError, match=message):
        some().split(**options)


# other objects


def test_coerce() -> None:
    data = some()
    assert as_interactions(data) is data
    matrix = sp.csr_array(np.array([[0, 2.0], [1.0, 0]]))
    for given_ in (matrix, CSR.from_scipy(matrix)):
        found = Interactions.coerce(given_)
        assert found.user.tolist() == [0, 1]
        assert found.item.tolist() == [1, 0]
        assert found.weight.tolist() == [2, 1]
    for wrong in (torch.zeros(2, 2), gr.Graph([[0], [1]]), "lastfm", {}):
        with pytest.raises(DTypeError, match="holds no interactions"):
            as_interactions(wrong)
    with pytest.raises(DTypeError, match="form of Interactions, not of Graph"):
        gr.Graph.coerce(data)
