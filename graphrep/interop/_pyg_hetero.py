"""PyG's ``HeteroData``."""

from __future__ import annotations

from typing import Any

from graphrep.data.hetero import HeteroGraph
from graphrep.errors import GraphrepError
from graphrep.interop._splits import SPLITS, as_index, labelled_type
from graphrep.interop.pyg import edge_weight_of, split_parts, text_of

__all__ = ["hetero_from_pyg", "hetero_to_pyg"]


def hetero_from_pyg(data: Any, target: str | None) -> HeteroGraph:
    """See :func:`graphrep.from_pyg`."""
    stores = {key: data[key] for key in data.node_types}
    edges = {key: data[key] for key in data.edge_types}
    lacking = [key for key, store in edges.items() if "edge_index" not in store]
    if lacking:
        raise GraphrepError(f"Edge type {lacking[0]} has no edge_index.", hint="without T.ToSparseTensor()")
    labelled = [key for key, store in stores.items() if store.get("y") is not None]
    masked = [key for key, store in stores.items() if any(name.endswith("_mask") for name in list(store.keys()))]
    noted = getattr(data, "target", None)
    target = labelled_type(stores, labelled, masked, target or (noted if isinstance(noted, str) else None))
    splits: dict[str, Any] = {}
    if target is not None:
        store = stores[target]
        names = dict.fromkeys([key.removesuffix("_mask") for key in list(store.keys()) if key.endswith("_mask")])
        names.update(dict.fromkeys(key for key in SPLITS if f"{key}_idx" in store))
        splits = {name: as_index(store.get(f"{name}_mask"), store.get(f"{name}_idx")) for name in names}
    counts = {key: count for key, store in stores.items() if (count := _count(store)) is not None}
    weights = {key: weight for key, store in edges.items() if (weight := edge_weight_of(store)) is not None}
    return HeteroGraph(
        {key: store.edge_index for key, store in edges.items()},
        weights,
        {key: store.x for key, store in stores.items() if store.get("x") is not None},
        stores[target].get("y") if target is not None else None,
        num_nodes=counts,
        target=target,
        ids={key: store.ids for key, store in stores.items() if store.get("ids") is not None},
        text={key: text for key, store in stores.items() if (text := text_of(store)) is not None},
        splits={key: index for key, index in splits.items() if index is not None},
        name=getattr(data, "name", None),
        metapaths=_metapaths(getattr(data, "metapaths", None)),
    )


def _metapaths(found: Any) -> list[str]:
    """What :func:`hetero_to_pyg` noted; an attribute of that name that holds other things is not ours."""
    ours = isinstance(found, list | tuple) and all(isinstance(path, str) for path in found)
    return list(found) if ours else []


def _count(store: Any) -> int | None:
    """The number of nodes that a store states, in itself or by the rows of its features or labels."""
    if "num_nodes" in store:
        return int(store["num_nodes"])
    return next((len(store[key]) for key in ("x", "y", "ids") if key in store), None)


def hetero_to_pyg(graph: HeteroGraph) -> Any:
    """See :func:`graphrep.to_pyg`."""
    from torch_geometric.data import HeteroData

    data = HeteroData()
    for key, count in graph.num_nodes.items():
        data[key].num_nodes = count
        for part in ("x", "ids"):
            if key in getattr(graph, part):
                data[key][part] = getattr(graph, part)[key]
        if key in graph.text:
            data[key].text = graph.text[key].tolist()
    for edge_type, edges in graph.edge_index.items():
        data[edge_type].edge_index = edges
        if edge_type in graph.edge_weight:
            data[edge_type].edge_weight = graph.edge_weight[edge_type]
    if graph.target is not None:
        data.target = graph.target
        if graph.y is not None:
            data[graph.target].y = graph.y
        for key, index in graph.splits.items():
            for part, value in split_parts(key, index, graph.num_nodes[graph.target]).items():
                data[graph.target][part] = value
    if graph.name is not None:
        data.name = graph.name
    if graph.metapaths:
        data.metapaths = list(graph.metapaths)
    return data
