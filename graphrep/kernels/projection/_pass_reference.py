"""The fused pass in plain torch (nnz x d intermediates: the truth, not the way)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels.csr import CSR

__all__: list[str] = []


@register("fused_power", "reference")
def _fused_power(
    csr: CSR,
    x: Tensor,
    row_scale: Tensor,
    x_scale: Tensor | None,
    own: Tensor | None,
    out: Tensor | None,
    result: Tensor | None,
    weight: float,
    self_weight: float,
    fresh: bool,
    normalize: bool,
    progress: Any,
) -> None:
    start = x.to(row_scale.dtype) if x_scale is None else x.to(row_scale.dtype) * x_scale[:, None]
    message = start[csr.col]  # (nnz, d)
    if csr.value is not None:
        message = message * csr.value[:, None].to(message.dtype)
    power = torch.zeros(csr.num_rows, x.shape[1], dtype=start.dtype, device=x.device)
    power.index_add_(0, csr.row(), message).mul_(row_scale[:, None])
    if result is not None:
        total = torch.zeros_like(power) if fresh else result.to(power.dtype)
        if self_weight:
            total = total + self_weight * _unit(start if own is None else start[own], normalize)
        result.copy_(total + weight * _unit(power, normalize) if weight else total)
    if out is not None:
        out.copy_(power)
    if progress is not None:
        progress(csr.nnz, csr.nnz)


def _unit(rows: Tensor, normalize: bool) -> Tensor:
    if not normalize:
        return rows
    norm = rows.double().norm(dim=1, keepdim=True)
    return (rows / torch.where(norm > 0, norm, 1.0)).to(rows.dtype)
