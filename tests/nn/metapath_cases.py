"""Relations and dense references that the tests of meta-paths share."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from graphrep.kernels import CSR

pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=16)


def relation(entries: list[tuple[int, int]], shape: tuple[int, int] = (6, 4), index: torch.dtype = torch.int64) -> CSR:
    """Rows and columns of the entries, in the order given, copies kept."""
    rows, cols = torch.tensor(entries, dtype=index).reshape(-1, 2).t()
    return CSR.from_edge_index(torch.stack([cols, rows]), size=(shape[1], shape[0]))


def random_relation(num_rows: int, num_cols: int, count: int, seed: int = 0) -> CSR:
    """With copies, empty rows and empty columns."""
    generator = torch.Generator().manual_seed(seed)
    ends = [torch.randint(0, size, (count,), generator=generator) for size in (num_cols, num_rows)]
    return CSR.from_edge_index(torch.stack(ends), size=(num_cols, num_rows))


def dense(csr: CSR) -> Tensor:
    """(num_rows, num_cols) float64, copies added up."""
    value = torch.ones(csr.nnz).double() if csr.value is None else csr.value.detach().double()
    out = torch.zeros(csr.shape, dtype=torch.float64)
    return out.index_put_((csr.row().long(), csr.col.long()), value, accumulate=True)


def similarity(matrix: Tensor) -> Tensor:
    """2 M_ij / (M_ii + M_jj), 0 where M is."""
    own = matrix.diagonal()
    return torch.where(matrix > 0, 2 * matrix / (own[:, None] + own[None]), 0)


def rows_of(csr: CSR) -> list[list[int]]:
    """The columns of each row."""
    return [csr.col[csr.rowptr[i] : csr.rowptr[i + 1]].tolist() for i in range(csr.num_rows)]


def same(a: CSR, b: CSR) -> None:
    """Raises unless both hold the same numbers."""
    assert a.shape == b.shape
    for one, other in ((a.rowptr, b.rowptr), (a.col, b.col), (a.value, b.value)):
        assert torch.equal(one, other)  # type: ignore[arg-type]
