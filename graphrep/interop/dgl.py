"""DGL graphs, with one or several node types."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.data.graph import Graph
from graphrep.data.hetero import HeteroGraph
from graphrep.errors import GraphrepError, MissingExtraError
from graphrep.interop._splits import SPLITS, as_index, as_mask, labelled_type, order_to_keep

__all__ = ["from_dgl", "to_dgl"]

_FEATURES, _LABELS, _WEIGHTS = ("feat", "x", "features"), ("label", "y", "labels"), ("weight", "w", "edge_weight")


def _dgl() -> Any:
    try:
        import dgl
    except ImportError as error:
        raise MissingExtraError(
            "DGL graphs need dgl, which is not installed.", hint='pip install "graphrep[dgl]"'
        ) from error
    return dgl


def from_dgl(graph: Any, *, target: str | None = None) -> Graph | HeteroGraph:
    """A graph from a ``DGLGraph``, edges in the order of their ids.

    Features are taken from ``ndata`` under ``feat``, ``x`` or ``features``, labels under ``label``, ``y`` or
    ``labels``, weights from ``edata`` under ``weight``, ``w`` or ``edge_weight``, splits from the masks.

    Args:
        graph: with several node or edge types it gives a :class:`HeteroGraph`, in which every mask ``<name>_mask`` of
            the target type is the split ``<name>``.
        target: node type of the labels; default the only type that has them, or the one that :func:`to_dgl` noted.

    Raises:
        GraphrepError: several node types have labels and `target` does not choose.
        MissingExtraError: dgl is not installed.

    Example:
        >>> import dgl
        >>> from_dgl(dgl.graph(([0, 1], [1, 2]))).edge_index.tolist()
        [[0, 1], [1, 2]]
    """
    _dgl()
    extra = getattr(graph, "graphrep_parts", {})
    if not graph.is_homogeneous or "types" in extra:
        return _hetero(graph, extra, target)
    source, destination = graph.edges(order="eid")
    splits = _splits(graph.ndata, extra)
    more: dict[str, Any] = {key: extra.get(key) for key in ("ids", "name", "feature_names", "text", "directed")}
    more.update({f"{key}_idx": splits.get(key) for key in SPLITS})
    return Graph(
        torch.stack([source, destination]).long(),
        _first(graph.edata, _WEIGHTS),
        _first(graph.ndata, _FEATURES),
        _first(graph.ndata, _LABELS),
        num_nodes=graph.num_nodes(),
        **more,
    )


def _hetero(graph: Any, extra: dict[str, Any], target: str | None) -> HeteroGraph:
    frames = {key: graph.nodes[key].data for key in graph.ntypes}
    edges = {key: graph.edges(order="eid", etype=key) for key in graph.canonical_etypes}
    weights = {key: _first(graph.edges[key].data, _WEIGHTS) for key in edges}
    x = {key: _first(frame, _FEATURES) for key, frame in frames.items()}
    labels = {key: y for key, frame in frames.items() if (y := _first(frame, _LABELS)) is not None}
    masked = [key for key, frame in frames.items() if any(name.endswith("_mask") for name in frame)]
    target = labelled_type(frames, list(labels), masked, target or extra.get("target"))
    return HeteroGraph(
        {key: torch.stack(ends).long() for key, ends in edges.items()},
        {key: weight for key, weight in weights.items() if weight is not None},
        {key: features for key, features in x.items() if features is not None},
        labels.get(target or ""),
        num_nodes={key: graph.num_nodes(key) for key in extra.get("types", graph.ntypes)},
        target=target,
        splits={} if target is None else _splits(frames[target], extra),
        metapaths=extra.get("metapaths", ()),
        **{key: extra.get(key) for key in ("ids", "text", "name")},
    )


def _splits(frame: Any, extra: dict[str, Any]) -> dict[str, Tensor]:
    orders = extra.get("orders", {})
    masks = {key.removesuffix("_mask"): frame[key] for key in frame if key.endswith("_mask")}
    found = {key: as_index(mask.bool(), orders.get(key)) for key, mask in masks.items()}
    return {key: index for key, index in found.items() if index is not None}


def _first(frame: Any, names: tuple[str, ...]) -> Any:
    return next((frame[name] for name in names if name in frame), None)


def to_dgl(graph: Graph | HeteroGraph) -> Any:
    """A ``DGLGraph`` with ``feat``, ``label`` and masks in ``ndata`` and ``weight`` in ``edata``.

    Sparse features become dense, and node and edge types are put in alphabetical order, as DGL does. What DGL's frames
    cannot hold (external ids and other text, the order of a split, the name) becomes the attribute ``graphrep_parts``
    of the object.

    Raises:
        MissingExtraError: dgl is not installed.
        GraphrepError: a typed graph without edge types, which DGL has no form for.

    Example:
        >>> to_dgl(Graph(torch.tensor([[0, 1], [1, 0]]))).num_edges()
        2
    """
    dgl = _dgl()
    if isinstance(graph, HeteroGraph):
        return _hetero_to_dgl(dgl, graph)
    result = dgl.graph((graph.edge_index[0], graph.edge_index[1]), num_nodes=graph.num_nodes)
    splits = {key: index for key in SPLITS if (index := getattr(graph, f"{key}_idx")) is not None}
    _fill(result.ndata, graph.x, graph.y, splits, graph.num_nodes)
    if graph.edge_weight is not None:
        result.edata["weight"] = graph.edge_weight
    result.graphrep_parts = {key: getattr(graph, key) for key in ("ids", "name", "feature_names", "text")}
    result.graphrep_parts.update(orders=_orders(splits), directed=True if graph._undirected is False else None)
    return result


def _hetero_to_dgl(dgl: Any, graph: HeteroGraph) -> Any:
    if not graph.edge_index:
        raise GraphrepError("DGL has no form for a typed graph without edge types.", hint="add an edge type")
    ends = {key: (edges[0], edges[1]) for key, edges in graph.edge_index.items()}
    used = {end for source, _, destination in ends for end in (source, destination)}
    alone = [key for key in graph.num_nodes if key not in used]
    if alone:
        raise GraphrepError(
            f'DGL has no form for node type "{alone[0]}", which no edge type names.', hint="add an (empty) edge type"
        )
    result = dgl.heterograph(ends, num_nodes_dict=dict(graph.num_nodes))
    for key, count in graph.num_nodes.items():
        own = key == graph.target
        _fill(
            result.nodes[key].data, graph.x.get(key), graph.y if own else None, graph.splits if own else {}, count
        )  # fmt: skip
    for edge_type, weight in graph.edge_weight.items():
        result.edges[edge_type].data["weight"] = weight
    result.graphrep_parts = {key: getattr(graph, key) for key in ("ids", "text", "name", "target", "metapaths")}
    result.graphrep_parts.update(orders=_orders(graph.splits), types=graph.node_types)
    return result


def _fill(frame: Any, x: Tensor | None, y: Tensor | None, splits: Any, count: int) -> None:
    if x is not None:
        frame["feat"] = x if x.layout is torch.strided else x.to_dense()
    if y is not None:
        frame["label"] = y
    for key, index in splits.items():
        frame[f"{key}_mask"] = as_mask(index, count)


def _orders(splits: Any) -> dict[str, Tensor]:
    return {key: index for key, index in splits.items() if order_to_keep(index) is not None}
