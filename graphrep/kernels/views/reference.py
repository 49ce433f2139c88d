"""Plain torch on any device, CUDA included: flags, running counts and boolean selection."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._counter import DOMAIN_VIEW, torch_fraction, torch_start, torch_word
from graphrep.kernels._dispatch import register
from graphrep.kernels.csr import CSR

__all__ = ["compact_view", "keep_mask", "outer_scale"]


@register("keep_mask", "cuda")
@register("keep_mask", "reference")
def keep_mask(count: int, rate: float | Tensor, seed: int, leader: Tensor | None, device: torch.device) -> Tensor:
    """(count,) bool, True where word `leader` (default: the item's own number) of the stream is at least `rate`."""
    number = torch.arange(count, device=device) if leader is None else leader
    start = torch_start(seed, DOMAIN_VIEW, torch.zeros(1, dtype=torch.int64, device=device))
    return torch_fraction(torch_word(start, number)) >= rate


@register("compact_view", "cuda")
@register("compact_view", "reference")
def compact_view(csr: CSR, flag: Tensor, flags: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """rowptr, col of the entries whose `flags[flag]` is True, then rowptr, col, positions of the transpose."""
    transpose, position = csr.pattern_t(), csr.t_perm()
    kept = flags[flag.long()]
    place, rowptr = _counted(kept, csr.rowptr)
    t_kept = kept[position.long()]
    _, t_rowptr = _counted(t_kept, transpose.rowptr)
    return rowptr, csr.col[kept], t_rowptr, transpose.col[t_kept], place[position[t_kept].long()]


def _counted(kept: Tensor, rowptr: Tensor) -> tuple[Tensor, Tensor]:
    """How many entries are kept before each entry, and before each row."""
    before = torch.zeros(kept.numel() + 1, dtype=rowptr.dtype, device=kept.device)
    before[1:] = kept.cumsum(0)
    return before[:-1], before[rowptr.long()]


@register("outer_scale", "cuda")
@register("outer_scale", "reference")
def outer_scale(rowptr: Tensor, col: Tensor, scale: Tensor) -> Tensor:
    """(nnz,) product of the scales (N,) of each entry's row and column."""
    rows = torch.arange(scale.numel(), device=col.device)
    row = torch.repeat_interleave(rows, (rowptr[1:] - rowptr[:-1]).long(), output_size=col.numel())
    return scale[row] * scale[col.long()]
