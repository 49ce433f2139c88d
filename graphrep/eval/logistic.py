"""Multinomial logistic regression with a free bias: the softmax classifier many probes use, solved to convergence."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import GraphrepError, MissingLabelsError, ShapeError
from graphrep.eval._arrays import as_labels, as_matrix, drop_unlabelled, unit_rows
from graphrep.eval._result import Result

__all__ = ["LogisticModel", "logistic_regression"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class LogisticModel(Result):
    """A fitted softmax classifier: `coef` (K, d), `intercept` (K,), `classes` (K,) ascending.

    Rows given to its methods are scaled to unit norm first when it was fitted with `normalize`.

    Example:
        >>> logistic_regression([[0.0], [1.0]], [3, 7]).predict([[-2.0], [2.0]]).tolist()
        [3, 7]
    """

    coef: Floats
    intercept: Floats
    classes: NDArray[np.int64]
    c: float
    normalize: bool

    def decision_function(self, z: Any) -> Floats:
        """(N, K) scores before the softmax."""
        rows = as_matrix(z, "z")
        if rows.shape[1] != self.coef.shape[1]:
            raise ShapeError(
                f"z has {rows.shape[1]} columns; the model has {self.coef.shape[1]}.", hint="the same embedding"
            )
        scores: Floats = (unit_rows(rows) if self.normalize else rows) @ self.coef.T + self.intercept
        return scores

    def predict_proba(self, z: Any) -> Floats:
        """(N, K) probabilities."""
        scores = self.decision_function(z)
        exponent = np.exp(scores - scores.max(axis=1, keepdims=True))
        probability: Floats = exponent / exponent.sum(axis=1, keepdims=True)
        return probability

    def predict(self, z: Any) -> NDArray[np.int64]:
        """(N,) labels, in the values of the labels given to the fit."""
        labels: NDArray[np.int64] = self.classes[self.decision_function(z).argmax(axis=1)]
        return labels


def logistic_regression(z: Any, y: Any, *, c: float = 1.0, normalize: bool = False) -> LogisticModel:
    """Fits min_W sum_i CE(W z_i + b, y_i) + ||W||^2 / (2 c); the bias b is not penalised and sums to zero.

    Args:
        z: (N, d) embeddings.
        y: (N,) integer labels, any values; -1 = unlabelled, left out.
        c: inverse penalty, > 0.
        normalize: scale rows to unit L2 norm (an all-zero row stays zero), here and in `predict`.

    Raises:
        MissingLabelsError: fewer than two classes.
        GraphrepError: c not positive, or no convergence in 10 000 L-BFGS steps.

    Example:
        >>> model = logistic_regression([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0]], [0, 1, 0], c=10.0)
        >>> model.coef.shape, model.predict([[3.0, 0.0]]).tolist()
        ((2, 2), [1])
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    rows, labels = as_matrix(z, "z"), as_labels(y, "y")
    if len(rows) != len(labels):
        raise ShapeError(f"z has {len(rows)} rows and y has {len(labels)}.", hint="one label per row of z")
    if not 0 < c < np.inf:
        raise GraphrepError(f"c must be positive; got {c}.", hint="c=1.0 (weaker penalty: larger c)")
    kept = drop_unlabelled(labels)
    classes = np.unique(labels[kept])
    if len(classes) < 2:
        raise MissingLabelsError(f"all labelled rows are of class {classes[0]}.", hint="at least two classes")
    # scikit-learn fits two classes as one difference w = w1 - w0, and ||w||^2 / 2 is what ||w0||^2 + ||w1||^2 comes to.
    two = len(classes) == 2
    model = LogisticRegression(C=2 * c if two else c, tol=1e-9, max_iter=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model.fit((unit_rows(rows) if normalize else rows)[kept], labels[kept])
        except ConvergenceWarning:
            raise GraphrepError(
                f"logistic regression with c = {c} did not converge in 10000 steps.",
                hint="normalize=True, or a smaller c",
            ) from None
    coef, intercept = model.coef_, model.intercept_
    if two:
        coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    return LogisticModel(coef, intercept, classes, float(c), normalize)
