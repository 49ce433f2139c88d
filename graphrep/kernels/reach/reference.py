"""Plain torch on any device: the pattern of a block of rows at a time, and a sum over it."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._budget import ranges_within
from graphrep.kernels._dispatch import implementation, register
from graphrep.kernels._expand import BLOCK_PRODUCTS
from graphrep.kernels._ops import accumulator
from graphrep.kernels.csr import CSR
from graphrep.kernels.sparse_product import product_cost
from graphrep.kernels.sparse_product.reference import reached

__all__ = ["divided", "factors_of", "reach"]


@register("reach", "reference")
@register("reach", "cuda")  # each block's sum is the kernel of spmm
def reach(
    a_rowptr: Tensor,
    a_col: Tensor,
    b_rowptr: Tensor,
    b_col: Tensor,
    at_rowptr: Tensor | None,
    at_col: Tensor | None,
    bt_rowptr: Tensor | None,
    bt_col: Tensor | None,
    counts: Tensor,
    x: Tensor,
    mean: int,
) -> Tensor:
    """(N, D) means over the rows of x that the rows of a product of patterns reach (mean 1).

    With mean 2 sums of the rows of x, each divided by its number in `counts`: the way back of the former. Transposes
    are for the gradient.
    """
    a, b = factors_of(a_rowptr, a_col, b_rowptr, b_col, x)
    wide = divided(x, counts) if mean == 2 else x
    out = [wide.new_zeros(0, x.shape[1])]
    rows = torch.arange(a.num_rows, device=x.device)
    for first, last in ranges_within(product_cost(a, b), BLOCK_PRODUCTS // max(x.shape[1], 1)):
        key = reached(a, b, rows[first:last])
        size = max(b.num_cols, 1)
        rowptr = torch.searchsorted(key, torch.arange(last - first + 1, device=x.device) * size)
        layout = (rowptr, key % size, None, None)
        out.append(implementation("spmm", x.device)(*layout, wide, mean == 1, None, None, None))
    return torch.cat(out).to(x.dtype)


def factors_of(a_rowptr: Tensor, a_col: Tensor, b_rowptr: Tensor, b_col: Tensor, x: Tensor) -> tuple[CSR, CSR]:
    """The two patterns whose product has a column per row of x."""
    return (
        CSR._trusted(a_rowptr, a_col, None, b_rowptr.numel() - 1, a_col),
        CSR._trusted(b_rowptr, b_col, None, x.shape[0], b_col),
    )


def divided(x: Tensor, counts: Tensor) -> Tensor:
    """Rows of x over their counts, in the type that sums are kept in."""
    wide = accumulator(x.dtype)
    return x.to(wide) / counts.clamp(min=1).to(wide)[:, None]
