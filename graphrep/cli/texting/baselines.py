"""What texts say without a graph and without a language model: TF-IDF, its logistic regression and its cosines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from graphrep.errors import MissingFeaturesError

__all__ = ["best_probe", "reduced_tfidf", "row_cosines", "tfidf"]

Array = np.ndarray[Any, Any]
_C = (0.1, 1.0, 10.0, 100.0)
_BLOCK = 65_536


def tfidf(texts: Sequence[str]) -> Any:
    """(N, F) sparse rows of unit length: logarithmic counts of words of two texts or more, without English stop words.

    Raises:
        MissingFeaturesError: no word is in two texts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(min_df=min(2, len(texts)), stop_words="english", sublinear_tf=True, dtype=np.float32)
    try:
        return words.fit_transform(list(texts))
    except ValueError as error:
        raise MissingFeaturesError("The texts share no words.", hint="texts with words") from error


def reduced_tfidf(texts: Sequence[str], dim: int, *, seed: int = 0) -> Array:
    """(N, dim) float32 rows of unit length: the leading singular directions of :func:`tfidf`."""
    from sklearn.decomposition import TruncatedSVD

    rows = tfidf(texts)
    kept = max(1, min(dim, min(rows.shape) - 1))
    found = TruncatedSVD(kept, random_state=seed).fit_transform(rows).astype(np.float32)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    unit: Array = np.divide(found, length, out=np.zeros_like(found), where=length > 0)
    return unit


def best_probe(rows: Any, y: Array, parts: tuple[Array, Array, Array]) -> tuple[Array, float]:
    """Classes of the test rows by logistic regression, its penalty chosen by the validation rows (without any: 10).

    Args:
        rows: (N, F), sparse or dense.
        y: (N,) classes.
        parts: numbers of training, validation and test rows.

    Returns:
        (n,) predicted classes, and C.
    """
    from sklearn.linear_model import LogisticRegression

    train, val, test = parts
    if len(np.unique(y[train])) < 2:
        return np.full(len(test), y[train][0]), _C[2]
    tried = _C if len(val) else _C[2:3]
    models = {c: LogisticRegression(C=c, max_iter=2000).fit(rows[train], y[train]) for c in tried}
    right = {c: float((model.predict(rows[val]) == y[val]).mean()) if len(val) else 0.0 for c, model in models.items()}
    best = max(right, key=lambda c: right[c])
    return models[best].predict(rows[test]), best


def row_cosines(rows: Any, pairs: Tensor | Array) -> Array:
    """(P,) cosines of the rows of pairs (2, P), of unit rows; some pairs at a time."""
    ends = np.asarray(pairs)
    parts = [np.zeros(0)]
    for start in range(0, ends.shape[1], _BLOCK):
        first, second = (rows[side] for side in ends[:, start : start + _BLOCK])
        product = first.multiply(second).sum(1) if hasattr(first, "multiply") else (first * second).sum(1)
        parts.append(np.asarray(product, dtype=np.float64).ravel())
    return np.concatenate(parts)
