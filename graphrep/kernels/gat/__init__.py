"""Attention over neighbours as in graph attention networks (Velickovic et al., arXiv:1710.10903), in one pass.

Derivation of the backward pass. With p_e = softmax over a row of leaky(z_e), z_e = el[col] + er[row], and g the
incoming gradient, d z_e = p_e (<g_row, x_col> - <g_row, out_row>) leaky'(z_e), where leaky' is `slope` plus
(1 - slope) for z_e > 0. Sums of this over a row or a column are linear in the gathered rows, so no dot product per
entry is needed:

- d er_i = (1 - slope) <g_i, rest_i>, rest_i = sum of p_e x_col over entries with z_e > 0, minus out_i times the sum of
  those p_e. The forward pass gathers x anyway and keeps `rest`, (num_rows, H, D).
- d x_j and d el_j come from two weighted sums of g over column j, one with all p_e and one with those of z_e > 0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels import _triton
from graphrep.kernels._check import check_device, check_floating
from graphrep.kernels._library import define, needs_grad
from graphrep.kernels._ops import accumulator, transpose_of
from graphrep.kernels.csr import CSR
from graphrep.kernels.gat import cpu, reference  # noqa: F401  (they register themselves)

if _triton.AVAILABLE:
    from graphrep.kernels.gat import cuda  # noqa: F401

__all__ = ["gat_aggregate"]

_NUM_INPUTS = 10


def gat_aggregate(csr: CSR, x: Tensor, el: Tensor, er: Tensor, *, negative_slope: float = 0.2) -> Tensor:
    """Attention-weighted sums: ``out[i, h] = sum_e softmax_e(leaky_relu(el[col[e], h] + er[i, h])) x[col[e], h]``.

    Args:
        csr: the matrix, (num_rows, num_cols); its weights play no part.
        x: (num_cols, H, D) features per head; float16 and bfloat16 are summed in float32 and rounded once.
        el: (num_cols, H) the sources' part of the logits.
        er: (num_rows, H) the destinations' part.
        negative_slope: of the leaky ReLU.

    Returns:
        (num_rows, H, D). Empty rows and rows whose logits are all -inf give 0; a logit of +inf or NaN makes its row
        NaN. Differentiable twice in x, el and er; the first derivative takes one more pass. Bitwise the same for any
        number of threads. Cost: E (D + exp) H operations; memory for gradients (num_rows, H, D), never E x D or E x H
        (the second derivative keeps E x H logits).

    Raises:
        ShapeError, DTypeError, DeviceError: the arguments do not fit each other.

    Example:
        >>> csr = CSR.from_edge_index(torch.tensor([[0, 1], [1, 1]]))
        >>> x, zero = torch.tensor([[[2.0]], [[4.0]]]), torch.zeros(2, 1)
        >>> gat_aggregate(csr, x, zero, zero).flatten().tolist()
        [0.0, 3.0]
    """
    for name, tensor in (("x", x), ("el", el), ("er", er)):
        check_floating(tensor, name)
    check_device(csr.device, x=x, el=el, er=er)
    if x.dim() != 3 or x.shape[0] != csr.num_cols:
        raise ShapeError(
            f"x has shape {tuple(x.shape)} but the matrix has {csr.num_cols} columns.", hint=f"({csr.num_cols}, H, D)"
        )
    for name, tensor, count in (("el", el, csr.num_cols), ("er", er, csr.num_rows)):
        if tensor.shape != (count, x.shape[1]):
            raise ShapeError(
                f"{name} has shape {tuple(tensor.shape)}; x has {x.shape[1]} heads.", hint=f"({count}, {x.shape[1]})"
            )
    training = needs_grad(x, el, er)
    transpose = transpose_of(csr, training)
    out: Tensor = _gat(csr.rowptr, csr.col, x, el, er, float(negative_slope), training, *transpose)[0]
    return out


def _fake(rowptr: Tensor, col: Tensor, x: Tensor, el: Tensor, er: Tensor, slope: float, training: bool, *_: Any) -> Any:
    shape, total = (rowptr.shape[0] - 1, *x.shape[1:]), accumulator(x.dtype)
    sizes = (shape[:2], shape) if training else ((0,), (0,))
    return x.new_empty(shape), *(x.new_empty(size, dtype=total) for size in sizes)


_gat = define(
    "gat(Tensor rowptr, Tensor col, Tensor x, Tensor el, Tensor er, float slope, bool training,"
    " Tensor? t_rowptr, Tensor? t_col, Tensor? t_perm) -> (Tensor, Tensor, Tensor)",
    _fake,
)
_gat_backward = define(
    "gat_backward(Tensor t_rowptr, Tensor t_col, Tensor x, Tensor el, Tensor er, Tensor lse, Tensor rest, Tensor out,"
    " Tensor grad, float slope) -> (Tensor, Tensor, Tensor)",
    lambda t_rowptr, t_col, x, el, er, *_: (x.new_empty(x.shape), el.new_empty(el.shape), er.new_empty(er.shape)),
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    rowptr, col, x, el, er, ctx.slope, _, *transpose = inputs
    out, lse, rest = output
    ctx.mark_non_differentiable(lse, rest)
    ctx.save_for_backward(rowptr, col, x, el, er, out, lse, rest, *transpose)


def _backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Any, ...]:
    rowptr, col, x, el, er, out, lse, rest, t_rowptr, t_col, t_perm = ctx.saved_tensors
    if torch.is_grad_enabled():
        grads = _composed_backward((rowptr, col, t_rowptr, t_col, t_perm), (x, el, er), grad, ctx.slope)
    else:
        grads = _gat_backward(t_rowptr, t_col, x, el, er, lse, rest, out, grad, ctx.slope)
    wanted = ctx.needs_input_grad
    picked = [g if needed else None for g, needed in zip(grads, wanted[2:5], strict=True)]
    return None, None, *picked, *[None] * (_NUM_INPUTS - 5)


def _composed_backward(layout: tuple[Tensor, ...], inputs: tuple[Tensor, ...], grad: Tensor, slope: float) -> Any:
    """The same gradients through operators that can be differentiated again; keeps E x H logits."""
    rowptr, col, *transpose = layout
    ops = torch.ops.graphrep
    # Views cut the inputs loose from one another: `el` is usually a function of `x`.
    x, el, er = (t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in inputs)
    rows = torch.arange(er.shape[0], dtype=col.dtype, device=col.device)
    row = torch.repeat_interleave(rows, rowptr[1:] - rowptr[:-1], output_size=col.shape[0])
    logits = torch.nn.functional.leaky_relu(el.index_select(0, col) + er.index_select(0, row), slope)
    alpha = ops.edge_softmax.default(rowptr, logits)[0]
    out = ops.spmm.default(rowptr, col, None, alpha, x, 0, *transpose)
    return torch.autograd.grad(out, (x, el, er), grad, create_graph=True)


torch.library.register_autograd("graphrep::gat", _backward, setup_context=_save)
