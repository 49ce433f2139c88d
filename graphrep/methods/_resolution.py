"""A wanted number of communities from a method that has a resolution instead: search over resolutions and seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.kernels import CSR, modularity
from graphrep.nn._components import connected_components

__all__ = ["Found", "best_of", "effective_number", "search_resolution"]

Run = Callable[[float, int], Tensor]  # (resolution, seed) -> labels (N,) 0..C-1
_HIGHEST = 2.0**40
_EXACT = 1.05  # the resolution sought is known up to this factor
_AROUND = 2.0  # partitions made within this factor of it are candidates


@dataclass(frozen=True)
class Found:
    """A partition and where it was found.

    Attributes:
        labels: (N,) communities.
        resolution: at which partitions were compared.
        quality: modularity at that resolution.
        seed: of the run that found it.
        merged: communities that were merged into others to come down to the wanted number.
    """

    labels: Tensor
    resolution: float
    quality: float
    seed: int
    merged: int = 0


def best_of(run: Run, csr: CSR, resolution: float, seeds: Sequence[int]) -> Found:
    """The partition of largest modularity over several seeds at one resolution; the first of equal ones."""
    runs = [(run(resolution, seed), seed) for seed in seeds]
    scored = [(modularity(csr, labels, resolution=resolution), labels, seed) for labels, seed in runs]
    quality, labels, seed = max(scored, key=lambda item: item[0])
    return Found(labels, resolution, quality, seed)


def search_resolution(run: Run, csr: CSR, k: int, seeds: Sequence[int]) -> Found:
    """A partition into exactly `k` communities.

    Communities become more with the resolution, up to chance, and small ones split off the rim of a graph long before
    its body divides. So the search halves towards the resolution at which the *effective* number of communities of the
    median run reaches `k`. Every partition met near that resolution with at least k communities is brought down to k by
    mergers, and the one of largest modularity at that resolution is kept: modularity at 1, where other numbers of
    communities are best, would rank them by a balance that none of them was made for.

    Args:
        run: makes a partition.
        csr: (N, N) symmetric; at most `k` connected components.
        k: between 1 and N.
        seeds: runs at each resolution.
    """
    components = connected_components(csr)
    if _count(components) == k:  # nothing but the components themselves
        return Found(components, 0.0, 1.0, seeds[0])
    tried: dict[float, list[Tensor]] = {}

    def enough(resolution: float) -> bool:
        if resolution not in tried:
            tried[resolution] = [run(resolution, seed) for seed in seeds]
        return float(np.median([effective_number(labels) for labels in tried[resolution]])) >= k

    target = _threshold(enough)
    near = [runs for resolution, runs in sorted(tried.items()) if 1 / _AROUND <= resolution / target <= _AROUND]
    found = [(labels, seed) for runs in near for labels, seed in zip(runs, seeds, strict=True) if _count(labels) >= k]
    best: Found | None = None
    for labels, seed in found:
        surplus = _count(labels) - k
        merged = _merge(csr, labels, surplus, target)
        quality = modularity(csr, merged, resolution=target)
        if best is None or quality > best.quality:
            best = Found(merged, target, quality, seed, surplus)
    assert best is not None  # the median run at the target has an effective number of k
    return best


def effective_number(labels: Tensor) -> float:
    """Exponential of the entropy of the sizes: C for C communities of one size, less for unequal ones.

    Example:
        >>> [round(effective_number(torch.tensor(labels)), 3) for labels in ([0, 0, 1, 1], [0, 0, 0, 1])]
        [2.0, 1.755]
    """
    share = torch.bincount(labels).double() / labels.numel()
    share = share[share > 0]
    return math.exp(-float((share * share.log()).sum()))


def _threshold(enough: Callable[[float], bool]) -> float:
    """The smallest resolution, up to a few per cent, at which `enough` holds and from which the search came down."""
    high = 1.0
    while not enough(high) and high < _HIGHEST:
        high *= 2
    low = high / 2
    while enough(low) and low > 1 / _HIGHEST:
        low, high = low / 2, low
    while high > low * _EXACT:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _count(labels: Tensor) -> int:
    return int(labels.max()) + 1


def _merge(csr: CSR, labels: Tensor, times: int, resolution: float) -> Tensor:
    """`times` mergers, each of the two linked communities that lose the least modularity by it."""
    import scipy.sparse as sp

    size = _count(labels)
    row, col = labels[csr.row().long()].numpy(), labels[csr.col.long()].numpy()
    value = np.ones(csr.nnz) if csr.value is None else csr.value.detach().double().numpy()
    member, total = np.arange(size), value.sum()
    for _ in range(times):
        links = sp.coo_array((value, (row, col)), shape=(size, size)).tocsr().tocoo()  # equal pairs are added up
        row, col, value = links.row, links.col, links.data
        mass = np.bincount(row, weights=value, minlength=size)
        gain = value - resolution * mass[row] * mass[col] / total
        gain[row >= col] = -np.inf
        best = int(gain.argmax())
        into, gone = int(row[best]), int(col[best])  # into < gone
        row, col, member = (_without(part, gone, into) for part in (row, col, member))
        size -= 1
    return torch.from_numpy(member)[labels]


def _without(names: Any, gone: int, into: int) -> Any:
    """Community `gone` becomes `into`, and the later ones move up."""
    names = np.where(names == gone, into, names)
    return names - (names > gone)
