"""Plain numpy and Python forms of the random projections: slow, short, the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels.projection._words import DOMAIN_FEATURE, DOMAIN_NODE, GOLDEN
from graphrep.kernels.projection.gds import GDSRandom

__all__: list[str] = []

_DOMAINS = {"node": DOMAIN_NODE, "feature": DOMAIN_FEATURE}


def _mix(z: Any) -> Any:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _words(keys: Tensor, seed: int, domain: Any, count: int) -> Any:
    """(N, count) words of the stream of each key."""
    with np.errstate(over="ignore"):
        bits = keys.cpu().numpy().astype(np.uint64)
        start = _mix(_mix(np.array([seed], np.uint64) ^ domain) + _mix(bits + GOLDEN))
        return _mix(start[:, None] + np.arange(1, count + 1, dtype=np.uint64) * GOLDEN)


@register("random_signs", "reference")
def _signs(keys: Tensor, seed: int, stream: str, density: float, out: Tensor) -> None:
    dim = out.shape[1]
    words = _words(keys, seed, _DOMAINS[stream], (dim + 1) // 2)
    halves = np.stack([words & np.uint64(0xFFFFFFFF), words >> np.uint64(32)], axis=2).reshape(len(words), -1)[:, :dim]
    cut = np.uint64(round(density * 2**31))
    out.copy_(torch.from_numpy((halves < cut).astype(np.int8) - ((halves >= cut) & (halves < cut + cut))))


def _gds_sign(rng: GDSRandom) -> int:
    r = rng.next_double()
    return 1 if r < 1 / 6 else (-1 if r < 2 / 6 else 0)


@register("gds_signs", "reference")
def _gds(keys: Tensor, seed: int, out: Tensor) -> None:
    base = GDSRandom(seed).next_u64()
    for i, key in enumerate(keys.tolist()):
        rng = GDSRandom(base ^ (key & (1 << 64) - 1))
        out[i] = torch.tensor([_gds_sign(rng) for _ in range(out.shape[1])])


@register("gds_feature_signs", "reference")
def _gds_features(seed: int, out: Tensor) -> None:
    rng = GDSRandom(GDSRandom(seed).next_u64())
    for column in range(out.shape[1]):
        out[:, column] = torch.tensor([_gds_sign(rng) for _ in range(out.shape[0])])


@register("random_gaussian", "reference")
def _gaussian(keys: Tensor, seed: int, out: Tensor) -> None:
    dim = out.shape[1]
    words = _words(keys, seed, DOMAIN_NODE, 2 * ((dim + 1) // 2)) >> np.uint64(11)
    a, b = (words[:, 0::2] + np.uint64(1)) * 2.0**-53, words[:, 1::2] * 2.0**-53
    radius, angle = np.sqrt(-2 * np.log(a)), 2 * np.pi * b
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2)
    out.copy_(torch.from_numpy(pairs.reshape(len(pairs), -1)[:, :dim]))


@register("hash_text", "reference")
def _hash_text(points: np.ndarray[Any, Any]) -> Tensor:
    keys = np.empty(points.shape[0], np.uint64)
    with np.errstate(over="ignore"):
        for i, row in enumerate(points):
            letters = np.trim_zeros(row, "b")
            state = _mix(np.array([letters.size], np.uint64))
            for letter in letters:
                state = _mix(state + np.uint64(letter))
            keys[i] = state[0]
    return torch.from_numpy(keys.view(np.int64))
