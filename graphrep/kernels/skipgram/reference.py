"""Plain torch on any device: the pairs of a walk as one tensor, and the blocks of a round side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._counter import DOMAIN_WINDOW, torch_below, torch_start, torch_word
from graphrep.kernels._dispatch import register
from graphrep.kernels.skipgram.partition import Partition

__all__ = ["GROUPS", "LEAST_WALKS", "LOSS_EVERY", "group_size", "skipgram", "walk_pairs"]

GROUPS = 64  # of walks; the pairs of a group are ordered by their place on the walks
LEAST_WALKS = 256  # of a group
LOSS_EVERY = 16  # pairs between two that are looked at for the loss

Pairs = tuple[Tensor, Tensor, Tensor]
Steps = tuple[tuple[float, float], int, float, float, int]


def group_size(num_walks: int) -> int:
    """Walks in a group."""
    return max(LEAST_WALKS, -(-num_walks // GROUPS))


@register("walk_pairs", "reference")
def walk_pairs(
    rowptr: Tensor, walks: Tensor, part: Tensor, parts: int, window: int, both: bool, shrink: bool, seed: int
) -> Pairs:
    """Source, target and bounds of the blocks; `seed` is 64 bits, the rest as in the public function."""
    count, places = walks.shape
    number, device = torch.arange(count, device=walks.device), walks.device
    empty = (rowptr[1:] == rowptr[:-1])[walks]
    length = torch.where(empty.any(1), empty.int().argmax(1) + 1, places)  # nodes before the walk stays in place
    reach = torch.full((count, places), window, device=device)
    if shrink:
        stream = torch_start(seed, DOMAIN_WINDOW, number)
        words = torch_word(stream[:, None], torch.arange(places, device=device))
        reach = torch_below(words, torch.full_like(reach, window)) + 1
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for place in range(places):
        for hop in range(1, min(window, places - 1) + 1):
            for side, other in enumerate((place + hop, place - hop) if both else (place + hop,)):
                if not 0 <= other < places:
                    continue
                taken = number[(reach[:, place] >= hop) & (max(place, other) < length)]
                rank = torch.full_like(taken, (place * (window + 1) + hop) * 2 + side)
                key = taken // group_size(count) * (places * (window + 1) * 2) + rank
                found.append((walks[taken, place], walks[taken, other], key))
    if not found:
        none = walks.new_empty(0)
        return none, none, walks.new_zeros(parts * parts + 1)
    source, target, key = (torch.cat(parts_of) for parts_of in zip(*found, strict=True))
    block = part[source].long() * parts + part[target]
    order = torch.argsort(key, stable=True)
    order = order[torch.argsort(block[order], stable=True)]
    bounds = walks.new_zeros(parts * parts + 1)
    bounds[1:] = torch.bincount(block, minlength=parts * parts).cumsum(0)
    return source[order], target[order], bounds


@register("skipgram", "reference")
def skipgram(
    vertex: Tensor, context: Tensor, pairs: Pairs, parts: Partition, steps: Steps, shift: int, seed: int
) -> tuple[float, int]:
    """One round: block (r, (r + shift) mod P) of every row r; the sum of the looked-at losses, and how many.

    `steps`: learning rates at both ends of the round, negatives, their weight, weight decay, batch size.
    """
    source, target, bounds = pairs
    batch, size = steps[4], parts.num_parts
    row = torch.arange(size, device=vertex.device)
    column = (row + shift) % size
    low, high = bounds[row * size + column], bounds[row * size + column + 1]
    loss, count = torch.zeros((), dtype=torch.float64, device=vertex.device), 0
    within = torch.arange(batch, device=vertex.device)
    for first in range(0, int((high - low).max()), batch):
        place = low[:, None] + first + within
        inside = place < high[:, None]
        index = place[inside]
        span = (high - low)[:, None].expand_as(place)[inside]
        share = (first + within).expand_as(place)[inside].double() / span
        rate = steps[0][0] + (steps[0][1] - steps[0][0]) * share
        negatives = parts.draw(column[:, None].expand_as(place)[inside], index, steps[1], seed=seed)
        looked = index % LOSS_EVERY == 0
        loss += _learn(vertex, context, source[index], target[index], negatives, rate, steps, looked)
        count += int(looked.sum())
    return float(loss), count


def _learn(
    vertex: Tensor,
    context: Tensor,
    source: Tensor,
    target: Tensor,
    negatives: list[Tensor],
    rate: Tensor,
    steps: Steps,
    looked: Tensor,
) -> Tensor:
    """One step of each pair from the same state of the tables, which learn context by context."""
    _, _, weight, decay, _ = steps
    rate = rate.to(vertex.dtype)
    mine = vertex[source]
    step = torch.zeros_like(mine)
    loss = torch.zeros((), dtype=torch.float64, device=vertex.device)
    for node in (target, *negatives):
        positive = node is target
        theirs = context[node]
        score = (mine * theirs).sum(1)
        used = torch.ones_like(node, dtype=torch.bool) if positive else node != target
        gradient = torch.sigmoid(-score) if positive else -weight * torch.sigmoid(score)
        scale = torch.where(used, rate * gradient, 0.0)[:, None]
        step += scale * theirs
        change = scale * mine - torch.where(used, rate * decay, 0.0)[:, None] * theirs
        context.index_put_((node,), change, accumulate=True)  # deterministic, unlike index_add_, on CUDA too
        value = torch.nn.functional.softplus(-score if positive else score).double()
        loss += ((1.0 if positive else weight) * value)[looked & used].sum()
    vertex.index_put_((source,), step - (rate * decay)[:, None] * mine, accumulate=True)
    return loss
