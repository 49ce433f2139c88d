"""Random integers addressed by (seed, stream, counter) on every backend: the SplitMix64 words of the projections.

The torch forms give the same bits as the numba ones of :mod:`graphrep.kernels.projection._words`, on any device, so
walks and samples do not depend on threads, batches or hardware. Words are 64 random bits; torch holds them as int64,
whose additions and products wrap in the same way.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.errors import DTypeError
from graphrep.kernels.projection._words import hash_key, word

__all__ = [
    "DOMAIN_HARD",
    "DOMAIN_NEGATIVE",
    "DOMAIN_ORDER",
    "DOMAIN_PAIR",
    "DOMAIN_SAMPLE",
    "DOMAIN_SKETCH",
    "DOMAIN_SKIPGRAM",
    "DOMAIN_VIEW",
    "DOMAIN_WALK",
    "DOMAIN_WINDOW",
    "below",
    "check_seed",
    "fraction",
    "signed",
    "stream_start",
    "torch_base",
    "torch_below",
    "torch_fraction",
    "torch_start",
    "torch_word",
    "word",
]

# Streams of walks, samples, views, sketches, orders, negatives, pairs, hard negatives, windows and skip-grams never
# meet one another, nor those of nodes and features.
DOMAIN_WALK = np.uint64(0x77616C6B00000003)
DOMAIN_SAMPLE = np.uint64(0x73616D7000000004)
DOMAIN_VIEW = np.uint64(0x7669657700000005)
DOMAIN_SKETCH = np.uint64(0x736B657400000006)
DOMAIN_ORDER = np.uint64(0x6F72647200000007)
DOMAIN_NEGATIVE = np.uint64(0x6E65676100000008)
DOMAIN_PAIR = np.uint64(0x7061697200000009)
DOMAIN_HARD = np.uint64(0x686172640000000A)
DOMAIN_WINDOW = np.uint64(0x77696E6400000010)
DOMAIN_SKIPGRAM = np.uint64(0x736B697000000011)
UNIT: Final = 2.0**-53
GOLDEN: Final = 0x9E3779B97F4A7C15
_M1: Final = 0xBF58476D1CE4E5B9
_M2: Final = 0x94D049BB133111EB
_S11 = np.uint64(11)
_options = {"nogil": True, "cache": True, "error_model": "numpy"}


def check_seed(seed: int) -> int:
    """`seed` as 64 unsigned bits; raises unless it is an integer."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise DTypeError(f"seed must be an integer; got {type(seed).__name__}.", hint="seed=0")
    return int(seed) & (1 << 64) - 1


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def stream_start(seed: Any, domain: Any, index: Any) -> Any:
    """Start of the stream of walk or sample number `index`."""
    return hash_key(seed, domain, np.uint64(index))


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def fraction(start: Any, t: Any) -> Any:
    """Word `t` of a stream as a multiple of 2^-53 in [0, 1)."""
    return np.float64(np.int64(word(start, np.uint64(t)) >> _S11)) * UNIT


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def below(start: Any, t: Any, size: Any) -> Any:
    """Word `t` of a stream as an integer in 0..size-1, each with probability 1/size up to 2^-53."""
    return min(np.int64(fraction(start, t) * np.float64(size)), np.int64(size) - 1)


def signed(bits: int) -> int:
    """64 unsigned bits as the int64 that torch holds them in."""
    bits &= (1 << 64) - 1
    return bits - (1 << 64) if bits >> 63 else bits


def _shifted(z: Tensor, count: int) -> Tensor:
    """`z` shifted right as if it were unsigned."""
    return (z >> count) & ((1 << (64 - count)) - 1)


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shifted(z, 30)) * signed(_M1)
    z = (z ^ _shifted(z, 27)) * signed(_M2)
    return z ^ _shifted(z, 31)


def torch_base(seed: int, domain: Any, like: Tensor) -> Tensor:
    """What all streams of a seed and domain start from, in the shape of `like`."""
    return _mix(torch.full_like(like, signed(seed ^ int(domain))))


def torch_start(seed: int, domain: Any, index: Tensor) -> Tensor:
    """(n,) int64 starts of the streams numbered by `index` (n,)."""
    return _mix(torch_base(seed, domain, index) + _mix(index + signed(GOLDEN)))


def torch_word(start: Tensor, t: int | Tensor) -> Tensor:
    """(n,) word `t` of each stream; int64 tensors of `start` and `t` broadcast."""
    return _mix(start + (signed((t + 1) * GOLDEN) if isinstance(t, int) else (t + 1) * signed(GOLDEN)))


def torch_fraction(words: Tensor) -> Tensor:
    """(n,) float64 in [0, 1), multiples of 2^-53."""
    return _shifted(words, 11).double() * UNIT


def torch_below(words: Tensor, size: Tensor) -> Tensor:
    """(n,) int64 in 0..size-1; -1 where `size` is 0."""
    return torch.minimum((torch_fraction(words) * size.double()).long(), size - 1)
