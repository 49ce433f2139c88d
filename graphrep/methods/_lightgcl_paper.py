"""The objective of LightGCL's paper and of the code of its submission: a hinge, and contrasts inside the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels import streaming_logsumexp
from graphrep.methods._recommend_task import PairBatch
from graphrep.nn._lightgcl_paper import PaperLightGCL

__all__ = ["PAIRS_PER_USER", "USERS_PER_BATCH", "USERS_PER_EPOCH", "paper_loss"]

USERS_PER_BATCH, PAIRS_PER_USER, USERS_PER_EPOCH = 256, 40, 30_000  # of the submission
_KEPT = 0.5  # share of the nodes that the submission contrasts


def paper_loss(
    module: PaperLightGCL,
    batch: PairBatch,
    *,
    temperature: float,
    multipliers: Tensor | None,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """(ranking, contrast) of a batch.

    Paper: means of ``relu(1 - pos + neg)`` over pairs and of the contrast over nodes, summed over layers and sides.
    Submission: the hinge summed and divided by the users of the batch, the contrast summed over a random half.
    """
    (users, items), layers = module.layers(multipliers)
    user = users.index_select(0, batch.users)
    pos, neg = ((user * items.index_select(0, part)).sum(1) for part in (batch.pos, batch.neg))
    hinge = torch.relu(1 - pos + neg)
    sides = torch.unique(batch.users), torch.unique(torch.cat([batch.pos, batch.neg]))
    contrast = hinge.new_zeros(())
    for pairs in layers:
        for nodes, (main, view) in zip(sides, pairs, strict=True):
            rows = _contrast(main.index_select(0, nodes), view.index_select(0, nodes), temperature)
            if module.submission:
                kept = torch.rand(rows.numel(), generator=generator) < _KEPT
                contrast = contrast + (rows * kept.to(rows)).sum()
            else:
                contrast = contrast + rows.mean()
    return hinge.sum() / batch.num_users if module.submission else hinge.mean(), contrast


def _contrast(main: Tensor, view: Tensor, temperature: float) -> Tensor:
    """(n,) rows of a contrast whose columns are the same nodes in the other view; inner products."""
    scale = 1 / temperature
    return streaming_logsumexp(main, view, scale=scale) - (main * view).sum(1) * scale
