"""Splits as masks, without losing the order of their nodes, and other small things that converters share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.errors import GraphrepError, UnknownNameError

__all__ = ["SPLITS", "as_index", "as_mask", "both_ways", "labelled_type", "order_to_keep"]

SPLITS = ("train", "val", "test")


def as_mask(index: Tensor, count: int) -> Tensor:
    """(count,) bool, True at the nodes of the split."""
    return torch.zeros(count, dtype=torch.bool, device=index.device).index_fill(0, index, True)


def order_to_keep(index: Tensor) -> Tensor | None:
    """The split itself where its mask would lose something: nodes out of order or twice; else None."""
    return None if bool((index[1:] > index[:-1]).all()) else index


def as_index(mask: Tensor | None, order: Any) -> Tensor | None:
    """The split of a mask, in the recorded order if that names the same nodes; `order` alone if there is no mask.

    Several masks side by side (N, S): the first.
    """
    if mask is None:
        return None if order is None else torch.as_tensor(order)
    column = mask if mask.dim() == 1 else mask[:, 0]
    if column.dtype != torch.bool:
        return column
    index = column.nonzero().reshape(-1)
    if order is not None:
        recorded = torch.as_tensor(order, dtype=torch.int64, device=index.device)
        if torch.equal(torch.unique(recorded), index):
            return recorded
    return index


def labelled_type(types: Iterable[str], labelled: list[str], masked: list[str], target: str | None) -> str | None:
    """`target`, else the only node type with labels, else the only one with a mask, else None.

    Raises:
        UnknownNameError: `target` is none of the types.
        GraphrepError: several have labels or masks.
    """
    if target is not None:
        known = list(types)
        if target not in known:
            raise UnknownNameError(f'There is no node type "{target}".', hint=f"one of {', '.join(known)}")
        return target
    for found in (labelled, masked):
        if len(found) > 1:
            raise GraphrepError(
                f"{len(found)} node types have labels or masks ({', '.join(found)}); a HeteroGraph keeps those of one.",
                hint=f'target="{found[0]}"',
            )
        if found:
            return found[0]
    return None


def both_ways(ends: np.ndarray[Any, Any], weight: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Every edge followed by its reverse, with the same weight; a self-loop once.

    Args:
        ends: (2, E) int64.
        weight: (E,) or None.
    """
    proper = ends[0] != ends[1]
    first = np.arange(ends.shape[1]) * 2
    order = np.argsort(np.concatenate([first, first[proper] + 1]), kind="stable")
    both = np.concatenate([ends, ends[::-1, proper]], axis=1)[:, order]
    if weight is not None:
        weight = torch.cat([weight, weight[torch.from_numpy(proper)]])[torch.from_numpy(order)]
    return torch.from_numpy(np.ascontiguousarray(both)), weight
