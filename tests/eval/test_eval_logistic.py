"""logistic_regression: multinomial, free bias."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from graphrep.errors import GraphrepError, MissingLabelsError, NonFiniteError, ShapeError
from graphrep.eval import logistic_regression


def objective(weights: np.ndarray, z: np.ndarray, y: np.ndarray, classes: int, c: float) -> float:
    """Sum of cross-entropies + ||W||^2 / (2 c), straight from the definition."""
    w = weights.reshape(classes, -1)
    scores = z @ w[:, :-1].T + w[:, -1]
    top = scores.max(1)
    loss = np.log(np.exp(scores - top[:, None]).sum(1)) + top - scores[np.arange(len(y)), y]
    return float(loss.sum() + (w[:, :-1] ** 2).sum() / (2 * c))


@pytest.mark.parametrize("kind", ["raw", "l2"])
def test_golden(golden, kind) -> None:
    g = golden("evaluation/probe_a")
    z, y = torch.from_numpy(g["z"]), torch.from_numpy(g["y"])
    train, test = g["train_idx"], g["test_idx"]
    for c in ("0.01", "1", "100"):
        model = logistic_regression(z[train], y[train], c=float(c), normalize=kind == "l2")
        accuracy = (model.predict(z[test]) == g["y"][test]).mean()
        assert accuracy == pytest.approx(float(g[f"softmax_acc_{kind}_C{c}"]), abs=1.5 / len(test))
        if c == "1":
            assert np.abs(model.coef - g[f"softmax_coef_{kind}"]).max() < 1e-4
            assert np.abs(model.intercept - g[f"softmax_intercept_{kind}"]).max() < 1e-4


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("c", [0.1, 10.0])
def test_is_the_minimum_of_its_definition(classes, c) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, 40)
    z = rng.standard_normal((40, 3)) + np.eye(3)[y]
    model = logistic_regression(z, y, c=c)
    ours = objective(np.hstack([model.coef, model.intercept[:, None]]), z, y, classes, c)
    theirs = minimize(objective, np.zeros(classes * 4), args=(z, y, classes, c), method="BFGS").fun
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert model.intercept.sum() == pytest.approx(0, abs=1e-8)


def test_labels_keep_their_values_and_unlabelled_are_left_out() -> None:
    z = np.array([[0.0], [1.0], [10.0], [11.0], [5.0]])
    model = logistic_regression(z, [30, 30, 7, 7, -1], c=100.0)
    assert model.predict(z[:4]).tolist() == [30, 30, 7, 7]
    assert model.classes.tolist() == [7, 30]
    assert np.allclose(model.predict_proba(z).sum(1), 1)


def test_zero_rows_stay_zero() -> None:
    model = logistic_regression([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, 0], normalize=True)
    assert np.isfinite(model.coef).all()
    assert model.decision_function([[0.0, 0.0]]) == pytest.approx(model.intercept[None])


def test_errors() -> None:
    with pytest.raises(MissingLabelsError, match="class 1"):
        logistic_regression([[0.0], [1.0]], [1, 1])
    with pytest.raises(GraphrepError, match="positive"):
        logistic_regression([[0.0], [1.0]], [0, 1], c=0)
    with pytest.raises(NonFiniteError):
        logistic_regression([[0.0], [np.inf]], [0, 1])
    with pytest.raises(ShapeError, match="2 rows and y has 3"):
        logistic_regression([[0.0], [1.0]], [0, 1, 0])
    with pytest.raises(ShapeError, match="2 columns"):
        logistic_regression([[0.0], [1.0]], [0, 1]).predict([[0.0, 1.0]])
