"""The compressed-row graph that every kernel takes: rows are destinations, a message flows ``col`` -> row.

Built once, immutable, with the transpose cached; indices are int32 where they fit, offsets into features are int64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphrep.errors import DeviceError, ShapeError
from graphrep.kernels._build import group_by_row
from graphrep.kernels._check import check_edge_index, check_floating, check_index, check_range

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["CSR", "check_rowptr", "index_dtype"]

_INT32_LIMIT = 2**31 - 1


class CSR:
    """Sparse matrix in compressed-row form.

    Args:
        rowptr: (num_rows + 1,) offsets, int32 or int64, starting at 0 and never decreasing.
        col: (nnz,) column (source) of each entry.
        value: optional weights, (nnz,) or (nnz, H); they may require grad.
        num_cols: number of columns; default the largest column + 1.
        perm: (nnz,) position of each entry in the edge list this came from; default 0..nnz-1.

    Duplicate entries are kept and count as separate edges. Index arrays are stored as int32 when the sizes allow it.

    Raises:
        ShapeError, IndexRangeError, DTypeError, DeviceError: the arrays do not form a matrix.

    Example:
        >>> csr = CSR.from_edge_index(torch.tensor([[0, 1, 1], [2, 2, 0]]), size=(2, 3))
        >>> csr.rowptr.tolist(), csr.col.tolist(), csr.perm.tolist()
        ([0, 1, 1, 3], [1, 0, 1], [2, 0, 1])
    """

    __slots__ = ("_cache", "col", "num_cols", "num_rows", "perm", "rowptr", "value")

    rowptr: Tensor
    col: Tensor
    value: Tensor | None
    perm: Tensor
    num_rows: int
    num_cols: int
    _cache: dict[str, Any]  # the transpose and its positions, once asked for; shared by copies with other weights

    def __init__(
        self,
        rowptr: Tensor,
        col: Tensor,
        value: Tensor | None = None,
        *,
        num_cols: int | None = None,
        perm: Tensor | None = None,
    ) -> None:
        check_index(rowptr, "rowptr")
        check_index(col, "col")
        check_rowptr(rowptr, col.numel())
        if num_cols is None:
            num_cols = int(col.max()) + 1 if col.numel() else 0
        check_range(col, num_cols, "col")
        if perm is not None:
            check_index(perm, "perm")
            if perm.numel() != col.numel():
                raise ShapeError(f"perm has {perm.numel()} entries, col {col.numel()}.", hint="one position per entry")
        for name, tensor in (("col", col), ("value", value), ("perm", perm)):
            if tensor is not None and tensor.device != rowptr.device:
                raise DeviceError(
                    f"{name} is on {tensor.device}, rowptr on {rowptr.device}.", hint="one device for all"
                )
        dtype = index_dtype(rowptr.numel() - 1, num_cols, col.numel())
        if perm is None:
            perm = torch.arange(col.numel(), dtype=dtype, device=col.device)
        self._set(rowptr.to(dtype), col.to(dtype), _checked_value(value, col.numel()), num_cols, perm.to(dtype))

    def _set(self, rowptr: Tensor, col: Tensor, value: Tensor | None, num_cols: int, perm: Tensor) -> None:
        put = object.__setattr__
        put(self, "rowptr", rowptr.contiguous())
        put(self, "col", col.contiguous())
        put(self, "value", value)
        put(self, "perm", perm.contiguous())
        put(self, "num_rows", rowptr.numel() - 1)
        put(self, "num_cols", int(num_cols))
        put(self, "_cache", {})

    @classmethod
    def _trusted(cls, rowptr: Tensor, col: Tensor, value: Tensor | None, num_cols: int, perm: Tensor) -> CSR:
        """A CSR from arrays that are known to be right (no pass over the data)."""
        csr = cls.__new__(cls)
        csr._set(rowptr, col, value, num_cols, perm)
        return csr

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"CSR is immutable; {name} cannot be set (with_value gives a copy with other weights)")

    @classmethod
    def from_edge_index(
        cls, edge_index: Tensor, edge_weight: Tensor | None = None, *, size: tuple[int, int] | None = None
    ) -> CSR:
        """Groups an edge list by destination, keeping the given order within each row (stable).

        Args:
            edge_index: (2, E) int32 or int64, row 0 sources, row 1 destinations.
            edge_weight: optional (E,) or (E, H); gradients flow from ``.value`` back to it.
            size: (num_src, num_dst); default the largest id + 1 for both.

        Raises:
            ShapeError, DTypeError, IndexRangeError: `edge_index` or `edge_weight` is malformed.
        """
        check_edge_index(edge_index)
        source, destination = edge_index[0], edge_index[1]
        if size is None:
            count = int(edge_index.max()) + 1 if edge_index.numel() else 0
            size = (count, count)
        check_range(source, size[0], "edge_index[0] (source)")
        check_range(destination, size[1], "edge_index[1] (destination)")
        num_edges = edge_index.shape[1]
        dtype = index_dtype(size[1], size[0], num_edges)
        value = _checked_value(edge_weight, num_edges, name="edge_weight")
        rowptr, col, perm = group_by_row(destination.to(dtype), source.to(dtype), size[1])
        if value is not None:
            value = value.index_select(0, perm)
        return cls._trusted(rowptr, col, value, size[0], perm)

    @classmethod
    def from_scipy(cls, matrix: sp.sparray | sp.spmatrix) -> CSR:
        """Row i gathers column j with weight ``matrix[i, j]`` (explicit zeros and duplicates are kept).

        Raises:
            DTypeError: the matrix holds complex numbers or objects.
        """
        import numpy as np

        csr = matrix.tocsr()
        data = csr.data
        if data.dtype.kind not in "biuf":
            from graphrep.errors import DTypeError

            raise DTypeError(f"matrix has dtype {data.dtype}; weights must be real.", hint="matrix.astype(float)")
        if data.dtype.kind != "f":
            data = data.astype(np.float32)
        return cls(
            torch.from_numpy(np.asarray(csr.indptr).copy()),
            torch.from_numpy(np.asarray(csr.indices).copy()),
            torch.from_numpy(data.copy()),
            num_cols=matrix.shape[1],
        )

    @property
    def nnz(self) -> int:
        """Number of stored entries, duplicates included."""
        return self.col.numel()

    @property
    def device(self) -> torch.device:
        """Where the arrays lie."""
        return self.rowptr.device

    @property
    def shape(self) -> tuple[int, int]:
        """(num_rows, num_cols)."""
        return self.num_rows, self.num_cols

    def degree(self) -> Tensor:
        """(num_rows,) number of entries in each row (edges, not the sum of weights)."""
        return self.rowptr[1:] - self.rowptr[:-1]

    def row(self) -> Tensor:
        """(nnz,) row of each entry."""
        rows = torch.arange(self.num_rows, dtype=self.col.dtype, device=self.device)
        return torch.repeat_interleave(rows, self.degree(), output_size=self.nnz)

    def pattern_t(self) -> CSR:
        """The transpose without weights, cached."""
        if "transpose" not in self._cache:
            rowptr, col, position = group_by_row(self.col, self.row(), self.num_cols)
            perm = self.perm.index_select(0, position)
            self._cache["transpose"] = CSR._trusted(rowptr, col, None, self.num_rows, perm)
            self._cache["transpose_perm"] = position
        pattern: CSR = self._cache["transpose"]
        return pattern

    def t(self) -> CSR:
        """The transpose, cached; its ``perm`` refers to the same edge list as this one's."""
        pattern = self.pattern_t()
        if self.value is None:
            return pattern
        return CSR._trusted(pattern.rowptr, pattern.col, self.value[self.t_perm()], self.num_rows, pattern.perm)

    def t_perm(self) -> Tensor:
        """(nnz,) for each entry of the transpose its position in this matrix."""
        self.pattern_t()
        position: Tensor = self._cache["transpose_perm"]
        return position

    def with_value(self, value: Tensor | None) -> CSR:
        """The same pattern (and cached transpose) with other weights in CSR order, or none.

        Raises:
            ShapeError: `value` does not have one row per entry.
        """
        csr = CSR._trusted(self.rowptr, self.col, _checked_value(value, self.nnz), self.num_cols, self.perm)
        object.__setattr__(csr, "_cache", self._cache)
        return csr

    def to(self, device: torch.device | str) -> CSR:
        """The same matrix on another device; the cached transpose moves along."""
        if torch.device(device) == self.device:
            return self
        value = None if self.value is None else self.value.to(device)
        csr = CSR._trusted(self.rowptr.to(device), self.col.to(device), value, self.num_cols, self.perm.to(device))
        csr._cache.update({name: item.to(device) for name, item in self._cache.items()})
        return csr

    def to_scipy(self) -> sp.csr_array:
        """A scipy CSR array (weights 1.0 in float32 when there are none); shares no memory.

        Raises:
            ShapeError: the weights have more than one column.
        """
        import scipy.sparse as sp

        value = torch.ones(self.nnz) if self.value is None else self.value.detach()
        if value.dim() != 1:
            raise ShapeError(f"value has shape {tuple(value.shape)}; scipy holds one weight per entry.")
        arrays: list[Any] = [t.cpu().clone().numpy() for t in (value, self.col, self.rowptr)]
        return sp.csr_array(tuple(arrays), shape=self.shape)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles hold the arrays; the transpose is built again when asked for."""
        return CSR._trusted, (self.rowptr, self.col, self.value, self.num_cols, self.perm)

    def __repr__(self) -> str:
        weights = "" if self.value is None else f", value={tuple(self.value.shape)} {self.value.dtype}"
        return f"CSR(num_rows={self.num_rows}, num_cols={self.num_cols}, nnz={self.nnz}{weights}, {self.device})"


def index_dtype(num_rows: int, num_cols: int, nnz: int) -> torch.dtype:
    """int32 where sizes and positions fit, else int64."""
    return torch.int32 if max(num_rows, num_cols, nnz) < _INT32_LIMIT else torch.int64


def _checked_value(value: Tensor | None, nnz: int, name: str = "value") -> Tensor | None:
    if value is None:
        return None
    check_floating(value, name)
    if value.dim() not in (1, 2) or value.shape[0] != nnz:
        raise ShapeError(
            f"{name} has shape {tuple(value.shape)} but there are {nnz} entries.", hint="(nnz,) or (nnz, H)"
        )
    return value


def check_rowptr(rowptr: Tensor, nnz: int) -> None:
    """Raises unless `rowptr` runs from 0 to `nnz` and never decreases."""
    if rowptr.numel() == 0 or int(rowptr[0]) != 0 or int(rowptr[-1]) != nnz:
        ends = "empty" if rowptr.numel() == 0 else f"from {int(rowptr[0])} to {int(rowptr[-1])}"
        raise ShapeError(f"rowptr must run from 0 to the number of entries ({nnz}); it is {ends}.")
    if bool((rowptr[1:] < rowptr[:-1]).any()):
        where = int((rowptr[1:] < rowptr[:-1]).nonzero()[0])
        raise ShapeError(f"rowptr decreases after position {where}.", hint="torch.cumsum of the row lengths")
