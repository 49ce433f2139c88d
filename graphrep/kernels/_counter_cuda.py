"""The random words of :mod:`graphrep.kernels._counter` inside Triton kernels, and searches in sorted rows."""

from __future__ import annotations

from typing import Any, Final

import torch
import triton.language as tl
from torch import Tensor

from graphrep.kernels._counter import torch_base
from graphrep.kernels._triton import jit

__all__ = ["base_of", "below", "fraction", "lower_bound", "stream_start", "word"]

_GOLDEN: Final = tl.constexpr(0x9E3779B97F4A7C15)
_M1: Final = tl.constexpr(0xBF58476D1CE4E5B9)
_M2: Final = tl.constexpr(0x94D049BB133111EB)
_UNIT: Final = tl.constexpr(2.0**-53)


def base_of(seed: int, domain: Any, device: torch.device) -> Tensor:
    """(1,) what :func:`stream_start` makes streams from; a tensor, because a number would be compiled in."""
    return torch_base(seed, domain, torch.zeros(1, dtype=torch.int64)).to(device)


@jit
def _mix(z: tl.tensor) -> tl.tensor:
    z = (z ^ (z >> 30)) * _M1
    z = (z ^ (z >> 27)) * _M2
    return z ^ (z >> 31)


@jit
def stream_start(base_ptr: tl.tensor, index: tl.tensor) -> tl.tensor:
    """uint64 starts of the streams numbered by `index`."""
    return _mix(tl.load(base_ptr).to(tl.uint64) + _mix(index.to(tl.uint64) + _GOLDEN))


@jit
def word(start: tl.tensor, t: tl.tensor) -> tl.tensor:
    """Word `t` (an integer tensor) of each stream."""
    return _mix(start + (t + 1).to(tl.uint64) * _GOLDEN)


@jit
def fraction(words: tl.tensor) -> tl.tensor:
    """float64 in [0, 1), multiples of 2^-53."""
    return (words >> 11).to(tl.float64) * _UNIT


@jit
def below(words: tl.tensor, size: tl.tensor) -> tl.tensor:
    """int64 in 0..size-1; -1 where `size` is 0."""
    return tl.minimum((fraction(words) * size.to(tl.float64)).to(tl.int64), size - 1)


@jit
def lower_bound(array_ptr: tl.tensor, low: tl.tensor, high: tl.tensor, key: tl.tensor) -> tl.tensor:
    """The first position in [low, high) whose number is at least `key`, else `high`; all int64, lane by lane."""
    while tl.max((low < high).to(tl.int32), axis=0) > 0:
        open_ = low < high
        middle = (low + high) >> 1
        small = tl.load(array_ptr + middle, mask=open_, other=0).to(tl.int64) < key
        low = tl.where(open_ & small, middle + 1, low)
        high = tl.where(open_ & (small == 0), middle, high)
    return low
