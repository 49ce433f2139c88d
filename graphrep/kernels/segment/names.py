"""The functions of torch_scatter by their names and signatures, with this package's rules for ties, NaN and -inf."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels._check import check_device, check_floating, check_index
from graphrep.kernels.csr import CSR, check_rowptr, index_dtype
from graphrep.kernels.segment.reduce import gather_rows, grouping
from graphrep.kernels.spmm import spmm
from graphrep.typing import Reduction

__all__ = ["flattened", "gather_csr", "scatter_add", "scatter_max", "scatter_mean", "scatter_min", "segment_csr"]


def scatter_add(
    src: Tensor, index: Tensor, dim: int = -1, out: Tensor | None = None, dim_size: int | None = None
) -> Tensor:
    """Sums the entries of `src` along `dim` that have the same index.

    Args:
        src: numbers of any shape.
        index: (src.shape[dim],) integers, or a tensor that broadcasts to the shape of `src` as torch_scatter does it
            (missing axes are appended at the end).
        dim: the axis that `index` runs along.
        out: must be None; accumulating into a given tensor would modify it.
        dim_size: size of the result along `dim`; default the largest index + 1.

    Returns:
        As `src` with size `dim_size` along `dim`; 0 where no entry has the index.

    Raises:
        IndexRangeError, ShapeError, DTypeError, DeviceError: the arguments do not fit each other.

    Example:
        >>> scatter_add(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([1, 0, 1]))
        tensor([[2., 5.]])
    """
    return _scatter(src, index, dim, out, dim_size, "sum")[0]


def scatter_mean(
    src: Tensor, index: Tensor, dim: int = -1, out: Tensor | None = None, dim_size: int | None = None
) -> Tensor:
    """As :func:`scatter_add`, divided by the number of entries.

    Example:
        >>> scatter_mean(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1, 0, 1]))
        tensor([2.0000, 2.5000])
    """
    return _scatter(src, index, dim, out, dim_size, "mean")[0]


def scatter_max(
    src: Tensor, index: Tensor, dim: int = -1, out: Tensor | None = None, dim_size: int | None = None
) -> tuple[Tensor, Tensor]:
    """As :func:`scatter_add` for the maximum.

    Returns:
        (values, arg): `arg` is the position along `dim` of the entry that won, the first of equal ones, and -1 (not
        ``src.size(dim)``) where no entry has the index. NaN counts as the largest; a group of only -inf gives -inf.

    Example:
        >>> scatter_max(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1, 1, 3]))
        (tensor([0., 2., 0., 4.]), tensor([-1,  1, -1,  2]))
    """
    return _scatter(src, index, dim, out, dim_size, "max")


def scatter_min(
    src: Tensor, index: Tensor, dim: int = -1, out: Tensor | None = None, dim_size: int | None = None
) -> tuple[Tensor, Tensor]:
    """As :func:`scatter_max` for the minimum.

    Example:
        >>> scatter_min(torch.tensor([1.0, 2.0]), torch.tensor([0, 0]))
        (tensor([1.]), tensor([0]))
    """
    return _scatter(src, index, dim, out, dim_size, "min")


def segment_csr(src: Tensor, indptr: Tensor, out: Tensor | None = None, reduce: Reduction = "sum") -> Tensor:
    """Reduces ranges along the last axis of `indptr`: range r is ``indptr[..., r]`` to ``indptr[..., r + 1]``.

    Args:
        src: numbers whose first axes match those of `indptr` before its last.
        indptr: (..., R + 1) offsets that never decrease; entries outside them are left out.
        out: must be None.
        reduce: ``"sum"``, ``"mean"``, ``"max"`` or ``"min"``.

    Example:
        >>> segment_csr(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 1, 3]))
        tensor([1., 6.])
    """
    _no_out(out)
    check_floating(src, "src")
    starts, dim = _batched(src, indptr)
    size = src.shape[dim]
    if bool((starts < 0).any()) or bool((starts > size).any()):
        raise ShapeError(f"indptr runs from {int(starts.min())} to {int(starts.max())} but src has {size} entries.")
    degree = starts[:, 1:] - starts[:, :-1]
    if bool((degree < 0).any()):
        raise ShapeError("indptr decreases.", hint="torch.cumsum of the segment lengths")
    origin = starts[:, :-1] + torch.arange(starts.shape[0], device=src.device).unsqueeze(1) * size
    rows, flat = degree.numel(), src.reshape(-1, *src.shape[dim + 1 :])
    rowptr = torch.zeros(rows + 1, dtype=torch.int64, device=src.device)
    torch.cumsum(degree.reshape(-1), 0, out=rowptr[1:])
    shift = torch.repeat_interleave(origin.reshape(-1) - rowptr[:-1], degree.reshape(-1))
    col = shift + torch.arange(shift.numel(), device=src.device)
    dtype = index_dtype(rows, flat.shape[0], col.numel())
    positions = torch.arange(col.numel(), dtype=dtype, device=src.device)
    csr = CSR._trusted(rowptr.to(dtype), col.to(dtype), None, flat.shape[0], positions)
    reduced: Tensor = spmm(csr, flat, reduce=reduce)
    return reduced.reshape(*src.shape[:dim], degree.shape[1], *src.shape[dim + 1 :])


def gather_csr(src: Tensor, indptr: Tensor, out: Tensor | None = None) -> Tensor:
    """Repeats entry r of `src` along the last axis of `indptr` as often as range r is long.

    Example:
        >>> gather_csr(torch.tensor([5.0, 7.0]), torch.tensor([0, 1, 3]))
        tensor([5., 7., 7.])
    """
    _no_out(out)
    check_floating(src, "src")
    starts, dim = _batched(src, indptr)
    if src.shape[dim] != starts.shape[1] - 1:
        raise ShapeError(f"indptr has {starts.shape[1] - 1} ranges but src has {src.shape[dim]} entries.")
    for row in starts:
        check_rowptr(row, int(starts[0, -1]))
    degree = (starts[:, 1:] - starts[:, :-1]).reshape(-1)
    rowptr = torch.nn.functional.pad(degree.cumsum(0), (1, 0))
    repeated = gather_rows(src.reshape(degree.numel(), *src.shape[dim + 1 :]), rowptr, int(rowptr[-1]))
    return repeated.reshape(*src.shape[:dim], -1 if repeated.numel() else int(starts[0, -1]), *src.shape[dim + 1 :])


def _scatter(
    src: Tensor, index: Tensor, dim: int, out: Tensor | None, dim_size: int | None, reduce: Reduction
) -> tuple[Tensor, Tensor]:
    _no_out(out)
    flat, group, columns, back = flattened(src, index, dim, dim_size)
    rows = group.num_rows // columns
    if reduce in ("sum", "mean"):
        return back(spmm(group, flat, reduce=reduce), rows), group.perm
    values, arg = spmm(group, flat, reduce=reduce, return_arg=True)
    if group.nnz:
        arg = torch.where(arg < 0, arg, group.perm.long()[arg.clamp(min=0)] // columns)
    return back(values, rows), back(arg, rows)


def flattened(src: Tensor, index: Tensor, dim: int, dim_size: int | None) -> tuple[Tensor, CSR, int, Any]:
    """`src` with `dim` first, the grouping of its rows, columns per group, and the way back to the given axes.

    An index that varies along other axes too makes each number a row of its own: group = index * columns + column.
    """
    check_floating(src, "src")
    check_index(index, "index", ndim=index.dim() if isinstance(index, Tensor) else 1)
    check_device(src.device, index=index)
    if src.dim() == 0 or not -src.dim() <= dim < src.dim():
        raise ShapeError(f"dim is {dim} but src has shape {tuple(src.shape)}.")
    dim %= src.dim()
    index = _aligned(src, index, dim)
    moved = src.movedim(dim, 0)
    rest = moved.shape[1:]
    flat, columns = moved.reshape(moved.shape[0], math.prod(rest)), 1
    first = index.movedim(dim, 0)
    if first.numel() == first.shape[0]:
        group = grouping(first.reshape(-1), dim_size)
    else:
        columns = math.prod(rest)
        if dim_size is None:
            dim_size = int(index.max()) + 1
        full = first.expand(moved.shape).reshape(moved.shape[0], columns)
        group = grouping(
            (full.long() * columns + torch.arange(columns, device=full.device)).reshape(-1), dim_size * columns
        )
        flat = flat.reshape(-1)

    def back(result: Tensor, size: int) -> Tensor:
        return result.reshape(size, *rest).movedim(0, dim)

    return flat, group, columns, back


def _aligned(src: Tensor, index: Tensor, dim: int) -> Tensor:
    """`index` with as many axes as `src`."""
    if index.dim() == 1:
        index = index.reshape(*[1] * dim, -1, *[1] * (src.dim() - dim - 1))
    index = index.reshape(*index.shape, *[1] * (src.dim() - index.dim()))
    fits = index.dim() == src.dim() and all(i in (1, s) for i, s in zip(index.shape, src.shape, strict=True))
    if not fits or index.shape[dim] != src.shape[dim]:
        raise ShapeError(
            f"index of shape {tuple(index.shape)} does not broadcast to src, {tuple(src.shape)}, along dim {dim}.",
            hint=f"one index per entry along dim {dim}",
        )
    return index


def _batched(src: Tensor, indptr: Tensor) -> tuple[Tensor, int]:
    """`indptr` as (batches, R + 1) int64, and the axis of `src` that it cuts."""
    check_index(indptr, "indptr", ndim=indptr.dim() if isinstance(indptr, Tensor) else 1)
    check_device(src.device, indptr=indptr)
    dim = indptr.dim() - 1
    if dim < 0 or src.dim() <= dim or indptr.shape[-1] == 0:
        raise ShapeError(f"indptr has shape {tuple(indptr.shape)} and src {tuple(src.shape)}.", hint="(..., R + 1)")
    if any(i not in (1, s) for i, s in zip(indptr.shape[:dim], src.shape[:dim], strict=True)):
        raise ShapeError(f"indptr of shape {tuple(indptr.shape)} does not match src of shape {tuple(src.shape)}.")
    return indptr.expand(*src.shape[:dim], -1).reshape(-1, indptr.shape[-1]).long(), dim


def _no_out(out: Tensor | None) -> None:
    if out is not None:
        raise GraphrepError("out must be None: inputs are never modified.", hint="out + scatter_add(...)")
