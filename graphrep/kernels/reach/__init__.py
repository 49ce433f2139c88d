"""Means of the feature rows that the rows of a product of two patterns reach, without storing the product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels._check import check_device, check_floating
from graphrep.kernels._library import define, needs_grad
from graphrep.kernels.csr import CSR
from graphrep.kernels.reach import cpu, reference  # noqa: F401  (they register themselves)
from graphrep.kernels.sparse_product import check_fit, product_cost, product_lengths

__all__ = ["reach_counts", "reach_mean"]

_MEAN, _MEAN_OF_COLUMNS = 1, 2


def reach_counts(a: CSR, b: CSR) -> Tensor:
    """(N,) int64 how many columns each row of the product of two patterns reaches."""
    check_fit(a, b)
    return product_lengths(a, b, b.num_cols, product_cost(a, b), lambda nnz: None).diff()


def reach_mean(a: CSR, b: CSR, x: Tensor, *, counts: Tensor | None = None) -> Tensor:
    """``out[i] = mean of x[j] over the j that row i of A B reaches``, each j once however many ways lead there.

    Every row of the pattern of the product is found, used and forgotten, forward and backward.

    Args:
        a: (N, K); values and duplicate entries play no part.
        b: (K, M).
        x: (M, D); float16 and bfloat16 are summed in float32 and rounded once.
        counts: (N,) what :func:`reach_counts` gives for these matrices, where it is known.

    Returns:
        (N, D); 0 for rows that reach nothing. Differentiable in `x` to any order. Same bytes for any number of threads.
        Time: a look at each pair of meeting entries, and one addition per number read; memory: 16 bytes per column and
        thread.

    Raises:
        ShapeError, DTypeError, DeviceError: the arguments do not fit each other.

    Example:
        >>> a = CSR.from_edge_index(torch.tensor([[0, 1, 1], [0, 0, 1]]), size=(2, 3))
        >>> b = CSR.from_edge_index(torch.tensor([[0, 0, 1], [0, 1, 1]]), size=(2, 2))
        >>> reach_mean(a, b, torch.tensor([[1.0], [5.0]])).tolist()
        [[3.0], [3.0], [0.0]]
    """
    check_fit(a, b)
    check_floating(x, "x")
    check_device(a.device, x=x, counts=counts)
    if x.dim() != 2 or x.shape[0] != b.num_cols:
        raise ShapeError(
            f"x has shape {tuple(x.shape)} but the product has {b.num_cols} columns.", hint=f"({b.num_cols}, D)"
        )
    if counts is None:
        counts = reach_counts(a, b)
    if counts.shape != (a.num_rows,):
        raise ShapeError(
            f"counts has shape {tuple(counts.shape)} but there are {a.num_rows} rows.", hint="reach_counts"
        )
    turned: tuple[Tensor | None, ...] = (None, None, None, None)
    if needs_grad(x):
        first, second = a.pattern_t(), b.pattern_t()
        turned = (first.rowptr, first.col, second.rowptr, second.col)
    out: Tensor = _reach(a.rowptr, a.col, b.rowptr, b.col, *turned, counts, x, _MEAN)
    return out


_reach = define(
    "reach(Tensor a_rowptr, Tensor a_col, Tensor b_rowptr, Tensor b_col, Tensor? at_rowptr, Tensor? at_col,"
    " Tensor? bt_rowptr, Tensor? bt_col, Tensor counts, Tensor x, int mean) -> Tensor",
    lambda a_rowptr, *rest: rest[-2].new_empty(a_rowptr.shape[0] - 1, rest[-2].shape[1]),
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *layout, counts, _, ctx.mean = inputs
    ctx.save_for_backward(*layout, counts)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    a_rowptr, a_col, b_rowptr, b_col, at_rowptr, at_col, bt_rowptr, bt_col, counts = ctx.saved_tensors
    turned, back = (bt_rowptr, bt_col, at_rowptr, at_col), (b_rowptr, b_col, a_rowptr, a_col)
    mean = _MEAN_OF_COLUMNS if ctx.mean == _MEAN else _MEAN
    return *[None] * 9, _reach(*turned, *back, counts, grad, mean), None


torch.library.register_autograd("graphrep::reach", _backward, setup_context=_save)
