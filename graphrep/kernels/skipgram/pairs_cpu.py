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
from graphrep.kernels._rows import helper
from graphrep.kernels.skipgram.reference import Pairs, group_size

__all__ = ["walk_pairs"]


@register("walk_pairs", "cpu")
def walk_pairs(
    rowptr: Tensor, walks: Tensor, part: Tensor, parts: int, window: int, both: bool, shrink: bool, seed: int
) -> Pairs:
    """Source, target and bounds of the blocks; arguments as in the reference."""
    count, size = walks.shape[0], group_size(walks.shape[0])
    groups = -(-count // size)
    held = np.zeros((groups, parts * parts), np.int64)
    none = np.empty(0, np.int64)
    fixed = (rowptr.numpy(), walks.contiguous().numpy(), part.numpy(), parts, window, both, shrink, np.uint64(seed))
    work = walks.numel() * window
    _go_through(*fixed, size, held, none, none, False, work=work)
    bounds = np.zeros(parts * parts + 1, np.int64)
    np.cumsum(held.sum(axis=0), out=bounds[1:])
    first = bounds[:-1] + np.cumsum(held, axis=0) - held  # where each group writes in each block
    source, target = (_numba.empty_output((int(bounds[-1]),), torch.int64) for _ in range(2))
    _go_through(*fixed, size, first, source.numpy(), target.numpy(), True, work=work)
    return source, target, torch.from_numpy(bounds)


@twin()
def _go_through(
    rowptr: Any,
    walks: Any,
    part: Any,
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
        length, reach = np.empty(last - first, np.int64), np.full(last - first, window)
        of = np.empty((last - first, places), np.int64)
        for w in range(last - first):
            length[w] = _lay_out(rowptr, walks, first + w, part, of, w)
        for place in range(places):
            if shrink:
                for w in range(last - first):
                    stream = stream_start(seed, DOMAIN_WINDOW, np.uint64(first + w))
                    reach[w] = below(stream, place, window) + 1
            for hop in range(1, window + 1):
                for other in (place + hop, place - hop):
                    if (other < place and not both) or other < 0 or other >= places:
                        continue
                    for w in range(last - first):
                        if reach[w] >= hop and max(place, other) < length[w]:
                            block = of[w, place] * parts + of[w, other]
                            if write:
                                source[held[group, block]] = walks[first + w, place]
                                target[held[group, block]] = walks[first + w, other]
                            held[group, block] += 1


@helper  # type: ignore[untyped-decorator]
def _lay_out(rowptr: Any, walks: Any, walk: int, part: Any, of: Any, w: int) -> int:
    """Writes the part of each node to row `w`; the number of nodes before the walk stays in place."""
    for place in range(walks.shape[1]):
        node = walks[walk, place]
        of[w, place] = part[node]
        if rowptr[node] == rowptr[node + 1]:
            return place + 1
    return int(walks.shape[1])
