"""Saved embeddings: one vector per node with its external id and the settings it was made with.

====== ============ ==== ========= ============================================================
format extensions   ids  settings  contents
====== ============ ==== ========= ============================================================
npz    .npz         yes  yes       uncompressed numpy archive: ids, vectors float32, settings (JSON)
npy    .npy         *    no        (N, d) float32; ids go to NAME.ids.npy beside it
csv    .csv .tsv    yes  no        header ``id,v0,v1,...``; nine digits, which float32 survives
parquet .parquet    yes  yes       columns id and vector (fixed-size list), settings as metadata
w2v    .w2v .vec .txt yes no       word2vec text: ``N d``, then an id and d numbers per line
====== ============ ==== ========= ============================================================
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from graphrep.data.write import atomic_write
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, MissingExtraError, ShapeError, UnknownNameError

__all__ = ["FORMATS", "Embeddings", "embedding_format", "load_embeddings", "npz_member", "save_embeddings"]

FORMATS: dict[str, tuple[str, ...]] = {
    "npz": (".npz",),
    "npy": (".npy",),
    "csv": (".csv", ".tsv"),
    "parquet": (".parquet", ".pq"),
    "w2v": (".w2v", ".vec", ".txt"),
}
_BLOCK_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """What :func:`load_embeddings` gives.

    Attributes:
        ids: (N,) int64, or text.
        vectors: (N, d) float32.
        settings: what the file says about how the vectors were made; empty when the format cannot hold it.
    """

    ids: np.ndarray[Any, Any]
    vectors: np.ndarray[Any, Any]
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        kind = "text" if self.ids.dtype.kind == "U" else "integer"
        return f"Embeddings({self.vectors.shape[0]} x {self.vectors.shape[1]} float32, {kind} ids)"


def embedding_format(path: str | os.PathLike[str], name: str | None = None) -> str:
    """The format called `name`, or else the one that the extension of `path` stands for.

    Raises:
        UnknownNameError: neither says which.
    """
    if name is not None:
        if name not in FORMATS:
            raise UnknownNameError(f'Unknown format "{name}".', hint=", ".join(FORMATS))
        return name
    suffix = Path(path).suffix.lower()
    for known, suffixes in FORMATS.items():
        if suffix in suffixes:
            return known
    raise UnknownNameError(f'{path}: no format is known for "{suffix}".', hint=f"format= one of {', '.join(FORMATS)}")


def save_embeddings(
    path: str | os.PathLike[str],
    z: Any,
    ids: Any = None,
    settings: Mapping[str, Any] | None = None,
    *,
    format: str | None = None,
) -> Path:
    """Writes one vector per node; the file appears only when it is complete.

    Args:
        path: where to; the extension decides the format unless `format` is given.
        z: (N, d) torch tensor or numpy array, any real dtype and device; written as float32.
        ids: (N,) integers or text; default 0..N-1.
        settings: plain values, kept by npz and parquet.
        format: ``npz``, ``npy``, ``csv``, ``parquet`` or ``w2v``.

    Returns:
        The path.

    Raises:
        ShapeError, DTypeError, UnknownNameError: bad arguments.
        GraphrepError: the file cannot be written (no space, no permission); nothing is left behind.
        MissingExtraError: parquet without pyarrow.

    Example:
        >>> import tempfile, torch
        >>> path = save_embeddings(tempfile.mkdtemp() + "/z.npz", torch.eye(2), ids=["a", "b"], settings={"dim": 2})
        >>> load_embeddings(path)
        Embeddings(2 x 2 float32, text ids)
    """
    kind = embedding_format(path, format)
    vectors = _as_matrix(z)
    names = _as_ids(ids, vectors.shape[0])
    text = json.dumps(dict(settings or {}), sort_keys=True, default=str)
    target = Path(path)
    if kind == "npy" and ids is not None:
        with atomic_write(_ids_path(target)) as file:
            np.save(file, names, allow_pickle=False)
    with atomic_write(target) as file:
        if kind == "npz":
            _write_npz(file, vectors, names, text)
        elif kind == "npy":
            _write_array(file, vectors)
        elif kind == "parquet":
            _write_parquet(file, vectors, names, text)
        else:
            from graphrep.data import _vectors  # compiled loops, which the binary formats do without

            separator = " " if kind == "w2v" else "\t" if target.suffix.lower() == ".tsv" else ","
            _vectors.write_text(file, _blocks(vectors), names, vectors.shape, separator, header=kind)
    return target


def load_embeddings(path: str | os.PathLike[str], *, format: str | None = None) -> Embeddings:
    """Reads what :func:`save_embeddings` wrote, or a word2vec text file of another program.

    Raises:
        FileFormatError: no such file, or its content is not of that format (nothing is ever unpickled).
    """
    kind = embedding_format(path, format)
    source = Path(path)
    if not source.is_file():
        raise FileFormatError(f"There is no file {source}.", hint="graphrep embed GRAPH --out FILE writes one")
    readers = {"npz": _read_npz, "npy": _read_npy, "parquet": _read_parquet, "csv": _read_text, "w2v": _read_text}
    try:
        found = readers[kind](source)
    except (GraphrepError, MemoryError):
        raise
    except Exception as error:  # a damaged file may fail anywhere inside numpy, zipfile or pyarrow
        raise FileFormatError(f"{source} is not a complete {kind} file: {error}.", hint="write it again") from error
    if found.vectors.ndim != 2 or len(found.ids) != len(found.vectors):
        raise FileFormatError(
            f"{source}: {len(found.ids)} ids and vectors of shape {found.vectors.shape} do not fit together.",
            hint="an (N, d) matrix with one id per row",
        )
    return found


def _as_matrix(z: Any) -> np.ndarray[Any, Any]:
    if hasattr(z, "detach"):
        z = z.detach().cpu()
        z = (z if z.element_size() >= 4 and z.is_floating_point() else z.float()).numpy()
    matrix = np.asarray(z)
    if matrix.dtype.kind not in "fiu":
        raise DTypeError(f"z must hold real numbers; got {matrix.dtype}.", hint="z.float()")
    if matrix.ndim != 2:
        raise ShapeError(f"z must have shape (N, d); got {matrix.shape}.", hint="one row per node")
    return matrix


def _as_ids(ids: Any, count: int) -> np.ndarray[Any, Any]:
    if ids is None:
        return np.arange(count, dtype=np.int64)
    array = np.asarray(ids.cpu() if hasattr(ids, "cpu") else ids)
    if array.dtype == object and all(isinstance(v, str) for v in array.flat):
        array = array.astype(str)
    if array.dtype.kind not in "iuU":
        raise DTypeError(f"ids must be integers or text; got {array.dtype}.", hint="[str(i) for i in ids]")
    if array.shape != (count,):
        raise ShapeError(f"ids has shape {array.shape} but z has {count} rows.", hint="one id per row of z")
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def _ids_path(path: Path) -> Path:
    return path.with_name(path.stem + ".ids.npy")


def _blocks(vectors: np.ndarray[Any, Any]) -> Sequence[np.ndarray[Any, Any]]:
    """Runs of rows of about 16 MB; conversion to float32 happens per run, so that no second matrix exists."""
    rows = max(1, _BLOCK_BYTES // max(1, vectors.shape[1] * 4))
    return [vectors[i : i + rows] for i in range(0, len(vectors), rows)]


def _write_array(file: IO[bytes], array: np.ndarray[Any, Any]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": array.shape}
    npy.write_array_header_1_0(file, header)
    for block in _blocks(array):
        file.write(np.ascontiguousarray(block, dtype="<f4").data)


def _write_npz(file: IO[bytes], vectors: np.ndarray[Any, Any], ids: np.ndarray[Any, Any], settings: str) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in (("ids", ids), ("settings", np.array(settings))):
            with archive.open(npz_member(name), "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)
        with archive.open(npz_member("vectors"), "w", force_zip64=True) as member:
            _write_array(member, vectors)


def npz_member(name: str, *, packed: bool = False) -> zipfile.ZipInfo:
    """The entry of an array in an npz archive, with a fixed date, so that equal arrays give equal files."""
    info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    return info


def _read_npz(path: Path) -> Embeddings:
    with np.load(path, allow_pickle=False) as archive:
        if "vectors" not in archive.files:
            raise FileFormatError(
                f"{path} holds no embeddings (arrays: {', '.join(archive.files) or 'none'}).",
                hint="an npz with ids and vectors, as graphrep embed writes it",
            )
        vectors = archive["vectors"].astype(np.float32, copy=False)
        ids = archive["ids"] if "ids" in archive.files else np.arange(len(vectors))
        settings = json.loads(str(archive["settings"])) if "settings" in archive.files else {}
    return Embeddings(ids, vectors, settings)


def _read_npy(path: Path) -> Embeddings:
    vectors = np.load(path, allow_pickle=False).astype(np.float32, copy=False)
    names = _ids_path(path)
    ids = np.load(names, allow_pickle=False) if names.is_file() else np.arange(len(vectors))
    return Embeddings(ids, vectors)


def _read_text(path: Path) -> Embeddings:
    from graphrep.data import _vectors

    ids, vectors = _vectors.read_text(path)
    return Embeddings(ids, vectors)


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "Reading parquet needs pyarrow, which is not installed.", hint='pip install "graphrep[parquet]"'
        ) from error
    return pyarrow


def _write_parquet(file: IO[bytes], vectors: np.ndarray[Any, Any], ids: np.ndarray[Any, Any], settings: str) -> None:
    pa = _arrow()
    width = vectors.shape[1]
    id_type = pa.string() if ids.dtype.kind == "U" else pa.int64()
    schema = pa.schema([("id", id_type), ("vector", pa.list_(pa.float32(), width))], {"graphrep": settings})
    with pa.parquet.ParquetWriter(file, schema) as writer:
        row = 0
        for block in _blocks(vectors):
            flat = pa.array(np.ascontiguousarray(block, dtype=np.float32).reshape(-1))
            names = pa.array(ids[row : row + len(block)].tolist(), type=id_type)
            column = pa.FixedSizeListArray.from_arrays(flat, width)
            writer.write_table(pa.table([names, column], schema=schema))
            row += len(block)


def _read_parquet(path: Path) -> Embeddings:
    pa = _arrow()
    table = pa.parquet.read_table(path)
    column = table["vector"].combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
    ids = table["id"].to_numpy()
    settings = json.loads((table.schema.metadata or {}).get(b"graphrep", b"{}"))
    return Embeddings(ids.astype(str) if ids.dtype == object else ids, vectors.astype(np.float32), settings)
