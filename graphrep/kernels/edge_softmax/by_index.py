"""Softmax within the entries that an index groups, under torch_scatter's name and signature."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels.edge_softmax.by_row import edge_softmax
from graphrep.kernels.segment.names import flattened

__all__ = ["scatter_softmax"]


def scatter_softmax(src: Tensor, index: Tensor, dim: int = -1, dim_size: int | None = None) -> Tensor:
    """Softmax along `dim` within the entries that have the same index.

    Returns:
        As `src`. Groups of only -inf give 0.

    Example:
        >>> scatter_softmax(torch.tensor([7.0, 0.0, 0.0]), torch.tensor([1, 0, 0]))
        tensor([1.0000, 0.5000, 0.5000])
    """
    flat, group, _, back = flattened(src, index, dim, dim_size)
    order = group.perm.long()
    inverse = torch.empty_like(order)
    inverse[order] = torch.arange(order.numel(), device=order.device)
    alpha = edge_softmax(group, flat.index_select(0, order)).index_select(0, inverse)
    result: Tensor = back(alpha, src.shape[dim])
    return result
