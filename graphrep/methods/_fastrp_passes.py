"""The passes of FastRP: which buffers, what each power adds, and the run over them.

Memory: two N x d buffers when only the last two powers have weight (the share of the last but one is then added from
the rows the last pass reads anyway, into the buffer that is free), else two and the result. The signs of the first
power take a quarter of a buffer and lie in one that is not yet in use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from graphrep.kernels._numba import empty_output
from graphrep.kernels.projection import fused_power
from graphrep.methods._fastrp_input import Problem
from graphrep.methods._fastrp_settings import Settings
from graphrep.methods._fastrp_start import Start

__all__ = ["Pass", "Progress", "State", "all_powers", "plan_passes", "run_passes", "spare_signs"]

Progress = Callable[[int, int, int], None]
Save = Callable[["State"], None]


@dataclass(frozen=True)
class Pass:
    """One power: `power` k, what it adds to the result, and whether U_k is kept for the next."""

    power: int
    weight: float
    self_weight: float
    fresh: bool
    keep: bool

    @property
    def adds(self) -> bool:
        return self.weight != 0.0 or self.self_weight != 0.0


@dataclass
class State:
    """Where a run stands after `power` passes: the last power and the result so far (None: not begun)."""

    power: int
    current: Tensor
    result: Tensor | None


def plan_passes(settings: Settings) -> list[Pass]:
    """The passes that have to be run; trailing powers of weight 0 are left out."""
    weights = {k: w for k, w in enumerate(settings.weights, start=1) if w != 0.0}
    last = max(weights, default=1)
    active = sorted(weights) + ([0] if settings.self_weight else [])
    passes: list[Pass] = []
    if settings.storage == settings.work and last > 1 and all(k >= last - 1 for k in active):
        passes = [Pass(k, 0.0, 0.0, False, True) for k in range(1, last)]
        return [*passes, Pass(last, weights[last], weights.get(last - 1, 0.0), True, False)]
    begun = False
    for k in range(1, last + 1):
        step = Pass(k, weights.get(k, 0.0), settings.self_weight if k == 1 else 0.0, not begun, k < last)
        begun = begun or step.adds
        passes.append(step)
    return passes


def spare_signs(settings: Settings, num_nodes: int, buffers: list[Tensor]) -> Tensor | None:
    """int8 memory for the signs inside the second buffer, allocated now if the run needs that buffer."""
    passes = plan_passes(settings)
    if sum(step.keep for step in passes) < 2 and not _in_place(passes):
        return None
    buffers.append(empty_output((num_nodes, settings.dim), settings.storage))
    return buffers[0].view(-1).view(torch.int8)


def _in_place(passes: list[Pass]) -> bool:
    """Whether the result is written into a power buffer by the last pass alone."""
    return len(passes) > 1 and not any(step.adds for step in passes[:-1])


def run_passes(
    problem: Problem,
    start: Start,
    settings: Settings,
    *,
    buffers: list[Tensor] | None = None,
    state: State | None = None,
    progress: Progress | None = None,
    save: Save | None = None,
    keep: list[Tensor] | None = None,
) -> Tensor:
    """The merged embedding (N, d) in the working type, not standardised.

    Args:
        problem: the graph.
        start: start vectors.
        settings: checked parameters.
        progress: called as progress(power, entries done, all entries).
        buffers: free (N, d) buffers; the first may hold the signs of `start`.
        state: continue after `state.power` passes.
        save: called with the state after each pass but the last.
        keep: collects every power that is computed (then none is overwritten).
    """
    free = list(buffers or [])
    scale = problem.row_scale(settings)
    x, x_scale, result = start.rows, start.scale, None
    if state is not None:
        x, x_scale, result = state.current, None, state.result
    shape = (problem.num_nodes, settings.dim)
    passes = plan_passes(settings)
    for step in passes:
        if state is not None and step.power <= state.power:
            continue
        # The buffer that holds the signs comes last: it is still being read by the first pass.
        out = _take(free, shape, settings.storage, first=step.power > 1) if step.keep else None
        if step.adds and result is None:
            reuse = free if settings.storage == settings.work else []
            result = _take(reuse, shape, settings.work, first=step.power > 1)
        fused_power(
            problem.csr,
            x,
            row_scale=scale,
            x_scale=x_scale,
            out=out,
            result=result if step.adds else None,
            weight=step.weight,
            self_weight=step.self_weight,
            fresh=step.fresh,
            normalize=settings.normalize,
            progress=None if progress is None else _at(progress, step.power),
        )
        if keep is not None and out is not None:
            keep.append(out)
        elif (step.power > 1 or start.owned) and out is not None and x.dtype == settings.storage:
            free.append(x)
        if out is not None:
            x, x_scale = out, None
            if save is not None:
                save(State(step.power, out, result))
    assert result is not None
    return result


def _take(free: list[Tensor], shape: tuple[int, int], dtype: torch.dtype, *, first: bool) -> Tensor:
    return free.pop(0) if free and first else empty_output(shape, dtype)


def _at(progress: Progress, power: int) -> Callable[[int, int], None]:
    return lambda done, total: progress(power, done, total)


def all_powers(problem: Problem, start: Start, settings: Settings, num_powers: int) -> Tensor:
    """(q, N, d) powers U_1..U_q in the storage type (float32 for bfloat16 is not made: what is stored is returned)."""
    powers = empty_output((num_powers, problem.num_nodes, settings.dim), settings.storage)
    scale = problem.row_scale(settings)
    x, x_scale = start.rows, start.scale
    for k in range(num_powers):
        fused_power(problem.csr, x, row_scale=scale, x_scale=x_scale, out=powers[k])
        x, x_scale = powers[k], None
    return powers
