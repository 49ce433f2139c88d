"""FastRP on a part of a graph: exactly the rows asked for, from the ball around them.

U_k of a row needs U_{k-1} of its neighbours only, so q passes over shrinking balls give the rows of a full run bit by
bit: the same kernel sums the same entries in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from graphrep.data._parts import sparse_features
from graphrep.kernels import CSR
from graphrep.kernels.projection import fused_power
from graphrep.methods._fastrp_input import Problem
from graphrep.methods._fastrp_passes import plan_passes
from graphrep.methods._fastrp_settings import Settings
from graphrep.methods._fastrp_start import Start

__all__ = ["Ball", "ball_around", "embed_rows", "gathers", "select_rows"]


@dataclass(frozen=True)
class Ball:
    """Nodes by distance: ``nodes[: sizes[k]]`` are those whose U_k is needed (sizes[0] is all of them)."""

    nodes: Tensor
    sizes: list[int]


def ball_around(csr: CSR, rows: Tensor, hops: int) -> Ball:
    """The nodes within `hops` steps of `rows` (distinct), nearest first."""
    seen = torch.zeros(csr.num_rows, dtype=torch.bool)
    seen[rows] = True
    layers, sizes = [rows], [rows.numel()]
    for _ in range(hops):
        reached = select_rows(csr, layers[-1]).col.long()
        fresh = torch.unique(reached[~seen[reached]])
        seen[fresh] = True
        layers.append(fresh)
        sizes.append(sizes[-1] + fresh.numel())
    return Ball(torch.cat(layers), sizes[::-1])


def select_rows(csr: CSR, rows: Tensor) -> CSR:
    """The matrix (len(rows), num_cols) of some rows, entries in their order."""
    degree = csr.degree().long()[rows]
    rowptr = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
    first = torch.repeat_interleave(csr.rowptr.long()[rows] - rowptr[:-1], degree)
    entry = first + torch.arange(int(rowptr[-1]))
    value = None if csr.value is None else csr.value[entry]
    return CSR(rowptr, csr.col[entry], value, num_cols=csr.num_cols)


def gathers(csr: CSR, marked: Tensor) -> Tensor:
    """(num_rows,) whether a row has a marked column."""
    count = torch.cat([torch.zeros(1, dtype=torch.int64), marked[csr.col.long()].cumsum(0)])
    return count[csr.rowptr[1:].long()] > count[csr.rowptr[:-1].long()]


def embed_rows(problem: Problem, settings: Settings, make: Callable[[Problem], Start], rows: Tensor) -> Tensor:
    """(len(rows), d) rows of the merged embedding, not standardised.

    Args:
        problem: the whole graph.
        settings: checked parameters.
        make: start vectors of a part of the graph.
        rows: distinct node numbers.
    """
    passes = plan_passes(settings)
    ball = ball_around(problem.csr, rows, len(passes))
    matrix = _relabelled(select_rows(problem.csr, ball.nodes[: ball.sizes[1]]), ball, problem.num_nodes)
    start = make(_part(problem, ball.nodes))
    scale = problem.row_scale(settings)[ball.nodes]
    x, x_scale = start.rows, start.scale
    result = torch.empty((rows.numel(), settings.dim), dtype=settings.work)
    for step in passes:
        count = ball.sizes[step.power]
        piece = _leading(matrix, count, x.shape[0])
        out = torch.empty((count, settings.dim), dtype=settings.storage) if step.keep else None
        # The rows asked for come first, but a pass covers more: the result of the others is not used.
        wide = torch.empty((count, settings.dim), dtype=settings.work) if step.adds else None
        if wide is not None and not step.fresh:
            wide.zero_()[: rows.numel()] = result
        fused_power(
            piece,
            x,
            row_scale=scale[:count],
            x_scale=x_scale,
            out=out,
            result=wide,
            weight=step.weight,
            self_weight=step.self_weight,
            fresh=step.fresh,
            normalize=settings.normalize,
        )
        if wide is not None:
            result = wide[: rows.numel()]
        if out is not None:
            x, x_scale = out, None
    return result.contiguous()


def _part(problem: Problem, nodes: Tensor) -> Problem:
    """Keys, strengths and features of some nodes (the matrix stays that of the whole graph)."""
    x = problem.x
    if x is not None:
        x = x[nodes] if x.layout is torch.strided else _sparse_rows(x, nodes)
    return replace(problem, strength=problem.strength[nodes], keys=problem.keys[nodes], x=x)


def _sparse_rows(x: Tensor, nodes: Tensor) -> Tensor:
    part = select_rows(CSR(x.crow_indices(), x.col_indices(), x.values(), num_cols=x.shape[1]), nodes)
    assert part.value is not None
    return sparse_features(part.rowptr, part.col, part.value, (nodes.numel(), x.shape[1]))


def _relabelled(matrix: CSR, ball: Ball, num_nodes: int) -> CSR:
    place = torch.full((num_nodes,), -1, dtype=torch.int64)
    place[ball.nodes] = torch.arange(ball.nodes.numel())
    return CSR(matrix.rowptr, place[matrix.col.long()], matrix.value, num_cols=ball.nodes.numel())


def _leading(matrix: CSR, rows: int, cols: int) -> CSR:
    """The first `rows` rows, whose columns are known to be below `cols`."""
    end = int(matrix.rowptr[rows])
    value = None if matrix.value is None else matrix.value[:end]
    return CSR(matrix.rowptr[: rows + 1], matrix.col[:end], value, num_cols=cols)
