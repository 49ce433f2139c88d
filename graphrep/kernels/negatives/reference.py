"""Plain torch on any device: the searches of all draws go through their rows together."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._counter import DOMAIN_NEGATIVE, torch_below, torch_start, torch_word
from graphrep.kernels._dispatch import register

__all__ = ["uniform_negatives"]


@register("uniform_negatives", "reference")
def uniform_negatives(rowptr: Tensor, col: Tensor, num_cols: int, users: Tensor, num: int, seed: int) -> Tensor:
    """(S, num) columns outside the sorted rows of `users`, -1 where there is none."""
    start = torch_start(seed, DOMAIN_NEGATIVE, torch.arange(users.numel(), device=users.device))
    words = torch_word(start[:, None], torch.arange(num, device=users.device)[None, :])
    begin, end = rowptr[users].long()[:, None], rowptr[users + 1].long()[:, None]
    rank = torch_below(words, (num_cols - (end - begin)).expand_as(words))
    out = rank + _entries_before(col, begin.expand_as(rank), end.expand_as(rank), rank)
    return torch.where(rank >= 0, out, -1)


def _entries_before(col: Tensor, begin: Tensor, end: Tensor, rank: Tensor) -> Tensor:
    """How many entries of each row lie below its missing column of that rank: those with ``col[begin + k] - k <=
    rank``.
    """
    low, high = begin.clone(), end.clone()
    while bool((low < high).any()):
        middle = (low + high) >> 1
        open_ = low < high
        missing = col[torch.where(open_, middle, 0)].long() - (middle - begin)
        below = missing <= rank
        low = torch.where(open_ & below, middle + 1, low)
        high = torch.where(open_ & ~below, middle, high)
    return low - begin
