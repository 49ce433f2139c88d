"""spectral_modularity and dmon_loss: PyG's DMoNPooling, loops over pairs, gradients, hard clusters, errors."""

from __future__ import annotations

import math

import pytest
import torch
from contrast_cases import close
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.nn import DMoNPooling

from graphrep.errors import DTypeError, EmptyGraphError, GraphrepError, ShapeError
from graphrep.kernels import CSR, modularity
from graphrep.objectives import DMoNLoss, dmon_loss, spectral_modularity


def case(size: int, seed: int = 0, *, clusters: int = 3, weighted: bool = True) -> tuple[Tensor, CSR, Tensor]:
    """Soft clusters, a symmetric graph with duplicates and isolated nodes, and its dense matrix."""
    generator = torch.Generator().manual_seed(seed)
    half = torch.randint(0, max(size - 1, 1), (2, 3 * size), generator=generator)
    edges = torch.cat([half, half.flip(0)], dim=1)
    weight = torch.rand(3 * size, generator=generator, dtype=torch.float64) + 0.1
    csr = CSR.from_edge_index(edges, torch.cat([weight, weight]) if weighted else None, size=(size, size))
    dense = torch.from_numpy(csr.to_scipy().toarray()).double()
    soft = torch.randn(size, clusters, generator=generator, dtype=torch.float64).softmax(1)
    return soft, csr, dense


@pytest.mark.parametrize("size", [1, 2, 63])
@pytest.mark.parametrize("weighted", [True, False])
def test_against_loops_over_pairs(backend: str, size: int, weighted: bool) -> None:
    soft, csr, dense = case(size, weighted=weighted)
    degree, total = dense.sum(1), dense.sum()
    value = sum(
        (dense[i, j] - degree[i] * degree[j] / total) * (soft[i] * soft[j]).sum()
        for i in range(size) for j in range(size)
    )  # fmt: skip
    close(spectral_modularity(soft, csr), value / total, 1e-12)
    clusters = soft.shape[1]
    collapse = math.sqrt(clusters) / size * soft.sum(0).norm() - 1
    square = soft.t() @ soft
    even = torch.eye(clusters, dtype=torch.float64) / math.sqrt(clusters)
    orthogonality = (square / square.norm() - even).norm()
    wanted = -value / total + 0.7 * collapse + 0.3 * orthogonality
    close(dmon_loss(soft, csr, collapse=0.7, orthogonality=0.3), wanted, 1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 1000))
def test_values_of_pyg(size: int, clusters: int, seed: int) -> None:
    """PyG's pooling layer on the dense matrix; its linear layer gives the logits of both."""
    torch.manual_seed(seed)
    _, csr, dense = case(size, seed)
    pool = DMoNPooling(4, clusters).double()
    x = torch.randn(size, 4, dtype=torch.float64)
    soft, *_, spectral, ortho, cluster = pool(x, dense)
    ours = soft[0]
    close(-spectral_modularity(ours, csr), spectral, 1e-10)
    close(dmon_loss(ours, csr), spectral + cluster, 1e-10)
    close(dmon_loss(ours, csr, collapse=0.0, orthogonality=1.0), spectral + ortho, 1e-7)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 30), st.integers(0, 1000))
def test_hard_clusters_have_the_modularity_of_the_partition(size: int, seed: int) -> None:
    _, csr, _ = case(size, seed)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (size,), generator=generator)
    hard = torch.nn.functional.one_hot(labels, 4).double()
    value = spectral_modularity(hard, csr)
    assert float(value) == pytest.approx(modularity(csr, labels), abs=1e-12)
    order = torch.randperm(size, generator=generator)
    edges = order[torch.stack([csr.col.long(), csr.row().long()])]
    moved = torch.empty_like(hard)
    moved[order] = hard
    close(spectral_modularity(moved, CSR.from_edge_index(edges, csr.value, size=(size, size))), value, 1e-12)


def test_gradients(backend: str) -> None:
    soft, csr, _ = case(9)
    assert csr.value is not None
    inputs = (soft.requires_grad_(), csr.value.clone().requires_grad_())

    def loss(s: Tensor, w: Tensor) -> Tensor:
        return dmon_loss(s, csr.with_value(w), collapse=0.5, orthogonality=0.5)

    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precision(dtype: torch.dtype) -> None:
    """Against the same rounded input in float64: sums are kept in float32."""
    soft, csr, _ = case(63, weighted=False)
    rounded = soft.to(dtype)
    found = dmon_loss(rounded, csr)
    assert found.dtype == torch.float32
    close(found.double(), dmon_loss(rounded.double(), csr), 1e-5)


def test_int64_indices_and_extremes() -> None:
    soft, csr, _ = case(20)
    wide = CSR._trusted(csr.rowptr.long(), csr.col.long(), csr.value, csr.num_cols, csr.perm.long())
    close(dmon_loss(soft, wide), dmon_loss(soft, csr), 1e-12)
    one = torch.zeros(20, 3, dtype=torch.float64)
    one[:, 0] = 1
    close(dmon_loss(one, csr), torch.tensor(math.sqrt(3) - 1, dtype=torch.float64), 1e-12)  # one cluster for all
    close(spectral_modularity(torch.ones(20, 1, dtype=torch.float64), csr), torch.zeros((), dtype=torch.float64), 1e-12)


def test_errors() -> None:
    soft, csr, _ = case(5)
    none = torch.empty(2, 0, dtype=torch.int64)
    with pytest.raises(EmptyGraphError, match="no weight"):
        spectral_modularity(soft, CSR.from_edge_index(none, size=(5, 5)))
    with pytest.raises(ShapeError, match="assign has 4 rows"):
        spectral_modularity(soft[:4], csr)
    with pytest.raises(ShapeError, match="one row per node"):
        spectral_modularity(soft[:, 0], csr)
    with pytest.raises(DTypeError, match="floating-point"):
        dmon_loss(soft.long(), csr)
    with pytest.raises(ShapeError, match="one weight per entry"):
        dmon_loss(soft, csr.with_value(torch.ones(csr.nnz, 2, dtype=torch.float64)))
    for bad in (-1.0, float("nan")):
        with pytest.raises(GraphrepError, match="collapse must be finite"):
            dmon_loss(soft, csr, collapse=bad)
        with pytest.raises(GraphrepError, match="orthogonality must be finite"):
            DMoNLoss(orthogonality=bad)
    close(DMoNLoss(collapse=0.2)(soft, csr), dmon_loss(soft, csr, collapse=0.2), 0)
