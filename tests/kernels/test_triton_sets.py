"""Walks, samples and the pool in Triton: the same integers as the reference, sums within one rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from kernel_cases import close, random_csr
from torch import Tensor
from triton_cases import BACKEND, DEVICE

from graphrep.kernels import (
    _triton,
    common_neighbor_pool,
    common_neighbors,
    influence_matrix,
    random_walks,
    sample_neighbors,
)

pytestmark = [
    pytest.mark.skipif(not _triton.AVAILABLE, reason="Triton is not installed"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # numpy about 64-bit products that wrap, as intended
]


@pytest.fixture(autouse=True)
def _poisoned_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _triton.empty

    def poisoned(*args: Any) -> Tensor:
        out = plain(*args)
        return out.fill_(float("nan") if out.dtype.is_floating_point else -77)

    monkeypatch.setattr(_triton, "empty", poisoned)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], tuple[Any, Any]]:
    def run(function: Callable[[], Any]) -> tuple[Any, Any]:
        monkeypatch.setenv("GRAPHREP_BACKEND", BACKEND)
        found = function()
        monkeypatch.setenv("GRAPHREP_BACKEND", "reference")
        return found, function()

    return run


Both = Callable[[Callable[[], Any]], tuple[Any, Any]]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (1.5, 0.8)])
def test_walks(both: Both, weighted: bool, p: float, q: float) -> None:
    csr = random_csr(20, 20, 60, weights=() if weighted else None).to(DEVICE)
    if csr.value is not None:
        csr = csr.with_value(csr.value.abs())
    starts = torch.arange(20, device=DEVICE).repeat(2)
    assert torch.equal(*both(lambda: random_walks(csr, starts, 3, p=p, q=q, seed=-7)))


@pytest.mark.parametrize(("fanout", "replace"), [(-1, False), (0, True), (1, False), (3, False), (3, True)])
def test_samples(both: Both, fanout: int, replace: bool) -> None:
    csr = random_csr(20, 20, 100, seed=1).to(DEVICE)
    seeds = torch.arange(20, device=DEVICE)
    found, wanted = both(lambda: sample_neighbors(csr, seeds, fanout, replace=replace, seed=2))
    assert torch.equal(found.perm, wanted.perm)
    assert torch.equal(found.rowptr, wanted.rowptr)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_pool_and_gradient(both: Both, dtype: torch.dtype) -> None:
    """The hub's row takes several blocks of entries; 40 columns leave part of a block empty."""
    csr = random_csr(12, 90, 150, seed=2)
    hub = torch.stack([torch.arange(90), torch.zeros(90, dtype=torch.int64)])
    edges = torch.cat([torch.stack([csr.col.long(), csr.row().long()]), hub], dim=1)
    csr = type(csr).from_edge_index(edges, size=(90, 12)).to(DEVICE)
    pairs = torch.tensor([[0, 1, 0, 5, 3], [1, 0, 0, 5, 4]], device=DEVICE)
    x = torch.randn(90, 40, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype).requires_grad_()

    def run() -> tuple[Tensor, ...]:
        out = common_neighbor_pool(csr, pairs, x)
        return (out.detach(), *torch.autograd.grad(out, x, torch.ones_like(out)), *common_neighbors(csr, pairs))

    found, wanted = both(run)
    # Sums of up to 90 terms of size 1; half types round the result once.
    tol = {torch.float64: 1e-13, torch.float32: 1e-6, torch.float16: 2**-10, torch.bfloat16: 2**-7}[dtype]
    for a, b in zip(found, wanted, strict=True):
        close(a, b, tol)


def test_influence(both: Both) -> None:
    """Torch's own sorts and segment sums there; the registered form must take the same arguments."""
    edges = torch.randint(0, 15, (2, 30), generator=torch.Generator().manual_seed(0)).to(DEVICE)
    found, wanted = both(lambda: influence_matrix(edges, num_nodes=15, order=3, top_m=6))
    assert torch.equal(found.col, wanted.col)
    torch.testing.assert_close(found.value, wanted.value)
