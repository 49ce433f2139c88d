"""Graphs and comparisons that the kernel tests share."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels import CSR

REDUCTIONS = ("sum", "mean", "max", "min")


def close(found: Tensor, wanted: Tensor, tol: float) -> None:
    """Largest error over largest value (at least 1); NaN and infinities at the same places."""
    assert found.shape == wanted.shape
    scale = max(1.0, float(wanted.detach().nan_to_num(0, 0, 0).abs().max())) if wanted.numel() else 1.0
    torch.testing.assert_close(found.double(), wanted.double(), rtol=0, atol=tol * scale, equal_nan=True)


def random_csr(
    num_dst: int,
    num_src: int,
    num_edges: int,
    *,
    weights: tuple[int, ...] | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> CSR:
    """A graph with duplicates and empty rows; `weights` is the shape behind the edges, () for one each."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.randint(0, max(num_src, 1), (num_edges,), generator=generator)
    destination = torch.randint(0, max(num_dst, 1), (num_edges,), generator=generator)
    value = None
    if weights is not None:
        value = torch.randn(num_edges, *weights, generator=generator, dtype=torch.float64).to(dtype)
    return CSR.from_edge_index(torch.stack([source, destination]), value, size=(num_src, num_dst))
