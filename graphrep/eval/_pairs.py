"""Similarities of pairs of rows, a block of rows against all, and the best of all pairs without holding them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphrep.errors import NonFiniteError
from graphrep.eval._arrays import unit_rows

__all__ = ["Similarity", "pair_precision"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Similarity:
    """Scores of a block of rows against all rows; identical rows get identical scores.

    A matrix product may round the same sum differently in different columns, so each distinct row is scored once.

    Args:
        rows: (N, d).
        kind: "dot", "cosine" or "neg_l2", minus the squared distance.
        device: where to compute.
    """

    def __init__(self, rows: Floats, kind: str, device: torch.device) -> None:
        self.kind = kind
        if kind == "cosine":
            rows = unit_rows(rows)
        elif kind == "neg_l2":
            rows = rows - _centre(rows)  # distances stay; the squares that cancel get small
        distinct, place = np.unique(rows, axis=0, return_inverse=True)
        few = len(distinct) < len(rows)
        self.num_rows = len(rows)
        self.distinct = torch.from_numpy(distinct if few else rows).to(device)
        self.place = torch.from_numpy(place.reshape(-1)).to(device) if few else None
        self.square = self.distinct.square().sum(1) if kind == "neg_l2" else None

    def block(self, rows: Tensor) -> Tensor:
        """(B, N) scores of these rows against all.

        Raises:
            NonFiniteError: a score overflows.
        """
        own = rows if self.place is None else self.place[rows]
        score = self.distinct[own] @ self.distinct.t()
        if self.square is not None:
            score = (2 * score - self.square[own, None] - self.square).clamp(max=0.0)
        if not bool(torch.isfinite(score).all()):
            raise NonFiniteError("the similarity of two vectors of z overflows.", hint="z / abs(z).max()")
        return score if self.place is None else score[:, self.place]

    def rank(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) scores in descending order and whose they are: of equals the lower id first, the row itself last."""
        score = self.block(rows)
        score[torch.arange(len(rows), device=rows.device), rows] = -torch.inf
        ordered = score.sort(dim=1, descending=True, stable=True)
        return ordered.values, ordered.indices


def _centre(rows: Floats) -> Floats:
    """The mean of the rows to eight bits: less digits than that, and rows of small whole numbers stay exact."""
    step = 2.0 ** (np.ceil(np.log2(max(float(np.abs(rows).max()), 1e-300))) - 8)
    centre: Floats = np.round(rows.mean(axis=0) / step) * step
    return centre


def pair_precision(score: Similarity, edges: Ints, ks: tuple[int, ...], entries: int) -> dict[int, float]:
    """Share of edges among the k best of all pairs i < j, equal scores in order of (i, j).

    Args:
        score: of the rows.
        edges: ascending keys i * N + j of the edges, i < j.
        ks: cut-offs, at most the number of pairs.
        entries: scores held at once.
    """
    if not ks:
        return {}
    most, count = max(ks), score.num_rows
    device = score.distinct.device
    values, keys = torch.empty(0, dtype=torch.float64, device=device), torch.empty(0, dtype=torch.int64, device=device)
    everyone = torch.arange(count, device=device)
    size = max(1, entries // count)
    for start in range(0, count - 1, size):
        rows = everyone[start : start + size]
        block = score.block(rows)
        wanted = everyone > rows[:, None]
        if len(values) == most:  # an equal score of a later pair comes behind
            wanted &= block > values[-1]
        values = torch.cat([values, block[wanted]])
        keys = torch.cat([keys, (rows[:, None] * count + everyone)[wanted]])
        order = values.sort(descending=True, stable=True).indices[:most]
        values, keys = values[order], keys[order]
    known = torch.from_numpy(edges).to(device)
    place = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
    hits = (known[place] == keys).cumsum(0)
    return {k: float(hits[k - 1]) / k for k in ks}
