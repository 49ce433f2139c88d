"""Sampled dense-dense products: one dot product per entry of a sparse matrix, never an E x d array."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels import _triton
from graphrep.kernels._check import check_device, check_floating
from graphrep.kernels._library import define, needs_grad
from graphrep.kernels._ops import transpose_of
from graphrep.kernels.csr import CSR
from graphrep.kernels.sddmm import cpu, reference  # noqa: F401  (they register themselves)

if _triton.AVAILABLE:
    from graphrep.kernels.sddmm import cuda  # noqa: F401

__all__ = ["sddmm"]

_LAYOUT = "Tensor? t_rowptr, Tensor? t_col, Tensor? t_perm"


def sddmm(csr: CSR, q: Tensor, k: Tensor) -> Tensor:
    """Dot products ``<q[row], k[col]>`` along the entries of `csr`, whose weights play no part.

    Args:
        csr: the matrix, (num_rows, num_cols).
        q: (num_rows, H, D), or (num_rows, D).
        k: (num_cols, H, D), or (num_cols, D), of the same dtype; half types are summed in float32.

    Returns:
        (nnz, H), or (nnz,) for two axes, in CSR order. Differentiable twice in q and k without an E x d array.

    Raises:
        ShapeError, DTypeError, DeviceError: the arguments do not fit each other.

    Example:
        >>> csr = CSR.from_edge_index(torch.tensor([[0, 1], [1, 0]]))
        >>> sddmm(csr, torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        tensor([2., 3.])
    """
    check_floating(q, "q")
    check_floating(k, "k")
    check_device(csr.device, q=q, k=k)
    rows = (("q", q, csr.num_rows, "rows"), ("k", k, csr.num_cols, "columns"))
    for name, tensor, count, what in rows:
        if tensor.dim() not in (2, 3) or tensor.shape[0] != count:
            raise ShapeError(
                f"{name} has shape {tuple(tensor.shape)} but the matrix has {count} {what}.",
                hint=f"({count}, H, D) or ({count}, D)",
            )
    if q.shape[1:] != k.shape[1:]:
        raise ShapeError(f"q has shape {tuple(q.shape)} and k {tuple(k.shape)}; heads and width must agree.")
    if q.dtype != k.dtype:
        dtype = torch.promote_types(q.dtype, k.dtype)
        q, k = q.to(dtype), k.to(dtype)
    heads = q.shape[1] if q.dim() == 3 else 0
    out: Tensor = _sddmm(csr.rowptr, csr.col, q, k, heads, *transpose_of(csr, needs_grad(q, k)))
    return out


def _fake(rowptr: Tensor, col: Tensor, q: Tensor, k: Tensor, heads: int, *transpose: Tensor | None) -> Tensor:
    return q.new_empty((col.shape[0], heads) if heads else (col.shape[0],))


def _fake_winners(rowptr: Tensor, col: Tensor, q: Tensor, k: Tensor, arg: Tensor, heads: int, *t: Any) -> Tensor:
    return _fake(rowptr, col, q, k, heads)


_sddmm = define(f"sddmm(Tensor rowptr, Tensor col, Tensor q, Tensor k, int heads, {_LAYOUT}) -> Tensor", _fake)
_winners = define(
    f"sddmm_winners(Tensor rowptr, Tensor col, Tensor q, Tensor k, Tensor arg, int heads, {_LAYOUT}) -> Tensor",
    _fake_winners,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*(a for a in inputs if not isinstance(a, int)))
    ctx.heads = next(a for a in inputs if isinstance(a, int))


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    rowptr, col, q, k, *transpose = ctx.saved_tensors
    spmm = torch.ops.graphrep.spmm.default
    grad_q = grad_k = None
    if ctx.needs_input_grad[2]:
        grad_q = spmm(rowptr, col, None, grad, k, 0, *transpose)
    if ctx.needs_input_grad[3]:
        t_rowptr, t_col, t_perm = transpose
        grad_k = spmm(t_rowptr, t_col, t_perm, grad, q, 0, rowptr, col, None)
    return None, None, grad_q, grad_k, None, None, None, None


def _backward_winners(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    rowptr, col, q, k, arg, *transpose = ctx.saved_tensors
    grad_q = grad_k = None
    if ctx.needs_input_grad[2]:
        from graphrep.kernels.spmm import at_winners

        grad_q = at_winners(col, grad, k, arg)
    if ctx.needs_input_grad[3]:
        grad_k = torch.ops.graphrep.spmm_winners.default(*transpose, grad, q, arg, rowptr, col)
    return None, None, grad_q, grad_k, None, None, None, None, None


torch.library.register_autograd("graphrep::sddmm", _backward, setup_context=_save)
torch.library.register_autograd("graphrep::sddmm_winners", _backward_winners, setup_context=_save)
