"""Arrays out of an npz archive that may be damaged or hostile: sizes are checked before memory is taken."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from graphrep.data._bytes import require_file
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, ShapeError

__all__ = ["Archive", "read_array"]

_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_DEFLATE_MOST = 1032  # bytes that one packed byte can stand for, at most
_CHUNK = 16 << 20


class Archive(Mapping[str, np.ndarray[Any, Any]]):
    """Arrays by name, each read from the file on first use.

    Raises:
        FileFormatError: not an archive, a damaged one, or one of pickled objects.
    """

    def __init__(self, path: Path) -> None:
        require_file(path)
        with path.open("rb") as file:
            start = file.read(4)
        if start[:2] in _PICKLES:
            raise FileFormatError(
                f"{path} is a Python pickle, which graphrep never opens: loading one can run any code.",
                hint="convert it where you trust it: numpy.savez(..., edge_index=...) or scipy.sparse.save_npz",
            )
        self._path = path
        self._arrays: dict[str, np.ndarray[Any, Any]] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        except Exception as error:  # a damaged directory may fail anywhere inside zipfile
            raise _damaged(path, error) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        if name not in self._arrays:
            self._arrays[name] = self._read(name)
        return self._arrays[name]

    def integers(self, name: str, size: int | None = None) -> np.ndarray[Any, Any]:
        """An array of integers as one axis, of `size` numbers if that is given."""
        array = self[name].reshape(-1)
        if array.dtype.kind not in "biu":
            raise DTypeError(f"{self._path.name}: {name} must hold integers; got {array.dtype}.")
        if size is not None and array.size != size:
            raise ShapeError(f"{self._path.name}: {name} must hold {size} numbers; got {array.size}.")
        return array

    def _read(self, name: str) -> np.ndarray[Any, Any]:
        info = self._members[name]
        try:
            with zipfile.ZipFile(self._path) as archive:
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError("it is packed in a way that numpy does not use")
                most = min(info.compress_size, self._path.stat().st_size)
                if info.file_size > _DEFLATE_MOST * max(most, 64):
                    raise ValueError("its sizes cannot be right")
                with archive.open(info) as member:
                    return read_array(member, info.file_size)
        except GraphrepError:
            raise
        except Exception as error:  # a damaged member may fail anywhere inside zipfile, zlib or numpy
            raise _damaged(self._path, error, name) from error


def read_array(file: IO[bytes], size: int) -> np.ndarray[Any, Any]:
    """The array of an npy stream of `size` bytes, read in pieces; memory that a false size asks for is never touched.

    Raises:
        ValueError: damaged, of Python objects, or with another length than its header says.
    """
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"npy version {version} is not known")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("pickled Python objects")
    count = 1
    for length in shape:
        if not isinstance(length, int) or length < 0:
            raise ValueError(f"the shape {shape} is impossible")
        count *= length
    wanted = count * dtype.itemsize
    if len(shape) > 64 or wanted > size:
        raise ValueError(f"its header promises {wanted} bytes and it has {size}")
    if wanted == 0:
        return np.empty(shape, dtype=dtype)
    data = np.empty(wanted, dtype=np.uint8)
    room, filled = data.data, 0
    while filled < wanted:
        piece = file.read(min(_CHUNK, wanted - filled))
        if not piece:
            raise ValueError(f"its header promises {wanted} bytes and it has {filled}")
        room[filled : filled + len(piece)] = piece
        filled += len(piece)
    if dtype.kind == "U":
        letters = data.view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if bool(((letters > 0x10FFFF) | ((letters >= 0xD800) & (letters < 0xE000))).any()):
            raise ValueError("it holds text with characters that do not exist")
    array = data.view(dtype)
    return array.reshape(shape[::-1]).transpose() if fortran else array.reshape(shape)


def _damaged(path: Path, error: Exception, name: str | None = None) -> FileFormatError:
    where = f" (array {name})" if name else ""
    if "pickle" in str(error):
        return FileFormatError(
            f"{path}{where} holds Python objects, which graphrep never unpickles.",
            hint="save it again with plain number and text arrays",
        )
    detail = "it asks for more memory than there is" if isinstance(error, MemoryError) else str(error)
    return FileFormatError(
        f"{path}{where} is not a readable npz archive: {detail or type(error).__name__}.",
        hint="the file may be cut off; copy it again",
    )
