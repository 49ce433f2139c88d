"""Rows of a compressed matrix: where their entries lie."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels.csr import CSR

__all__ = ["row_entries", "select_rows"]


def row_entries(rowptr: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """(R + 1,) int64 pointer of the matrix of these rows, and the (nnz,) int64 positions of its entries."""
    start = rowptr[rows].long()
    pointer = torch.zeros(rows.numel() + 1, dtype=torch.int64, device=rowptr.device)
    torch.cumsum(rowptr[rows + 1].long() - start, 0, out=pointer[1:])
    length = pointer.diff()
    place = torch.arange(int(pointer[-1]), device=rowptr.device)
    return pointer, place + torch.repeat_interleave(start - pointer[:-1], length, output_size=place.numel())


def select_rows(csr: CSR, rows: Tensor) -> CSR:
    """The matrix (R, num_cols) of the given rows, in their order, repeats allowed.

    Example:
        >>> csr = CSR.from_edge_index(torch.tensor([[1, 2, 0], [0, 0, 2]]))
        >>> select_rows(csr, torch.tensor([2, 0])).col.tolist()
        [0, 1, 2]
    """
    pointer, place = row_entries(csr.rowptr, rows)
    value = None if csr.value is None else csr.value[place]
    kind = csr.rowptr.dtype
    perm = torch.arange(place.numel(), dtype=kind, device=place.device)
    return CSR._trusted(pointer.to(kind), csr.col[place], value, csr.num_cols, perm)
