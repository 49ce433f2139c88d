"""An independent FastRP for the tests: dense float64 matrices, the equations of the paper one after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.data import Graph


def dense_fastrp(
    adjacency: Tensor,
    start: Tensor,
    *,
    weights,
    self_weight=0.0,
    transition=True,
    normalize=True,
    standardize=False,
    strength=None,
) -> Tensor:
    """(N, d) from a dense adjacency (row i gathers j) and scaled start vectors; `strength` default the row sums."""
    matrix, u = adjacency.double(), start.double()
    strength = matrix.sum(1) if strength is None else strength.double()
    if transition:
        matrix = torch.where(strength > 0, 1 / strength, 0.0)[:, None] * matrix

    def unit(v):
        norm = v.norm(dim=1, keepdim=True)
        return torch.where(norm > 0, v / norm, 0.0) if normalize else v

    total = self_weight * unit(u)
    for weight in weights:
        u = matrix @ u
        total = total + weight * unit(u)
    if standardize:
        std = total.std(0, correction=0)
        total = (total - total.mean(0)) / torch.where(std > 1e-12, std, 1.0)
    return total


def dense_adjacency(graph: Graph, direction="out") -> Tensor:
    """Dense matrix whose row i gathers j; parallel edges add up."""
    source, target = graph.edge_index
    weight = torch.ones(graph.num_edges) if graph.edge_weight is None else graph.edge_weight
    matrix = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    if direction in ("out", "both"):
        matrix.index_put_((source, target), weight.double(), accumulate=True)
    if direction in ("in", "both"):
        matrix.index_put_((target, source), weight.double(), accumulate=True)
    return matrix


def random_graph(num_nodes, num_edges, *, seed=0, weighted=False, undirected=True, **parts) -> Graph:
    """Random edges, parallel ones and self-loops included."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, num_nodes, (2, num_edges), generator=generator)
    weight = torch.rand(num_edges, generator=generator) if weighted else None
    if undirected:
        edges = torch.cat([edges, edges.flip(0)], dim=1)
        weight = None if weight is None else torch.cat([weight, weight])
    return Graph(edges, weight, num_nodes=num_nodes, **parts)
