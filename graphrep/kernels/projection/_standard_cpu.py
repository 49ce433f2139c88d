"""Column standardisation: two passes of sums over fixed blocks of rows, then one pass in place."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels.projection._parallel import even_ranges, run_ranges
from graphrep.kernels.projection._standard_reference import safe_std

__all__: list[str] = []


@register("column_moments", "cpu")
def _moments(z: Tensor) -> tuple[Tensor, Tensor]:
    rows, dim = z.shape
    if rows == 0:
        return torch.zeros(dim, dtype=torch.float64), torch.ones(dim, dtype=torch.float64)
    array = z.detach().contiguous().numpy()
    mean = _blocked(array, np.zeros(dim), 1) / rows
    variance = _blocked(array, mean, 2) / rows
    means = torch.from_numpy(mean)
    return means, safe_std(means, torch.from_numpy(variance), rows, np.finfo(np.float64).eps)


def _blocked(array: Any, center: Any, power: int) -> Any:
    """Sum over rows of ``(array - center) ** power``: a block at a time, blocks added in order."""
    bounds = even_ranges(*array.shape)
    step = int(bounds[1] - bounds[0])
    partial = np.zeros((len(bounds) - 1, array.shape[1]))
    run_ranges(
        lambda start, stop: _sum_block(array, start, stop, center, power, partial[start // step]),
        bounds,
        work=array.size,
    )
    return partial.sum(axis=0)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _sum_block(z: Any, start: int, stop: int, center: Any, power: int, total: Any) -> None:
    for i in range(start, stop):
        if power == 1:
            for c in range(z.shape[1]):
                total[c] += z[i, c] - center[c]
        else:
            for c in range(z.shape[1]):
                total[c] += (z[i, c] - center[c]) * (z[i, c] - center[c])


@register("standardize", "cpu")
def _standardize(z: Tensor, mean: Tensor, std: Tensor) -> None:
    array, center, scale = z.numpy(), mean.numpy(), std.numpy()
    run_ranges(
        lambda start, stop: _standardize_rows(array, start, stop, center, scale),
        even_ranges(*array.shape),
        work=array.size,
    )


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _standardize_rows(z: Any, start: int, stop: int, mean: Any, std: Any) -> None:
    for i in range(start, stop):
        for c in range(z.shape[1]):
            z[i, c] = (z[i, c] - mean[c]) / std[c]
