"""Quality of an embedding without labels: effective dimensions of its spectrum, alignment and uniformity."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import GraphrepError, ShapeError
from graphrep.eval._arrays import as_matrix, unit_rows
from graphrep.eval._result import EvalWarning

__all__ = [
    "alignment",
    "effective_rank",
    "mean_feature_std",
    "participation_ratio",
    "rankme",
    "stable_rank",
    "uniformity",
]

Floats = NDArray[np.float64]
_EXACT_ROWS = 4096
_SAMPLED_PAIRS = 1_000_000
_QR_ROWS = 4096


def rankme(z: Any) -> float:
    """RankMe of Z (N, d): exp of the entropy of its normalised singular values, each plus 1e-7; up to about min(N, d).

    Not centred. The all-zero matrix gives 0 and an EvalWarning. Garrido et al., ICML 2023.

    Example:
        >>> round(rankme([[1.0, 0.0], [0.0, 1.0]]), 4)
        2.0
    """
    return rankme_of(_singular_values(z))


def rankme_of(sigma: Floats) -> float:
    """RankMe from the singular values, descending."""
    if sigma[0] == 0:
        return 0.0
    p = sigma / sigma.sum() + 1e-7
    return float(np.exp(-(p * np.log(p)).sum()))


def effective_rank(z: Any) -> float:
    """Exp of the entropy of the normalised singular values, zeros skipped; between 1 and min(N, d).

    Roy and Vetterli, EUSIPCO 2007. The all-zero matrix gives 0 and an EvalWarning.

    Example:
        >>> round(effective_rank([[3.0, 0.0], [0.0, 0.0]]), 4)
        1.0
    """
    sigma = _singular_values(z)
    if sigma[0] == 0:
        return 0.0
    p = sigma[sigma > 0] / sigma.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def stable_rank(z: Any) -> float:
    """||Z||_F^2 / ||Z||_2^2, between 1 and the rank. The all-zero matrix gives 0 and an EvalWarning.

    Example:
        >>> round(stable_rank([[2.0, 0.0], [0.0, 1.0]]), 4)
        1.25
    """
    sigma = _singular_values(z)
    return 0.0 if sigma[0] == 0 else float(((sigma / sigma[0]) ** 2).sum())


def participation_ratio(z: Any) -> float:
    """(sum lambda)^2 / sum lambda^2 over the eigenvalues of the covariance (columns centred).

    Identical rows give 0 and an EvalWarning.

    Example:
        >>> round(participation_ratio([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 4)
        2.0
    """
    rows = as_matrix(z, "z")
    sigma = _singular_values(rows - rows.mean(axis=0))
    if sigma[0] == 0:
        return 0.0
    variance = (sigma / sigma[0]) ** 2
    return float(variance.sum() ** 2 / (variance**2).sum())


def mean_feature_std(z: Any) -> float:
    """Mean over columns of the standard deviation (ddof 0) of the unit rows of Z: 1 / sqrt(d) spread out, 0 collapsed.

    Example:
        >>> mean_feature_std([[2.0, 0.0], [5.0, 0.0]])
        0.0
    """
    return float(unit_rows(as_matrix(z, "z")).std(axis=0).mean())


def alignment(x: Any, y: Any, *, alpha: float = 2) -> float:
    """Mean ||x_i - y_i||^alpha over the rows, scaled to unit norm; x and y (N, d) are two views. 0 is best.

    Wang and Isola, ICML 2020, equation 1.

    Example:
        >>> alignment([[1.0, 0.0]], [[0.0, 3.0]])
        2.0000000000000004
    """
    if not 0 < alpha < np.inf:
        raise GraphrepError(f"alpha must be positive; got {alpha}.", hint="alpha=2")
    first, second = as_matrix(x, "x"), as_matrix(y, "y")
    if first.shape != second.shape:
        raise ShapeError(
            f"x {first.shape} and y {second.shape} differ in shape.", hint="row i of both views, the same node"
        )
    distance = np.linalg.norm(unit_rows(first) - unit_rows(second), axis=1)
    return float((distance**alpha).mean())


def uniformity(x: Any, *, t: float = 2, seed: int = 0) -> float:
    """Log of the mean of exp(-t ||x_i - x_j||^2) over distinct pairs of unit rows; lower is more uniform, at most 0.

    All pairs up to 4096 rows, a million random pairs (from `seed`) above. Wang and Isola, ICML 2020, equation 2.

    Example:
        >>> uniformity([[1.0, 0.0], [0.0, 1.0]])
        -4.0
    """
    rows = unit_rows(as_matrix(x, "x"))
    if len(rows) < 2:
        raise ShapeError("uniformity needs at least two rows.", hint="more nodes")
    if not 0 < t < np.inf:
        raise GraphrepError(f"t must be positive; got {t}.", hint="t=2")
    squares = _all_pairs(rows) if len(rows) <= _EXACT_ROWS else _random_pairs(rows, seed)
    exponent = -t * squares
    top = exponent.max()
    return float(top + np.log(np.exp(exponent - top).mean()))


def _all_pairs(rows: Floats) -> Floats:
    """Squared distances of the pairs i < j, at most 4096 * 4095 / 2 of them."""
    from scipy.spatial.distance import pdist

    found: Floats = pdist(rows, "sqeuclidean")
    return found


def _random_pairs(rows: Floats, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    first = rng.integers(len(rows), size=_SAMPLED_PAIRS)
    second = (first + rng.integers(1, len(rows), size=_SAMPLED_PAIRS)) % len(rows)  # never the same row
    found = np.empty(_SAMPLED_PAIRS)
    for start in range(0, _SAMPLED_PAIRS, 1 << 14):
        part = slice(start, start + (1 << 14))
        found[part] = np.square(rows[first[part]] - rows[second[part]]).sum(axis=1)
    return found


def _singular_values(z: Any) -> Floats:
    """Singular values, descending."""
    return checked_singular_values(triangle(as_matrix(z, "z")), stacklevel=4)


def checked_singular_values(rows: Floats, *, stacklevel: int = 3) -> Floats:
    """Singular values, descending; a warning where all are 0."""
    sigma = np.linalg.svd(rows, compute_uv=False).astype(np.float64)
    if sigma[0] == 0:
        warnings.warn(
            "the embedding is zero (or constant) everywhere: its rank is reported as 0",
            EvalWarning,
            stacklevel=stacklevel,
        )
    return sigma


def triangle(rows: Floats) -> Floats:
    """At most max(d, 4096) rows with the singular values of `rows` (N, d): the triangle of a QR, a block at a time.

    An orthogonal factor leaves singular values alone, where the Gram matrix would square the small ones away.
    """
    if len(rows) <= max(_QR_ROWS, rows.shape[1]):
        return rows
    step = max(_QR_ROWS, rows.shape[1])
    found = rows[:step]
    for start in range(step, len(rows), step):
        factor: Any = np.linalg.qr(np.concatenate([found, rows[start : start + step]]), mode="r")
        found = factor
    return found
