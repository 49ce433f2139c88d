"""edge_softmax: golden values, every head count, special numbers, gradients, errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from kernel_cases import close, random_csr
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels import CSR, edge_softmax

Golden = Callable[[str], dict[str, Tensor]]


def golden_csr(g: dict[str, Tensor]) -> CSR:
    return CSR.from_edge_index(torch.stack([g["dst"], g["dst"]]), size=(int(g["dst"].max()) + 1, int(g["n_dst"])))


# values


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ["edge_softmax_h1", "edge_softmax_h4"])
def test_golden(name: str, dtype: torch.dtype, backend: str, golden: Golden) -> None:
    g = golden(name)
    perm = g["perm"]
    largest = float(g["logits"][g["logits"].isfinite()].abs().max())
    tol = 1e-12 if dtype == torch.float64 else 1e-6 * max(1.0, largest / 100)
    logits = g["logits"].to(dtype).requires_grad_()
    alpha, lse = edge_softmax(golden_csr(g), logits[perm], return_lse=True)
    close(alpha.detach(), g["alpha"][perm], tol)
    torch.testing.assert_close(lse.double(), g["lse"], rtol=tol, atol=tol)
    grad = torch.autograd.grad(alpha, logits, g["grad_out"][perm].to(dtype))[0]
    close(grad, g["grad_logits"], 1e-10 if dtype == torch.float64 else tol)


def test_rows_of_minus_infinity_give_zero(backend: str, golden: Golden) -> None:
    g = golden("edge_softmax_all_neg_inf")
    csr = golden_csr(g)
    perm = csr.perm.long()
    logits = g["logits"].clone().requires_grad_()
    alpha, lse = edge_softmax(csr, logits[perm], return_lse=True)
    close(alpha.detach(), g["alpha"][perm], 1e-12)
    assert not lse.isnan().any()
    assert torch.autograd.grad(alpha.sum(), logits)[0].isfinite().all()


def test_infinity_and_nan_spoil_their_row_only(backend: str) -> None:
    csr = CSR(torch.tensor([0, 2, 4, 6]), torch.zeros(6, dtype=torch.int64))
    logits = torch.tensor([torch.inf, 0.0, torch.nan, 0.0, 1.0, 1.0])
    assert edge_softmax(csr, logits).isnan().tolist() == [True, True, True, True, False, False]
    assert edge_softmax(csr, logits)[4:].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 5, 8, 16, 17, 32])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_number_of_heads(heads: int, dtype: torch.dtype, backend: str) -> None:
    csr = random_csr(20, 5, 150, seed=heads)
    logits = 10 * torch.randn(150, heads, dtype=dtype, generator=torch.Generator().manual_seed(heads))
    alpha, lse = edge_softmax(csr, logits, return_lse=True)
    for i in range(20):
        row = slice(int(csr.rowptr[i]), int(csr.rowptr[i + 1]))
        close(alpha[row], logits[row].double().softmax(0), 1e-12 if dtype == torch.float64 else 1e-6)
        torch.testing.assert_close(lse[i].double(), logits[row].double().logsumexp(0), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 3000])
def test_long_rows_sum_to_one(count: int, backend: str) -> None:
    csr = CSR(torch.tensor([0, count]), torch.zeros(count, dtype=torch.int64))
    alpha = edge_softmax(csr, torch.randn(count, generator=torch.Generator().manual_seed(0)))
    assert abs(float(alpha.double().sum()) - 1) < 1e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types(dtype: torch.dtype, backend: str) -> None:
    csr = random_csr(6, 5, 30)
    logits = torch.randn(30, 2).to(dtype)
    wanted = edge_softmax(csr, logits.double())
    found = edge_softmax(csr, logits)
    assert found.dtype == dtype
    assert ((found.double() - wanted).abs() <= wanted * torch.finfo(dtype).eps + 1e-6).all()


# gradients


@pytest.mark.parametrize("heads", [None, 3])
def test_gradcheck(heads: int | None, backend: str) -> None:
    csr = random_csr(4, 4, 7)
    shape = (7,) if heads is None else (7, heads)
    logits = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: edge_softmax(csr, x), (logits,))
    assert torch.autograd.gradgradcheck(lambda x: edge_softmax(csr, x), (logits,))


def test_gradient_through_log_sum_exp(backend: str) -> None:
    csr = CSR(torch.tensor([0, 3, 4, 9]), torch.zeros(9, dtype=torch.int64))
    logits = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)

    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        return edge_softmax(csr, x, return_lse=True)  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(both, (logits,))
    assert torch.autograd.gradgradcheck(both, (logits,))
    assert torch.autograd.gradcheck(lambda x: both(x)[1], (logits,))


# edge cases and errors


def test_no_edges(backend: str) -> None:
    alpha, lse = edge_softmax(random_csr(3, 3, 0), torch.empty(0, 2), return_lse=True)
    assert alpha.shape == (0, 2)
    assert torch.equal(lse, torch.full((3, 2), -torch.inf))


def test_wrong_length() -> None:
    with pytest.raises(ShapeError, match="5 entries"):
        edge_softmax(random_csr(3, 3, 5), torch.zeros(4, 2))
