"""Cutting long work into blocks whose temporary arrays stay below a budget."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

__all__ = ["ranges_within"]


def ranges_within(cost: Tensor, budget: int) -> list[tuple[int, int]]:
    """Consecutive ranges [first, last) that cover all items, of about `budget` each; an item alone may cost more.

    Args:
        cost: (n,) int64, not negative.
        budget: cost at which a range ends.
    """
    count = cost.numel()
    if not count:
        return []
    total = cost.cumsum(0)
    targets = torch.arange(budget, max(int(total[-1]), budget), budget, device=cost.device)
    inner = sorted(set(torch.searchsorted(total, targets).tolist()) - {0, count})
    return list(itertools.pairwise([0, *inner, count]))
