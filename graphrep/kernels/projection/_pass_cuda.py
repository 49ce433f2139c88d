"""The pass of FastRP and the projection of features on CUDA: the Triton sum of neighbour rows, and plain torch.

Two N x d arrays beside the results; the sum reads int8 codes and bfloat16 as they are stored.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.kernels._dispatch import register
from graphrep.kernels.csr import CSR
from graphrep.kernels.spmm.sum_cuda import sum_rows

__all__: list[str] = []


@register("fused_power", "cuda")
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
    kind = row_scale.dtype
    power = sum_rows(csr.rowptr, csr.col, None, csr.value, x_scale, None, x, dtype=kind).mul_(row_scale[:, None])
    if result is not None:
        if fresh:
            result.zero_()
        if self_weight:
            start = (x if own is None else x[own]).to(kind)
            if x_scale is not None:
                start *= (x_scale if own is None else x_scale[own])[:, None]
            result.add_(_unit(start, normalize), alpha=self_weight)
        if weight:
            result.add_(_unit(power, normalize), alpha=weight)
    if out is not None:
        out.copy_(power)
    if progress is not None:
        progress(csr.nnz, csr.nnz)


def _unit(rows: Tensor, normalize: bool) -> Tensor:
    """The rows divided by their lengths; zero stays zero."""
    if not normalize:
        return rows
    norm = torch.linalg.vector_norm(rows, dim=1, keepdim=True, dtype=torch.float64)
    return (rows / torch.where(norm > 0, norm, 1.0)).to(rows.dtype)


@register("project_features", "cuda")
def _project(x: Tensor, signs: Tensor, scale: float, out: Tensor) -> None:
    if x.layout is torch.strided:
        out.copy_(x.to(out.dtype) @ (signs.to(out.dtype) * scale))
        return
    parts = (x.crow_indices(), x.col_indices(), None, x.values().detach(), None, None)
    out.copy_(sum_rows(*parts, signs, dtype=out.dtype).mul_(scale))
