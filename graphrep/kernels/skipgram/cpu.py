"""Skip-gram on CPU: one thread per block of a round, bound by the rows of both tables that each pair reads and writes.

The negatives of the next pairs are drawn, and all rows of these pairs asked for, while the pairs before them learn.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from graphrep.kernels._counter import DOMAIN_SKIPGRAM, below, fraction, stream_start
from graphrep.kernels._dispatch import register
from graphrep.kernels._numba import twin
from graphrep.kernels._rows import helper, inline
from graphrep.kernels._simd import address, at, prefetch, put, vload, vstore, vzero
from graphrep.kernels._simd_math import vfma, vmul, vsum
from graphrep.kernels.skipgram.partition import Partition
from graphrep.kernels.skipgram.reference import LOSS_EVERY, Pairs, Steps

__all__ = ["draw_nodes", "skipgram"]

BUNCH = 8  # pairs whose rows are asked for together
LINE = 16  # numbers of a float32 cache line


@register("skipgram", "cpu")
def skipgram(
    vertex: Tensor, context: Tensor, pairs: Pairs, parts: Partition, steps: Steps, shift: int, seed: int
) -> tuple[float, int]:
    """One round, pair by pair; arguments and result as in the reference."""
    (first, last), number, weight, decay, _ = steps
    tables = (parts.start.numpy(), parts.node.numpy(), parts.accept.numpy(), parts.other.numpy())
    loss, count = np.zeros(parts.num_parts), np.zeros(parts.num_parts, np.int64)
    _learn_round(
        vertex.detach().view(-1).numpy(),
        context.detach().view(-1).numpy(),
        vertex.shape[1],
        *(array.numpy() for array in pairs),
        tables,
        (first, last, weight, decay),
        number,
        shift,
        np.uint64(seed),
        loss,
        count,
        work=pairs[0].numel() // parts.num_parts * vertex.shape[1],
    )
    return float(loss.sum()), int(count.sum())


@twin()
def _learn_round(
    vertex: Any,
    context: Any,
    width: int,
    source: Any,
    target: Any,
    bounds: Any,
    tables: Any,
    rates: Any,
    number: int,
    shift: int,
    seed: Any,
    loss: Any,
    count: Any,
) -> None:
    parts = loss.size
    for row in prange(parts):
        column = (row + shift) % parts
        low, high = bounds[row * parts + column], bounds[row * parts + column + 1]
        drawn, step = np.empty(2 * BUNCH * number, np.int64), np.empty(width, vertex.dtype)
        scale = np.empty(2, vertex.dtype)  # numbers in the type of the tables
        a_vertex, a_context = address(vertex), address(context)
        _draw(a_vertex, a_context, width, source, target, low, high, tables, column, number, seed, drawn)
        for i in range(low, high):
            if (i - low) % BUNCH == 0:
                ahead = i + BUNCH
                _draw(a_vertex, a_context, width, source, target, ahead, high, tables, column, number, seed, drawn)
            rate = rates[0] + (rates[1] - rates[0]) * (i - low) / (high - low)
            scale[1] = 1.0 - rate * rates[3]
            looked = i % LOSS_EVERY == 0
            count[row] += looked
            mine = source[i] * width
            step[:] = 0
            for t in range(number + 1):
                node, positive = target[i], t == 0
                if not positive:
                    node = drawn[i % (2 * BUNCH) * number + t - 1]
                    if node == target[i]:
                        continue
                score = np.float64(_dot(a_vertex, a_context, mine, node * width, width))
                away = score if positive else -score
                wrong = 1.0 / (1.0 + math.exp(away))  # how far the pair is from where it should be
                share = 1.0 if positive else rates[2]
                if looked:
                    loss[row] += share * (max(-away, 0.0) + math.log1p(math.exp(-abs(away))))
                scale[0] = rate * share * wrong if positive else -rate * share * wrong
                _learn(a_vertex, a_context, address(step), mine, node * width, width, scale[0], scale[1])
            _add(a_vertex, address(step), mine, width, scale[1])


@inline  # type: ignore[untyped-decorator]
def _draw(
    vertex: Any,
    context: Any,
    width: int,
    source: Any,
    target: Any,
    begin: int,
    high: int,
    tables: Any,
    column: int,
    number: int,
    seed: Any,
    drawn: Any,
) -> None:
    """Draws the negatives of the next few pairs into a ring, and asks for all rows that these pairs need."""
    for i in range(begin, min(begin + BUNCH, high)):
        stream = stream_start(seed, DOMAIN_SKIPGRAM, np.uint64(i))
        _ask_for(vertex, source[i] * width, width)
        _ask_for(context, target[i] * width, width)
        for t in range(number):
            node = _one_of(tables, column, stream, t)
            drawn[i % (2 * BUNCH) * number + t] = node
            _ask_for(context, node * width, width)


@inline  # type: ignore[untyped-decorator]
def _one_of(tables: Any, part: int, stream: Any, t: int) -> int:
    """The node that the words of draw `t` of a stream choose in a part."""
    start, nodes, accept, other = tables
    slot = start[part] + below(stream, np.uint64(2 * t), start[part + 1] - start[part])
    one, two = nodes[slot], other[slot]  # both, since a branch that cannot be foreseen would wait for its loads
    return one if fraction(stream, np.uint64(2 * t + 1)) < accept[slot] else two  # type: ignore[no-any-return]


@register("draw_nodes", "cpu")
def draw_nodes(tables: tuple[Tensor, ...], part: Tensor, index: Tensor, number: int, seed: int) -> Tensor:
    """(B, number) nodes; arguments as in the reference."""
    out = torch.empty((index.numel(), number), dtype=torch.int64)
    arrays = (part.contiguous().numpy(), index.contiguous().numpy(), out.numpy())
    _draw_all(tuple(table.numpy() for table in tables), *arrays, np.uint64(seed), work=8 * out.numel())
    return out


@twin()
def _draw_all(tables: Any, part: Any, index: Any, out: Any, seed: Any) -> None:
    for i in prange(index.size):
        stream = stream_start(seed, DOMAIN_SKIPGRAM, np.uint64(index[i]))
        for t in range(out.shape[1]):
            out[i, t] = _one_of(tables, part[i], stream, t)


@inline  # type: ignore[untyped-decorator]
def _ask_for(table: Any, row: int, width: int) -> None:
    for j in range(0, width, LINE):
        prefetch(table, row + j)


@helper  # type: ignore[untyped-decorator]
def _dot(a: Any, b: Any, left: int, right: int, width: int) -> Any:
    j, total = 0, vsum(vzero(a, 1))
    if width >= 64:
        wide = vzero(a, 64)
        while j + 64 <= width:
            wide = vfma(wide, vload(a, left + j, wide), vload(b, right + j, wide))
            j += 64
        total = vsum(wide)
    while j + 16 <= width:
        narrow = vzero(a, 16)
        total += vsum(vmul(vload(a, left + j, narrow), vload(b, right + j, narrow)))
        j += 16
    while j < width:
        total += at(a, left + j) * at(b, right + j)
        j += 1
    return total


@helper  # type: ignore[untyped-decorator]
def _learn(vertex: Any, context: Any, step: Any, mine: int, theirs: int, width: int, scale: Any, keep: Any) -> None:
    """Adds the context row to the step of the vertex row, and the vertex row to the context row."""
    j = 0
    while j + 64 <= width:
        _learn_lanes(vzero(vertex, 64), vertex, context, step, mine + j, theirs + j, j, scale, keep)
        j += 64
    while j + 16 <= width:
        _learn_lanes(vzero(vertex, 16), vertex, context, step, mine + j, theirs + j, j, scale, keep)
        j += 16
    while j < width:
        _learn_lanes(vzero(vertex, 1), vertex, context, step, mine + j, theirs + j, j, scale, keep)
        j += 1


@inline  # type: ignore[untyped-decorator]
def _learn_lanes(
    like: Any, vertex: Any, context: Any, step: Any, mine: int, theirs: int, j: int, scale: Any, keep: Any
) -> None:
    old = vload(context, theirs, like)
    vstore(step, j, vfma(vload(step, j, like), scale, old))
    vstore(context, theirs, vfma(vmul(keep, old), scale, vload(vertex, mine, like)))


@helper  # type: ignore[untyped-decorator]
def _add(vertex: Any, step: Any, mine: int, width: int, keep: Any) -> None:
    for j in range(width):
        put(vertex, mine + j, at(vertex, mine + j) * keep + at(step, j))
