"""The leak checker: whether a split of links, made here or elsewhere, lets a model see what it is tested on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.data._facts import plural
from graphrep.data._overlap import as_pairs, overlap, overlap_message
from graphrep.data.check import grouped
from graphrep.data.links import LinkSplit
from graphrep.data.split import EdgeSplit
from graphrep.data.split_files import read_link_parts
from graphrep.errors import GraphrepError, IndexRangeError, LeakySplitError, ShapeError

__all__ = ["Leak", "LeakReport", "check_link_split"]

Array = np.ndarray[Any, Any]
_EXAMPLES = 3
_MOST = 2**31  # node numbers, so that a pair fits into 64 bits
_NAMES = {"train": "training", "val": "validation", "test": "test"}
_SPLIT_HINT = "graphrep data split --undirected"
_DRAW_HINT = "negatives that are a link of no part, drawn together: graphrep data split does"


@dataclasses.dataclass(frozen=True)
class Leak:
    """One way in which a split leaks, or its numbers would be wrong.

    Attributes:
        kind: ``overlap`` (a held-out link in another part), ``messages`` (one among the edges that messages pass
            over), ``duplicate``, ``negative link``, ``negative overlap``, ``self pair``, ``range`` or ``time``.
        part: array that it was found in, such as ``test_pos``.
        count: pairs of the part that are concerned.
        total: pairs in the part.
        first: the first of them.
        message: a sentence with the numbers.
        hint: what to do.
    """

    kind: str
    part: str
    count: int
    total: int
    first: tuple[tuple[int, int], ...]
    message: str
    hint: str


@dataclasses.dataclass(frozen=True)
class LeakReport:
    """What :func:`check_link_split` found.

    Attributes:
        sizes: array -> its number of pairs; Hits@K means little without the number of negatives.
        num_nodes: N, None where nothing says so.
        directed: whether (i, j) and (j, i) counted as two links.
        leaks: in the order of the checks; none in a clean split.
        warnings: what is legal and perhaps not meant.
    """

    sizes: dict[str, int]
    num_nodes: int | None
    directed: bool
    leaks: tuple[Leak, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing leaks; warnings are allowed."""
        return not self.leaks

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**dataclasses.asdict(self), "ok": self.ok}

    def lines(self) -> list[str]:
        """The report for people."""
        found = ["  ".join(f"{name} {grouped(size)}" for name, size in self.sizes.items())]
        for leak in self.leaks:
            examples = ", ".join(str(pair) for pair in leak.first) + (", ..." if leak.count > len(leak.first) else "")
            found += [f"Leak: {leak.message} First: {examples}", f"  Try: {leak.hint}"]
        found += [f"Warning: {text}" for text in self.warnings]
        return [*found, f"{plural(len(self.leaks), 'leak')}, {plural(len(self.warnings), 'warning')}"]

    def raise_leaks(self) -> None:
        """Raises if anything leaks.

        Raises:
            LeakySplitError: the first leak in words, and the kinds of the others.
        """
        if self.ok:
            return
        first, others = self.leaks[0], list(dict.fromkeys(f"{leak.kind} in {leak.part}" for leak in self.leaks[1:]))
        more = f" Also: {', '.join(others)}." if others else ""
        raise LeakySplitError(first.message + more, hint=f"{first.hint}; pass --allow-leak to go on anyway.")


def check_link_split(
    split: LinkSplit | EdgeSplit | Mapping[str, Any] | str | os.PathLike[str],
    *,
    message_edges: Any | None = None,
    num_nodes: int | None = None,
    directed: bool | None = None,
    allow_leak: bool = False,
) -> LeakReport:
    """Looks for everything that makes the numbers of link prediction too good, or wrong.

    - a held-out link in another part or among the edges that messages pass over, also reversed;
    - a held-out link or a negative that is listed twice;
    - a negative that is a link of any part, or a negative of another part too (as PyG's RandomLinkSplit draws them);
    - pairs (i, i) among held-out links and negatives, node numbers out of range;
    - with times, training links later than held-out ones, or validation links later than test links.

    Args:
        split: a LinkSplit, an EdgeSplit, a mapping of arrays ``train_pos``, ``val_pos``, ``val_neg``, ``test_pos``,
            ``test_neg``, ... of shape (2, P), perhaps with ``train_time``, ... and ``num_nodes``, ``directed``; or the
            path of a file or folder that :func:`graphrep.data.split_files.read_link_parts` reads. Negatives of shape
            (n, k, 2) are each positive's own: these may repeat, and be links of their own or a later part.
        message_edges: (2, E) what the model passes messages over when it is tested; default the training links.
        num_nodes: N; default what the split says, else no number is too large.
        directed: whether (i, j) and (j, i) are two links; default what the split says, else False.
        allow_leak: True only reports.

    Returns:
        The report, with counts and the first pairs of every kind. O(E log E).

    Raises:
        LeakySplitError: something leaks, unless `allow_leak`.
        ShapeError, DTypeError, GraphrepError: not a split of links.

    Example:
        >>> parts = {"train_pos": [[0, 1, 2], [1, 2, 3]], "test_pos": [[3], [2]], "test_neg": [[0], [3]]}
        >>> check_link_split(parts)
        Traceback (most recent call last):
        graphrep.errors.LeakySplitError: 1 of 1 test edges also occur in the training edges (reversed direction).
        Try: graphrep data split --undirected; pass --allow-leak to go on anyway.
        >>> check_link_split(parts, allow_leak=True).leaks[0].first
        ((3, 2),)
        >>> check_link_split(parts, directed=True).ok
        True
    """
    parts = _parts_of(split)
    directed = bool(parts.get("directed", False)) if directed is None else directed
    count = parts.get("num_nodes") if num_nodes is None else num_nodes
    keys = _keys(parts)
    own = frozenset(key for key in keys if key.endswith("_neg") and np.ndim(parts[key]) == 3)
    pairs = {key: _flat(parts[key], key) if key in own else as_pairs(parts[key], key) for key in keys}
    if not any(key.endswith("_pos") for key in pairs):
        raise GraphrepError("The split holds no links.", hint="arrays train_pos, val_pos, test_pos, test_neg")
    report = LeakReport({key: part.shape[1] for key, part in pairs.items()}, _whole(count), directed)
    given = None if message_edges is None else as_pairs(message_edges, "message_edges")
    times = {key: np.asarray(parts[f"{key}_time"]) for key in _NAMES if parts.get(f"{key}_time") is not None}
    checker = _Checker(pairs, own, given, times, report.num_nodes, directed)
    report = dataclasses.replace(report, leaks=tuple(checker.leaks()), warnings=tuple(checker.warnings()))
    if not allow_leak:
        report.raise_leaks()
    return report


class _Checker:
    """The checks, one after another; pairs with wrong node numbers and pairs (i, i) play no part in the later ones."""

    def __init__(
        self,
        pairs: dict[str, Array],
        own: frozenset[str],
        messages: Array | None,
        times: dict[str, Array],
        num_nodes: int | None,
        directed: bool,
    ) -> None:
        self.pairs, self.own, self.times, self.directed = pairs, own, times, directed
        self.num_nodes = _MOST if num_nodes is None else min(num_nodes, _MOST)
        self.outside = {key: np.any((part < 0) | (part >= self.num_nodes), axis=0) for key, part in pairs.items()}
        self.loops: dict[str, Array] = {key: np.equal(part[0], part[1]) for key, part in pairs.items()}
        sound = {key: part[:, ~(self.outside[key] | self.loops[key])] for key, part in pairs.items()}
        self.links = {key.removesuffix("_pos"): part for key, part in sound.items() if key.endswith("_pos")}
        self.negatives = {key.removesuffix("_neg"): part for key, part in sound.items() if key.endswith("_neg")}
        self.messages = messages
        if messages is not None and messages.size and (messages.min() < 0 or messages.max() >= self.num_nodes):
            raise IndexRangeError(
                f"message_edges names nodes {messages.min()}..{messages.max()}, outside 0..{self.num_nodes - 1}.",
                hint="the graph that the split is of",
            )

    def leaks(self) -> Iterator[Leak]:
        """All that was found, what shows most first."""
        yield from self._overlaps()
        yield from self._messages()
        yield from self._times()
        yield from self._negative_links()
        yield from self._negative_overlaps()
        yield from self._duplicates()
        yield from self._malformed()

    def warnings(self) -> Iterator[str]:
        """What is legal and perhaps not meant."""
        train = self.links.get("train")
        if train is None:
            return
        if again := int(_repeats(train, directed=True).sum()):
            yield f"{plural(again, 'training edge repeats', 'training edges repeat')} an earlier one."
        if loops := int(self.loops["train_pos"].sum()):
            yield f"{plural(loops, 'training edge is a self-loop', 'training edges are self-loops')}."

    def _overlaps(self) -> Iterator[Leak]:
        for known, asked in (("train", "test"), ("train", "val"), ("val", "test")):
            if known in self.links and asked in self.links:
                same, back = overlap(self.links[known], self.links[asked])
                message = overlap_message(
                    same, back, directed=self.directed, name=_NAMES[asked], known=f"the {_NAMES[known]} edges"
                )
                yield from self._leak("overlap", f"{asked}_pos", self._hit(same, back), message, _SPLIT_HINT)

    def _messages(self) -> Iterator[Leak]:
        for part in ("test", "val"):
            if self.messages is not None and part in self.links:
                same, back = overlap(self.messages, self.links[part])
                known = "the edges that messages pass over"
                message = overlap_message(same, back, directed=self.directed, name=_NAMES[part], known=known)
                hint = "pass messages over the training edges alone"
                yield from self._leak("messages", f"{part}_pos", self._hit(same, back), message, hint)

    def _times(self) -> Iterator[Leak]:
        for early, late in (("train", "test"), ("train", "val"), ("val", "test")):
            if early not in self.times or late not in self.times or not len(self.times[late]):
                continue
            first, pairs = self.times[late].min(), self.pairs[f"{early}_pos"]
            if len(self.times[early]) != pairs.shape[1]:
                raise ShapeError(f"{early}_time has {len(self.times[early])} entries for {pairs.shape[1]} links.")
            after = self.times[early] > first
            message = (
                f"{grouped(int(after.sum()))} of {grouped(after.size)} {_NAMES[early]} edges are later than the first "
                f"{_NAMES[late]} edge ({first})."
            )
            hint = "split_edges(graph, edge_time=...) holds out the latest edges"
            yield from self._leak("time", f"{early}_pos", after, message, hint, pairs)

    def _negative_links(self) -> Iterator[Leak]:
        order = list(_NAMES)
        for part, pairs in self.negatives.items():
            # A positive's own negatives may be links of a later part, which nothing at hand says are links.
            parts = order[: max(order.index(part), 1)] if f"{part}_neg" in self.own else order
            known = {_NAMES[name]: links for name, links in self.links.items() if name in parts}
            if self.messages is not None:
                known["message"] = self.messages
            hits = {name: self._hit(*overlap(links, pairs)) for name, links in known.items()}
            hit = np.logical_or.reduce(list(hits.values())) if hits else np.zeros(pairs.shape[1], dtype=bool)
            where = ", ".join(f"{grouped(int(h.sum()))} {name}" for name, h in hits.items() if h.any())
            message = f"{grouped(int(hit.sum()))} of {grouped(hit.size)} {_NAMES[part]} negatives are links ({where})."
            yield from self._leak("negative link", f"{part}_neg", hit, message, _DRAW_HINT, pairs)

    def _negative_overlaps(self) -> Iterator[Leak]:
        for known, asked in (("val", "test"), ("train", "test"), ("train", "val")):
            if {known, asked} <= self.negatives.keys() and not {f"{known}_neg", f"{asked}_neg"} & self.own:
                pairs = self.negatives[asked]
                same, back = overlap(self.negatives[known], pairs)
                message = overlap_message(
                    same, back, directed=self.directed, name=_NAMES[asked], known=f"those of {_NAMES[known]}",
                    noun="negatives",
                )  # fmt: skip
                yield from self._leak(
                    "negative overlap", f"{asked}_neg", self._hit(same, back), message, _DRAW_HINT, pairs
                )

    def _duplicates(self) -> Iterator[Leak]:
        parts = [(f"{name}_pos", part) for name, part in self.links.items()]
        parts += [(f"{name}_neg", part) for name, part in self.negatives.items()]
        for key, part in parts:
            if key == "train_pos" or key in self.own:  # both directions may be stored; many positives share negatives
                continue
            again = _repeats(part, directed=self.directed)
            message = f"{grouped(int(again.sum()))} of {grouped(again.size)} {_title(key)} repeat an earlier one."
            yield from self._leak("duplicate", key, again, message, "merge duplicates before the split", part)

    def _malformed(self) -> Iterator[Leak]:
        for key, part in self.pairs.items():
            wrong = self.outside[key]
            message = (
                f"{grouped(int(wrong.sum()))} of {grouped(wrong.size)} {_title(key)} name nodes outside "
                f"0..{self.num_nodes - 1}."
            )
            yield from self._leak("range", key, wrong, message, "node numbers from 0, or a larger num_nodes", part)
            if key != "train_pos":
                loops = self.loops[key]
                message = f"{grouped(int(loops.sum()))} of {grouped(loops.size)} {_title(key)} join a node to itself."
                yield from self._leak("self pair", key, loops, message, "drop self-loops before the split", part)

    def _hit(self, same: Array, back: Array) -> Array:
        hit: Array = same if self.directed else same | back
        return hit

    def _leak(
        self, kind: str, part: str, hit: Array, message: str | None, hint: str, pairs: Array | None = None
    ) -> Iterator[Leak]:
        """One leak, or none where nothing was hit."""
        if not hit.any() or message is None:
            return
        where = self.links[part.removesuffix("_pos")] if pairs is None else pairs
        first = tuple((int(i), int(j)) for i, j in where[:, np.flatnonzero(hit)[:_EXAMPLES]].T)
        yield Leak(kind, part, int(hit.sum()), hit.size, first, message, hint)


def _repeats(pairs: Array, *, directed: bool) -> Array:
    """(P,) which pairs occur earlier in the list, in either direction unless `directed`."""
    again = np.ones(pairs.shape[1], dtype=bool)
    if pairs.size:
        first, second = pairs if directed else (pairs.min(axis=0), pairs.max(axis=0))
        again[np.unique(first * (int(pairs.max()) + 1) + second, return_index=True)[1]] = False
    return again


def _flat(negatives: Any, key: str) -> Array:
    """(2, n k) of each positive's own negatives."""
    array = negatives.detach().cpu().numpy() if hasattr(negatives, "detach") else np.asarray(negatives)
    if array.shape[2] != 2:
        raise ShapeError(f"{key} must have shape (2, P) or (n, k, 2); got {array.shape}.", hint="pairs of nodes")
    return as_pairs(array.reshape(-1, 2).T, key)


def _title(key: str) -> str:
    part, _, kind = key.partition("_")
    return f"{_NAMES[part]} {'edges' if kind == 'pos' else 'negatives'}"


def _parts_of(split: Any) -> Mapping[str, Any]:
    """Arrays by name."""
    if isinstance(split, LinkSplit):
        graph = split.graph
        held = {key: getattr(split, key) for key in ("val_pos", "val_neg", "test_pos", "test_neg")}
        directed = not graph.is_undirected()
        return {"train_pos": graph.edge_index, **held, "num_nodes": graph.num_nodes, "directed": directed}
    if isinstance(split, EdgeSplit):
        found = {f"{part}_pos": getattr(split, part) for part in _NAMES}
        names = [f"{part}_{what}" for part in _NAMES for what in ("neg", "time")]
        found |= {key: getattr(split, key) for key in names}
        return {**found, "num_nodes": split.num_nodes, "directed": split.directed}
    if isinstance(split, str | os.PathLike):
        return read_link_parts(Path(split))
    if isinstance(split, Mapping):
        return split
    raise GraphrepError(f"A {type(split).__name__} is no split of links.", hint="a LinkSplit, or arrays train_pos, ...")


def _keys(parts: Mapping[str, Any]) -> list[str]:
    names = [f"{part}_{kind}" for part in _NAMES for kind in ("pos", "neg")]
    return [key for key in names if parts.get(key) is not None]


def _whole(count: Any) -> int | None:
    if count is None:
        return None
    number = int(count)
    if number < 0:
        raise IndexRangeError(f"num_nodes is {number}.", hint="the number of nodes of the graph")
    return number
