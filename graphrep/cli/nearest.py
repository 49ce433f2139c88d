"""Exact nearest rows of an embedding, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphrep.errors import UnknownNameError

__all__ = ["METRICS", "nearest"]

METRICS = ("cosine", "dot", "euclidean")
_ROWS = 16_384

Array = np.ndarray[Any, Any]


def nearest(z: Array, rows: Sequence[int], n: int, *, metric: str = "cosine") -> tuple[Array, Array]:
    """The `n` best other rows for each of `rows`: indices and scores, both (len(rows), n'), best first.

    Scores are cosine (0 for a zero vector), dot product, or minus the Euclidean distance, in float64; ties go to the
    lower index; n' is `n` or, in a small set, N - 1. Memory is one block of rows, never N x N.

    Raises:
        UnknownNameError: no such metric.

    Example:
        >>> index, score = nearest(np.array([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]]), [0], 1)
        >>> index.tolist()
        [[1]]
    """
    if metric not in METRICS:
        raise UnknownNameError(f'Unknown metric "{metric}".', hint=f"one of {', '.join(METRICS)}")
    queries = _rows(z[list(rows)], metric)  # (Q, d)
    n = min(n, len(z) - 1)
    best = np.zeros((len(rows), 0))
    index = np.zeros((len(rows), 0), dtype=np.int64)
    for start in range(0, len(z), _ROWS):
        block = _rows(z[start : start + _ROWS], metric)
        score = queries @ block.T  # (Q, B)
        if metric == "euclidean":
            square = (queries**2).sum(1)[:, None] - 2 * score + (block**2).sum(1)
            score = -np.sqrt(np.maximum(square, 0.0))
        columns = np.arange(start, start + len(block))
        score = np.where(columns == np.asarray(rows)[:, None], -np.inf, score)
        best = np.concatenate([best, score], axis=1)
        index = np.concatenate([index, np.broadcast_to(columns, score.shape)], axis=1)
        keep = np.lexsort((index, -best), axis=1)[:, :n]
        best, index = np.take_along_axis(best, keep, 1), np.take_along_axis(index, keep, 1)
    return index, best


def _rows(rows: Array, metric: str) -> Array:
    rows = np.asarray(rows, dtype=np.float64)
    if metric != "cosine":
        return rows
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norm > 0, norm, 1.0)
