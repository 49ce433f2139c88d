"""sddmm: golden values, widths, gradients, errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from kernel_cases import close, random_csr
from torch import Tensor

from graphrep.errors import DTypeError, ShapeError
from graphrep.kernels import CSR, sddmm


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_golden(dtype: torch.dtype, tol: float, backend: str, golden: Callable[[str], dict[str, Tensor]]) -> None:
    g = golden("sddmm_dot")
    q, k = (g[key].to(dtype).requires_grad_() for key in ("q", "k"))
    csr = CSR.from_edge_index(torch.stack([g["src"], g["dst"]]), size=(k.shape[0], q.shape[0]))
    perm = csr.perm.long()
    score = sddmm(csr, q, k)
    close(score.detach(), g["score"][perm], tol)
    for found, key in zip(torch.autograd.grad(score, (q, k), g["grad_out"][perm].to(dtype)), "qk", strict=True):
        close(found, g[f"grad_{key}"], 5 * tol)


@pytest.mark.parametrize("width", [1, 4, 7, 32, 63, 100])
@pytest.mark.parametrize("heads", [0, 1, 3])
def test_every_width(width: int, heads: int, backend: str) -> None:
    csr = random_csr(6, 5, 30)
    inner = (heads, width) if heads else (width,)
    q, k = (torch.randn(n, *inner, dtype=torch.float64) for n in (6, 5))
    torch.testing.assert_close(sddmm(csr, q, k), (q[csr.row().long()] * k[csr.col.long()]).sum(-1))


@pytest.mark.parametrize("inner", [(3,), (2, 3)])
def test_gradcheck(inner: tuple[int, ...], backend: str) -> None:
    csr = random_csr(4, 5, 12)
    q, k = (torch.randn(n, *inner, dtype=torch.float64, requires_grad=True) for n in (4, 5))
    assert torch.autograd.gradcheck(lambda q, k: sddmm(csr, q, k), (q, k))
    assert torch.autograd.gradgradcheck(lambda q, k: sddmm(csr, q, k), (q, k))


def test_half_types_accumulate_in_float32(backend: str) -> None:
    csr = random_csr(2, 2, 3)
    ones = torch.ones(2, 4096, dtype=torch.bfloat16)
    assert sddmm(csr, ones, ones).tolist() == [4096.0] * 3


def test_no_edges(backend: str) -> None:
    assert sddmm(random_csr(3, 3, 0), torch.ones(3, 2, 4), torch.ones(3, 2, 4)).shape == (0, 2)


def test_errors() -> None:
    csr = random_csr(3, 4, 5)
    with pytest.raises(ShapeError, match="q has shape"):
        sddmm(csr, torch.zeros(4, 2), torch.zeros(4, 2))
    with pytest.raises(ShapeError, match="agree"):
        sddmm(csr, torch.zeros(3, 2), torch.zeros(4, 3))
    with pytest.raises(DTypeError, match="k must hold"):
        sddmm(csr, torch.zeros(3, 2), torch.zeros(4, 2, dtype=torch.int64))
