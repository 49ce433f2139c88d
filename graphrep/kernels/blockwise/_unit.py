"""Unit rows without a normalised copy: lengths before, the projection of the gradient after, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from graphrep.kernels._ops import accumulator
from graphrep.kernels.blockwise._terms import DOTS

__all__ = ["largest_norms", "reciprocal_norms", "restored", "unit_dots"]

SMALLEST = 1e-12  # shorter rows are divided by this, as torch.nn.functional.normalize does
STEP_BYTES = 1 << 20
Norms = tuple[Tensor, Tensor]


def _steps(x: Tensor) -> Iterator[slice]:
    step = max(1, STEP_BYTES // max(8 * x.shape[1], 1))
    for start in range(0, x.shape[0], step):
        yield slice(start, start + step)


def reciprocal_norms(x: Tensor) -> Tensor:
    """(N,) one over the length of each row, at most 1e12."""
    out = x.new_empty(x.shape[0], dtype=accumulator(x.dtype))
    for part in _steps(x):
        out[part] = 1 / torch.linalg.vector_norm(x[part], dim=1, dtype=out.dtype).clamp(min=SMALLEST)
    return out


def largest_norms(u: Tensor, v: Tensor) -> tuple[float, float, float]:
    """Upper bounds of |<u_i, v_j>|, |<u_i, u_j>| and |<v_i, v_j>|, from the longest rows."""
    a, b = (float(1 / reciprocal_norms(x).min()) if x.shape[0] else 0.0 for x in (u, v))
    return a * b, a * a, b * b


def unit_dots(u: Tensor, v: Tensor, scale: float, norms: Norms | None, terms: int) -> Tensor:
    """(N,) scale <u_i, v_i>, over unit rows where `norms` are given; empty where `terms` do not ask for it."""
    out = u.new_empty(u.shape[0] if terms & DOTS else 0, dtype=accumulator(u.dtype))
    if terms & DOTS:
        for part in _steps(u):
            dots = (u[part].to(out.dtype) * v[part].to(out.dtype)).sum(1)
            out[part] = dots * scale if norms is None else dots * scale * norms[0][part] * norms[1][part]
    return out


def restored(
    grad_u: Tensor, grad_v: Tensor, u: Tensor, v: Tensor, scale: float, grad_dot: Tensor | None, norms: Norms | None
) -> tuple[Tensor, Tensor]:
    """Gradients in the rows as given, from those in the unit rows (changed in place) and in the products of pairs."""
    for part in _steps(u) if grad_dot is not None else ():
        left, right = u[part].to(grad_u.dtype), v[part].to(grad_v.dtype)
        factor = (grad_dot[part].to(grad_u.dtype) * scale).unsqueeze(1)  # type: ignore[index]
        if norms is not None:
            left, right = left * norms[0][part].unsqueeze(1), right * norms[1][part].unsqueeze(1)
        grad_u[part] += factor * right
        grad_v[part] += factor * left
    if norms is not None:
        for grad, x, factor in ((grad_u, u, norms[0]), (grad_v, v, norms[1])):
            _project(grad, x, factor)
    return grad_u.to(u.dtype), grad_v.to(v.dtype)


def _project(grad: Tensor, x: Tensor, factor: Tensor) -> None:
    """``(g - x <x, g>) / length`` for unit rows x; rows that were too short to normalise are only divided."""
    for part in _steps(x):
        length = factor[part].unsqueeze(1)
        unit = x[part].to(grad.dtype) * length
        along = (unit * grad[part]).sum(1, keepdim=True)
        along = torch.where(length >= 1 / SMALLEST, 0, along)
        grad[part] = (grad[part] - unit * along) * length
