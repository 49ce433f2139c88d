"""How good the scores of pairs are: on uniform negatives, on HeaRT's hard ones, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.cli.linking.predictors import Predictor
from graphrep.data.links import LinkSplit
from graphrep.eval.linkpred import LinkScores, link_intervals, link_scores

__all__ = ["HEART_KS", "HeldOut", "hard_negatives", "judge"]

Array = np.ndarray[Any, Any]
HEART_KS = (10, 20, 50)
_TOLERANCE = 1e-7  # of PageRank where features are few, as the authors set it for Cora and CiteSeer
_LARGE = 10_000  # nodes from which the authors' 1e-5 is taken
_RESAMPLES, _FEW_RESAMPLES, _MANY = 1000, 200, 20_000


@dataclass(frozen=True)
class HeldOut:
    """Pairs that a predictor is judged by.

    Attributes:
        pos: (2, n) links.
        neg: (2, m) pairs that are none, for all of them.
        hard: (h, k, 2) hard pairs that are none, of each link's own; None where they are not wanted.
        hard_pos: (2, h) the links that have them.
        ks: cut-offs K of Hits@K.
    """

    pos: Tensor
    neg: Tensor
    ks: tuple[int, ...]
    hard: Tensor | None = None
    hard_pos: Tensor | None = None


def hard_negatives(
    split: LinkSplit, *, k: int = 500, seed: int = 0, most: int | None = None, file: Path | None = None
) -> tuple[Tensor, Tensor]:
    """HeaRT's negatives (h, k, 2) of test links (2, h): of all, or of `most` drawn by `seed`.

    Args:
        split: whose training links scores are computed on, and whose validation links are no negatives either.
        k: wanted for each link; fewer where nodes have not as many candidates.
        seed: of the draws.
        most: links at most.
        file: published negatives of all test links, in place of the above.

    Raises:
        GraphrepError: a node that is linked to all others, or a file of other links.
    """
    from graphrep.data.negative_files import read_negatives
    from graphrep.eval.heart import heart_negatives

    assert split.test_pos is not None
    graph, pos = split.graph, split.test_pos
    if file is not None:
        return read_negatives(file, positives=pos, num_nodes=graph.num_nodes), pos
    if most is not None and pos.shape[1] > most:
        chosen = np.random.default_rng(seed).choice(pos.shape[1], most, replace=False)
        pos = pos[:, torch.from_numpy(np.sort(chosen))]
    known = [graph.edge_index, *([split.val_pos] if split.val_pos is not None else [])]
    tolerance = _TOLERANCE if graph.num_nodes <= _LARGE else 1e-5
    found = heart_negatives(
        graph.edge_index, pos, graph.x, k=min(k, _room(torch.cat(known, dim=1), pos, graph.num_nodes)),
        known=torch.cat(known, dim=1), seed=seed, num_nodes=graph.num_nodes, tolerance=tolerance,
    )  # fmt: skip
    return found, pos


def _room(known: Tensor, pos: Tensor, num_nodes: int) -> int:
    """The largest k for which each end of `pos` has k / 2 candidates: no neighbour, not itself, not its partner."""
    both = torch.cat([known, known.flip(0)], dim=1)
    keys = torch.unique(both[0] * num_nodes + both[1])
    degree = torch.bincount(keys // num_nodes, minlength=num_nodes)
    most = int(degree[pos.reshape(-1)].max()) if pos.numel() else 0
    return max(2, 2 * (num_nodes - 2 - most))


def judge(
    predictor: Predictor, test: HeldOut, *, intervals: bool = False, seed: int = 0
) -> tuple[dict[str, Any], dict[str, LinkScores]]:
    """Scores of a fitted predictor as plain values, and with their ranks.

    Args:
        predictor: what scores pairs.
        test: the pairs.
        intervals: whether 95 % bootstrap intervals over the test links go along.
        seed: of these.

    Raises:
        NonFiniteError: a NaN score.
    """
    sides = {"uniform": (predictor.score(test.pos), predictor.score(test.neg), test.ks)}
    if test.hard is not None and test.hard_pos is not None:
        rows, k, _ = test.hard.shape
        own = predictor.score(test.hard.reshape(-1, 2).t().contiguous()).reshape(rows, k)
        sides["heart"] = (predictor.score(test.hard_pos), own, tuple(n for n in HEART_KS if n <= k) or (1,))
    plain, found = {}, {}
    for name, (pos, neg, ks) in sides.items():
        scores = link_scores(pos, neg, ks=ks)
        found[name] = scores
        plain[name] = _plain(scores)
        if intervals:
            resamples = _RESAMPLES if len(pos) <= _MANY else _FEW_RESAMPLES
            spread = link_intervals(pos, neg, ks=ks, resamples=resamples, seed=seed)
            plain[name]["intervals"] = {
                "auc": spread.auc, "ap": spread.ap, "mrr": spread.mrr,
                "hits": {str(cut): value for cut, value in spread.hits.items()}, "level": spread.level,
                "resamples": resamples,
            }  # fmt: skip
    return plain, found


def _plain(scores: LinkScores) -> dict[str, Any]:
    hits = {str(cut): value for cut, value in scores.hits.items()}
    numbers = {"auc": scores.auc, "ap": scores.ap, "mrr": scores.mrr, "hits": hits}
    return {**numbers, "num_pos": scores.num_pos, "num_neg": scores.num_neg, "negatives": scores.negatives}
