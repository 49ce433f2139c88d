"""The neighbourhood of a node as a few short random walks see it: one small subgraph per centre, all in one batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graphrep.kernels import CSR, random_walks

__all__ = ["WalkSampler", "WalkSubgraphs"]


class WalkSubgraphs(NamedTuple):
    """Disjoint subgraphs, one behind the other in the order of their centres.

    Attributes:
        node: (M,) nodes of the graph; each subgraph has a node once.
        rowptr: (B + 1,) where each subgraph's nodes begin.
        center: (B,) place of each centre in `node`.
        edge_index: (2, E) the graph's edges within each subgraph, as places in `node`.
    """

    node: Tensor
    rowptr: Tensor
    center: Tensor
    edge_index: Tensor


class WalkSampler:
    """Draws subgraphs by random walks from their centres; directions of edges are ignored.

    A subgraph has at most ``num_walks * length + 1`` nodes, and its edges are looked up pair by pair, so that its cost
    does not depend on the degrees of the nodes it meets.

    Args:
        edge_index: (2, E); duplicates and self-loops count for nothing.
        num_nodes: N, below 3e9.
        num_walks: from each centre.
        length: steps of a walk.

    Example:
        >>> sampler = WalkSampler(torch.tensor([[0, 1], [1, 2]]), 4, num_walks=2, length=1)
        >>> found = sampler.sample(torch.tensor([0, 3]), seed=0)
        >>> found.node.tolist(), found.rowptr.tolist(), found.edge_index.tolist()
        ([0, 1, 3], [0, 2, 3], [[1, 0], [0, 1]])
    """

    def __init__(self, edge_index: Tensor, num_nodes: int, *, num_walks: int, length: int) -> None:
        both = torch.cat([edge_index, edge_index.flip(0)], dim=1).long()
        both = both[:, both[0] != both[1]]
        self._keys = torch.unique(both[1] * num_nodes + both[0])  # sorted by destination, then source
        pairs = torch.stack([self._keys % max(num_nodes, 1), self._keys // max(num_nodes, 1)])
        self._csr = CSR.from_edge_index(pairs, size=(num_nodes, num_nodes))
        self.num_nodes, self.num_walks, self.length = num_nodes, num_walks, length

    def sample(self, centers: Tensor, *, seed: int) -> WalkSubgraphs:
        """The subgraphs of (B,) nodes; the same for the same centres and seed."""
        count = centers.numel()
        walks = random_walks(self._csr, centers.repeat_interleave(self.num_walks), self.length, seed=seed)
        owner = torch.arange(count)[:, None]
        keys = torch.unique(owner * self.num_nodes + walks.view(count, -1))
        node, batch = keys % max(self.num_nodes, 1), keys // max(self.num_nodes, 1)
        rowptr = torch.zeros(count + 1, dtype=torch.int64)
        rowptr[1:] = torch.bincount(batch, minlength=count).cumsum(0)
        center = torch.searchsorted(keys, owner[:, 0] * self.num_nodes + centers)
        return WalkSubgraphs(node, rowptr, center, self._edges(node, batch, rowptr))

    def _edges(self, node: Tensor, batch: Tensor, rowptr: Tensor) -> Tensor:
        """All edges between nodes of one subgraph."""
        size = (rowptr[1:] - rowptr[:-1])[batch]
        target = torch.arange(node.numel()).repeat_interleave(size)
        within = torch.arange(target.numel()) - (size.cumsum(0) - size)[target]
        source = rowptr[batch][target] + within
        wanted = node[target] * self.num_nodes + node[source]
        place = torch.searchsorted(self._keys, wanted).clamp(max=max(self._keys.numel() - 1, 0))
        there = self._keys[place] == wanted if self._keys.numel() else torch.zeros_like(wanted, dtype=torch.bool)
        return torch.stack([source[there], target[there]])
