"""Other ends that a test link is ranked against: fixed for a split, never a link of the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.errors import GraphrepError

__all__ = ["NUM_TAILS", "fixed_tails", "full"]

NUM_TAILS = 500
_TRIES = 100


def fixed_tails(
    pairs: Tensor, links: Tensor, num_nodes: int, *, count: int = NUM_TAILS, seed: int = 0, two_types: bool = False
) -> Tensor:
    """(P, count) nodes for each pair's first end, uniform with repeats: no links of it, and not itself.

    Args:
        pairs: (2, P) test links; the first row keeps its place.
        links: (2, E) every link of every part, in whichever direction.
        num_nodes: N, of the second end's type.
        count: tails of each.
        seed: of the draw.
        two_types: the ends are nodes of two types, and equal numbers are no equal nodes.

    Raises:
        GraphrepError: a node is linked to all others.

    Example:
        >>> tails = fixed_tails(torch.tensor([[0], [1]]), torch.tensor([[0, 1], [1, 2]]), 4, count=3)
        >>> sorted(set(tails.flatten().tolist())) <= [2, 3]
        True
    """
    rng = np.random.default_rng(seed)
    heads = np.asarray(pairs[0])
    first, second = np.asarray(links)
    back = [] if two_types else [second * num_nodes + first]
    taken = np.unique(np.concatenate([first * num_nodes + second, *back]))
    if len(heads) and bool(full(heads, taken, num_nodes, two_types=two_types).any()):
        raise GraphrepError("A node of a test link is linked to every other node.", hint="nothing can be ranked there")
    owner = np.repeat(heads, count)
    found = rng.integers(num_nodes, size=owner.size)
    bad = np.flatnonzero(_refused(owner, found, taken, num_nodes, two_types))
    for _ in range(_TRIES):
        if not len(bad):
            break
        found[bad] = rng.integers(num_nodes, size=len(bad))
        bad = bad[_refused(owner[bad], found[bad], taken, num_nodes, two_types)]
    for place in bad.tolist():  # almost every node is a link
        row = np.ones(num_nodes, dtype=bool)
        row[taken[taken // num_nodes == owner[place]] % num_nodes] = False
        if not two_types:
            row[owner[place]] = False
        found[place] = rng.choice(np.flatnonzero(row))
    return torch.from_numpy(found.reshape(len(heads), count))


def full(heads: Any, taken: Any, num_nodes: int, *, two_types: bool) -> Any:
    """(P,) which nodes are linked to every other node.

    Args:
        heads: (P,) nodes.
        taken: distinct links, first end times `num_nodes` plus second end.
        num_nodes: of the second end's type.
        two_types: see :func:`fixed_tails`.

    Example:
        >>> full(np.array([0, 1]), np.array([0, 1, 2]), 2, two_types=True).tolist()
        [True, False]
    """
    degree = np.bincount(taken // max(num_nodes, 1), minlength=int(heads.max(initial=-1)) + 1)
    return degree[heads] >= num_nodes - (not two_types)


def _refused(owner: Any, found: Any, taken: Any, num_nodes: int, two_types: bool) -> Any:
    """Which draws are the owner itself or one of its links."""
    return np.isin(owner * num_nodes + found, taken) | ((owner == found) & (not two_types))
