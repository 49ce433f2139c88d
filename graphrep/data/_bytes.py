"""The bytes of a file: mapped, or unpacked when it is compressed; damaged and foreign files give a clear error."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from graphrep.errors import EmptyGraphError, FileFormatError

__all__ = ["file_bytes", "require_file", "text_bytes"]

_PACKED: dict[bytes, tuple[str, Callable[[Path], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.GzipFile),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ": ("xz", lzma.LZMAFile),
}
_UNPACK_MOST, _UNPACK_FREE = 200, 64 << 20  # a text that shrinks more than 200 times, above 64 MiB, is no edge list
_FOREIGN = {
    b"PK\x03\x04": "a zip archive (npz, xlsx, ...)",
    b"PAR1": "a parquet file",
    b"\x93NUMPY": "a numpy array (npy)",
    b"\x89HDF": "an HDF5 file",
    b"\x80\x04": "a Python pickle",
    b"\x80\x02": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"%PDF": "a PDF file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


def require_file(path: Path) -> None:
    """Raises unless `path` is a file that holds something."""
    if path.is_dir():
        raise FileFormatError(f"{path} is a folder; a file is needed.", hint="name the file inside it")
    if not path.exists():
        raise FileFormatError(f"There is no file {path}.", hint="check the spelling and the working folder")
    if path.is_file() and path.stat().st_size == 0:
        raise EmptyGraphError(f"{path} is empty.", hint="a file with one edge per line: source, target[, weight]")


def file_bytes(path: Path) -> np.ndarray[Any, Any]:
    """(size,) uint8, read-only; gzip, bzip2 and xz are told by their first bytes, not by the name.

    Raises:
        FileFormatError: no such file, no permission, or a damaged archive.
    """
    require_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
        for magic, (kind, unpack) in _PACKED.items():
            if start.startswith(magic):
                try:
                    return _unpacked(path, unpack)
                except FileFormatError:
                    raise
                except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
                    raise FileFormatError(
                        f"{path} is a damaged or truncated {kind} file: {error}.", hint="download or pack it again"
                    ) from error
        if path.is_file():
            return np.memmap(path, dtype=np.uint8, mode="r")
        return np.frombuffer(path.read_bytes(), dtype=np.uint8)  # a pipe
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}.", hint="check its rights") from error


def _unpacked(path: Path, unpack: Callable[[Path], Any]) -> np.ndarray[Any, Any]:
    """The content of a packed file, in pieces, so that a small file cannot fill the memory."""
    packed = path.stat().st_size
    content = bytearray()
    with unpack(path) as file:
        while piece := file.read(1 << 20):
            content += piece
            if len(content) > max(_UNPACK_FREE, _UNPACK_MOST * packed):
                raise FileFormatError(
                    f"{path} has {packed} bytes and unpacks to more than {len(content)}, which is no graph but a trap.",
                    hint="unpack it yourself and give the result, if it is meant",
                )
    array = np.frombuffer(content, dtype=np.uint8)
    array.flags.writeable = False  # as the bytes of an unpacked file are
    return array


def text_bytes(path: Path) -> np.ndarray[Any, Any]:
    """As :func:`file_bytes`, for a file that must be text: without a byte order mark, and without NUL bytes."""
    text = file_bytes(path)
    start = text[:8].tobytes()
    foreign = next((what for magic, what in _FOREIGN.items() if start.startswith(magic)), None)
    if foreign is None and text.size and _first_nul(text) >= 0:
        foreign = f"binary (byte 0 at position {_first_nul(text)})"
    if foreign is not None:
        hint = (
            "save it as UTF-8" if "UTF" in foreign else "name it after what it is: .npz, .parquet, .graphml, .pt, ..."
        )
        raise FileFormatError(f"{path} is not a text file but {foreign}.", hint=hint)
    return text[3:] if start.startswith(b"\xef\xbb\xbf") else text


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _first_nul(text: Any) -> Any:
    for i in range(text.size):
        if text[i] == 0:
            return i
    return -1
