"""Links of a typed graph that are held out for a test, relation by relation, each ranked among tails of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from graphrep.cli.texting.tails import fixed_tails, full
from graphrep.data import HeteroGraph

__all__ = ["Relation", "hold_out"]

EdgeType: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True)
class Relation:
    """The test links of an edge type.

    Attributes:
        kind: the edge type.
        pos: (2, n) sources and destinations of test links.
        tails: (n, K) destinations to rank each among, no links of its source.
        seen: (N_dst,) training links of each destination.
    """

    kind: EdgeType
    pos: Tensor
    tails: Tensor
    seen: Tensor


def hold_out(
    graph: HeteroGraph, share: float, *, relations: Sequence[Any] | None = None, seed: int = 0
) -> tuple[HeteroGraph, list[Relation], int]:
    """The graph without its test links and those links' reverse, the test links, and how many links are left.

    Args:
        graph: with text.
        share: of each relation's distinct links, between 0 and 1; self-loops and links of a source that has
            every destination are not held out, as nothing could be ranked.
        relations: edge types or names; None: all, but not a relation and its reverse.
        seed: of the draws.

    Raises:
        MissingFeaturesError: no text anywhere.
        GraphrepError: no such relation.
    """
    from graphrep.methods._lmgnn_data import all_links
    from graphrep.methods._lmgnn_graph import text_graph

    found = text_graph(graph, features=False)
    rng = np.random.default_rng(seed)
    held: dict[EdgeType, Tensor] = {}
    tests, left = [], 0
    for kind, pairs, mutual in all_links(found, relations):
        two_types, size = kind[0] != kind[2], found.num_nodes[kind[2]]
        ends = pairs.numpy()
        both = ends if two_types else np.concatenate([ends, ends[::-1]], axis=1)
        closed = full(ends[0], np.unique(both[0] * size + both[1]), size, two_types=two_types)
        free = np.flatnonzero(~closed & (two_types | (ends[0] != ends[1])))
        chosen = torch.from_numpy(np.sort(rng.permutation(free)[: int(share * pairs.shape[1])]))
        kept = torch.ones(pairs.shape[1], dtype=torch.bool)
        kept[chosen] = False
        pos, train = pairs[:, chosen], pairs[:, kept]
        left += train.shape[1]
        held[kind] = torch.cat([pos, pos.flip(0)], dim=1) if mutual else pos
        if not mutual:
            held[found.reverse[kind]] = pos.flip(0)
        if pos.numel():
            tails = fixed_tails(pos, pairs, size, seed=seed, two_types=two_types)
            ends_seen = train.flatten() if mutual else train[1]
            tests.append(Relation(kind, pos, tails, torch.bincount(ends_seen, minlength=size)))
    return _without(graph, held), tests, left


def _without(graph: HeteroGraph, held: Mapping[EdgeType, Tensor]) -> HeteroGraph:
    """The graph without some pairs, every copy of them."""
    edges, weights = dict(graph.edge_index), dict(graph.edge_weight)
    for kind in edges:
        if kind in held:
            size = graph.num_nodes[kind[2]]
            own, gone = (part[0].cpu() * size + part[1].cpu() for part in (edges[kind], held[kind]))
            kept = ~torch.isin(own, gone)
            edges[kind] = edges[kind][:, kept]
            if kind in weights:
                weights[kind] = weights[kind][kept]
    return HeteroGraph(
        edges, weights, dict(graph.x), graph.y, num_nodes=dict(graph.num_nodes), target=graph.target,
        ids=dict(graph.ids), splits=dict(graph.splits), text=dict(graph.text), name=graph.name,
        metapaths=graph.metapaths,
    )  # fmt: skip
