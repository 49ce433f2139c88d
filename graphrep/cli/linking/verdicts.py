"""Whether a method that learns is better than heuristics that learn nothing: link by link, or split by split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Verdict", "verdict_on"]

Array = np.ndarray[Any, Any]
Rows = Sequence[Mapping[str, Any]]
_Z = 1.96  # of a 95 % interval
_WHERE = {"uniform": "uniform negatives", "heart": "hard negatives"}


@dataclass(frozen=True)
class Verdict:
    """A learned method against the heuristics.

    Attributes:
        outcome: ``beats``, ``level`` or ``loses``.
        text: one sentence.
    """

    outcome: str
    text: str


def verdict_on(title: str, mine: Rows, others: Mapping[str, Rows], negatives: str) -> Verdict:
    """AUC and MRR against the heuristic with the best of each: the mean difference and its 95 % interval.

    With one split the differences are those of the test links, with several those of the splits. A method loses where
    either score is lower beyond the interval, and beats the heuristics where none is and one is higher.

    Args:
        title: of the method.
        mine: its rows, one for each split.
        others: those of each heuristic, on the same splits.
        negatives: ``uniform`` or ``heart``.

    Example:
        >>> def row(rank2, auc, mrr):
        ...     part = {"auc": auc, "mrr": mrr, "num_neg": 10}
        ...     return {"scores": {"uniform": part}, "ranks": {"uniform": {"rank2": rank2}}}
        >>> good, bad = row([2, 2, 4, 2], 0.97, 0.9), row([18, 20, 16, 22], 0.1, 0.1)
        >>> verdict_on("katz", [bad], {"ncn": [good]}, "uniform").outcome
        'loses'
    """
    signs, told = [], []
    for name, label in (("auc", "AUC"), ("mrr", "MRR")):
        means = {key: float(np.mean(_values(rows, negatives, name))) for key, rows in others.items()}
        best = max(means, key=lambda key: means[key])
        difference = _differences(mine, others[best], negatives, name)
        mean = float(difference.mean())
        half = _half(difference, len(mine) > 1)
        signs.append(0 if abs(mean) <= half else 1 if mean > 0 else -1)
        told.append(f"{label} {np.mean(_values(mine, negatives, name)):.4f} against {means[best]:.4f} of {best}")
    numbers = f"{', '.join(told)} ({_WHERE[negatives]})"
    if min(signs) < 0:
        return Verdict("loses", f"{title} loses to a heuristic that learns nothing: {numbers}.")
    if max(signs) == 0:
        return Verdict("level", f"{title} cannot be told from the best heuristic: {numbers}.")
    return Verdict("beats", f"{title} beats every heuristic: {numbers}.")


def _values(rows: Rows, negatives: str, name: str) -> list[float]:
    return [float(row["scores"][negatives][name]) for row in rows]


def _differences(mine: Rows, other: Rows, negatives: str, name: str) -> Array:
    """Of the test links of one split, or of the scores of several."""
    if len(mine) > 1:
        return np.subtract(_values(mine, negatives, name), _values(other, negatives, name))
    return _each(mine[0], negatives, name) - _each(other[0], negatives, name)


def _each(row: Mapping[str, Any], negatives: str, name: str) -> Array:
    """What each test link adds to the mean: the share of negatives below it, or one over its rank."""
    rank = np.asarray(row["ranks"][negatives]["rank2"]) / 2
    found: Array = 1 / rank if name == "mrr" else 1 - (rank - 1) / row["scores"][negatives]["num_neg"]
    return found


def _half(difference: Array, over_splits: bool) -> float:
    """Half of the interval: by the t distribution for a few splits."""
    count = len(difference)
    if count < 2:
        return math.inf
    factor = _Z
    if over_splits:
        from scipy import stats

        factor = float(stats.t.ppf(0.975, count - 1))
    return factor * float(difference.std(ddof=1)) / math.sqrt(count)
