"""PyG's ``Data`` and ``HeteroData``: x, edge_index, edge_weight (or a one-column edge_attr), y and the split masks."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from torch import Tensor

from graphrep.data.check import GraphWarning
from graphrep.data.graph import Graph
from graphrep.data.hetero import HeteroGraph
from graphrep.errors import GraphrepError
from graphrep.interop._splits import SPLITS, as_index, as_mask, order_to_keep

__all__ = ["edge_weight_of", "from_pyg", "split_parts", "text_of", "to_pyg"]

_PLAIN = ("edge_weight", "y", "ids", "name", "feature_names")


def from_pyg(data: Any, *, target: str | None = None) -> Graph | HeteroGraph:
    """A graph from a ``torch_geometric.data.Data`` or ``HeteroData``; tensors are shared, edges kept in their order.

    Weights come from ``edge_weight``, or from an ``edge_attr`` with one column. Masks of shape (N,) become splits;
    for several splits side by side (N, S) the first is taken. What :func:`to_pyg` adds is taken over: ``ids``,
    ``name``, ``feature_names``, ``text``, ``directed``, and ``train_idx``, ``val_idx``, ``test_idx`` where there is no
    mask or these name the same nodes in another order.

    Args:
        data: ``HeteroData`` gives a :class:`HeteroGraph`, in which every mask ``<name>_mask`` of the target type is
            the split ``<name>``.
        target: node type of the labels; default the only type that has ``y``, or the one that :func:`to_pyg` noted.

    Raises:
        GraphrepError: no ``edge_index``; or several node types have labels and `target` does not choose.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from_pyg(Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0, 1], [1, 0]])))
        Graph(2 nodes, 2 stored edges, 3 features)
    """
    if hasattr(data, "node_types"):
        from graphrep.interop._pyg_hetero import hetero_from_pyg

        return hetero_from_pyg(data, target)
    if target is not None:
        raise GraphrepError(f'target="{target}" belongs to HeteroData; a Data has one node type.', hint="leave it out")
    edge_index = getattr(data, "edge_index", None)
    if edge_index is None:
        raise GraphrepError(
            "The PyG object has no edge_index.", hint="without T.ToSparseTensor(), which replaces it by adj_t"
        )
    splits: dict[str, Any] = {
        f"{key}_idx": as_index(getattr(data, f"{key}_mask", None), getattr(data, f"{key}_idx", None)) for key in SPLITS
    }
    return Graph(
        edge_index,
        edge_weight_of(data),
        getattr(data, "x", None),
        getattr(data, "y", None),
        num_nodes=data.num_nodes,
        ids=getattr(data, "ids", None),
        name=getattr(data, "name", None),
        feature_names=getattr(data, "feature_names", None),
        text=text_of(data),
        directed=True if getattr(data, "directed", None) is True else None,
        **splits,
    )


def edge_weight_of(data: Any) -> Tensor | None:
    """Weights of a ``Data`` or of the store of an edge type, or None."""
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


def text_of(data: Any) -> list[str] | None:
    """``text`` of a ``Data`` or of the store of a node type if it is a list of strings, as :func:`to_pyg` leaves it."""
    text = getattr(data, "text", None)
    if isinstance(text, np.ndarray):
        text = text.tolist()
    is_text = isinstance(text, list | tuple) and all(isinstance(line, str) for line in text)
    return list(text) if text is not None and is_text else None


def to_pyg(graph: Graph | HeteroGraph) -> Any:
    """A ``torch_geometric.data.Data``, or ``HeteroData`` for a :class:`HeteroGraph`.

    Splits become masks (and ``train_idx``, ... where a mask would lose the order); ``ids``, ``name``,
    ``feature_names`` and ``text`` (a list) are there if the graph has them, and ``directed`` if it was said to be.

    Example:
        >>> import torch
        >>> to_pyg(Graph(torch.tensor([[0, 1], [1, 0]]), x=torch.ones(2, 3)))
        Data(x=[2, 3], edge_index=[2, 2], num_nodes=2)
    """
    if isinstance(graph, HeteroGraph):
        from graphrep.interop._pyg_hetero import hetero_to_pyg

        return hetero_to_pyg(graph)
    from torch_geometric.data import Data

    parts: dict[str, Any] = {"x": graph.x, "edge_index": graph.edge_index, "num_nodes": graph.num_nodes}
    parts.update({key: getattr(graph, key) for key in _PLAIN if getattr(graph, key) is not None})
    if graph.text is not None:
        parts["text"] = graph.text.tolist()
    if graph._undirected is False:
        parts["directed"] = True
    for key in SPLITS:
        index = getattr(graph, f"{key}_idx")
        if index is not None:
            parts.update(split_parts(key, index, graph.num_nodes))
    return Data(**parts)


def split_parts(key: str, index: Tensor, count: int) -> dict[str, Tensor]:
    """The mask of a split, and its nodes where the mask would lose their order."""
    parts = {f"{key}_mask": as_mask(index, count)}
    order = order_to_keep(index)
    return parts if order is None else {**parts, f"{key}_idx": order}
