"""Lloyd's k-means with k-means++ starts in torch, on the device of the rows, distances a block of rows at a time."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["lloyd_steps", "torch_kmeans"]

_MAX_STEPS = 300
_TOLERANCE = 1e-4  # of the mean variance of a column, on the squared shift of all centres
_CPU_ENTRIES, _GPU_ENTRIES = 1 << 18, 1 << 24  # of one (rows, k) block of distances: in the cache; few launches


def torch_kmeans(rows: Tensor, k: int, *, n_init: int, seed: int) -> Tensor:
    """(N,) int64 assignments of the start with the least inertia.

    Args:
        rows: (N, d) floating point, finite.
        k: between 1 and N.
        n_init: starts.
        seed: of all draws, which are made on the CPU and so are the same for every device.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = rows - rows.mean(0)  # distances stay, their rounding shrinks
    square = rows.square().sum(1)
    tolerance = _TOLERANCE * float(rows.var(0, correction=0).mean())
    best, least = torch.zeros(len(rows), dtype=torch.int64, device=rows.device), float("inf")
    for _ in range(n_init):
        labels, inertia = _lloyd(rows, square, _plus_plus(rows, square, k, generator), tolerance)
        if inertia < least:
            best, least = labels, inertia
    return best


def lloyd_steps(rows: Tensor, centres: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """(N,) nearest centres and (k, d) means of the clusters after so many steps from `centres`, 1 or more."""
    square = rows.square().sum(1)
    labels, distance, sums, count = _assign(rows, square, centres)
    centres = _moved(rows, distance, sums, count)
    for _ in range(steps - 1):
        labels, distance, sums, count = _assign(rows, square, centres)
        centres = _moved(rows, distance, sums, count)
    return labels, centres


def _plus_plus(rows: Tensor, square: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """(k, d) centres, each the best of 2 + log k rows drawn by squared distance (Arthur and Vassilvitskii, 2007)."""
    trials = 2 + int(torch.log(torch.tensor(float(k))))
    first = int(torch.randint(len(rows), (1,), generator=generator))
    chosen = [first]
    closest = (square - 2 * rows @ rows[first] + square[first]).clamp(min=0)
    for _ in range(1, k):
        mass = closest.double().cumsum(0)
        draw = torch.rand(trials, generator=generator, dtype=torch.float64).to(rows.device) * mass[-1]
        places = torch.searchsorted(mass, draw, right=True).clamp(max=len(rows) - 1)
        away = (square[:, None] - 2 * rows @ rows[places].t() + square[places]).clamp(min=0)  # (N, trials)
        away = torch.minimum(closest[:, None], away)
        winner = int(away.sum(0).argmin())
        chosen.append(int(places[winner]))
        closest = away[:, winner]
    return rows[torch.tensor(chosen, device=rows.device)]


def _lloyd(rows: Tensor, square: Tensor, centres: Tensor, tolerance: float) -> tuple[Tensor, float]:
    labels, distance, sums, count = _assign(rows, square, centres)
    for _ in range(_MAX_STEPS):
        moved = _moved(rows, distance, sums, count)
        shift = float((moved - centres).square().sum())
        centres = moved
        before = labels
        labels, distance, sums, count = _assign(rows, square, centres)
        if shift <= tolerance or bool((labels == before).all()):
            break
    return labels, float(distance.sum())


def _moved(rows: Tensor, distance: Tensor, sums: Tensor, count: Tensor) -> Tensor:
    """Means of the clusters; an empty one takes the row farthest from its centre, as scikit-learn's does."""
    moved = sums / count.clamp(min=1)[:, None]
    empty = (count == 0).nonzero().squeeze(1)
    if len(empty):
        moved[empty] = rows[distance.topk(len(empty)).indices]
    return moved


def _assign(rows: Tensor, square: Tensor, centres: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Nearest centre (N,) of each row and its squared distance (N,); sums (k, d) and sizes (k,) of the clusters."""
    k = len(centres)
    norm = centres.square().sum(1)
    sums, count = torch.zeros_like(centres), torch.zeros(k, dtype=rows.dtype, device=rows.device)
    labels, nearest = [], []
    step = max(1, (_CPU_ENTRIES if rows.device.type == "cpu" else _GPU_ENTRIES) // k)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        distance = square[start : start + step, None] - 2 * block @ centres.t() + norm
        least = distance.min(1)
        # A product with 0 and 1 adds up in a fixed order, which index_add on a GPU does not.
        member = torch.nn.functional.one_hot(least.indices, k).to(rows.dtype)
        sums += member.t() @ block
        count += member.sum(0)
        labels.append(least.indices)
        nearest.append(least.values.clamp(min=0))
    return torch.cat(labels), torch.cat(nearest), sums, count
