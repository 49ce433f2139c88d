"""The compiled entries of the CPU form, for float32 and float64: they read their arguments from words.

Words: 0 first task of each round, 1 workers, 2 scratch, 3 tasks, 4 u, 5 v, 6 which type they have, 7 N, 8 M, 9 place of
v's numbers, 10 factors, 11 unit, 12 bounded, 13 (scale, shift), 14 to 16 masks, 17 to 23 layout, 24 scales, 25 biases;
forward: 26 sums, 27 maxima; backward: 26 shifts, 27 weights, 28 and 29 gradients.
"""

from __future__ import annotations

from typing import Any

import torch
from numba.core import types as nb_types

from graphrep.kernels._rows import helper, inline
from graphrep.kernels._simd import at
from graphrep.kernels.blockwise._entry import entry, pointer, shifted
from graphrep.kernels.blockwise._tasks import backward_task, forward_task

__all__ = ["BACKWARD", "FORWARD"]


@inline  # type: ignore[untyped-decorator]
def _rows(words: Any, dtype: Any, bfloat16: Any, float16: Any) -> Any:
    """(u, v) as numbers, as bfloat16 bits and as float16 bits, and which of the three they are."""
    numbers = (pointer(words, 4, dtype), pointer(words, 5, dtype))
    bfloat = (pointer(words, 4, bfloat16), pointer(words, 5, bfloat16))
    half = (pointer(words, 4, float16), pointer(words, 5, float16))
    return numbers, bfloat, half, at(words, 6)


@inline  # type: ignore[untyped-decorator]
def _layout(words: Any) -> Any:
    first = (at(words, 17), at(words, 18), at(words, 19), at(words, 20))
    return first + (at(words, 21), at(words, 22), at(words, 23))  # noqa: RUF005 - numba cannot unpack here


@inline  # type: ignore[untyped-decorator]
def _masks(words: Any) -> Any:
    kind = nb_types.int64
    return pointer(words, 14, kind), pointer(words, 15, kind), pointer(words, 16, kind)


@helper  # type: ignore[untyped-decorator]
def _forward(words: Any, worker: int, turn: int, dtype: Any, bfloat16: Any, float16: Any) -> None:
    starts, tasks = pointer(words, 0, nb_types.int64), pointer(words, 3, nb_types.int64)
    limits, layout = pointer(words, 13, dtype), _layout(words)
    sizes, mode = (at(words, 7), at(words, 8), at(words, 9)), (at(words, 12) == 1, at(limits, 0), at(limits, 1))
    numbers = (pointer(words, 24, dtype), pointer(words, 25, dtype))
    for t in range(at(starts, turn) + worker, at(starts, turn + 1), at(words, 1)):
        forward_task(
            shifted(tasks, 7 * t), _rows(words, dtype, bfloat16, float16), sizes, pointer(words, 10, dtype),
            at(words, 11) == 1, mode,
            numbers, _masks(words), pointer(words, 26, nb_types.float64), pointer(words, 27, dtype),
            pointer(words, 2, dtype), worker * layout[6], layout,
        )  # fmt: skip


@helper  # type: ignore[untyped-decorator]
def _backward(words: Any, worker: int, turn: int, dtype: Any, bfloat16: Any, float16: Any) -> None:
    starts, tasks = pointer(words, 0, nb_types.int64), pointer(words, 3, nb_types.int64)
    limits, layout = pointer(words, 13, dtype), _layout(words)
    sizes, mode = (at(words, 7), at(words, 8), at(words, 9)), (at(words, 12) == 1, at(limits, 0), at(limits, 1))
    numbers = (
        pointer(words, 24, dtype),
        pointer(words, 25, dtype),
        pointer(words, 26, dtype),
        pointer(words, 27, dtype),
    )
    grads = (pointer(words, 28, dtype), pointer(words, 29, dtype))
    for t in range(at(starts, turn) + worker, at(starts, turn + 1), at(words, 1)):
        backward_task(
            shifted(tasks, 7 * t), _rows(words, dtype, bfloat16, float16), sizes, pointer(words, 10, dtype),
            at(words, 11) == 1, mode,
            numbers, _masks(words), grads, pointer(words, 2, dtype), worker * layout[6], layout,
        )  # fmt: skip


def _forward_single(words: Any, worker: int, turn: int) -> None:
    _forward(words, worker, turn, nb_types.float32, nb_types.int16, nb_types.uint16)


def _forward_double(words: Any, worker: int, turn: int) -> None:
    _forward(words, worker, turn, nb_types.float64, nb_types.float64, nb_types.float64)


def _backward_single(words: Any, worker: int, turn: int) -> None:
    _backward(words, worker, turn, nb_types.float32, nb_types.int16, nb_types.uint16)


def _backward_double(words: Any, worker: int, turn: int) -> None:
    _backward(words, worker, turn, nb_types.float64, nb_types.float64, nb_types.float64)


FORWARD = {torch.float32: entry(_forward_single), torch.float64: entry(_forward_double)}
BACKWARD = {torch.float32: entry(_backward_single), torch.float64: entry(_backward_double)}
