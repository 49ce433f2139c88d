"""Node features times a random sign matrix, the same bytes for any number of threads and any order of the nodes."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels import _triton
from graphrep.kernels._dispatch import implementation, register
from graphrep.kernels.projection._parallel import even_ranges, run_ranges

if _triton.AVAILABLE:
    from graphrep.kernels.projection import _pass_cuda  # noqa: F401

__all__ = ["project_features_"]


def project_features_(x: Tensor, signs: Tensor, scale: float, out: Tensor) -> Tensor:
    """``out = scale * x @ signs``, written in place; each row is summed in the order of the features.

    Args:
        x: (N, F), dense or torch sparse CSR.
        signs: (F, p) int8.
        scale: common factor.
        out: (N, p) float32 or float64; may be some columns of a larger matrix.

    Raises:
        ShapeError: the sizes do not fit.

    Example:
        >>> project_features_(torch.eye(2), torch.tensor([[1], [-1]], dtype=torch.int8), 0.5, torch.empty(2, 1))
        tensor([[ 0.5000],
                [-0.5000]])
    """
    if x.dim() != 2 or x.shape[1] != signs.shape[0] or out.shape != (x.shape[0], signs.shape[1]):
        raise ShapeError(f"x {tuple(x.shape)}, signs {tuple(signs.shape)} and out {tuple(out.shape)} do not fit.")
    implementation("project_features", x.device)(x, signs, scale, out)
    return out


@register("project_features", "reference")
def _reference(x: Tensor, signs: Tensor, scale: float, out: Tensor) -> None:
    matrix = signs.to(out.dtype) * scale
    wide = x if x.layout is torch.strided else x.to_dense()
    out.copy_(wide.to(out.dtype) @ matrix)


@register("project_features", "cpu")
def _cpu(x: Tensor, signs: Tensor, scale: float, out: Tensor) -> None:
    target, codes = out.numpy(), signs.numpy()
    bounds = even_ranges(x.shape[0], target.shape[1] * 8)
    kernel: Any
    if x.layout is torch.strided:
        dense = x.detach().to(out.dtype).numpy()
        kernel, work = (lambda a, b: _dense_rows(a, b, dense, codes, scale, target)), dense.size * target.shape[1]
    else:
        parts = (x.crow_indices().numpy(), x.col_indices().numpy(), x.values().detach().to(out.dtype).numpy())
        kernel, work = (lambda a, b: _sparse_rows(a, b, *parts, codes, scale, target)), parts[2].size * target.shape[1]
    run_ranges(kernel, bounds, work=work)


_options: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _add_feature(row: Any, amount: Any, signs: Any) -> None:
    for c in range(row.size):
        row[c] += amount * signs[c]


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _dense_rows(first: int, last: int, x: Any, signs: Any, scale: float, out: Any) -> None:
    row = np.empty(out.shape[1], out.dtype)
    for i in range(first, last):
        row[:] = 0
        for f in range(x.shape[1]):
            if x[i, f] != 0:
                _add_feature(row, x[i, f], signs[f])
        for c in range(row.size):
            out[i, c] = scale * row[c]


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _sparse_rows(
    first: int, last: int, indptr: Any, indices: Any, values: Any, signs: Any, scale: float, out: Any
) -> None:
    row = np.empty(out.shape[1], out.dtype)
    for i in range(first, last):
        row[:] = 0
        for e in range(indptr[i], indptr[i + 1]):
            _add_feature(row, values[e], signs[indices[e]])
        for c in range(row.size):
            out[i, c] = scale * row[c]
