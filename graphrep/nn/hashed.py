"""An embedding table whose rows are shared by the ids that a hash sends to them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels._check import check_index, check_range

__all__ = ["HashedEmbedding", "check_rows", "shared_rows"]


class HashedEmbedding(nn.Module):
    """Vectors of N ids from a table of fewer rows: ``table[map[id]]``, or the sum of a row for each of H hashes.

    Args:
        map: (N,) or (N, H) int32 or int64 rows of the table, as :class:`graphrep.methods.GraphHash` makes them. Kept as
            a buffer, so that it is part of ``state_dict``.
        dim: d.
        num_rows: R, rows of the table; default the largest of `map` + 1.
        combine: ``"sum"`` or ``"mean"`` of the H rows.

    Attributes:
        weight: (R, d), Xavier uniform.
        map: as given, int64.

    Shapes:
        index: (B,) ids; None for all. Returns (B, d).

    Raises:
        ShapeError, DTypeError, IndexRangeError: `map` or `index` is malformed or refers to no row.
        GraphrepError, UnknownNameError: a width below 1, or another `combine`.

    Source: Wu et al., "GraphHash: Graph Clustering Enables Parameter Efficiency in Recommender Systems", WWW 2025,
    arXiv:2412.17245.

    Example:
        >>> table = HashedEmbedding(torch.tensor([0, 1, 0]), 4)
        >>> z = table()
        >>> z.shape, bool((z[0] == z[2]).all()), table.weight.shape
        (torch.Size([3, 4]), True, torch.Size([2, 4]))
    """

    map: Tensor

    def __init__(self, map: Tensor, dim: int, *, num_rows: int | None = None, combine: str = "sum") -> None:
        super().__init__()
        rows = check_rows(map, num_rows)
        if dim < 1:
            raise GraphrepError(f"dim is {dim}.", hint="1 or more")
        if combine not in ("sum", "mean"):
            raise UnknownNameError(f'combine is "{combine}".', hint='"sum" or "mean"')
        self.combine = combine
        self.register_buffer("map", map.long().clone())
        self.weight = nn.Parameter(torch.empty(rows, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the table anew."""
        nn.init.xavier_uniform_(self.weight)

    def forward(self, index: Tensor | None = None) -> Tensor:
        """Vectors of ids; shapes are those of the class."""
        rows = self.map
        if index is not None:
            check_index(index, "index")
            check_range(index, len(rows), "index")
            rows = rows[index.long()]
        return shared_rows(rows, self.weight, self.combine)

    def extra_repr(self) -> str:
        """Sizes, for the module's repr."""
        ids, hashes = len(self.map), "" if self.map.dim() == 1 else f" by {self.map.shape[1]} hashes"
        return f"{ids} ids{hashes}, {self.weight.shape[0]} rows, dim={self.weight.shape[1]}"


def check_rows(map: Tensor, num_rows: int | None = None) -> int:
    """Rows of the table that `map` (N,) or (N, H) refers to.

    Raises:
        ShapeError, DTypeError, IndexRangeError: `map` is malformed, or refers to a row beyond `num_rows`.
    """
    check_index(map, "map", ndim=2 if isinstance(map, Tensor) and map.dim() == 2 else 1)
    if not map.numel():
        raise ShapeError(f"map has shape {tuple(map.shape)}: there is no id.", hint="one row per id")
    rows = int(map.max()) + 1 if num_rows is None else num_rows
    check_range(map, rows, "map")
    return rows


def shared_rows(map: Tensor, weight: Tensor, combine: str = "sum") -> Tensor:
    """(N, d) rows of `weight` (R, d) at `map` (N,), or the sum or mean of those at (N, H)."""
    if map.dim() == 1:
        return embedding(map, weight)
    first, *others = map.unbind(1)
    total = embedding(first, weight)
    for column in others:
        total = total + embedding(column, weight)
    return total / map.shape[1] if combine == "mean" else total
