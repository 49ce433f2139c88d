"""topk_metrics and rank_items."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrep.errors import DTypeError, GraphrepError, MissingLabelsError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.eval import rank_items, topk_metrics
from graphrep.eval._topk import top_columns

FIELDS = {"recall": "recall", "precision": "precision", "ndcg": "ndcg", "map": "map", "hr": "hit_rate", "mrr": "mrr"}


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    shape = draw(st.integers(1, 8)), draw(st.integers(1, 12))
    train = rng.random(shape) < 0.3
    test = (rng.random(shape) < 0.3) & ~train
    test[0, 0], train[0, 0] = True, False
    return rng.integers(-2, 3, shape).astype(float), train, test


def slow_metrics(scores: np.ndarray, train: np.ndarray, test: np.ndarray, k: int) -> dict[str, float]:
    """Straight from the definitions, a user at a time."""
    rows = []
    for s, seen, wanted in zip(scores, train, test, strict=True):
        if not wanted.any():
            continue
        best = [i for i in sorted(range(len(s)), key=lambda i: (-s[i], i)) if not seen[i]][:k]
        hits = [bool(wanted[i]) for i in best]
        limit = min(k, int(wanted.sum()))
        rows.append(
            {
                "recall": sum(hits) / wanted.sum(),
                "precision": sum(hits) / k,
                "ndcg": sum(h / math.log2(i + 2) for i, h in enumerate(hits))
                / sum(1 / math.log2(i + 2) for i in range(limit)),
                "map": sum(h * sum(hits[: i + 1]) / (i + 1) for i, h in enumerate(hits)) / limit,
                "hit_rate": float(any(hits)),
                "mrr": 1 / (hits.index(True) + 1) if any(hits) else 0.0,
            }
        )
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


# values


@pytest.mark.parametrize("name", ["rec_a", "rec_b"])
def test_golden(golden, name) -> None:
    g = golden(f"evaluation/{name}")
    ks = [int(k) for k in g["ks"]]
    train, test = sp.csr_matrix(g["train_mask"].astype(float)), sp.csr_matrix(g["test_mask"].astype(float))
    found = topk_metrics(torch.from_numpy(g["scores"]), None, train, test, ks=ks)
    assert found.num_users == int(g["n_users_scored"])
    for short, field in FIELDS.items():
        for k in ks:
            assert getattr(found, field)[k] == pytest.approx(float(g[f"{short}{k}"]), abs=1e-12), (field, k)


@settings(max_examples=80, deadline=None)
@given(cases(), st.sampled_from([1, 2, 5, 20]))
def test_by_loops_with_ties(case, k) -> None:
    scores, train, test = case
    found = topk_metrics(scores, None, sp.csr_matrix(train * 1.0), sp.csr_matrix(test * 1.0), ks=(k,), block_size=3)
    for name, wanted in slow_metrics(scores, train, test, k).items():
        assert getattr(found, name)[k] == pytest.approx(wanted, abs=1e-12), name


@settings(max_examples=40, deadline=None)
@given(cases())
def test_rank_items_by_sorting(case) -> None:
    scores, train, _ = case
    found = rank_items(scores, sp.csr_matrix(train * 1.0))
    for s, seen, ranked in zip(scores, train, found, strict=True):
        assert ranked.tolist() == sorted(range(len(s)), key=lambda i: (seen[i], 0 if seen[i] else -s[i], i))
    assert np.array_equal(rank_items(scores, sp.csr_matrix(train * 1.0), k=1), found[:, :1])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9))
def test_best_columns_settle_ties_by_id(seed, k) -> None:
    scores = torch.from_numpy(np.random.default_rng(seed).integers(0, 4, (6, 50)).astype(np.float32))
    assert torch.equal(top_columns(scores, k), scores.sort(dim=1, descending=True, stable=True).indices[:, :k])


# the same numbers from vectors, a matrix and a function; block by block


def test_three_ways_to_score_agree() -> None:
    rng = np.random.default_rng(0)
    users, items = torch.from_numpy(rng.standard_normal((30, 4))), torch.from_numpy(rng.standard_normal((50, 4)))
    train, test = (sp.csr_matrix((rng.random((30, 50)) < 0.1) * 1.0) for _ in range(2))
    vectors = topk_metrics(users, items, train, test, ks=(5, 10), per_user=True)
    for other in (
        topk_metrics(users @ items.t(), None, train, test, ks=(5, 10), per_user=True, block_size=7),
        topk_metrics(lambda ids: users[ids] @ items.t(), None, train, test, ks=(5, 10), per_user=True, block_size=1),
    ):
        assert other.ndcg == pytest.approx(vectors.ndcg)
        assert np.array_equal(other.per_user["recall"][5], vectors.per_user["recall"][5], equal_nan=True)


def test_per_user_averages_to_the_mean_and_skips_users_without_test_items() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    found = topk_metrics(scores, None, None, sp.csr_matrix([[0, 1, 0], [0, 0, 1], [0, 0, 0]]), ks=(1,), per_user=True)
    assert found.per_user["recall"][1][:2].tolist() == [0.0, 1.0]
    assert np.isnan(found.per_user["recall"][1][2])
    assert (found.recall[1], found.num_users) == (0.5, 2)
    assert "per_user" in found.to_dict()


def test_official_average_is_the_mean_of_the_means_of_256_users() -> None:
    """Against the published program's loop over batches; the third batch has no test user, on which it fails."""
    rng = np.random.default_rng(3)
    scores, test = rng.standard_normal((1100, 30)), rng.random((1100, 30)) < 0.05
    test[512:768], test[1024:1090] = False, False
    given = {"ks": (1, 5), "per_user": True}
    found = topk_metrics(scores, None, None, sp.csr_matrix(test * 1.0), average="official", block_size=100, **given)
    plain = topk_metrics(scores, None, None, sp.csr_matrix(test * 1.0), **given)
    for name in FIELDS.values():
        for k in (1, 5):
            each = plain.per_user[name][k]
            batches = [each[start : start + 256] for start in range(0, 1100, 256)]
            means = [np.mean([v for v in batch if not np.isnan(v)]) for batch in batches if not np.isnan(batch).all()]
            assert len(means) == 4
            assert getattr(found, name)[k] == pytest.approx(np.mean(means), abs=1e-12), name
            assert np.array_equal(found.per_user[name][k], each, equal_nan=True)
    assert found.recall[5] != pytest.approx(plain.recall[5], rel=1e-6)
    assert found.num_users == plain.num_users


def test_official_average_of_one_batch_is_the_user_mean() -> None:
    rng = np.random.default_rng(4)
    scores, test = rng.standard_normal((200, 12)), sp.csr_matrix((rng.random((200, 12)) < 0.2) * 1.0)
    assert topk_metrics(scores, None, None, test, average="official").ndcg == pytest.approx(
        topk_metrics(scores, None, None, test).ndcg
    )


# edge cases


def test_removed_items_are_never_hits() -> None:
    """One candidate is left: the removed items that fill the list up do not count, even those in the test set."""
    found = topk_metrics([[5.0, 4.0, 3.0]], None, sp.csr_matrix([[1, 1, 0]]), sp.csr_matrix([[1, 0, 1]]), ks=(3,))
    assert found.recall[3] == 0.5
    assert found.precision[3] == pytest.approx(1 / 3)
    assert found.mrr[3] == 1.0
    minus = topk_metrics([[-np.inf, 1.0]], None, None, sp.csr_matrix([[1, 0]]), ks=(2,))
    assert minus.hit_rate[2] == 0.0


def test_more_k_than_items() -> None:
    found = topk_metrics([[1.0, 2.0]], None, None, sp.csr_matrix([[1, 1]]), ks=(50,))
    assert (found.recall[50], found.ndcg[50], found.precision[50]) == (1.0, pytest.approx(1.0), 0.04)


def test_repeated_test_items_count_once() -> None:
    from graphrep.kernels import CSR

    test = CSR.from_edge_index(torch.tensor([[1, 1], [0, 0]]), size=(2, 1))
    assert topk_metrics([[0.0, 1.0]], None, None, test, ks=(1,)).recall == {1: 1.0}


def test_inputs_are_not_modified() -> None:
    scores = torch.tensor([[3.0, 2.0, 1.0]])
    train, test = sp.csr_matrix([[1, 0, 0]]), sp.csr_matrix([[0, 1, 0]])
    topk_metrics(scores, None, train, test, ks=(1,))
    topk_metrics(lambda ids: scores[: len(ids)], None, train, test, ks=(1,))
    rank_items(scores, train)
    assert scores.tolist() == [[3.0, 2.0, 1.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_dtypes(dtype) -> None:
    scores = torch.tensor([[3, 2, 1]], dtype=dtype)
    assert topk_metrics(scores, None, None, sp.csr_matrix([[1, 0, 0]]), ks=(1,)).recall == {1: 1.0}


# errors


def test_errors() -> None:
    test = sp.csr_matrix([[1, 0]])
    with pytest.raises(NonFiniteError, match="item 1 for user 0 is NaN"):
        topk_metrics([[0.0, np.nan]], None, None, test)
    with pytest.raises(NonFiniteError):
        rank_items([[0.0, np.nan]])
    with pytest.raises(MissingLabelsError, match="no user has a test item"):
        topk_metrics([[0.0, 1.0]], None, None, sp.csr_matrix((1, 2)))
    with pytest.raises(ShapeError, match=r"test has shape \(1, 2\); there are 2 users"):
        topk_metrics(np.eye(2), None, None, test)
    with pytest.raises(ShapeError, match="differ in width"):
        topk_metrics(np.eye(2), np.eye(3), None, test)
    with pytest.raises(DTypeError, match="CSR"):
        topk_metrics([[0.0, 1.0]], None, None, [[1, 0]])
    with pytest.raises(GraphrepError, match="at least"):
        topk_metrics([[0.0, 1.0]], None, None, test, ks=())
    with pytest.raises(UnknownNameError, match='average is "batches"'):
        topk_metrics([[0.0, 1.0]], None, None, test, average="batches")
    with pytest.raises(ShapeError, match="k = 3"):
        rank_items([[0.0, 1.0]], k=3)
    with pytest.raises(ShapeError, match="two axes"):
        rank_items([0.0, 1.0])
