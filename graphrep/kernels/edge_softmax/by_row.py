"""Softmax over the entries of each row of a sparse matrix, as attention uses it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels._check import check_device, check_floating
from graphrep.kernels._library import define
from graphrep.kernels.csr import CSR
from graphrep.kernels.edge_softmax import cpu, reference  # noqa: F401  (they register themselves)
from graphrep.kernels.segment.reduce import gather_rows, reduce_rows

__all__ = ["edge_softmax"]


def edge_softmax(csr: CSR, logits: Tensor, *, return_lse: bool = False) -> Any:
    """Softmax of the logits over the entries of each row, for each head.

    Args:
        csr: the matrix; its weights play no part.
        logits: (nnz, H) or (nnz,), in CSR order.
        return_lse: also return log-sum-exp of each row.

    Returns:
        (nnz, H) or (nnz,) in CSR order; with `return_lse` also (num_rows, H) or (num_rows,), -inf for empty rows.
        Rows whose logits are all -inf give 0; a logit of +inf or NaN makes its row NaN. Differentiable twice.

    Raises:
        ShapeError, DTypeError, DeviceError: the arguments do not fit each other.

    Example:
        >>> csr = CSR.from_edge_index(torch.tensor([[0, 1, 2], [1, 1, 0]]))
        >>> edge_softmax(csr, torch.tensor([5.0, 0.0, 0.0])).tolist()
        [1.0, 0.5, 0.5]
    """
    check_floating(logits, "logits")
    check_device(csr.device, logits=logits)
    if logits.dim() not in (1, 2) or logits.shape[0] != csr.nnz:
        raise ShapeError(
            f"logits have shape {tuple(logits.shape)} but the matrix has {csr.nnz} entries.", hint="(nnz,) or (nnz, H)"
        )
    alpha, lse = _softmax(csr.rowptr, logits)
    return (alpha, lse) if return_lse else alpha


_softmax = define(
    "edge_softmax(Tensor rowptr, Tensor logits) -> (Tensor, Tensor)",
    lambda rowptr, logits: (torch.empty_like(logits), logits.new_empty(rowptr.shape[0] - 1, *logits.shape[1:])),
)
_softmax_backward = define(
    "edge_softmax_backward(Tensor rowptr, Tensor alpha, Tensor grad, Tensor? grad_lse) -> Tensor",
    lambda rowptr, alpha, *_: torch.empty_like(alpha),
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(inputs[0], output[0])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None, grad_lse: Tensor | None) -> tuple[Any, ...]:
    rowptr, alpha = ctx.saved_tensors
    if grad is None:
        grad = torch.zeros_like(alpha)
    return None, _softmax_backward(rowptr, alpha, grad, grad_lse)


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward_backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
    """Derivatives of ``alpha * (grad - total[row])``, total = sum over the row of alpha * grad, minus grad_lse."""
    rowptr, alpha, grad, grad_lse = ctx.saved_tensors
    weighted = reduce_rows(alpha * cotangent, rowptr)
    total = reduce_rows(alpha * grad, rowptr)
    if grad_lse is not None:
        total = total - grad_lse
    by_row = gather_rows(weighted, rowptr, alpha.shape[0])
    by_alpha = cotangent * (grad - gather_rows(total, rowptr, alpha.shape[0])) - grad * by_row
    return None, by_alpha, alpha * (cotangent - by_row), None if grad_lse is None else weighted


torch.library.register_autograd("graphrep::edge_softmax", _backward, setup_context=_save)
torch.library.register_autograd("graphrep::edge_softmax_backward", _backward_backward, setup_context=_save_backward)
