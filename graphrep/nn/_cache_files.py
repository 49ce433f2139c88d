"""Rows in a folder: mapped into memory, with a mark for each row that is complete and a key that says what they are."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from graphrep.data.write import atomic_write
from graphrep.errors import CheckpointMismatchError, DTypeError, FileFormatError, GraphrepError

__all__ = ["FLOATS", "RowFiles", "differences"]

_MANIFEST, _ROWS, _DONE = "cache.json", "rows.npy", "done.npy"
_FORMAT = "graphrep row cache 1"
# numpy has no bfloat16: its bits are kept as integers
FLOATS: dict[torch.dtype, Any] = {
    torch.float16: np.float16,
    torch.bfloat16: np.int16,
    torch.float32: np.float32,
    torch.float64: np.float64,
}


class RowFiles:
    """Mapped rows of a folder; several processes may map the same one and write different rows.

    Args:
        path: the folder.
        shape: of the rows.
        marks: how many marks there are: one a row, or one a group of rows.
        dtype: of the rows.
        key: what the rows are (see :func:`graphrep.nn.cache_key`); None asks nothing of a folder that is there.
        create: make the folder where there is none.

    Attributes:
        rows: tensor of that shape and dtype, changes of which go to the file.
        done: (marks,) uint8 numpy, likewise.

    Raises:
        CheckpointMismatchError: the folder holds something else; the message names what differs.
        FileFormatError: no cache there, or a damaged one.
        GraphrepError: it cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        shape: tuple[int, ...],
        marks: int,
        dtype: torch.dtype,
        key: Mapping[str, Any] | None,
        *,
        create: bool = True,
    ) -> None:
        if dtype not in FLOATS:
            raise DTypeError(f"dtype is {dtype}.", hint="torch.float16, bfloat16, float32 or float64")
        self.path, self.dtype = Path(path), dtype
        facts = {"shape": list(shape), "marks": marks, "dtype": str(dtype).removeprefix("torch.")}
        if not (self.path / _MANIFEST).is_file():
            if not create:
                raise FileFormatError(f"{self.path} holds no cache.", hint="check the path, or make one")
            self._create(shape, marks, {**facts, "key": dict(key or {})})
        self.manifest = read_manifest(self.path)
        wanted = facts if key is None else {**facts, "key": dict(key)}
        self._refuse({name: self.manifest.get(name) for name in wanted}, wanted)
        self._rows, self.done = self._open(shape, marks)
        rows = torch.from_numpy(self._rows)
        self.rows: Tensor = rows.view(torch.bfloat16) if dtype == torch.bfloat16 else rows

    def mark(self, index: np.ndarray[Any, Any]) -> None:
        """Writes rows to the disk and then marks those of `index` as complete."""
        if isinstance(self._rows, np.memmap):
            self._rows.flush()
        self.done[index] = 1
        if isinstance(self.done, np.memmap):
            self.done.flush()

    def reset(self, key: Mapping[str, Any] | None) -> None:
        """Takes back all marks, and writes another key where one is given."""
        self.done[:] = 0
        self.mark(np.zeros(0, dtype=np.int64))
        if key is not None:
            self.manifest["key"] = dict(key)
            self._write_manifest(self.manifest)

    def _create(self, shape: tuple[int, ...], marks: int, manifest: dict[str, Any]) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            strangers = {entry.name for entry in self.path.iterdir()} - {_ROWS, _DONE}
            if strangers:
                raise GraphrepError(f"{self.path} holds other files ({min(strangers)}, ...).", hint="a new folder")
            _reserve(self.path / _ROWS, shape, np.dtype(FLOATS[self.dtype]))
            _reserve(self.path / _DONE, (marks,), np.dtype(np.uint8))
        except OSError as error:
            raise GraphrepError(
                f"The cache {self.path} cannot be made: {error.strerror or error}.",
                hint="another folder, or dtype=torch.float16",
            ) from error
        self._write_manifest({"graphrep": _FORMAT, **manifest})

    def _write_manifest(self, manifest: dict[str, Any]) -> None:
        with atomic_write(self.path / _MANIFEST) as file:
            file.write(json.dumps(manifest, indent=1, sort_keys=True).encode())

    def _refuse(self, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        differing = differences(found, wanted)
        if differing:
            raise CheckpointMismatchError(
                f"{self.path} was made for something else: {'; '.join(differing)}.",
                hint="another folder, or delete this one",
            )

    def _open(self, shape: tuple[int, ...], marks: int) -> tuple[Any, Any]:
        rows = _map(self.path / _ROWS, shape, np.dtype(FLOATS[self.dtype]))
        done = _map(self.path / _DONE, (marks,), np.dtype(np.uint8))
        if marks and int(done.max()) > 1:
            raise FileFormatError(f"{self.path / _DONE} holds other values than 0 and 1.", hint="delete the cache")
        return rows, done


def read_manifest(path: Path) -> dict[str, Any]:
    """What the folder says it holds.

    Raises:
        FileFormatError: no cache, or a damaged one.
    """
    try:
        found = json.loads((path / _MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise FileFormatError(
            f"{path} holds no readable cache: {error}.", hint="delete it, and make it anew"
        ) from error
    if not isinstance(found, dict) or found.get("graphrep") != _FORMAT or not isinstance(found.get("key"), dict):
        raise FileFormatError(f"{path / _MANIFEST} is not of the format {_FORMAT!r}.", hint="delete the cache")
    return found


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """``name (theirs, not ours)`` of every entry that differs, entries of nested tables by their own names."""
    parts: list[str] = []
    for name in sorted({*found, *wanted}):
        old, new = found.get(name), wanted.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            parts += differences(old, new)
        elif old != new:
            parts.append(f"{name} ({old}, not {new})")
    return parts


def _reserve(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """A file of zeros whose place on the disk is taken: a full disk is an error here, not a crash at a later write."""
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
        size = int(np.prod(shape)) * dtype.itemsize
        start = file.tell()
        file.flush()
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), start, size)
        else:
            file.truncate(start + size)


def _map(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    try:
        array = np.zeros(shape, dtype) if 0 in shape else np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FileFormatError(f"{path} is damaged: {error}.", hint="delete the cache, and make it anew") from error
    if array.shape != shape or array.dtype != dtype:
        raise FileFormatError(
            f"{path} holds {array.dtype} {array.shape}, not {dtype} {shape}.", hint="delete the cache, and make it anew"
        )
    # Only now for writing, as that would lengthen a file that is too short.
    return array if 0 in shape else np.load(path, mmap_mode="r+", allow_pickle=False)
