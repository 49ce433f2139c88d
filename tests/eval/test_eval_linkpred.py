"""link_scores: AUC, AP, ranks, Hits and MRR with exact ties."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from graphrep.errors import GraphrepError, NonFiniteError, ShapeError
from graphrep.eval import EvalWarning, link_intervals, link_scores, linkpred

SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30)


# values


@pytest.mark.filterwarnings("ignore::graphrep.eval.EvalWarning")
@pytest.mark.parametrize("name", ["a", "ties", "fewneg"])
def test_golden_pooled(golden, name) -> None:
    g = golden(f"evaluation/link_pool_{name}")
    ks = [int(k) for k in g["ks"]]
    found = link_scores(torch.from_numpy(g["pos"]), torch.from_numpy(g["neg"]), ks=ks)
    assert found.auc == pytest.approx(float(g["auc"]), abs=1e-12)
    assert found.ap == pytest.approx(float(g["ap"]), abs=1e-12)
    assert [found.hits[k] for k in ks] == pytest.approx(g["hits"].tolist())
    assert np.array_equal(found.rank, g["rank"])
    for ours, theirs in (("mrr", ""), ("mrr_optimistic", "_optimistic"), ("mrr_pessimistic", "_pessimistic")):
        assert getattr(found, ours) == pytest.approx(float(g[f"mrr_pool{theirs}"]), abs=1e-12)


@pytest.mark.parametrize("name", ["a", "ties"])
def test_golden_per_positive(golden, name) -> None:
    g = golden(f"evaluation/link_per_{name}")
    found = link_scores(g["pos"], g["neg"], ks=[1, 3, 10, 20, 50, 100])
    assert np.array_equal(found.rank, g["rank"])
    assert found.mrr == pytest.approx(float(g["mrr"]), abs=1e-12)
    assert found.mean_rank == pytest.approx(float(g["mean_rank"]), abs=1e-12)
    for k, share in found.hits.items():
        assert share == pytest.approx(float(g[f"hits{k}"])), k


@settings(max_examples=80, deadline=None)
@given(SCORES, SCORES)
def test_against_sklearn_with_ties(pos, neg) -> None:
    found = link_scores(pos, neg, ks=(1,))
    truth = [1] * len(pos) + [0] * len(neg)
    assert found.auc == pytest.approx(roc_auc_score(truth, pos + neg), abs=1e-12)
    assert found.ap == pytest.approx(average_precision_score(truth, pos + neg), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(SCORES, SCORES)
def test_ranks_by_double_loop(pos, neg) -> None:
    found = link_scores(pos, neg, ks=(1,))
    more = [sum(n > p for n in neg) for p in pos]
    same = [sum(n == p for n in neg) for p in pos]
    assert found.rank.tolist() == [1 + a + b / 2 for a, b in zip(more, same, strict=True)]
    assert found.mrr_optimistic == pytest.approx(np.mean([1 / (1 + a) for a in more]))
    assert found.mrr_pessimistic == pytest.approx(np.mean([1 / (1 + a + b) for a, b in zip(more, same, strict=True)]))
    assert found.hits[1] == np.mean([p > max(neg) for p in pos])


# properties


@settings(max_examples=40, deadline=None)
@given(SCORES, SCORES, st.sampled_from([np.exp, np.cbrt, lambda s: 3 * s - 7, lambda s: s**3]))
def test_increasing_maps_change_nothing(pos, neg, grow) -> None:
    before, after = link_scores(pos, neg, ks=(1,)), link_scores(grow(np.array(pos)), grow(np.array(neg)), ks=(1,))
    assert (before.auc, before.ap, before.mrr, before.hits) == (after.auc, after.ap, after.mrr, after.hits)


@settings(max_examples=40, deadline=None)
@given(SCORES, SCORES)
def test_swapping_the_sides_mirrors_auc(pos, neg) -> None:
    there, back = link_scores(pos, neg, ks=()), link_scores(neg, pos, ks=())
    assert there.auc + back.auc == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(SCORES, SCORES)
def test_the_same_negatives_for_all_give_the_pooled_ranks(pos, neg) -> None:
    own = np.tile(np.array(neg), (len(pos), 1))
    pooled, per = link_scores(pos, neg, ks=()), link_scores(pos, own, ks=())
    assert np.array_equal(pooled.rank, per.rank)
    assert pooled.auc == pytest.approx(per.auc)
    assert pooled.mrr_pessimistic <= pooled.mrr <= pooled.mrr_optimistic


# edge cases


def test_constant_scores_rank_in_the_middle() -> None:
    found = link_scores([1.0, 1.0], [[1.0] * 9, [1.0] * 9], ks=(1, 5, 6))
    assert found.rank.tolist() == [5.5, 5.5]  # (M + 2) / 2
    assert found.hits == {1: 0.0, 5: 0.0, 6: 1.0}
    assert found.auc == 0.5


def test_a_tie_with_the_kth_negative_is_a_miss() -> None:
    assert link_scores([2.0, 2.5], [3.0, 2.0, 1.0], ks=(2,)).hits == {2: 0.5}


def test_fewer_negatives_than_k_warns_and_gives_one() -> None:
    with pytest.warns(EvalWarning, match="@5, @10 is 1.0 .* only 3 negatives"):
        found = link_scores([0.0], [1.0, 2.0, 3.0], ks=(3, 5, 10))
    assert found.hits == {3: 0.0, 5: 1.0, 10: 1.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert link_scores([0.0], [[1.0, 2.0, 3.0]], ks=(3, 4)).hits == {3: 0.0, 4: 1.0}


def test_infinite_scores_have_a_place() -> None:
    found = link_scores([np.inf, -np.inf], [-np.inf, 0.0], ks=(1,))
    assert found.rank.tolist() == [1.0, 2.5]
    assert found.auc == pytest.approx((1 + 0.25) / 2)


def test_blocks_of_rows_agree(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    pos, neg = rng.integers(0, 5, 23).astype(float), rng.integers(0, 5, (23, 7)).astype(float)
    whole = link_scores(pos, neg)
    monkeypatch.setattr("graphrep.eval.linkpred._BLOCK", 20)
    assert np.array_equal(link_scores(pos, neg).rank, whole.rank)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64])
def test_dtypes_and_no_modification(dtype) -> None:
    pos, neg = torch.tensor([3, 1], dtype=dtype), torch.tensor([2, 0, 1], dtype=dtype)
    assert link_scores(pos, neg, ks=(1,)).rank.tolist() == [1.0, 2.5]
    assert pos.tolist() == [3, 1]
    assert neg.tolist() == [2, 0, 1]


def test_scores_with_gradients() -> None:
    assert link_scores(torch.ones(2, requires_grad=True), torch.zeros(3), ks=(1,)).auc == 1.0


# errors


def test_nan_raises_on_either_side() -> None:
    with pytest.raises(NonFiniteError, match="pos holds nan at 1"):
        link_scores([0.0, np.nan], [1.0])
    with pytest.raises(NonFiniteError, match=r"neg holds nan at \(0, 1\)"):
        link_scores([0.0], [[1.0, np.nan]])


def test_errors() -> None:
    with pytest.raises(ShapeError, match="empty"):
        link_scores([], [1.0])
    with pytest.raises(ShapeError, match="empty"):
        link_scores([1.0], [])
    with pytest.raises(ShapeError, match="one row for each of the 2 positives"):
        link_scores([1.0, 2.0], [[1.0], [2.0], [3.0]])
    with pytest.raises(ShapeError, match="must be 1-D or 2-D"):
        link_scores([1.0], np.zeros((1, 1, 1)))
    with pytest.raises(GraphrepError, match="at least 1"):
        link_scores([1.0], [1.0], ks=(0,))


# intervals


def resampled(pos, neg, ks, resamples, level, seed):
    """The bootstrap by one call of link_scores for each resample of positives."""
    rng, rows = np.random.default_rng(seed), []
    for drawn in rng.integers(0, len(pos), (resamples, len(pos))):
        own = link_scores(pos[drawn], neg if neg.ndim == 1 else neg[drawn], ks=ks)
        pool = link_scores(pos[drawn], neg.reshape(-1), ks=())  # all negatives stay in AUC and AP
        rows.append([pool.auc, pool.ap, own.mrr, own.mean_rank, *own.hits.values()])
    return np.percentile(np.array(rows), [50 * (1 - level), 50 * (1 + level)], axis=0).T


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_intervals_by_resampling(own: bool, ties: bool, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    pos, neg = rng.normal(1, 1, 23), rng.normal(0, 1, (23, 9) if own else 60)
    if ties:
        pos, neg = pos.round(), neg.round()
    wanted = resampled(pos, neg, (1, 3), 200, 0.9, 5)
    found = link_intervals(torch.from_numpy(pos), torch.from_numpy(neg), ks=(1, 3), resamples=200, level=0.9, seed=5)
    ours = [found.auc, found.ap, found.mrr, found.mean_rank, *found.hits.values()]
    np.testing.assert_allclose(ours, wanted, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(linkpred, "_BLOCK", 8 * 23 * 7)  # seven resamples at a time
    again = link_intervals(pos, neg, ks=(1, 3), resamples=200, level=0.9, seed=5)
    np.testing.assert_allclose([again.auc, again.ap, again.mrr], [found.auc, found.ap, found.mrr], rtol=1e-12)
    assert link_intervals(pos, neg, ks=(1,), resamples=50, seed=6).mrr != found.mrr


def test_intervals_hold_what_they_should() -> None:
    """A 95 % interval of the AUC holds the true one in about 95 of 100 cases of many positives and negatives."""
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found = link_intervals(rng.normal(1, 1, 80), rng.normal(0, 1, 4000), ks=(), resamples=300, seed=seed)
        held += found.auc[0] <= 0.7602499389 <= found.auc[1]  # Phi(1 / sqrt 2)
    assert 85 <= held <= 100


def test_intervals_of_the_certain_and_of_one() -> None:
    found = link_intervals([5.0, 6.0], [0.0, 1.0], ks=(1,))
    assert (found.auc, found.ap, found.mrr, found.hits) == ((1, 1), (1, 1), (1, 1), {1: (1, 1)})
    one = link_intervals([0.5], [[1.0, 0.0]], ks=(1, 2))
    assert (one.auc, one.mrr, one.hits) == ((0.5, 0.5), (0.5, 0.5), {1: (0, 0), 2: (1, 1)})
    assert one.to_dict()["level"] == 0.95


def test_intervals_refuse() -> None:
    with pytest.raises(GraphrepError, match="resamples must be an integer of at least 1; got 0"):
        link_intervals([1.0], [0.0], resamples=0)
    with pytest.raises(GraphrepError, match="level must lie between 0 and 1; got 95"):
        link_intervals([1.0], [0.0], level=95)
    with pytest.raises(NonFiniteError):
        link_intervals([float("nan")], [0.0])
    with pytest.raises(ShapeError):
        link_intervals([1.0, 2.0], [[0.0]])
