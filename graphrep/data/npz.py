"""Graphs in numpy archives: scipy's ``save_npz`` matrices, and archives with one array per part of the graph.

The second form holds ``edge_index`` (2, E), and optionally ``num_nodes``, ``edge_weight`` (E,), features as ``x``
(N, F) or in CSR pieces ``x_indptr``, ``x_indices``, ``x_data``, ``x_shape``, labels ``y``, ``ids``, a split
``train_idx``, ``val_idx``, ``test_idx``, and text as ``text_bytes``, ``text_offsets``. Archives with several kinds of
nodes go to :mod:`graphrep.data.npz_kinds`. Nothing is ever unpickled.
"""

from __future__ import annotations

import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphrep.data import _parts
from graphrep.data._bytes import require_file
from graphrep.data.canonical import canonical_edges
from graphrep.data.check import GraphWarning, check_nodes, grouped
from graphrep.data.graph import Graph
from graphrep.data.npz_kinds import features_of, kind_of, read_kind, text_of
from graphrep.data.report import ReadReport
from graphrep.errors import FileFormatError, GraphrepError, ShapeError, UnknownNameError

__all__ = ["read_npz"]

_SPLITS = ("train_idx", "val_idx", "test_idx")


def read_npz(
    path: Path,
    *,
    edges: str | None = None,
    weight: bool | str | None = None,
    directed: bool | None = None,
    keep_self_loops: bool = False,
) -> Any:
    """Reads an archive; :func:`graphrep.read` has the arguments and says what comes back.

    Raises:
        FileFormatError: not a readable archive, or one that holds no graph.
        UnknownNameError: no such array.
    """
    arrays = _open(path)
    other = None if edges or "edge_index" in arrays else kind_of(arrays)
    if other is not None:
        if isinstance(weight, str) or directed is not None or keep_self_loops:
            raise GraphrepError(
                f"{path.name} holds {other}, which is read as it is stored.",
                hint="leave weight, directed and keep_self_loops out",
            )
        return read_kind(path.name, arrays, other, weight=weight is not False)
    if {"format", "shape", "data"} <= arrays.keys():
        parts, kind = _matrix_parts(path), "scipy matrix"
    else:
        parts, kind = _graph_parts(path.name, arrays, edges, weight), "graph archive"
    if weight is False:
        parts["edge_weight"] = None
    return _clean(path.name, kind, parts, directed, keep_self_loops)


class _Archive(dict[str, Any]):
    """Arrays by name, each read from the file on first use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__()
        try:
            with zipfile.ZipFile(path) as archive:
                self.update(dict.fromkeys(n.removesuffix(".npy") for n in archive.namelist()))
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise _damaged(path, error) from error

    def __getitem__(self, name: str) -> Any:
        if super().__getitem__(name) is None:
            try:
                with np.load(self._path, allow_pickle=False) as archive:
                    self[name] = archive[name]
            except (zipfile.BadZipFile, OSError, ValueError, EOFError, KeyError, zlib.error, MemoryError) as error:
                raise _damaged(self._path, error, name) from error
        return super().__getitem__(name)


def _open(path: Path) -> _Archive:
    require_file(path)
    with path.open("rb") as file:
        start = file.read(4)
    if start != b"PK\x03\x04" and start[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise FileFormatError(
            f"{path} is a Python pickle, which graphrep never opens: loading one can run any code.",
            hint="convert it where you trust it: numpy.savez(..., edge_index=...) or scipy.sparse.save_npz",
        )
    return _Archive(path)


def _damaged(path: Path, error: Exception, name: str | None = None) -> FileFormatError:
    where = f" (array {name})" if name else ""
    if "pickle" in str(error):
        return FileFormatError(
            f"{path}{where} holds Python objects, which graphrep never unpickles.",
            hint="save it again with plain number and text arrays",
        )
    detail = "it asks for more memory than there is" if isinstance(error, MemoryError) else str(error)
    return FileFormatError(
        f"{path}{where} is not a readable npz archive: {detail}.", hint="the file may be cut off; copy it again"
    )


def _matrix_parts(path: Path) -> dict[str, Any]:
    """An adjacency matrix: entry (i, j) is an edge from i to j."""
    import scipy.sparse as sp

    try:
        matrix = sp.load_npz(path).tocoo()
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, KeyError, zlib.error, MemoryError) as error:
        raise _damaged(path, error) from error
    if matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(
            f"{path.name} holds a {matrix.shape[0]} x {matrix.shape[1]} matrix; an adjacency matrix is square.",
            hint="a user-item matrix is not a Graph; [[0, A], [A.T, 0]] makes it one",
        )
    data = None if matrix.data.size and (matrix.data == 1).all() else matrix.data
    edge_index = np.stack([matrix.row, matrix.col])
    return {"edge_index": edge_index, "edge_weight": data, "num_nodes": matrix.shape[0], "weight_name": "the entries"}


def _graph_parts(name: str, arrays: _Archive, edges: str | None, weight: bool | str | None) -> dict[str, Any]:
    key = edges or "edge_index"
    if key not in arrays:
        raise _no_edges(name, arrays, edges)
    weight_key = weight if isinstance(weight, str) else "edge_weight"
    if weight_key not in arrays and weight not in (None, False):
        raise UnknownNameError(f"{name} has no array {weight_key}.", hint=", ".join(arrays))
    parts: dict[str, Any] = {"edge_index": arrays[key], "edge_weight": None, "weight_name": weight_key}
    if weight_key in arrays and (key == "edge_index" or isinstance(weight, str)):
        parts["edge_weight"] = arrays[weight_key]
    if "num_nodes" in arrays:
        parts["num_nodes"] = int(arrays["num_nodes"])
    if "text_bytes" in arrays:
        parts["text"] = text_of(arrays, "text")
    parts.update({k: arrays[k] for k in ("y", "ids", *_SPLITS) if k in arrays})
    parts["x"] = _features(name, arrays)
    return parts


def _no_edges(name: str, arrays: _Archive, edges: str | None) -> GraphrepError:
    others = [key for key in arrays if key.endswith("edge_index")]
    if edges is not None:
        return UnknownNameError(f"{name} has no array {edges}.", hint=f"edges= one of {', '.join(others) or 'none'}")
    if "vectors" in arrays:
        return FileFormatError(f"{name} holds embeddings.", hint="graphrep.load_embeddings reads it")
    if others:
        return FileFormatError(f"{name} holds several graphs.", hint=f"edges= one of {', '.join(others)}")
    return FileFormatError(
        f"{name} holds no edge_index (arrays: {', '.join(arrays) or 'none'}).",
        hint="an array edge_index (2, E), or a matrix saved by scipy.sparse.save_npz",
    )


def _features(name: str, arrays: _Archive) -> torch.Tensor | None:
    if "x_rows" in arrays:
        warnings.warn(
            f"{name} has features for only {grouped(len(arrays['x_rows']))} of {grouped(int(arrays['num_nodes']))} "
            "nodes; they are left out, and the graph has none.",
            GraphWarning,
            stacklevel=5,
        )
        return None
    return features_of(arrays)


def _clean(name: str, kind: str, parts: dict[str, Any], directed: bool | None, keep_self_loops: bool) -> Graph:
    edge_index = _parts.as_edge_index(parts.pop("edge_index"))
    weight = _parts.as_weight(parts.pop("edge_weight"), edge_index.shape[1])
    weight_name = parts.pop("weight_name")
    sized = [len(parts[key]) for key in ("x", "y", "ids") if parts.get(key) is not None]
    largest = int(edge_index.max()) + 1 if edge_index.numel() else 0
    count = parts.pop("num_nodes", sized[0] if sized else largest)
    check_nodes(edge_index, count, f"{name} has {count} nodes")
    result = canonical_edges(edge_index, weight, count, directed=bool(directed), keep_self_loops=keep_self_loops)
    if directed is None and result.one_way:
        warnings.warn(
            f"{name}: {grouped(result.one_way)} of {grouped(result.edges)} edges are stored in one direction only; "
            "they are read as undirected (directed=True keeps the direction).",
            GraphWarning,
            stacklevel=4,
        )
    report = ReadReport(
        source=name, kind=kind, rows=edge_index.shape[1], nodes=count, edges=result.edges, directed=bool(directed),
        weight=weight_name if weight is not None else None, merged=result.merged, mirrored=result.mirrored,
        self_loops=result.self_loops, one_way=result.one_way, components=result.components, isolated=result.isolated,
    )  # fmt: skip
    return Graph._canonical(
        result.edge_index, result.edge_weight, count, undirected=not directed,
        name=Path(name).stem, report=report, **parts,
    )  # fmt: skip
