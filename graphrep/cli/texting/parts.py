"""What a run learns from and what judges it: labelled nodes in three parts, or links with fixed tails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.cli.texting.relations import Relation, hold_out
from graphrep.cli.texting.tails import NUM_TAILS, fixed_tails
from graphrep.data import Graph, HeteroGraph
from graphrep.data.check import grouped
from graphrep.data.split import split_edges, split_nodes
from graphrep.errors import EmptyGraphError, GraphrepError, MissingLabelsError

__all__ = ["LINK_SHARES", "NODE_SHARES", "LinkParts", "NodeParts", "link_parts", "node_parts", "task_of"]

Array = np.ndarray[Any, Any]
NODE_SHARES, LINK_SHARES = (60.0, 20.0, 20.0), (85.0, 5.0, 10.0)


@dataclass(frozen=True)
class NodeParts:
    """Labelled nodes of the target type.

    Attributes:
        train, val, test: their numbers.
        how: in words.
    """

    train: Array
    val: Array
    test: Array
    how: str

    @property
    def splits(self) -> dict[str, Tensor]:
        """As ``LMGNN.fit`` takes them."""
        return {name: torch.from_numpy(getattr(self, name)) for name in ("train", "val", "test")}

    def line(self) -> str:
        """One line for people."""
        counts = f"{grouped(len(self.train))} training / {grouped(len(self.val))} validation"
        return f"{counts} / {grouped(len(self.test))} test nodes   {self.how}"


@dataclass(frozen=True)
class LinkParts:
    """Links of one kind.

    Attributes:
        data: what ``LMGNN.fit`` takes.
        pos: (2, n) test links, the smaller number first.
        tails: (n, K) other ends to rank them among.
        counts: of training, validation and test links.
        how: in words.
        relations: of a typed graph the test links by edge type; `pos` and `tails` are empty then.
    """

    data: Any
    pos: Tensor
    tails: Tensor
    counts: tuple[int, int, int]
    how: str
    relations: tuple[Relation, ...] = ()

    def line(self) -> str:
        """One line for people."""
        if isinstance(self.data, HeteroGraph):
            train, _, test = map(grouped, self.counts)
            among = f", each among {NUM_TAILS} pairs of its first end" if self.relations else ""
            return f"{train} training / {test} test links of all relations{among}   {self.how}"
        train, val, test = map(grouped, self.counts)
        among = f", each test link among {self.tails.shape[1]} pairs of its first end" if self.pos.numel() else ""
        return f"{train} training / {val} validation / {test} test links{among}   {self.how}"


def task_of(task: str, graph: Graph | HeteroGraph) -> str:
    """``node`` or ``link``: what was asked for, else node where there are classes.

    Raises:
        MissingLabelsError: classes are asked for and there are none.
    """
    labelled = graph.y is not None and graph.y.dim() == 1 and bool((graph.y >= 0).any())
    if task == "edge":
        raise GraphrepError("Classes of pairs are learned in Python: LMGNN(task='edge').fit(graph, pairs=, labels=).")
    if task == "node" and not labelled:
        raise MissingLabelsError("The graph has no classes.", hint="--task link, or a column label beside the texts")
    return ("node" if labelled else "link") if task == "auto" else task


def node_parts(graph: Graph | HeteroGraph, *, shares: tuple[float, ...] | None, seed: int) -> NodeParts:
    """The graph's own split, or a random one of the labelled nodes.

    Args:
        graph: with classes.
        shares: of training, validation and test; None: the graph's own split where there is one, else 60/20/20.
        seed: of the draw.
    """
    assert graph.y is not None
    y = np.asarray(graph.y)
    own = _own(graph) if shares is None else None
    if own is not None:
        train, val, test = (part[y[part] >= 0] for part in own)
        return NodeParts(train, val, test, "the split of the data")
    labelled = np.flatnonzero(y >= 0)
    drawn = split_nodes(len(labelled), shares=shares or NODE_SHARES, seed=seed)
    told = "/".join(f"{share:g}" for share in shares or NODE_SHARES)
    train, val, test = (labelled[np.asarray(part)] for part in (drawn.train, drawn.val, drawn.test))
    return NodeParts(train, val, test, f"random {told} (seed {seed})")


def _own(graph: Graph | HeteroGraph) -> list[Array] | None:
    """Training, validation and test nodes of the data; None without training nodes."""
    if isinstance(graph, HeteroGraph):
        found = [graph.splits.get(name) for name in ("train", "val", "test")]
    else:
        found = [graph.train_idx, graph.val_idx, graph.test_idx]
    if found[0] is None:
        return None
    return [np.zeros(0, dtype=np.int64) if part is None else np.asarray(part) for part in found]


def link_parts(
    graph: Graph | HeteroGraph, *, shares: tuple[float, ...] | None, seed: int, relations: Sequence[Any] | None = None
) -> LinkParts:
    """Links held out at random, in both directions.

    Args:
        graph: of a typed graph only test links are held out here, LMGNN holds out its own to validate.
        shares: of training, validation and test; None: 85/5/10.
        seed: of the draws.
        relations: of a typed graph; None: all.

    Raises:
        EmptyGraphError: no links.
    """
    none = torch.empty(2, 0, dtype=torch.int64)
    if not graph.num_edges:
        raise EmptyGraphError("The graph has no links to learn from.", hint="--task node, or a graph with edges")
    used = shares or LINK_SHARES
    if isinstance(graph, HeteroGraph):
        share = used[2] / sum(used)
        data, tests, left = hold_out(graph, share, relations=relations, seed=seed)
        counts = (left, 0, sum(test.pos.shape[1] for test in tests))
        told = f"{100 * share:g} % of each relation's links for the test (seed {seed})"
        return LinkParts(data, none, none.t(), counts, told, tuple(tests))
    made = split_edges(graph, shares=used, negatives=0, directed=False, seed=seed)
    split = made.link_split(graph).replace(val_neg=None, test_neg=None)
    if split.val_pos is not None and not split.val_pos.numel():
        split = split.replace(val_pos=None)
    pos = torch.stack([made.test.min(0).values, made.test.max(0).values])
    links = torch.cat([made.train, made.val, made.test], dim=1)
    tails = fixed_tails(pos, links, graph.num_nodes, count=NUM_TAILS, seed=seed)
    counts = (made.train.shape[1], made.val.shape[1], pos.shape[1])
    told = "/".join(f"{share:g}" for share in used)
    return LinkParts(split.replace(test_pos=None), pos, tails, counts, f"split {told} (seed {seed})")
