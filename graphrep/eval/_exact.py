"""Exact nearest rows: every row is scored in float64, a block of queries against a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphrep.errors import FileFormatError
from graphrep.eval._topk import top_columns

__all__ = ["ExactSearch", "blocks", "unit"]

_QUERIES, _ROWS = 256, 16_384  # 32 MB of scores at once

Found = tuple[NDArray[np.int64], NDArray[np.float64]]


class ExactSearch:
    """The rows as they were given, and the metric."""

    name = "exact"

    def __init__(self, rows: Tensor, metric: str) -> None:
        self.rows = rows
        self.metric = metric
        self.num_rows, self.dim = rows.shape

    def describe(self) -> str:
        """For `repr`."""
        return "exact search"

    def search(self, queries: Tensor, k: int) -> Found:
        """(Q, k) row numbers and scores, best first, the lower row first among equals."""
        parts = [self._best(part, k, None) for part in blocks(queries.to(self.rows.device), _QUERIES)]
        return _joined(parts, k)

    def neighbors(self, rows: NDArray[np.int64], k: int, progress: Callable[[int, int], None] | None) -> Found:
        """The same for stored rows, each without itself."""
        parts = []
        for part in blocks(torch.from_numpy(rows).to(self.rows.device), _QUERIES):
            parts.append(self._best(self.rows[part], k, part))
            if progress:
                progress(min(len(parts) * _QUERIES, len(rows)), len(rows))
        return _joined(parts, k)

    def _best(self, queries: Tensor, k: int, own: Tensor | None) -> tuple[Tensor, Tensor]:
        left = self._prepared(queries)
        square = left.square().sum(1)[:, None]
        values = left.new_empty(len(left), 0)
        places = torch.empty(len(left), 0, dtype=torch.int64, device=left.device)
        for start in range(0, self.num_rows, _ROWS):
            right = self._prepared(self.rows[start : start + _ROWS])
            score = left @ right.t()
            if self.metric == "euclidean":
                score = -(square - 2 * score + right.square().sum(1)).clamp(min=0).sqrt()
            if own is not None:
                here = ((own >= start) & (own < start + len(right))).nonzero().squeeze(1)
                score[here, own[here] - start] = -torch.inf
            found = top_columns(score, min(k, len(right)))
            values = torch.cat([values, score.gather(1, found)], 1)
            places = torch.cat([places, found + start], 1)
            # Earlier rows stand first, so that a stable order keeps the lower one of equal scores.
            order = values.sort(dim=1, descending=True, stable=True).indices[:, :k]
            values, places = values.gather(1, order), places.gather(1, order)
        return places, values

    def _prepared(self, rows: Tensor) -> Tensor:
        return unit(rows.double()) if self.metric == "cosine" else rows.double()

    def tensors(self) -> dict[str, Tensor]:
        """What a file holds."""
        return {"vectors": self.rows}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], metric: str, path: str) -> ExactSearch:
        """From a file's tensors."""
        rows = tensors.get("vectors")
        if rows is None or rows.dim() != 2 or not rows.is_floating_point():
            raise FileFormatError(f"{path} holds no vectors.", hint="graphrep.index(z).save(path)")
        return cls(rows, metric)


def blocks(rows: Tensor, size: int) -> Iterator[Tensor]:
    """Runs of at most `size` rows."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def unit(rows: Tensor) -> Tensor:
    """Rows of unit length; a zero row stays zero. The largest entry is divided out first: no square overflows."""
    largest = rows.abs().amax(1, keepdim=True)
    scaled = rows / torch.where(largest > 0, largest, 1.0)
    norm = scaled.norm(dim=1, keepdim=True)
    return scaled / torch.where(norm > 0, norm, 1.0)


def _joined(parts: list[tuple[Tensor, Tensor]], k: int) -> Found:
    if not parts:
        return np.zeros((0, k), dtype=np.int64), np.zeros((0, k))
    places, values = (torch.cat(list(column)).cpu().numpy() for column in zip(*parts, strict=True))
    found: Any = places, values
    return found  # type: ignore[no-any-return]
