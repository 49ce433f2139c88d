"""Means over reached rows on CPU: a row's columns are marked, listed, and summed over while the list is at hand."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels._hits_cpu import sum_hits
from graphrep.kernels._ops import accumulator, flat_bits, line_of, rounded
from graphrep.kernels._simd import address
from graphrep.kernels._sparse_rows import RowScratch, ascending, cost_ranges, mark_step
from graphrep.kernels.projection._parallel import run_ranges
from graphrep.kernels.reach.reference import divided, factors_of
from graphrep.kernels.sparse_product import product_cost

__all__ = ["reach"]

_options = {"nogil": True, "cache": True, "error_model": "numpy"}


@register("reach", "cpu")
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
    """As the reference; half types are summed in float32."""
    a, b = factors_of(a_rowptr, a_col, b_rowptr, b_col, x)
    wide = divided(x, counts) if mean == 2 else x
    out = _numba.empty_output((a.num_rows, x.shape[1]), accumulator(x.dtype))
    if out.numel():
        scratch = RowScratch(b.num_cols, values=False)
        patterns = (a_rowptr.numpy(), a_col.numpy(), b_rowptr.numpy(), b_col.numpy())
        fixed = (*patterns, flat_bits(wide), out.view(-1).numpy(), mean == 1, line_of(wide))
        bounds, work = cost_ranges(product_cost(a, b) * (1 + x.shape[1] // 16))
        run_ranges(lambda i, j: _means(i, j, *fixed, scratch.seen, scratch.nodes[0]), bounds, work=work)
    return rounded(out, x.dtype)


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _means(
    first: int,
    last: int,
    a_rowptr: Any,
    a_col: Any,
    b_rowptr: Any,
    b_col: Any,
    x: Any,
    out: Any,
    mean: bool,
    line: int,
    seen: Any,
    nodes: Any,
) -> None:
    width = out.size // (a_rowptr.size - 1)
    for row in range(first, last):
        seen[-1] += 1
        middle = a_col[np.int64(a_rowptr[row]) : np.int64(a_rowptr[row + 1])]
        count = mark_step(b_rowptr, b_col, middle, nodes.size, seen, nodes, 0)
        ascending(nodes[:count], seen)
        sum_hits(address(x), address(nodes), 0, count, address(out), row * width, width, line)
        if mean and count > 1:
            for j in range(row * width, (row + 1) * width):
                out[j] /= count
