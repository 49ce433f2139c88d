"""Plain torch on any device: a block of dense rows goes through its steps together."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels.csr import CSR
from graphrep.kernels.spmm import spmm

__all__ = ["katz_scores", "pagerank_rows"]

BLOCK_NUMBERS = 1 << 22  # of the dense rows that are held at once


@register("pagerank_rows", "reference")
@register("pagerank_rows", "cuda")  # sparse products, which run in a fixed order on the device too
def pagerank_rows(
    csr: CSR, nodes: Tensor, teleport: float, tolerance: float, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(S,) entries of each row, and their columns and values."""
    size = _rows(csr)
    parts = [_pushed(csr, nodes[a : a + size], teleport, tolerance) for a in range(0, nodes.numel(), size)]
    counts, columns, values = (torch.cat(list(part)) for part in zip(*parts, strict=True))
    return counts, columns, values


def _pushed(csr: CSR, nodes: Tensor, teleport: float, tolerance: float) -> tuple[Tensor, Tensor, Tensor]:
    degree = csr.degree().double()
    row = torch.arange(nodes.numel(), device=nodes.device)
    mass = torch.zeros(nodes.numel(), csr.num_rows, dtype=torch.float64, device=nodes.device)
    rest = mass.clone()
    rest[row, nodes] = 1.0
    bound = tolerance * degree.clamp(min=1)
    kept = torch.where(degree > 0, teleport * torch.ones_like(degree), 1.0)
    while bool((active := rest >= bound).any()):
        moved = torch.where(active, rest, 0)
        mass += moved * kept
        rest = rest - moved + _step(csr, moved * ((1 - teleport) / degree.clamp(min=1)))
    place, columns = mass.nonzero(as_tuple=True)
    return torch.bincount(place, minlength=nodes.numel()), columns, mass[place, columns]


@register("katz_scores", "reference")
@register("katz_scores", "cuda")
def katz_scores(csr: CSR, starts: Tensor, pointer: Tensor, ends: Tensor, beta: float, hops: int) -> Tensor:
    """(P,) sums of the pairs of ``starts[k]`` with ``ends[pointer[k] : pointer[k + 1]]``."""
    out = torch.empty(ends.numel(), dtype=torch.float64, device=ends.device)
    size = _rows(csr)
    for first in range(0, starts.numel(), size):
        nodes = starts[first : first + size]
        bounds = pointer[first : first + nodes.numel() + 1]
        row = torch.arange(nodes.numel(), device=nodes.device)
        power = torch.zeros(nodes.numel(), csr.num_rows, dtype=torch.float64, device=nodes.device)
        power[row, nodes] = 1.0
        total = torch.zeros_like(power)
        for _ in range(hops):
            power = beta * _step(csr, power)
            total += power
        part = slice(int(bounds[0]), int(bounds[-1]))
        out[part] = total[torch.repeat_interleave(row, bounds.diff()), ends[part]]
    return out


def _step(csr: CSR, rows: Tensor) -> Tensor:
    """(B, N) rows times the matrix."""
    product: Tensor = spmm(csr.pattern_t(), rows.t().contiguous()).t()
    return product


def _rows(csr: CSR) -> int:
    return max(1, BLOCK_NUMBERS // max(csr.num_rows, 1))
