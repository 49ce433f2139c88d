"""Checks of a graph's parts, each with one message that names the value, the place and the remedy.

Importing this module loads neither torch nor numba: the warning category is named in test configurations.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from graphrep.errors import (
    DTypeError,
    GraphrepError,
    IndexRangeError,
    NonFiniteError,
    ShapeError,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = [
    "GraphWarning",
    "about",
    "check_features",
    "check_ids",
    "check_node_ids",
    "check_nodes",
    "check_rows",
    "check_weight",
    "grouped",
]


class GraphWarning(UserWarning):
    """Something about the input that is legal and probably not meant (isolated nodes, one-way edges, ...)."""


def grouped(number: int) -> str:
    """An integer with its thousands apart: ``1 797``.

    Example:
        >>> grouped(1179052)
        '1 179 052'
    """
    return f"{number:,}".replace(",", " ")


@contextlib.contextmanager
def about(part: str) -> Iterator[None]:
    """Puts `part` (``node type "paper"``) in front of the message of an error raised inside."""
    try:
        yield
    except GraphrepError as error:
        raise type(error)(f"{part}: {error.message}", hint=error.hint) from None


def check_nodes(edge_index: Tensor, num_nodes: int, source: str) -> None:
    """Raises unless every end point is in ``0..num_nodes-1``; `source` says where `num_nodes` comes from."""
    import torch

    if edge_index.numel() == 0:
        return
    low, high = (int(v) for v in torch.aminmax(edge_index))
    if low < 0:
        where = int((edge_index == low).any(0).nonzero()[0])
        raise IndexRangeError(
            f"edge_index refers to node {low} (edge {where}); ids must not be negative.",
            hint="relabel the nodes 0..N-1, or read the file with graphrep.read, which does",
        )
    if high >= num_nodes:
        valid = f"valid ids are 0..{num_nodes - 1}" if num_nodes else "there is no valid id"
        raise IndexRangeError(
            f"edge_index refers to node {high} but {source} ({valid}).",
            hint=f"ids that start at 1 need edge_index - 1, or pass num_nodes={high + 1} "
            "if the last node has no features.",
        )


def check_rows(count: int, num_nodes: int, name: str, owner: str = "the graph") -> None:
    """Raises unless `name` has one row per node of `owner`."""
    if count != num_nodes:
        raise ShapeError(
            f"{name} has {count} rows but {owner} has {num_nodes} nodes.", hint=f"one row of {name} per node"
        )


def check_weight(weight: Tensor, num_edges: int) -> None:
    """Raises unless `weight` is (num_edges,), real, and finite."""
    import torch

    if weight.dim() != 1 or weight.shape[0] != num_edges:
        raise ShapeError(
            f"edge_weight has shape {tuple(weight.shape)} but there are {num_edges} edges.",
            hint="one number per column of edge_index, shape (E,)",
        )
    if weight.is_complex():
        raise DTypeError(f"edge_weight must hold real numbers; got {weight.dtype}.", hint="edge_weight.real")
    bad = first_non_finite(weight.detach())
    if bad:
        kind = "NaN" if torch.isnan(weight[bad[0]]) else "infinity"
        raise NonFiniteError(
            f"edge_weight has {kind} in {grouped(len(bad))} of {grouped(num_edges)} edges (first: {_listing(bad)}).",
            hint="torch.nan_to_num(edge_weight), or leave those edges out",
        )


def first_non_finite(values: Tensor) -> list[int]:
    """Flat positions of NaN and infinity; one pass without temporaries when there are none."""
    import torch

    if values.numel() == 0 or not values.is_floating_point():
        return []
    low, high = torch.aminmax(values)
    if bool(torch.isfinite(low)) and bool(torch.isfinite(high)):
        return []
    found: list[int] = (~torch.isfinite(values.reshape(-1))).nonzero().reshape(-1).tolist()
    return found


def check_features(x: Tensor, *, hint: str = "torch.nan_to_num(x) puts 0 there; or leave the column out") -> None:
    """Raises when a feature is NaN or infinite, naming the first bad column and its rows.

    Args:
        x: (N, F) dense, or torch sparse CSR.
        hint: what to do about it.
    """
    import torch

    sparse = x.layout is not torch.strided
    values = x.values() if sparse else x
    bad = first_non_finite(values.detach())
    if not bad:
        return
    if sparse:
        entries = torch.tensor(bad)
        columns = x.col_indices()[entries]
        rows = torch.searchsorted(x.crow_indices(), entries, right=True) - 1
    else:
        rows, columns = torch.tensor(bad) // x.shape[1], torch.tensor(bad) % x.shape[1]
    column = int(columns.min())
    here = sorted(set(rows[columns == column].tolist()))
    kind = "NaN" if bool(torch.isnan(values.reshape(-1)[bad]).any()) else "infinity"
    raise NonFiniteError(
        f"Feature column {column} has {kind} in {grouped(len(here))} of {grouped(x.shape[0])} rows "
        f"(first: rows {_listing(here)}).",
        hint=hint,
    )


def check_ids(ids: Tensor | np.ndarray[Any, Any], num_nodes: int, owner: str = "the graph") -> None:
    """Raises unless `ids` holds one distinct id per node."""
    import numpy as np

    check_rows(len(ids), num_nodes, "ids", owner)
    array = np.asarray(ids)
    if array.dtype.kind in "iu" and bool((array[1:] > array[:-1]).all()):
        return  # ascending, as our readers number them: no need to look for repeats
    distinct = len(np.unique(array)) if array.dtype.kind in "iu" else len(set(array.tolist()))
    if distinct != num_nodes:
        seen: set[Any] = set()
        twice = next(v for v in array.tolist() if v in seen or seen.add(v))  # type: ignore[func-returns-value]
        raise GraphrepError(
            f"ids must be distinct: {twice!r} occurs more than once ({num_nodes - distinct} repeats).",
            hint="one id per node; leave ids out to number the nodes 0..N-1",
        )


def check_node_ids(index: Tensor, num_nodes: int, name: str) -> None:
    """Raises unless `index` (a split) is a list of node numbers."""
    import torch

    if index.dim() != 1:
        raise ShapeError(f"{name} must have one axis; got shape {tuple(index.shape)}.", hint=f"{name}.reshape(-1)")
    if index.numel() == 0:
        return
    low, high = (int(v) for v in torch.aminmax(index))
    if low < 0 or high >= num_nodes:
        raise IndexRangeError(
            f"{name} refers to node {low if low < 0 else high}; valid ids are 0..{num_nodes - 1}.",
            hint="node numbers, not the nodes' external ids",
        )


def _listing(numbers: Sequence[int], most: int = 3) -> str:
    return ", ".join(str(n) for n in numbers[:most])
