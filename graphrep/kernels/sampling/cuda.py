"""Neighbour samples in Triton: one warp per seed, whose lanes hold what has been drawn."""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels import _triton
from graphrep.kernels._counter import DOMAIN_SAMPLE
from graphrep.kernels._counter_cuda import base_of, below, stream_start, word
from graphrep.kernels._dispatch import register
from graphrep.kernels._triton import CompileCase, jit, launch, next_power_of_2, pointer
from graphrep.kernels.sampling import reference

__all__ = ["compile_cases", "sample_positions"]

MOST = 1024  # larger samples, and whole rows, are drawn by torch's own kernels


@register("sample_positions", "cuda")
def sample_positions(
    rowptr: Tensor, seeds: Tensor, offsets: Tensor, count: int, fanout: int, replace: bool, seed: int
) -> Tensor:
    """(count,) positions of the drawn entries; arguments as in the reference, which serves fanouts above `MOST`."""
    if not 0 < fanout <= MOST:
        return reference.sample_positions(rowptr, seeds, offsets, count, fanout, replace, seed)
    out = _triton.empty((count,), torch.int64, seeds.device)
    size = max(2, next_power_of_2(fanout))
    base = base_of(seed, DOMAIN_SAMPLE, seeds.device)
    kernel, tensors = (_repeated, _distinct)[not replace], (rowptr, seeds.contiguous(), offsets, base, out)
    launch(kernel, (seeds.numel(),), *tensors, fanout, on=seeds, num_warps=max(1, size // 256), SIZE=size)
    return out


@jit
def _distinct(
    rowptr_ptr: tl.tensor,
    seeds_ptr: tl.tensor,
    offsets_ptr: tl.tensor,
    base_ptr: tl.tensor,
    out_ptr: tl.tensor,
    count: tl.tensor,
    SIZE: tl.constexpr,
) -> None:
    """Floyd's method (`count` numbers), then in ascending order."""
    i = tl.program_id(0).to(tl.int64)
    node = tl.load(seeds_ptr + i)
    low = tl.load(rowptr_ptr + node).to(tl.int64)
    degree = tl.load(rowptr_ptr + node + 1).to(tl.int64) - low
    begin = tl.load(offsets_ptr + i)
    slot = tl.arange(0, SIZE).to(tl.int64)
    chosen = slot
    if degree > count:
        start = stream_start(base_ptr, i)
        chosen = tl.full([SIZE], 1 << 62, tl.int64)
        for t in range(count):
            last = degree - count + t
            drawn = below(word(start, i * 0 + t), last + 1)
            taken = tl.max((chosen == drawn).to(tl.int32), axis=0) > 0
            chosen = tl.where(slot == t, tl.where(taken, last, drawn), chosen)
        chosen = tl.sort(chosen)
    tl.store(out_ptr + begin + slot, low + chosen, mask=slot < tl.minimum(degree, count))


@jit
def _repeated(
    rowptr_ptr: tl.tensor,
    seeds_ptr: tl.tensor,
    offsets_ptr: tl.tensor,
    base_ptr: tl.tensor,
    out_ptr: tl.tensor,
    count: tl.tensor,
    SIZE: tl.constexpr,
) -> None:
    """`count` independent numbers, in the order drawn."""
    i = tl.program_id(0).to(tl.int64)
    node = tl.load(seeds_ptr + i)
    low = tl.load(rowptr_ptr + node).to(tl.int64)
    degree = tl.load(rowptr_ptr + node + 1).to(tl.int64) - low
    slot = tl.arange(0, SIZE).to(tl.int64)
    drawn = below(word(stream_start(base_ptr, i), slot), degree)
    tl.store(out_ptr + tl.load(offsets_ptr + i) + slot, low + drawn, mask=slot < tl.where(degree > 0, count, 0))


def compile_cases() -> list[CompileCase]:
    """Both kernels, for small and for the largest samples."""
    cases = []
    for kernel in (_distinct, _repeated):
        for index, size in ((torch.int32, 16), (torch.int64, MOST)):
            signature = dict.fromkeys(["seeds_ptr", "offsets_ptr", "base_ptr", "out_ptr"], pointer(torch.int64))
            signature["rowptr_ptr"] = pointer(index)
            cases.append(CompileCase(kernel, signature, {"SIZE": size}, max(1, size // 256)))
    return cases
