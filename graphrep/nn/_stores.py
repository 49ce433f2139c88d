"""Graphs behind PyG's stores, read into matrices that the sampler works on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import FeatureStore, GraphStore
from torch_geometric.data.graph_store import EdgeAttr, EdgeLayout

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_range

__all__ = ["is_store_pair", "read_stores"]

EdgeType: TypeAlias = tuple[str, str, str]
_ORDER = (EdgeLayout.CSC, EdgeLayout.COO, EdgeLayout.CSR)  # of preference: rows of our matrices are columns of theirs


def is_store_pair(data: Any) -> bool:
    """Whether this is a (feature store, graph store)."""
    return (
        isinstance(data, tuple | list)
        and len(data) == 2
        and isinstance(data[0], FeatureStore)
        and isinstance(data[1], GraphStore)
    )


def read_stores(
    features: FeatureStore, graph: GraphStore, unnamed: EdgeType
) -> tuple[dict[str, int], dict[EdgeType, CSR], bool]:
    """Nodes by type, the matrix of each edge type, and whether the graph has named types.

    A graph without types goes by `unnamed`. Edge ids are positions in the store's own arrays.

    Raises:
        GraphrepError: no edges, types with and without names, or a number of nodes that nothing tells.
        ShapeError: the stores disagree on a number of nodes, or arrays do not form a graph.
    """
    chosen = _chosen(graph.get_all_edge_attrs())
    named = None not in chosen
    if not named and len(chosen) > 1:
        raise GraphrepError("the graph store has edge types with and without a name.", hint="name every edge type")
    arrays = {}
    for kind, attr in chosen.items():
        parts = graph.get_edge_index(attr)
        arrays[kind or unnamed] = (_plain(parts[0]), _plain(parts[1]), attr)
    sizes = _sizes(features, arrays, None if named else unnamed[0])
    return sizes, {kind: _matrix(kind, *parts, sizes) for kind, parts in arrays.items()}, named


def _chosen(attrs: Sequence[EdgeAttr]) -> dict[EdgeType | None, EdgeAttr]:
    """One layout of each edge type."""
    found: dict[EdgeType | None, EdgeAttr] = {}
    for attr in sorted(attrs, key=lambda attr: _ORDER.index(attr.layout)):
        found.setdefault(None if attr.edge_type is None else tuple(attr.edge_type), attr)
    if not found:
        raise GraphrepError("the graph store has no edges.", hint="put_edge_index(...)")
    listed = [None if attr.edge_type is None else tuple(attr.edge_type) for attr in attrs]
    return {kind: found[kind] for kind in dict.fromkeys(listed)}


def _plain(part: Any) -> Tensor:
    tensor: Tensor = torch.as_tensor(part).as_subclass(Tensor).cpu()
    return tensor


def _sizes(features: FeatureStore, arrays: dict[EdgeType, Any], only: str | None) -> dict[str, int]:
    """Nodes by type, as the sizes of edge types, lengths of pointers and rows of features tell."""
    sizes: dict[str, int] = {}

    def note(name: str, count: Any, where: str) -> None:
        if count is not None and sizes.setdefault(name, int(count)) != int(count):
            raise ShapeError(f'{where} says {count} nodes of type "{name}", others {sizes[name]}.', hint="one number")

    for kind, (first, second, attr) in arrays.items():
        given = attr.size or (None, None)
        note(kind[0], given[0], f"the size of {kind}")
        note(kind[2], given[1], f"the size of {kind}")
        if attr.layout == EdgeLayout.CSC:
            note(kind[2], second.numel() - 1, f"the column pointer of {kind}")
        if attr.layout == EdgeLayout.CSR:
            note(kind[0], first.numel() - 1, f"the row pointer of {kind}")
    for tensor in features.get_all_tensor_attrs():
        name, shape = only or getattr(tensor, "group_name", None), features.get_tensor_size(tensor)
        if isinstance(name, str) and shape:
            note(name, shape[0], f'"{tensor.attr_name}" of the feature store')
    for kind in arrays:
        for name in (kind[0], kind[2]):
            if name not in sizes:
                raise GraphrepError(
                    f'nothing tells how many nodes of type "{name}" there are.', hint="size= of the edge type"
                )
    return sizes


def _matrix(kind: EdgeType, first: Tensor, second: Tensor, attr: EdgeAttr, sizes: dict[str, int]) -> CSR:
    num_src, num_dst = sizes[kind[0]], sizes[kind[2]]
    if attr.layout == EdgeLayout.CSC:
        check_range(first, num_src, f"edges of {kind}")
        return CSR(second, first, num_cols=num_src)
    if attr.layout == EdgeLayout.CSR:
        pattern = CSR(first, second, num_cols=num_dst)
        return CSR.from_edge_index(torch.stack([pattern.row(), pattern.col]), size=(num_src, num_dst))
    return CSR.from_edge_index(torch.stack([first, second]), size=(num_src, num_dst))
