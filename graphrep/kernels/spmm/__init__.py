"""Sparse times dense: sums, means, maxima and minima of neighbour rows, forward and backward without an E x d array.

The gradient of a sum over A is a sum over its transpose and, for the weights, one dot product per entry
(:mod:`graphrep.kernels.sddmm`); those are the same operators, so derivatives of any order exist.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import _triton
from graphrep.kernels._check import check_device, check_floating
from graphrep.kernels._library import define, needs_grad
from graphrep.kernels._ops import over, transpose_of
from graphrep.kernels.csr import CSR
from graphrep.kernels.spmm import cpu, reference  # noqa: F401  (they register themselves)
from graphrep.kernels.spmm._positions import INDEX_ARG, INT64_ARG, NO_ARG, arg_dtype
from graphrep.typing import Reduction

if _triton.AVAILABLE:
    from graphrep.kernels.spmm import cuda  # noqa: F401

__all__ = ["at_winners", "spmm"]

_SUM, _MEAN, _MEAN_OF_COLUMNS = 0, 1, 2


def spmm(csr: CSR, x: Tensor, *, reduce: Reduction = "sum", return_arg: bool = False) -> Any:
    """Reduces the neighbours' rows of `x` into each row: ``out[i] = reduce_e w_e x[col[e]]`` over the entries e of i.

    Args:
        csr: the matrix; its `value` are the weights w, (nnz,) or (nnz, H), 1 where it has none. Gradients flow to them.
        x: (num_cols, D), or (num_cols, H, D) for weights per head. float16 and bfloat16 are summed in float32 and
            rounded once. Weights of another dtype are converted to the type that sums are kept in.
        reduce: ``"sum"``, ``"mean"`` (divides by the number of entries, not by the sum of weights), ``"max"`` or
            ``"min"``. NaN propagates. Empty rows give 0.
        return_arg: with max and min, also the entry that won; of equal ones the first.

    Returns:
        (num_rows, D), shaped as `x` behind axis 0; with `return_arg` also an int64 tensor of that shape with positions
        in CSR order, -1 for empty rows. Bitwise the same for any number of threads.

    Raises:
        ShapeError, DTypeError, DeviceError, UnknownNameError: the arguments do not fit each other.

    Example:
        >>> csr = CSR.from_edge_index(torch.tensor([[0, 1, 2], [2, 2, 0]]))
        >>> spmm(csr, torch.tensor([[1.0], [5.0], [2.0]]), reduce="max").tolist()
        [[2.0], [0.0], [5.0]]
    """
    flat, shape = _checked(csr, x)
    value = csr.value
    if reduce in ("sum", "mean"):
        if return_arg:
            raise GraphrepError(f'return_arg needs reduce "max" or "min"; got "{reduce}".', hint="return_arg=False")
        transpose = transpose_of(csr, needs_grad(x))
        out = _spmm(csr.rowptr, csr.col, None, value, flat, _MEAN if reduce == "mean" else _SUM, *transpose)
        return out if shape is None else out.view(shape)
    if reduce not in ("max", "min"):
        raise UnknownNameError(f'reduce is "{reduce}".', hint='one of "sum", "mean", "max", "min"')
    wanted = needs_grad(x, value)
    sign, need_arg = 1 if reduce == "max" else -1, NO_ARG
    if wanted or return_arg:  # gradients compare positions with indices, so those are of one type
        need_arg = INDEX_ARG if wanted else INT64_ARG
    out, arg = _extreme(csr.rowptr, csr.col, value, flat, sign, need_arg, *transpose_of(csr, needs_grad(x)))
    out = out if shape is None else out.view(shape)
    return (out, arg.view(out.shape).long()) if return_arg else out


def _checked(csr: CSR, x: Tensor) -> tuple[Tensor, tuple[int, ...] | None]:
    """`x` as the operators take it, and the shape to give the result where that differs."""
    check_floating(x, "x")
    check_device(csr.device, x=x)
    if x.dim() == 0 or x.shape[0] != csr.num_cols:
        raise ShapeError(
            f"x has shape {tuple(x.shape)} but the matrix has {csr.num_cols} columns.",
            hint="one row of x per column; CSR.from_edge_index(..., size=(num_src, num_dst)) sets the number",
        )
    value = csr.value
    if value is None or value.dim() == 1:
        return x, None
    heads, width = value.shape[1], x[:1].numel()
    if (x.dim() >= 3 and x.shape[1] == heads) or csr.num_cols == 0:
        return x, None
    if x.dim() != 2 or heads == 0 or width % heads:
        raise ShapeError(
            f"x has shape {tuple(x.shape)} but the matrix has {heads} weights per entry.",
            hint=f"({csr.num_cols}, {heads}, D)",
        )
    return x.reshape(x.shape[0], heads, width // heads), (csr.num_rows, width)


_TRANSPOSE = "Tensor? t_rowptr, Tensor? t_col, Tensor? t_perm"
_spmm = define(
    f"spmm(Tensor rowptr, Tensor col, Tensor? perm, Tensor? value, Tensor x, int mean, {_TRANSPOSE}) -> Tensor",
    lambda rowptr, col, perm, value, x, mean, *_: x.new_empty(rowptr.shape[0] - 1, *x.shape[1:]),
)
_extreme = define(
    f"spmm_extreme(Tensor rowptr, Tensor col, Tensor? value, Tensor x, int sign, int need_arg, {_TRANSPOSE})"
    " -> (Tensor, Tensor)",
    lambda rowptr, col, value, x, sign, need_arg, *_: (
        x.new_empty(rowptr.shape[0] - 1, *x.shape[1:]),
        rowptr.new_empty((rowptr.shape[0] - 1, *x.shape[1:]) if need_arg else (0,), dtype=arg_dtype(rowptr, need_arg)),
    ),
)
_winners = define(
    "spmm_winners(Tensor t_rowptr, Tensor t_col, Tensor t_perm, Tensor? value, Tensor x, Tensor arg, Tensor rowptr,"
    " Tensor col) -> Tensor",
    lambda t_rowptr, t_col, t_perm, value, x, *_: x.new_empty(t_rowptr.shape[0] - 1, *x.shape[1:]),
)


def _save_sum(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    rowptr, col, perm, value, x, ctx.mean, *transpose = inputs
    # x is for the gradient of the weights alone, and is as large as the output.
    ctx.save_for_backward(rowptr, col, perm, value, x if ctx.needs_input_grad[3] else None, *transpose)


def _backward_sum(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    rowptr, col, perm, value, x, t_rowptr, t_col, t_perm = ctx.saved_tensors
    grad_x = grad_value = None
    if ctx.needs_input_grad[4]:
        swapped = {_SUM: _SUM, _MEAN: _MEAN_OF_COLUMNS, _MEAN_OF_COLUMNS: _MEAN}[ctx.mean]
        grad_x = _spmm(t_rowptr, t_col, t_perm, value, grad, swapped, rowptr, col, perm)
    if ctx.needs_input_grad[3]:
        if ctx.mean == _MEAN:
            grad = over(grad, rowptr)
        elif ctx.mean == _MEAN_OF_COLUMNS:
            x = over(x, t_rowptr)
        heads = value.shape[1] if value.dim() == 2 else 0
        sddmm = torch.ops.graphrep.sddmm.default
        if perm is None:
            grad_value = sddmm(rowptr, col, grad, x, heads, t_rowptr, t_col, t_perm)
        else:  # `value` is in the order of the other layout
            grad_value = sddmm(t_rowptr, t_col, x, grad, heads, rowptr, col, perm)
        grad_value = grad_value.to(value.dtype)
    return None, None, None, grad_value, grad_x, None, None, None, None


def _save_extreme(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    rowptr, col, value, x, _, _, *transpose = inputs
    ctx.save_for_backward(rowptr, col, value, x, output[1], *transpose)
    ctx.mark_non_differentiable(output[1])


def _backward_extreme(ctx: Any, grad: Tensor, _: Any) -> tuple[Any, ...]:
    rowptr, col, value, x, arg, t_rowptr, t_col, t_perm = ctx.saved_tensors
    grad_x = grad_value = None
    if ctx.needs_input_grad[3]:
        grad_x = _winners(t_rowptr, t_col, t_perm, value, grad, arg, rowptr, col)
    if ctx.needs_input_grad[2]:
        heads = value.shape[1] if value.dim() == 2 else 0
        sddmm = torch.ops.graphrep.sddmm_winners.default
        grad_value = sddmm(rowptr, col, grad, x, arg, heads, t_rowptr, t_col, t_perm).to(value.dtype)
    return None, None, grad_value, grad_x, None, None, None, None, None


def _save_winners(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward_winners(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    t_rowptr, t_col, t_perm, value, x, arg, rowptr, col = ctx.saved_tensors
    grad_x = grad_value = None
    if ctx.needs_input_grad[4]:
        grad_x = at_winners(col, value, grad, arg)
    if ctx.needs_input_grad[3]:
        heads = value.shape[1] if value.dim() == 2 else 0
        sddmm = torch.ops.graphrep.sddmm_winners.default
        grad_value = sddmm(rowptr, col, x, grad, arg, heads, t_rowptr, t_col, t_perm).to(value.dtype)
    return None, None, None, grad_value, grad_x, None, None, None


def at_winners(col: Tensor, value: Tensor | None, x: Tensor, arg: Tensor) -> Tensor:
    """``value[arg] * x[col[arg]]`` in each column of `x`, 0 where `arg` is -1; shaped as `arg`."""
    if not col.numel():
        return x.new_zeros(arg.shape)
    place = arg.clamp(min=0).long()
    picked = x.gather(0, col.long()[place])
    if value is not None:
        picked = picked * reference.winner_weight(value, place).to(x.dtype)
    return torch.where(arg >= 0, picked, 0)


torch.library.register_autograd("graphrep::spmm", _backward_sum, setup_context=_save_sum)
torch.library.register_autograd("graphrep::spmm_extreme", _backward_extreme, setup_context=_save_extreme)
torch.library.register_autograd("graphrep::spmm_winners", _backward_winners, setup_context=_save_winners)
