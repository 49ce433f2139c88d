"""Nearest rows by faiss (Douze et al., 2024): all rows of a small set, an inverted file of a large one."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphrep.errors import FileFormatError, MissingExtraError
from graphrep.eval._exact import blocks, unit

__all__ = ["FaissSearch", "available"]

_FLAT_ROWS = 10_000  # up to here every row is compared
_TRAINING = 64  # rows per list that the lists' centres are learnt from
_LEAST_PER_LIST = 39  # rows per list below which faiss finds its training too small
_QUERIES = 1024
_SHARE = 16  # one list in so many is looked through, at least _LEAST
_LEAST = 8

Found = tuple[NDArray[np.int64], NDArray[np.float64]]


def available() -> bool:
    """Whether faiss can be imported."""
    return importlib.util.find_spec("faiss") is not None


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError(
            "The faiss back end needs faiss, which is not installed.", hint='pip install "graphrep[ann]"'
        ) from error
    return faiss


class FaissSearch:
    """A faiss index over float32 rows, of unit length for the cosine.

    Args:
        found: the faiss index.
        metric: "cosine", "dot" or "euclidean".
    """

    name = "faiss"

    def __init__(self, found: Any, metric: str) -> None:
        self.index = found
        self.metric = metric
        self.num_rows, self.dim = int(found.ntotal), int(found.d)
        self.lists = int(getattr(found, "nlist", 1))
        if self.lists > 1:
            found.nprobe = self.probes = min(self.lists, max(_LEAST, self.lists // _SHARE))
            found.make_direct_map()

    @classmethod
    def build(cls, rows: Tensor, metric: str, seed: int) -> FaissSearch:
        """Indexes (N, d) rows."""
        faiss = _faiss()
        count, width = rows.shape
        kind = faiss.METRIC_L2 if metric == "euclidean" else faiss.METRIC_INNER_PRODUCT
        data = _prepared(rows, metric)
        if count <= _FLAT_ROWS:
            found = faiss.index_factory(width, "Flat", kind)
        else:
            lists = max(1, min(int(4 * math.sqrt(count)), count // _LEAST_PER_LIST))
            found = faiss.index_factory(width, f"IVF{lists},Flat", kind)
            found.cp.seed = seed
            chosen = np.random.default_rng(seed).choice(count, min(count, _TRAINING * lists), replace=False)
            found.train(data[np.sort(chosen)])
        found.add(data)
        return cls(found, metric)

    def describe(self) -> str:
        """For `repr`."""
        if self.lists == 1:
            return "faiss, all rows"
        return f"faiss, {self.probes} of {self.lists} lists"

    def search(self, queries: Tensor, k: int) -> Found:
        """(Q, k) row numbers and scores, best first."""
        return self._search(_prepared(queries, self.metric), k)

    def neighbors(self, rows: NDArray[np.int64], k: int, progress: Callable[[int, int], None] | None) -> Found:
        """The same for stored rows, each without itself."""
        places, scores = np.empty((len(rows), k), dtype=np.int64), np.empty((len(rows), k))
        for start in range(0, len(rows), _QUERIES):
            part = rows[start : start + _QUERIES]
            found, score = self._search(self.index.reconstruct_batch(part), k + 1)
            other = found != part[:, None]
            other[other.all(1), -1] = False  # the row is not among its own best: drop the worst
            shape = (len(part), k)
            places[start : start + len(part)] = found[other].reshape(shape)
            scores[start : start + len(part)] = score[other].reshape(shape)
            if progress:
                progress(start + len(part), len(rows))
        return places, scores

    def _search(self, queries: NDArray[np.float32], k: int) -> Found:
        score, place = self.index.search(queries, k)
        short = (place < 0).any(1)
        if short.any():  # the lists looked through hold fewer than k rows: look through all
            parameters = _faiss().SearchParametersIVF(nprobe=self.lists)
            score[short], place[short] = self.index.search(queries[short], k, params=parameters)
        value = score.astype(np.float64)
        if self.metric == "euclidean":
            value = -np.sqrt(np.maximum(value, 0.0))
        return place.astype(np.int64), value

    def tensors(self) -> dict[str, Tensor]:
        """What a file holds: faiss' own bytes."""
        return {"faiss": torch.from_numpy(_faiss().serialize_index(self.index))}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], metric: str, path: str) -> FaissSearch:
        """From a file's tensors."""
        faiss = _faiss()
        try:
            found = faiss.deserialize_index(tensors["faiss"].numpy())
        except (KeyError, RuntimeError) as error:
            raise FileFormatError(
                f"{path} holds no readable faiss index.", hint="graphrep.index(z).save(path)"
            ) from error
        return cls(found, metric)


def _prepared(rows: Tensor, metric: str) -> NDArray[np.float32]:
    """(n, d) contiguous float32, of unit length for the cosine."""
    found = np.empty(tuple(rows.shape), dtype=np.float32)
    start = 0
    for part in blocks(rows, 1 << 16):
        found[start : start + len(part)] = (unit(part.double()) if metric == "cosine" else part).cpu().numpy()
        start += len(part)
    return found
