"""The one-line text of a graph, for ``repr`` and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from graphrep.data.check import grouped

if TYPE_CHECKING:
    from graphrep.data.graph import Graph

__all__ = ["describe"]


def describe(graph: Graph, undirected: bool | None) -> str:
    """Counts and kinds, separated by commas; `undirected` None means that nobody has looked yet."""
    if undirected:
        loops = int((graph.edge_index[0] == graph.edge_index[1]).sum())
        edges = f"{grouped((graph.num_edges + loops) // 2)} edges, undirected"
    else:
        edges = f"{grouped(graph.num_edges)} " + ("stored edges" if undirected is None else "directed edges")
    parts = [f"{grouped(graph.num_nodes)} nodes", edges]
    if graph.edge_weight is not None:
        parts.append("weighted")
    if graph.x is not None:
        kind = "" if graph.x.layout is torch.strided else "sparse "
        parts.append(f"{grouped(graph.num_features)} {kind}features")
    if graph.y is not None:
        parts.append(f"{graph.num_classes} {'labels' if graph.y.dim() == 2 else 'classes'}")
    if graph.ids is not None:
        parts.append("text ids" if isinstance(graph.ids, np.ndarray) else "integer ids")
    if graph.text is not None:
        parts.append("a text per node")
    split = [len(part) for part in (graph.train_idx, graph.val_idx, graph.test_idx) if part is not None]
    if split:
        parts.append("split " + "/".join(str(n) for n in split))
    return ", ".join(parts)
