"""Float64 definitions that results are held against before anything is timed: plain loops, every row, some columns.

All operations act on feature columns independently, so a few random columns test every row and edge at O(E) cost; the
remaining columns are covered by comparing ours with each rival in full.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from torch import Tensor

__all__ = ["all_agree", "chosen_columns", "relative_difference", "spmm_reference"]

Array = npt.NDArray[Any]


def chosen_columns(width: int, entries: int) -> Array:
    """A seeded choice of columns: all for small inputs, two for large ones."""
    count = max(2, min(width, 4_000_000 // max(entries, 1)))
    return np.sort(np.random.default_rng(1).choice(width, min(count, width), replace=False))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _additive(rowptr: Any, col: Any, weight: Any, x: Any, g: Any, mean: bool) -> Any:
    out = np.zeros((rowptr.size - 1, x.shape[1]))
    dx = np.zeros(x.shape)
    for i in range(rowptr.size - 1):
        count = rowptr[i + 1] - rowptr[i]
        scale = 1.0 / count if mean and count > 0 else 1.0
        for e in range(rowptr[i], rowptr[i + 1]):
            for c in range(x.shape[1]):
                out[i, c] += scale * weight[e] * x[col[e], c]
                dx[col[e], c] += scale * weight[e] * g[i, c]
    return out, dx


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _maximum(rowptr: Any, col: Any, weight: Any, x: Any, g: Any) -> Any:
    out = np.zeros((rowptr.size - 1, x.shape[1]))
    dx = np.zeros(x.shape)
    for i in range(rowptr.size - 1):
        for c in range(x.shape[1]):
            best = -1
            for e in range(rowptr[i], rowptr[i + 1]):
                value = weight[e] * x[col[e], c]
                if best < 0 or value > out[i, c]:
                    best = e
                    out[i, c] = value
            if best >= 0:
                dx[col[best], c] += weight[best] * g[i, c]
    return out, dx


def spmm_reference(
    rowptr: Array, col: Array, weight: Array | None, x: Array, g: Array, reduce: str
) -> tuple[Array, Array]:
    """(out, dx) in float64 for x (N, k) and the gradient g (N, k) of the output.

    The maximum is decided on float32 products, as every implementation does, so that near-ties pick the same edge.
    """
    if reduce == "max":
        ones = np.ones(col.size, np.float32) if weight is None else weight
        return _maximum(rowptr, col, ones, x, g.astype(np.float64))  # type: ignore[no-any-return]
    values = np.ones(col.size) if weight is None else weight.astype(np.float64)
    return _additive(rowptr, col, values, x.astype(np.float64), g.astype(np.float64), reduce == "mean")  # type: ignore[no-any-return]


def relative_difference(a: Tensor, b: Tensor, rows: Tensor | None = None) -> float:
    """max_i |a_i - b_i| / max(1, |b_i|) with row-wise maximum norms, NaN when either holds NaN, without full copies.

    `rows` is an optional (N,) mask of the rows that count. Chunks stay small so that their temporaries are recycled.
    """
    if a.shape != b.shape:
        return float("inf")
    worst = 0.0
    chunk = max(1, 262_144 // max(1, a[:1].numel()))
    for start in range(0, a.shape[0], chunk):
        left, right = a[start : start + chunk], b[start : start + chunk]
        if rows is not None:
            keep = rows[start : start + chunk]
            left, right = left[keep], right[keep]
        if left.numel() == 0:
            continue
        left, right = left.reshape(left.shape[0], -1), right.reshape(right.shape[0], -1)
        error = (left - right).abs().amax(1) / right.abs().amax(1).clamp_min(1.0)
        largest = float(error.max())
        if largest != largest:
            return largest
        worst = max(worst, largest)
    return worst


def all_agree(_: Any, ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> float:
    """Largest relative difference of as many arrays each; infinite where the numbers of arrays differ."""
    if len(ours) != len(theirs):
        return float("inf")
    return max(relative_difference(b, a) for a, b in zip(ours, theirs, strict=True))
