"""Plain torch on any device: all walks take a step together."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._counter import DOMAIN_WALK, torch_below, torch_fraction, torch_start, torch_word
from graphrep.kernels._dispatch import register
from graphrep.kernels._sorted import first_above

__all__ = ["random_walks", "walk_weights"]

UNITS = 2.0**31


@register("walk_weights", "reference")
@register("walk_weights", "cuda")  # whole tensors at a time
def walk_weights(rowptr: Tensor, value: Tensor) -> Tensor:
    """(nnz,) int64 running sums along each row, in units of 1 / `UNITS` of its largest weight."""
    rowptr = rowptr.long()
    row = torch.repeat_interleave(rowptr[1:] - rowptr[:-1])
    wide = value.double()
    largest = wide.new_zeros(rowptr.numel() - 1).scatter_reduce_(0, row, wide, "amax")[row]
    running = torch.where(largest > 0, wide / largest * UNITS, 0.0).round().long().cumsum(0)
    return running - torch.cat([running.new_zeros(1), running])[rowptr[row]]


@register("random_walks", "reference")
def random_walks(
    rowptr: Tensor,
    col: Tensor,
    cumulative: Tensor | None,
    set_rowptr: Tensor | None,
    set_col: Tensor | None,
    starts: Tensor,
    length: int,
    accept: tuple[float, float, float],
    seed: int,
) -> Tensor:
    """Walks (S, length + 1).

    `cumulative`: whole-number weights summed along each row, None for equal ones. `set_rowptr`, `set_col`: the rows as
    sorted sets, None for walks without memory. `accept`: how likely a candidate is kept if it is the node before, a
    neighbour of that, or neither.
    """
    out = starts[:, None].repeat(1, length + 1)
    if not col.numel():
        return out
    stream = torch_start(seed, DOMAIN_WALK, torch.arange(starts.numel(), device=starts.device))
    rowptr = rowptr.long()
    for t in range(length):
        step = torch_word(stream, t)
        if set_rowptr is None or set_col is None or t == 0:
            out[:, t + 1] = _candidate(rowptr, col, cumulative, out[:, t], torch_word(step, 0))
        else:
            memory = (set_rowptr.long(), set_col, out[:, t - 1])
            out[:, t + 1] = _accepted(rowptr, col, cumulative, out[:, t], step, memory, accept)
    return out


def _candidate(rowptr: Tensor, col: Tensor, cumulative: Tensor | None, node: Tensor, words: Tensor) -> Tensor:
    """One neighbour of each node by weight; the node itself where it has none."""
    low, high = rowptr[node], rowptr[node + 1]
    last = (high - 1).clamp(min=0)
    total = high - low if cumulative is None else torch.where(high > low, cumulative[last], 0)
    drawn = torch_below(words, total)
    place = low + drawn if cumulative is None else first_above(cumulative, low, high, drawn)
    return torch.where(total > 0, col[place.clamp(0, col.numel() - 1)].long(), node)


def _accepted(
    rowptr: Tensor,
    col: Tensor,
    cumulative: Tensor | None,
    node: Tensor,
    step: Tensor,
    memory: tuple[Tensor, Tensor, Tensor],
    accept: tuple[float, float, float],
) -> Tensor:
    """Candidates drawn again and again until each walk has kept one."""
    set_rowptr, set_col, before = memory
    out = node.clone()
    waiting = torch.arange(node.numel(), device=node.device)
    attempt = 0
    while waiting.numel():
        words = step[waiting]
        found = _candidate(rowptr, col, cumulative, node[waiting], torch_word(words, 2 * attempt))
        previous = before[waiting]
        high = set_rowptr[previous + 1]
        place = first_above(set_col, set_rowptr[previous], high, found - 1)
        near = (place < high) & (set_col[place.clamp(max=set_col.numel() - 1)] == found)
        share = torch.where(near, accept[1], accept[2]).double()
        share = torch.where(found == previous, accept[0], share)
        kept = torch_fraction(torch_word(words, 2 * attempt + 1)) < share
        out[waiting[kept]] = found[kept]
        waiting = waiting[~kept]
        attempt += 1
    return out
