"""How good the lists are: the scores of a recommender beside popularity, with a verdict, and what the lists cover."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from graphrep.cli.recommending.lists import Lists
from graphrep.cli.recommending.splitting import Divided
from graphrep.data.check import grouped

if TYPE_CHECKING:
    from graphrep.eval import RankingScores

__all__ = ["METRICS", "Coverage", "Judged", "judge", "measure_coverage"]

Array = np.ndarray[Any, Any]
METRICS = {
    "recall": "Recall", "ndcg": "NDCG", "precision": "Precision", "hit_rate": "HR", "mrr": "MRR", "map": "MAP",
}  # fmt: skip
_Z = 1.96  # of a 95 % interval
GROUPS = 10
_SCORES = 1 << 24  # scores held at a time


@dataclass(frozen=True)
class Judged:
    """Scores of a method, and of popularity.

    Attributes:
        method: what was trained.
        scores: metric -> K -> value.
        baseline: the same of popularity; None when that is the method itself.
        verdict: one sentence on the two.
        beaten: whether popularity is better.
        users: who were judged.
        average: over users, or as the official code does it.
    """

    method: str
    scores: dict[str, dict[int, float]]
    baseline: dict[str, dict[int, float]] | None
    verdict: str
    beaten: bool
    users: int
    average: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "users": self.users, "average": self.average, "metrics": _plain(self.scores),
            "popularity": None if self.baseline is None else _plain(self.baseline), "verdict": self.verdict,
            "beaten_by_popularity": self.beaten,
        }  # fmt: skip


def _plain(scores: dict[str, dict[int, float]]) -> dict[str, dict[str, float]]:
    return {name: {str(k): value for k, value in values.items()} for name, values in scores.items()}


def judge(
    model: Any, method: str, divided: Divided, baseline: Any, ks: tuple[int, ...], *, average: str = "users"
) -> Judged:
    """Scores of the lists on the test pairs; what was trained or validated on is left out of the lists.

    Args:
        model: the recommender.
        method: what it is called.
        divided: the parts.
        baseline: the fitted recommender by popularity.
        ks: lengths of lists.
        average: ``users``, or ``official``.
    """
    mine = _ranking(model, divided, ks, average)
    if method == "popularity":
        told = "Popularity is the baseline itself."
        return Judged(method, _values(mine), None, told, False, mine.num_users, average)
    other = _ranking(baseline, divided, ks, average)
    verdict, beaten = _verdict(mine, other, method, ks[0])
    return Judged(method, _values(mine), _values(other), verdict, beaten, mine.num_users, average)


def _ranking(model: Any, divided: Divided, ks: tuple[int, ...], average: str) -> RankingScores:
    from graphrep.eval import topk_metrics

    data, users, items = divided.data, model.user_embedding_, model.item_embedding_
    cold = torch.zeros(len(users), dtype=torch.bool)
    cold[model.cold_users_] = True

    def scores(rows: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = users[rows] @ items.t()
        found[cold[rows]] = model.popularity_.to(found.dtype)
        return found

    given: dict[str, Any] = {} if average == "users" else {"average": average}
    size = max(1, _SCORES // data.num_items)
    seen = divided.fitted_on.csr(binarize=True)
    return topk_metrics(scores, None, seen, data.csr("test"), ks=ks, block_size=size, per_user=True, **given)


def _values(found: RankingScores) -> dict[str, dict[int, float]]:
    return {name: dict(getattr(found, name)) for name in METRICS}


def _verdict(mine: RankingScores, other: RankingScores, method: str, k: int) -> tuple[str, bool]:
    """Recall and NDCG against popularity, user by user: the mean difference and its 95 % interval."""
    assert mine.per_user is not None
    assert other.per_user is not None
    signs, told = [], []
    for name in ("recall", "ndcg"):
        difference = mine.per_user[name][k] - other.per_user[name][k]
        difference = difference[~np.isnan(difference)]
        mean = float(difference.mean())
        half = _Z * float(difference.std(ddof=1)) / math.sqrt(len(difference)) if len(difference) > 1 else math.inf
        signs.append(0 if abs(mean) <= half else 1 if mean > 0 else -1)
        ours, theirs = getattr(mine, name)[k], getattr(other, name)[k]
        told.append(f"{METRICS[name]}@{k} {ours:.4f} against {theirs:.4f}")
    numbers = ", ".join(told)
    if min(signs) < 0:
        return (
            f"{method} loses to recommending everybody the most popular items: {numbers}. {_advice(method)}",
            True,
        )
    if max(signs) == 0:
        said = f"{method} cannot be told from popularity on {grouped(mine.num_users)} test users: {numbers}."
        return f"{said} {_advice(method)}", False
    return f"{method} beats popularity: {numbers}.", False


def _advice(method: str) -> str:
    plainer = "" if method in ("lightgcn", "mf") else "-m lightgcn, which has less to tune, "
    return f"Try {plainer}other settings (--set, --epochs), or take -m popularity."


@dataclass(frozen=True)
class Coverage:
    """What the lists are made of.

    Attributes:
        items: distinct items in the lists.
        total: I.
        gini: of how often the items are listed: 0 for all equally often, near 1 for few.
        mean_popularity: training interactions of a listed item, mean over the lists' places.
        groups: per tenth of the items, the most popular first: (items, share of the training interactions, share of
            the places in the lists, share of those of the popularity lists).
    """

    items: int
    total: int
    gini: float
    mean_popularity: float
    groups: list[tuple[int, float, float, float]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "distinct_items": self.items, "share": self.items / self.total, "gini": self.gini,
            "mean_popularity": self.mean_popularity,
            "tenths": [
                {"items": n, "training": a, "lists": b, "popularity_lists": c} for n, a, b, c in self.groups
            ],
        }  # fmt: skip


def measure_coverage(lists: Lists, popular: Lists, popularity: Array) -> Coverage:
    """Which items the lists hold, by their popularity.

    Args:
        lists: of the recommender.
        popular: of the same users by popularity.
        popularity: (I,) training interactions of each item.

    Example:
        >>> ends = np.array([0]), np.array([[1, 0]]), np.array([[2.0, 1.0]]), np.array([False])
        >>> measure_coverage(Lists(*ends), Lists(*ends), np.array([3, 1, 0, 0])).items
        2
    """
    total = len(popularity)
    listed, other = (np.bincount(one.items[one.items >= 0], minlength=total) for one in (lists, popular))
    order = np.argsort(-popularity, kind="stable")
    parts = [part for part in np.array_split(order, min(GROUPS, total)) if len(part)]
    groups = [(len(p), _share(popularity, p), _share(listed, p), _share(other, p)) for p in parts]
    places = max(int(listed.sum()), 1)
    ascending = np.sort(listed)
    rank = np.arange(1, total + 1)
    gini = float((2 * rank - total - 1) @ ascending / (total * places))
    mean = float(listed @ popularity / places)
    return Coverage(int((listed > 0).sum()), total, gini, mean, groups)


def _share(count: Array, part: Array) -> float:
    return float(count[part].sum() / max(count.sum(), 1))
