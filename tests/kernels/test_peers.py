"""The same numbers as PyG, DGL and torch_scatter, where they agree with the definitions."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from kernel_cases import REDUCTIONS, close, random_csr

from graphrep.kernels import (
    CSR,
    edge_softmax,
    gather_csr,
    scatter_add,
    scatter_max,
    scatter_mean,
    scatter_min,
    scatter_softmax,
    sddmm,
    segment_csr,
    spmm,
)


@pytest.fixture
def dgl() -> ModuleType:
    return pytest.importorskip("dgl")  # type: ignore[no-any-return]


@pytest.fixture
def torch_scatter() -> ModuleType:
    return pytest.importorskip("torch_scatter")  # type: ignore[no-any-return]


def full_rows() -> CSR:
    """Every row has an entry: libraries differ on empty ones."""
    edges = torch.cat([torch.randint(0, 8, (2, 40)), torch.arange(8).expand(2, -1)], dim=1)
    return CSR.from_edge_index(edges, torch.rand(48, dtype=torch.float64) + 0.5, size=(8, 8))


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_pyg_spmm(reduce: str) -> None:
    utils = pytest.importorskip("torch_geometric.utils")
    csr, x = full_rows(), torch.randn(8, 5, dtype=torch.float64)
    if reduce in ("max", "min"):
        csr = csr.with_value(None)
    value = torch.ones(48, dtype=torch.float64) if csr.value is None else csr.value
    adj = torch.sparse_csr_tensor(csr.rowptr.long(), csr.col.long(), value, csr.shape)
    close(spmm(csr, x, reduce=reduce), utils.spmm(adj, x, reduce=reduce), 1e-12)


def test_pyg_softmax() -> None:
    utils = pytest.importorskip("torch_geometric.utils")
    csr, logits = full_rows(), torch.randn(48, 4, dtype=torch.float64)
    close(edge_softmax(csr, logits), utils.softmax(logits, ptr=csr.rowptr.long()), 1e-12)


def test_dgl(dgl: ModuleType) -> None:
    csr = full_rows()
    assert csr.value is not None
    graph = dgl.graph((csr.col.long(), csr.row().long()), num_nodes=8)
    x = torch.randn(8, 2, 5, dtype=torch.float64)
    flat = x.reshape(8, -1)
    close(spmm(csr.with_value(None), flat), dgl.ops.copy_u_sum(graph, flat), 1e-12)
    close(spmm(csr.with_value(None), flat, reduce="max"), dgl.ops.copy_u_max(graph, flat), 1e-12)
    close(spmm(csr, flat), dgl.ops.u_mul_e_sum(graph, flat, csr.value[:, None]), 1e-12)
    close(sddmm(csr, x, x), dgl.ops.u_dot_v(graph, x, x).squeeze(-1), 1e-12)
    logits = torch.randn(48, 3, dtype=torch.float64)
    close(edge_softmax(csr, logits), dgl.ops.edge_softmax(graph, logits), 1e-12)


@pytest.mark.scatter
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_torch_scatter(dim: int, torch_scatter: ModuleType) -> None:
    src = torch.randn(6, 7, 6, dtype=torch.float64)
    index = torch.randint(0, 3, (src.shape[dim],))
    index[:3] = torch.arange(3)
    for ours, theirs in ((scatter_add, torch_scatter.scatter_add), (scatter_mean, torch_scatter.scatter_mean)):
        close(ours(src, index, dim=dim), theirs(src, index, dim=dim), 1e-12)
    for ours, theirs in ((scatter_max, torch_scatter.scatter_max), (scatter_min, torch_scatter.scatter_min)):
        for a, b in zip(ours(src, index, dim), theirs(src, index, dim), strict=True):
            assert torch.equal(a, b)
    found = scatter_softmax(src, index, dim, dim_size=4)
    close(found, torch_scatter.scatter_softmax(src, index, dim, dim_size=4), 1e-12)
    wide = torch.randint(0, 3, src.shape)
    close(scatter_add(src, wide, dim, dim_size=5), torch_scatter.scatter_add(src, wide, dim, dim_size=5), 1e-12)


@pytest.mark.scatter
def test_torch_scatter_segments(torch_scatter: ModuleType) -> None:
    src = torch.randn(3, 6, 4, dtype=torch.float64)
    for indptr in (torch.tensor([0, 2, 2, 3]), torch.tensor([[0, 2, 6]]).expand(3, -1).contiguous()):
        for reduce in ("sum", "mean"):
            close(segment_csr(src, indptr, reduce=reduce), torch_scatter.segment_csr(src, indptr, reduce=reduce), 1e-12)
    small = torch.randn(3, 2, dtype=torch.float64)
    indptr = torch.tensor([0, 2, 2, 5])
    assert torch.equal(gather_csr(small, indptr), torch_scatter.gather_csr(small, indptr))


@pytest.mark.scatter
def test_gradient_of_the_maximum_as_torch_scatter(torch_scatter: ModuleType) -> None:
    csr = random_csr(6, 5, 30)
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    ours = torch.autograd.grad(spmm(csr, x, reduce="max").square().sum(), x)[0]
    theirs = torch_scatter.scatter_max(x[csr.col.long()], csr.row().long(), dim=0, dim_size=6)[0]
    close(ours, torch.autograd.grad(theirs.square().sum(), x)[0], 1e-12)
