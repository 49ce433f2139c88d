"""Turning what users pass (lists, numpy, torch of any integer type) into the tensors a graph holds."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphrep.data.check import check_node_ids, check_rows, check_weight
from graphrep.errors import DTypeError, ShapeError
from graphrep.kernels import CSR
from graphrep.kernels._build import group_by_row
from graphrep.kernels._check import check_edge_index

__all__ = [
    "apart",
    "as_edge_index",
    "as_features",
    "as_ids",
    "as_labels",
    "as_scipy",
    "as_split",
    "as_tensor",
    "as_text",
    "as_weight",
    "build_csr",
    "check_compressed",
    "class_count",
    "fill_non_finite",
    "pad_rows",
    "restored",
    "sorted_rows",
    "sparse_features",
]

_INT32_LIMIT = 2**31 - 1


def as_tensor(value: Any, name: str) -> Tensor:
    """A tensor that shares memory where it can; numpy arrays that are read-only are copied."""
    if isinstance(value, Tensor):
        return value
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise DTypeError(f"{name} has dtype {array.dtype}; numbers are needed.", hint="torch.as_tensor(...)")
        if array.dtype in (np.uint16, np.uint32, np.uint64):
            array = array.astype(np.int64)
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    except (TypeError, ValueError) as error:
        if isinstance(error, DTypeError):
            raise
        raise DTypeError(f"{name} of type {type(value).__name__} is not an array: {error}.") from error


def as_edge_index(value: Any) -> Tensor:
    """(2, E) int64."""
    tensor = as_tensor(value, "edge_index")
    if tensor.numel() == 0 and tensor.dim() == 2 and tensor.shape[0] == 2:
        return tensor.long()
    if tensor.dtype in (torch.int8, torch.int16, torch.uint8):
        tensor = tensor.long()
    check_edge_index(tensor)
    return tensor.long().contiguous()


def as_weight(value: Any, num_edges: int) -> Tensor | None:
    """(E,) floating point, finite."""
    if value is None:
        return None
    tensor = as_tensor(value, "edge_weight")
    if tensor.dim() == 2 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    check_weight(tensor, num_edges)
    return tensor if tensor.is_floating_point() else tensor.float()


def as_features(value: Any) -> Tensor | None:
    """(N, F) floating point: dense, or sparse CSR (scipy matrices and other torch layouts become CSR)."""
    if value is None:
        return None
    if hasattr(value, "tocsr"):
        value = value.tocsr()
        return sparse_features(value.indptr, value.indices, value.data, value.shape)
    tensor = as_tensor(value, "x")
    if tensor.is_complex():
        raise DTypeError(f"x must hold real numbers; got {tensor.dtype}.", hint="x.real, or torch.view_as_real(x)")
    if tensor.dim() == 1:
        tensor = tensor[:, None]
    if tensor.dim() != 2:
        raise ShapeError(f"x must have shape (N, F); got {tuple(tensor.shape)}.", hint="x.flatten(1)")
    if tensor.layout is torch.strided:
        return tensor if tensor.is_floating_point() else tensor.float()
    if tensor.layout is not torch.sparse_csr:
        tensor = _quietly(lambda: tensor.to_sparse_csr())
    if tensor.values().is_floating_point():
        return tensor
    return sparse_features(tensor.crow_indices(), tensor.col_indices(), tensor.values(), tuple(tensor.shape))


def sparse_features(indptr: Any, indices: Any, data: Any, shape: tuple[int, ...]) -> Tensor:
    """(N, F) torch sparse CSR from the three arrays of a CSR matrix; columns are sorted and repeats summed.

    Raises:
        ShapeError: the arrays do not form a matrix of that shape.
    """
    import scipy.sparse as sp

    pieces = [as_tensor(part, name).detach().cpu().numpy() for part, name in ((data, "x_data"), (indices, "x_indices"))]
    values = pieces[0] if pieces[0].dtype in (np.float32, np.float64) else pieces[0].astype(np.float32)
    rows = as_tensor(indptr, "x_indptr").detach().cpu().numpy()
    if len(shape) != 2:
        raise ShapeError(f"x_shape must hold two numbers; got {tuple(shape)}.", hint="(N, F)")
    check_compressed(rows, pieces[1], int(shape[0]), int(shape[1]), len(values), "The sparse features")
    try:
        matrix = sp.csr_array((values, pieces[1], rows), shape=tuple(int(n) for n in shape))
        matrix.check_format(full_check=True)
    except (ValueError, IndexError) as error:
        raise ShapeError(f"The sparse features do not form a {tuple(shape)} matrix: {error}.") from error
    if int(matrix.shape[0]) * int(matrix.shape[1]) >= 2**63:
        raise ShapeError(f"x cannot have shape {tuple(shape)}: torch counts its entries in 63 bits.")
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    crow, col, value = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    return _quietly(
        lambda: torch.sparse_csr_tensor(crow.long(), col.long(), value, size=matrix.shape, check_invariants=False)
    )


def as_scipy(x: Tensor) -> Any:
    """(N, F) features, dense or torch sparse CSR, as a scipy CSR array."""
    import scipy.sparse as sp

    if x.layout is torch.strided:
        return sp.csr_array(x.detach().cpu().numpy())
    arrays = (x.values(), x.col_indices(), x.crow_indices())
    return sp.csr_array(tuple(part.detach().cpu().numpy() for part in arrays), shape=tuple(x.shape))


def check_compressed(indptr: Any, indices: Any, rows: int, columns: int, entries: int, name: str) -> None:
    """Raises unless `indptr` and `indices` (numpy) are those of a compressed matrix with `entries` stored numbers.

    scipy's own check leaves out matrices whose last pointer is not positive, and its loops then write anywhere.
    """
    problem = ""
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu" or indptr.ndim != 1 or indices.ndim != 1:
        problem = f"indptr and indices are {indptr.dtype} and {indices.dtype}, not lists of integers"
    elif len(indptr) != rows + 1 or indptr[0] != 0 or not bool((indptr[1:] >= indptr[:-1]).all()):
        problem = "indptr does not rise from 0, with one number more than there are rows"
    elif int(indptr[-1]) > min(entries, len(indices)):
        problem = f"indptr ends at {indptr[-1]} but {min(entries, len(indices))} numbers are stored"
    elif len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= columns):
        problem = f"an index is {int(indices.min()) if int(indices.min()) < 0 else int(indices.max())}"
    if problem:
        raise ShapeError(f"{name} do not form a {rows} x {columns} matrix: {problem}.", hint="scipy.sparse.csr_array")


def _quietly(make: Any) -> Tensor:
    """Hides that torch warns once that CSR support is in beta; users of this package can do nothing about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR", category=UserWarning)
        result: Tensor = make()
    return result


def as_labels(value: Any) -> Tensor | None:
    """(N,) int64 class numbers, or (N, C) 0/1 in the given dtype; real targets are kept as they are."""
    if value is None:
        return None
    tensor = as_tensor(value, "y")
    if tensor.dim() == 2 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    if tensor.dim() not in (1, 2):
        raise ShapeError(f"y must have shape (N,) or (N, C); got {tuple(tensor.shape)}.", hint="y.reshape(N, -1)")
    return tensor.long() if tensor.dim() == 1 and not tensor.is_floating_point() else tensor


def class_count(y: Tensor | None) -> int:
    """Largest class number + 1, or the columns of a label matrix; 0 without labels."""
    if y is None or y.numel() == 0:
        return 0
    return int(y.shape[1]) if y.dim() == 2 else int(y.max()) + 1


def as_ids(value: Any) -> Tensor | np.ndarray[Any, Any] | None:
    """An int64 tensor or a numpy array of text, one axis."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
            raise DTypeError(f"ids must be integers or text; got {value.dtype}.", hint="ids.long()")
        value = value.long().cpu()
    else:
        array = np.asarray(value)
        if array.dtype.kind in "OT" and all(isinstance(v, str) for v in array.flat):
            array = np.array(array.tolist(), dtype=str)
        if array.dtype.kind not in "iuU":
            raise DTypeError(f"ids must be integers or text; got {array.dtype}.", hint="[str(i) for i in ids]")
        value = array if array.dtype.kind == "U" else torch.from_numpy(array.astype(np.int64))
    if value.ndim != 1:
        raise ShapeError(f"ids must have one axis; got shape {tuple(value.shape)}.", hint="ids.reshape(-1)")
    result: Tensor | np.ndarray[Any, Any] = value
    return result


def as_text(value: Any, count: int, owner: str = "the graph") -> np.ndarray[Any, Any] | None:
    """(N,) text of variable width (numpy's ``StringDType``), so that one long text does not widen all the others."""
    if value is None:
        return None
    array = value if isinstance(value, np.ndarray) else np.array(list(value), dtype=object)
    if array.ndim != 1:
        raise ShapeError(f"text must have one axis; got shape {array.shape}.", hint="one string per node")
    if array.dtype.kind not in "UT":
        wrong = [v for v in array.tolist() if not isinstance(v, str)]
        if wrong:
            raise DTypeError(f"text holds {wrong[0]!r}, which is no string.", hint='"" for a node without text')
    check_rows(len(array), count, "text", owner)
    return array.astype(np.dtypes.StringDType())


def as_split(index: Any, num_nodes: int, key: str, owner: str = "the graph") -> Tensor | None:
    """Node numbers (S,) int64 from node numbers or from a mask (N,)."""
    if index is None:
        return None
    tensor = as_tensor(index, key)
    if tensor.dtype == torch.bool and tensor.dim() == 1:
        check_rows(tensor.shape[0], num_nodes, key, owner)
        tensor = tensor.nonzero().reshape(-1)
    if tensor.is_floating_point() and tensor.numel():
        raise DTypeError(f"{key} must hold node numbers; got {tensor.dtype}.", hint=f"{key}.long()")
    check_node_ids(tensor, num_nodes, key)
    return tensor.long()


def fill_non_finite(x: Tensor, value: float) -> Tensor:
    """`x` with `value` in the place of NaN and infinity; stored entries only where `x` is sparse."""
    if x.layout is torch.strided:
        return torch.nan_to_num(x, nan=value, posinf=value, neginf=value)
    values = torch.nan_to_num(x.values(), nan=value, posinf=value, neginf=value)
    return sparse_features(x.crow_indices(), x.col_indices(), values, tuple(x.shape))


def pad_rows(x: Tensor, count: int) -> Tensor:
    """`x` with zero rows added at the end up to `count` rows."""
    missing = count - x.shape[0]
    if x.layout is torch.strided:
        return torch.cat([x, x.new_zeros(missing, x.shape[1])])
    crow = torch.cat([x.crow_indices(), x.crow_indices()[-1:].expand(missing)])
    return sparse_features(crow, x.col_indices(), x.values(), (count, x.shape[1]))


def build_csr(row: Tensor, col: Tensor, weight: Tensor | None, shape: tuple[int, int]) -> CSR:
    """The matrix of these entries, sorted by :func:`sorted_rows`; parallel entries stay apart."""
    rowptr, sorted_col, perm = sorted_rows(row, col, weight, *shape)
    value = None if weight is None else weight.index_select(0, perm)
    return CSR(rowptr, sorted_col, value, num_cols=shape[1], perm=perm)


class _Pieces(NamedTuple):
    """A sparse CSR tensor, which torch cannot deep-copy, taken apart."""

    crow: Tensor
    col: Tensor
    value: Tensor
    shape: tuple[int, ...]


def apart(value: Any) -> Any:
    """A part of a graph in a form that can be copied and pickled; :func:`restored` undoes it."""
    if isinstance(value, Mapping):
        return {key: apart(part) for key, part in value.items()}
    if isinstance(value, Tensor) and value.layout is torch.sparse_csr:
        return _Pieces(value.crow_indices(), value.col_indices(), value.values(), tuple(value.shape))
    return value


def restored(kind: Any, parts: dict[str, Any]) -> Any:
    """An object from its constructor's arguments: what a copy or a pickle of an immutable object calls."""
    return kind(**{key: _together(part) for key, part in parts.items()})


def _together(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _together(part) for key, part in value.items()}
    if isinstance(value, _Pieces):
        return _quietly(lambda: torch.sparse_csr_tensor(*value[:3], size=value.shape, check_invariants=False))
    return value


def sorted_rows(
    row: Tensor, col: Tensor, weight: Tensor | None, num_rows: int, num_cols: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Groups entries by row, sorted by column inside each row and by weight among equal columns.

    Two stable counting sorts, or one when the columns already ascend; O(E + N).

    Returns:
        rowptr (num_rows + 1,), col (E,), perm (E,) positions in the given order.
    """
    dtype = torch.int32 if max(num_rows, num_cols, row.numel()) < _INT32_LIMIT else torch.int64
    row, col = row.to(dtype), col.to(dtype)
    rowptr, sorted_col, perm = _two_passes(row, col, num_rows, num_cols)
    if weight is not None and _has_duplicates(rowptr, sorted_col):
        by_weight = torch.argsort(weight, stable=True)
        rowptr, sorted_col, perm = _two_passes(row[by_weight], col[by_weight], num_rows, num_cols)
        perm = by_weight[perm]
    return rowptr, sorted_col, perm


def _two_passes(row: Tensor, col: Tensor, num_rows: int, num_cols: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sorts by row, then column; what is sorted already (as every reader leaves it) is only looked at."""
    if bool((row[1:] >= row[:-1]).all()) and bool(((col[1:] >= col[:-1]) | (row[1:] > row[:-1])).all()):
        rowptr = torch.searchsorted(row, torch.arange(num_rows + 1, dtype=row.dtype, device=row.device))
        return rowptr.to(row.dtype), col, torch.arange(row.numel(), dtype=row.dtype, device=row.device)
    if bool((col[1:] >= col[:-1]).all()):
        return group_by_row(row, col, num_rows)
    _, row, first = group_by_row(col, row, num_cols)
    rowptr, sorted_col, second = group_by_row(row, col[first], num_rows)
    return rowptr, sorted_col, first[second]


def _has_duplicates(rowptr: Tensor, col: Tensor) -> bool:
    """Whether some row holds a column twice (columns ascend inside rows)."""
    if col.numel() < 2:
        return False
    equal = col[1:] == col[:-1]
    starts = rowptr[1:-1]
    starts = starts[(starts > 0) & (starts < col.numel())].long()
    equal[starts - 1] = False  # a row may begin with the column the row before it ends with
    return bool(equal.any())
