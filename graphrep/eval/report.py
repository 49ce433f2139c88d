"""Statistics over seeds: mean, both standard deviations, t intervals, paired comparison, Holm's correction."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import GraphrepError, ShapeError
from graphrep.eval._arrays import as_numpy, as_scores
from graphrep.eval._result import Result

__all__ = ["Comparison", "Summary", "compare", "holm", "summarize"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Summary(Result):
    """Mean of n runs; `std` divides by n - 1, `std_population` by n (what most published +- are); `ci95` Student's t.

    With a single run `std` and `ci95` are NaN.

    Example:
        >>> print(summarize([81.0, 82.0, 83.0]))
        82 +- 1 (sample std, n = 3; 95 % interval 79.52 to 84.48)
    """

    mean: float
    std: float
    std_population: float
    ci95: tuple[float, float]
    n: int

    def __str__(self) -> str:
        if self.n == 1:
            return f"{self.mean:.4g} (single run)"
        low, high = self.ci95
        return f"{self.mean:.4g} +- {self.std:.2g} (sample std, n = {self.n}; 95 % interval {low:.4g} to {high:.4g})"


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Paired difference b - a over n shared seeds or splits, with three p-values (two-sided).

    Example:
        >>> compare([1.0, 2.0, 3.0], [1.5, 2.5, 3.9]).n
        3
    """

    mean_difference: float
    std_difference: float
    ci95: tuple[float, float]
    paired_t_p: float
    welch_p: float
    wilcoxon_p: float
    n: int


def summarize(values: Any) -> Summary:
    """Mean, standard deviations and the 95 % t interval of the mean of one number per run.

    Args:
        values: (n,) numbers, n >= 1.

    Raises:
        NonFiniteError: a run is NaN or infinite (report a failed run, do not average over it).

    Example:
        >>> summarize([2.0, 4.0]).std
        1.4142135623730951
    """
    runs = _runs(values, "values")
    mean = float(runs.mean())
    sample = float(runs.std(ddof=1)) if len(runs) > 1 else float("nan")
    return Summary(mean, sample, float(runs.std()), _interval(runs), len(runs))


def compare(a: Any, b: Any) -> Comparison:
    """Is b better than a on the same seeds or splits? Mean of b - a, its t interval, paired t, Welch and Wilcoxon p.

    Wilcoxon's is the signed-rank test, exact for few runs (with 5 runs it cannot fall below 0.0625). Where all
    differences are zero, the paired p-values are 1.

    Args:
        a: (n,) results of the first method, n >= 2.
        b: (n,) results of the second, in the same order of seeds.

    Raises:
        ShapeError: lengths differ, or a single run.

    Example:
        >>> result = compare([81.0, 82.0, 80.5, 81.2, 81.9], [81.6, 82.4, 81.1, 81.9, 82.2])
        >>> round(result.mean_difference, 2), round(result.wilcoxon_p, 4)
        (0.52, 0.0625)
    """
    from scipy import stats

    first, second = _runs(a, "a"), _runs(b, "b")
    if len(first) != len(second) or len(first) < 2:
        raise ShapeError(
            f"a has {len(first)} runs and b has {len(second)}; a paired comparison needs the same number, at least 2.",
            hint="run both on the same seeds",
        )
    difference = second - first
    same = not difference.any()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal differences: the t statistic is infinite, p is 0
        paired = 1.0 if same else float(stats.ttest_rel(second, first).pvalue)
        welch = float(stats.ttest_ind(second, first, equal_var=False).pvalue)
        signed = 1.0 if same else float(stats.wilcoxon(difference).pvalue)
    if np.isnan(welch):  # both constant
        welch = 1.0 if same else 0.0
    spread = float(difference.std(ddof=1))
    return Comparison(float(difference.mean()), spread, _interval(difference), paired, welch, signed, len(difference))


def holm(p_values: Any) -> Floats:
    """Holm's step-down adjusted p-values (Holm 1979), in the given order.

    Args:
        p_values: (m,) p-values of m comparisons.

    Raises:
        GraphrepError: a value outside 0..1.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    p = as_scores(p_values, "p_values")
    if p.min() < 0 or p.max() > 1:
        raise GraphrepError(f"p-values must lie between 0 and 1; got {p.min()} to {p.max()}.", hint="pass p, not log p")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    return adjusted


def _runs(values: Any, name: str) -> Floats:
    array = as_numpy(values, name)
    runs = as_scores(array.reshape(-1) if array.ndim == 0 else array, name)
    if not np.isfinite(runs).all():
        return as_scores(np.where(np.isfinite(runs), runs, np.nan), name)  # raises, naming the first
    return runs


def _interval(values: Floats) -> tuple[float, float]:
    """95 % Student-t interval of the mean."""
    from scipy import stats

    n = len(values)
    if n == 1:
        return float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, n - 1)) * float(values.std(ddof=1)) / n**0.5
    return float(values.mean()) - half, float(values.mean()) + half
