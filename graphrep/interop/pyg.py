"""PyG's ``Data``: x, edge_index, edge_weight (or a one-column edge_attr), y and the split masks."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from graphrep.data.check import GraphWarning
from graphrep.data.graph import Graph
from graphrep.errors import DTypeError, GraphrepError

__all__ = ["from_pyg", "to_pyg"]

_SPLITS = {"train_idx": "train_mask", "val_idx": "val_mask", "test_idx": "test_mask"}


def from_pyg(data: Any) -> Graph:
    """A graph from a ``torch_geometric.data.Data``; tensors are shared, edges kept in their order.

    Weights come from ``edge_weight``, or from an ``edge_attr`` with one column. Masks of shape (N,) become splits;
    for several splits side by side (N, S) the first is taken. ``ids`` and ``name``, which :func:`to_pyg` adds, are
    taken over.

    Raises:
        DTypeError: a ``HeteroData`` or another object.
        GraphrepError: no ``edge_index``.

    Example:
        >>> from torch_geometric.data import Data
        >>> from_pyg(Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0, 1], [1, 0]])))
        Graph(2 nodes, 2 stored edges, 3 features)
    """
    if hasattr(data, "node_types"):
        raise DTypeError("HeteroData has several node types, which Graph cannot hold.", hint="data.to_homogeneous()")
    edge_index = getattr(data, "edge_index", None)
    if edge_index is None:
        raise GraphrepError(
            "The PyG object has no edge_index.", hint="without T.ToSparseTensor(), which replaces it by adj_t"
        )
    splits: dict[str, Any] = {key: _indices(getattr(data, mask, None)) for key, mask in _SPLITS.items()}
    return Graph(
        edge_index,
        _weight(data),
        getattr(data, "x", None),
        getattr(data, "y", None),
        num_nodes=data.num_nodes,
        ids=getattr(data, "ids", None),
        name=getattr(data, "name", None),
        **splits,
    )


def _weight(data: Any) -> Tensor | None:
    weight = getattr(data, "edge_weight", None)
    if weight is not None:
        return weight  # type: ignore[no-any-return]
    attr = getattr(data, "edge_attr", None)
    if attr is None:
        return None
    if attr.dim() == 1 or attr.shape[1] == 1:
        return attr.reshape(-1)  # type: ignore[no-any-return]
    warnings.warn(
        f"edge_attr has {attr.shape[1]} columns; a Graph keeps one weight per edge, so it is left out.",
        GraphWarning,
        stacklevel=3,
    )
    return None


def _indices(mask: Tensor | None) -> Tensor | None:
    if mask is None:
        return None
    column = mask if mask.dim() == 1 else mask[:, 0]
    return column.nonzero().reshape(-1) if column.dtype == torch.bool else column


def to_pyg(graph: Graph) -> Any:
    """A ``torch_geometric.data.Data`` with masks for the splits, and ``ids`` and ``name`` where there are any.

    Example:
        >>> to_pyg(Graph(torch.tensor([[0, 1], [1, 0]]), x=torch.ones(2, 3)))
        Data(x=[2, 3], edge_index=[2, 2], num_nodes=2)
    """
    from torch_geometric.data import Data

    parts: dict[str, Any] = {"x": graph.x, "edge_index": graph.edge_index, "num_nodes": graph.num_nodes}
    for key in ("edge_weight", "y", "ids", "name"):
        if getattr(graph, key) is not None:
            parts[key] = getattr(graph, key)
    for key, mask in _SPLITS.items():
        index = getattr(graph, key)
        if index is not None:
            parts[mask] = torch.zeros(graph.num_nodes, dtype=torch.bool).index_fill(0, index, True)
    return Data(**parts)
