"""The metric objects give what their functions give for all batches at once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

import graphrep.eval as ev
from graphrep.errors import (
    DTypeError,
    GraphrepError,
    IndexRangeError,
    MissingLabelsError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)
from graphrep.kernels import CSR

RNG = np.random.default_rng(0)
SIZES = (7, 1, 20, 12)


def parts(*arrays):
    """The arrays cut into batches."""
    ends = np.cumsum(SIZES)
    return zip(*(np.split(array, ends[:-1]) for array in arrays), strict=True)


def filled(metric, *arrays):
    for batch in parts(*arrays):
        metric.update(*batch)
    return metric


POS = RNG.standard_normal(40).round(1)
POOL, OWN = RNG.standard_normal(40).round(1), RNG.standard_normal((40, 9)).round(1)
Y, C = RNG.integers(-1, 4, 40), RNG.integers(0, 5, 40)
LABELS, SCORES = RNG.random((40, 6)) < 0.3, RNG.standard_normal((40, 6))
Z, VIEW = RNG.standard_normal((40, 5)), RNG.standard_normal((40, 5))

CASES = {
    "links pooled": (lambda: ev.LinkScoresMetric(ks=(1, 5)), (POS, POOL), lambda: ev.link_scores(POS, POOL, ks=(1, 5))),
    "links own": (lambda: ev.LinkScoresMetric(ks=(1, 5)), (POS, OWN), lambda: ev.link_scores(POS, OWN, ks=(1, 5))),
    "classes": (lambda: ev.ClassificationMetric(5), (Y, C), lambda: ev.classification_scores(Y, C)),
    "multilabel topk": (ev.MultilabelMetric, (LABELS, SCORES), lambda: ev.multilabel_scores(SCORES, LABELS)),
    "multilabel threshold": (
        lambda: ev.MultilabelMetric("threshold", threshold=0.5),
        (LABELS, SCORES),
        lambda: ev.multilabel_scores(SCORES, LABELS, rule="threshold", threshold=0.5),
    ),
    "clusters": (ev.ClusterScoresMetric, (Y, C), lambda: ev.cluster_scores(Y, C)),
    "alignment": (lambda: ev.AlignmentMetric(alpha=1), (Z, VIEW), lambda: ev.alignment(Z, VIEW, alpha=1)),
    "uniformity": (lambda: ev.UniformityMetric(t=3), (Z,), lambda: ev.uniformity(Z, t=3)),
    "rankme": (ev.RankMeMetric, (Z,), lambda: ev.rankme(Z)),
}


def same(found, wanted) -> None:
    if isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-12)
        return
    a, b = found.to_dict(arrays=True), wanted.to_dict(arrays=True)
    a.pop("predicted", None), b.pop("predicted", None)  # a metric over batches keeps no predictions
    assert a.keys() == b.keys()
    for name, value in b.items():
        plain = value is None or isinstance(value, str)
        assert a[name] == (value if plain else pytest.approx(value, rel=1e-12, abs=1e-15))


@pytest.mark.parametrize("name", sorted(CASES))
def test_batches_give_what_the_function_gives_for_all(name) -> None:
    make, arrays, function = CASES[name]
    kept = [array.copy() for array in arrays]
    same(filled(make(), *arrays).compute(), function())
    same(filled(make(), *(torch.from_numpy(array) for array in arrays)).compute(), function())
    for array, before in zip(arrays, kept, strict=True):
        assert np.array_equal(array, before)


@pytest.mark.parametrize("name", sorted(CASES))
def test_processes_merge_and_reset_forgets(name) -> None:
    make, arrays, function = CASES[name]
    first, second, third = make(), make(), make()
    for place, batch in enumerate(parts(*arrays)):
        (first, second, first, third)[place].update(*batch)
    assert first.merge(second, third.state(), make()) is first  # a state travels as tensors; an empty one adds nothing
    found = first.compute()
    if isinstance(found, float):
        same(found, function())
    else:  # ranks come in the order of merging
        wanted, got = function().to_dict(), found.to_dict()
        wanted.pop("predicted", None), got.pop("predicted", None)
        assert got.keys() == wanted.keys()
        for key, value in wanted.items():
            assert isinstance(value, str) or got[key] == pytest.approx(value, rel=1e-12)
    assert all(isinstance(value, torch.Tensor) for value in first.state().values())
    first.reset()
    assert first.state() == {}
    with pytest.raises(ShapeError, match="has seen no batch"):
        first.compute()
    same(filled(first, *arrays).compute(), function())


def test_ranking_over_batches_of_users() -> None:
    scores = RNG.standard_normal((40, 30))
    test, train = sp.random(40, 30, 0.1, "csr", rng=1), sp.random(40, 30, 0.2, "csr", rng=2)
    test = sp.csr_matrix(test.multiply(np.arange(40)[:, None] != 7))  # the second batch: a user without a test item
    test.eliminate_zeros()
    wanted = ev.topk_metrics(scores, None, train, test, ks=(1, 5))
    metric = ev.TopKMetric(ks=(1, 5))
    ends = np.cumsum(SIZES)
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        seen, wish = train[start:end], CSR.from_scipy(test[start:end])
        metric.update(torch.from_numpy(scores[start:end]), wish, seen)
    same(metric.compute(), wanted)
    empty = ev.TopKMetric()
    empty.update([[0.5, 0.1]], sp.csr_matrix((1, 2)))
    with pytest.raises(MissingLabelsError, match="no user"):
        empty.compute()


def test_a_batch_may_change_after_its_update() -> None:
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    metric = ev.UniformityMetric()
    metric.update(z)
    z.zero_()
    assert metric.compute() == pytest.approx(-4.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(1, 6), st.integers(1, 5), st.integers(0, 1000))
def test_rankme_keeps_small_singular_values(rows, width, batches, seed) -> None:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((rows, width)) * 10.0 ** -np.arange(0, 2 * width, 2)
    metric = ev.RankMeMetric()
    for part in np.array_split(z, batches):
        if len(part):
            metric.update(part)
    assert metric.compute() == pytest.approx(ev.rankme(z), rel=1e-9)
    assert metric.state()["factor"].shape[0] <= max(width, min(rows, len(part) if batches == 1 else rows))


def test_classes_from_scores_and_the_scores_of_scikit_learn() -> None:
    y, scores = RNG.integers(0, 4, 50), RNG.standard_normal((50, 4))
    metric = ev.ClassificationMetric(4)
    metric.update(torch.from_numpy(y), torch.from_numpy(scores))
    found, said = metric.compute(), scores.argmax(1)
    assert found.accuracy == pytest.approx(accuracy_score(y, said))
    assert found.macro_f1 == pytest.approx(f1_score(y, said, average="macro"))
    assert found.micro_f1 == pytest.approx(f1_score(y, said, average="micro"))
    assert ev.classification_scores(y, said).to_json() == found.to_json()


def test_states_are_tensors_and_travel() -> None:
    metric = filled(ev.RankMeMetric(), Z)
    back = ev.RankMeMetric().merge({k: torch.from_numpy(v.numpy().copy()) for k, v in metric.state().items()})
    assert back.compute() == metric.compute()
    assert pickle.loads(pickle.dumps(metric)).compute() == metric.compute()
    assert metric.to("cpu").compute() == metric.compute()
    assert repr(ev.LinkScoresMetric(ks=(3,))) == "LinkScoresMetric(ks=(3,))"
    assert ev.metrics.RankMeMetric is ev.RankMeMetric


def test_all_zero_rows_have_rank_zero_and_a_warning() -> None:
    metric = ev.RankMeMetric()
    metric.update(np.zeros((3, 2)))
    with pytest.warns(ev.EvalWarning, match="zero"):
        assert metric.compute() == 0.0


def test_errors() -> None:
    links = ev.LinkScoresMetric()
    with pytest.raises(ShapeError, match="rows of negatives"):
        links.update([1.0, 2.0], [[1.0]])
    with pytest.raises(ShapeError, match="pos must be"):
        links.update([[1.0]], [1.0])
    links.update([1.0, float("nan")], [0.5])
    with pytest.raises(NonFiniteError):
        links.compute()
    mixed = ev.LinkScoresMetric()
    mixed.update([1.0], [[0.5, 0.2]])
    mixed.update([1.0], [0.5])
    with pytest.raises(ShapeError, match="neg has shapes"):
        mixed.compute()
    classes = ev.ClassificationMetric(2)
    with pytest.raises(NonFiniteError):
        classes.update([0], [[float("nan"), 1.0]])
    with pytest.raises(IndexRangeError, match="num_classes is 2"):
        classes.update([2], [0])
    with pytest.raises(DTypeError, match="integers"):
        classes.update([1], [0.5])
    with pytest.raises(ShapeError, match="y has shape"):
        classes.update([1, 0], [0])
    classes.update([-1], [0])
    with pytest.raises(MissingLabelsError):
        classes.compute()
    with pytest.raises(UnknownNameError, match="rule"):
        ev.MultilabelMetric("best")
    with pytest.raises(NonFiniteError):
        ev.RankMeMetric().update([[float("inf")]])
    with pytest.raises(ShapeError, match="one row per node"):
        ev.UniformityMetric().update([1.0])
    with pytest.raises(GraphrepError, match="cannot be merged"):
        ev.RankMeMetric().merge(ev.UniformityMetric())
    with pytest.raises(GraphrepError, match="this state has rows"):
        ev.RankMeMetric().merge({"rows": torch.zeros(1, 1)})
    with pytest.raises(ShapeError, match="y has 2 labels"):
        ev.classification_scores([1, 2], [1])
    wide = ev.RankMeMetric()
    wide.update([[1.0, 2.0]])
    with pytest.raises(ShapeError, match="same width"):
        wide.update([[1.0]])
