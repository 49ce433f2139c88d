"""Facts about the parts of a graph as they are stored, for the checker: weights, labels, splits, ids.

Each function returns the facts and what is wrong: errors that would make a method fail or lie, and warnings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphrep.data.check import grouped

__all__ = ["Findings", "IdFacts", "LabelFacts", "WeightFacts", "id_facts", "label_facts", "split_facts", "weight_facts"]

Array = np.ndarray[Any, Any]


@dataclasses.dataclass
class Findings:
    """Sentences in the order they were found."""

    errors: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)


def first_few(numbers: Array, most: int = 3) -> str:
    """The first numbers of many, separated by commas."""
    return ", ".join(str(int(n)) for n in numbers[:most]) + (", ..." if len(numbers) > most else "")


def plural(number: int, noun: str, many: str | None = None) -> str:
    """``1 class``, ``2 classes``."""
    return f"{grouped(number)} {noun if number == 1 else many or noun + 's'}"


@dataclasses.dataclass(frozen=True)
class WeightFacts:
    """Edge weights: the range of the finite ones, and how many are NaN, infinite, negative and zero."""

    low: float
    high: float
    nan: int
    infinite: int
    negative: int
    zero: int

    def line(self) -> str:
        """The facts in a line."""
        return (
            f"{self.low:.6g} to {self.high:.6g}; {grouped(self.nan)} NaN, {grouped(self.infinite)} infinite, "
            f"{grouped(self.negative)} negative, {grouped(self.zero)} zero"
        )


def weight_facts(weight: Array, num_edges: int, found: Findings) -> WeightFacts:
    """Facts about (E,) weights."""
    weight = np.asarray(weight).reshape(-1)
    if weight.size != num_edges:
        found.errors.append(f"There are {grouped(weight.size)} weights and {grouped(num_edges)} entries.")
    nan, finite = np.isnan(weight), np.isfinite(weight)
    bad = np.flatnonzero(~finite)
    if bad.size:
        found.errors.append(
            f"edge_weight has NaN or infinity in {grouped(bad.size)} of {grouped(weight.size)} entries "
            f"(first: {first_few(bad)})."
        )
    good = weight[finite] if bad.size else weight
    negative, zero = int((good < 0).sum()), int((good == 0).sum())
    if negative:
        found.warnings.append(f"{plural(negative, 'weight is', 'weights are')} negative; most methods expect none.")
    if zero:
        found.warnings.append(f"{plural(zero, 'weight is', 'weights are')} zero: such an edge still counts as a link.")
    low, high = (float(good.min()), float(good.max())) if good.size else (0.0, 0.0)
    infinite = bad.size - int(nan.sum())
    return WeightFacts(low, high, nan=int(nan.sum()), infinite=infinite, negative=negative, zero=zero)


@dataclasses.dataclass(frozen=True)
class LabelFacts:
    """Labels of the nodes.

    Attributes:
        kind: ``classes`` (one per node), ``labels`` (several per node) or ``numbers``.
        classes: classes or labels that some node has.
        smallest, largest: nodes in the smallest and in the largest of them.
        unlabelled: nodes without any.
        missing: class numbers below the highest that no node has.
    """

    kind: str
    classes: int
    smallest: int
    largest: int
    unlabelled: int
    missing: int

    def line(self) -> str:
        """The facts in a line."""
        if self.kind == "numbers":
            return f"numbers; {plural(self.unlabelled, 'node')} without"
        return (
            f"{plural(self.classes, self.kind[:-2] if self.kind == 'classes' else 'label', self.kind)} of "
            f"{grouped(self.smallest)} to {plural(self.largest, 'node')}, {grouped(self.unlabelled)} unlabelled"
        )


def label_facts(y: Array, num_nodes: int, unlabelled: Array | None, found: Findings) -> LabelFacts:
    """Facts about labels (N,) or (N, C); a negative number, and a node of `unlabelled`, means "unknown"."""
    if len(y) != num_nodes:
        found.errors.append(f"There are labels for {grouped(len(y))} nodes and {grouped(num_nodes)} nodes.")
    if y.ndim == 2 and y.shape[1] > 1:
        sizes = np.asarray((y != 0).sum(0), dtype=np.int64)
        known = (y != 0).any(1)
        kind = "labels"
    elif y.dtype.kind == "f" and not bool((y[np.isfinite(y)] == np.floor(y[np.isfinite(y)])).all()):
        without = int((~np.isfinite(y)).sum())
        return LabelFacts("numbers", classes=0, smallest=0, largest=0, unlabelled=without, missing=0)
    else:
        y = y.reshape(-1)
        known = np.isfinite(y) & (y >= 0) if y.dtype.kind == "f" else y >= 0
        if y.dtype.kind == "f" and not bool(np.isfinite(y).all()):
            bad = np.flatnonzero(~np.isfinite(y))
            found.errors.append(f"y has NaN or infinity at {plural(bad.size, 'node')} (first: {first_few(bad)}).")
        known = known.copy()
        if unlabelled is not None:
            known[unlabelled] = False
        sizes = np.bincount(y[known].astype(np.int64))
        kind = "classes"
    used = sizes[sizes > 0]
    missing, single = int((sizes == 0).sum()), int((sizes == 1).sum())
    without = len(y) - int(known.sum())
    if without:
        found.warnings.append(f"{plural(without, 'node has', 'nodes have')} no label.")
    if missing:
        gaps = first_few(np.flatnonzero(sizes == 0))
        found.warnings.append(f"No node has {kind[:-2] if kind == 'classes' else 'label'} {gaps}.")
    if single:
        found.warnings.append(
            f"{plural(single, 'class has', 'classes have')} a single node: it cannot be in training and in test."
        )
    smallest, largest = (int(used.min()), int(used.max())) if used.size else (0, 0)
    return LabelFacts(kind, int(used.size), smallest, largest, unlabelled=without, missing=missing)


def split_facts(splits: Mapping[str, Array], num_nodes: int, found: Findings) -> dict[str, int]:
    """Sizes of the parts of a split of the nodes; parts must not overlap."""
    parts = {name: np.flatnonzero(a) if a.dtype == bool else a.reshape(-1) for name, a in splits.items()}
    for name, part in parts.items():
        outside = int(((part < 0) | (part >= num_nodes)).sum())
        if outside:
            found.errors.append(f"{name} refers to {plural(outside, 'node')} outside 0..{num_nodes - 1}.")
        repeats = part.size - np.unique(part).size
        if repeats:
            found.errors.append(f"{name} lists {plural(repeats, 'node')} more than once.")
    names = list(parts)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            both = np.intersect1d(parts[first], parts[second])
            if both.size:
                nodes = plural(both.size, "node is", "nodes are")
                found.errors.append(f"{nodes} in {first} and in {second} (first: {first_few(both)}).")
    return {name: int(part.size) for name, part in parts.items()}


@dataclasses.dataclass(frozen=True)
class IdFacts:
    """External ids: ``text`` or ``integer``, repeats, and for integers the range and whether it has gaps."""

    kind: str
    repeats: int
    low: int | None = None
    high: int | None = None
    contiguous: bool = True

    def line(self) -> str:
        """The facts in a line."""
        if self.kind == "text":
            return f"text, {grouped(self.repeats)} repeated"
        gaps = "" if self.contiguous else " with gaps"
        return f"integers {self.low} to {self.high}{gaps}, {grouped(self.repeats)} repeated"


def id_facts(ids: Array, num_nodes: int, found: Findings) -> IdFacts:
    """Facts about (N,) ids."""
    ids = np.asarray(ids).reshape(-1)
    if ids.size != num_nodes:
        found.errors.append(f"There are {grouped(ids.size)} ids and {grouped(num_nodes)} nodes.")
    values, counts = np.unique(ids, return_counts=True)
    repeats = ids.size - values.size
    if repeats:
        shown = ", ".join(repr(v.item() if hasattr(v, "item") else v) for v in values[counts > 1][:3])
        found.errors.append(f"ids must be distinct: {plural(repeats, 'repeat')} (first: {shown}).")
    if ids.dtype.kind not in "iu" or not ids.size:
        return IdFacts("text", repeats)
    low, high = int(values[0]), int(values[-1])
    return IdFacts("integer", repeats, low, high, contiguous=high - low + 1 == values.size)
