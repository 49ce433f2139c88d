"""Which pairs of nodes are among others, as they are or reversed."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from graphrep.data._pair_ranks import sorted_distinct
from graphrep.data.check import grouped
from graphrep.errors import DTypeError, ShapeError

__all__ = ["as_pairs", "overlap", "overlap_message"]

Array = np.ndarray[Any, Any]


def as_pairs(edges: Any, name: str) -> Array:
    """(2, P) int64 from a tensor or array.

    Raises:
        ShapeError, DTypeError: no list of pairs of integers.
    """
    array = edges.detach().cpu().numpy() if isinstance(edges, Tensor) else np.asarray(edges)
    if array.ndim != 2 or array.shape[0] != 2:
        raise ShapeError(f"{name} must have shape (2, E); got {array.shape}.", hint=f"{name}.T")
    if array.size and array.dtype.kind not in "iu":
        raise DTypeError(f"{name} must hold integers; got {array.dtype}.", hint=f"{name}.astype('int64')")
    return array.astype(np.int64)


def overlap(known: Array, asked: Array) -> tuple[Array, Array]:
    """(P,) bool twice: which of `asked` are in `known` as they are, and which are there reversed.

    Example:
        >>> overlap(np.array([[0], [1]]), np.array([[0, 1, 2], [1, 0, 1]]))
        (array([ True, False, False]), array([False,  True, False]))
    """
    if not known.size or not asked.size:
        return (np.zeros(asked.shape[1], dtype=bool),) * 2
    base = int(max(known.max(), asked.max())) + 1
    keys = sorted_distinct(known[0] * base + known[1])
    return _contains(keys, asked[0] * base + asked[1]), _contains(keys, asked[1] * base + asked[0])


def overlap_message(
    same: Array, back: Array, *, directed: bool, name: str, known: str = "the training edges", noun: str = "edges"
) -> str | None:
    """What :func:`overlap` found, with the direction; None where there is nothing."""
    leaks = int((same if directed else same | back).sum())
    if not leaks:
        return None
    reversed_only = 0 if directed else int((back & ~same).sum())
    how = " (reversed direction)" if reversed_only else ""
    if 0 < reversed_only < leaks:
        how = f" ({grouped(leaks - reversed_only)} in the same direction, {grouped(reversed_only)} reversed)"
    return f"{grouped(leaks)} of {grouped(same.size)} {name} {noun} also occur in {known}{how}."


def _contains(keys: Array, values: Array) -> Array:
    """Which values are among the sorted `keys`."""
    at = np.minimum(np.searchsorted(keys, values), keys.size - 1)
    found: Array = keys[at] == values
    return found
