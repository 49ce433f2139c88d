"""Hop-by-hop samples over one or several edge types, numbered as PyG numbers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from graphrep.kernels import CSR, sample_neighbors
from graphrep.kernels._counter import DOMAIN_SAMPLE, torch_start, torch_word
from graphrep.kernels.sampling.local import local_ids

__all__ = ["Subgraph", "batch_seed", "sample_subgraph"]

EdgeType: TypeAlias = tuple[str, str, str]
_MASK = (1 << 64) - 1


@dataclass
class Subgraph:
    """A sample by node and edge type; `row` and `col` number the nodes of `node`, `edge` the edges of the graph.

    `batch` numbers the seed of each node in disjoint samples and is empty otherwise.
    """

    node: dict[str, Tensor]
    batch: dict[str, Tensor]
    row: dict[EdgeType, Tensor]
    col: dict[EdgeType, Tensor]
    edge: dict[EdgeType, Tensor]
    num_nodes: dict[str, list[int]]
    num_edges: dict[EdgeType, list[int]]


def batch_seed(seed: int, nodes: list[Tensor]) -> int:
    """A seed for the batch of these nodes, in this order: 63 bits."""
    every = torch.cat([n.long() for n in nodes]) if nodes else torch.empty(0, dtype=torch.int64)
    # Node and position both go into the stream, whose words are added up.
    places = torch_word(torch_start(seed, DOMAIN_SAMPLE, torch.arange(every.numel())), 0)
    return int(torch_word(torch_start(seed, DOMAIN_SAMPLE, every ^ places), 1).sum()) & (_MASK >> 1)


def sample_subgraph(
    graphs: dict[EdgeType, CSR],
    sizes: dict[str, int],
    fanouts: dict[EdgeType, list[int]],
    seeds: dict[str, Tensor],
    seed: int,
    replace: bool,
    disjoint: bool,
) -> Subgraph:
    """In-neighbours of the seeds, of those found, and so on; each hop starts from the nodes that the last one added.

    A node's key is its id plus, in disjoint samples, the number of its seed times the number of nodes of its type, so
    that one rule numbers both kinds.
    """
    keys = _seed_keys(sizes, seeds, disjoint)
    start = dict.fromkeys(sizes, 0)
    num_nodes = {name: [key.numel()] for name, key in keys.items()}
    parts: dict[EdgeType, list[tuple[Tensor, Tensor, Tensor]]] = {kind: [] for kind in graphs}
    hops = max((len(f) for f in fanouts.values()), default=0)
    for hop in range(hops):
        end = {name: key.numel() for name, key in keys.items()}
        for number, (kind, csr) in enumerate(graphs.items()):
            source, target = kind[0], kind[2]
            frontier = keys[target][start[target] : end[target]]
            stream = int(torch_word(torch.tensor([seed]), hop * len(graphs) + number)) & _MASK
            rows = frontier % max(sizes[target], 1) if disjoint else frontier
            sample = sample_neighbors(csr, rows, fanouts[kind][hop], replace=replace, seed=stream)
            local = torch.repeat_interleave(sample.degree().long())
            asked = sample.col.long()
            if disjoint:
                asked = asked + (frontier // max(sizes[target], 1))[local] * sizes[source]
            ids, added = local_ids(keys[source], asked)
            keys[source] = torch.cat([keys[source], added])
            parts[kind].append((ids, local + start[target], csr.perm.index_select(0, sample.perm).long()))
        start = end
        for name, key in keys.items():
            num_nodes[name].append(key.numel() - end[name])
    return _joined(keys, sizes if disjoint else None, num_nodes, parts)


def _seed_keys(sizes: dict[str, int], seeds: dict[str, Tensor], disjoint: bool) -> dict[str, Tensor]:
    keys, count = {}, 0
    for name, size in sizes.items():
        nodes = seeds.get(name, torch.empty(0, dtype=torch.int64))
        keys[name] = nodes + (count + torch.arange(nodes.numel())) * size if disjoint else nodes
        count += nodes.numel()
    return keys


def _joined(
    keys: dict[str, Tensor],
    sizes: dict[str, int] | None,
    num_nodes: dict[str, list[int]],
    parts: dict[EdgeType, list[tuple[Tensor, Tensor, Tensor]]],
) -> Subgraph:
    """The hops one after another; with `sizes`, keys are taken apart into node and seed."""
    none = torch.empty(0, dtype=torch.int64)
    row, col, edge = (
        {kind: torch.cat([part[i] for part in hops]) if hops else none for kind, hops in parts.items()}
        for i in range(3)
    )
    return Subgraph(
        node=keys if sizes is None else {name: key % max(sizes[name], 1) for name, key in keys.items()},
        batch={} if sizes is None else {name: key // max(sizes[name], 1) for name, key in keys.items()},
        row=row,
        col=col,
        edge=edge,
        num_nodes=num_nodes,
        num_edges={kind: [part[0].numel() for part in hops] for kind, hops in parts.items()},
    )
