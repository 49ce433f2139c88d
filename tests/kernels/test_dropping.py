"""Smallest row sums over permitted droppings: every choice tried, gradients, both backends."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels import CSR
from graphrep.kernels.dropping import cpu, least_coefficients, least_sums


def random_case(count: int, edges: int, seed: int, width: int = 3) -> tuple[CSR, Tensor, Tensor]:
    """A graph without loops and duplicates, numbers with some zeros and ties, and budgets that leave one entry."""
    generator = torch.Generator().manual_seed(seed)
    pairs = {tuple(p) for p in torch.randint(0, count, (edges, 2), generator=generator).tolist() if p[0] != p[1]}
    index = torch.tensor(sorted(pairs), dtype=torch.int64).reshape(-1, 2).t().contiguous()
    csr = CSR.from_edge_index(index, size=(count, count))
    x = torch.randn(count, width, generator=generator, dtype=torch.float64)
    x[:, 0] = x[:, 0].round()
    share = torch.rand(count, generator=generator)
    budget = (share * (csr.degree() - 1).clamp(min=0)).round().long()
    return csr, x, budget


def by_trying_all(csr: CSR, x: Tensor, budget: Tensor) -> Tensor:
    """Every subset that may be dropped, and for each source both ends of its factor."""
    out = torch.empty_like(x)
    full = csr.degree().double() + 1
    for i, k in itertools.product(range(csr.num_rows), range(x.shape[1])):
        sources = csr.col[csr.rowptr[i] : csr.rowptr[i + 1]].tolist()
        best = float("inf")
        for size in range(int(budget[i]) + 1):
            left = full[i] - size
            for kept in itertools.combinations(sources, len(sources) - size):
                parts = [min(x[j, k] / full[j].sqrt(), x[j, k] / (full[j] - budget[j]).sqrt()) for j in kept]
                best = min(best, float(sum(parts) / left.sqrt() + x[i, k] / left))
        out[i, k] = best
    return out


@pytest.fixture(params=["cpu", "reference"])
def _backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHREP_BACKEND", request.param)


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize(("count", "edges"), [(1, 0), (2, 4), (6, 20), (7, 60)])
def test_every_choice_tried(count: int, edges: int) -> None:
    csr, x, budget = random_case(count, edges, seed=count)
    torch.testing.assert_close(least_sums(csr, x, budget), by_trying_all(csr, x, budget), rtol=0, atol=1e-12)


@given(st.integers(1, 30), st.integers(0, 200), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_backends_and_coefficients_agree(count: int, edges: int, seed: int) -> None:
    csr, x, budget = random_case(count, edges, seed)
    with pytest.MonkeyPatch.context() as patch:
        found = []
        for name in ("cpu", "reference"):
            patch.setenv("GRAPHREP_BACKEND", name)
            leaf = x.clone().requires_grad_()
            sums = least_sums(csr, leaf, budget)
            found.append((sums.detach(), torch.autograd.grad(sums[:, 1:].cos().sum(), leaf)[0]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    kept, own = least_coefficients(csr, x[csr.col.long(), 1], x[:, 1], budget)
    sums = (own * x[:, 1]).index_add(0, csr.row().long(), kept * x[csr.col.long(), 1])
    torch.testing.assert_close(sums, found[0][0][:, 1], rtol=0, atol=1e-12)


@pytest.mark.usefixtures("_backend")
def test_gradients() -> None:
    csr, x, budget = random_case(9, 50, seed=3)
    x = torch.randn(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: least_sums(csr, t, budget), x)
    torch.library.opcheck(
        torch.ops.graphrep.least_sums,
        (csr.rowptr, csr.col, x, budget),
        test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
    )
    with pytest.raises(GraphrepError, match="Second derivatives"):
        torch.autograd.gradgradcheck(lambda t: least_sums(csr, t, budget), x)


@pytest.mark.usefixtures("_backend")
def test_ties_at_the_last_dropped_entry() -> None:
    """Equal numbers: exactly as many as the budget says are dropped, and the gradient counts them so."""
    edges = torch.tensor([[1, 2, 3, 4], [0, 0, 0, 0]])
    csr = CSR.from_edge_index(edges, size=(5, 5))
    x = torch.ones(5, 1, dtype=torch.float64).requires_grad_()
    sums = least_sums(csr, x, torch.tensor([2, 0, 0, 0, 0]))
    left = torch.tensor(3.0, dtype=torch.float64)
    torch.testing.assert_close(sums[0, 0], 2 / left.sqrt() + 1 / left)
    (grad,) = torch.autograd.grad(sums[0, 0], x)
    torch.testing.assert_close(grad[1:].sum(), 2 / left.sqrt())


def test_long_rows_are_sorted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows above and below the length that is sorted by insertion."""
    csr, x, budget = random_case(60, 3000, seed=6)
    assert int(csr.degree().max()) > cpu.INSERTION
    found = least_sums(csr, x, budget)
    monkeypatch.setenv("GRAPHREP_BACKEND", "reference")
    torch.testing.assert_close(found, least_sums(csr, x, budget), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("_backend")
def test_float32() -> None:
    csr, x, budget = random_case(40, 300, seed=5)
    found = least_sums(csr, x.float(), budget)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), least_sums(csr, x, budget), rtol=0, atol=1e-5)  # sums of a few tens
