"""What every Triton kernel shares: whether there is Triton at all, launches, types, tile sizes, compile cases.

Nothing here imports Triton until a kernel module does, so the package imports as fast where it is absent. Tile sizes
come from plain functions of the shapes: no timing at run time, so the same input gives the same bytes on every run.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = [
    "AVAILABLE",
    "INTERPRETED",
    "CompileCase",
    "Tile",
    "accumulator",
    "ceil_div",
    "empty",
    "jit",
    "launch",
    "next_power_of_2",
    "pointer",
    "row_tile",
    "vector_width",
]

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Whether kernels run in Triton's interpreter, which takes CPU tensors (read when this module is imported)."""

AVAILABLE = importlib.util.find_spec("triton") is not None and (torch.version.cuda is not None or INTERPRETED)
"""Whether Triton kernels can run here: the guard of every ``from ... import cuda``."""

_POINTERS = {
    torch.float16: "*fp16",
    torch.bfloat16: "*bf16",
    torch.float32: "*fp32",
    torch.float64: "*fp64",
    torch.int8: "*i8",
    torch.int32: "*i32",
    torch.int64: "*i64",
}
VECTOR_BYTES = 16  # the widest load of one thread
MAX_BLOCK = 128  # columns of one program


class CompileCase(NamedTuple):
    """One variant of a kernel that the tests compile for every supported architecture.

    Attributes:
        kernel: the function that :func:`jit` gave.
        signature: argument name -> ``"*fp32"``, ``"i32"``, ...; ``"i32:16"`` is a number known to be divisible by 16.
            Pointers count as aligned to 16 bytes. Of arguments that neither this nor `constants` names, those called
            ``..._ptr`` are None and the others ``"i32"``.
        constants: constexpr arguments.
        num_warps: as the launch has it.
        wide_loads: the widest load of the PTX must be 128 bits.
        spills: bytes of spilled registers that are allowed.
    """

    kernel: Any
    signature: Mapping[str, str]
    constants: Mapping[str, Any]
    num_warps: int = 4
    wide_loads: bool = False
    spills: int = 0


class Tile(NamedTuple):
    """What one program works on: `rows` x `edges` x `block` columns at a time."""

    rows: int
    edges: int
    block: int
    num_warps: int


def jit(function: Callable[..., Any]) -> Any:
    """``triton.jit`` with a type: ``kernel[grid](...)`` runs it, other kernels call it.

    An argument named `count` changes with the graph and is not specialised, so no new graph waits for the compiler.
    """
    import triton

    names = [name for name in inspect.signature(function).parameters if name == "count"]
    return triton.jit(function, do_not_specialize=names)


def launch(kernel: Any, grid: tuple[int, ...], *args: Any, on: Tensor, num_warps: int = 4, **constants: Any) -> None:
    """Runs ``kernel[grid](*args, **constants)`` on the device of `on`; an empty grid does nothing.

    Multiply-adds are fused whatever the default of the installed Triton is, so that results do not depend on it.
    """
    if 0 in grid:
        return
    with torch.cuda.device_of(on):  # type: ignore[no-untyped-call]
        kernel[grid](*args, num_warps=num_warps, enable_fp_fusion=True, **constants)


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """An uninitialised result; the tests put NaN in its place, so that an unwritten entry is seen."""
    return torch.empty(shape, dtype=dtype, device=device)


def accumulator(dtype: torch.dtype) -> Any:
    """The Triton type that numbers of `dtype` are summed in: float64 for float64, else float32."""
    import triton.language as tl

    return tl.float64 if dtype == torch.float64 else tl.float32


def pointer(dtype: torch.dtype) -> str:
    """The name of a pointer to `dtype` in the signature of a :class:`CompileCase`."""
    return _POINTERS[dtype]


def ceil_div(n: int, size: int) -> int:
    """Blocks of `size` that cover `n`."""
    return -(-n // size)


def next_power_of_2(n: int) -> int:
    """The least power of two that is at least `n` and 1."""
    return 1 << max(n - 1, 0).bit_length()


def vector_width(features: int, dtype: torch.dtype) -> int:
    """Numbers that one load may take: a power of two that divides `features`, 16 bytes at most.

    A kernel that gets ``features // width`` and `width` as a constexpr and multiplies them lets the compiler prove that
    rows are aligned, which turns four loads into one where the width is a multiple of 4 but not of 16.
    """
    width = VECTOR_BYTES // dtype.itemsize
    while width > 1 and features % width:
        width //= 2
    return width


def row_tile(features: int, dtype: torch.dtype, *, short: bool) -> Tile:
    """The tile of a kernel that reduces rows of `features` numbers over edges.

    About 8 loads of 16 bytes are in flight per thread, enough to cover the latency of a gather with few warps. Rows of
    few edges share a program; longer rows have one each, which then needs no barrier between warps.
    """
    block = min(next_power_of_2(features), MAX_BLOCK)
    budget = 1024 if dtype != torch.float64 else 512  # numbers per warp
    if not short:
        return Tile(1, max(4, min(32, budget // block)), block, 1)
    edges = 4
    return Tile(max(1, min(32, 2 * budget // (edges * block))), edges, block, 2)
