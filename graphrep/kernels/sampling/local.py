"""Numbers for the nodes of a sampled subgraph: those known first, new ones in the order in which they turn up."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.kernels._dispatch import implementation, register
from graphrep.kernels.projection._words import mix64

__all__ = ["local_ids"]

_options = {"nogil": True, "cache": True, "error_model": "numpy"}


def local_ids(nodes: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of `asked` in the list that `nodes` and then the new ones of `asked` form.

    Args:
        nodes: (n,) int64, not negative; of a repeated one the first place counts.
        asked: (m,) int64, not negative.

    Returns:
        ids (m,) int64, and the new nodes, each once, in the order of their first place in `asked`. O(n + m).

    Example:
        >>> local_ids(torch.tensor([4, 9]), torch.tensor([7, 9, 7]))
        (tensor([2, 1, 2]), tensor([7]))
    """
    result: tuple[Tensor, Tensor] = implementation("local_ids", nodes.device)(nodes, asked)
    return result


@register("local_ids", "reference")
@register("local_ids", "cuda")
def _reference(nodes: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    both = torch.cat([nodes, asked])
    distinct, inverse = torch.unique(both, return_inverse=True)
    place = torch.arange(both.numel(), device=both.device)
    first = torch.full_like(distinct, both.numel()).scatter_reduce_(0, inverse, place, "amin")
    new = first[first >= nodes.numel()].sort().values
    number = torch.empty_like(place)
    number[: nodes.numel()] = place[: nodes.numel()]
    number[new] = nodes.numel() + torch.arange(new.numel(), device=both.device)
    return number[first[inverse[nodes.numel() :]]], both[new]


@register("local_ids", "cpu")
def _cpu(nodes: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    size = 1 << (2 * (nodes.numel() + asked.numel())).bit_length()
    ids, added = torch.empty_like(asked), torch.empty_like(asked)
    table = np.full((size, 2), -1, np.int64)  # key and number side by side: one cache line each
    arrays = (nodes.contiguous().numpy(), asked.contiguous().numpy(), ids.numpy(), added.numpy())
    return ids, added[: _number(*arrays, table)].clone()


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _number(nodes: Any, asked: Any, ids: Any, added: Any, table: Any) -> Any:
    """Fills `ids` and `added`; returns how many were new. `table` is a hash table with -1 in its free places."""
    for i in range(nodes.size):
        slot = _slot(table, nodes[i])
        if table[slot, 0] < 0:
            table[slot, 0], table[slot, 1] = nodes[i], i
    count = 0
    for i in range(asked.size):
        slot = _slot(table, asked[i])
        if table[slot, 0] < 0:
            table[slot, 0], table[slot, 1] = asked[i], nodes.size + count
            added[count] = asked[i]
            count += 1
        ids[i] = table[slot, 1]
    return count


@numba.njit(**_options)  # type: ignore[untyped-decorator]
def _slot(table: Any, key: Any) -> Any:
    """Where `key` is, or would be put: the first place from its own on that holds it or is free."""
    mask = np.uint64(table.shape[0] - 1)
    slot = mix64(np.uint64(key)) & mask
    while table[slot, 0] >= 0 and table[slot, 0] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot
