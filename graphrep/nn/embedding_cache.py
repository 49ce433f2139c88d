"""Text vectors of all nodes: written by the encoder, read without gradient, in memory or in a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphrep.data.text_table import TextTable
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, NonFiniteError, ShapeError
from graphrep.kernels._check import check_floating, check_index, check_range
from graphrep.nn._cache_files import FLOATS, RowFiles, read_manifest
from graphrep.nn.text_encoder import TextEncoder

__all__ = ["EmbeddingCache", "cache_key"]


class EmbeddingCache:
    """(N, d) rows of which some are computed anew in a training step and the others are looked up.

    In a folder the rows are mapped, and a row counts as written only when it is complete on the disk, so that a run
    that was killed goes on with :meth:`missing`. Several processes may write different rows of one folder.

    Args:
        num_nodes: N.
        dim: d.
        dtype: of the rows; float16 is enough for vectors of unit length.
        device: where gathered rows go, and where the rows are kept without `path`.
        path: a folder to keep them in; one that is there is continued if shape, dtype and `key` agree.
        key: what the rows are, see :func:`cache_key`.

    Raises:
        GraphrepError, DTypeError: bad sizes or types, or a folder that cannot be written.
        CheckpointMismatchError: the folder was made with another key; the message names the parts that differ.
        FileFormatError: a damaged folder.

    Example:
        >>> cache = EmbeddingCache(4, 2, dtype=torch.float32)
        >>> cache.write(torch.tensor([0, 2]), torch.ones(2, 2))
        >>> cache.missing(), cache.complete
        (tensor([1, 3]), False)
        >>> live = torch.zeros(1, 2, requires_grad=True)
        >>> cache.mix(torch.tensor([2, 3]), torch.tensor([1]), live)
        tensor([[1., 1.],
                [0., 0.]], grad_fn=<IndexCopyBackward0>)
    """

    def __init__(
        self,
        num_nodes: int,
        dim: int,
        *,
        dtype: torch.dtype = torch.float16,
        device: torch.device | str = "cpu",
        path: str | os.PathLike[str] | None = None,
        key: Mapping[str, Any] | None = None,
    ) -> None:
        if num_nodes < 0 or dim < 1:
            raise GraphrepError(f"a cache of {num_nodes} rows of width {dim}.", hint="num_nodes >= 0 and dim >= 1")
        if dtype not in FLOATS:
            raise DTypeError(f"dtype is {dtype}.", hint="torch.float16, bfloat16, float32 or float64")
        self.num_nodes, self.dim, self.dtype, self.device = num_nodes, dim, dtype, torch.device(device)
        self.path = None if path is None else Path(path)
        self._files = None if path is None else RowFiles(path, (num_nodes, dim), num_nodes, dtype, key)
        place = self.device if self._files is None else torch.device("cpu")
        if self._files is None:
            self._rows = torch.zeros(num_nodes, dim, dtype=dtype, device=place)
        else:
            self._rows = self._files.rows
        self._written = torch.zeros(num_nodes, dtype=torch.bool, device=place)
        self._unsaved = torch.zeros(num_nodes, dtype=torch.bool)
        self._since = torch.zeros(num_nodes, dtype=torch.int64, device=place)
        self._clock = 0
        self.reload()

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, key: Mapping[str, Any] | None = None, device: torch.device | str = "cpu"
    ) -> EmbeddingCache:
        """The cache of a folder.

        Args:
            path: the folder.
            key: what the rows must be; None takes them as they are.
            device: where gathered rows go.

        Raises:
            CheckpointMismatchError: another key; the message names the parts that differ.
            FileFormatError: no cache there, or a damaged one.
        """
        found = read_manifest(Path(path))
        dtype = {str(name).removeprefix("torch."): name for name in FLOATS}.get(str(found.get("dtype")))
        shape = found.get("shape")
        if dtype is None or not isinstance(shape, list) or len(shape) != 2:
            raise FileFormatError(f"{path} is no cache of node vectors.", hint="delete it, and make it anew")
        return cls(int(shape[0]), int(shape[1]), dtype=dtype, device=device, path=path, key=key)

    @property
    def key(self) -> dict[str, Any]:
        """What the folder says its rows are; empty in memory."""
        return {} if self._files is None else dict(self._files.manifest["key"])

    def write(self, index: Tensor, rows: Tensor) -> None:
        """Stores `rows` (B, d) as those of nodes `index` (B,), without their gradient.

        Raises:
            ShapeError, DTypeError, IndexRangeError: the arguments do not fit the cache or each other.
            NonFiniteError: NaN or infinity, or a number beyond the cache's dtype.
            GraphrepError: a node comes twice.
        """
        where = self._index(index)
        check_floating(rows, "rows")
        if rows.shape != (len(where), self.dim):
            raise ShapeError(
                f"rows is {tuple(rows.shape)} for {len(where)} nodes of width {self.dim}.", hint="one row per node"
            )
        if len(torch.unique(where)) < len(where):
            raise GraphrepError("index names a node twice.", hint="index.unique()")
        new = rows.detach().to(self._rows.device, self.dtype)
        bad = ~new.isfinite().all(1)
        if bool(bad.any()):
            row = int(bad.nonzero()[0])
            raise NonFiniteError(
                f"row {row}, of node {int(where[row])}, is not finite as {self.dtype}.",
                hint="a smaller learning rate; dtype=torch.float32 for vectors that are not of unit length",
            )
        if self._files is not None:
            self._files.done[where.numpy()] = 0  # until flush() has the new row on the disk
            self._unsaved[where] = True
        self._rows[where] = new
        self._written[where] = True
        self._since[where] = self._clock

    def gather(self, index: Tensor) -> Tensor:
        """(B, d) a copy of rows on `device`, without gradient.

        Raises:
            ShapeError, DTypeError, IndexRangeError: bad `index`.
            GraphrepError: a row that was never written.
        """
        where = self._index(index)
        self._require(where)
        return self._rows[where].to(self.device)

    def mix(self, index: Tensor, live_pos: Tensor, live_rows: Tensor) -> Tensor:
        """Rows of `index` with those at positions `live_pos` replaced; only `live_rows` get a gradient.

        Args:
            index: (B,) nodes.
            live_pos: (A,) distinct positions in `index`; their rows need not have been written.
            live_rows: (A, d), on `device`.

        Returns:
            (B, d) in the dtype of `live_rows`.

        Raises:
            ShapeError, DTypeError, IndexRangeError: the arguments do not fit the cache or each other.
            GraphrepError: a position comes twice, or another row was never written.
        """
        where = self._index(index)
        check_index(live_pos, "live_pos")
        check_range(live_pos, len(where), "live_pos")
        check_floating(live_rows, "live_rows")
        if live_rows.shape != (len(live_pos), self.dim):
            raise ShapeError(
                f"live_rows is {tuple(live_rows.shape)} for {len(live_pos)} positions of width {self.dim}.",
                hint="one row per position",
            )
        if len(torch.unique(live_pos)) < len(live_pos):
            raise GraphrepError("live_pos names a position twice.", hint="live_pos.unique()")
        stale = torch.ones(len(where), dtype=torch.bool, device=where.device)
        stale[live_pos.to(where.device).long()] = False
        self._require(where[stale])
        rows = self._rows[where].to(live_rows.device, live_rows.dtype)
        return rows.index_copy(0, live_pos.to(rows.device).long(), live_rows)

    @property
    def age(self) -> Tensor:
        """(N,) int64 steps (calls of :meth:`tick`) since each row was written; -1 for a row that was not."""
        return torch.where(self._written, self._clock - self._since, -1)

    def tick(self) -> None:
        """Counts a training step."""
        self._clock += 1

    @property
    def complete(self) -> bool:
        """Whether every row was written."""
        return bool(self._written.all())

    def missing(self) -> Tensor:
        """(M,) int64 nodes whose row was not written."""
        return (~self._written).nonzero().flatten().cpu()

    def flush(self) -> None:
        """Brings what was written to the disk; without `path` there is nothing to do."""
        if self._files is not None:
            self._files.mark(self._unsaved.nonzero().flatten().numpy())
            self._unsaved.zero_()

    def reload(self) -> None:
        """Takes notice of the rows that other processes have completed in the folder."""
        if self._files is not None:
            self._written |= torch.from_numpy(self._files.done == 1)

    def reset(self, *, key: Mapping[str, Any] | None = None) -> None:
        """Forgets all rows; in a folder also writes another key, as for an encoder that has been trained on."""
        self._written.zero_()
        self._unsaved.zero_()
        if self._files is not None:
            self._files.reset(key)

    def __len__(self) -> int:
        return self.num_nodes

    def __repr__(self) -> str:
        place = f"in {self.path}" if self.path is not None else f"on {self.device}"
        return f"EmbeddingCache({self.num_nodes} x {self.dim} {str(self.dtype).removeprefix('torch.')} {place})"

    def _index(self, index: Tensor) -> Tensor:
        check_index(index, "index")
        check_range(index, self.num_nodes, "index")
        return index.to(self._rows.device).long()

    def _require(self, where: Tensor) -> None:
        there = self._written[where]
        if not bool(there.all()):
            first = int(where[~there][0])
            raise GraphrepError(
                f"{int((~there).sum())} of {len(where)} rows were never written (node {first}, ...).",
                hint="encode_texts(encoder, table, out=cache)",
            )


def cache_key(encoder: TextEncoder, table: TextTable, *, dtype: torch.dtype = torch.float16) -> dict[str, Any]:
    """Everything that the rows of a cache depend on, as plain values.

    Returns:
        ``weights``, ``tokenizer`` and ``texts`` (hashes), ``length``, ``pooling``, ``normalize``, ``dtype``.

    Raises:
        GraphrepError: the encoder's model is a function without ``digest``.
    """
    return {
        "weights": encoder.weights_digest(),
        "tokenizer": table.tokenizer_digest,
        "length": table.max_length,
        "pooling": encoder.pooling,
        "normalize": encoder.normalize,
        "dtype": str(dtype).removeprefix("torch."),
        "texts": table.digest,
    }
