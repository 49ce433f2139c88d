"""multilabel_scores: the top-k rule and the threshold."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from graphrep.errors import DTypeError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.eval import multilabel_scores


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    return rng.integers(-2, 3, shape).astype(float), rng.random(shape) < draw(st.sampled_from([0.1, 0.5, 0.9]))


# values


def test_golden(golden) -> None:
    g = golden("evaluation/multilabel_a")
    scores, y = torch.from_numpy(g["scores"]), torch.from_numpy(g["y"])
    found = multilabel_scores(scores, y, rule="topk")
    assert np.array_equal(found.predicted, g["pred_topk"])
    for key in ("micro_f1", "macro_f1", "samples_f1"):
        assert getattr(found, key) == pytest.approx(float(g[key]), abs=1e-12)
    found = multilabel_scores(scores, y, rule="threshold", threshold=0.5)
    for key in ("micro_f1", "macro_f1"):
        assert getattr(found, key) == pytest.approx(float(g[f"{key}_threshold0"]), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from(["topk", "threshold"]))
def test_f1_against_sklearn(case, rule) -> None:
    scores, y = case
    found = multilabel_scores(scores, y, rule=rule)
    # A single column would be read as one binary problem; an empty second one keeps it multi-label.
    truth, said = (np.hstack([a, np.zeros((len(y), 1), dtype=bool)]) for a in (y, found.predicted))
    for name in ("micro", "samples"):
        wanted = f1_score(truth, said, average=name, zero_division=0)
        assert getattr(found, f"{name}_f1") == pytest.approx(wanted, abs=1e-12)
    wanted = f1_score(truth, said, average=None, zero_division=0)[:-1].mean()
    assert found.macro_f1 == pytest.approx(wanted, abs=1e-12)


# properties


@settings(max_examples=60, deadline=None)
@given(cases())
def test_topk_predicts_as_many_as_true_and_the_best(case) -> None:
    scores, y = case
    predicted = multilabel_scores(scores, y).predicted
    assert np.array_equal(predicted.sum(1), y.sum(1))
    for row, chosen in zip(scores, predicted, strict=True):
        if 0 < chosen.sum() < len(row):
            assert row[chosen].min() >= row[~chosen].max()
            ties = np.flatnonzero(row == row[chosen].min())
            assert np.array_equal(chosen[ties], np.sort(chosen[ties])[::-1])  # the lower class first


@settings(max_examples=30, deadline=None)
@given(cases())
def test_perfect_scores_give_one(case) -> None:
    y = case[1]
    y[0] = True  # every class occurs
    for rule in ("topk", "threshold"):
        assert multilabel_scores(y - 0.5, y, rule=rule).macro_f1 == 1.0


# edge cases


def test_minus_infinity_is_never_predicted() -> None:
    found = multilabel_scores([[-np.inf, 1.0, -np.inf]], [[1, 1, 0]])
    assert found.predicted.tolist() == [[False, True, False]]


def test_nothing_true_and_nothing_predicted() -> None:
    found = multilabel_scores([[1.0, 2.0]], [[0, 0]])
    assert (found.micro_f1, found.macro_f1, found.samples_f1) == (0, 0, 0)


def test_sparse_labels_and_unmodified_inputs() -> None:
    scores, y = np.array([[0.1, 0.9]]), sp.csr_matrix([[0, 1]])
    assert multilabel_scores(scores, y).micro_f1 == 1
    assert multilabel_scores(scores, torch.tensor([[0, 1]]).to_sparse()).micro_f1 == 1
    assert scores.tolist() == [[0.1, 0.9]]


# errors


def test_errors() -> None:
    with pytest.raises(NonFiniteError):
        multilabel_scores([[np.nan]], [[1]])
    with pytest.raises(ShapeError, match="differ in shape"):
        multilabel_scores([[1.0, 2.0]], [[1]])
    with pytest.raises(UnknownNameError, match=r"topk \| threshold"):
        multilabel_scores([[1.0]], [[1]], rule="best")
    with pytest.raises(DTypeError, match="0 and 1"):
        multilabel_scores([[1.0]], [[2]])
    with pytest.raises(ShapeError):
        multilabel_scores([[1.0]], [1])
