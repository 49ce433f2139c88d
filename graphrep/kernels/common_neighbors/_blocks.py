"""The way back of the pool: sums over the transposed pattern of pairs by common neighbours, block by block of pairs.

Each block lists its own hits as integers, at most as many as its shorter rows have entries; grouped by node they are
a sparse matrix, and the sum over it has one owner per node, so the bytes do not depend on threads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._budget import ranges_within
from graphrep.kernels._build import group_by_row
from graphrep.kernels._dispatch import implementation, register

__all__ = ["pool_transposed_by_blocks"]

BLOCK_CANDIDATES = 1 << 22  # entries of shorter rows per block: some 100 MB of integers at most


@register("common_neighbor_pool_t", "cuda")
def pool_transposed_by_blocks(rowptr: Tensor, col: Tensor, grad: Tensor, pairs: Tensor, num_cols: int) -> Tensor:
    """(num_cols, D) sums of the rows of `grad` over the pairs that have each node as a common neighbour."""
    wide = grad if grad.dtype.itemsize > 2 else grad.float()
    out: Tensor | None = None
    shorter = (rowptr[pairs + 1] - rowptr[pairs]).long().amin(0)
    for first, last in ranges_within(shorter, BLOCK_CANDIDATES):
        sets = implementation("neighbor_sets", grad.device)
        _, pair, node = sets(rowptr, col, pairs[:, first:last], True)
        kind = torch.int32 if max(num_cols, grad.shape[0], node.numel()) < 2**31 - 1 else torch.int64
        t_rowptr, t_pair, _ = group_by_row(node.to(kind), (pair + first).to(kind), num_cols)
        layout = (t_rowptr, t_pair, None, None)
        part: Tensor = implementation("spmm", grad.device)(*layout, wide, 0, None, None, None)
        out = part if out is None else out.add_(part)
    return (wide.new_zeros(num_cols, grad.shape[1]) if out is None else out).to(grad.dtype)
