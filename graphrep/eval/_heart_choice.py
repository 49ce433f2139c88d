"""The k/2 hardest candidates of each end that a negative keeps: ranks, their minimum, and the draw among equals."""

from __future__ import annotations

import threading
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.eval._heart_rows import Ranked
from graphrep.kernels._counter import DOMAIN_HARD, below, stream_start, word
from graphrep.kernels._sparse_rows import cost_ranges, select
from graphrep.kernels.csr import CSR
from graphrep.kernels.projection._parallel import run_ranges

__all__ = ["choose_nodes"]

_options = {"nogil": True, "cache": True, "error_model": "numpy"}
_S32 = np.uint64(32)


class _Scratch(threading.local):
    """Arrays of one thread: a stamp per node, the candidates, their best rank and sum of ranks, and keys."""

    def __init__(self, size: int) -> None:
        self.seen = np.zeros(size + 1, np.int64)  # the last element is the stamp in use
        self.lists = np.empty((5, size), np.int64)


def choose_nodes(
    ranked: Ranked,
    barred: CSR,
    ends: Tensor,
    slot: Tensor,
    partner: Tensor,
    stream: Tensor,
    half: int,
    seed: int,
    random: bool,
) -> Tensor:
    """(J, half) chosen nodes of each job, ascending; -1 in the rows of jobs that have too few candidates.

    Args:
        ranked: candidates of the end points by each score.
        barred: (N, N) rows of the nodes that are no candidates.
        ends: (B,) the end points.
        slot: (J,) which of them a job keeps.
        partner: (J,) the node at the other end of the positive.
        stream: (J,) number of the job, for its random numbers.
        half: nodes to choose.
        seed: of the draws.
        random: equal minima in random order, else by the sum of ranks.
    """
    out = torch.empty(len(slot), half, dtype=torch.int64)
    scratch = _Scratch(barred.num_rows)
    fixed = (
        *(part.numpy() for part in (ranked.pointer, ranked.node, ranked.score, barred.rowptr, barred.col, ends, slot)),
        *(part.contiguous().numpy() for part in (partner, stream)),
        np.uint64(seed),
        random,
        out.numpy(),
    )
    length = ranked.pointer.diff(dim=1).sum(0)
    bounds, work = cost_ranges(4 * length[slot] + half)
    run_ranges(lambda a, b: _choose(a, b, *fixed, scratch.seen, scratch.lists), bounds, work=work)
    return out


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _choose(
    first: int,
    last: int,
    pointer: Any,
    node: Any,
    score: Any,
    rowptr: Any,
    col: Any,
    ends: Any,
    slot: Any,
    partner: Any,
    stream: Any,
    seed: Any,
    random: bool,
    out: Any,
    seen: Any,
    lists: Any,
) -> None:
    found, best, total, key, spare = lists
    for job in range(first, last):
        seen[-1] += 1
        start = stream_start(seed, DOMAIN_HARD, np.uint64(stream[job]))
        count, bound, behind = _rank(pointer, node, score, slot[job], partner[job], seen, found, best, total)
        half = out.shape[1]
        if count < half:
            for c in range(count):
                out[job, c] = found[c]
            end = ends[slot[job]]
            row = col[np.int64(rowptr[end]) : np.int64(rowptr[end + 1])]
            _fill(row, end, partner[job], start, seen, out[job], count)
        else:
            for c in range(count):
                tie = np.int64(word(start, np.uint64(found[c])) >> _S32) if random else total[found[c]] + behind
                key[c] = (min(best[found[c]], bound) << 32) | tie
                spare[c] = key[c]
            _take(found[:count], key[:count], select(spare[:count], half - 1), spare, out[job])
        out[job].sort()


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _rank(
    pointer: Any, node: Any, score: Any, slot: int, partner: int, seen: Any, found: Any, best: Any, total: Any
) -> Any:
    """Lists the candidates with the smallest of their ranks, and the sum of their ranks less that of the ranks behind.

    Returns their number, the rank behind the last in the kind that has the fewest, which is where a candidate without
    a score of that kind stands, and the sum of these over the kinds.
    """
    stamp, count, bound, behind = seen[-1], 0, 1 << 31, 0
    for kind in range(pointer.shape[0]):
        begin, end = pointer[kind, slot], pointer[kind, slot + 1]
        listed, top = _sizes(node[begin:end], score[begin:end], partner)
        none = 2 + listed - top if listed else 1
        bound, behind = min(bound, none), behind + none
        place, p = 0, begin  # `place` candidates are no worse than the group of equal scores at hand
        while p < end:
            group = p
            while group < end and score[group] == score[p]:
                place += node[group] != partner
                group += 1
            rank = 1 + place - top
            for q in range(p, group):
                v = node[q]
                if v == partner:
                    continue
                if seen[v] != stamp:
                    seen[v], found[count], best[v], total[v] = stamp, v, rank, 0
                    count += 1
                best[v] = min(best[v], rank)
                total[v] += rank - none
            p = group
    return count, bound, behind


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _sizes(node: Any, score: Any, partner: int) -> Any:
    """Candidates in a list in descending order that are not the partner, and how many of them share the first place."""
    listed, top, highest = 0, 0, np.float32(0)
    for p in range(node.size):
        if node[p] != partner:
            highest = score[p] if listed == 0 else highest
            top += score[p] == highest
            listed += 1
    return listed, top


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _take(found: Any, key: Any, cut: int, spare: Any, out: Any) -> None:
    """Writes the candidates with the smallest keys, those of the last key by ascending node."""
    taken, equal = 0, 0
    for c in range(found.size):
        if key[c] < cut:
            out[taken] = found[c]
            taken += 1
        elif key[c] == cut:
            spare[equal] = found[c]
            equal += 1
    spare[:equal].sort()
    out[taken:] = spare[: out.size - taken]


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _fill(row: Any, end: int, partner: int, start: Any, seen: Any, out: Any, count: int) -> None:
    """Adds distinct nodes that are neither listed, nor in the row, nor an end of the positive; -1 where too few are."""
    stamp, num_nodes = seen[-1], seen.size - 1
    taken = count
    for v in row:
        taken += seen[v] != stamp
        seen[v] = stamp
    for v in (end, partner):
        taken += seen[v] != stamp
        seen[v] = stamp
    if num_nodes - taken < out.size - count:
        out[:] = -1
        return
    t = num_nodes  # the words before belong to the ties
    while count < out.size:
        v = below(start, np.uint64(t), num_nodes)
        t += 1
        if seen[v] != stamp:
            seen[v], out[count] = stamp, v
            count += 1
