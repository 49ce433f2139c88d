"""The neighbours that NCN pools for a pair: common ones, and those of one end alone with the pair they would close."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graphrep.kernels import CSR, common_neighbors, sample_neighbors
from graphrep.kernels._budget import ranges_within

__all__ = ["OneSided", "link_probability", "one_sided_neighbors", "unique_pairs"]

_LISTED = 1 << 22  # neighbours listed at a time before they are sampled


class OneSided(NamedTuple):
    """(n,) pair, neighbour of one of its ends, the other end, and what its part counts for (None: 1)."""

    pair: Tensor
    node: Tensor
    other: Tensor
    factor: Tensor | None


def one_sided_neighbors(
    csr: CSR, pairs: Tensor, *, exclude_endpoints: bool, limit: int | None, seed: int
) -> tuple[Tensor, Tensor, OneSided]:
    """Common neighbours (pair, node) and the neighbours of one end alone, of (2, P) pairs.

    With `limit` each side keeps that many of its neighbours, drawn without replacement, which count for all: degree
    over kept. Pairs are taken in blocks, so that no more than about 4 million neighbours are listed before sampling.
    """
    degree = csr.degree().long()[pairs].sum(0)
    common, alone = [], []
    for turn, (first, last) in enumerate(ranges_within(degree, _LISTED)):
        block = pairs[:, first:last]
        pair, node, *sides = common_neighbors(csr, block, one_sided=True)
        common.append(torch.stack([pair + first, node]))
        for side, (own, found) in enumerate(sides):
            other = block[1 - side][own]
            if exclude_endpoints:
                kept = (found != other) & (found != block[side][own])
                own, found, other = own[kept], found[kept], other[kept]
            factor = torch.ones(own.numel(), device=own.device)
            if limit is not None:
                place, factor = _sampled(own, found, block.shape[1], limit, seed + 2 * turn + side)
                own, found, other = own[place], found[place], other[place]
            alone.append((own + first, found, other, factor))
    if not common:
        none = pairs.new_empty(0)
        return none, none, OneSided(none, none, none, None)
    pair, node = torch.cat(common, dim=1)
    joined = [torch.cat(parts) for parts in zip(*alone, strict=True)]
    return pair, node, OneSided(joined[0], joined[1], joined[2], None if limit is None else joined[3])


def _sampled(pair: Tensor, node: Tensor, count: int, limit: int, seed: int) -> tuple[Tensor, Tensor]:
    """Places of at most `limit` neighbours of each pair, and the number of its neighbours over those kept."""
    sizes = torch.bincount(pair, minlength=count)
    rowptr = torch.zeros(count + 1, dtype=torch.int64, device=pair.device)
    rowptr[1:] = sizes.cumsum(0)
    rows = torch.arange(count, device=pair.device)
    place = sample_neighbors(CSR(rowptr, node), rows, limit, seed=seed).perm.long()
    share = sizes / sizes.clamp(min=1, max=limit)
    return place, share[pair[place]].float()


def unique_pairs(first: Tensor, second: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """(2, Q) distinct unordered pairs among those of (n,) ends, and (n,) the place of each."""
    key = torch.minimum(first, second) * num_nodes + torch.maximum(first, second)
    distinct, place = torch.unique(key, return_inverse=True)
    return torch.stack([distinct // num_nodes, distinct % num_nodes]), place


def link_probability(logit: Tensor, scale: float, offset: float, alpha: float, pt: float) -> Tensor:
    """``alpha pt s / (pt s + 1 - s)`` with ``s = sigmoid(scale (logit - offset))``; in float32 or wider.

    Written with one exponential: s / (1 - s) would overflow for logits that are sure.
    """
    wide = logit if logit.dtype.itemsize > 2 else logit.float()
    return alpha * pt / (pt + torch.exp(-scale * (wide - offset)))
