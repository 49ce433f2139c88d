"""Graphs with several kinds of nodes and edges: counts, edges, features, ids and text per type, labels of one type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from graphrep.data import _parts, check
from graphrep.data._homogeneous import Homogeneous, merge_types
from graphrep.data._relations import plain_names, turned
from graphrep.errors import DTypeError, GraphrepError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_range

if TYPE_CHECKING:
    from graphrep.typing import ArrayLike, Direction

__all__ = ["EdgeType", "HeteroGraph"]

EdgeType: TypeAlias = tuple[str, str, str]
"""(source type, relation, destination type)."""

_FIELDS = (
    "edge_index", "edge_weight", "x", "y", "num_nodes", "target", "ids", "splits", "text", "name", "metapaths",
)  # fmt: skip
_BY_TYPE = ("x", "ids", "text")


class HeteroGraph:
    """A graph with several node types and edge types; immutable (:meth:`replace` gives a changed copy).

    Args:
        edge_index: for each edge type (source type, relation, destination type) its edges, (2, E) integers: row 0
            numbers nodes of the source type, row 1 nodes of the destination type. Order, duplicates and self-loops
            are kept, and nothing is stored in the other direction unless an edge type says so.
        edge_weight: by edge type, (E,) finite numbers; types left out count 1.
        x: by node type, (N_t, F_t) features, dense or torch sparse CSR.
        y: labels of the `target` type: (N_t,) class numbers, -1 for unknown, or (N_t, C) 0/1.
        num_nodes: by node type; default the rows of `x`, `y`, `ids` or `text`, else the largest node number + 1. Its
            order comes first in :attr:`node_types`.
        target: the node type that `y` and `splits` belong to; may be left out when there is one node type.
        ids: by node type, (N_t,) distinct external ids, integers or text; types left out count 0..N_t-1.
        splits: by name (``train``, ``val_20``), node numbers or a mask (N_t,) of the target type.
        text: by node type, (N_t,) strings.
        name: what the graph is called in reports.
        metapaths: the meta-paths that methods take when they are given none, each as text (``"paper>author>paper"``,
            ``"pap"``); what is wrong with one is said by the method that follows it.

    Attributes:
        node_types: the node types in order.
        edge_types: the edge types in order.

    Raises:
        ShapeError, DTypeError, IndexRangeError, NonFiniteError: the parts do not fit together, or are of another kind.
        UnknownNameError: a part names a type that is not there.
        GraphrepError: labels or splits without a `target`.

    Example:
        >>> g = HeteroGraph({("paper", "by", "author"): torch.tensor([[0, 1, 1], [0, 0, 1]])},
        ...                 y=torch.tensor([0, 1]), target="paper")
        >>> g
        HeteroGraph(2 paper, 2 author; 3 paper-by-author; 2 classes of paper)
        >>> g.csr("by", "out").col.tolist(), list(g.relations())
        ([0, 0, 1], ['by'])
    """

    __slots__ = (*_FIELDS, "_cache")

    edge_index: Mapping[EdgeType, Tensor]
    edge_weight: Mapping[EdgeType, Tensor]
    x: Mapping[str, Tensor]
    y: Tensor | None
    num_nodes: Mapping[str, int]
    target: str | None
    ids: Mapping[str, Tensor | np.ndarray[Any, Any]]
    splits: Mapping[str, Tensor]
    text: Mapping[str, np.ndarray[Any, Any]]
    name: str | None
    metapaths: tuple[str, ...]
    _cache: dict[tuple[EdgeType, str], CSR]

    def __init__(
        self,
        edge_index: Mapping[EdgeType, ArrayLike],
        edge_weight: Mapping[EdgeType, ArrayLike] | None = None,
        x: Mapping[str, ArrayLike] | None = None,
        y: ArrayLike | None = None,
        *,
        num_nodes: Mapping[str, int] | None = None,
        target: str | None = None,
        ids: Mapping[str, ArrayLike | Sequence[str]] | None = None,
        splits: Mapping[str, ArrayLike] | None = None,
        text: Mapping[str, Sequence[str] | np.ndarray[Any, Any]] | None = None,
        name: str | None = None,
        metapaths: Sequence[str] = (),
    ) -> None:
        given: dict[str, Mapping[Any, Any]] = {"x": x or {}, "ids": ids or {}, "text": text or {}}
        edges = {_triple(key): _edges(key, value) for key, value in edge_index.items()}
        self._put(edge_index=edges, name=name, metapaths=_paths(metapaths), _cache={})
        types = dict.fromkeys([*(num_nodes or {}), *_ends(edges)])
        for part in given.values():
            types.update(dict.fromkeys(part))
        self._put(target=_target(target, list(types), y is not None or bool(splits)), y=_parts.as_labels(y))
        x_parts = {key: _about_type(key, _parts.as_features, value) for key, value in given["x"].items()}
        id_parts = {key: _about_type(key, _parts.as_ids, value) for key, value in given["ids"].items()}
        rows = {**_rows(given["text"]), **_rows(id_parts), **_rows(x_parts)}
        if self.y is not None and self.target is not None:
            rows.setdefault(self.target, len(self.y))
        sizes = {**_largest(edges, types), **rows, **{key: int(n) for key, n in (num_nodes or {}).items()}}
        self._put(num_nodes={key: sizes[key] for key in types})
        self._check_edges()
        self._put(edge_weight=self._weights(edge_weight or {}))
        self._put_rows(x_parts, id_parts, given["text"], splits or {})

    def _put(self, **parts: Any) -> None:
        for key, value in parts.items():
            frozen = isinstance(value, dict) and key != "_cache"
            object.__setattr__(self, key, MappingProxyType(value) if frozen else value)

    def _check_edges(self) -> None:
        for key, edges in self.edge_index.items():
            for row, node_type in enumerate((key[0], key[2])):
                check_range(edges[row], self.num_nodes[node_type], f"edge_index[{key}][{row}] (nodes of {node_type})")

    def _weights(self, given: Mapping[EdgeType, Any]) -> dict[EdgeType, Tensor]:
        found = {}
        for key, value in given.items():
            edge_type = self.edge_type(key)
            with check.about(f"Edge type {edge_type}"):
                weight = _parts.as_weight(value, self.edge_index[edge_type].shape[1])
            if weight is not None:
                found[edge_type] = weight
        return found

    def _put_rows(
        self, x: dict[str, Any], ids: dict[str, Any], text: Mapping[str, Any], splits: Mapping[str, Any]
    ) -> None:
        for key, features in x.items():
            check.check_rows(len(features), self.num_nodes[key], "x", f"node type {key}")
            _about_type(key, check.check_features, features)
        for key, some in ids.items():
            check.check_ids(some, self.num_nodes[key], f"node type {key}")
        texts = {key: _parts.as_text(v, self.num_nodes[key], f"node type {key}") for key, v in text.items()}
        self._put(x=x, ids=ids, text=texts)
        owner, count = f"node type {self.target}", self.num_nodes.get(self.target or "", 0)
        if self.y is not None:
            check.check_rows(len(self.y), count, "y", owner)
        self._put(splits={str(key): _parts.as_split(v, count, str(key), owner) for key, v in splits.items()})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"HeteroGraph is immutable; {name} cannot be set (replace({name}=...) gives a copy)")

    @classmethod
    def coerce(cls, graph: Any) -> HeteroGraph:
        """A HeteroGraph from a HeteroGraph, PyG ``HeteroData``, DGL heterograph, typed networkx graph or tables.

        Raises:
            DTypeError: an object of another kind.
        """
        from graphrep.data.coerce import as_hetero

        return as_hetero(graph)

    def replace(self, **changes: Any) -> HeteroGraph:
        """A copy with some of the constructor's arguments changed; what it shares with this graph is not copied.

        Raises:
            UnknownNameError: no such argument.
        """
        parts: dict[str, Any] = {key: getattr(self, key) for key in _FIELDS}
        unknown = changes.keys() - parts.keys()
        if unknown:
            raise UnknownNameError(f"HeteroGraph has no part {sorted(unknown)[0]!r}.", hint=", ".join(_FIELDS))
        graph = HeteroGraph(**{**parts, **changes})
        if not changes.keys() & {"edge_index", "edge_weight", "num_nodes"}:
            object.__setattr__(graph, "_cache", self._cache)
        return graph

    def to(self, device: torch.device | str) -> HeteroGraph:
        """The same graph with its tensors on `device` (ids stay where they are)."""
        moved: dict[str, Any] = {
            key: {k: v.to(device) for k, v in getattr(self, key).items()}
            for key in ("edge_index", "edge_weight", "x", "splits")
        }
        return self.replace(**moved, y=None if self.y is None else self.y.to(device))

    @property
    def node_types(self) -> tuple[str, ...]:
        """The node types in order."""
        return tuple(self.num_nodes)

    @property
    def edge_types(self) -> tuple[EdgeType, ...]:
        """The edge types in order."""
        return tuple(self.edge_index)

    @property
    def num_edges(self) -> int:
        """Stored entries of all edge types."""
        return sum(edges.shape[1] for edges in self.edge_index.values())

    @property
    def num_classes(self) -> int:
        """Largest class number + 1, or the columns of a label matrix; 0 without labels."""
        return _parts.class_count(self.y)

    @property
    def device(self) -> torch.device:
        """Where the edges lie."""
        return next((edges.device for edges in self.edge_index.values()), torch.device("cpu"))

    def edge_type(self, key: EdgeType | Sequence[str] | str) -> EdgeType:
        """The edge type that a triple or a name of :meth:`relations` stands for.

        Raises:
            UnknownNameError: no such edge type.
        """
        if isinstance(key, str):
            found = {name: edge_type for edge_type, name in plain_names(self.edge_types).items()}.get(key)
        else:
            found = tuple(key) if tuple(key) in self.edge_index else None  # type: ignore[assignment]
        if found is None:
            names = ", ".join(f'"{name}"' for name in plain_names(self.edge_types).values())
            raise UnknownNameError(f"The graph has no edge type {key!r}.", hint=f"one of {names}, or a triple of types")
        return found

    def csr(self, edge_type: EdgeType | Sequence[str] | str, direction: Direction = "in") -> CSR:
        """The matrix of one edge type in compressed rows, built once per direction.

        Args:
            edge_type: (source type, relation, destination type), or a name of :meth:`relations`.
            direction: ``"in"``: (N_dst, N_src), row v gathers the sources of the edges into v; ``"out"``:
                (N_src, N_dst), row u gathers the destinations of the edges out of u.

        Returns:
            CSR; entries of a row are sorted by column, parallel edges by weight. ``perm`` holds positions in
            ``edge_index[edge_type]``; gradients flow to its weights.

        Raises:
            UnknownNameError: no such edge type or direction.
        """
        key = self.edge_type(edge_type)
        if direction not in ("in", "out"):
            raise UnknownNameError(f'Unknown direction "{direction}" of an edge type.', hint='"in" or "out"')
        weight = self.edge_weight.get(key)
        if (key, direction) not in self._cache:
            source, destination = self.edge_index[key]
            ends = (source, destination) if direction == "out" else (destination, source)
            types = (key[0], key[2]) if direction == "out" else (key[2], key[0])
            shape = (self.num_nodes[types[0]], self.num_nodes[types[1]])
            self._cache[key, direction] = _parts.build_csr(*ends, None if weight is None else weight.detach(), shape)
        csr = self._cache[key, direction]
        if weight is not None and weight.requires_grad:
            return csr.with_value(weight.index_select(0, csr.perm))
        return csr

    def relations(self) -> dict[str, CSR]:
        """One matrix per edge type, for meta-paths: rows are the source type, columns the destination type.

        The name is the relation where no two edge types share it, else ``source_destination``, else
        ``source_relation_destination``, for all edge types alike. A relation that is named by its two types (``pa``
        or ``paper_author``) is there the other way round as well (``ap``, ``author_paper``) unless an edge type has
        that name already; any other is turned by ``~name`` in a meta-path.

        Example:
            >>> g = HeteroGraph({("p", "pa", "a"): [[0, 1, 1], [0, 0, 1]]})
            >>> {name: csr.shape for name, csr in g.relations().items()}
            {'pa': (2, 2), 'ap': (2, 2)}
        """
        names = plain_names(self.edge_types)
        found = {name: self.csr(edge_type, "out") for edge_type, name in names.items()}
        for edge_type, name in names.items():
            other = turned(edge_type, name)
            if other is not None and other not in found:
                found[other] = self.csr(edge_type, "in")
        return found

    def to_homogeneous(self) -> Homogeneous:
        """One graph of all nodes, type after type in the order of :attr:`node_types`.

        Features are kept if all types have them with equally many columns, class numbers are -1 for the nodes of
        other types than the target (label matrices are left out), the splits ``train``, ``val`` and ``test`` are
        renumbered, and ids become the text ``type:id``.

        Example:
            >>> merged = HeteroGraph({("p", "pa", "a"): [[0, 1], [0, 0]]}).to_homogeneous()
            >>> merged.graph.edge_index.tolist(), merged.ranges
            ([[0, 1], [2, 2]], {'p': (0, 2), 'a': (2, 3)})
        """
        return merge_types(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles hold the parts; matrices are built again when asked for."""
        return _parts.restored, (HeteroGraph, {key: _parts.apart(getattr(self, key)) for key in _FIELDS})

    def __repr__(self) -> str:
        parts = [
            ", ".join(f"{check.grouped(n)} {key}" for key, n in self.num_nodes.items()) or "no nodes",
            ", ".join(f"{check.grouped(e.shape[1])} {'-'.join(key)}" for key, e in self.edge_index.items()),
        ]
        if self.x:
            parts.append("features " + ", ".join(f"{key} {check.grouped(v.shape[1])}" for key, v in self.x.items()))
        if self.y is not None:
            parts.append(f"{self.num_classes} {'labels' if self.y.dim() == 2 else 'classes'} of {self.target}")
        if self.metapaths:
            parts.append("meta-paths " + ", ".join(self.metapaths))
        if self.text:
            parts.append("text of " + ", ".join(self.text))
        if self.splits:
            parts.append("splits " + ", ".join(f"{key} {len(v)}" for key, v in self.splits.items()))
        text = "; ".join(part for part in parts if part)
        return f"HeteroGraph({self.name + ': ' if self.name else ''}{text})"


def _triple(key: Any) -> EdgeType:
    if not (isinstance(key, tuple) and len(key) == 3 and all(isinstance(part, str) and part for part in key)):
        raise UnknownNameError(
            f"{key!r} is no edge type.", hint='three names: ("paper", "written_by", "author"), as in PyG'
        )
    return key


def _paths(given: Sequence[str]) -> tuple[str, ...]:
    if isinstance(given, str) or not all(isinstance(path, str) and path for path in given):
        raise DTypeError(f"metapaths must be a list of texts; got {given!r}.", hint='metapaths=["paper>author>paper"]')
    return tuple(given)


def _edges(key: Any, value: Any) -> Tensor:
    with check.about(f"Edge type {key}"):
        return _parts.as_edge_index(value)


def _about_type(key: str, function: Any, value: Any) -> Any:
    with check.about(f"Node type {key}"):
        return function(value)


def _ends(edges: Mapping[EdgeType, Tensor]) -> list[str]:
    return [end for source, _, destination in edges for end in (source, destination)]


def _rows(parts: Mapping[str, Any]) -> dict[str, int]:
    return {key: len(value) for key, value in parts.items()}


def _largest(edges: Mapping[EdgeType, Tensor], types: Mapping[str, Any]) -> dict[str, int]:
    sizes = dict.fromkeys(types, 0)
    for (source, _, destination), index in edges.items():
        for key, row in ((source, index[0]), (destination, index[1])):
            sizes[key] = max(sizes[key], int(row.max()) + 1 if row.numel() else 0)
    return sizes


def _target(target: str | None, types: list[str], needed: bool) -> str | None:
    if target is not None and target not in types:
        raise UnknownNameError(f'There is no node type "{target}".', hint=f"target= one of {', '.join(types)}")
    if target is None and needed:
        if len(types) != 1:
            raise GraphrepError(
                "Labels and splits belong to one node type, and target does not say which.",
                hint=f"target= one of {', '.join(types)}",
            )
        return types[0]
    return target
