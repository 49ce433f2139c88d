"""OGB's folders, read without its package and without its questions to a server.

The ``raw`` folder of a node or link property data set holds ``edge.csv.gz`` (or ``data.npz`` in the largest sets),
``num-node-list.csv.gz``, perhaps ``node-feat.csv.gz``, ``node-label.csv.gz`` and ``edge_weight.csv.gz``; ``split/NAME``
beside it holds ``train``, ``valid`` and ``test``. The graph of a link data set is its training part, as OGB has it; the
held-out links stay in the split files.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.data import _parts
from graphrep.data._archive import Archive
from graphrep.data._finish import Cleaning, finish
from graphrep.data._number_table import read_table
from graphrep.data.check import GraphWarning
from graphrep.data.graph import Graph
from graphrep.errors import FileFormatError, GraphrepError

__all__ = ["raw_folder", "read_ogb"]

_EDGES, _BINARY = "edge.csv.gz", "data.npz"
_SPLITS = {"train_idx": "train", "val_idx": "valid", "test_idx": "test"}
_WEIGHTS = ("edge_weight", "edge-weight")


def raw_folder(folder: Path) -> Path | None:
    """The folder with the raw files of an OGB data set: `folder` itself, ``raw`` in it, or in one of its folders.

    None if there is no such folder, or more than one.
    """
    if not folder.is_dir():
        return None
    for candidate in (folder, folder / "raw"):
        if _is_raw(candidate):
            return candidate
    below = [raw for child in sorted(folder.iterdir()) if child.is_dir() and _is_raw(raw := child / "raw")]
    return below[0] if len(below) == 1 else None


def _is_raw(folder: Path) -> bool:
    return (
        (folder / _EDGES).is_file()
        or (folder / "triplet-type-list.csv.gz").is_file()
        or ((folder / _BINARY).is_file() and (folder.name == "raw" or (folder / "node-label.npz").is_file()))
    )


def read_ogb(folder: Path, *, weight: str | bool | int | None = None, **cleaning: Any) -> Graph:
    """Reads the graph of an OGB folder; :func:`graphrep.read` has the arguments.

    Raises:
        FileFormatError: no OGB folder, several graphs or node types, or a damaged file.
        ShapeError, DTypeError, IndexRangeError: the files do not fit together.
    """
    raw = raw_folder(folder)
    if raw is None:
        raise FileFormatError(
            f"{folder} is a folder, but not one of OGB.",
            hint=f"a folder with raw/{_EDGES}; graph.toml in one with a table per relation; or name the file inside it",
        )
    if (raw / "triplet-type-list.csv.gz").is_file():
        raise FileFormatError(f"{raw.parent.name} has several node types.", hint="a set with one kind of node")
    parts = _binary(raw) if (raw / _BINARY).is_file() else _texts(raw)
    if weight is False:
        parts["edge_weight"] = None
    name = raw.parent.name if raw.name == "raw" else raw.name
    edge_index = _parts.as_edge_index(parts.pop("edge_index"))
    parts["x"], parts["y"] = _parts.as_features(parts["x"]), _parts.as_labels(parts["y"])
    known = [len(parts[k]) for k in ("x", "y") if parts[k] is not None]
    largest = int(edge_index.max()) + 1 if edge_index.numel() else 0
    count = parts.pop("num_nodes") or (known[0] if known else largest)
    return finish(
        name, "OGB folder", edge_index, parts.pop("edge_weight"), count, Cleaning(**cleaning),
        weight_name="edge_weight", name=name.replace("_", "-"), **parts, **_splits(raw.parent / "split"),
    )  # fmt: skip


def _texts(raw: Path) -> dict[str, Any]:
    edges = read_table(raw / _EDGES)
    weights = next((raw / f"{key}.csv.gz" for key in _WEIGHTS if (raw / f"{key}.csv.gz").is_file()), None)
    y = _optional(raw / "node-label.csv.gz")
    return {
        "edge_index": _whole(raw / _EDGES, edges).T,
        "edge_weight": None if weights is None else read_table(weights, np.float32),
        "num_nodes": _node_count(raw),
        "x": _optional(raw / "node-feat.csv.gz", np.float32),
        "y": None if y is None else _labels(y),
    }


def _binary(raw: Path) -> dict[str, Any]:
    arrays = Archive(raw / _BINARY)
    if "edge_index" not in arrays:
        raise FileFormatError(
            f"{raw / _BINARY} holds no edge_index (arrays: {', '.join(arrays)}).", hint="download the set again"
        )
    labels = None
    if (raw / "node-label.npz").is_file():
        labels = Archive(raw / "node-label.npz").get("node_label")
    counts = arrays.integers("num_nodes_list") if "num_nodes_list" in arrays else np.empty(0, dtype=np.int64)
    if counts.size > 1:
        raise _several(raw, counts.size)
    return {
        "edge_index": arrays["edge_index"],
        "edge_weight": arrays.get("edge_weight"),
        "num_nodes": int(counts[0]) if counts.size else 0,
        "x": arrays.get("node_feat"),
        "y": None if labels is None else _labels(labels),
    }


def _node_count(raw: Path) -> int:
    """What num-node-list.csv.gz says; 0 without that file."""
    table = _optional(raw / "num-node-list.csv.gz")
    if table is None:
        return 0
    if table.size != 1:
        raise _several(raw, table.size)
    return int(_whole(raw / "num-node-list.csv.gz", table).reshape(-1)[0])


def _several(raw: Path, count: int) -> GraphrepError:
    return FileFormatError(
        f"{raw.parent.name} holds {count} graphs; a set with one is read.", hint="a node or link property data set"
    )


def _optional(path: Path, dtype: type[np.floating[Any]] = np.float64) -> np.ndarray[Any, Any] | None:
    return read_table(path, dtype) if path.is_file() else None


def _whole(path: Path, table: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A table of integers; doubles hold those of every OGB set exactly."""
    if not (np.isfinite(table).all() and (np.abs(table) < 2**53).all() and (table == np.rint(table)).all()):
        raise FileFormatError(f"{path} holds numbers that are no integers.", hint="download the set again")
    return table.astype(np.int64)


def _labels(y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Class numbers where every label is one; else (missing labels are NaN) as they are."""
    if (
        y.dtype.kind == "f"
        and y.size
        and np.isfinite(y).all()
        and (y == np.rint(y)).all()
        and (np.abs(y) < 2**53).all()
    ):
        y = y.astype(np.int64)
    return y.astype(np.float32) if y.dtype.kind == "f" else y


def _splits(folder: Path) -> dict[str, Any]:
    """The node numbers of the split, if there is one kind and it is of nodes."""
    kinds = [f for f in sorted(folder.iterdir()) if (f / "train.csv.gz").is_file()] if folder.is_dir() else []
    if len(kinds) != 1:
        if kinds:
            names = ", ".join(f.name for f in kinds)
            warnings.warn(f"{folder} holds several splits ({names}); none is taken.", GraphWarning, stacklevel=4)
        return {}
    paths = {key: kinds[0] / f"{name}.csv.gz" for key, name in _SPLITS.items()}
    tables = {key: _whole(path, read_table(path)) for key, path in paths.items() if path.is_file()}
    return {key: table.reshape(-1) for key, table in tables.items() if table.shape[1] == 1}
