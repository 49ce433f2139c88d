"""Nearest neighbours among the rows of an embedding: exact by blocks, or faiss, with ids, saved as plain tensors."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphrep.data.tensor_files import pack_ids, read_tensors, unpack_ids, write_tensors
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, NonFiniteError, ShapeError
from graphrep.eval._arrays import as_numpy, choose
from graphrep.eval._exact import ExactSearch, blocks
from graphrep.eval._faiss import FaissSearch, available
from graphrep.eval._splits import node_positions

__all__ = ["METRICS", "NearestIndex", "index"]

METRICS = ("cosine", "dot", "euclidean")
_KIND = "graphrep nearest-neighbour index"
_LARGE = 1_000_000  # rows above which "auto" takes faiss, where it is installed

Progress = Callable[[int, int], None]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def index(z: Any, *, metric: str = "cosine", ids: Any = None, backend: str = "auto", seed: int = 0) -> NearestIndex:
    """An index over the rows of `z` for :meth:`NearestIndex.search`.

    Args:
        z: (N, d) vectors, tensor on any device or array; an ``Embeddings`` object brings its ids along.
        metric: "cosine" (0 for a zero vector), "dot", or "euclidean".
        ids: (N,) integers or text that searches return in place of row numbers.
        backend: "exact": every row is looked at, in float64, on the device of `z`, a block at a time. "faiss"
            (``pip install "graphrep[ann]"``): float32 on the CPU; all rows up to 10 000, above them an inverted file
            whose lists hold some of the nearest only, so that a true neighbour may be missed. "auto": exact, but faiss
            above a million rows where it is installed; the `backend` of the result says which.
        seed: of faiss' clustering of the rows.

    Raises:
        ShapeError, DTypeError, NonFiniteError: `z` or `ids` is not what it must be.
        UnknownNameError: no such metric or back end.
        MissingExtraError: "faiss" is not installed.

    Example:
        >>> found, score = index([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]], ids=["a", "b", "c"]).search([2.0, 0.0], k=2)
        >>> found.tolist(), score.round(3).tolist()
        (['a', 'c'], [1.0, 0.949])
    """
    choose(metric, METRICS, "metric")
    choose(backend, ("auto", "exact", "faiss"), "nearest-neighbour back end")
    if hasattr(z, "vectors") and hasattr(z, "ids"):
        ids = z.ids if ids is None else ids
        z = z.vectors
    rows = _as_rows(z, "z")
    names = None if ids is None else _as_ids(ids, len(rows))
    approximate = backend == "faiss" or (backend == "auto" and len(rows) > _LARGE and available())
    search = FaissSearch.build(rows, metric, seed) if approximate else ExactSearch(rows, metric)
    return NearestIndex(search, metric, names)


class NearestIndex:
    """Rows of an embedding that can be searched; :func:`index` makes one, :meth:`load` reads one.

    Attributes:
        metric: "cosine", "dot" or "euclidean".
        backend: "exact" or "faiss".
        ids: (N,) array of what searches return, or None for row numbers.

    Example:
        >>> import tempfile
        >>> path = index([[0.0], [1.0], [5.0]], metric="euclidean").save(tempfile.mkdtemp() + "/points.safetensors")
        >>> NearestIndex.load(path).neighbors([2], k=1)
        (array([[1]]), array([[-4.]]))
    """

    def __init__(self, search: ExactSearch | FaissSearch, metric: str, ids: NDArray[Any] | None) -> None:
        self._search = search
        self.metric = metric
        self.ids = ids

    @property
    def backend(self) -> str:
        """Who searches."""
        return self._search.name

    @property
    def dim(self) -> int:
        """Numbers per row, d."""
        return self._search.dim

    def __len__(self) -> int:
        return self._search.num_rows

    def __repr__(self) -> str:
        kind = "row numbers" if self.ids is None else "text ids" if self.ids.dtype.kind == "U" else "integer ids"
        return f"NearestIndex({len(self)} x {self.dim}, {self.metric}, {self._search.describe()}, {kind})"

    def search(self, query: Any, k: int = 10) -> tuple[NDArray[Any], Floats]:
        """The `k` best rows for each query, best first.

        Args:
            query: (d,) or (Q, d).
            k: how many; all rows where there are fewer.

        Returns:
            found: (k,) or (Q, k) ids, or row numbers; of equal scores (exact search) the lower row first.
            score: the cosine, the dot product, or minus the Euclidean distance, float64.

        Raises:
            ShapeError: the width differs from the index's.
            NonFiniteError: NaN or infinity in `query`.
        """
        single = np.ndim(query) == 1 or (isinstance(query, Tensor) and query.dim() == 1)
        rows = _as_rows(query[None] if single and hasattr(query, "shape") else [query] if single else query, "query")
        if rows.shape[1] != self.dim:
            raise ShapeError(f"query has {rows.shape[1]} columns; the index has {self.dim}.", hint="the same embedding")
        place, score = self._search.search(rows, min(_check_k(k), len(self)))
        found = self._named(place)
        return (found[0], score[0]) if single else (found, score)

    def neighbors(self, rows: Any = None, k: int = 10, *, progress: Progress | None = None) -> tuple[Ints, Floats]:
        """The `k` best *other* rows for each of `rows`: their row numbers and scores, (R, k) each, best first.

        Args:
            rows: row numbers; None for all.
            k: how many; N - 1 where there are fewer.
            progress: called with (rows done, rows in all) after each block of them.

        Raises:
            IndexRangeError: no such row.
        """
        wanted = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.int64).reshape(-1)
        node_positions(np.unique(wanted), "rows", len(self))
        return self._search.neighbors(wanted, min(_check_k(k), len(self) - 1), progress)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the index as one safetensors file, which appears when it is complete; nothing in it is pickled.

        Raises:
            GraphrepError: the file cannot be written.
        """
        ids = self.ids if self.ids is None or self.ids.dtype.kind == "U" else torch.from_numpy(self.ids)
        metadata = {"kind": _KIND, "version": "1", "metric": self.metric, "backend": self.backend}
        write_tensors(path, {**self._search.tensors(), **pack_ids(ids)}, metadata)
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NearestIndex:
        """Reads what :meth:`save` wrote.

        Raises:
            FileFormatError: not such a file.
            MissingExtraError: it is an index of faiss, which is not installed.
        """
        tensors, metadata = read_tensors(path)
        if metadata.get("kind") != _KIND or metadata.get("version") != "1":
            raise FileFormatError(
                f"{path} is a safetensors file, but no index that this version knows.",
                hint="graphrep.index(z).save(path)",
            )
        metric = choose(metadata.get("metric", ""), METRICS, "metric")
        kind: type[ExactSearch] | type[FaissSearch] = FaissSearch if metadata.get("backend") == "faiss" else ExactSearch
        search = kind.from_tensors(tensors, metric, os.fspath(path))
        ids = unpack_ids(tensors)
        names = None if ids is None else np.asarray(ids)
        if names is not None and names.shape != (search.num_rows,):
            raise FileFormatError(f"{path} has {len(names)} ids for {search.num_rows} rows.", hint="save it again")
        return cls(search, metric, names)

    def _named(self, place: Ints) -> NDArray[Any]:
        return place if self.ids is None else self.ids[place]


def _as_rows(value: Any, name: str) -> Tensor:
    """(n, d) float32 or float64, finite, on its device; the caller's memory where it is that already."""
    rows = (
        value.detach() if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(as_numpy(value, name)))
    )
    if rows.is_complex() or rows.dtype == torch.bool:
        raise DTypeError(f"{name} must hold real numbers; got {rows.dtype}.", hint=f"{name}.float()")
    if rows.dim() != 2 or 0 in rows.shape:
        raise ShapeError(f"{name} must have shape (N, d), not empty; got {tuple(rows.shape)}.", hint="one row per node")
    if rows.dtype not in (torch.float32, torch.float64):
        rows = rows.float() if rows.is_floating_point() else rows.double()
    for part in blocks(rows, 1 << 16):
        if not bool(torch.isfinite(part).all()):
            raise NonFiniteError(f"{name} holds NaN or infinity.", hint="did the training diverge?")
    return rows


def _as_ids(ids: Any, count: int) -> NDArray[Any]:
    names = np.asarray(ids.cpu() if hasattr(ids, "cpu") else ids)
    if names.dtype == object and all(isinstance(name, str) for name in names.flat):
        names = names.astype(str)
    if names.dtype.kind not in "iuU" or names.shape != (count,):
        raise ShapeError(
            f"ids must be {count} integers or texts; got {names.dtype} of shape {names.shape}.",
            hint="one id per row of z",
        )
    return names if names.dtype.kind == "U" else names.astype(np.int64)


def _check_k(k: int) -> int:
    if k < 1:
        raise GraphrepError(f"k must be at least 1; got {k}.", hint="k=10")
    return int(k)
