"""Weighted sums of exponentials of dot products along the entries of a sparse matrix, in logarithms and in one pass.

The positives of a contrast that follows a graph. Derivation of the backward pass: with s_e = scale <q_row, k_col> and
p_e = w_e exp(s_e) / sum over the row, d q_i = g_i scale sum_e p_e k_col over row i, and d k_j = scale sum_e g_row p_e
q_row over column j. Both are the same weighted sum of gathered rows, one over the matrix and one over its transpose;
p_e is computed anew from the dot product where it is used, so nothing of E x d or of E is kept.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import _triton
from graphrep.kernels._check import check_device, check_floating
from graphrep.kernels._library import define, needs_grad
from graphrep.kernels._ops import accumulator, transpose_of
from graphrep.kernels.csr import CSR
from graphrep.kernels.edge_logsumexp import cpu, reference  # noqa: F401  (they register themselves)
from graphrep.kernels.segment.reduce import reduce_rows

if _triton.AVAILABLE:
    from graphrep.kernels.edge_logsumexp import cuda  # noqa: F401

__all__ = ["edge_logsumexp"]


def edge_logsumexp(csr: CSR, q: Tensor, k: Tensor, *, scale: float = 1.0, zero_diagonal: bool = False) -> Tensor:
    """``log sum_e w_e exp(scale <q_i, k_col[e]>)`` over the entries e of each row i, without an E x d array.

    Args:
        csr: the matrix, (num_rows, num_cols); its `value` are the weights w, (nnz,), 1 where it has none. Gradients
            flow to them. An entry of weight 0 counts as absent, whatever its product.
        q: (num_rows, D).
        k: (num_cols, D), of the same dtype; half types are widened.
        scale: factor of the products; an inverse temperature.
        zero_diagonal: take the product of an entry (i, i) as the constant 0, so that it adds w_e to the sum.

    Returns:
        (num_rows,) in float32 for half types, else in the inputs' dtype; -inf for a row without entries, NaN for one
        whose sum is negative or whose products hold NaN or +inf. Differentiable twice in q, k and the weights; the
        first derivative takes one pass over the matrix and one over its transpose. Bitwise the same for any number of
        threads. Cost: E (D multiply-adds + exp) forward, three times that backward; memory O((num_rows + num_cols) D),
        and O(E) for the gradient of the weights and for second derivatives.

    Raises:
        ShapeError, DTypeError, DeviceError, GraphrepError: the arguments do not fit each other.

    See also: :func:`streaming_logsumexp` (all pairs), :func:`sddmm` (the products themselves).

    Example:
        >>> csr = CSR.from_edge_index(torch.tensor([[0, 1], [1, 1]]))
        >>> edge_logsumexp(csr, torch.eye(2), torch.eye(2))
        tensor([  -inf, 1.3133])
    """
    _check(csr, q, k, scale)
    dtype = torch.promote_types(q.dtype, k.dtype)
    q, k = q.to(dtype), k.to(dtype)
    layout = (csr.rowptr, csr.col, csr.value)
    lse: Tensor = _forward(*layout, q, k, float(scale), zero_diagonal, *transpose_of(csr, needs_grad(k)))[0]
    return lse


def _check(csr: CSR, q: Tensor, k: Tensor, scale: float) -> None:
    check_floating(q, "q")
    check_floating(k, "k")
    check_device(csr.device, q=q, k=k)
    if not math.isfinite(scale):
        raise GraphrepError(f"scale must be finite; got {scale}.", hint="for example 1.0")
    for name, tensor, count, what in (("q", q, csr.num_rows, "rows"), ("k", k, csr.num_cols, "columns")):
        if tensor.dim() != 2 or tensor.shape[0] != count:
            raise ShapeError(
                f"{name} has shape {tuple(tensor.shape)} but the matrix has {count} {what}.", hint=f"({count}, D)"
            )
    if q.shape[1] != k.shape[1]:
        raise ShapeError(f"q has shape {tuple(q.shape)} and k {tuple(k.shape)}; their width must agree.")
    if csr.value is not None and csr.value.dim() != 1:
        raise ShapeError(
            f"the matrix has weights of shape {tuple(csr.value.shape)}; one per entry is needed.",
            hint="csr.with_value(weight[:, 0])",
        )


def _fake(rowptr: Tensor, col: Tensor, value: Tensor | None, q: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    size, dtype = rowptr.shape[0] - 1, accumulator(q.dtype)
    return q.new_empty(size, dtype=dtype), q.new_empty(size, dtype=dtype)


_forward = define(
    "edge_logsumexp(Tensor rowptr, Tensor col, Tensor? value, Tensor q, Tensor k, float scale, bool zero_diagonal,"
    " Tensor? t_rowptr, Tensor? t_col, Tensor? t_perm) -> (Tensor, Tensor)",
    _fake,
)
_rows_backward = define(
    "edge_logsumexp_backward(Tensor rowptr, Tensor col, Tensor? perm, Tensor? value, Tensor x, Tensor y,"
    " Tensor factor, Tensor shift, float scale, bool zero_diagonal, bool by_column) -> Tensor",
    lambda rowptr, col, perm, value, x, *_: torch.empty_like(x),
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    rowptr, col, value, q, k, ctx.scale, ctx.zero_diagonal, *transpose = inputs
    lse, shift = output
    ctx.mark_non_differentiable(shift)
    ctx.save_for_backward(rowptr, col, value, q, k, lse, shift, *transpose)


def _backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Any, ...]:
    rowptr, col, value, q, k, lse, shift, *transpose = ctx.saved_tensors
    wanted, options = ctx.needs_input_grad[2:5], (ctx.scale, ctx.zero_diagonal)
    if torch.is_grad_enabled():
        grads = _composed_backward((rowptr, col, *transpose), (value, q, k), lse, grad, wanted, *options)
        return None, None, *grads, *[None] * 5
    nothing = lse == -torch.inf
    factor = torch.where(nothing, 0, grad * (shift - lse).exp()) * ctx.scale
    shift = torch.where(shift == -torch.inf, 0, shift)
    grad_value = grad_q = grad_k = None
    if wanted[0]:
        logits, row = _logits((rowptr, col, *transpose), q, k, *options)
        share = torch.where(nothing[row], 0, (logits - lse[row]).exp() * grad[row])
        grad_value = share.to(value.dtype)
    if wanted[1]:
        grad_q = _rows_backward(rowptr, col, None, value, q, k, factor, shift, *options, False)
    if wanted[2]:
        t_rowptr, t_col, t_perm = transpose
        grad_k = _rows_backward(t_rowptr, t_col, t_perm, value, k, q, factor, shift, *options, True)
    return None, None, grad_value, grad_q, grad_k, *[None] * 5


def _logits(layout: tuple[Tensor, ...], q: Tensor, k: Tensor, scale: float, zero_diagonal: bool) -> Any:
    """(nnz,) products and the row of each entry."""
    rowptr, col, *transpose = layout
    rows = torch.arange(q.shape[0], dtype=col.dtype, device=col.device)
    row = torch.repeat_interleave(rows, rowptr[1:] - rowptr[:-1], output_size=col.shape[0])
    dtype = accumulator(q.dtype)
    dots = torch.ops.graphrep.sddmm.default(rowptr, col, q.to(dtype), k.to(dtype), 0, *transpose)
    logits = scale * dots
    return torch.where(row == col, 0, logits) if zero_diagonal else logits, row


def _composed_backward(
    layout: tuple[Tensor, ...],
    inputs: tuple[Tensor | None, Tensor, Tensor],
    lse: Tensor,
    grad: Tensor,
    wanted: tuple[bool, ...],
    *options: Any,
) -> list[Tensor | None]:
    """The same gradients through operators that can be differentiated again; keeps a few arrays of nnz numbers."""
    rowptr = layout[0]
    # Views cut the inputs loose from one another: q and k are often one tensor.
    value, q, k = (t.view_as(t) if t is not None and need else t for t, need in zip(inputs, wanted, strict=True))
    assert q is not None
    assert k is not None
    logits, row = _logits(layout, q, k, *options)
    if value is not None and not wanted[0]:
        logits = torch.where(value == 0, -torch.inf, logits)
    nothing, lse = lse == -torch.inf, lse.detach()
    power = (logits - torch.where(nothing, 0, lse)[row]).exp()
    total = reduce_rows(power if value is None else power * value, rowptr)
    out = torch.where(nothing, 1, total).log()
    chosen = [t for t, need in zip((value, q, k), wanted, strict=True) if t is not None and need]
    found = iter(torch.autograd.grad(out, chosen, grad, create_graph=True))
    return [next(found) if need else None for need in wanted]


torch.library.register_autograd("graphrep::edge_logsumexp", _backward, setup_context=_save)
