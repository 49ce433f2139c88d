"""CSR: layout, transpose, conversions, immutability, errors."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import random_csr

from graphrep.errors import DTypeError, IndexRangeError, ShapeError
from graphrep.kernels import CSR, spmm
from graphrep.kernels._build import group_by_row
from graphrep.kernels._select import select_rows


def test_layout_is_the_stable_sort_by_destination(backend: str) -> None:
    edges = torch.randint(0, 7, (2, 60), generator=torch.Generator().manual_seed(0))
    csr = CSR.from_edge_index(edges, torch.arange(60.0), size=(7, 9))
    perm = torch.from_numpy(np.argsort(edges[1].numpy(), kind="stable"))
    assert torch.equal(csr.perm.long(), perm)
    assert torch.equal(csr.col.long(), edges[0, perm])
    assert torch.equal(csr.row().long(), edges[1, perm])
    assert csr.value is not None
    assert torch.equal(csr.value, perm.float())
    assert csr.rowptr.tolist() == [0, *torch.bincount(edges[1], minlength=9).cumsum(0).tolist()]
    assert csr.shape == (9, 7)
    assert csr.rowptr.dtype == csr.col.dtype == csr.perm.dtype == torch.int32


@given(st.integers(0, 8), st.integers(0, 60), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_grouping_on_cpu_is_torchs_stable_sort(num_rows: int, nnz: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    nnz = nnz if num_rows else 0
    row, col = torch.randint(0, max(num_rows, 1), (2, nnz), generator=generator, dtype=torch.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAPHREP_BACKEND", "reference")
        wanted = group_by_row(row, col, num_rows)
        patch.setenv("GRAPHREP_BACKEND", "cpu")
        for a, b in zip(group_by_row(row, col, num_rows), wanted, strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)


def test_large_grouping_uses_threads_and_stays_stable() -> None:
    generator = torch.Generator().manual_seed(1)
    row = torch.randint(0, 5000, (300_000,), generator=generator, dtype=torch.int32)
    row[:100_000] = 17
    col = torch.randint(0, 5000, (300_000,), generator=generator, dtype=torch.int32)
    rowptr, sorted_col, perm = group_by_row(row, col, 5000)
    wanted = torch.sort(row, stable=True).indices
    assert torch.equal(perm.long(), wanted)
    assert torch.equal(sorted_col, col[wanted])
    assert torch.equal(rowptr[1:].long(), torch.bincount(row, minlength=5000).cumsum(0))


def test_transpose(backend: str) -> None:
    csr = random_csr(6, 9, 40, weights=())
    turned = csr.t()
    eye_rows, eye_cols = torch.eye(6, dtype=torch.float64), torch.eye(9, dtype=torch.float64)
    torch.testing.assert_close(spmm(turned, eye_rows), spmm(csr, eye_cols).t())
    assert turned.shape == (9, 6)
    assert csr.t().col is turned.col
    back = turned.t()
    assert torch.equal(back.rowptr, csr.rowptr)
    assert torch.equal(csr.perm[csr.t_perm().long()], turned.perm)


def test_scipy_round_trip() -> None:
    matrix = sp.random_array((5, 7), density=0.4, rng=np.random.default_rng(0), format="csr")
    csr = CSR.from_scipy(matrix)
    assert (abs(csr.to_scipy() - matrix) > 1e-12).nnz == 0
    x = torch.randn(7, 3, dtype=torch.float64)
    np.testing.assert_allclose(spmm(csr, x).numpy(), matrix @ x.numpy(), atol=1e-12)
    assert CSR.from_scipy(matrix.astype(np.int64)).value is not None
    with pytest.raises(DTypeError, match="complex"):
        CSR.from_scipy(matrix.astype(np.complex128))


def test_immutable_and_shared_pattern() -> None:
    csr = random_csr(4, 4, 9)
    with pytest.raises(AttributeError, match="immutable"):
        csr.col = csr.col  # type: ignore[misc]
    assert csr.with_value(torch.ones(9)).t().col is csr.t().col  # whichever of the two asks first
    assert csr.to("cpu") is csr
    assert "nnz=9" in repr(csr)


def test_gradient_reaches_the_given_weights(backend: str) -> None:
    edges = torch.tensor([[0, 1, 2], [1, 0, 1]])
    w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    csr = CSR.from_edge_index(edges, w)
    (spmm(csr, torch.tensor([[1.0], [10.0], [100.0]])) * torch.tensor([[1.0], [2.0], [3.0]])).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [2.0, 10.0, 200.0]


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_selected_rows_are_those_of_the_dense_matrix(index: torch.dtype, data: st.DataObject) -> None:
    rows, cols = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    matrix = torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=rows * cols, max_size=rows * cols)))
    dense = matrix.reshape(rows, cols).double()
    chosen = torch.tensor(data.draw(st.lists(st.integers(0, rows - 1), max_size=12)), dtype=index)
    csr = CSR.from_scipy(sp.csr_array(dense.numpy()))
    found = select_rows(csr, chosen)
    assert found.shape == (len(chosen), cols)
    assert np.array_equal(found.to_scipy().toarray(), dense[chosen.long()].numpy())
    pattern = select_rows(csr.with_value(None), chosen)
    assert pattern.value is None
    assert torch.equal(pattern.col, found.col)
    assert found.t().shape == (cols, len(chosen))


def test_errors() -> None:
    good = torch.tensor([[0, 1], [1, 2]])
    with pytest.raises(IndexRangeError, match=r"source.*refers to 5 at position 1"):
        CSR.from_edge_index(torch.tensor([[0, 5], [1, 2]]), size=(3, 3))
    with pytest.raises(IndexError, match="-1"):
        CSR.from_edge_index(torch.tensor([[0, -1], [1, 2]]))
    with pytest.raises(DTypeError, match="float"):
        CSR.from_edge_index(good.float())
    with pytest.raises(ShapeError, match=r"edge_index.t\(\)"):
        CSR.from_edge_index(torch.zeros(5, 2, dtype=torch.int64))
    with pytest.raises(ShapeError, match="2 entries"):
        CSR.from_edge_index(good, torch.ones(3))
    with pytest.raises(ShapeError, match="rowptr must run"):
        CSR(torch.tensor([0, 3]), torch.tensor([0, 1]))
    with pytest.raises(ShapeError, match="decreases"):
        CSR(torch.tensor([0, 2, 1, 2]), torch.tensor([0, 1]))
    with pytest.raises(IndexRangeError, match="col refers to 1"):
        CSR(torch.tensor([0, 2]), torch.tensor([0, 1]), num_cols=1)
