"""Link prediction scores with exact ties: AUC, AP, Hits@K and MRR, for pooled negatives or each positive's own.

And bootstrap intervals of them, over the positives.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import GraphrepError, ShapeError
from graphrep.eval._arrays import as_ks, as_scores
from graphrep.eval._result import EvalWarning, Result

__all__ = ["LinkIntervals", "LinkScores", "link_intervals", "link_scores"]

Floats = NDArray[np.float64]
# Entries of (positives, negatives) compared at once.
_BLOCK = 1 << 24


@dataclass(frozen=True, eq=False, repr=False)
class LinkScores(Result):
    """Scores of held-out edges against negatives; `rank` (n,) of each positive, 1 the best, halves for ties.

    Example:
        >>> link_scores([2.0, 0.5], [1.0, 0.0], ks=(1,)).hits
        {1: 0.5}
    """

    auc: float
    ap: float
    hits: dict[int, float]
    rank: Floats
    mean_rank: float
    mrr: float
    mrr_optimistic: float
    mrr_pessimistic: float
    num_pos: int
    num_neg: int
    negatives: str


def link_scores(pos: Any, neg: Any, *, ks: Iterable[int] = (10, 20, 50, 100)) -> LinkScores:
    """Ranking scores of positive edges against negative ones; equal scores are ties, never luck.

    - ``auc`` = P(s+ > s-) + P(s+ = s-) / 2; ``ap`` with tied scores as one step, no interpolation. Both over all
      negatives; AP depends on their number, so `num_pos` and `num_neg` belong to it.
    - rank = 1 + (#{s- > s+} + #{s- >= s+}) / 2, the mean of the optimistic and the pessimistic rank; ``mrr`` the mean
      of 1 / rank, ``mrr_optimistic`` and ``mrr_pessimistic`` of the two bounds.
    - ``hits``, negatives 1-D (one pool, the OGB rule of collab, ppa, ddi): share of positives strictly above the K-th
      best negative; with fewer than K negatives 1.0, as OGB's evaluator returns, and an EvalWarning.
    - ``hits``, negatives 2-D (row i belongs to positive i; OGB citation2, HeaRT): share with rank <= K.

    Args:
        pos: (n,) scores of true edges.
        neg: (m,) pooled, or (n, m), scores of negatives. Infinities are allowed, NaN is not.
        ks: cut-offs K.

    Raises:
        NonFiniteError: a NaN score (every comparison with NaN is false: a diverged model would look perfect).
        ShapeError: no scores, or `neg` has not a row for each positive.

    Example:
        >>> scores = link_scores([3.0, 1.0], [1.0, 0.0, 2.0], ks=(1, 2))
        >>> scores.rank.tolist(), round(scores.auc, 4), scores.hits
        ([1.0, 2.5], 0.75, {1: 0.5, 2: 0.5})
    """
    cuts = as_ks(ks)
    each = _Each(pos, neg, cuts)
    return LinkScores(
        auc=float(each.twice_beaten.sum() / 2 / len(each.rank) / len(each.pool)),
        ap=_average_precision(each.positives, each.pool),
        hits={k: float(np.mean(each.hits[k])) for k in cuts},
        rank=each.rank,
        mean_rank=float(each.rank.mean()),
        mrr=float((1 / each.rank).mean()),
        mrr_optimistic=float((1 / (1 + each.above)).mean()),
        mrr_pessimistic=float((1 / (1 + each.at_least)).mean()),
        num_pos=len(each.rank),
        num_neg=each.num_neg,
        negatives="pooled" if each.pooled else "per positive",
    )


@dataclass(frozen=True, eq=False, repr=False)
class LinkIntervals(Result):
    """Intervals (low, high) of the scores of :class:`LinkScores` at a level, from resampled positives.

    Example:
        >>> link_intervals([2.0, 0.5], [1.0, 0.0], ks=(1,)).hits
        {1: (0.0, 1.0)}
    """

    auc: tuple[float, float]
    ap: tuple[float, float]
    hits: dict[int, tuple[float, float]]
    mrr: tuple[float, float]
    mean_rank: tuple[float, float]
    level: float
    resamples: int
    num_pos: int
    seed: int


def link_intervals(
    pos: Any,
    neg: Any,
    *,
    ks: Iterable[int] = (10, 20, 50, 100),
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> LinkIntervals:
    """Percentile bootstrap intervals of the scores of :func:`link_scores`: how much they owe to the positives drawn.

    The positives are drawn again with replacement, each with its own negatives where it has some; AUC and AP go by
    all negatives, and pooled negatives stay as they are. This is the spread over test links of one trained model, not
    over splits or trainings: for those see :func:`graphrep.eval.summarize`.

    Args:
        pos: (n,) scores of true edges.
        neg: (m,) pooled, or (n, m), scores of negatives.
        ks: cut-offs K.
        resamples: R, at least 1.
        level: of the intervals, between 0 and 1.
        seed: of the draws; same seed, same intervals.

    Returns:
        O(R n) time, in blocks of resamples of some 100 MB.

    Raises:
        GraphrepError: resamples or a level out of range; else as :func:`link_scores`.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Example:
        >>> found = link_intervals([3.0, 2.5, 1.0, 0.2], [1.5, 0.0, 0.5], ks=(1,), seed=1)
        >>> found.auc[0] < link_scores([3.0, 2.5, 1.0, 0.2], [1.5, 0.0, 0.5], ks=(1,)).auc < found.auc[1]
        True
    """
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 1:
        raise GraphrepError(f"resamples must be an integer of at least 1; got {resamples!r}.", hint="resamples=1000")
    if not 0 < level < 1:
        raise GraphrepError(f"level must lie between 0 and 1; got {level}.", hint="level=0.95")
    cuts = as_ks(ks)
    each = _Each(pos, neg, cuts)
    count = len(each.rank)
    # A positive's share in each score that is a mean over positives; AP, which is none, goes by counts.
    shares = np.column_stack(
        [each.twice_beaten / 2 / len(each.pool), 1 / each.rank, each.rank, *(each.hits[k] for k in cuts)]
    )
    means, precision = np.empty((resamples, shares.shape[1])), np.empty(resamples)
    rng, rows = np.random.default_rng(seed), max(1, _BLOCK // 8 // count)
    for start in range(0, resamples, rows):
        part = slice(start, min(start + rows, resamples))
        times = _counts(rng.integers(0, count, (part.stop - part.start, count)), count)
        means[part] = times @ shares / count
        precision[part] = _resampled_precision(times, each.positives, each.pool)
    bounds = np.percentile(np.column_stack([means, precision]), (50 * (1 - level), 50 * (1 + level)), axis=0)
    auc, mrr, mean_rank, *hits, ap = ((float(low), float(high)) for low, high in bounds.T)
    return LinkIntervals(auc, ap, dict(zip(cuts, hits, strict=True)), mrr, mean_rank, level, resamples, count, seed)


class _Each:
    """What each positive contributes: how many negatives it beats, its rank, and whether it hits.

    Attributes:
        positives, pool: scores; those of all negatives in ascending order.
        twice_beaten: negatives of the pool that it beats, times 2, ties once.
        above, at_least: of its negatives those with higher scores, and with scores at least as high.
    """

    def __init__(self, pos: Any, neg: Any, cuts: tuple[int, ...]) -> None:
        self.positives, negatives = as_scores(pos, "pos"), as_scores(neg, "neg", ndim=(1, 2))
        self.pooled, self.num_neg = negatives.ndim == 1, negatives.shape[-1]
        if not self.pooled and len(negatives) != len(self.positives):
            raise ShapeError(
                f"neg {negatives.shape} must have one row for each of the {len(self.positives)} positives.",
                hint="neg.reshape(-1) for pooled negatives",
            )
        self.pool = np.sort(negatives, axis=None)
        below, up_to = (np.searchsorted(self.pool, self.positives, side=side) for side in ("left", "right"))
        self.twice_beaten = below + up_to
        if self.pooled:
            self.above, self.at_least = len(self.pool) - up_to, len(self.pool) - below
        else:
            self.above, self.at_least = _own_counts(self.positives, negatives)
        self.rank: Floats = 1 + (self.above + self.at_least) / 2
        self.hits = _pooled_hits(self.positives, self.pool, cuts) if self.pooled else {k: self.rank <= k for k in cuts}


def _own_counts(positives: Floats, negatives: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each positive, how many of its own negatives score more, and how many at least as much."""
    above, at_least = (np.empty(len(positives), dtype=np.int64) for _ in range(2))
    rows = max(1, _BLOCK // negatives.shape[1])
    for start in range(0, len(positives), rows):
        part = slice(start, start + rows)
        above[part] = (negatives[part] > positives[part, None]).sum(1)
        at_least[part] = (negatives[part] >= positives[part, None]).sum(1)
    return above, at_least


def _average_precision(positives: Floats, pool: Floats) -> float:
    """Sum over distinct positive scores t of the recall gained at t times the precision of {score >= t}."""
    cut, count = np.unique(positives, return_counts=True)
    true = count[::-1].cumsum()[::-1]  # positives at least as good as each cut
    false = len(pool) - np.searchsorted(pool, cut, side="left")
    return float((count / len(positives) * true / (true + false)).sum())


def _counts(drawn: NDArray[np.int64], count: int) -> Floats:
    """(R, n) how often each resample has each positive."""
    rows = len(drawn)
    keys = (drawn + count * np.arange(rows)[:, None]).reshape(-1)
    return np.bincount(keys, minlength=rows * count).reshape(rows, count).astype(np.float64)


def _resampled_precision(times: Floats, positives: Floats, pool: Floats) -> Floats:
    """(R,) average precision where positive i occurs ``times[:, i]`` times."""
    order = np.argsort(positives, kind="stable")
    cut, first = np.unique(positives[order], return_index=True)
    count = np.add.reduceat(times[:, order], first, axis=1)  # of each distinct score
    true = count[:, ::-1].cumsum(1)[:, ::-1]
    false = len(pool) - np.searchsorted(pool, cut, side="left")
    share = np.divide(true, true + false, out=np.zeros_like(true), where=true > 0)
    found: Floats = (count * share).sum(1) / times.sum(1)
    return found


def _pooled_hits(positives: Floats, pool: Floats, cuts: tuple[int, ...]) -> dict[int, NDArray[np.bool_]]:
    """Which positives are above the K-th best negative."""
    short = [k for k in cuts if k > len(pool)]
    if short:
        warnings.warn(
            f"Hits@{', @'.join(map(str, short))} is 1.0 by OGB's rule: there are only {len(pool)} negatives",
            EvalWarning,
            stacklevel=4,
        )
    return {k: np.ones(len(positives), dtype=bool) if k > len(pool) else positives > pool[-k] for k in cuts}
