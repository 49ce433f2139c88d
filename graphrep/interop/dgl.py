"""DGL graphs with one node type and one edge type."""

from __future__ import annotations

from typing import Any

import torch

from graphrep.data.graph import Graph
from graphrep.errors import DTypeError, MissingExtraError

__all__ = ["from_dgl", "to_dgl"]

_SPLITS = {"train_idx": "train_mask", "val_idx": "val_mask", "test_idx": "test_mask"}
_FEATURES, _LABELS, _WEIGHTS = ("feat", "x", "features"), ("label", "y", "labels"), ("weight", "w", "edge_weight")


def _dgl() -> Any:
    try:
        import dgl
    except ImportError as error:
        raise MissingExtraError(
            "DGL graphs need dgl, which is not installed.", hint='pip install "graphrep[dgl]"'
        ) from error
    return dgl


def from_dgl(graph: Any) -> Graph:
    """A graph from a homogeneous ``DGLGraph``, edges in the order of their ids.

    Features are taken from ``ndata`` under ``feat``, ``x`` or ``features``, labels under ``label``, ``y`` or
    ``labels``, weights from ``edata`` under ``weight``, ``w`` or ``edge_weight``, splits from the masks.

    Raises:
        DTypeError: several node or edge types.
        MissingExtraError: dgl is not installed.

    Example:
        >>> import dgl
        >>> from_dgl(dgl.graph(([0, 1], [1, 2]))).edge_index.tolist()
        [[0, 1], [1, 2]]
    """
    _dgl()
    if not graph.is_homogeneous:
        raise DTypeError(
            f"The DGL graph has node types {graph.ntypes} and edge types {graph.etypes}; Graph holds one of each.",
            hint="dgl.to_homogeneous(graph), or graph[edge_type]",
        )
    source, destination = graph.edges(order="eid")
    masks = {key: graph.ndata.get(mask) for key, mask in _SPLITS.items()}
    return Graph(
        torch.stack([source, destination]).long(),
        _first(graph.edata, _WEIGHTS),
        _first(graph.ndata, _FEATURES),
        _first(graph.ndata, _LABELS),
        num_nodes=graph.num_nodes(),
        ids=getattr(graph, "graphrep_ids", None),
        name=getattr(graph, "graphrep_name", None),
        **{key: None if mask is None else mask.bool() for key, mask in masks.items()},
    )


def _first(frame: Any, names: tuple[str, ...]) -> Any:
    return next((frame[name] for name in names if name in frame), None)


def to_dgl(graph: Graph) -> Any:
    """A ``DGLGraph`` with ``feat``, ``label`` and masks in ``ndata`` and ``weight`` in ``edata``.

    Sparse features become dense. External ids, which DGL's frames cannot hold when they are text, become the attribute
    ``graphrep_ids`` of the object.

    Raises:
        MissingExtraError: dgl is not installed.

    Example:
        >>> to_dgl(Graph(torch.tensor([[0, 1], [1, 0]]))).num_edges()
        2
    """
    dgl = _dgl()
    result = dgl.graph((graph.edge_index[0], graph.edge_index[1]), num_nodes=graph.num_nodes)
    if graph.x is not None:
        result.ndata["feat"] = graph.x if graph.x.layout is torch.strided else graph.x.to_dense()
    if graph.y is not None:
        result.ndata["label"] = graph.y
    if graph.edge_weight is not None:
        result.edata["weight"] = graph.edge_weight
    for key, mask in _SPLITS.items():
        index = getattr(graph, key)
        if index is not None:
            result.ndata[mask] = torch.zeros(graph.num_nodes, dtype=torch.bool).index_fill(0, index, True)
    result.graphrep_ids, result.graphrep_name = graph.ids, graph.name
    return result
