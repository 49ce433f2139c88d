"""Column standardisation in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._dispatch import register

__all__ = ["safe_std"]


def safe_std(mean: Tensor, variance: Tensor, num_rows: int, eps: float) -> Tensor:
    """Root of the variance; 1 where it is no more than the rounding noise of a constant column."""
    noise = (num_rows * eps * mean) ** 2 + num_rows * eps * variance
    return torch.where(variance <= noise, 1.0, variance.sqrt())


@register("column_moments", "reference")
def _moments(z: Tensor) -> tuple[Tensor, Tensor]:
    wide = z.double()
    if z.shape[0] == 0:
        return wide.new_zeros(z.shape[1]), wide.new_ones(z.shape[1])
    mean = wide.mean(0)
    variance = (wide - mean).square().mean(0)
    return mean, safe_std(mean, variance, z.shape[0], torch.finfo(torch.float64).eps)


@register("standardize", "reference")
def _standardize(z: Tensor, mean: Tensor, std: Tensor) -> None:
    z.copy_((z.double() - mean) / std)
