"""Nodes in parts of about equal weight, each with a table from which its nodes are drawn by weight in O(1)."""

from __future__ import annotations

import dataclasses
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from graphrep.errors import DTypeError, EmptyGraphError, GraphrepError, NonFiniteError
from graphrep.kernels._check import check_floating
from graphrep.kernels._counter import (
    DOMAIN_SKIPGRAM,
    check_seed,
    torch_below,
    torch_fraction,
    torch_start,
    torch_word,
)
from graphrep.kernels._dispatch import implementation, register

__all__ = ["LEAST_NODES", "Partition", "partition_nodes"]

LEAST_NODES = 64  # of a part: fewer would see the same few negatives, or only its own positives, again and again


@dataclasses.dataclass(frozen=True)
class Partition:
    """Parts of the nodes and, for each part, Walker's alias table of its nodes with weight.

    Attributes:
        part: (N,) int32 part of each node.
        start: (P + 1,) int64; the table of part p lies in ``start[p]:start[p + 1]``.
        node: (M,) int64 nodes of the tables.
        accept: (M,) float64 how likely the node of a drawn slot is taken.
        other: (M,) int64 the node taken otherwise.
    """

    part: Tensor
    start: Tensor
    node: Tensor
    accept: Tensor
    other: Tensor

    @property
    def num_parts(self) -> int:
        """P."""
        return self.start.numel() - 1

    def to(self, device: torch.device | str) -> Partition:
        """The same parts with their tables on `device`."""
        return Partition(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))

    def draw(self, part: Tensor, index: Tensor, number: int, *, seed: int) -> list[Tensor]:
        """For each index (B,) `number` nodes of its part (B,), by weight; they depend on seed and index alone.

        Example:
            >>> table = partition_nodes(torch.tensor([0.0, 1.0, 0.0]), 1)
            >>> table.draw(torch.zeros(2, dtype=torch.int64), torch.arange(2), 1, seed=0)
            [tensor([1, 1])]
        """
        draw = implementation("draw_nodes", index.device)
        found: Tensor = draw((self.start, self.node, self.accept, self.other), part, index, number, check_seed(seed))
        return list(found.unbind(1))


@register("draw_nodes", "reference")
def _draw_nodes(tables: tuple[Tensor, ...], part: Tensor, index: Tensor, number: int, seed: int) -> Tensor:
    """(B, number) nodes."""
    start, node, accept, other = tables
    stream = torch_start(seed, DOMAIN_SKIPGRAM, index)
    low, width = start[part], (start[1:] - start[:-1])[part]
    drawn = index.new_empty((index.numel(), number))
    for t in range(number):
        slot = low + torch_below(torch_word(stream, 2 * t), width)
        taken = torch_fraction(torch_word(stream, 2 * t + 1)) < accept[slot]
        drawn[:, t] = torch.where(taken, node[slot], other[slot])
    return drawn


def partition_nodes(weight: Tensor, parts: int) -> Partition:
    """Deals the nodes out to parts from heavy to light, to and fro, so that all parts weigh about the same.

    Args:
        weight: (N,) non-negative numbers, how often each node is drawn among those of its part. Nodes of weight 0
            belong to a part and are never drawn.
        parts: P, how many parts at most: a part has 64 nodes with weight or more, or is the only one.

    Returns:
        The parts with their tables, on the CPU. O(N log N).

    Raises:
        DTypeError, NonFiniteError, EmptyGraphError, GraphrepError: no numbers, a negative one or none above 0, or
            `parts` below 1.

    Example:
        >>> found = partition_nodes(torch.ones(200), parts=8)
        >>> found.num_parts, found.part.bincount().tolist()
        (3, [67, 67, 66])
    """
    check_floating(weight, "weight")
    if isinstance(parts, bool) or not isinstance(parts, int) or parts < 1:
        raise GraphrepError(f"parts must be an integer of 1 or more; got {parts!r}.", hint="parts=8")
    if weight.dim() != 1:
        raise DTypeError(f"weight must have one number per node; got shape {tuple(weight.shape)}.", hint="(N,)")
    mass = weight.detach().double().cpu()
    if not bool(torch.isfinite(mass).all()):
        raise NonFiniteError("a weight is NaN or infinite.", hint="weights of 0 or more")
    if bool((mass < 0).any()):
        raise GraphrepError("a weight is negative.", hint="weights of 0 or more")
    active = int((mass > 0).sum())
    if not active:
        raise EmptyGraphError("no node has a weight above 0, so none can be drawn.", hint="a graph with edges")
    count = max(1, min(parts, active // LEAST_NODES))
    order = torch.argsort(mass, descending=True, stable=True)
    turn = torch.arange(mass.numel()) % (2 * count)
    dealt = torch.where(turn < count, turn, 2 * count - 1 - turn)
    part = torch.empty(mass.numel(), dtype=torch.int32)
    part[order] = dealt.int()
    heavy, of = order[:active], dealt[:active]
    grouped = torch.argsort(of, stable=True)
    node, start = heavy[grouped], torch.zeros(count + 1, dtype=torch.int64)
    start[1:] = torch.bincount(of, minlength=count).cumsum(0)
    accept, other = torch.empty(active, dtype=torch.float64), torch.empty(active, dtype=torch.int64)
    _fill_aliases(start.numpy(), node.numpy(), mass[node].numpy(), accept.numpy(), other.numpy())
    return Partition(part, start, node, accept, other)


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _fill_aliases(start: Any, node: Any, mass: Any, accept: Any, other: Any) -> None:
    """Vose's construction (IEEE Trans. Software Eng. 17(9), 1991): light slots are filled up by heavy nodes."""
    for p in range(start.size - 1):
        low, size = start[p], start[p + 1] - start[p]
        total = 0.0
        for i in range(size):
            total += mass[low + i]
        light, heavy = np.empty(size, np.int64), np.empty(size, np.int64)
        lights = heavies = 0
        for i in range(size):
            accept[low + i], other[low + i] = mass[low + i] / total * size, node[low + i]
            if accept[low + i] < 1.0:
                light[lights], lights = i, lights + 1
            else:
                heavy[heavies], heavies = i, heavies + 1
        while lights and heavies:
            lights -= 1
            small, large = low + light[lights], low + heavy[heavies - 1]
            other[small] = node[large]
            accept[large] -= 1.0 - accept[small]
            if accept[large] < 1.0:
                heavies -= 1
                light[lights], lights = large - low, lights + 1
        for i in range(heavies):
            accept[low + heavy[i]] = 1.0
        for i in range(lights):  # what rounding left over
            accept[low + light[i]] = 1.0
