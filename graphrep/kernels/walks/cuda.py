"""Random walks in Triton, one lane each: two dependent loads a step, hidden by the other lanes."""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels import _triton
from graphrep.kernels._counter import DOMAIN_WALK
from graphrep.kernels._counter_cuda import base_of, below, fraction, lower_bound, stream_start, word
from graphrep.kernels._dispatch import register
from graphrep.kernels._triton import CompileCase, ceil_div, jit, launch, pointer

__all__ = ["compile_cases", "random_walks"]

LANES = 32  # one warp, so that waiting for its slowest walk needs no barrier


@register("random_walks", "cuda")
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
    """Walks (S, length + 1); arguments as in the reference."""
    out = _triton.empty((starts.numel(), length + 1), torch.int64, starts.device)
    launch(
        _walk,
        (ceil_div(starts.numel(), LANES),),
        rowptr,
        col,
        cumulative,
        set_rowptr,
        set_col,
        starts.contiguous(),
        torch.tensor(accept, dtype=torch.float64).to(starts.device),
        base_of(seed, DOMAIN_WALK, starts.device),
        out,
        starts.numel(),
        length,
        on=starts,
        num_warps=LANES // 32,
        LANES=LANES,
    )
    return out


@jit
def _walk(
    rowptr_ptr: tl.tensor,
    col_ptr: tl.tensor,
    cumulative_ptr: tl.tensor,
    set_rowptr_ptr: tl.tensor,
    set_col_ptr: tl.tensor,
    starts_ptr: tl.tensor,
    accept_ptr: tl.tensor,
    base_ptr: tl.tensor,
    out_ptr: tl.tensor,
    count: tl.tensor,
    length: tl.tensor,
    LANES: tl.constexpr,
) -> None:
    walk = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)
    active = walk < count
    stream = stream_start(base_ptr, walk)
    node = tl.load(starts_ptr + walk, mask=active, other=0)
    before = node
    place = out_ptr + walk * (length + 1)
    tl.store(place, node, mask=active)
    zero = tl.zeros([LANES], tl.int64)
    for t in range(length):
        step = word(stream, zero + t)
        found = _candidate(rowptr_ptr, col_ptr, cumulative_ptr, node, word(step, zero), active)
        if set_rowptr_ptr is not None:
            attempt = zero
            waiting = active & (t > 0)
            while tl.max(waiting.to(tl.int32), axis=0) > 0:
                drawn = fraction(word(step, 2 * attempt + 1))
                share = _share(set_rowptr_ptr, set_col_ptr, accept_ptr, before, found, drawn, waiting)
                waiting = waiting & (drawn >= share)
                attempt += 1
                again = _candidate(rowptr_ptr, col_ptr, cumulative_ptr, node, word(step, 2 * attempt), waiting)
                found = tl.where(waiting, again, found)
        before = node
        node = found
        tl.store(place + t + 1, node, mask=active)


@jit
def _candidate(
    rowptr_ptr: tl.tensor,
    col_ptr: tl.tensor,
    cumulative_ptr: tl.tensor,
    node: tl.tensor,
    words: tl.tensor,
    active: tl.tensor,
) -> tl.tensor:
    """A neighbour of each node by weight; the node itself where it has none."""
    low = tl.load(rowptr_ptr + node, mask=active, other=0).to(tl.int64)
    high = tl.load(rowptr_ptr + node + 1, mask=active, other=0).to(tl.int64)
    total = high - low
    if cumulative_ptr is not None:
        total = tl.load(cumulative_ptr + high - 1, mask=high > low, other=0)
    drawn = below(words, total)
    place = lower_bound(cumulative_ptr, low, high, drawn + 1) if cumulative_ptr is not None else low + drawn
    return tl.where(total > 0, tl.load(col_ptr + place, mask=total > 0, other=0).to(tl.int64), node)


@jit
def _share(
    set_rowptr_ptr: tl.tensor,
    set_col_ptr: tl.tensor,
    accept_ptr: tl.tensor,
    before: tl.tensor,
    found: tl.tensor,
    drawn: tl.tensor,
    waiting: tl.tensor,
) -> tl.tensor:
    """How likely each candidate is kept; links to the node before are looked up only where `drawn` depends on them."""
    linked, apart = tl.load(accept_ptr + 1), tl.load(accept_ptr + 2)
    asked = waiting & (found != before) & (drawn >= tl.minimum(linked, apart)) & (drawn < tl.maximum(linked, apart))
    low = tl.load(set_rowptr_ptr + before, mask=asked, other=0).to(tl.int64)
    high = tl.load(set_rowptr_ptr + before + 1, mask=asked, other=0).to(tl.int64)
    place = lower_bound(set_col_ptr, low, high, found)
    inside = place < high
    near = inside & (tl.load(set_col_ptr + place, mask=inside, other=0).to(tl.int64) == found)
    share = tl.where(near, linked, apart)
    return tl.where(found == before, tl.load(accept_ptr), share)


def compile_cases() -> list[CompileCase]:
    """Plain walks, walks by weight, and both with memory."""
    cases = []
    for weighted in (False, True):
        for memory in (False, True):
            index = pointer(torch.int64 if weighted else torch.int32)
            names = ["rowptr_ptr", "col_ptr", *(["set_rowptr_ptr", "set_col_ptr"] if memory else [])]
            signature = dict.fromkeys(names, index)
            signature |= dict.fromkeys(["starts_ptr", "base_ptr", "out_ptr"], pointer(torch.int64))
            signature |= {"cumulative_ptr": pointer(torch.int64)} if weighted else {}
            signature["accept_ptr"] = pointer(torch.float64)
            cases.append(CompileCase(_walk, signature, {"LANES": LANES}, LANES // 32))
    return cases
