"""Random splits of the nodes: by shares, in the proportions of the classes, or so many of each class."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data.check import grouped
from graphrep.data.graph import Graph
from graphrep.errors import GraphrepError, MissingLabelsError

__all__ = ["PARTS", "Array", "NodeSplit", "part_sizes", "split_nodes"]

PARTS = ("train", "val", "test")
Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class NodeSplit:
    """Node numbers of the three parts, ascending; no node is in two of them.

    Attributes:
        train, val, test: (n,) int64 each.
        num_nodes: N of the graph.
        seed: that the split was drawn with.
    """

    train: Tensor
    val: Tensor
    test: Tensor
    num_nodes: int
    seed: int

    def sizes(self) -> dict[str, int]:
        """Nodes in each part."""
        return {part: len(getattr(self, part)) for part in PARTS}


def split_nodes(
    nodes: Graph | Tensor | int,
    *,
    shares: Sequence[float] = (0.6, 0.2, 0.2),
    per_class: int | None = None,
    num_val: int | None = None,
    num_test: int | None = None,
    stratified: bool = False,
    seed: int = 0,
) -> NodeSplit:
    """Splits nodes at random.

    Args:
        nodes: a graph, its labels (N,), or N. Labels are needed for `per_class` and `stratified`; nodes with a
            negative label are then left out.
        shares: of training, validation and test; they add up to 1 or to 100. The parts of validation and test are
            rounded down, and training gets the rest.
        per_class: instead of shares, so many training nodes of each class.
        num_val: with `per_class`, validation nodes, drawn from the others; default a third of what training leaves.
        num_test: with `per_class`, test nodes; default all that is left.
        stratified: every part has the classes in the proportions of the whole, to within a node.
        seed: of the draw; same seed, same split.

    Raises:
        MissingLabelsError: no labels where they are needed.
        GraphrepError: shares that do not add up, or a class with too few nodes.

    Example:
        >>> split_nodes(10, shares=(80, 10, 10)).sizes()
        {'train': 8, 'val': 1, 'test': 1}
        >>> split_nodes(torch.tensor([0, 0, 0, 1, 1, 1]), per_class=1, num_val=2).sizes()
        {'train': 2, 'val': 2, 'test': 2}
    """
    y, count = _labels_of(nodes)
    rng = np.random.default_rng(seed)
    if per_class is None and not stratified:
        order, sizes = rng.permutation(count), part_sizes(count, shares)
        parts = np.split(order, np.cumsum(sizes)[:-1])
    else:
        if y is None:
            raise MissingLabelsError(
                "A split by classes needs one class number per node, and there is none.",
                hint="leave out per_class and stratified, or give the labels",
            )
        known = rng.permutation(np.flatnonzero(y >= 0))
        parts = (
            _stratified(known, y, shares) if per_class is None else _by_class(known, y, per_class, num_val, num_test)
        )
    train, val, test = (torch.from_numpy(np.sort(part)) for part in parts)
    return NodeSplit(train, val, test, num_nodes=count, seed=seed)


def _labels_of(nodes: Graph | Tensor | int) -> tuple[Array | None, int]:
    if isinstance(nodes, int):
        return None, nodes
    y = nodes if isinstance(nodes, Tensor) else nodes.y
    count = len(nodes) if isinstance(nodes, Tensor) else nodes.num_nodes
    single = y is not None and y.dim() == 1 and not y.is_floating_point()
    return (y.detach().cpu().numpy() if y is not None and single else None), count


def part_sizes(count: int, shares: Sequence[float]) -> tuple[int, int, int]:
    """Training, validation and test sizes; the last two rounded down."""
    total = math.fsum(shares) if len(shares) == 3 else 0.0
    whole = 100.0 if total > 2 else 1.0
    if len(shares) != 3 or min(shares) < 0 or abs(total - whole) > 1e-6 * whole or not math.isfinite(total):
        raise GraphrepError(
            f"Shares must be three numbers that add up to 1 or 100; got {', '.join(f'{s:g}' for s in shares)}.",
            hint="shares=(0.6, 0.2, 0.2), or --nodes 60/20/20",
        )
    val, test = (math.floor(share / whole * count + 1e-9) for share in shares[1:])
    return count - val - test, val, test


def _stratified(known: Array, y: Array, shares: Sequence[float]) -> list[Array]:
    """Walks through the nodes class by class, so that each part takes its share of every stretch.

    Node number r of a sequence of n (sorted by class, random inside a class) goes to validation when
    floor((r + 1) v / n) > floor(r v / n) for v validation nodes in all: any stretch of length m then gets m v / n of
    them to within one. The nodes that are left are dealt to test in the same way.
    """
    order = known[np.argsort(y[known], kind="stable")]
    _, val, test = part_sizes(order.size, shares)
    in_val = _every(order.size, val)
    rest = order[~in_val]
    in_test = _every(rest.size, test)
    return [rest[~in_test], order[in_val], rest[in_test]]


def _every(count: int, wanted: int) -> Array:
    """(count,) bool with `wanted` True, spaced evenly."""
    steps = np.arange(count + 1, dtype=np.int64) * wanted // max(count, 1)
    evenly: Array = steps[1:] > steps[:-1]
    return evenly


def _by_class(known: Array, y: Array, per_class: int, num_val: int | None, num_test: int | None) -> list[Array]:
    sizes = np.bincount(y[known])
    short = np.flatnonzero((sizes > 0) & (sizes < per_class))
    if short.size:
        raise GraphrepError(
            f"Class {short[0]} has {sizes[short[0]]} nodes, and {per_class} per class were asked for.",
            hint=f"per_class up to {sizes[sizes > 0].min()}, or shares with stratified=True",
        )
    order = known[np.argsort(y[known], kind="stable")]
    rank = np.arange(order.size) - np.searchsorted(y[order], y[order])  # position inside the class
    is_train = np.zeros(len(y), dtype=bool)
    is_train[order[rank < per_class]] = True
    rest = known[~is_train[known]]
    val = rest.size // 3 if num_val is None else num_val
    test = rest.size - val if num_test is None else num_test
    if min(val, test) < 0 or val + test > rest.size:
        raise GraphrepError(
            f"{val} validation and {max(test, 0)} test nodes were asked for, "
            f"but training leaves {grouped(rest.size)} labelled nodes.",
            hint="smaller numbers, or fewer per class",
        )
    return [np.flatnonzero(is_train), rest[:val], rest[val : val + test]]
