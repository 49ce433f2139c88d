"""What the two-view methods draw from a graph: its features and matrices, random views of both, batches of nodes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from graphrep.data.graph import Graph
from graphrep.kernels import CSR, gcn_norm, spmm
from graphrep.kernels._select import row_entries
from graphrep.nn import EdgeDropper, mask_features
from graphrep.nn._subgraph import sample_subgraph
from graphrep.nn.encoder import feature_matrix

__all__ = [
    "Batch",
    "Rate",
    "Rates",
    "Source",
    "View",
    "node_batches",
    "rows_of",
    "sampled",
    "scaled_features",
    "simple_edges",
]

Rate = float | Tensor
_KIND = ("nodes", "to", "nodes")


class Rates(NamedTuple):
    """Probabilities of dropping edges and masking columns of each view: a number, or one per edge or column."""

    edges: tuple[Rate, ...]
    features: tuple[Rate, ...]

    def of(self, view: int) -> tuple[Rate, Rate]:
        """Those of view `view`; further views take turns."""
        return self.edges[view % len(self.edges)], self.features[view % len(self.features)]

    def largest(self) -> Rate:
        """The largest probability of dropping among the views: a number, or one per edge."""
        weighted = [rate for rate in self.edges if isinstance(rate, Tensor)]
        number = max((float(rate) for rate in self.edges if not isinstance(rate, Tensor)), default=0.0)
        return torch.stack(weighted).amax(0).clamp(min=number) if weighted else number


class View(NamedTuple):
    """Features, a normalised CSR (an edge_index for encoders that want one), and (E,) which edges stayed."""

    x: Any
    adjacency: Any
    keep: Tensor


@dataclasses.dataclass
class Batch:
    """Nodes that are compared: `nodes` in the graph, `rows` in the encoder's output (None: all in order)."""

    source: Source
    nodes: Tensor | None = None
    rows: Tensor | None = None
    rates: Rates | None = None


def simple_edges(graph: Graph) -> Tensor:
    """(2, E) edges without self-loops and duplicates, sorted by destination, then source."""
    source, target = graph.edge_index
    key = target * graph.num_nodes + source
    key = torch.unique(key[source != target])
    return torch.stack([key % max(graph.num_nodes, 1), key // max(graph.num_nodes, 1)])


def scaled_features(x: Tensor, scale: str, dtype: torch.dtype) -> Tensor:
    """Features in `dtype`; zero rows stay.

    ``"row"`` divides each row by the sum of its absolute values, ``"unit"`` by its length.
    """
    x = x.to(dtype)
    if scale == "none":
        return x
    tiny = torch.finfo(dtype).tiny
    if x.layout == torch.sparse_csr:
        rowptr, values = x.crow_indices(), x.values()
        row = torch.repeat_interleave(rowptr[1:] - rowptr[:-1])
        total = torch.zeros(x.shape[0], dtype=dtype).index_add_(
            0, row, values.abs() if scale == "row" else values.square()
        )
        values = values / (total if scale == "row" else total.sqrt()).clamp(min=tiny)[row]
        return torch.sparse_csr_tensor(rowptr, x.col_indices(), values, size=x.shape, check_invariants=False)
    total = x.abs().sum(1, keepdim=True) if scale == "row" else torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / total.clamp(min=tiny)


class Source:
    """A graph, or a sample of one, from which views are drawn.

    Args:
        edge_index: (2, E) without duplicates and self-loops.
        x: (N, F) features, dense or sparse CSR.
        undirected: drop both directions of an edge together.
        lists: views as edge lists, for encoders that do not take a normalised matrix.
    """

    def __init__(self, edge_index: Tensor, x: Tensor, *, undirected: bool, lists: bool) -> None:
        self.edge_index, self.x, self.undirected, self.lists = edge_index, x, undirected, lists
        self.num_nodes = x.shape[0]
        self.dtype = x.dtype
        self.dropper = EdgeDropper(edge_index, self.num_nodes, undirected=undirected, dtype=x.dtype)

    @functools.cached_property
    def pattern(self) -> CSR:
        """The matrix of the edges without weights."""
        return CSR.from_edge_index(self.edge_index, size=(self.num_nodes, self.num_nodes))

    @functools.cached_property
    def plain_dropper(self) -> EdgeDropper:
        """Makes matrices of the edges that stay, without weights and loops."""
        return EdgeDropper(self.edge_index, self.num_nodes, undirected=self.undirected, normalize=False)

    @functools.cached_property
    def clean(self) -> CSR:
        """The normalised matrix of the whole graph."""
        return gcn_norm(self.edge_index, num_nodes=self.num_nodes, dtype=self.dtype)

    def whole(self) -> View:
        """The graph as it is."""
        keep = torch.ones(self.edge_index.shape[1], dtype=torch.bool)
        return View(self._operand(self.x), self.edge_index if self.lists else self.clean, keep)

    def draw(self, rates: tuple[Rate, Rate], generator: torch.Generator) -> View:
        """A random view."""
        edge_rate, feature_rate = rates
        keep = self.dropper.keep(edge_rate, generator)
        x = self.x
        if isinstance(feature_rate, Tensor) or feature_rate > 0:
            x = mask_features(x, feature_rate, generator)
        adjacency = self.edge_index[:, keep] if self.lists else self.dropper.view(keep)
        return View(self._operand(x), adjacency, keep)

    def smoothed(self, hops: int = 2) -> Tensor:
        """(N, F) dense features after `hops` products with the normalised matrix; a guide that costs no training."""
        x = self.x.to_dense() if self.x.layout == torch.sparse_csr else self.x
        for _ in range(hops):
            x = spmm(self.clean, x)
        return x

    def _operand(self, x: Tensor) -> Any:
        return x if self.lists and x.layout == torch.strided else feature_matrix(x)


def node_batches(num_nodes: int, size: int, count: int | None, generator: torch.Generator) -> Iterable[Tensor]:
    """Random disjoint batches of at most `size` nodes; one that would hold a single node is left out."""
    order = torch.randperm(num_nodes, generator=generator)
    parts = [part.sort().values for part in torch.split(order, size) if len(part) > 1]
    return parts if count is None else parts[:count]


def sampled(source: Source, nodes: Tensor, fanouts: list[int], rates: Rates, seed: int) -> Batch:
    """The subgraph that the encoder needs for these nodes, `fanouts` neighbours per hop, and the rates on it."""
    sizes = {"nodes": source.num_nodes}
    found = sample_subgraph({_KIND: source.pattern}, sizes, {_KIND: fanouts}, {"nodes": nodes}, seed, False, False)
    edges = found.edge[_KIND]
    edge_index = torch.stack([found.row[_KIND], found.col[_KIND]])
    part = Source(edge_index, rows_of(source.x, found.node["nodes"]), undirected=False, lists=source.lists)
    local = Rates(tuple(r[edges] if isinstance(r, Tensor) else r for r in rates.edges), rates.features)
    return Batch(part, nodes, torch.arange(len(nodes)), local)


def rows_of(x: Tensor, nodes: Tensor) -> Tensor:
    """Rows of a dense or sparse CSR matrix."""
    if x.layout == torch.strided:
        return x[nodes]
    shape = (len(nodes), x.shape[1])
    pointer, place = row_entries(x.crow_indices(), nodes)
    return torch.sparse_csr_tensor(
        pointer, x.col_indices()[place], x.values()[place], size=shape, check_invariants=False
    )
