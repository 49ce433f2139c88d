"""Which rows a changed graph changes, and the exact repair of powers and embedding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels import CSR
from graphrep.kernels.projection import fused_power
from graphrep.methods._fastrp_input import Problem
from graphrep.methods._fastrp_local import embed_rows, gathers, select_rows
from graphrep.methods._fastrp_passes import plan_passes
from graphrep.methods._fastrp_settings import Settings
from graphrep.methods._fastrp_start import Start

__all__ = ["Repair", "affected_rows", "positions", "repair"]


def positions(old: Problem, new: Problem) -> Tensor:
    """(N new,) the row that each node had before, -1 for new nodes; matched by external id."""
    if old.ids is None and new.ids is None:
        place = torch.arange(new.num_nodes)
        place[old.num_nodes :] = -1
        return place
    before = np.arange(old.num_nodes) if old.ids is None else np.asarray(old.ids)
    after = np.arange(new.num_nodes) if new.ids is None else np.asarray(new.ids)
    if before.dtype.kind != after.dtype.kind:
        raise GraphrepError("The graph was fitted with ids of another kind (text or integers) than this one has.")
    order = np.argsort(before, kind="stable")
    slot = np.searchsorted(before, after, sorter=order).clip(max=max(before.size - 1, 0))
    if before.size == 0:
        return torch.full((new.num_nodes,), -1)
    found = before[order[slot]] == after
    return torch.from_numpy(np.where(found, order[slot], -1))


def _changed_rows(old: Problem, new: Problem, place: Tensor) -> Tensor:
    """(N new,) rows whose entries are not what they were."""
    known = place >= 0
    before = place.clamp(min=0)
    changed = ~known | (new.csr.degree() != old.csr.degree()[before])
    same = (~changed).nonzero().reshape(-1)
    a, b = select_rows(new.csr, same), select_rows(old.csr, before[same])
    now = torch.full((old.num_nodes,), -1, dtype=torch.int64)
    now[place[known]] = known.nonzero().reshape(-1)
    differs = a.col.long() != now[b.col.long()]
    if a.value is not None and b.value is not None:
        differs |= a.value != b.value
    elif a.value is not None or b.value is not None:
        given = a.value if a.value is not None else b.value
        differs |= given != 1.0
    changed[same[torch.unique(a.row()[differs].long())]] = True
    return changed


def _changed_starts(old: Problem, new: Problem, settings: Settings, place: Tensor) -> Tensor:
    """(N new,) nodes whose start vector is not what it was."""
    before = place.clamp(min=0)
    changed = (place < 0) | (new.degree_scale(settings) != old.degree_scale(settings)[before])
    if new.x is not None and old.x is not None:
        now, then = (x if x.layout is torch.strided else x.to_dense() for x in (new.x, old.x))
        changed |= (now != then[before]).any(dim=1)
    return changed


def affected_rows(old: Problem, new: Problem, settings: Settings, place: Tensor, *, powers: bool) -> Tensor:
    """Node numbers whose embedding (or, with `powers`, any of whose powers) may differ from before."""
    rows, starts = _changed_rows(old, new, place), _changed_starts(old, new, settings, place)
    passes = plan_passes(settings)
    last = passes[-1].power
    touched = starts.clone() if settings.self_weight else place < 0
    reached = rows | gathers(new.csr, starts)
    for k in range(1, last + 1):
        if powers or settings.weights[k - 1] != 0.0:
            touched |= reached
        if k < last:
            reached = rows | gathers(new.csr, reached)
    return touched.nonzero().reshape(-1)


@dataclass(frozen=True)
class Repair:
    """What `repair` starts from: the embedding before (not standardised) and, if kept, the powers."""

    embedding: Tensor
    powers: list[Tensor] | None


def repair(
    old: Problem, new: Problem, settings: Settings, make: Callable[[Problem], Start], before: Repair
) -> tuple[Repair, int]:
    """Embedding and powers of the new graph, recomputing only what changes; with the number of rows recomputed."""
    place = positions(old, new)
    rows = affected_rows(old, new, settings, place, powers=before.powers is not None)
    known = (place >= 0).nonzero().reshape(-1)
    embedding = _moved(before.embedding, place, known, new.num_nodes)
    if before.powers is None:
        if rows.numel():
            embedding[rows] = embed_rows(new, settings, make, rows).to(embedding.dtype)
        return Repair(embedding, None), rows.numel()
    powers = [_moved(power, place, known, new.num_nodes) for power in before.powers]
    if rows.numel():
        embedding[rows] = _with_powers(new, settings, make(new), rows, powers).to(embedding.dtype)
    return Repair(embedding, powers), rows.numel()


def _moved(array: Tensor, place: Tensor, known: Tensor, num_nodes: int) -> Tensor:
    if known.numel() == num_nodes == array.shape[0] and bool((place == torch.arange(num_nodes)).all()):
        return array.clone()
    moved = array.new_zeros((num_nodes, array.shape[1]))
    moved[known] = array[place[known]]
    return moved


def _with_powers(problem: Problem, settings: Settings, start: Start, rows: Tensor, powers: list[Tensor]) -> Tensor:
    """Recomputes `rows` of every power in place, reading the powers of all other nodes as they are."""
    piece: CSR = select_rows(problem.csr, rows)
    scale = problem.row_scale(settings)[rows]
    x, x_scale = start.rows, start.scale
    result = torch.empty((rows.numel(), settings.dim), dtype=settings.work)
    for step in plan_passes(settings):
        out = torch.empty((rows.numel(), settings.dim), dtype=settings.storage) if step.keep else None
        fused_power(
            piece,
            x,
            row_scale=scale,
            x_scale=x_scale,
            own=rows,
            out=out,
            result=result if step.adds else None,
            weight=step.weight,
            self_weight=step.self_weight,
            fresh=step.fresh,
            normalize=settings.normalize,
        )
        if out is not None:
            powers[step.power - 1][rows] = out
            x, x_scale = powers[step.power - 1], None
    return result
