"""Start vectors of FastRP: signs that are generated when needed, or a dense matrix (Gaussian, features, given)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphrep.errors import NonFiniteError, ShapeError
from graphrep.kernels._numba import empty_output
from graphrep.kernels.projection import (
    column_moments,
    gds_feature_signs,
    project_features_,
    random_gaussian,
    random_signs,
)
from graphrep.methods._fastrp_input import Problem
from graphrep.methods._fastrp_settings import Settings

__all__ = ["FeatureScale", "Start", "feature_signs", "fit_feature_scale", "given_start", "make_start"]


@dataclass(frozen=True)
class FeatureScale:
    """Mean and standard deviation (F,) of the features of the fitted graph."""

    mean: Tensor
    std: Tensor


@dataclass(frozen=True)
class Start:
    """What the first power gathers: `rows` (N, d), times `scale` (N,) when the rows are int8 signs.

    `owned` rows may be overwritten once the first power is done.
    """

    rows: Tensor
    scale: Tensor | None
    owned: bool = False

    def dense(self, dtype: torch.dtype) -> Tensor:
        """(N, d) start vectors as numbers."""
        if self.scale is None:
            return self.rows.to(dtype)
        return self.rows.to(dtype) * self.scale.to(dtype)[:, None]

    def part(self, nodes: Tensor) -> Start:
        """The rows of some nodes."""
        return Start(self.rows[nodes], None if self.scale is None else self.scale[nodes])


def make_start(
    problem: Problem,
    settings: Settings,
    density: float,
    feature_scale: FeatureScale | None,
    spare: Tensor | None = None,
) -> Start:
    """The scaled start vectors.

    Args:
        problem: the graph, or a part of its nodes.
        settings: checked parameters.
        density: share of non-zero signs.
        feature_scale: subtracted from and divided into the features; None leaves them raw.
        spare: memory that the signs may use, (at least N * dim,) int8.
    """
    width = settings.dim - settings.num_features_dims
    stream: Any = "gds" if settings.gds else "node"
    constant = math.sqrt(1 / (density * settings.dim))
    scale = problem.degree_scale(settings)
    if settings.density == "gaussian":
        rows = random_gaussian(problem.keys, width, seed=settings.seed, dtype=settings.work)
        scale /= math.sqrt(settings.dim)
    else:
        size = problem.num_nodes * width
        out = None if spare is None else spare[:size].view(problem.num_nodes, width)
        rows = random_signs(problem.keys, width, density=density, seed=settings.seed, stream=stream, out=out)
        scale *= constant
        if not settings.num_features_dims:
            return Start(rows, scale.to(settings.work))
    full = empty_output((problem.num_nodes, settings.dim), settings.work)
    torch.mul(rows, scale.to(settings.work)[:, None], out=full[:, :width])
    if settings.num_features_dims:
        assert problem.x is not None
        signs = feature_signs(settings, problem.x.shape[1], density)
        x = problem.x if feature_scale is None else _standard(problem.x, feature_scale)
        project_features_(x, signs, constant, full[:, width:])
    return Start(full, None, owned=True)


def given_start(problem: Problem, settings: Settings, matrix: Any, name: str = "init") -> Start:
    """A given (N, dim) matrix, its rows times strength ** degree_exponent; unscaled it is used without a copy.

    Raises:
        ShapeError: another shape. NonFiniteError: NaN or infinity.
    """
    rows = torch.as_tensor(matrix).detach()
    if rows.shape != (problem.num_nodes, settings.dim):
        raise ShapeError(
            f"{name} has shape {tuple(rows.shape)}; the graph has {problem.num_nodes} nodes and dim is {settings.dim}.",
            hint=f"dim={rows.shape[-1]}, or pass the vectors as features x with feature_ratio=1.0 to project them"
            if rows.dim() == 2
            else "one row per node",
        )
    rows = rows.to(settings.work).contiguous()
    if not bool(torch.isfinite(rows).all()):
        where = (~torch.isfinite(rows)).nonzero()[0].tolist()
        raise NonFiniteError(f"{name}{where} is {rows[tuple(where)]}.", hint=f"torch.nan_to_num({name})")
    if settings.degree_exponent != 0.0:
        rows = rows * problem.degree_scale(settings).to(rows.dtype)[:, None]
    return Start(rows, None)


def feature_signs(settings: Settings, num_features: int, density: float) -> Tensor:
    """(F, p) int8 signs of the feature projection."""
    if settings.gds:
        return gds_feature_signs(num_features, settings.num_features_dims, seed=settings.seed)
    keys = torch.arange(num_features)
    return random_signs(keys, settings.num_features_dims, density=density, seed=settings.seed, stream="feature")


def fit_feature_scale(problem: Problem, settings: Settings) -> FeatureScale | None:
    """Statistics of the features for ``feature_scale="standard"``."""
    if problem.x is None or settings.feature_scale == "raw":
        return None
    dense = problem.x if problem.x.layout is torch.strided else problem.x.to_dense()
    return FeatureScale(*column_moments(dense))


def _standard(x: Tensor, scale: FeatureScale) -> Tensor:
    dense = x if x.layout is torch.strided else x.to_dense()
    return ((dense - scale.mean) / scale.std).to(x.dtype)
