"""numba forms of the random projections; rows are independent, so blocks of them run on threads."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels.projection._parallel import even_ranges, run_ranges
from graphrep.kernels.projection._words import (
    DOMAIN_FEATURE,
    DOMAIN_NODE,
    gds_advance,
    gds_seed,
    hash_key,
    mix64,
    word,
)

__all__: list[str] = []

_LOW = np.uint64(0xFFFFFFFF)
_S32, _S37, _S38, _S11 = np.uint64(32), np.uint64(37), np.uint64(38), np.uint64(11)
_DOMAINS = {"node": DOMAIN_NODE, "feature": DOMAIN_FEATURE}


def _keys(keys: Tensor) -> Any:
    return keys.contiguous().numpy().view(np.uint64)


@register("random_signs", "cpu")
def _signs(keys: Tensor, seed: int, stream: str, density: float, out: Tensor) -> None:
    bits, target, cut = _keys(keys), out.numpy(), np.uint64(round(density * 2**31))
    fixed = (np.uint64(seed), _DOMAINS[stream], cut, target)
    run_ranges(lambda start, stop: _sign_rows(start, stop, bits, *fixed), even_ranges(*target.shape), work=target.size)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sign_rows(first: int, last: int, keys: Any, seed: Any, domain: Any, cut: Any, out: Any) -> None:
    """One word serves two coordinates; `cut` is density / 2 in units of 2^-32."""
    dim = out.shape[1]
    for i in range(first, last):
        start = hash_key(seed, domain, keys[i])
        for t in range((dim + 1) // 2):
            bits = word(start, np.uint64(t))
            low, high = bits & _LOW, bits >> _S32
            out[i, 2 * t] = np.int8(low < cut) - np.int8((low >= cut) & (low < cut + cut))
            if 2 * t + 1 < dim:
                out[i, 2 * t + 1] = np.int8(high < cut) - np.int8((high >= cut) & (high < cut + cut))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gds_sign(state: Any) -> Any:
    high = gds_advance(state) >> _S38
    low = gds_advance(state) >> _S37
    r = np.float64((high << np.uint64(27)) + low) * 2.0**-53
    if r < 1.0 / 6.0:
        return np.int8(1)
    return np.int8(-1) if r < 2.0 / 6.0 else np.int8(0)


@register("gds_signs", "cpu")
def _gds(keys: Tensor, seed: int, out: Tensor) -> None:
    bits, target = _keys(keys), out.numpy()
    run_ranges(
        lambda start, stop: _gds_rows(start, stop, bits, np.uint64(seed), target),
        even_ranges(*target.shape),
        work=target.size,
    )


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gds_rows(first: int, last: int, keys: Any, seed: Any, out: Any) -> None:
    state = np.empty(3, np.uint64)
    gds_seed(state, seed)
    base = gds_advance(state)
    for i in range(first, last):
        gds_seed(state, base ^ keys[i])
        for c in range(out.shape[1]):
            out[i, c] = _gds_sign(state)


@register("gds_feature_signs", "cpu")
def _gds_features(seed: int, out: Tensor) -> None:
    _gds_feature_columns(np.uint64(seed), out.numpy())


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gds_feature_columns(seed: Any, out: Any) -> None:
    state = np.empty(3, np.uint64)
    gds_seed(state, seed)
    gds_seed(state, gds_advance(state))
    for c in range(out.shape[1]):
        for f in range(out.shape[0]):
            out[f, c] = _gds_sign(state)


@register("random_gaussian", "cpu")
def _gaussian(keys: Tensor, seed: int, out: Tensor) -> None:
    bits, target = _keys(keys), out.numpy()
    run_ranges(
        lambda start, stop: _gaussian_rows(start, stop, bits, np.uint64(seed), DOMAIN_NODE, target),
        even_ranges(*target.shape),
        work=target.size,
    )


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gaussian_rows(first: int, last: int, keys: Any, seed: Any, domain: Any, out: Any) -> None:
    dim = out.shape[1]
    for i in range(first, last):
        start = hash_key(seed, domain, keys[i])
        for t in range((dim + 1) // 2):
            a = np.float64((word(start, np.uint64(2 * t)) >> _S11) + np.uint64(1)) * 2.0**-53  # (0, 1]
            b = np.float64(word(start, np.uint64(2 * t + 1)) >> _S11) * 2.0**-53
            radius, angle = np.sqrt(-2.0 * np.log(a)), 2.0 * np.pi * b
            out[i, 2 * t] = radius * np.cos(angle)
            if 2 * t + 1 < dim:
                out[i, 2 * t + 1] = radius * np.sin(angle)


@register("hash_text", "cpu")
def _hash_text(points: np.ndarray[Any, Any]) -> Tensor:
    keys = np.empty(points.shape[0], np.uint64)
    _hash_rows(points, keys)
    return torch.from_numpy(keys.view(np.int64))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _hash_rows(points: Any, keys: Any) -> None:
    """Code points up to the padding zeros, absorbed one by one; the width of the array does not matter."""
    for i in range(points.shape[0]):
        length = points.shape[1]
        while length > 0 and points[i, length - 1] == 0:
            length -= 1
        state = mix64(np.uint64(length))
        for c in range(length):
            state = mix64(state + np.uint64(points[i, c]))
        keys[i] = state
