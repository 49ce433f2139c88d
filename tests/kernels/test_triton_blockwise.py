"""The Triton form of the all-pairs log-sum-exp against dense float64: on a CUDA device, else in the interpreter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernel_cases import close
from test_blockwise import ALL, compare, dense, masks, rows
from torch import Tensor
from triton_cases import BACKEND, DEVICE

from graphrep.kernels import _triton, streaming_logsumexp
from graphrep.kernels._dispatch import implementations
from graphrep.kernels.blockwise import DOTS, SKIP_DIAGONAL, UU, UV, VU, contrast
from graphrep.objectives import info_nce

pytestmark = [
    pytest.mark.skipif(not _triton.AVAILABLE, reason="Triton is not installed"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:triton"),  # numpy about inf - inf and log(0), as intended
    pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning"),
]


@pytest.fixture(autouse=True)
def _triton_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHREP_BACKEND", BACKEND)
    plain = _triton.empty
    monkeypatch.setattr(_triton, "empty", lambda *args: plain(*args).fill_(torch.nan))


def on_device(count: int, width: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return rows(count, width, seed, dtype).detach().to(DEVICE).requires_grad_()


def check(u: Tensor, v: Tensor, terms: int, scale: float, tol: float, **options: Any) -> None:
    """`compare` on the device; its definition runs where the inputs are."""
    with torch.device(DEVICE):
        compare(u, v, terms, scale, tol, **options)


def test_registered() -> None:
    assert all("cuda" in implementations()[name] for name in ("contrast", "contrast_backward"))


@pytest.mark.parametrize("terms", [UV, VU, UU | UV, ALL | SKIP_DIAGONAL])
@pytest.mark.parametrize(("unit", "scale"), [(True, 2.5), (True, 300.0), (False, 1.0)])
def test_terms(terms: int, unit: bool, scale: float) -> None:
    tol = 3e-6 * max(1.0, scale / 10)  # logits are rounded relative to their size
    check(on_device(70, 5, 1), on_device(45, 5, 2), terms, scale, tol, unit=unit)


@pytest.mark.parametrize(("n", "m", "width"), [(1, 1, 1), (3, 130, 40), (129, 2, 17)])
def test_sizes(n: int, m: int, width: int) -> None:
    check(on_device(n, width, 3), on_device(m, width, 4), ALL, 1.0, 3e-6)


def test_wide_rows_are_cut() -> None:
    check(on_device(9, 150, 5), on_device(7, 150, 6), ALL, 3.0, 3e-6, unit=True)


def test_float64_masks_scales_and_weights() -> None:
    u, v = on_device(70, 5, 7, torch.float64), on_device(75, 5, 8, torch.float64)
    lists = {name: None if csr is None else csr.to(DEVICE) for name, csr in masks(70, 75, 9).items()}
    factor = torch.linspace(0.5, 3, 70, dtype=torch.float64, device=DEVICE)
    bias = torch.linspace(-5, 1, 75, dtype=torch.float64, device=DEVICE)
    for scale in (1.0, 500.0):
        check(u, v, ALL, scale, 1e-12, unit=True, scales=(factor, None), bias=(None, bias), forbidden=lists)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types(dtype: torch.dtype) -> None:
    u, v = on_device(66, 20, 10, dtype), on_device(50, 20, 11, dtype)
    lse, _, _ = contrast(u, v, terms=UV, scale=0.3)
    a, b = (x.detach().double().requires_grad_() for x in (u, v))
    wanted, _ = dense(a, b, UV, 0.3)
    assert lse.dtype == torch.float32
    close(lse.detach(), wanted.detach(), 1e-6)
    grads = torch.autograd.grad(lse.sum(), (u, v))
    for found, truth in zip(grads, torch.autograd.grad(wanted.sum(), (a, b)), strict=True):
        close(found, truth, 8e-3)  # weights and results in 8 bits; float16 is finer


def test_nan_infinity_and_empty() -> None:
    q, k = on_device(5, 3, 12).detach(), torch.ones(70, 3, device=DEVICE)
    q[2, 1] = torch.nan
    assert streaming_logsumexp(q, k).isnan().tolist() == [False, False, True, False, False]
    k[60] = torch.inf
    assert streaming_logsumexp(q.abs(), k)[[0, 1, 3, 4]].tolist() == [torch.inf] * 4
    assert streaming_logsumexp(q, k[:0]).tolist() == [-torch.inf] * 5
    assert streaming_logsumexp(k[:0], q).shape == (0,)
    one = on_device(1, 4, 13)
    lse = streaming_logsumexp(one, one, exclude_diagonal=True)
    assert torch.equal(torch.autograd.grad(lse.sum(), one)[0], torch.zeros_like(one))


def test_info_nce_and_products() -> None:
    u, v = on_device(40, 6, 14), on_device(40, 6, 15)
    loss = info_nce(u, v, temperature=0.2)
    a, b = (x.detach().double().cpu().requires_grad_() for x in (u, v))
    lse = dense(a, b, ALL, 5.0, unit=True)
    dots = 5 * torch.cosine_similarity(a, b)
    wanted = ((lse[0] + lse[1]) / 2 - dots).mean()
    close(loss.detach().cpu(), wanted.detach(), 1e-6)
    for found, truth in zip(torch.autograd.grad(loss, (u, v)), torch.autograd.grad(wanted, (a, b)), strict=True):
        close(found.cpu(), truth, 3e-6)
    assert contrast(u, v, terms=DOTS)[2].shape == (40,)


def test_same_bytes_again() -> None:
    u, v = on_device(100, 8, 16), on_device(90, 8, 17)

    def run() -> list[Tensor]:
        lse_u, lse_v, _ = contrast(u, v, terms=ALL)
        return [lse_u, lse_v, *torch.autograd.grad(lse_u.sum() + lse_v.sum(), (u, v))]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE.type != "cuda", reason="needs a CUDA device")
def test_a_training_step_takes_no_array_of_pairs() -> None:
    u, v = (torch.randn(20_000, 128, device=DEVICE, dtype=torch.bfloat16, requires_grad=True) for _ in range(2))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    info_nce(u, v, temperature=0.4).backward()
    assert torch.cuda.max_memory_allocated() - before < 100e6  # one N x N array of bfloat16 is 800 MB
