"""What a link predictor trains on: the training links, pairs that validate, and the graph that answers afterwards."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data._pair_ranks import draw_unused, num_pairs, rank_of, sorted_distinct
from graphrep.data.canonical import canonical_edges
from graphrep.data.graph import Graph
from graphrep.data.links import LinkSplit
from graphrep.data.split import check_leak
from graphrep.errors import EmptyGraphError, GraphrepError, ShapeError
from graphrep.kernels._check import check_index, check_range

__all__ = ["LinkData", "as_pairs", "as_split", "link_data", "non_links", "ranks_of_links", "usable_cut"]


@dataclasses.dataclass(frozen=True)
class LinkData:
    """The parts of one training; node pairs are (2, n) int64, smaller end first.

    Attributes:
        graph: as it was given, with the features.
        train: the links that are trained on and that messages pass over.
        val_pos, val_neg: validation links and as many or other pairs that are none; None where nothing validates.
        known: all links that a list of missing ones leaves out: training and validation.
        serving: links of the graph that answers after training.
        notes: plain sentences that a user must be told.
        name: of the data, or None.
    """

    graph: Graph
    train: Tensor
    val_pos: Tensor | None
    val_neg: Tensor | None
    known: Tensor
    serving: Tensor
    notes: list[str]
    name: str | None

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.graph.num_nodes


def as_split(data: Any) -> LinkSplit | Graph:
    """A LinkSplit as it is, anything else as :meth:`Graph.coerce` takes it."""
    return data if isinstance(data, LinkSplit) else Graph.coerce(data)


def as_pairs(pairs: Any, num_nodes: int) -> Tensor:
    """(2, P) int32 or int64 pairs of known nodes.

    Raises:
        ShapeError, DTypeError, IndexRangeError: they are none.
    """
    found = torch.as_tensor(pairs)
    if found.dim() != 2 or found.shape[0] != 2:
        turned = found.dim() == 2 and found.shape[1] == 2
        hint = "pairs.t()" if turned else "torch.stack([first, second])"
        raise ShapeError(f"pairs must have shape (2, P); got {tuple(found.shape)}.", hint=hint)
    found = found if found.numel() else found.long()
    check_index(found, "pairs", ndim=2)
    check_range(found, num_nodes, "pairs")
    return found


def usable_cut(wanted: int, negatives: Tensor | None) -> tuple[int, list[str]]:
    """K of Hits@K for so many (2, n) negatives, and what is to be told where it is not the wanted one.

    With no more than K negatives Hits@K is 1 whatever the scores; then K is half their number.
    """
    if negatives is None or wanted < negatives.shape[1]:
        return wanted, []
    lower = max(1, negatives.shape[1] // 2)
    told = (
        f"there are {negatives.shape[1]} validation negatives, so Hits@{lower}, not Hits@{wanted}, chooses the epoch."
    )
    return lower, [told]


def link_data(data: LinkSplit | Graph, validation: float | None, use_validation: bool | None, seed: int) -> LinkData:
    """The parts of a training from a split, or from a graph whose links are all known.

    Without validation pairs in the data the share `validation` of the training links is held out by `seed`, and
    negatives are drawn that are no known link. With `validation` None nothing is held out, and the pairs of a split
    play no part.

    Args:
        data: of :func:`as_split`.
        validation: in (0, 1), or None.
        use_validation: whether the validation links belong to the graph that answers; None: those that were held out
            of the data here do, those of a split do not.
        seed: of the draws.

    Raises:
        EmptyGraphError: no training links.
        LeakySplitError: validation or test links among the training links.
        GraphrepError: `validation` out of range.
    """
    split = data if isinstance(data, LinkSplit) else LinkSplit(data, name=data.name)
    if validation is not None and not 0 < validation < 1:
        raise GraphrepError(f"validation is {validation}; a share lies in (0, 1).", hint="validation=0.1, or None")
    graph, notes = split.graph, []
    count = graph.num_nodes
    train = _links(graph.edge_index, count)
    if not graph.is_undirected():
        notes.append("the graph is directed; its links are taken without their directions.")
    if graph.edge_weight is not None:
        notes.append("the links have weights, which play no part.")
    for pairs, name in ((split.val_pos, "validation"), (split.test_pos, "test")):
        if pairs is not None and train.numel() and pairs.numel():
            check_leak(train, pairs, name=name)
    rng = np.random.default_rng(seed)
    held = validation is not None and split.val_pos is None
    val_pos = split.val_pos if validation is not None else None
    if held and validation is not None:
        size = math.floor(validation * train.shape[1] + 1e-9)
        order = torch.from_numpy(rng.permutation(train.shape[1]))
        val_pos = train[:, order[:size].sort().values] if size else None
        train = train[:, order[size:].sort().values]
        if val_pos is None:
            notes.append("too few links to hold some out, so nothing chooses the epoch: the last one is kept.")
    if not train.numel():
        raise EmptyGraphError("the graph has no links to train on.", hint="links between different nodes")
    parts = [part for part in (train, split.val_pos, split.test_pos, val_pos) if part is not None]
    val_neg = split.val_neg if val_pos is not None and not held else None
    if val_pos is not None and val_neg is None:
        everything = ranks_of_links(torch.cat(parts, dim=1), count)
        val_neg = non_links(everything, val_pos.shape[1], count, rng, repeat=False)
        if not val_neg.numel():
            val_pos = val_neg = None
            notes.append("every pair of nodes is a link, so nothing chooses the epoch: the last one is kept.")
    known = _links(torch.cat([part for part in (train, split.val_pos, val_pos) if part is not None], dim=1), count)
    serving = known if (held if use_validation is None else use_validation) else train
    return LinkData(graph, train, val_pos, val_neg, known, serving, notes, data.name)


def ranks_of_links(links: Tensor, num_nodes: int) -> np.ndarray[Any, Any]:
    """Sorted distinct ranks of (2, n) pairs, direction ignored; self pairs are left out."""
    pairs = links.cpu().numpy()
    return sorted_distinct(rank_of(pairs[:, pairs[0] != pairs[1]], num_nodes, directed=False))


def non_links(
    used: np.ndarray[Any, Any], count: int, num_nodes: int, rng: np.random.Generator, *, repeat: bool = True
) -> Tensor:
    """(2, count) pairs of different nodes, uniform over those whose rank is not in `used`.

    They are distinct, unless more are asked for than there are: then all come before one comes again, or, without
    `repeat`, only as many as there are.
    """
    free = num_pairs(num_nodes, directed=False) - used.size
    sizes = [count] if count <= free else [free] * (1 if not repeat else count // max(free, 1))
    if repeat and free and sum(sizes) < count:
        sizes.append(count - sum(sizes))
    drawn = [draw_unused(used, size, num_nodes, rng, directed=False) for size in sizes if size]
    return torch.from_numpy(np.concatenate([np.zeros((2, 0), dtype=np.int64), *drawn], axis=1))


def _links(edge_index: Tensor, num_nodes: int) -> Tensor:
    """(2, M) links, each once, smaller end first."""
    edges = canonical_edges(edge_index.cpu(), None, num_nodes, directed=False).edge_index
    return edges[:, edges[0] < edges[1]]
