"""Scores of predicted classes: accuracy and F1, one label per node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import ShapeError
from graphrep.eval._arrays import as_labels, drop_unlabelled
from graphrep.eval._f1 import f1_of_counts
from graphrep.eval._result import Result

__all__ = ["ClassificationScores", "classification_scores"]


@dataclass(frozen=True, eq=False, repr=False)
class ClassificationScores(Result):
    """Accuracy and F1 between 0 and 1; micro-F1 of one label per node is the accuracy.

    Example:
        >>> classification_scores([0, 0, 1, 1], [0, 1, 1, 1])
        ClassificationScores(accuracy=0.75, micro_f1=0.75, macro_f1=0.7333, num_scored=4)
    """

    accuracy: float
    micro_f1: float
    macro_f1: float
    num_scored: int

    @classmethod
    def of_counts(cls, hits: NDArray[Any], predicted: NDArray[Any], true: NDArray[Any]) -> ClassificationScores:
        """From the (C,) numbers of right predictions, of predictions and of true members of each class."""
        total = int(true.sum())
        accuracy = float(hits.sum()) / total
        occurs = (true + predicted) > 0
        return cls(accuracy, accuracy, float(f1_of_counts(hits, predicted, true)[occurs].mean()), total)


def classification_scores(y: Any, predicted: Any) -> ClassificationScores:
    """Scores of `predicted` labels against `y`.

    Macro-F1 averages over the classes in the truth or the prediction; one of them never predicted, or never true, has
    F1 0.

    Args:
        y: (N,) integer classes; -1 = unlabelled, left out.
        predicted: (N,) integer classes.

    Raises:
        ShapeError: lengths differ.
        MissingLabelsError: every label is -1.

    Example:
        >>> classification_scores([3, 3, 5, -1], [3, 5, 5, 7]).accuracy
        0.6666666666666666
    """
    truth, said = as_labels(y, "y"), as_labels(predicted, "predicted")
    if len(truth) != len(said):
        raise ShapeError(f"y has {len(truth)} labels and predicted has {len(said)}.", hint="one prediction per node")
    kept = drop_unlabelled(truth)
    truth, said = truth[kept], said[kept]
    classes, encoded = np.unique(np.concatenate([truth, said]), return_inverse=True)
    true, guess = encoded[: len(kept)], encoded[len(kept) :]
    counts = (np.bincount(part, minlength=len(classes)) for part in (true[true == guess], guess, true))
    return ClassificationScores.of_counts(*counts)
