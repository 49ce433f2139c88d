"""Segment reduce and scatter as products with a 0/1 matrix that is never stored.

Both are :func:`graphrep.kernels.spmm` with the identity or the sorting permutation as columns, so values, ties, NaN
and gradients follow the same rules and no sorted copy of the rows is made.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels._build import group_by_row
from graphrep.kernels._check import check_device, check_floating, check_index, check_range
from graphrep.kernels.csr import CSR, check_rowptr, index_dtype
from graphrep.kernels.spmm import spmm
from graphrep.typing import Reduction

__all__ = ["gather_columns", "gather_rows", "grouping", "reduce_rows", "scatter", "segment_reduce"]


def segment_reduce(src: Tensor, rowptr: Tensor, *, reduce: Reduction = "sum") -> Tensor:
    """Reduces consecutive rows: ``out[r]`` is over ``src[rowptr[r]:rowptr[r + 1]]``.

    Args:
        src: (E, ...) numbers.
        rowptr: (R + 1,) int32 or int64 offsets from 0 to E.
        reduce: ``"sum"``, ``"mean"``, ``"max"`` or ``"min"``; empty segments give 0, NaN propagates.

    Returns:
        (R, ...), in the dtype of `src` (half types are summed in float32).

    Raises:
        ShapeError, DTypeError, DeviceError, UnknownNameError: the arguments do not fit each other.

    Example:
        >>> segment_reduce(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 2, 2, 3]), reduce="mean")
        tensor([1.5000, 0.0000, 4.0000])
    """
    check_floating(src, "src")
    check_index(rowptr, "rowptr")
    check_device(rowptr.device, src=src)
    if src.dim() == 0:
        raise ShapeError("src is a single number; it must have at least one axis.", hint="src.reshape(1)")
    check_rowptr(rowptr, src.shape[0])
    return reduce_rows(src, rowptr, reduce=reduce)


def reduce_rows(src: Tensor, rowptr: Tensor, *, reduce: Reduction = "sum") -> Tensor:
    """:func:`segment_reduce` of arguments that are known to be right; reads no values, so it can be traced."""
    dtype = index_dtype(rowptr.shape[0] - 1, src.shape[0], src.shape[0])
    col = torch.arange(src.shape[0], dtype=dtype, device=src.device)
    out: Tensor = spmm(CSR._trusted(rowptr.to(dtype), col, None, src.shape[0], col), src, reduce=reduce)
    return out


def scatter(src: Tensor, index: Tensor, *, dim_size: int | None = None, reduce: Reduction = "sum") -> Tensor:
    """Reduces the rows of `src` that have the same index: ``out[i]`` is over the e with ``index[e] == i``.

    Args:
        src: (E, ...) numbers.
        index: (E,) int32 or int64, in any order.
        dim_size: number of rows of the result; default the largest index + 1.
        reduce: ``"sum"``, ``"mean"``, ``"max"`` or ``"min"``; rows without an entry give 0, NaN propagates.

    Returns:
        (dim_size, ...), in the dtype of `src`. Bitwise the same on every run; of equal maxima the first in the order
        of `src` receives the gradient.

    Raises:
        IndexRangeError, ShapeError, DTypeError, DeviceError, UnknownNameError: the arguments do not fit each other.

    Example:
        >>> scatter(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([2, 0, 2])).tolist()
        [[2.0], [0.0], [5.0]]
    """
    check_floating(src, "src")
    check_index(index, "index")
    if src.dim() == 0 or src.shape[0] != index.numel():
        raise ShapeError(
            f"index has {index.numel()} entries but src has shape {tuple(src.shape)}.", hint="one index per row of src"
        )
    check_device(index.device, src=src)
    out: Tensor = spmm(grouping(index, dim_size), src, reduce=reduce)
    return out


def grouping(index: Tensor, dim_size: int | None) -> CSR:
    """The (dim_size, E) matrix with a 1 in each column e at row ``index[e]``; its columns keep their order in a row."""
    if dim_size is None:
        dim_size = int(index.max()) + 1 if index.numel() else 0
    check_range(index, dim_size, "index")
    dtype = index_dtype(dim_size, index.numel(), index.numel())
    positions = torch.arange(index.numel(), dtype=dtype, device=index.device)
    rowptr, col, perm = group_by_row(index.to(dtype).contiguous(), positions, dim_size)
    return CSR._trusted(rowptr, col, None, index.numel(), perm)


def gather_rows(src: Tensor, rowptr: Tensor, num_edges: int) -> Tensor:
    """Row r of `src` as often as segment r is long, `num_edges` rows in all; the gradient is a segment sum."""
    num_rows = rowptr.shape[0] - 1
    dtype = index_dtype(num_rows, num_edges, num_edges)
    rowptr = rowptr.to(dtype)
    rows = torch.arange(num_rows, dtype=dtype, device=rowptr.device)
    col = torch.repeat_interleave(rows, rowptr[1:] - rowptr[:-1], output_size=num_edges)
    positions = torch.arange(num_edges + 1, dtype=dtype, device=rowptr.device)
    out: Tensor = spmm(CSR._trusted(positions, col, None, num_rows, positions[:-1]), src)
    return out


def gather_columns(src: Tensor, csr: CSR) -> Tensor:
    """``src[csr.col]``, one number or row per entry; the gradient is a sum over the transpose, without atomics."""
    positions = torch.arange(csr.nnz + 1, dtype=csr.col.dtype, device=csr.device)
    entries = CSR._trusted(positions, csr.col, None, csr.num_cols, positions[:-1])
    entries._cache["transpose_perm"] = csr.t_perm()
    entries._cache["transpose"] = CSR._trusted(csr.pattern_t().rowptr, csr.t_perm(), None, csr.nnz, csr.t_perm())
    out: Tensor = spmm(entries, src)
    return out
