"""What the operator definitions share: layouts of the transpose, row counts, flat views."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from graphrep.kernels import _numba
from graphrep.kernels._numba import CACHE_LINE, int_bits
from graphrep.kernels._rows import CHUNKS, chunk_bounds
from graphrep.kernels.csr import CSR

Transpose: TypeAlias = "tuple[Tensor | None, Tensor | None, Tensor | None]"

__all__ = [
    "Transpose",
    "accumulator",
    "bounds_of",
    "counts",
    "flat_array",
    "flat_bits",
    "line_of",
    "over",
    "rounded",
    "transpose_of",
    "widened",
]

_BOUNDS: MutableMapping[Tensor, np.ndarray[Any, Any]] = WeakTensorKeyDictionary()
PREFETCH_BYTES = 256  # rows below this size are fetched faster without hints


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """The type that CPU kernels sum numbers of `dtype` in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def counts(rowptr: Tensor, like: Tensor) -> Tensor:
    """(num_rows, 1, ...) number of entries of each row, at least 1, to divide a tensor shaped as `like`."""
    count = (rowptr[1:] - rowptr[:-1]).clamp(min=1).to(like.dtype if like.dtype.itemsize > 2 else torch.float32)
    return count.reshape(-1, *[1] * (like.dim() - 1))


def over(x: Tensor, rowptr: Tensor) -> Tensor:
    """`x` with each row divided by the number of entries that `rowptr` gives it, in the type of `x`."""
    return (x / counts(rowptr, x)).to(x.dtype)


def flat_bits(x: Tensor) -> np.ndarray[Any, Any]:
    """A flat view of a CPU tensor for a kernel: bfloat16 as int16, float16 as uint16, others as they are."""
    if x.requires_grad:
        x = x.detach()
    bits = int_bits(x.contiguous()).reshape(-1)  # numpy's reshape costs a fifth of torch's view
    return bits.view(np.uint16) if x.dtype == torch.float16 else bits


_EMPTY = {t: torch.empty(0, dtype=t).numpy() for t in (torch.float32, torch.float64, torch.int32, torch.int64)}


def flat_array(tensor: Tensor | None, dtype: torch.dtype) -> np.ndarray[Any, Any]:
    """A flat numpy array in `dtype`; empty for None, which kernels read as absent."""
    if tensor is None:
        return _EMPTY[dtype]
    array: np.ndarray[Any, Any] = tensor.detach().to(dtype).contiguous().numpy().reshape(-1)
    return array


def bounds_of(rowptr: Tensor) -> np.ndarray[Any, Any]:
    """First row of each chunk of rows that one thread takes at a time, then the number of rows.

    Kept as long as the tensor lives. A CSR never changes its offsets; if somebody did, the chunks would still cover all
    rows, only less evenly.
    """
    bounds = _BOUNDS.get(rowptr)
    if bounds is None or bounds[-1] != rowptr.shape[0] - 1:
        bounds = chunk_bounds(rowptr.numpy(), np.empty(CHUNKS + 1, np.int64))
        _BOUNDS[rowptr] = bounds
    return bounds


def line_of(x: Tensor) -> int:
    """Numbers of `x` per cache line where its rows are worth prefetching, else 0."""
    size, row_bytes = x.itemsize, x.nbytes // (x.shape[0] or 1)
    return CACHE_LINE // size if row_bytes >= PREFETCH_BYTES else 0


def rounded(out: Tensor, dtype: torch.dtype) -> Tensor:
    """`out` in `dtype`; itself where that is what it has."""
    return out if out.dtype == dtype else _numba.empty_output(tuple(out.shape), dtype).copy_(out)


def transpose_of(csr: CSR, wanted: bool) -> Transpose:
    """The arrays of the transpose, or nothing where no gradient needs them."""
    if not wanted:
        return None, None, None
    transpose = csr.pattern_t()
    return transpose.rowptr, transpose.col, csr.t_perm()


def widened(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of tensors computed in float64, its result or results rounded once to the first one's type."""

    def run(*args: Any) -> Any:
        dtype = next(arg.dtype for arg in args if isinstance(arg, Tensor))
        wide = (arg.double() if isinstance(arg, Tensor) and arg.is_floating_point() else arg for arg in args)
        found = function(*wide)
        return found.to(dtype) if isinstance(found, Tensor) else tuple(x.to(dtype) for x in found)

    return run
