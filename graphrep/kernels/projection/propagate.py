"""The fused pass of FastRP: gather, scale, normalise, accumulate and store, one row at a time.

Bytes moved per pass: nnz * d * b gathered (b bytes an element of `x`), N * d * b written to `out`, 2 N * d * 4 for the
result when it takes part, 4 bytes an entry for the column index (and as many for a weight). Arithmetic: 2 nnz d.
The gather is the bound unless the graph has locality; nothing else passes over N x d.
Source: Chen et al., "Fast and Accurate Network Embeddings via Very Sparse Random Projection", CIKM 2019, section 3.
"""

from __future__ import annotations

from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels import _triton
from graphrep.kernels._dispatch import implementation
from graphrep.kernels.csr import CSR
from graphrep.kernels.projection import _pass_cpu, _pass_reference, _standard_cpu, _standard_reference
from graphrep.kernels.projection._parallel import Progress

if _triton.AVAILABLE:
    from graphrep.kernels.projection import _pass_cuda  # noqa: F401

__all__ = ["column_moments", "fused_power", "standardize_"]

_NEEDED = (_pass_cpu, _pass_reference, _standard_cpu, _standard_reference)  # importing registers them


def fused_power(
    csr: CSR,
    x: Tensor,
    *,
    row_scale: Tensor,
    x_scale: Tensor | None = None,
    own: Tensor | None = None,
    out: Tensor | None = None,
    result: Tensor | None = None,
    weight: float = 0.0,
    self_weight: float = 0.0,
    fresh: bool = False,
    normalize: bool = True,
    progress: Progress | None = None,
) -> None:
    """One power and its share of the embedding, written in place.

    With X = x_scale * x (rows), ``Y_i = row_scale_i * sum_j A_ij X_j`` and n(v) = v / |v| (zero stays zero; the
    identity without `normalize`)::

        out_i    = Y_i
        result_i = (0 if fresh else result_i) + self_weight * n(X_own(i)) + weight * n(Y_i)

    Args:
        csr: (N, M); entries of a row are summed in their order, rows of more than 512 entries in fixed pieces, so the
            bytes are the same for any number of threads. Weights, if any, in ``csr.value`` (nnz,).
        x: (M, d) float32, float64 or bfloat16, or int8 sign codes (these need `x_scale`).
        row_scale: (N,) in the working type: float64 where `out` or `result` is float64, else float32.
        x_scale: (M,) multiplies the rows of int8 codes.
        own: (N,) int64, where in `x` each row's own vector is; default row i at i.
        out: (N, d) float32, float64 or bfloat16; None: the power is not kept.
        result: (N, d) float32 or float64; None when both weights are 0.
        weight: share of this power.
        self_weight: see the equation; the row of `x` that counts is that of `own`.
        fresh: overwrite `result`.
        normalize: add unit vectors.
        progress: called with (entries done, all entries).

    Raises:
        ShapeError: the arrays do not fit together.

    Example:
        >>> import torch
        >>> csr = CSR.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 0]]))
        >>> y = torch.empty(3, 2)
        >>> fused_power(csr, torch.eye(3, 2), row_scale=torch.ones(3), out=y)
        >>> y.tolist()
        [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """
    _check(csr, x, row_scale, own, out, result)
    implementation("fused_power", x.device)(
        csr, x, row_scale, x_scale, own, out, result, weight, self_weight, fresh, normalize, progress
    )


def _check(
    csr: CSR, x: Tensor, row_scale: Tensor, own: Tensor | None, out: Tensor | None, result: Tensor | None
) -> None:
    if x.dim() != 2 or x.shape[0] != csr.num_cols:
        raise ShapeError(f"x has shape {tuple(x.shape)}; the matrix has {csr.num_cols} columns.")
    if row_scale.shape != (csr.num_rows,):
        raise ShapeError(f"row_scale has shape {tuple(row_scale.shape)} for {csr.num_rows} rows.")
    for name, tensor in (("out", out), ("result", result)):
        if tensor is not None and (tensor.shape != (csr.num_rows, x.shape[1]) or not tensor.is_contiguous()):
            raise ShapeError(f"{name} has shape {tuple(tensor.shape)}; it must be {csr.num_rows} x {x.shape[1]} rows.")
    if own is not None and own.shape != (csr.num_rows,):
        raise ShapeError(f"own has shape {tuple(own.shape)} for {csr.num_rows} rows.")


def column_moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation of each column, in float64; 1 where a column is constant.

    Summed over fixed blocks of rows, so the bytes do not depend on the number of threads.

    Example:
        >>> import torch
        >>> column_moments(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
        (tensor([2., 5.], dtype=torch.float64), tensor([1., 1.], dtype=torch.float64))
    """
    moments: tuple[Tensor, Tensor] = implementation("column_moments", z.device)(z)
    return moments


def standardize_(z: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """``(z - mean) / std`` in place, column by column; `mean` and `std` (d,) float64. Returns `z`."""
    implementation("standardize", z.device)(z, mean, std)
    return z
