"""Pairs of walks on CPU: a counting sort by block whose groups of walks are counted and written by several threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._counter import DOMAIN_WINDOW, below, stream_start
from graphrep.kernels._dispatch import register
from graphrep.kernels._numba import twin
from graphrep.kernels.skipgram.reference import Pairs, group_size

__all__ = ["walk_pairs"]


@register("walk_pairs", "cpu")
def walk_pairs(
    rowptr: Tensor, walks: Tensor, part: Tensor, parts: int, window: int, both: bool, shrink: bool, seed: int
) -> Pairs:
    """Source, target and bounds of the blocks; arguments as in the reference."""
    count, size = walks.shape[0], group_size(walks.shape[0])
    held = np.zeros((-(-count // size), parts * parts), np.int64)
    none, nodes = np.empty(0, np.int64), walks.contiguous().numpy()
    of, length = np.empty(walks.shape, np.int32), np.empty(count, np.int64)
    _lay_out(rowptr.numpy(), nodes, part.numpy(), of, length, work=4 * walks.numel())
    fixed = (nodes, of, length, parts, window, both, shrink, np.uint64(seed), size)
    work = walks.numel() * window
    _go_through(*fixed, held, none, none, False, work=work)
    bounds = np.zeros(parts * parts + 1, np.int64)
    np.cumsum(held.sum(axis=0), out=bounds[1:])
    first = bounds[:-1] + np.cumsum(held, axis=0) - held  # where each group writes in each block
    source, target = (_numba.empty_output((int(bounds[-1]),), torch.int64) for _ in range(2))
    _go_through(*fixed, first, source.numpy(), target.numpy(), True, work=work)
    return source, target, torch.from_numpy(bounds)


@twin()
def _lay_out(rowptr: Any, walks: Any, part: Any, of: Any, length: Any) -> None:
    """The part of each node, and the number of nodes of each walk before it stays in place."""
    last = walks.shape[1] - 1
    for w in prange(walks.shape[0]):
        length[w] = last + 1
        for place in range(last + 1):
            node = walks[w, place]
            of[w, place] = part[node]
            if place < last and rowptr[node] == rowptr[node + 1]:
                length[w] = place + 1
                break


@twin()
def _go_through(
    walks: Any,
    of: Any,
    length: Any,
    parts: int,
    window: int,
    both: bool,
    shrink: bool,
    seed: Any,
    size: int,
    held: Any,
    source: Any,
    target: Any,
    write: bool,
) -> None:
    """Counts the pairs of each group and block in `held`, or writes each where `held` says, which then moves on."""
    for group in prange(held.shape[0]):
        first, last = group * size, min((group + 1) * size, walks.shape[0])
        places = walks.shape[1]
        reach = np.full(last - first, window)
        for place in range(places):
            if shrink:
                for w in range(first, last):
                    stream = stream_start(seed, DOMAIN_WINDOW, np.uint64(w))
                    reach[w - first] = below(stream, place, window) + 1
            for hop in range(1, min(window, places - 1) + 1):
                for other in (place + hop, place - hop):
                    if (other < place and not both) or other < 0 or other >= places:
                        continue
                    for w in range(first, last):
                        if reach[w - first] >= hop and max(place, other) < length[w]:
                            block = np.int64(of[w, place]) * parts + of[w, other]
                            if write:
                                source[held[group, block]] = walks[w, place]
                                target[held[group, block]] = walks[w, other]
                            held[group, block] += 1
