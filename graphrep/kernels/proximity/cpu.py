"""Forward push and Katz sums on CPU: one sparse row at a time, in arrays that belong to the thread."""

from __future__ import annotations

import threading
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels._sparse_rows import RowScratch, ascending, cost_ranges, sum_step
from graphrep.kernels.csr import CSR
from graphrep.kernels.projection._parallel import run_ranges

__all__ = ["katz_scores", "pagerank_rows"]

_options = {"nogil": True, "cache": True, "error_model": "numpy"}


class _PushScratch(threading.local):
    """Arrays of one thread: stamps and a list of the nodes touched, two frontiers, mass, residual and what moves."""

    def __init__(self, size: int) -> None:
        self.seen = np.zeros(size + 1, np.int64)  # the last element is the stamp in use
        self.nodes = np.empty((3, size), np.int64)
        self.numbers = np.empty((3, size), np.float64)


@register("pagerank_rows", "cpu")
def pagerank_rows(
    csr: CSR, nodes: Tensor, teleport: float, tolerance: float, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(S,) entries of each row, and their columns and values; each row has room for `most`."""
    counts = torch.zeros(nodes.numel(), dtype=torch.int64)
    columns = _numba.empty_output((nodes.numel() * most,), csr.col.dtype)
    values = _numba.empty_output((nodes.numel() * most,), torch.float64)
    scratch = _PushScratch(csr.num_rows)
    fixed = (csr.rowptr.numpy(), csr.col.numpy(), nodes.numpy(), teleport, tolerance, most)
    out = (counts.numpy(), columns.numpy(), values.numpy())
    bounds, work = cost_ranges(torch.full((nodes.numel(),), 8 * most, dtype=torch.int64))
    run_ranges(lambda a, b: _push(a, b, *fixed, *out, scratch.seen, scratch.nodes, scratch.numbers), bounds, work=work)
    kept = torch.arange(most).expand(nodes.numel(), -1) < counts[:, None]
    return counts, columns.view(-1, most)[kept], values.view(-1, most)[kept]


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _push(
    first: int,
    last: int,
    rowptr: Any,
    col: Any,
    starts: Any,
    teleport: float,
    tolerance: float,
    most: int,
    counts: Any,
    columns: Any,
    values: Any,
    seen: Any,
    nodes: Any,
    numbers: Any,
) -> None:
    mass, rest, moving = numbers
    touched = nodes[2]
    for k in range(first, last):
        seen[-1] += 1
        stamp, start, side = seen[-1], starts[k], 0
        seen[start], touched[0], mass[start], rest[start] = stamp, start, 0.0, 1.0
        count, front = 1, 0
        if tolerance * max(rowptr[start + 1] - rowptr[start], 1) <= 1.0:
            nodes[side, 0], front = start, 1
        while front:
            for f in range(front):  # all of the frontier lets go before any of it receives
                u = nodes[side, f]
                degree = np.float64(rowptr[u + 1] - rowptr[u])
                mass[u] += rest[u] * (teleport if degree else 1.0)
                moving[u] = rest[u] * ((1.0 - teleport) / max(degree, 1.0))
                rest[u] = 0.0
            ahead = 0
            for f in range(front):
                u = nodes[side, f]
                share = moving[u]
                for e in range(np.int64(rowptr[u]), np.int64(rowptr[u + 1])):
                    v = np.int64(col[e])
                    if seen[v] != stamp:
                        seen[v], touched[count], mass[v], rest[v] = stamp, v, 0.0, 0.0
                        count += 1
                    bound = tolerance * max(np.float64(rowptr[v + 1] - rowptr[v]), 1.0)
                    before = rest[v]
                    rest[v] = before + share
                    if before < bound and rest[v] >= bound:
                        nodes[1 - side, ahead] = v
                        ahead += 1
            side, front = 1 - side, ahead
        found = k * most
        for node in ascending(touched[:count], seen):
            if mass[node] > 0.0:
                columns[found], values[found] = node, mass[node]
                found += 1
        counts[k] = found - k * most


@register("katz_scores", "cpu")
def katz_scores(csr: CSR, starts: Tensor, pointer: Tensor, ends: Tensor, beta: float, hops: int) -> Tensor:
    """(P,) sums of the pairs of ``starts[k]`` with ``ends[pointer[k] : pointer[k + 1]]``."""
    out = torch.empty(ends.numel(), dtype=torch.float64)
    scratch, turned = RowScratch(csr.num_rows), csr.pattern_t()
    step = np.broadcast_to(np.float64(beta), csr.nnz)
    fixed = (csr.rowptr.numpy(), csr.col.numpy(), step, turned.rowptr.numpy(), turned.col.numpy(), starts.numpy())
    rest = (pointer.numpy(), ends.numpy(), beta, hops, out.numpy())
    bounds, work = cost_ranges(_costs(csr, turned, starts, pointer, ends, hops))
    run_ranges(lambda a, b: _katz(a, b, *fixed, *rest, scratch.seen, scratch.nodes, scratch.values), bounds, work=work)
    return out


def _costs(csr: CSR, turned: CSR, starts: Tensor, pointer: Tensor, ends: Tensor, hops: int) -> Tensor:
    """(S,) about the products that each start takes; beyond three hops, those of three."""
    degree, last = csr.degree().long(), turned.degree().long()
    total = torch.cat([degree.new_zeros(1), degree[csr.col.long()].cumsum(0)])
    within = degree if hops == 2 else (total[csr.rowptr[1:].long()] - total[csr.rowptr[:-1].long()])
    column = torch.cat([last.new_zeros(1), last[ends].cumsum(0)])[pointer].diff()
    return column + 1 + (within[starts] if hops > 1 else 0)


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _katz(
    first: int,
    last: int,
    rowptr: Any,
    col: Any,
    step: Any,
    t_rowptr: Any,
    t_col: Any,
    starts: Any,
    pointer: Any,
    ends: Any,
    beta: float,
    hops: int,
    out: Any,
    seen: Any,
    nodes: Any,
    numbers: Any,
) -> None:
    for k in range(first, last):
        seen[-1] += 1
        start, side, count = starts[k], 0, 1
        seen[start], nodes[0, 0], numbers[0, start] = seen[-1], start, 1.0
        for _ in range(hops - 1):  # row <- start + beta * row A
            count = sum_step(rowptr, col, step, nodes[side, :count], numbers[side], seen, nodes, numbers, 1 - side)
            side = 1 - side
            if seen[start] == seen[-1]:
                numbers[side, start] += 1.0
            else:
                seen[start], nodes[side, count], numbers[side, start] = seen[-1], start, 1.0
                count += 1
        stamp = seen[-1]
        for p in range(pointer[k], pointer[k + 1]):
            total = 0.0
            for e in range(np.int64(t_rowptr[ends[p]]), np.int64(t_rowptr[ends[p] + 1])):
                v = np.int64(t_col[e])
                if seen[v] == stamp:
                    total += numbers[side, v]
            out[p] = beta * total
