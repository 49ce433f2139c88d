"""Graphs in numpy archives: scipy's ``save_npz`` matrices, and archives with one array per part of the graph.

The second form holds ``edge_index`` (2, E), and optionally ``num_nodes``, ``edge_weight`` (E,), features as ``x``
(N, F) or in CSR pieces ``x_indptr``, ``x_indices``, ``x_data``, ``x_shape``, ``feature_names``, labels ``y``, ``ids``,
a split ``train_idx``, ``val_idx``, ``test_idx``, text as ``text_bytes``, ``text_offsets``, and ``directed`` (0 or 1:
what the edges mean). Archives with several kinds of nodes go to :mod:`graphrep.data.npz_kinds`; nothing is unpickled.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphrep.data import _parts
from graphrep.data._archive import Archive
from graphrep.data._finish import Cleaning, finish
from graphrep.data.check import GraphWarning, grouped
from graphrep.data.graph import Graph
from graphrep.data.npz_kinds import features_of, kind_of, read_kind, text_of
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, ShapeError, UnknownNameError

__all__ = ["read_npz"]

_SPLITS = ("train_idx", "val_idx", "test_idx")
_MATRIX_PIECES = {
    "csr": ("indices", "indptr"),
    "csc": ("indices", "indptr"),
    "bsr": ("indices", "indptr"),
    "coo": ("row", "col"),
    "dia": ("offsets",),
}


def read_npz(
    path: Path,
    *,
    edges: str | None = None,
    weight: bool | str | None = None,
    **cleaning: Any,
) -> Any:
    """Reads an archive; :func:`graphrep.read` has the arguments and says what comes back.

    Raises:
        FileFormatError: not a readable archive, or one that holds no graph.
        UnknownNameError: no such array.
    """
    arrays, wanted = Archive(path), Cleaning(**cleaning)
    other = None if edges or "edge_index" in arrays else kind_of(arrays)
    if other is not None:
        if isinstance(weight, str) or wanted != Cleaning(raw=wanted.raw):
            raise GraphrepError(
                f"{path.name} holds {other}, which is read as it is stored.",
                hint="leave weight, directed, keep_self_loops and fill_nan out",
            )
        return read_kind(path.name, arrays, other, weight=weight is not False)
    if {"format", "shape", "data"} <= arrays.keys():
        parts, kind = _matrix_parts(path.name, arrays), "scipy matrix"
    else:
        parts, kind = _graph_parts(path.name, arrays, edges, weight), "graph archive"
    if weight is False:
        parts["edge_weight"] = None
    return _finished(path, kind, parts, wanted)


def _matrix_parts(name: str, arrays: Archive) -> dict[str, Any]:
    """An adjacency matrix: entry (i, j) is an edge from i to j."""
    import scipy.sparse as sp

    shape = tuple(int(n) for n in arrays.integers("shape", 2))
    if shape[0] != shape[1]:
        raise ShapeError(
            f"{name} holds a {shape[0]} x {shape[1]} matrix; an adjacency matrix is square.",
            hint="a user-item matrix is not a Graph; [[0, A], [A.T, 0]] makes it one",
        )
    kind = arrays["format"].reshape(-1)[:1].tolist()
    kind = kind[0].decode("ascii", "replace") if kind and isinstance(kind[0], bytes) else str(*kind)
    pieces = _MATRIX_PIECES.get(kind)
    if pieces is None or not set(pieces) <= arrays.keys():
        raise FileFormatError(f"{name} holds a matrix in the form {kind!r}.", hint="scipy.sparse.save_npz(A.tocsr())")
    _check_pieces(name, kind, shape[0], arrays)
    try:
        matrix = getattr(sp, f"{kind}_array")(_matrix_arguments(arrays, pieces), shape=shape).tocoo()
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise FileFormatError(
            f"{name} does not hold a {kind} matrix: {error}.", hint="scipy.sparse.save_npz writes one"
        ) from error
    if matrix.data.dtype.kind not in "biuf":
        raise DTypeError(f"{name} holds entries of dtype {matrix.data.dtype}; weights must be real.")
    data = None if matrix.data.size and (matrix.data == 1).all() else matrix.data
    edge_index = np.stack([matrix.row, matrix.col])
    return {"edge_index": edge_index, "edge_weight": data, "num_nodes": shape[0], "weight_name": "the entries"}


def _check_pieces(name: str, kind: str, size: int, arrays: Archive) -> None:
    """Compressed forms are checked here, because scipy's conversions trust them."""
    if kind not in ("csr", "csc", "bsr"):
        return
    block = (1, 1)
    if kind == "bsr":
        shape = arrays["data"].shape
        block = shape[1:] if len(shape) == 3 and 0 not in shape[1:] else (0, 0)
        if 0 in block or size % block[0] or size % block[1]:
            raise ShapeError(f"{name}: blocks of shape {shape[1:]} do not tile a matrix of {size} rows.")
    counts = (size // block[0], size // block[1])
    pieces = (arrays.integers("indptr"), arrays.integers("indices"))
    _parts.check_compressed(
        *pieces, *counts, len(arrays["data"]) if arrays["data"].ndim else 0, f"The arrays of {name}"
    )


def _matrix_arguments(arrays: Archive, pieces: tuple[str, ...]) -> Any:
    """What scipy's constructors take, with every index checked to be an integer."""
    for key in pieces:
        arrays.integers(key)
    if pieces == ("row", "col"):
        return arrays["data"], (arrays["row"], arrays["col"])
    return tuple(arrays[key] for key in ("data", *pieces))


def _graph_parts(name: str, arrays: Archive, edges: str | None, weight: bool | str | None) -> dict[str, Any]:
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
        parts["num_nodes"] = _count(name, arrays["num_nodes"])
    if "text_bytes" in arrays:
        parts["text"] = text_of(arrays, "text")
    parts.update({k: arrays[k] for k in ("y", "ids", *_SPLITS) if k in arrays})
    parts["x"] = _features(name, arrays)
    if "feature_names" in arrays:
        parts["feature_names"] = [str(n) for n in arrays["feature_names"].reshape(-1).tolist()]
    if "directed" in arrays and key == "edge_index":
        parts["stated"] = bool(arrays.integers("directed", 1)[0])
    return parts


def _no_edges(name: str, arrays: Archive, edges: str | None) -> GraphrepError:
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


def _features(name: str, arrays: Archive) -> torch.Tensor | None:
    if "x_rows" in arrays:
        total = f" of {grouped(_count(name, arrays['num_nodes']))}" if "num_nodes" in arrays else ""
        warnings.warn(
            f"{name} has features for only {grouped(arrays['x_rows'].size)}{total} nodes; they are left out, and the "
            "graph has none.",
            GraphWarning,
            stacklevel=5,
        )
        return None
    return features_of(arrays)


def _count(name: str, stored: Any) -> int:
    """The number that `num_nodes` holds."""
    if stored.size != 1 or stored.dtype.kind not in "iu":
        raise DTypeError(
            f"{name}: num_nodes must be one integer; got {stored.dtype} of shape {stored.shape}.",
            hint="numpy.int64(number of nodes)",
        )
    return int(stored.reshape(-1)[0])


def _finished(path: Path, kind: str, parts: dict[str, Any], cleaning: Cleaning) -> Graph:
    edge_index = _parts.as_edge_index(parts.pop("edge_index"))
    parts["ids"] = _parts.as_ids(parts.get("ids"))
    parts["y"] = _parts.as_labels(parts.get("y"))
    sized = [len(parts[key]) for key in ("x", "y", "ids") if parts.get(key) is not None]
    largest = int(edge_index.max()) + 1 if edge_index.numel() else 0
    count = parts.pop("num_nodes", sized[0] if sized else largest)
    weight = parts.pop("edge_weight")
    return finish(path.name, kind, edge_index, weight, count, cleaning, warn_one_way=True, name=path.stem, **parts)
