"""gcn_norm: golden matrices, PyG's rule, gradients to the weights, errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from kernel_cases import close, random_csr
from torch import Tensor

from graphrep.errors import IndexRangeError, ShapeError
from graphrep.kernels import gcn_norm, spmm
from graphrep.kernels.segment.reduce import gather_columns, gather_rows

EDGES = torch.tensor([[0, 1, 1, 2, 2, 2, 0, 3], [1, 0, 2, 1, 2, 2, 1, 0]])


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
@pytest.mark.parametrize("name", ["gcn_norm", "gcn_norm_weighted"])
def test_golden(
    name: str, dtype: torch.dtype, tol: float, backend: str, golden: Callable[[str], dict[str, Tensor]]
) -> None:
    g = golden(name)
    count, weight = int(g["n"]), g["w"].to(dtype) if name.endswith("weighted") else None
    csr = gcn_norm(torch.stack([g["src"], g["dst"]]), weight, num_nodes=count, dtype=dtype)
    close(spmm(csr, torch.eye(count, dtype=dtype)), g["a_norm_dense"], tol)
    x = g["x"].to(dtype).requires_grad_()
    out = spmm(csr, x)
    close(out.detach(), g["out"], tol)
    close(torch.autograd.grad(out, x, g["grad_out"].to(dtype))[0], g["grad_x"], 5 * tol)


@pytest.mark.parametrize("add_self_loops", [True, False])
def test_same_matrix_as_pyg(add_self_loops: bool, backend: str) -> None:
    pyg = pytest.importorskip("torch_geometric.nn.conv.gcn_conv")
    weight = torch.rand(EDGES.shape[1], dtype=torch.float64)
    index, value = pyg.gcn_norm(EDGES, weight, num_nodes=5, add_self_loops=add_self_loops)
    wanted = torch.zeros(5, 5, dtype=torch.float64).index_put_((index[1], index[0]), value, accumulate=True)
    csr = gcn_norm(EDGES, weight, num_nodes=5, add_self_loops=add_self_loops)
    close(spmm(csr, torch.eye(5, dtype=torch.float64)), wanted, 1e-14)


@pytest.mark.parametrize("add_self_loops", [True, False])
def test_gradients_reach_the_weights(add_self_loops: bool, backend: str) -> None:
    weight = torch.rand(EDGES.shape[1], dtype=torch.float64).add(0.1).requires_grad_()
    x = torch.randn(5, 2, dtype=torch.float64)

    def function(weight: Tensor) -> Tensor:
        return spmm(gcn_norm(EDGES, weight, num_nodes=5, add_self_loops=add_self_loops), x)  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(function, (weight,))


def test_types_and_isolated_nodes(backend: str) -> None:
    csr = gcn_norm(EDGES.int(), num_nodes=6)
    assert csr.value is not None
    assert csr.value.dtype == torch.get_default_dtype()
    assert csr.degree().tolist()[5] == 1
    assert gcn_norm(EDGES, num_nodes=6, dtype=torch.float64).value.dtype == torch.float64  # type: ignore[union-attr]
    bare = gcn_norm(EDGES, num_nodes=6, add_self_loops=False)
    assert bare.nnz == EDGES.shape[1]
    assert bare.value is not None
    assert bare.value.isfinite().all()
    assert gcn_norm(torch.empty(2, 0, dtype=torch.int64), num_nodes=3).nnz == 3


def test_errors() -> None:
    with pytest.raises(IndexRangeError, match="refers to 3"):
        gcn_norm(EDGES, num_nodes=3)
    with pytest.raises(ShapeError, match="edge_weight has shape"):
        gcn_norm(EDGES, torch.ones(3), num_nodes=5)


def test_gathers_whose_gradients_are_sums(backend: str) -> None:
    """What CUDA takes in place of index_select, whose gradient depends on timing there."""
    csr = random_csr(6, 5, 30)
    for function, count, index in (
        (lambda t: gather_columns(t, csr), 5, csr.col),
        (lambda t: gather_rows(t, csr.rowptr, csr.nnz), 6, csr.row()),
    ):
        src = torch.randn(count, dtype=torch.float64, requires_grad=True)
        assert torch.equal(function(src), src[index])
        assert torch.autograd.gradcheck(function, (src,))
        assert torch.autograd.gradgradcheck(function, (src,))
