"""All-pairs log-sum-exps and their gradients on CPU, block by block.

Work: 2 d multiply-adds per pair and direction pair in forward, 6 d in backward, one exponential each. Memory: two
copied blocks, their gradients and a tile per thread (:mod:`graphrep.kernels.blockwise._schedule`), nothing of N x N.
Rows whose products are bounded (unit rows, |scale| up to 40) need no running maximum: then one sweep over the pairs
gives the sums of rows and columns at once, and of U U^T only one half is computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import accumulator
from graphrep.kernels.blockwise import _schedule, reference
from graphrep.kernels.blockwise._entry import run_rounds, words_of
from graphrep.kernels.blockwise._kernels import BACKWARD, FORWARD
from graphrep.kernels.blockwise._masks import Masks, joined
from graphrep.kernels.blockwise._schedule import Layout, layout_of
from graphrep.kernels.blockwise._terms import SKIP_DIAGONAL, UU, UV, VU, VV
from graphrep.kernels.blockwise._unit import largest_norms, reciprocal_norms, restored, unit_dots

__all__ = ["PAD", "Inputs", "contrast", "contrast_backward", "task_rows"]

PAD = 64  # numbers behind the end of what kernels read in whole vectors
LARGEST = {torch.float32: 80.0, torch.float64: 650.0}  # exp(-this) is a normal number
Array = np.ndarray[Any, Any]


class Inputs:
    """What forward and backward share: rows, lengths, block sizes; numbers per node in one array for u and v."""

    def __init__(self, u: Tensor, v: Tensor, scale: float, terms: int, unit: bool, block_size: int) -> None:
        self.u, self.v, self.scale, self.terms, self.unit = u, v, scale, terms, unit
        self.dtype = accumulator(u.dtype)
        self.counts = (u.shape[0], v.shape[0])
        self.base = u.shape[0] + PAD
        self.layout: Layout = layout_of(*self.counts, u.shape[1], self.dtype.itemsize, block_size)
        self.norms = (reciprocal_norms(u), reciprocal_norms(v)) if unit else None
        self.factor = self.spread(self.norms, 1.0)

    def spread(self, parts: tuple[Tensor | None, Tensor | None] | None, fill: float) -> Tensor:
        """(N + M + padding,) numbers of u's and v's rows; `fill` where there are none."""
        out = torch.full((self.base + self.counts[1] + PAD,), fill, dtype=self.dtype)
        for part, start in zip(parts or (None, None), (0, self.base), strict=True):
            if part is not None:
                out[start : start + part.numel()] = part
        return out

    def both(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """The parts of u and v in such an array."""
        return flat[: self.counts[0]], flat[self.base : self.base + self.counts[1]]

    def bounded(self, *, plain: bool) -> bool:
        """Whether exp(scale s - bound) can neither overflow nor vanish for any pair."""
        if not plain:
            return False
        return 2 * self.bound() <= LARGEST[self.dtype]

    def bound(self) -> float:
        """An upper bound on |scale <u_i, v_j>|; NaN where the rows hold NaN."""
        return abs(self.scale) * (1.0 if self.unit else max(largest_norms(self.u, self.v)))

    def common(self, bounded: bool, masks: Masks) -> list[Any]:
        """The kernels' leading words: rows in three types of which one is used, sizes, factors, masks."""
        kind = {torch.bfloat16: 1, torch.float16: 2}.get(self.u.dtype, 0)
        limits = torch.tensor([self.scale, self.bound() if bounded else 0.0], dtype=self.dtype)
        rows = [self.u.detach(), self.v.detach()]
        fixed = [*rows, kind, *self.counts, self.base, self.factor, self.unit, bounded, limits]
        return [*fixed, *joined(masks, self.counts), *self.layout]

    def run(self, entries: dict[torch.dtype, Any], starts: Array, parts: list[Any], *, extra: int = 0) -> None:
        """Runs all rounds; every thread has scratch memory of its own, `extra` numbers behind the layout's."""
        workers = max(1, min(_numba.num_threads(), int(np.diff(starts).max())))
        room = _numba.empty_output((workers, self.layout.scratch + extra), self.dtype)
        words = words_of([starts, workers, room, *parts])
        work = self.counts[0] * self.counts[1] * max(self.layout.width // 8, 1)
        run_rounds(entries[self.dtype].address, words.ctypes.data, starts.size - 1, workers, work=work)


def _blocks(inputs: Inputs) -> tuple[int, int]:
    return tuple(-(-count // inputs.layout.chunk) for count in inputs.counts)  # type: ignore[return-value]


def task_rows(pairs: list[Array], row_side: int, col_side: int, **flags: int) -> list[Array]:
    """Rounds of block pairs as rounds of tasks: row side and block, column side and block, and what to do."""
    rounds = []
    for pair in pairs:
        task = np.zeros((len(pair), 7), np.int64)
        task[:, 0], task[:, 1], task[:, 2], task[:, 3] = row_side, pair[:, 0], col_side, pair[:, 1]
        itself = pair[:, 0] == pair[:, 1]
        task[:, 4] = flags["with_cols"]
        task[:, 5] = itself & bool(flags["skip"])
        task[:, 6] = ~(itself & bool(flags["symmetric"]))
        rounds.append(task)
    return rounds


def _shared_rounds(inputs: Inputs) -> list[list[list[Array]]]:
    """Sweeps that serve rows and columns at once; those inside a list touch different blocks."""
    n, m = _blocks(inputs)
    terms, sweeps, inner = inputs.terms, [], []
    for term, side, blocks in ((UU, 0, n), (VV, 1, m)):
        if terms & term and blocks:
            pairs = _schedule.symmetric_rounds(blocks)
            inner.append(task_rows(pairs, side, side, with_cols=1, skip=1, symmetric=1))
    if inner:
        sweeps.append(inner)
    skip = int(bool(terms & SKIP_DIAGONAL))
    if terms & (UV | VU) and n and m:
        turned = not terms & UV
        rows, cols = (1, 0) if turned else (0, 1)
        pairs = _schedule.rounds_of(m, n) if turned else _schedule.rounds_of(n, m)
        both = int(bool(terms & UV and terms & VU))
        sweeps.append([task_rows(pairs, rows, cols, with_cols=both, skip=skip, symmetric=0)])
    return sweeps


def _row_rounds(inputs: Inputs) -> list[list[list[Array]]]:
    """Sweeps for a running maximum, which gives the sums of rows alone."""
    blocks = _blocks(inputs)
    skip = int(bool(inputs.terms & SKIP_DIAGONAL))
    wanted = ((UU, 0, 0, 1), (UV, 0, 1, skip), (VV, 1, 1, 1), (VU, 1, 0, skip))
    sweeps = []
    for term, row, col, leave in wanted:
        if inputs.terms & term and blocks[row] and blocks[col]:
            pairs = _schedule.rounds_of(blocks[row], blocks[col])
            sweeps.append([task_rows(pairs, row, col, with_cols=0, skip=leave, symmetric=0)])
    return sweeps


@register("contrast", "cpu")
def contrast(
    u: Tensor, v: Tensor, scale: float, terms: int, unit: bool, block_size: int, scale_u: Tensor | None,
    scale_v: Tensor | None, bias_u: Tensor | None, bias_v: Tensor | None, *masks: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """See :func:`graphrep.kernels.blockwise.contrast`."""
    if u.shape[1] == 0:
        return reference.contrast(u, v, scale, terms, unit, block_size, scale_u, scale_v, bias_u, bias_v, *masks)
    inputs = Inputs(u, v, scale, terms, unit, block_size)
    plain = scale_u is None and scale_v is None and bias_u is None and bias_v is None
    bounded = inputs.bounded(plain=plain)
    sweeps = _shared_rounds(inputs) if bounded else _row_rounds(inputs)
    scales, biases = inputs.spread((scale_u, scale_v), 1.0).mul_(scale), inputs.spread((bias_u, bias_v), 0.0)
    sums = inputs.spread(None, 0.0).double()
    tops = inputs.spread(None, -torch.inf)
    shared = inputs.common(bounded, masks)
    for sweep in sweeps:
        starts, tasks = _schedule.merged(sweep)
        inputs.run(FORWARD, starts, [tasks, *shared, scales, biases, sums, tops])
    lse = sums.log_() + (inputs.bound() if bounded else tops.double())
    if not bounded:
        lse = torch.where(tops == torch.inf, torch.inf, lse)
    lse_u, lse_v = (part.to(inputs.dtype, copy=True) for part in inputs.both(lse))
    nothing = lse_u.new_empty(0)
    return (
        lse_u if terms & (UU | UV) else nothing,
        lse_v if terms & (VV | VU) else nothing,
        unit_dots(u, v, scale, inputs.norms, terms),
    )


@register("contrast_backward", "cpu")
def contrast_backward(
    grad_u: Tensor | None, grad_v: Tensor | None, grad_dot: Tensor | None, lse_u: Tensor, lse_v: Tensor, u: Tensor,
    v: Tensor, scale: float, terms: int, unit: bool, block_size: int, scale_u: Tensor | None, scale_v: Tensor | None,
    bias_u: Tensor | None, bias_v: Tensor | None, *masks: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """See :func:`graphrep.kernels.blockwise.reference.contrast_backward`."""
    if u.shape[1] == 0:
        return torch.zeros_like(u), torch.zeros_like(v)
    inputs = Inputs(u, v, scale, terms, unit, block_size)
    plain = scale_u is None and scale_v is None and bias_u is None and bias_v is None
    plain = plain and all(mask is None for mask in masks)
    bounded = inputs.bounded(plain=plain)
    scales, biases = inputs.spread((scale_u, scale_v), 1.0).mul_(scale), inputs.spread((bias_u, bias_v), 0.0)
    lse = inputs.spread((lse_u, lse_v), 0.0)
    weights = inputs.spread((grad_u, grad_v), 0.0).mul_(scales)
    if bounded:
        weights *= (inputs.bound() - lse).exp_()
    weights[lse == -torch.inf] = 0
    lse[lse == -torch.inf] = torch.inf
    grads = [_numba.empty_output(tuple(x.shape), inputs.dtype).zero_() for x in (u, v)]
    shared = inputs.common(bounded, masks)
    for sweep in _shared_rounds(inputs):
        starts, tasks = _schedule.merged(sweep)
        inputs.run(BACKWARD, starts, [tasks, *shared, scales, biases, lse, weights, *grads])
    return restored(grads[0], grads[1], u, v, scale, grad_dot, inputs.norms)
