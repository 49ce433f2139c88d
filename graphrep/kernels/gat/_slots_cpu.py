"""Numbers per entry and head as vectors: a slot of 1, 2, 4, 8 or 16 lanes per entry, so a vector holds whole entries.

Lane l of a vector belongs to head l mod slot. Head counts that are no power of two are padded to one; beyond 16 heads
there are groups of 16. A run of up to 512 entries lies in scratch space as ``[group][entry][lane]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba.extending import intrinsic
from torch import Tensor

from graphrep.kernels._rows import PIECE, helper, inline
from graphrep.kernels._simd import INT32, at, vload, vstore, vzero
from graphrep.kernels._simd_math import vabove, vadd, vpick

__all__ = ["LANES", "RUN", "fold_largest", "fold_sum", "gather_slots", "padded", "slot_of", "tiled"]

LANES = 16
RUN = PIECE + LANES  # entries of a run, with room for a vector that starts at the last


def slot_of(heads: int) -> tuple[int, int]:
    """Lanes per entry and groups of heads."""
    slot = min(1 << (heads - 1).bit_length(), LANES)
    return slot, -(-heads // slot)


def padded(tensor: Tensor, dtype: torch.dtype) -> np.ndarray[Any, Any]:
    """(N, H) or (N, 3, H) in `dtype`, flat, the last axis padded with zeros to whole slots."""
    slot, groups = slot_of(tensor.shape[-1])
    tensor = torch.nn.functional.pad(tensor.detach().to(dtype), (0, slot * groups - tensor.shape[-1]))
    array: np.ndarray[Any, Any] = tensor.contiguous().numpy().reshape(-1)
    return array


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def _turned(typingctx: Any, a: Any, by: Any) -> Any:
    """The lanes of `a` rotated by a literal number."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count, shift = args[0].type.count, signature.args[1].literal_value
        order = ir.Constant(ir.VectorType(INT32, count), [(lane + shift) % count for lane in range(count)])
        return builder.shuffle_vector(args[0], ir.Constant(args[0].type, ir.Undefined), order)

    return a(a, by), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _spread(typingctx: Any, a: Any, like: Any) -> Any:
    """The lanes of `a` over and over, as many as `like` has."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = args[1].type.count
        order = ir.Constant(ir.VectorType(INT32, count), [lane % args[0].type.count for lane in range(count)])
        return builder.shuffle_vector(args[0], ir.Constant(args[0].type, ir.Undefined), order)

    return like(a, like), codegen


@inline  # type: ignore[untyped-decorator]
def tiled(zero: Any, pointer: Any, offset: int, slot: int) -> Any:
    """The slot at `offset` in each slot of a vector like `zero`."""
    if slot == 16:
        return vload(pointer, offset, zero)
    if slot == 8:
        return _spread(vload(pointer, offset, vzero(pointer, 8)), zero)
    if slot == 4:
        return _spread(vload(pointer, offset, vzero(pointer, 4)), zero)
    if slot == 2:
        return _spread(vload(pointer, offset, vzero(pointer, 2)), zero)
    return _spread(vload(pointer, offset, vzero(pointer, 1)), zero)


@inline  # type: ignore[untyped-decorator]
def fold_sum(a: Any, slot: int) -> Any:
    """In each lane the sum over the lanes of its head."""
    if slot <= 8:
        a = vadd(a, _turned(a, 8))
    if slot <= 4:
        a = vadd(a, _turned(a, 4))
    if slot <= 2:
        a = vadd(a, _turned(a, 2))
    return vadd(a, _turned(a, 1)) if slot <= 1 else a


@inline  # type: ignore[untyped-decorator]
def fold_largest(a: Any, slot: int) -> Any:
    """In each lane the largest of the lanes of its head; NaN if one of them is."""
    if slot <= 8:
        a = _larger(_turned(a, 8), a)
    if slot <= 4:
        a = _larger(_turned(a, 4), a)
    if slot <= 2:
        a = _larger(_turned(a, 2), a)
    return _larger(_turned(a, 1), a) if slot <= 1 else a


@inline  # type: ignore[untyped-decorator]
def _larger(a: Any, b: Any) -> Any:
    return vpick(vabove(a, b), a, b)


@helper  # type: ignore[untyped-decorator]
def gather_slots(
    col: Any, source: Any, width: int, room: Any, first: int, slot: int, groups: int, start: int, stop: int
) -> None:
    """Copies the slots of rows ``col[start:stop]`` of `source`, `width` numbers each, to scratch space at `first`."""
    for group in range(groups):
        place, shift = first + group * RUN * slot, group * slot
        if slot == 1:
            _copy(vzero(room, 1), 1, col, source, width, room, place, shift, start, stop)
        elif slot == 2:
            _copy(vzero(room, 2), 2, col, source, width, room, place, shift, start, stop)
        elif slot == 4:
            _copy(vzero(room, 4), 4, col, source, width, room, place, shift, start, stop)
        elif slot == 8:
            _copy(vzero(room, 8), 8, col, source, width, room, place, shift, start, stop)
        else:
            _copy(vzero(room, 16), 16, col, source, width, room, place, shift, start, stop)


@inline  # type: ignore[untyped-decorator]
def _copy(
    like: Any, lanes: int, col: Any, source: Any, width: int, room: Any, place: int, shift: int, start: int, stop: int
) -> None:
    for e in range(start, stop):
        vstore(room, place + (e - start) * lanes, vload(source, np.int64(at(col, e)) * width + shift, like))
