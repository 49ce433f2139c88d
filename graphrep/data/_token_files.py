"""The arrays of a text table: collected in memory or streamed to a folder, and mapped again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from graphrep.data.write import atomic_write
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, IndexRangeError

__all__ = ["FORMAT", "TokenFiles", "TokenLists", "flat", "open_arrays"]

FORMAT = "graphrep text table 1"
_MANIFEST, _IDS, _OFFSETS = "table.json", "ids.npy", "offsets.npy"
_BLOCK = 1 << 22
Array = np.ndarray[Any, Any]


def flat(rows: Sequence[Any], first: int, vocab_size: int | None) -> tuple[Array, Array]:
    """Token ids of some texts one behind the other (int64), and the length of each.

    Raises:
        DTypeError: something else than lists of integers.
        IndexRangeError: an id that no vocabulary of that size has.
    """
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
    parts = [np.asarray(row) for row in rows if len(row)]
    ids = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
    if ids.dtype.kind not in "iu" or ids.ndim != 1:
        raise DTypeError(f"the tokenizer gave {ids.dtype}; token ids are integers.", hint="list[list[int]]")
    limit = 2**32 if vocab_size is None else vocab_size
    if ids.size and not (int(ids.min()) >= 0 and int(ids.max()) < limit):
        bad = int(np.flatnonzero((ids < 0) | (ids >= limit))[0])
        text = first + int(np.searchsorted(np.cumsum(lengths), bad, side="right"))
        raise IndexRangeError(
            f"the tokenizer gave id {ids[bad]} for text {text}; ids are 0..{limit - 1}.", hint="check the vocabulary"
        )
    return ids.astype(np.int64), lengths


class TokenLists:
    """Collects ids in memory, each chunk in the smallest unsigned type that holds it."""

    def __init__(self) -> None:
        self._chunks: list[Array] = []

    def append(self, ids: Array) -> None:
        """Takes the ids of some more texts."""
        self._chunks.append(ids.astype(_smallest(ids)))

    def finish(self, offsets: Array, manifest: dict[str, Any]) -> Array:
        """All ids in one array."""
        del offsets, manifest
        return np.concatenate(self._chunks) if self._chunks else np.zeros(0, dtype=np.uint8)


class TokenFiles:
    """Streams ids into a folder that appears under its name when it is complete.

    Args:
        path: the folder; a text table that is there is replaced at the end.

    Raises:
        GraphrepError: something else is there, or the folder cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.exists() and not (self.path / _MANIFEST).is_file():
            raise GraphrepError(f"{self.path} is there already and is no text table.", hint="a new folder")
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        shutil.rmtree(self._part, ignore_errors=True)
        try:
            self._part.mkdir(parents=True)
        except OSError as error:
            raise GraphrepError(
                f"{self.path} cannot be written: {error.strerror or error}.", hint="another folder"
            ) from error
        self._dtype: np.dtype[Any] = np.dtype(np.uint8)
        self._count = 0
        self._file = (self._part / _IDS).open("w+b")
        self._begin(self._file)

    def append(self, ids: Array) -> None:
        """Writes the ids of some more texts; what is there is widened when a larger id comes up."""
        needed = _smallest(ids)
        if needed.itemsize > self._dtype.itemsize:
            self._widen(needed)
        ids.astype(self._dtype).tofile(self._file)
        self._count += ids.size

    def finish(self, offsets: Array, manifest: dict[str, Any]) -> Array:
        """Completes the folder, moves it into place and maps the ids."""
        self._file.flush()
        self._file.seek(0)
        self._begin(self._file)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        with atomic_write(self._part / _OFFSETS) as file:
            np.save(file, offsets, allow_pickle=False)
        with atomic_write(self._part / _MANIFEST) as file:
            file.write(json.dumps({"graphrep": FORMAT, **manifest}, indent=1, sort_keys=True).encode())
        old = self.path.with_name(f".{self.path.name}.{os.getpid()}.old")
        if self.path.exists():
            os.replace(self.path, old)
        os.replace(self._part, self.path)
        shutil.rmtree(old, ignore_errors=True)
        return open_arrays(self.path)[0]

    def drop(self) -> None:
        """Removes what was written so far."""
        self._file.close()
        shutil.rmtree(self._part, ignore_errors=True)

    def _begin(self, file: Any) -> None:
        """The header; numpy leaves room in it, so that it can be written again when the length is known."""
        head = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._count,)}
        npy.write_array_header_1_0(file, head)

    def _widen(self, dtype: np.dtype[Any]) -> None:
        self._file.flush()
        old, start = self._dtype, self._file.tell() - self._count * self._dtype.itemsize
        self._dtype = dtype
        wider = (self._part / f"{_IDS}.wider").open("w+b")
        self._begin(wider)
        for block in range(0, self._count, _BLOCK):
            self._file.seek(start + block * old.itemsize)
            piece = np.fromfile(self._file, dtype=old, count=min(_BLOCK, self._count - block))
            piece.astype(dtype).tofile(wider)
        wider.flush()
        self._file.close()
        os.replace(self._part / f"{_IDS}.wider", self._part / _IDS)
        self._file = wider


def open_arrays(path: str | os.PathLike[str]) -> tuple[Array, Array, dict[str, Any]]:
    """Ids (mapped), offsets and the manifest of a folder.

    Raises:
        FileFormatError: no text table, or a damaged one.
    """
    folder = Path(path)
    if not (folder / _MANIFEST).is_file():
        raise FileFormatError(f"{folder} holds no text table.", hint="TextTable.from_texts(..., path=...) writes one")
    try:
        manifest = json.loads((folder / _MANIFEST).read_bytes())
        ids = np.load(folder / _IDS, mmap_mode="r", allow_pickle=False) if manifest["tokens"] else np.zeros(0, np.uint8)
        offsets = np.load(folder / _OFFSETS, allow_pickle=False)
        numbers = {key: int(manifest[key]) for key in ("texts", "tokens", "max_length", "pad_id", "num_suffix")}
        found = {**manifest, **numbers}
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise FileFormatError(f"{folder} is a damaged text table: {error}.", hint="make it anew") from error
    _check(folder, ids, offsets, found)
    return ids, offsets, found


def _check(folder: Path, ids: Array, offsets: Array, manifest: dict[str, Any]) -> None:
    wrong = None
    if manifest.get("graphrep") != FORMAT:
        wrong = f"its format is {manifest.get('graphrep')!r}, not {FORMAT!r}"
    elif offsets.dtype != np.int64 or offsets.shape != (manifest["texts"] + 1,):
        wrong = f"offsets.npy holds {offsets.dtype} {offsets.shape} for {manifest['texts']} texts"
    elif ids.dtype.kind != "u" or ids.shape != (manifest["tokens"],):
        wrong = f"ids.npy holds {ids.dtype} {ids.shape} for {manifest['tokens']} tokens"
    elif offsets[0] != 0 or offsets[-1] != ids.size or bool((np.diff(offsets) < 0).any()):
        wrong = "offsets.npy does not cut ids.npy into texts"
    if wrong is not None:
        raise FileFormatError(f"{folder} is a damaged text table: {wrong}.", hint="make it anew")


def _smallest(ids: Array) -> np.dtype[Any]:
    return np.min_scalar_type(int(ids.max())) if ids.size else np.dtype(np.uint8)
