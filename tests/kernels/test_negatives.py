"""Negatives: never a met item, every other equally likely, the same on every backend, and an answer for full rows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import random_csr
from set_cases import follows, same_for_any_threads
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError
from graphrep.kernels import CSR, uniform_negatives


def matrix(rows: list[list[int]], num_cols: int) -> CSR:
    row = torch.tensor([r for r, cols in enumerate(rows) for _ in cols], dtype=torch.int64)
    col = torch.tensor([c for cols in rows for c in cols], dtype=torch.int64)
    return CSR.from_edge_index(torch.stack([col, row]), size=(num_cols, len(rows)))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 12), st.lists(st.lists(st.integers(0, 11)), min_size=1, max_size=6), st.integers(0, 2**63))
def test_only_columns_that_are_not_there(num_cols: int, rows: list[list[int]], seed: int) -> None:
    rows = [[col % num_cols for col in cols] for cols in rows]  # unsorted, with repeats, empty and full rows
    csr, users = matrix(rows, num_cols), torch.arange(len(rows)).repeat(3)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cpu", "reference"):
            patch.setenv("GRAPHREP_BACKEND", name)
            found.append(uniform_negatives(csr, users, num=4, seed=seed))
    assert torch.equal(*found)
    for user, drawn in zip(users.tolist(), found[0].tolist(), strict=True):
        open_ = set(range(num_cols)) - set(rows[user])
        assert set(drawn) <= open_ if open_ else drawn == [-1] * 4


def test_every_other_column_is_equally_likely(backend: str) -> None:
    csr, count = matrix([[7, 0, 3, 3, 4]], 9), 20_000
    drawn = uniform_negatives(csr, torch.zeros(count, dtype=torch.int32), num=2, seed=0).reshape(-1)
    probability = torch.tensor([0, 1, 1, 0, 0, 1, 1, 0, 1]) / 5
    follows(torch.bincount(drawn, minlength=9), probability)


def test_draws_of_a_user_are_independent(backend: str) -> None:
    drawn = uniform_negatives(matrix([[1, 2]], 5), torch.zeros(20_000, dtype=torch.int64), num=2, seed=3)
    code = torch.tensor([0, -1, -1, 1, 2])[drawn]
    follows(torch.bincount(3 * code[:, 0] + code[:, 1], minlength=9), torch.full((9,), 1 / 9))


def test_a_draw_depends_on_seed_and_place_alone(backend: str) -> None:
    csr, users = random_csr(50, 60, 900, seed=1), torch.arange(50)
    whole = uniform_negatives(csr, users, num=3, seed=4)
    assert torch.equal(uniform_negatives(csr, users[:20], num=3, seed=4), whole[:20])
    assert torch.equal(uniform_negatives(csr, users, num=2, seed=4), whole[:, :2])
    assert not torch.equal(uniform_negatives(csr, users, num=3, seed=5), whole)


def test_same_bytes_for_any_number_of_threads() -> None:
    csr, users = random_csr(2000, 500, 40_000), torch.arange(2000).repeat(30)

    def results() -> list[Tensor]:
        return [uniform_negatives(csr, users, seed=0)]

    same_for_any_threads(results)


@pytest.mark.parametrize("count", [0, 1, 2, 63, 257])
def test_sizes(backend: str, count: int) -> None:
    csr = random_csr(10, 12, 30)
    assert uniform_negatives(csr, torch.arange(count) % 10, num=2, seed=0).shape == (count, 2)
    assert uniform_negatives(csr, torch.arange(count) % 10, num=0, seed=0).shape == (count, 0)
    empty = CSR.from_edge_index(torch.empty(2, 0, dtype=torch.int64), size=(12, 10))
    assert bool((uniform_negatives(empty, torch.arange(count) % 10, seed=0) >= 0).all())


def test_the_matrix_is_left_alone(backend: str) -> None:
    csr = matrix([[3, 1, 1]], 5)
    uniform_negatives(csr, torch.tensor([0]), seed=0)
    assert csr.col.tolist() == [3, 1, 1]


def test_errors() -> None:
    csr = random_csr(4, 5, 9)
    with pytest.raises(IndexRangeError, match="users refers to 4"):
        uniform_negatives(csr, torch.tensor([4]), seed=0)
    with pytest.raises(GraphrepError, match="num must be an integer of 0 or more; got -1"):
        uniform_negatives(csr, torch.tensor([0]), num=-1, seed=0)
    with pytest.raises(DTypeError, match="seed must be an integer"):
        uniform_negatives(csr, torch.tensor([0]), seed=0.5)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="users must hold integers"):
        uniform_negatives(csr, torch.tensor([0.0]), seed=0)
