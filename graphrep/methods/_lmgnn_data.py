"""What LMGNN learns from: labelled nodes or pairs, or links; parts that validate; edges that messages may use."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data import _parts
from graphrep.data.hetero import HeteroGraph
from graphrep.data.links import LinkSplit
from graphrep.data.split import NodeSplit
from graphrep.errors import EmptyGraphError, GraphrepError, LeakySplitError, MissingLabelsError, ShapeError
from graphrep.kernels._check import check_index, check_range
from graphrep.methods._link_data import as_pairs, link_data
from graphrep.methods._lmgnn_graph import EDGE, EdgeType, TextGraph, digest_of, text_graph, undirected_pairs

__all__ = ["Lesson", "Links", "Parts", "all_links", "lesson"]

_TAILS = 200  # other ends that each validation link is ranked against
_RANKED = 2000  # validation links that choose the epoch, at most


@dataclasses.dataclass(frozen=True)
class Parts:
    """Rows that are trained on, that choose the epoch, and that play no part: numbers of nodes or of pairs."""

    train: Tensor
    val: Tensor
    test: Tensor


@dataclasses.dataclass(frozen=True)
class Links:
    """The links of one edge type.

    Attributes:
        kind: the edge type.
        train: (2, M) distinct pairs; smaller number first where `mutual`.
        mutual: both ends are of one type and direction means nothing.
        val: (2, P) pairs that choose the epoch, maybe none; of many a random part.
        tails: (P, K) nodes that the validation links are ranked against, or None.
    """

    kind: EdgeType
    train: Tensor
    mutual: bool
    val: Tensor
    tails: Tensor | None = None


@dataclasses.dataclass(frozen=True)
class Lesson:
    """A graph with what is to be learned.

    Attributes:
        graph: its `edges` are those that messages may use in training.
        task: ``"node"``, ``"edge"`` or ``"link"``.
        serving: edges that messages use after training.
        parts: of the labels, for node and edge.
        pairs: (2, P) labelled pairs and their edge type, for edge.
        pair_y: (P,) their classes.
        links: links that training may see: those to be predicted, or for node and edge those of all relations.
        notes: plain sentences that a user must be told.
    """

    graph: TextGraph
    task: str
    serving: dict[EdgeType, Tensor]
    parts: Parts | None
    pairs: tuple[EdgeType, Tensor] | None
    pair_y: Tensor | None
    links: tuple[Links, ...]
    notes: list[str]

    @property
    def num_classes(self) -> int:
        """Classes of the nodes or pairs."""
        return int(self.pair_y.max()) + 1 if self.pair_y is not None else self.graph.num_classes

    def digest(self) -> str:
        """Hash of graph, parts and held-out links."""
        tensors = [] if self.parts is None else [self.parts.train, self.parts.val]
        tensors += [] if self.pairs is None or self.pair_y is None else [self.pairs[1], self.pair_y]
        for part in self.links:
            tensors += [t for t in (part.train, part.val, part.tails) if t is not None]
        return digest_of([*tensors, *self.serving.values()], self.graph.digest() + self.task)


def lesson(
    data: Any,
    *,
    task: str = "auto",
    splits: Any = None,
    pairs: Any = None,
    labels: Any = None,
    pair_type: Any = None,
    relations: Sequence[Any] | None = None,
    validation: float | None = 0.1,
    features: bool = True,
    seed: int = 0,
) -> Lesson:
    """Takes apart what :meth:`LMGNN.fit` is given; its documentation has the arguments.

    Raises:
        GraphrepError and its kinds: the data does not fit the task.
    """
    if validation is not None and not 0 < validation < 1:
        raise GraphrepError(f"validation is {validation}; a share lies in (0, 1).", hint="validation=0.1, or None")
    inner = data.graph if isinstance(data, LinkSplit) else data
    graph = text_graph(inner, features=features)
    chosen = _task(task, data, graph, pairs)
    rng = np.random.default_rng(seed)
    notes = list(graph.notes)
    if chosen == "link":
        if splits is not None:
            raise GraphrepError("splits are of nodes or pairs, and the task is link prediction.", hint="a LinkSplit")
        return _links_only(data, graph, relations, validation, seed, rng, notes)
    links = tuple(Links(kind, p, mutual, p[:, :0]) for kind, p, mutual in all_links(graph, relations))
    if chosen == "node":
        if graph.y is None:
            raise MissingLabelsError(
                f"{graph.name or 'the graph'} has no labels.", hint='task="link", or graph.replace(y=)'
            )
        parts = _node_parts(inner, graph, splits, validation, rng, notes)
        return Lesson(graph, chosen, graph.edges, parts, None, None, links, notes)
    kind, found, y = _labelled_pairs(graph, pairs, labels, pair_type)
    parts = _labelled(_given_parts(splits, len(y), "pairs"), y, validation, rng, notes)
    return Lesson(graph, chosen, graph.edges, parts, (kind, found), y, links, notes)


def _task(task: str, data: Any, graph: TextGraph, pairs: Any) -> str:
    if task == "auto":
        labelled = graph.y is not None and bool((graph.y >= 0).any())
        task = (
            "link" if isinstance(data, LinkSplit) else "edge" if pairs is not None else "node" if labelled else "link"
        )
    if isinstance(data, LinkSplit) and task != "link":
        raise GraphrepError(f'A LinkSplit is for link prediction; task is "{task}".', hint="split.graph")
    if (pairs is not None) != (task == "edge"):
        raise GraphrepError(f'task is "{task}"; pairs and labels belong to "edge".', hint="fit(graph, pairs=, labels=)")
    return task


def all_links(graph: TextGraph, relations: Sequence[Any] | None) -> list[tuple[EdgeType, Tensor, bool]]:
    """(edge type, (2, M) distinct pairs, mutual) of each relation, not of its reverse as well."""
    known = {kind: kind for kind in graph.edges} | {kind[1]: kind for kind in graph.edges}
    wanted = list(graph.edges) if relations is None else []
    for name in [relations] if isinstance(relations, str) else relations or ():
        key = name if isinstance(name, str) else tuple(name)
        if key not in known:
            raise GraphrepError(f"There is no edge type {name!r}.", hint=", ".join(kind[1] for kind in graph.edges))
        wanted.append(known[key])
    found: dict[EdgeType, tuple[EdgeType, Tensor, bool]] = {}
    for kind in wanted:
        if graph.reverse[kind] in found:
            continue
        mutual, edges = graph.reverse[kind] == kind, graph.edges[kind]
        size = graph.num_nodes[kind[2]]
        if mutual:
            pairs = undirected_pairs(edges, size)
        else:
            key = torch.unique(edges[0] * size + edges[1])
            pairs = torch.stack([key // max(size, 1), key % max(size, 1)])
        found[kind] = (kind, pairs, mutual)
    return list(found.values())


def _links_only(
    data: Any,
    graph: TextGraph,
    relations: Sequence[Any] | None,
    validation: float | None,
    seed: int,
    rng: np.random.Generator,
    notes: list[str],
) -> Lesson:
    if not isinstance(data, HeteroGraph):
        split = data if isinstance(data, LinkSplit) else None
        found = link_data(split or _undirected(graph, data), validation, None, seed)
        val = found.train[:, :0] if found.val_pos is None else found.val_pos.cpu()
        # the pairs that are none of a split are far from the links; other ends of the same source are nearer the use
        val = _some(val, rng)
        links = (Links(EDGE, found.train, True, val, _tails(val, found.known, graph.num_nodes[EDGE[2]], rng)),)
        edges = {EDGE: _both_ways(found.train)}
        graph = dataclasses.replace(graph, edges=edges)
        return Lesson(graph, "link", {EDGE: _both_ways(found.serving)}, None, None, None, links, notes)
    serving, edges, links_found = graph.edges, dict(graph.edges), []
    for kind, pairs, mutual in all_links(graph, relations):
        train, val = pairs, pairs[:, :0]
        size = 0 if validation is None else math.floor(validation * pairs.shape[1] + 1e-9)
        if size:
            order = torch.from_numpy(rng.permutation(pairs.shape[1]))
            val, train = pairs[:, order[:size].sort().values], pairs[:, order[size:].sort().values]
            for side, held in ((kind, val), (graph.reverse[kind], val.flip(0))):
                edges[side] = _without(edges[side], held, graph.num_nodes[side[2]])
                if mutual:
                    edges[side] = _without(edges[side], held.flip(0), graph.num_nodes[side[2]])
        val = _some(val, rng)
        links_found.append(Links(kind, train, mutual, val, _tails(val, pairs, graph.num_nodes[kind[2]], rng)))
    if not any(part.train.numel() for part in links_found):
        raise EmptyGraphError("the graph has no links to train on.", hint="links between different nodes")
    graph = dataclasses.replace(graph, edges=edges)
    return Lesson(graph, "link", serving, None, None, None, tuple(links_found), notes)


def _undirected(graph: TextGraph, data: Any) -> Any:
    """A plain graph without directions and weights, of which the user has been told already."""
    from graphrep.data.graph import Graph

    return Graph(graph.edges[EDGE], num_nodes=graph.num_nodes[EDGE[0]], name=graph.name)


def _both_ways(pairs: Tensor) -> Tensor:
    pairs = pairs.cpu()
    return torch.cat([pairs, pairs.flip(0)], dim=1)


def _without(edges: Tensor, held: Tensor, num_targets: int) -> Tensor:
    key, gone = (part[0] * num_targets + part[1] for part in (edges, held))
    return edges[:, ~torch.isin(key, gone)]


def _some(val: Tensor, rng: np.random.Generator) -> Tensor:
    """So many validation links that ranking them in every epoch costs little."""
    count = val.shape[1]
    return val if count <= _RANKED else val[:, torch.from_numpy(np.sort(rng.choice(count, _RANKED, replace=False)))]


def _tails(val: Tensor, known: Tensor, num_targets: int, rng: np.random.Generator) -> Tensor | None:
    """(P, K) other targets for each validation link, none that its source is known to be linked to.

    None where there are no links. A target that is still known after some draws is replaced by the link's own, which
    counts as a tie.
    """
    if not val.numel():
        return None
    pairs = torch.cat([known.cpu(), known.cpu().flip(0)], dim=1)
    taken = torch.unique(pairs[0] * num_targets + pairs[1])
    sources = val[0].repeat_interleave(_TAILS)
    found = torch.from_numpy(rng.integers(num_targets, size=sources.numel()))
    bad = _taken(sources, found, taken, num_targets)
    for _ in range(20):
        if not bool(bad.any()):
            break
        found[bad] = torch.from_numpy(rng.integers(num_targets, size=int(bad.sum())))
        bad = _taken(sources, found, taken, num_targets)
    found = torch.where(bad, val[1].repeat_interleave(_TAILS), found)
    return found.view(-1, _TAILS)


def _taken(source: Tensor, target: Tensor, taken: Tensor, num_targets: int) -> Tensor:
    return torch.isin(source * num_targets + target, taken) | (source == target)


def _node_parts(
    inner: Any, graph: TextGraph, splits: Any, validation: float | None, rng: np.random.Generator, notes: list[str]
) -> Parts:
    assert graph.y is not None
    if splits is None and isinstance(inner, HeteroGraph):
        splits = {key: part for key, part in inner.splits.items() if key in ("train", "val", "test")} or None
    elif splits is None and getattr(inner, "train_idx", None) is not None:
        splits = {"train": inner.train_idx, "val": inner.val_idx, "test": inner.test_idx}
    return _labelled(_given_parts(splits, len(graph.y), "nodes"), graph.y, validation, rng, notes)


def _given_parts(splits: Any, count: int, what: str) -> dict[str, Tensor | None] | None:
    if splits is None:
        return None
    if isinstance(splits, NodeSplit):
        if splits.num_nodes != count:
            raise ShapeError(f"the split is of {splits.num_nodes} {what}, and there are {count}.", hint="its own graph")
        splits = {"train": splits.train, "val": splits.val, "test": splits.test}
    if not isinstance(splits, Mapping) or "train" not in splits or set(splits) - {"train", "val", "test"}:
        raise GraphrepError(f"splits is a {type(splits).__name__}.", hint='{"train": ..., "val": ..., "test": ...}')
    return {key: _parts.as_split(part, count, key, f"the {what}") for key, part in splits.items()}


def _labelled(
    given: dict[str, Tensor | None] | None,
    y: Tensor,
    validation: float | None,
    rng: np.random.Generator,
    notes: list[str],
) -> Parts:
    """The parts with unlabelled rows left out of training and validation; without any, some labels validate."""
    none = torch.empty(0, dtype=torch.int64)
    parts = dict.fromkeys(("train", "val", "test"), none)
    if given is None:
        parts["train"] = (y >= 0).nonzero().flatten()
    else:
        parts |= {key: part.cpu() for key, part in given.items() if part is not None}
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        both = int(torch.isin(parts[first], parts[second]).sum())
        if both:
            raise LeakySplitError(f"{both} rows are in {first} and in {second}.", hint="parts that do not overlap")
    for key in ("train", "val"):
        known = parts[key][y[parts[key]] >= 0]
        if len(known) < len(parts[key]):
            notes.append(f"{len(parts[key]) - len(known)} rows of {key} have no label and are left out.")
        parts[key] = known
    if not parts["train"].numel():
        raise MissingLabelsError("no training row has a label.", hint='splits={"train": ...}, or task="link"')
    size = 0 if validation is None else math.floor(validation * len(parts["train"]) + 1e-9)
    if given is None and size:
        order = torch.from_numpy(rng.permutation(len(parts["train"])))
        parts["val"], parts["train"] = (parts["train"][part.sort().values] for part in (order[:size], order[size:]))
        notes.append(f"there is no split: {size} of the labels were held out to choose the epoch.")
    return Parts(parts["train"], parts["val"], parts["test"])


def _labelled_pairs(graph: TextGraph, pairs: Any, labels: Any, kind: Any) -> tuple[EdgeType, Tensor, Tensor]:
    if labels is None:
        raise MissingLabelsError("pairs without labels.", hint="fit(graph, pairs=..., labels=...)")
    if kind is None:
        if len(graph.num_nodes) > 1:
            raise GraphrepError("pair_type does not say which node types the pairs join.", hint='("user", "item")')
        ends = (graph.target, graph.target)
    else:
        names = (kind,) if isinstance(kind, str) else tuple(kind)
        if any(name not in graph.num_nodes for name in (names[0], names[-1])):
            raise GraphrepError(f"pair_type is {kind!r}.", hint=f"two of {', '.join(graph.num_nodes)}")
        ends = (names[0], names[-1])
    found = as_pairs(pairs, max(graph.num_nodes[end] for end in ends)).long().cpu()
    for row, end in zip(found, ends, strict=True):
        check_range(row, graph.num_nodes[end], f"pairs ({end})")
    y = torch.as_tensor(labels)
    check_index(y, "labels")
    if len(y) != found.shape[1]:
        raise ShapeError(f"there are {found.shape[1]} pairs and {len(y)} labels.", hint="one class per pair")
    return (ends[0], "pair", ends[1]), found, y.long().cpu()
