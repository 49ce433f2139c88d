"""From powers to the embedding: weighted sum or concatenation, then column standardisation."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels._numba import empty_output
from graphrep.kernels.projection import column_moments, fused_power, standardize_
from graphrep.methods._fastrp_input import Problem
from graphrep.methods._fastrp_passes import Progress
from graphrep.methods._fastrp_settings import Settings
from graphrep.methods._fastrp_start import Start

__all__ = ["concatenated", "merge_powers", "standardized"]


def merge_powers(powers: Tensor, settings: Settings) -> Tensor:
    """(N, d) weighted sum of (normalised) powers, standardised if asked, or (N, q d) side by side.

    Raises:
        ShapeError: `powers` is not (q, N, d), or q differs from the number of weights.
    """
    if powers.dim() != 3:
        raise ShapeError(f"powers must have shape (q, N, d); got {tuple(powers.shape)}.", hint="model.powers(graph)")
    if powers.dtype in (torch.bfloat16, torch.float16):
        powers = powers.float()
    if settings.concat:
        return torch.cat([_unit(u) if settings.normalize else u for u in powers], dim=1)
    if powers.shape[0] != settings.num_powers:
        raise ShapeError(
            f"There are {powers.shape[0]} powers and {settings.num_powers} weights.", hint="one weight per power"
        )
    total = torch.zeros_like(powers[0])
    for weight, power in zip(settings.weights, powers, strict=True):
        if weight != 0.0:
            total += weight * (_unit(power) if settings.normalize else power)
    return standardize_(total, *column_moments(total)) if settings.standardize else total


def _unit(rows: Tensor) -> Tensor:
    norm = rows.double().norm(dim=1, keepdim=True)
    return (rows / torch.where(norm > 0, norm, 1.0)).to(rows.dtype)


def standardized(z: Tensor, settings: Settings) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """`z` standardised in place if the settings ask for it, with the statistics used."""
    if not settings.standardize or settings.concat:
        return z, None
    moments = column_moments(z)
    return standardize_(z, *moments), moments


def concatenated(problem: Problem, start: Start, settings: Settings, progress: Progress | None) -> Tensor:
    """(N, q d): every power, normalised if asked; three N x d buffers beside the result."""
    shape = (problem.num_nodes, settings.dim)
    result = empty_output((shape[0], settings.num_powers * shape[1]), settings.work)
    unit = empty_output(shape, settings.work)
    buffers = [empty_output(shape, settings.storage) for _ in range(min(2, settings.num_powers))]
    scale = problem.row_scale(settings)
    x, x_scale = start.rows, start.scale
    for k in range(settings.num_powers):
        out = buffers[k % 2]
        fused_power(
            problem.csr,
            x,
            row_scale=scale,
            x_scale=x_scale,
            out=out,
            result=unit,
            weight=1.0,
            fresh=True,
            normalize=settings.normalize,
            progress=None if progress is None else _at(progress, k + 1),
        )
        result[:, k * shape[1] : (k + 1) * shape[1]] = unit
        x, x_scale = out, None
    return result


def _at(progress: Progress, power: int):  # type: ignore[no-untyped-def]
    return lambda done, total: progress(power, done, total)
