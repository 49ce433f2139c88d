"""A graph with texts as LMGNN sees it: node types, texts, features and edges that messages follow, either way."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from graphrep.data.check import grouped
from graphrep.data.graph import Graph
from graphrep.data.hetero import HeteroGraph
from graphrep.errors import EmptyGraphError, GraphrepError, MissingFeaturesError

__all__ = ["EDGE", "NODE", "EdgeType", "TextGraph", "digest_of", "text_graph", "undirected_pairs"]

EdgeType: TypeAlias = tuple[str, str, str]
NODE = "node"  # the one node type of a homogeneous graph
EDGE: EdgeType = (NODE, "to", NODE)
_DENSE_LIMIT = 2**31  # bytes that sparse features may take when they are written out


@dataclasses.dataclass(frozen=True)
class TextGraph:
    """What messages pass over and what nodes start from.

    Attributes:
        num_nodes: by node type.
        text: by node type, (N_t,) strings; types without text are left out.
        x: by node type, (N_t, F_t) float32 features; types without are left out.
        edges: by edge type, (2, E) int64; every relation has a reverse, so that messages reach both ends.
        reverse: the reverse of each edge type, itself where edges are stored both ways.
        target: the node type of labels and of the embedding.
        y: (N,) classes of the target type, -1 unknown, or None.
        name, ids: of the graph and of the target's rows.
        notes: plain sentences that a user must be told.
    """

    num_nodes: dict[str, int]
    text: dict[str, np.ndarray[Any, Any]]
    x: dict[str, Tensor]
    edges: dict[EdgeType, Tensor]
    reverse: dict[EdgeType, EdgeType]
    target: str
    y: Tensor | None
    name: str | None
    ids: Any
    notes: list[str]

    @property
    def num_classes(self) -> int:
        """Largest class number + 1; 0 without labels."""
        return 0 if self.y is None or not self.y.numel() else int(self.y.max()) + 1

    @property
    def is_homogeneous(self) -> bool:
        """Whether there is one node type with one edge type."""
        return list(self.edges) == [EDGE]

    def digest(self) -> str:
        """Hash of edges, features and labels; texts have one of their own."""
        parts = [*self.edges.values(), *self.x.values(), *(() if self.y is None else (self.y,))]
        return digest_of(parts, f"{self.num_nodes} {list(self.edges)} {self.target}")


def digest_of(parts: list[Tensor], words: str = "") -> str:
    """Hash of tensors and some words."""
    found = hashlib.blake2b(words.encode(), digest_size=8)
    for part in parts:
        found.update(f"{tuple(part.shape)}".encode())
        found.update(part.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def text_graph(graph: Any, *, features: bool = True, target: str | None = None) -> TextGraph:
    """The parts of a Graph (or what :meth:`Graph.coerce` takes) or a HeteroGraph.

    Args:
        graph: with texts on one node type or more.
        features: whether features join the texts.
        target: node type of the embedding; None: that of the labels, else the first one with text.

    Raises:
        MissingFeaturesError: no text anywhere.
        EmptyGraphError: no nodes.
        GraphrepError: sparse features too wide to be written out.
    """
    found = _typed(graph, features, target) if isinstance(graph, HeteroGraph) else _plain(graph, features)
    if not found.text:
        raise MissingFeaturesError(
            f"{found.name or 'the graph'} has no texts.", hint="graph.replace(text=[...]), or --text COLUMN"
        )
    if not found.num_nodes[found.target]:
        raise EmptyGraphError(f"{found.name or 'the graph'} has no {found.target} nodes.", hint="1 or more")
    return found


def _plain(graph: Any, features: bool) -> TextGraph:
    graph = Graph.coerce(graph)
    notes = []
    if not graph.is_undirected():
        notes.append("the graph is directed; messages pass both ways over each edge.")
    if graph.edge_weight is not None:
        notes.append("the edges have weights, which play no part.")
    edges = graph.replace(edge_weight=None).to_undirected().edge_index.cpu()
    kept = features and graph.x is not None and graph.num_features > 0
    return TextGraph(
        num_nodes={NODE: graph.num_nodes},
        text={} if graph.text is None else {NODE: graph.text},
        x={NODE: _dense(graph.x, NODE)} if kept and graph.x is not None else {},
        edges={EDGE: edges},
        reverse={EDGE: EDGE},
        target=NODE,
        y=_classes(graph.y),
        name=graph.name,
        ids=graph.ids,
        notes=notes,
    )


def _typed(graph: HeteroGraph, features: bool, target: str | None) -> TextGraph:
    edges = {kind: pairs.cpu() for kind, pairs in graph.edge_index.items()}
    reverse = _reverses(edges, graph.num_nodes)
    for kind in list(edges):
        if kind not in reverse:
            back = (kind[2], f"rev_{kind[1]}", kind[0])
            edges[back] = edges[kind].flip(0).contiguous()
            reverse |= {kind: back, back: kind}
    chosen = target or graph.target or next(iter(graph.text), next(iter(graph.node_types), ""))
    if chosen not in graph.num_nodes:
        raise GraphrepError(f'There is no node type "{chosen}".', hint=f"one of {', '.join(graph.node_types)}")
    x = {kind: _dense(part, kind) for kind, part in graph.x.items() if part.shape[1]} if features else {}
    notes = ["some edge types have weights, which play no part."] if graph.edge_weight else []
    return TextGraph(
        num_nodes=dict(graph.num_nodes),
        text=dict(graph.text),
        x=x,
        edges=edges,
        reverse=reverse,
        target=chosen,
        y=_classes(graph.y) if chosen == graph.target else None,
        name=graph.name,
        ids=graph.ids.get(chosen),
        notes=notes,
    )


def _reverses(edges: Mapping[EdgeType, Tensor], num_nodes: Mapping[str, int]) -> dict[EdgeType, EdgeType]:
    """Edge types that hold the same pairs the other way round, and those that are stored both ways in one."""
    keys = {}
    for (source, _, target), pairs in edges.items():
        size = max(num_nodes[source], num_nodes[target], 1)
        keys[source, _, target] = tuple(torch.sort(a * size + b).values for a, b in (pairs, pairs.flip(0)))
    found: dict[EdgeType, EdgeType] = {}
    for kind, (_, back) in keys.items():
        for other, (there, _) in keys.items():
            fits = (other[0], other[2]) == (kind[2], kind[0]) and kind not in found and other not in found
            if fits and torch.equal(back, there):
                found |= {kind: other, other: kind}
    return found


def _classes(y: Tensor | None) -> Tensor | None:
    if y is None:
        return None
    if y.dim() != 1 or y.is_floating_point():
        raise GraphrepError(
            "LMGNN takes one class per node; these labels are a matrix.", hint="graph.replace(y=y[:, 0])"
        )
    return y.long().cpu()


def _dense(x: Tensor, kind: str) -> Tensor:
    if x.layout is torch.strided:
        return x.float().cpu()
    size = x.shape[0] * x.shape[1] * 4
    if size > _DENSE_LIMIT:
        raise GraphrepError(
            f"The sparse features of {kind} ({grouped(x.shape[0])} x {grouped(x.shape[1])}) would take "
            f"{size / 2**30:.1f} GiB beside the texts.",
            hint="use_features=False, or fewer columns",
        )
    return x.to_dense().float().cpu()


def undirected_pairs(pairs: Tensor, num_nodes: int) -> Tensor:
    """(2, M) distinct pairs of different nodes, smaller number first, sorted."""
    low, high = torch.minimum(pairs[0], pairs[1]), torch.maximum(pairs[0], pairs[1])
    key = torch.unique((low * num_nodes + high)[low != high])
    return torch.stack([key // max(num_nodes, 1), key % max(num_nodes, 1)])
