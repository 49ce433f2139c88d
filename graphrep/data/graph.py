"""The graph that every public method takes: edges, weights, features, labels, external ids and splits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data import _parts, check
from graphrep.data._describe import describe
from graphrep.data.check import GraphWarning
from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR

if TYPE_CHECKING:
    from graphrep.data.report import ReadReport
    from graphrep.typing import ArrayLike, Direction

__all__ = ["Graph"]

_FIELDS = (
    "edge_index", "edge_weight", "x", "y", "num_nodes", "ids", "train_idx", "val_idx", "test_idx",
    "feature_names", "name", "report",
)  # fmt: skip


class Graph:
    """A graph with one kind of node and one kind of edge; immutable (:meth:`replace` gives a changed copy).

    Args:
        edge_index: (2, E) integers, row 0 sources, row 1 destinations; stored as int64. An undirected graph stores
            both directions. Order, duplicates and self-loops are kept.
        edge_weight: (E,) finite numbers; default none (every edge counts 1). Integers become float32.
        x: (N, F) features, dense or torch sparse CSR; (N,) is taken as one column. Integers become float32.
        y: (N,) class numbers, or (N, C) 0/1 for several labels per node.
        num_nodes: N; default the rows of `x`, `y` or `ids`, else the largest node number + 1. A number above the
            rows of `x` adds zero rows (with a warning).
        ids: (N,) distinct external ids, integers or text; default none, which means 0..N-1.
        directed: False asserts that both directions are stored; True says that direction means something even if
            they are; default: :meth:`is_undirected` looks.
        train_idx, val_idx, test_idx: node numbers of a split.
        feature_names: F names.
        name: what the graph is called in reports.
        report: what the reader understood.

    Attributes:
        num_edges: E, stored entries (twice the number of links of an undirected graph).
        num_features: F, 0 without features.
        num_classes: C, 0 without labels.

    Raises:
        ShapeError, DTypeError, IndexRangeError, NonFiniteError: the parts do not fit together.

    Example:
        >>> g = Graph(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), x=torch.eye(3), y=torch.tensor([0, 1, 0]))
        >>> g
        Graph(3 nodes, 4 stored edges, 3 features, 2 classes)
        >>> g.csr("in").col.tolist(), g.is_undirected()
        ([1, 0, 2, 1], True)
    """

    __slots__ = (*_FIELDS, "_cache", "_undirected")

    edge_index: Tensor
    edge_weight: Tensor | None
    x: Tensor | None
    y: Tensor | None
    num_nodes: int
    ids: Tensor | np.ndarray[Any, Any] | None
    train_idx: Tensor | None
    val_idx: Tensor | None
    test_idx: Tensor | None
    feature_names: tuple[str, ...] | None
    name: str | None
    report: ReadReport | None
    _cache: dict[str, CSR]
    _undirected: bool | None

    def __init__(
        self,
        edge_index: ArrayLike,
        edge_weight: ArrayLike | None = None,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        num_nodes: int | None = None,
        ids: ArrayLike | Sequence[str] | None = None,
        directed: bool | None = None,
        train_idx: ArrayLike | None = None,
        val_idx: ArrayLike | None = None,
        test_idx: ArrayLike | None = None,
        feature_names: Sequence[str] | None = None,
        name: str | None = None,
        report: ReadReport | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "_cache", {})
        put(self, "_undirected", False if directed else None)
        put(self, "edge_index", _parts.as_edge_index(edge_index))
        put(self, "edge_weight", _parts.as_weight(edge_weight, self.num_edges))
        put(self, "ids", _parts.as_ids(ids))
        self._set_rows(_parts.as_features(x), _parts.as_labels(y), num_nodes)
        for key, index in (("train_idx", train_idx), ("val_idx", val_idx), ("test_idx", test_idx)):
            put(self, key, self._as_split(index, key))
        put(self, "feature_names", self._as_feature_names(feature_names))
        put(self, "name", name)
        put(self, "report", report)
        if directed is False and not self.is_undirected():
            raise GraphrepError(
                "directed=False, but some edges are stored in one direction only.",
                hint="Graph(...).to_undirected(), or leave directed out",
            )

    def _set_rows(self, x: Tensor | None, y: Tensor | None, num_nodes: int | None) -> None:
        """Decides N, checks every part that has a row per node, and stores features and labels."""
        put = object.__setattr__
        sizes = {"x": x, "y": y, "ids": self.ids}
        known = [(f"{key} has {len(part)} rows", len(part)) for key, part in sizes.items() if part is not None]
        if num_nodes is not None:
            source, count = f"num_nodes is {num_nodes}", int(num_nodes)
        elif known:
            source, count = known[0]
        else:
            source, count = "", int(self.edge_index.max()) + 1 if self.edge_index.numel() else 0
        check.check_nodes(self.edge_index, count, source)
        if x is not None and num_nodes is not None and x.shape[0] < count:
            warnings.warn(
                f"x has {x.shape[0]} rows and num_nodes is {count}: the last {count - len(x)} nodes get zero features.",
                GraphWarning,
                stacklevel=4,
            )
            x = _parts.pad_rows(x, count)
        for key, part in (("x", x), ("y", y)):
            if part is not None:
                check.check_rows(len(part), count, key)
        if self.ids is not None:
            check.check_ids(self.ids, count)
        if x is not None:
            check.check_features(x)
        put(self, "num_nodes", count)
        put(self, "x", x)
        put(self, "y", y)

    def _as_split(self, index: ArrayLike | None, key: str) -> Tensor | None:
        if index is None:
            return None
        tensor = _parts.as_tensor(index, key)
        if tensor.dtype == torch.bool and tensor.dim() == 1:
            check.check_rows(tensor.shape[0], self.num_nodes, key)
            tensor = tensor.nonzero().reshape(-1)
        if tensor.is_floating_point():
            raise DTypeError(f"{key} must hold node numbers; got {tensor.dtype}.", hint=f"{key}.long()")
        check.check_node_ids(tensor, self.num_nodes, key)
        return tensor.long()

    def _as_feature_names(self, names: Sequence[str] | None) -> tuple[str, ...] | None:
        if names is None:
            return None
        if len(names) != self.num_features:
            raise ShapeError(
                f"feature_names has {len(names)} names but x has {self.num_features} columns.", hint="one name each"
            )
        return tuple(str(n) for n in names)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Graph is immutable; {name} cannot be set (graph.replace({name}=...) gives a copy)")

    @classmethod
    def coerce(cls, graph: Any) -> Graph:
        """A Graph from a Graph, PyG ``Data``, (2, E) tensor, CSR, scipy matrix or networkx graph.

        Raises:
            DTypeError: an object of another kind.
        """
        from graphrep.data.read import as_graph

        return as_graph(graph)

    @classmethod
    def _canonical(
        cls, edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int, *, undirected: bool, **parts: Any
    ) -> Graph:
        """A graph from edges that :func:`canonical_edges` made, of which the direction is known."""
        graph = cls(edge_index, edge_weight, num_nodes=num_nodes, **parts)
        object.__setattr__(graph, "_undirected", undirected)
        return graph

    def replace(self, **changes: Any) -> Graph:
        """A copy with some of the constructor's arguments changed; what it shares with this graph is not copied.

        Example:
            >>> Graph(torch.tensor([[0], [1]])).replace(ids=["a", "b"]).ids.tolist()
            ['a', 'b']
        """
        parts: dict[str, Any] = {key: getattr(self, key) for key in _FIELDS}
        unknown = changes.keys() - parts.keys() - {"directed"}
        if unknown:
            raise UnknownNameError(f"Graph has no part {sorted(unknown)[0]!r}.", hint=", ".join(_FIELDS))
        graph = Graph(**{**parts, **changes})
        if not changes.keys() & {"edge_index", "edge_weight", "num_nodes", "directed"}:
            object.__setattr__(graph, "_cache", self._cache)
            object.__setattr__(graph, "_undirected", self._undirected)
        return graph

    def to(self, device: torch.device | str) -> Graph:
        """The same graph with its tensors on `device`."""
        parts: dict[str, Any] = {key: getattr(self, key) for key in _FIELDS}
        moved: dict[str, Any] = {
            k: v.to(device) if isinstance(v, Tensor) and k != "ids" else v for k, v in parts.items()
        }
        graph = Graph(**moved)
        object.__setattr__(graph, "_undirected", self._undirected)
        return graph

    @property
    def num_edges(self) -> int:
        """E, the stored entries."""
        return int(self.edge_index.shape[1])

    @property
    def num_features(self) -> int:
        """F, the columns of `x`; 0 without features."""
        return 0 if self.x is None else int(self.x.shape[1])

    @property
    def num_classes(self) -> int:
        """Largest class number + 1, or the columns of a label matrix; 0 without labels."""
        if self.y is None or self.y.numel() == 0:
            return 0
        return int(self.y.shape[1]) if self.y.dim() == 2 else int(self.y.max()) + 1

    @property
    def device(self) -> torch.device:
        """Where the edges lie."""
        return self.edge_index.device

    def csr(self, direction: Direction = "in") -> CSR:
        """The adjacency in compressed rows, built once per direction.

        Args:
            direction: ``"in"``: row v gathers the sources of the edges into v (as ``CSR.from_edge_index``);
                ``"out"``: row u gathers the destinations of the edges out of u; ``"both"``: every edge both ways.

        Returns:
            (N, N) CSR; entries of a row are sorted by column, parallel edges by weight, so that sums do not depend on
            the order of the edge list. ``perm`` holds positions in `edge_index`; gradients flow to `edge_weight`.
        """
        if direction not in ("in", "out", "both"):
            raise UnknownNameError(f'Unknown direction "{direction}".', hint='"in", "out" or "both"')
        if direction not in self._cache:
            self._cache[direction] = self._build(direction)
        csr = self._cache[direction]
        if self.edge_weight is not None and self.edge_weight.requires_grad:
            return csr.with_value(self.edge_weight.index_select(0, csr.perm))
        return csr

    def _build(self, direction: Direction) -> CSR:
        source, destination = self.edge_index
        weight = None if self.edge_weight is None else self.edge_weight.detach()
        if direction == "both":
            source, destination = torch.cat([source, destination]), torch.cat([destination, source])
            weight = None if weight is None else torch.cat([weight, weight])
        row, col = (source, destination) if direction == "out" else (destination, source)
        rowptr, col, perm = _parts.sorted_rows(row, col, weight, self.num_nodes)
        value = None if weight is None else weight.index_select(0, perm)
        if direction == "both":
            perm = perm % self.num_edges
        return CSR(rowptr, col, value, num_cols=self.num_nodes, perm=perm)

    def is_undirected(self) -> bool:
        """Whether every edge is stored in both directions with equal weights; looked up once, O(E)."""
        if self._undirected is None:
            into, out = self.csr("in"), self.csr("out")
            same = torch.equal(into.rowptr, out.rowptr) and torch.equal(into.col, out.col)
            if same and into.value is not None and out.value is not None:
                same = torch.equal(into.value, out.value)
            object.__setattr__(self, "_undirected", same)
        return bool(self._undirected)

    def to_undirected(self) -> Graph:
        """Both directions of every edge, duplicates merged (weights summed), self-loops dropped.

        A graph that stores both directions with equal weights already keeps its weights.
        """
        from graphrep.data.canonical import canonical_edges

        result = canonical_edges(self.edge_index, self.edge_weight, self.num_nodes, directed=False)
        graph = self.replace(edge_index=result.edge_index, edge_weight=result.edge_weight, report=None)
        object.__setattr__(graph, "_undirected", True)
        return graph

    def __repr__(self) -> str:
        return f"Graph({self.name + ': ' if self.name else ''}{describe(self, self._undirected)})"
