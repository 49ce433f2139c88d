"""F1 from counts: one formula for single-label, multi-label and mapped-cluster scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["f1_of_counts", "labels_f1", "single_label_f1"]


def f1_of_counts(hits: NDArray[Any], predicted: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]:
    """2 hits / (predicted + true); 0 where nothing was predicted and nothing was true (`zero_division=0`)."""
    total = np.asarray(predicted, dtype=np.float64) + np.asarray(true, dtype=np.float64)
    found: NDArray[np.float64] = np.divide(2.0 * hits, total, out=np.zeros_like(total), where=total > 0)
    return found


def single_label_f1(y: NDArray[np.int64], predicted: NDArray[np.int64]) -> tuple[float, float]:
    """(micro, macro) F1 of single-label predictions encoded 0..C-1.

    Micro-F1 is the accuracy; macro-F1 averages over the classes that occur in the truth or in the prediction.
    """
    size = int(max(y.max(), predicted.max())) + 1
    true, said = np.bincount(y, minlength=size), np.bincount(predicted, minlength=size)
    hits = np.bincount(y[y == predicted], minlength=size)
    occurs = (true + said) > 0
    per_class = f1_of_counts(hits, said, true)
    return float(hits.sum() / len(y)), float(per_class[occurs].mean())


def labels_f1(y: NDArray[np.int64], predicted: NDArray[np.int64]) -> tuple[float, float]:
    """The same for labels with any values."""
    encoded = np.unique(np.concatenate([y, predicted]), return_inverse=True)[1]
    return single_label_f1(encoded[: len(y)], encoded[len(y) :])
