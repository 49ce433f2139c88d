"""Plain torch on any device: every seed draws its next neighbour together."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._counter import DOMAIN_SAMPLE, torch_below, torch_start, torch_word
from graphrep.kernels._dispatch import register

__all__ = ["sample_positions"]


@register("sample_positions", "reference")
def sample_positions(
    rowptr: Tensor, seeds: Tensor, offsets: Tensor, count: int, fanout: int, replace: bool, seed: int
) -> Tensor:
    """(count,) positions of the drawn entries; seed number i owns those from offsets[i] to offsets[i + 1].

    `fanout` -1 takes all. Without replacement by Floyd's method, in ascending order.
    """
    low = rowptr[seeds].long()
    degree = rowptr[seeds + 1].long() - low
    number = torch.arange(seeds.numel(), device=seeds.device)
    owner = torch.repeat_interleave(number, offsets[1:] - offsets[:-1], output_size=count)
    slot = torch.arange(count, device=seeds.device) - offsets[owner]
    if fanout < 0 or not count:
        return low[owner] + slot
    stream = torch_start(seed, DOMAIN_SAMPLE, number)
    if replace:
        drawn = torch.stack([torch_below(torch_word(stream, t), degree) for t in range(fanout)], dim=1)
        return low[owner] + drawn[owner, slot]
    drawn = _floyd(stream, degree, fanout)
    return low[owner] + torch.where(degree[owner] <= fanout, slot, drawn[owner, slot])


def _floyd(stream: Tensor, degree: Tensor, fanout: int) -> Tensor:
    """(S, fanout) different numbers below each degree (Bentley and Floyd, CACM 30(9), 1987), ascending."""
    chosen = torch.full((stream.numel(), fanout), -1, device=stream.device)
    for t in range(fanout):
        last = degree - fanout + t
        drawn = torch_below(torch_word(stream, t), last + 1)
        taken = (chosen == drawn[:, None]).any(1)
        chosen[:, t] = torch.where(taken, last, drawn)
    return chosen.sort(dim=1).values
