"""The gradient of a maximum on CPU: scattered and gathered forms agree, for any shares and with long columns."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import close, random_csr

from graphrep.kernels import CSR, _numba, spmm
from graphrep.kernels.spmm import cpu


def gradients(width: int, weights: tuple[int, ...] | None, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Of x and, where there are weights, of the weights."""
    csr = random_csr(50, 21, 1200, weights=weights, dtype=dtype)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(21, width, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    inputs = [x]
    if csr.value is not None:
        csr = csr.with_value(csr.value.detach().requires_grad_())
        inputs.append(csr.value)
    out = spmm(csr, x, reduce="max")
    return torch.autograd.grad(out, inputs, torch.randn(out.shape, generator=generator, dtype=torch.float64).to(dtype))


@pytest.mark.parametrize("weights", [None, (), (2,)], ids=["plain", "weighted", "heads"])
@pytest.mark.parametrize("width", [2, 16, 130])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("hub", [16, 4096], ids=["long columns", "short columns"])
def test_scattered_equals_reference(
    width: int, weights: tuple[int, ...] | None, threads: int, hub: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHREP_BACKEND", "cpu")
    monkeypatch.setattr(cpu, "_HUB", hub)
    monkeypatch.setattr(cpu._numba, "num_threads", lambda: threads)
    monkeypatch.setattr(_numba, "SMALL_WORK", 1 << 60)  # all shares on this thread: only their borders matter here
    found = gradients(width, weights, torch.float64)
    monkeypatch.setenv("GRAPHREP_BACKEND", "reference")
    for a, b in zip(found, gradients(width, weights, torch.float64), strict=True):
        close(a, b, 1e-12)


def test_gathered_equals_scattered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHREP_BACKEND", "cpu")
    scattered = gradients(16, (), torch.float32)
    monkeypatch.setattr(cpu, "_SCATTERED", 1 << 30)
    for a, b in zip(gradients(16, (), torch.float32), scattered, strict=True):
        close(a, b, 2e-6)


def test_a_column_that_always_wins_keeps_its_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum of 200,000 equal numbers: one after another float32 would be off in the fourth digit."""
    monkeypatch.setenv("GRAPHREP_BACKEND", "cpu")
    rows, fans = 25_000, 8
    edges = torch.stack([torch.zeros(rows * fans, dtype=torch.int64), torch.arange(rows).repeat_interleave(fans)])
    csr = CSR.from_edge_index(edges, size=(1, rows))
    x = torch.ones(1, 4, requires_grad=True)
    spmm(csr, x, reduce="max").backward(torch.full((rows, 4), 0.1))
    torch.testing.assert_close(x.grad, torch.full((1, 4), rows * 0.1), rtol=2e-6, atol=0)
