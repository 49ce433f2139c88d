"""Multi-label scores: the top-k rule of the published tables, or a threshold; micro-, macro- and samples-F1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import DTypeError, ShapeError
from graphrep.eval._arrays import as_numpy, as_scores, choose
from graphrep.eval._f1 import f1_of_counts
from graphrep.eval._result import Result

__all__ = ["MultilabelScores", "as_indicator", "multilabel_scores"]

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class MultilabelScores(Result):
    """F1 of multi-label predictions, between 0 and 1, with the rule that made them.

    `predicted` is (N, C) bool, None where a metric over batches kept only counts.

    Example:
        >>> multilabel_scores([[0.9, 0.1]], [[1, 0]])
        MultilabelScores(predicted=array(1, 2), micro_f1=1, macro_f1=0.5, samples_f1=1, rule='topk')
    """

    predicted: Bools | None
    micro_f1: float
    macro_f1: float
    samples_f1: float
    rule: str


def multilabel_scores(scores: Any, y: Any, *, rule: str = "topk", threshold: float = 0.0) -> MultilabelScores:
    """F1 of the labels that `scores` say, by a named rule.

    - ``topk``: node i gets as many labels as it truly has, the best-scored ones. It uses the true count at test time:
      the convention of DeepWalk, node2vec and FastRP tables. Equal scores: the lower class first.
    - ``threshold``: every label with a score strictly above `threshold`. The honest rule, with lower numbers.

    A score of -inf is never predicted. Macro-F1 averages over all C classes; one neither true nor predicted counts 0.

    Args:
        scores: (N, C) real scores, for instance decision values.
        y: (N, C) of 0 and 1.
        rule: "topk" or "threshold".
        threshold: for the threshold rule; 0.0, the boundary of a decision value.

    Raises:
        NonFiniteError: a score is NaN.
        ShapeError: shapes differ.
        UnknownNameError: no such rule.

    Example:
        >>> result = multilabel_scores([[0.9, 0.8, 0.1], [0.2, 0.7, 0.6]], [[1, 0, 1], [0, 1, 0]])
        >>> result.predicted.astype(int).tolist()
        [[1, 1, 0], [0, 1, 0]]
        >>> round(result.micro_f1, 4)
        0.6667
    """
    choose(rule, ("topk", "threshold"), "multi-label rule")
    values, truth = as_scores(scores, "scores", ndim=(2,)), as_indicator(y, "y")
    if values.shape != truth.shape:
        raise ShapeError(
            f"scores {values.shape} and y {truth.shape} differ in shape.", hint="one score per node and class"
        )
    predicted = _best(values, truth.sum(1)) if rule == "topk" else values > threshold
    predicted &= values > -np.inf
    hits = predicted & truth
    per_class = f1_of_counts(hits.sum(0), predicted.sum(0), truth.sum(0))
    per_node = f1_of_counts(hits.sum(1), predicted.sum(1), truth.sum(1))
    micro = f1_of_counts(hits.sum(), predicted.sum(), truth.sum())
    return MultilabelScores(predicted, float(micro), float(per_class.mean()), float(per_node.mean()), rule)


def as_indicator(y: Any, name: str) -> Bools:
    """(N, C) bool from a matrix of 0 and 1 (dense, or sparse)."""
    array = as_numpy(y, name)
    if array.ndim != 2 or 0 in array.shape:
        raise ShapeError(f"{name} must have shape (N, C) with N, C >= 1; got {array.shape}.", hint="a column per class")
    if array.dtype.kind not in "biuf" or not bool(np.all((array == 0) | (array == 1))):
        raise DTypeError(f"{name} must hold 0 and 1 only (a column per class).", hint=f"{name} > 0")
    return array.astype(bool)


def _best(values: NDArray[np.float64], count: NDArray[np.int64]) -> Bools:
    """The count[i] largest entries of row i; equal ones in column order."""
    order = np.argsort(-values, axis=1, kind="stable")
    chosen = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(chosen, order, np.arange(values.shape[1]) < count[:, None], axis=1)
    return chosen
