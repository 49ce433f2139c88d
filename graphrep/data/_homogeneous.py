"""All nodes of a typed graph in one numbering."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data import _parts
from graphrep.data.graph import Graph

if TYPE_CHECKING:
    from graphrep.data.hetero import HeteroGraph

__all__ = ["Homogeneous", "merge_types"]


@dataclasses.dataclass(frozen=True)
class Homogeneous:
    """A graph of all nodes of a :class:`HeteroGraph`, and where its types are.

    Attributes:
        graph: the graph; the edges of one edge type lie one behind the other.
        ranges: by node type (first node, last node + 1).
        edge_type: (E,) int64, the position of each edge's type in `edge_types`.
        edge_types: the edge types in order.
    """

    graph: Graph
    ranges: dict[str, tuple[int, int]]
    edge_type: Tensor
    edge_types: tuple[tuple[str, str, str], ...]


def merge_types(hetero: HeteroGraph) -> Homogeneous:
    """See :meth:`HeteroGraph.to_homogeneous`."""
    ranges, count = {}, 0
    for key, size in hetero.num_nodes.items():
        ranges[key] = (count, count + size)
        count += size
    device = hetero.device
    shifted = [
        edges + torch.tensor([[ranges[source][0]], [ranges[destination][0]]], device=edges.device)
        for (source, _, destination), edges in hetero.edge_index.items()
    ]
    sizes = torch.tensor([edges.shape[1] for edges in shifted], dtype=torch.int64, device=device)
    first = ranges[hetero.target][0] if hetero.target is not None else 0
    splits: dict[str, Any] = {
        f"{key}_idx": hetero.splits[key] + first for key in ("train", "val", "test") if key in hetero.splits
    }
    graph = Graph(
        torch.cat(shifted, dim=1) if shifted else torch.empty(2, 0, dtype=torch.int64),
        _weights(hetero), _features(hetero), _labels(hetero, first, count),
        num_nodes=count, ids=_ids(hetero), text=_text(hetero), name=hetero.name, **splits,
    )  # fmt: skip
    edge_type = torch.repeat_interleave(torch.arange(len(shifted), device=device), sizes)
    return Homogeneous(graph, ranges, edge_type, hetero.edge_types)


def _weights(hetero: HeteroGraph) -> Tensor | None:
    """Weights of all edges if any edge type has some; the others count 1."""
    if not hetero.edge_weight:
        return None
    dtype = torch.float64 if any(w.dtype == torch.float64 for w in hetero.edge_weight.values()) else torch.float32
    return torch.cat(
        [
            hetero.edge_weight[key].to(dtype)
            if key in hetero.edge_weight
            else torch.ones(edges.shape[1], dtype=dtype, device=edges.device)
            for key, edges in hetero.edge_index.items()
        ]
    )


def _features(hetero: HeteroGraph) -> Tensor | None:
    parts = [hetero.x.get(key) for key in hetero.num_nodes]
    if not parts or any(part is None for part in parts) or len({p.shape[1] for p in parts if p is not None}) > 1:
        return None
    kept = [part for part in parts if part is not None]
    if all(part.layout is torch.strided for part in kept):
        return torch.cat(kept)
    import scipy.sparse as sp

    return _parts.as_features(sp.vstack([_parts.as_scipy(part) for part in kept]))


def _labels(hetero: HeteroGraph, first: int, count: int) -> Tensor | None:
    if hetero.y is None or hetero.y.dim() != 1 or hetero.y.is_floating_point():
        return None
    y = hetero.y.new_full((count,), -1)
    y[first : first + len(hetero.y)] = hetero.y
    return y


def _ids(hetero: HeteroGraph) -> list[str] | None:
    if not hetero.ids:
        return None
    return [
        f"{key}:{value}"
        for key, size in hetero.num_nodes.items()
        for value in (hetero.ids[key].tolist() if key in hetero.ids else range(size))
    ]


def _text(hetero: HeteroGraph) -> np.ndarray[Any, Any] | None:
    """The texts of all nodes if any type has some; "" for nodes of the others."""
    if not hetero.text:
        return None
    empty = np.dtypes.StringDType()
    return np.concatenate(
        [hetero.text[key] if key in hetero.text else np.zeros(n, dtype=empty) for key, n in hetero.num_nodes.items()]
    )
