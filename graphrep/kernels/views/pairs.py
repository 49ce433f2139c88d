"""The two directions of an undirected edge: where in the list the other one is."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._build import group_by_row
from graphrep.kernels.csr import index_dtype

__all__ = ["reverse_edges"]


def reverse_edges(edge_index: Tensor, num_nodes: int) -> Tensor:
    """(E,) int64: for each edge (j, i) the position of (i, j), its own where that is not there; `edge_index` is right.

    Of several copies of an edge the first belongs to the first of the other direction, the second to the second; a
    self-loop belongs to itself. O(E) counting sorts and one search in the sorted list.

    Example:
        >>> reverse_edges(torch.tensor([[0, 1, 2], [1, 0, 1]]), 3)
        tensor([1, 0, 2])
    """
    dtype = index_dtype(num_nodes, num_nodes, edge_index.shape[1])
    source, target = (ends.to(dtype) for ends in edge_index)
    there, back = _order(source, target, num_nodes), _order(target, source, num_nodes)
    forward = source[there].long() * num_nodes + target[there]
    reverse = target[back].long() * num_nodes + source[back]
    number = torch.arange(reverse.numel(), device=reverse.device)
    copy = number - torch.searchsorted(reverse, reverse)
    found = torch.searchsorted(forward, reverse) + copy
    inside = found.clamp(max=max(forward.numel() - 1, 0))
    same = (found == inside) & (forward[inside] == reverse)
    partner = torch.empty_like(number)
    partner[back] = torch.where(same, there[inside], back)
    return partner


def _order(major: Tensor, minor: Tensor, num_nodes: int) -> Tensor:
    """(E,) int64: the edges by `major`, then by `minor`, then as given."""
    _, _, first = group_by_row(minor, major, num_nodes)
    _, _, second = group_by_row(major[first.long()], minor[first.long()], num_nodes)
    return first.long()[second.long()]
