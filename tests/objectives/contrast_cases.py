"""The definitions, written as explicit loops over rows in float64, and comparisons."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def close(found: Tensor, wanted: Tensor, tol: float) -> None:
    """Largest error over largest value (at least 1)."""
    assert found.shape == wanted.shape
    scale = max(1.0, float(wanted.detach().abs().max())) if wanted.numel() else 1.0
    torch.testing.assert_close(found.double(), wanted.double(), rtol=0, atol=tol * scale)


def views(count: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Two leaf tensors of random rows that are not normalised."""
    generator = torch.Generator().manual_seed(seed)
    made = (torch.randn(count, width, generator=generator, dtype=torch.float64) for _ in range(2))
    first, second = (x.to(dtype).requires_grad_() for x in made)
    return first, second


def contrast_rows(
    u: Tensor,
    v: Tensor,
    temperature: float,
    *,
    intra_view: bool = True,
    positive_in_sum: bool = True,
    left_out: tuple[Tensor, Tensor] | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Row i: minus the (weighted) positive, plus the logarithm of the sum over its negatives, one at a time."""
    u, v = normalize(u), normalize(v)
    rows = []
    for i in range(len(u)):
        positive = u[i] @ v[i] / temperature
        logits = [positive] if positive_in_sum else []
        for k in range(len(u)):
            if k == i:
                continue
            if left_out is None or not left_out[1][i, k]:
                logits.append(u[i] @ v[k] / temperature)
            if intra_view and (left_out is None or not left_out[0][i, k]):
                logits.append(u[i] @ u[k] / temperature)
        factor = 1.0 if weight is None else weight[i]
        rows.append(torch.logsumexp(torch.stack(logits), 0) - factor * positive)
    return torch.stack(rows)


def gradients(loss: Tensor, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    return list(torch.autograd.grad(loss.sum(), inputs))
