"""The compiled entries of the CPU form, for float32 and float64: they read their arguments from words.

Words: 0 first task of each round, 1 workers, 2 scratch, 3 tasks, 4 x, 5 y, 6 N, 7 M, 8 place of y's factors, 9 factors
(all 1), 10 scratch per worker, 11 (scale, base), 12 to 18 layout; labels: 19 numbers, 20 T, 21 stride; network: 19
left, 20 right, 21 -2 v, 22 h, 23 stride, 24 split; forward: 25 sums, 26 maxima, 27 and 28 those of the weights, 29
whether these are wanted; backward: 25 log-sum-exps, 26 gradients, 27 and 28 those of the weights, 29 whether there are
any, 30 to 33 gradients of x, y, left and right, 34 sums for v and the bias, per task.
Of the moments: 0 first row of each turn, 1 workers, 2 scratch, 6 N, 7 M, 10, 11 (pivot, base), 19 to 24, 25 results.
"""

from __future__ import annotations

from typing import Any

import torch
from numba.core import types as nb_types

from graphrep.kernels._rows import helper, inline
from graphrep.kernels._simd import at
from graphrep.kernels.blockwise._entry import entry, pointer, shifted
from graphrep.kernels.weighted._strips import row_moments
from graphrep.kernels.weighted._tasks import backward_task, forward_task

__all__ = ["LABEL_BACKWARD", "LABEL_FORWARD", "MOMENTS", "NETWORK_BACKWARD", "NETWORK_FORWARD"]


@inline  # type: ignore[untyped-decorator]
def _layout(words: Any) -> Any:
    first = (at(words, 12), at(words, 13), at(words, 14), at(words, 15))
    return first + (at(words, 16), at(words, 17), at(words, 18))  # noqa: RUF005 - numba cannot unpack here


@inline  # type: ignore[untyped-decorator]
def _rows(words: Any, dtype: Any) -> Any:
    """The rows, in the shape that the shared loader takes: of the three types they can have, they have the first."""
    numbers = (pointer(words, 4, dtype), pointer(words, 5, dtype))
    return numbers, numbers, numbers, 0


@inline  # type: ignore[untyped-decorator]
def _labels(words: Any) -> Any:
    return pointer(words, 19, nb_types.int32), at(words, 20), at(words, 21)


@inline  # type: ignore[untyped-decorator]
def _network(words: Any, dtype: Any) -> Any:
    numbers = (pointer(words, 19, dtype), pointer(words, 20, dtype), pointer(words, 21, dtype))
    sizes = (at(words, 22), at(words, 23), at(words, 24) == 1, at(pointer(words, 11, dtype), 1))
    return numbers + sizes


@helper  # type: ignore[untyped-decorator]
def _forward(words: Any, worker: int, turn: int, dtype: Any, labels: Any, network: Any) -> None:
    starts, tasks = pointer(words, 0, nb_types.int64), pointer(words, 3, nb_types.int64)
    sizes, double = (at(words, 6), at(words, 7), at(words, 8)), nb_types.float64
    totals = (pointer(words, 28, dtype), pointer(words, 27, double), at(words, 29) == 1)
    for t in range(at(starts, turn) + worker, at(starts, turn + 1), at(words, 1)):
        forward_task(
            shifted(tasks, 7 * t), _rows(words, dtype), sizes, pointer(words, 9, dtype),
            at(pointer(words, 11, dtype), 0), labels, network, pointer(words, 25, double), pointer(words, 26, dtype),
            totals, pointer(words, 2, dtype), worker * at(words, 10), _layout(words),
        )  # fmt: skip


@helper  # type: ignore[untyped-decorator]
def _backward(words: Any, worker: int, turn: int, dtype: Any, labels: Any, network: Any) -> None:
    starts, tasks = pointer(words, 0, nb_types.int64), pointer(words, 3, nb_types.int64)
    sizes, parts = (at(words, 6), at(words, 7), at(words, 8)), pointer(words, 34, nb_types.float64)
    lse, total = (pointer(words, 25, dtype), pointer(words, 26, dtype)), (pointer(words, 27, dtype),)
    numbers = lse + total + (pointer(words, 28, dtype),)
    nodes = (pointer(words, 30, dtype), pointer(words, 31, dtype))
    grads = nodes + (pointer(words, 32, dtype), pointer(words, 33, dtype))  # noqa: RUF005
    for t in range(at(starts, turn) + worker, at(starts, turn + 1), at(words, 1)):
        backward_task(
            shifted(tasks, 7 * t), _rows(words, dtype), sizes, pointer(words, 9, dtype),
            at(pointer(words, 11, dtype), 0), labels, network, numbers, at(words, 29) == 1, grads,
            shifted(parts, t * (at(words, 22) + 1)), pointer(words, 2, dtype), worker * at(words, 10), _layout(words),
        )  # fmt: skip


@helper  # type: ignore[untyped-decorator]
def _moments(words: Any, worker: int, dtype: Any) -> None:
    pivot, room, out = pointer(words, 11, dtype), pointer(words, 2, dtype), pointer(words, 25, nb_types.float64)
    for row in range(worker, at(words, 6), at(words, 1)):
        row_moments(
            room, worker * at(words, 10), _network(words, dtype), row, at(words, 7), at(pivot, 0), shifted(out, 4 * row)
        )


def _label_forward_single(words: Any, worker: int, turn: int) -> None:
    _forward(words, worker, turn, nb_types.float32, _labels(words), None)


def _label_forward_double(words: Any, worker: int, turn: int) -> None:
    _forward(words, worker, turn, nb_types.float64, _labels(words), None)


def _label_backward_single(words: Any, worker: int, turn: int) -> None:
    _backward(words, worker, turn, nb_types.float32, _labels(words), None)


def _label_backward_double(words: Any, worker: int, turn: int) -> None:
    _backward(words, worker, turn, nb_types.float64, _labels(words), None)


def _network_forward_single(words: Any, worker: int, turn: int) -> None:
    _forward(words, worker, turn, nb_types.float32, None, _network(words, nb_types.float32))


def _network_forward_double(words: Any, worker: int, turn: int) -> None:
    _forward(words, worker, turn, nb_types.float64, None, _network(words, nb_types.float64))


def _network_backward_single(words: Any, worker: int, turn: int) -> None:
    _backward(words, worker, turn, nb_types.float32, None, _network(words, nb_types.float32))


def _network_backward_double(words: Any, worker: int, turn: int) -> None:
    _backward(words, worker, turn, nb_types.float64, None, _network(words, nb_types.float64))


def _moments_single(words: Any, worker: int, turn: int) -> None:
    _moments(words, worker, nb_types.float32)


def _moments_double(words: Any, worker: int, turn: int) -> None:
    _moments(words, worker, nb_types.float64)


LABEL_FORWARD = {torch.float32: entry(_label_forward_single), torch.float64: entry(_label_forward_double)}
LABEL_BACKWARD = {torch.float32: entry(_label_backward_single), torch.float64: entry(_label_backward_double)}
NETWORK_FORWARD = {torch.float32: entry(_network_forward_single), torch.float64: entry(_network_forward_double)}
NETWORK_BACKWARD = {torch.float32: entry(_network_backward_single), torch.float64: entry(_network_backward_double)}
MOMENTS = {torch.float32: entry(_moments_single), torch.float64: entry(_moments_double)}
