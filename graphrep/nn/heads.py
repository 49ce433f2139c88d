"""What reads the vectors of a graph encoder: classes of nodes, classes of edges, scores of links."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels._check import check_floating, check_index, check_range
from graphrep.nn._arguments import check_rate
from graphrep.nn.link_scores import link_score

__all__ = ["EdgeHead", "LinkHead", "NodeHead"]

_EDGE_KINDS = ("concat", "product")
_RELATIONAL = ("distmult", "transe")


class NodeHead(nn.Module):
    """Class logits ``W h + b`` of nodes.

    Args:
        dim: d.
        num_classes: C, 1 or more.

    Shapes:
        h: (B, d). Returns (B, C).

    Raises:
        ShapeError, DTypeError, GraphrepError: the arguments do not fit.

    Example:
        >>> NodeHead(4, 3)(torch.ones(2, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        _check_sizes(dim=dim, num_classes=num_classes)
        self.lin = nn.Linear(dim, num_classes)

    def forward(self, h: Tensor) -> Tensor:
        """See the class."""
        _check_rows(h, self.lin.in_features, "h")
        out: Tensor = self.lin(h)
        return out


class EdgeHead(nn.Module):
    """Class logits of edges by a perceptron with one hidden layer on ``[h_u ; h_v]`` or ``h_u * h_v``.

    Args:
        dim: d, or the widths of sources and destinations where they differ (``"concat"`` only).
        num_classes: C, 1 or more.
        kind: ``"concat"``, which tells source from destination, or ``"product"``, which does not.
        hidden: width of the hidden layer; default that of the sources.
        dropout: of the hidden layer.

    Shapes:
        source, target: (B, d). Returns (B, C).

    Raises:
        UnknownNameError, ShapeError, DTypeError, GraphrepError: the arguments do not fit.

    Example:
        >>> EdgeHead(4, 3)(torch.ones(2, 4), torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        dim: int | tuple[int, int],
        num_classes: int,
        *,
        kind: str = "concat",
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if kind not in _EDGE_KINDS:
            raise UnknownNameError(f'kind is "{kind}".', hint='"concat" or "product"')
        source, target = dim if isinstance(dim, tuple) else (dim, dim)
        width = source if hidden is None else hidden
        _check_sizes(source=source, target=target, num_classes=num_classes, hidden=width)
        if kind == "product" and source != target:
            raise GraphrepError(f"a product of widths {source} and {target}.", hint='kind="concat"')
        self.dims, self.kind = (source, target), kind
        self.lin1 = nn.Linear(source + target if kind == "concat" else source, width)
        self.dropout = nn.Dropout(check_rate(dropout, "dropout"))
        self.lin2 = nn.Linear(width, num_classes)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """See the class."""
        _check_rows(source, self.dims[0], "source")
        _check_rows(target, self.dims[1], "target")
        if source.shape[0] != target.shape[0]:
            raise ShapeError(f"source is {tuple(source.shape)}, target {tuple(target.shape)}.", hint="one row per edge")
        pair = torch.cat([source, target], dim=1) if self.kind == "concat" else source * target
        out: Tensor = self.lin2(self.dropout(self.lin1(pair).relu()))
        return out

    def extra_repr(self) -> str:
        """How the ends are put together."""
        return f"kind={self.kind!r}"


class LinkHead(nn.Module):
    """Scores of links by :func:`~graphrep.nn.link_score`, with a learned vector per relation where the kind has one.

    Args:
        dim: d.
        num_relations: R, for ``"distmult"`` (vectors start at 1, which is the inner product) and ``"transe"`` (at 0).
        kind: ``"dot"``, ``"cosine"``, ``"distmult"`` or ``"transe"``.
        p: norm of ``"transe"``.

    Shapes:
        head, tail: (..., d), leading axes broadcast; relation: (B,) int32 or int64 numbers for the first axis of
        `head`, or None for relation 0 throughout. Returns (...).

    Raises:
        UnknownNameError, ShapeError, DTypeError, IndexRangeError, GraphrepError: the arguments do not fit.

    Example:
        >>> head = LinkHead(2, 3, kind="distmult")
        >>> head(torch.ones(4, 1, 2), torch.ones(1, 5, 2), torch.tensor([0, 1, 2, 0])).shape
        torch.Size([4, 5])
    """

    def __init__(self, dim: int, num_relations: int = 1, *, kind: str = "cosine", p: float = 2) -> None:
        super().__init__()
        _check_sizes(dim=dim, num_relations=num_relations)
        probe = torch.zeros(1, dim)
        link_score(probe, probe, probe, kind=kind, p=p)  # refuses a kind or norm that there is not
        self.kind, self.p = kind, p
        start = torch.ones(num_relations, dim) if kind == "distmult" else torch.zeros(num_relations, dim)
        self.relations = nn.Parameter(start) if kind in _RELATIONAL else None

    def forward(self, head: Tensor, tail: Tensor, relation: Tensor | None = None) -> Tensor:
        """See the class."""
        if self.relations is None:
            return link_score(head, tail, kind=self.kind, p=self.p)
        if relation is None:
            rows = self.relations[0]
        else:
            check_index(relation, "relation")
            check_range(relation, self.relations.shape[0], "relation")
            rows = self.relations[relation.long()]
            rows = rows.view(rows.shape[0], *[1] * (max(head.dim(), tail.dim()) - 2), rows.shape[1])
        return link_score(head, tail, rows, kind=self.kind, p=self.p)

    def extra_repr(self) -> str:
        """The kind of score."""
        return f"kind={self.kind!r}"


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise GraphrepError(f"{name} is {size!r}.", hint="1 or more")


def _check_rows(h: Tensor, dim: int, name: str) -> None:
    check_floating(h, name)
    if h.dim() != 2 or h.shape[1] != dim:
        raise ShapeError(f"{name} has shape {tuple(h.shape)}.", hint=f"(B, {dim})")
