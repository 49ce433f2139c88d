"""Random words inside numba kernels: SplitMix64 streams addressed by (key, counter), and the GDS generator.

SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): word t of the stream from `key` is ``mix(key + (t + 1) * GOLDEN)``, so any
word is found without the ones before it. All arithmetic is modulo 2^64.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["DOMAIN_FEATURE", "DOMAIN_NODE", "gds_advance", "gds_seed", "hash_key", "mix64", "word"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)
_ONE = np.uint64(1)

# Streams of nodes and of features never meet, whatever their ids.
DOMAIN_NODE = np.uint64(0x6E6F646500000001)
DOMAIN_FEATURE = np.uint64(0x6665617400000002)

_inline: dict[str, Any] = {"cache": True, "nogil": True, "inline": "never"}


@numba.njit(**_inline)  # type: ignore[untyped-decorator]
def mix64(z: Any) -> Any:
    """The SplitMix64 finaliser: a bijection of 64 bits."""
    z = (z ^ (z >> _S30)) * _M1
    z = (z ^ (z >> _S27)) * _M2
    return z ^ (z >> _S31)


@numba.njit(**_inline)  # type: ignore[untyped-decorator]
def hash_key(seed: Any, domain: Any, key: Any) -> Any:
    """Start of the stream of one node or feature."""
    return mix64(mix64(seed ^ domain) + mix64(key + GOLDEN))


@numba.njit(**_inline)  # type: ignore[untyped-decorator]
def word(start: Any, t: Any) -> Any:
    """Word `t` (uint64) of the stream that begins at `start`."""
    return mix64(start + (t + _ONE) * GOLDEN)


_GDS_A = np.uint64(2862933555777941757)
_GDS_B = np.uint64(7046029254386353087)
_GDS_C = np.uint64(4294957665)
_GDS_V = np.uint64(4101842887655102017)


@numba.njit(**_inline)  # type: ignore[untyped-decorator]
def gds_advance(state: Any) -> Any:
    """Steps the GDS generator, `state` = (u, v, w) in an array; returns the 64-bit output."""
    state[0] = state[0] * _GDS_A + _GDS_B
    v = state[1]
    v ^= v >> np.uint64(17)
    v ^= v << np.uint64(31)
    v ^= v >> np.uint64(8)
    state[1] = v
    state[2] = _GDS_C * state[2] + (state[2] >> np.uint64(32))
    x = state[0] ^ (state[0] << np.uint64(21))
    x ^= x >> np.uint64(35)
    x ^= x << np.uint64(4)
    return (x + v) ^ state[2]


@numba.njit(**_inline)  # type: ignore[untyped-decorator]
def gds_seed(state: Any, seed: Any) -> None:
    """Puts the generator of `seed` into `state` (3 words)."""
    state[1] = _GDS_V
    state[2] = _ONE
    state[0] = seed ^ _GDS_V
    gds_advance(state)
    state[1] = state[0]
    gds_advance(state)
    state[2] = state[1]
    gds_advance(state)
