"""What the tuner maximises: a linear probe inside the training nodes, or the ranking of hidden links."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data.graph import Graph
from graphrep.errors import GraphrepError, IndexRangeError, MissingLabelsError, ShapeError
from graphrep.eval import linear_probe, link_scores

__all__ = ["Scorer", "label_scorer", "link_scorer"]

Scorer = Callable[[Tensor], float]

_HIDDEN = 0.1  # share of the links that are hidden
_MIN_LINKS = 10
_VALIDATION = 0.5


def label_scorer(graph: Graph, y: Any, train_idx: Any, metric: str, shuffles: int, c: float, seed: int) -> Scorer:
    """F1 of a linear probe that is fitted and scored within the training nodes; no other label is read."""
    if y is None:
        raise MissingLabelsError("The objective needs labels and the graph has none.", hint='objective="link_auc"')
    if train_idx is None:
        raise MissingLabelsError(
            "The objective needs to know whose labels may be used: train_idx is missing.",
            hint="train_idx=range(num_nodes) if no label is held back for a test",
        )
    index = torch.as_tensor(np.asarray(train_idx))
    if index.dtype == torch.bool:
        index = index.nonzero().reshape(-1)
    if len(y) != graph.num_nodes:
        raise ShapeError(f"y has {len(y)} rows and the graph has {graph.num_nodes} nodes.", hint="one row per node")
    if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < graph.num_nodes:
        raise IndexRangeError(f"train_idx refers to nodes outside 0..{graph.num_nodes - 1}.")
    labels = torch.as_tensor(np.asarray(y))[index]
    seeds = [seed + k for k in range(shuffles)]

    def score(z: Tensor) -> float:
        result = linear_probe(z[index], labels, protocol="deepwalk", train_ratios=(1 - _VALIDATION,), seeds=seeds, c=c)
        return float(getattr(result, metric))

    return score


def link_scorer(graph: Graph, seed: int) -> tuple[Scorer, Graph]:
    """AUC of hidden links against random pairs by cosine similarity, and the graph without them.

    Both directions of a link are hidden together, and parallel edges with it. Random pairs are no links of the whole
    graph and no self-loops.

    Raises:
        GraphrepError: too few links, or hardly any pair that is not one.
    """
    rng = np.random.default_rng(seed)
    ends = np.sort(graph.edge_index.cpu().numpy(), axis=0)
    keys = ends[0] * graph.num_nodes + ends[1]
    links = np.unique(keys[ends[0] != ends[1]])
    count = int(_HIDDEN * len(links))
    if len(links) < _MIN_LINKS:
        raise GraphrepError(f"link_auc needs at least {_MIN_LINKS} links; the graph has {len(links)}.")
    hidden = rng.choice(links, max(count, 1), replace=False)
    kept = torch.from_numpy(~np.isin(keys, hidden))
    weight = None if graph.edge_weight is None else graph.edge_weight[kept]
    seen = Graph(graph.edge_index[:, kept], weight, graph.x, num_nodes=graph.num_nodes, ids=graph.ids)
    positive = np.stack(np.divmod(hidden, graph.num_nodes))
    negative = np.stack(np.divmod(_no_links(rng, links, graph.num_nodes, len(hidden)), graph.num_nodes))
    pos, neg = torch.from_numpy(positive), torch.from_numpy(negative)

    def score(z: Tensor) -> float:
        unit = torch.nn.functional.normalize(z.float())
        return float(link_scores(_cosine(unit, pos), _cosine(unit, neg), ks=(1,)).auc)

    return score, seen


def _cosine(unit: Tensor, pairs: Tensor) -> Tensor:
    return (unit[pairs[0]] * unit[pairs[1]]).sum(1)


def _no_links(rng: np.random.Generator, links: Any, num_nodes: int, count: int) -> Any:
    """Keys of `count` pairs u < v that are no links."""
    if num_nodes * (num_nodes - 1) // 2 - len(links) < count:
        raise GraphrepError("link_auc needs pairs that are no links; nearly every pair of this graph is one.")
    found = np.empty(0, dtype=np.int64)
    while len(found) < count:
        pairs = np.sort(rng.integers(0, num_nodes, (2, 2 * count)), axis=0)
        keys = (pairs[0] * num_nodes + pairs[1])[pairs[0] != pairs[1]]
        found = np.concatenate([found, keys[~np.isin(keys, links)]])
    return found[:count]
