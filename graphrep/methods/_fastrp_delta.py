"""A change of a graph as edges added and removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphrep.errors import GraphrepError, IndexRangeError, ShapeError
from graphrep.kernels._check import check_edge_index

if TYPE_CHECKING:
    from graphrep.data.graph import Graph

__all__ = ["EdgeDelta", "changed_graph"]


@dataclass(frozen=True)
class EdgeDelta:
    """A change of a graph.

    Args:
        added: (2, A) edges in node numbers; numbers from N on are new nodes.
        removed: (2, R) edges that are stored now; all parallel edges of a pair go.
        added_weight: (A,), needed when the graph has weights.
        ids: external ids of the new nodes, needed when the graph has ids.
        x: (new nodes, F) features of the new nodes, needed when the graph has features.
        undirected: add and remove both directions; None: when the graph is undirected.

    Example:
        >>> EdgeDelta(added=torch.tensor([[0], [2]])).added.tolist()
        [[0], [2]]
    """

    added: Tensor | None = None
    removed: Tensor | None = None
    added_weight: Tensor | None = None
    ids: Any = None
    x: Tensor | None = None
    undirected: bool | None = None


def changed_graph(graph: Graph, delta: EdgeDelta) -> Graph:
    """The graph after the change.

    Raises:
        GraphrepError: a removed edge is not there, or new nodes lack ids, weights or features.
    """
    both = graph.is_undirected() if delta.undirected is None else delta.undirected
    edges, weight = graph.edge_index, graph.edge_weight
    if delta.removed is not None:
        keep = ~_stored(graph, _directions(delta.removed, "removed", both))
        edges, weight = edges[:, keep], None if weight is None else weight[keep]
    if delta.added is not None:
        fresh = _directions(delta.added, "added", both)
        edges = torch.cat([edges, fresh], dim=1)
        if weight is not None:
            weight = torch.cat([weight, _added_weight(delta, both).to(weight.dtype)])
    count = max(graph.num_nodes, int(edges.max()) + 1 if edges.numel() else 0)
    ids, x = _grown(graph, delta, count)
    parts = {"y": None, "train_idx": None, "val_idx": None, "test_idx": None, "report": None}
    return graph.replace(edge_index=edges, edge_weight=weight, num_nodes=count, ids=ids, x=x, **parts)


def _directions(edges: Tensor, name: str, both: bool) -> Tensor:
    edges = torch.as_tensor(edges)
    if edges.numel() == 0:
        edges = edges.reshape(2, 0).long()
    check_edge_index(edges)
    if edges.numel() and int(edges.min()) < 0:
        raise IndexRangeError(f"{name} refers to node {int(edges.min())}; node numbers are not negative.")
    if not both:
        return edges.long()
    loops = edges[0] == edges[1]  # a self-loop is its own reverse
    return torch.cat([edges, edges.flip(0)[:, ~loops]], dim=1).long()


def _added_weight(delta: EdgeDelta, both: bool) -> Tensor:
    assert delta.added is not None
    if delta.added_weight is None:
        raise GraphrepError("The graph has weights and added_weight is missing.", hint="added_weight=torch.ones(A)")
    weight, edges = torch.as_tensor(delta.added_weight), torch.as_tensor(delta.added)
    if weight.shape != (edges.shape[1],):
        raise ShapeError(f"added_weight has shape {tuple(weight.shape)} for {edges.shape[1]} added edges.")
    return torch.cat([weight, weight[edges[0] != edges[1]]]) if both else weight


def _stored(graph: Graph, edges: Tensor) -> Tensor:
    """(E,) which stored edges are among `edges`."""
    size = max(graph.num_nodes, int(edges.max()) + 1 if edges.numel() else 0)
    mine = (graph.edge_index[0] * size + graph.edge_index[1]).numpy()
    asked = (edges[0] * size + edges[1]).numpy()
    absent = ~np.isin(asked, mine)
    if absent.any():
        source, target = edges[:, int(absent.argmax())].tolist()
        raise GraphrepError(
            f"removed has edge {source} -> {target}, which the graph does not have.", hint="graph.edge_index"
        )
    return torch.from_numpy(np.isin(mine, asked))


def _grown(graph: Graph, delta: EdgeDelta, count: int) -> tuple[Any, Tensor | None]:
    new = count - graph.num_nodes
    ids, x = graph.ids, graph.x
    if ids is not None and new:
        if delta.ids is None or len(delta.ids) != new:
            raise ShapeError(f"{new} new nodes need {new} ids.", hint="EdgeDelta(..., ids=[...])")
        kind = np.int64 if isinstance(ids, Tensor) else np.str_
        ids = np.concatenate([np.asarray(ids), np.asarray(delta.ids).astype(kind)])
    if x is not None and new:
        if delta.x is None or delta.x.shape != (new, x.shape[1]):
            raise ShapeError(
                f"{new} new nodes need features of shape {(new, x.shape[1])}.", hint="EdgeDelta(..., x=...)"
            )
        x = torch.cat([x, delta.x.to(x.dtype)])
    return ids, x
