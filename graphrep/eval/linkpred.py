"""Link prediction scores with exact ties: AUC, AP, Hits@K and MRR, for pooled negatives or each positive's own."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import ShapeError
from graphrep.eval._arrays import as_ks, as_scores
from graphrep.eval._result import EvalWarning, Result

__all__ = ["LinkScores", "link_scores"]

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
    positives, negatives = as_scores(pos, "pos"), as_scores(neg, "neg", ndim=(1, 2))
    cuts = as_ks(ks)
    pooled = negatives.ndim == 1
    if not pooled and len(negatives) != len(positives):
        raise ShapeError(
            f"neg {negatives.shape} must have one row for each of the {len(positives)} positives.",
            hint="neg.reshape(-1) for pooled negatives",
        )
    pool = np.sort(negatives, axis=None)
    below, up_to = (np.searchsorted(pool, positives, side=side) for side in ("left", "right"))
    if pooled:
        above, at_least = len(pool) - up_to, len(pool) - below
    else:
        above, at_least = _own_counts(positives, negatives)
    rank = 1 + (above + at_least) / 2
    return LinkScores(
        auc=float((below + up_to).sum() / 2 / len(positives) / len(pool)),
        ap=_average_precision(positives, pool),
        hits=_pooled_hits(positives, pool, cuts) if pooled else {k: float(np.mean(rank <= k)) for k in cuts},
        rank=rank,
        mean_rank=float(rank.mean()),
        mrr=float((1 / rank).mean()),
        mrr_optimistic=float((1 / (1 + above)).mean()),
        mrr_pessimistic=float((1 / (1 + at_least)).mean()),
        num_pos=len(positives),
        num_neg=negatives.shape[-1],
        negatives="pooled" if pooled else "per positive",
    )


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


def _pooled_hits(positives: Floats, pool: Floats, cuts: tuple[int, ...]) -> dict[int, float]:
    short = [k for k in cuts if k > len(pool)]
    if short:
        warnings.warn(
            f"Hits@{', @'.join(map(str, short))} is 1.0 by OGB's rule: there are only {len(pool)} negatives",
            EvalWarning,
            stacklevel=3,
        )
    return {k: 1.0 if k > len(pool) else float(np.mean(positives > pool[-k])) for k in cuts}
