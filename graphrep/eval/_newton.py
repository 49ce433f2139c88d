"""Many L2-regularised logistic regressions on one matrix at once: truncated Newton with a leading batch of problems.

Problem b minimises ||w||^2 / 2 + c_b sum_i m_ib log(1 + exp(-s_ib <w, x_i>)), s = 2 y - 1, the objective of liblinear's
L2R_LR (Fan et al., JMLR 2008); m selects the rows, so that folds, classes and values of C form a single batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from graphrep.eval._result import EvalWarning

__all__ = ["Problems", "solve", "threads_for"]

# Entries of the (rows, problems) working arrays: 32 MB each in float64, about ten alive at once.
_CHUNK = 1 << 22
_MAX_NEWTON = 200
_MAX_CG = 300
# Multiplications a product worth a thread: below, a second one gains little, and on a busy machine each of the hundreds
# of products waits for it (measured on BlogCatalog, two busy cores: 11 s with two threads, 3.4 s with one).
_THREAD_WORK = 1 << 27


@dataclass(frozen=True)
class Problems:
    """B problems over one matrix: which target column, which row selection, which inverse penalty."""

    column: Tensor  # (B,) int64 into the columns of `targets`
    member: Tensor  # (B,) int64 into the columns of `members`
    c: Tensor  # (B,) float64

    def __getitem__(self, index: slice) -> Problems:
        return Problems(self.column[index], self.member[index], self.c[index])

    def __len__(self) -> int:
        return len(self.c)


def solve(x: Tensor, targets: Tensor, members: Tensor, problems: Problems, *, tol: float = 1e-4) -> Tensor:
    """Weights (d + 1, B) of every problem, the last row being the (regularised) bias.

    Args:
        x: (n, d) float64 rows.
        targets: (n, K) float64 of 0 and 1.
        members: (n, F) float64 of 0 and 1: rows that take part.
        problems: columns of `targets` and `members`, and C, for each of the B problems.
        tol: stop at ||gradient|| <= tol * max(min(#pos, #neg), 1) / n * ||gradient at 0|| (liblinear's rule).
    """
    design = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    width = max(8, _CHUNK // max(1, len(x)))
    with threads_for(len(x) * min(design.shape) * min(width, len(problems))):
        basis = _eigenbasis(design)
        rotated = design @ basis  # (n, k), nearly orthogonal columns
        starts = range(0, len(problems), width)
        parts = [_newton(rotated, targets, members, problems[start : start + width], tol) for start in starts]
        return torch.matmul(basis, torch.cat([rotated.new_zeros(basis.shape[1], 0), *parts], dim=1))


@contextmanager
def threads_for(work: int) -> Iterator[None]:
    """As many threads inside as the work of one product is worth, the caller's number again afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, max(1, work // _THREAD_WORK)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _eigenbasis(design: Tensor) -> Tensor:
    """(d, k) orthonormal columns spanning the rows of `design`, in which its Gram matrix is diagonal.

    The optimum lies in the row space, so k = min(n, d) unknowns suffice; and with a diagonal Gram matrix the diagonal
    of the Hessian is a preconditioner that leaves few conjugate-gradient steps.
    """
    if design.shape[0] < design.shape[1]:
        rows = torch.linalg.qr(design.t()).Q  # (d, n)
        reduced = design @ rows
        return torch.matmul(rows, torch.linalg.eigh(reduced.t() @ reduced).eigenvectors)
    vectors: Tensor = torch.linalg.eigh(design.t() @ design).eigenvectors
    return vectors


@dataclass
class _State:
    """The problems still running: weights, margins, targets, row weights c * m, stopping norms, column ids."""

    w: Tensor  # (k, B)
    margin: Tensor  # (n, B)
    y: Tensor  # (n, B)
    weight: Tensor  # (n, B)
    first: Tensor  # (B,) gradient norm at w = 0
    stop: Tensor  # (B,)
    ids: Tensor  # (B,)

    def keep(self, mask: Tensor) -> _State:
        w, margin, y, weight = (a[:, mask] for a in (self.w, self.margin, self.y, self.weight))
        return _State(w, margin, y, weight, self.first[mask], self.stop[mask], self.ids[mask])


def _newton(x: Tensor, targets: Tensor, members: Tensor, problems: Problems, tol: float) -> Tensor:
    found = x.new_zeros(x.shape[1], len(problems))
    state = _start(x, targets, members, problems, tol)
    rough = _rough(x, float(problems.c.max()))
    squares = rough.square()
    stuck = 0
    for _ in range(_MAX_NEWTON):
        p = torch.sigmoid(state.margin)
        gradient = state.w + x.t() @ (state.weight * (p - state.y))
        norm = gradient.norm(dim=0)
        running = norm > state.stop
        if not bool(running.all()):
            state, p, gradient, norm = state.keep(running), p[:, running], gradient[:, running], norm[running]
        if state.ids.numel() == 0:
            break
        curvature = (state.weight * p * (1 - p)).to(rough.dtype)
        enough = (norm / state.first).sqrt().clamp(max=0.1)
        step = _conjugate_gradient(rough, squares, curvature, (gradient / norm).to(rough.dtype), enough) * norm
        moved = _line_search(x, state, gradient, step)
        found[:, state.ids] = state.w
        # No decrease at any step length: the objective is flat to rounding, which near the optimum is all one can ask.
        stuck += int((~moved & (norm > 1e-4 * state.first)).sum())
        state = state if bool(moved.all()) else state.keep(moved)
    stuck += state.ids.numel()
    if stuck:
        warnings.warn(f"{stuck} of {len(problems)} probe classifiers did not converge", EvalWarning, stacklevel=2)
    return found


def _rough(x: Tensor, largest_c: float) -> Tensor:
    """`x` in float32 where its products stay in range: a step direction needs few digits, the gradient all."""
    size = largest_c * len(x) * float(x.abs().max()) ** 2 * x.shape[1] if x.numel() else 0.0
    return x.float() if size < 1e30 else x


def _start(x: Tensor, targets: Tensor, members: Tensor, problems: Problems, tol: float) -> _State:
    y, chosen = targets[:, problems.column], members[:, problems.member]
    weight = chosen * problems.c
    rows, positive = chosen.sum(0), (chosen * y).sum(0)
    first = (x.t() @ (weight * (0.5 - y))).norm(dim=0)
    rarer = torch.minimum(positive, rows - positive).clamp(min=1)
    return _State(
        x.new_zeros(x.shape[1], len(problems)),
        torch.zeros_like(y),
        y,
        weight,
        first,
        tol * rarer / rows.clamp(min=1) * first,
        torch.arange(len(problems), device=x.device),
    )


def _conjugate_gradient(x: Tensor, squares: Tensor, curvature: Tensor, gradient: Tensor, enough: Tensor) -> Tensor:
    """Solves (I + X' D X) step = -gradient (unit columns), each to a residual norm of `enough`; in float64."""
    inverse = 1 / (1 + squares.t() @ curvature)  # diagonal of the Hessian
    step, residual = torch.zeros_like(gradient), -gradient
    z = inverse * residual
    direction, rz = z, (residual * z).sum(0)
    result, ids = torch.zeros_like(gradient), torch.arange(gradient.shape[1], device=x.device)
    for _ in range(_MAX_CG):
        product = direction + x.t() @ (curvature * (x @ direction))
        alpha = rz / (direction * product).sum(0)
        step, residual = step + alpha * direction, residual - alpha * product
        running = residual.norm(dim=0) > enough
        if not bool(running.all()):
            result[:, ids] = step
            ids, enough, rz = ids[running], enough[running], rz[running]
            step, residual, direction = step[:, running], residual[:, running], direction[:, running]
            inverse, curvature = inverse[:, running], curvature[:, running]
        if ids.numel() == 0:
            break
        z = inverse * residual
        previous, rz = rz, (residual * z).sum(0)
        direction = z + (rz / previous) * direction
    result[:, ids] = step
    return result.double()


def _line_search(x: Tensor, state: _State, gradient: Tensor, step: Tensor) -> Tensor:
    """Halves each step until it decreases the objective enough; moves `state` and returns which problems moved."""
    sign = 1 - 2 * state.y
    shift = x @ step  # (n, B)
    slope = (gradient * step).sum(0)
    cross, square = (state.w * step).sum(0), step.square().sum(0)
    loss = (state.weight * softplus(sign * state.margin, threshold=40.0)).sum(0)
    length, pending = torch.ones_like(slope), torch.arange(len(slope), device=x.device)
    for _ in range(30):
        t = length[pending]
        trial = sign[:, pending] * (state.margin[:, pending] + t * shift[:, pending])
        value = (state.weight[:, pending] * softplus(trial, threshold=40.0)).sum(0)
        change = t * cross[pending] + t * t / 2 * square[pending] + value - loss[pending]
        short = change > 1e-4 * t * slope[pending]
        pending = pending[short]
        if pending.numel() == 0:
            break
        length[pending] /= 2
    length[pending] = 0.0
    state.w = state.w + length * step
    state.margin = state.margin + length * shift
    return torch.gt(length, 0)
