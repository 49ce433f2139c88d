"""The parts of a graph exactly as a file or an object holds them, for the checker: numpy arrays, nothing refused."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from graphrep.data import _parts
from graphrep.data._archive import Archive
from graphrep.data._facts import Findings
from graphrep.errors import NonFiniteError, ShapeError

__all__ = ["Stored", "from_object", "from_path", "link_problems"]

Array = np.ndarray[Any, Any]
_SPLITS = ("train_idx", "val_idx", "test_idx", "train_mask", "val_mask", "test_mask")
_SCHEMES = ("nx:", "ogb:", "pyg:")
_LINKS = ("val_pos", "test_pos", "train_neg", "val_neg", "test_neg")


@dataclasses.dataclass
class Stored:
    """Parts as stored; `x` is an array or a scipy CSR matrix, `array` says where the edges come from."""

    name: str
    array: str
    edge_index: Array
    num_nodes: int
    weight: Array | None = None
    x: Any | None = None
    y: Array | None = None
    unlabelled: Array | None = None
    ids: Array | None = None
    texts: int | None = None
    splits: dict[str, Array] = dataclasses.field(default_factory=dict)
    links: dict[str, Array] = dataclasses.field(default_factory=dict)
    directed: bool = False
    problems: tuple[str, ...] = ()


def from_path(
    spec: str, data_dir: str | os.PathLike[str] | None, edges: str | None, options: Mapping[str, Any]
) -> Stored:
    """The parts of a file, or of the file or builder behind a data set's name."""
    from graphrep.data.cards import card
    from graphrep.data.datasets import find_file, load

    path, key = Path(spec), edges
    if not path.exists() and not spec.startswith((*_SCHEMES, ".", "/", "~")) and not path.suffix:
        entry = card(spec)
        if not entry.file:
            return from_object(load(spec))
        path = find_file(entry, data_dir)
        key = edges or (None if entry.edges_key == "edge_index" else entry.edges_key)
    if path.is_file() and _is_archive(path):
        arrays = Archive(path)
        key = key or next((k for k in ("raw_edge_index", "edge_index", "train_pos") if k in arrays), None)
        if key is not None and key in arrays:
            return _from_arrays(path.stem, key, arrays)
        options = {**options, **({"edges": key} if key else {})}
    return _from_reader(spec, data_dir, options)


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" and path.suffix.lower() == ".npz"


def _from_reader(spec: str, data_dir: str | os.PathLike[str] | None, options: Mapping[str, Any]) -> Stored:
    """Through the reader of the format; where it refuses NaN, the refusal is kept and the rest is read without it."""
    from graphrep.data.read import open_graph

    problems: list[str] = []
    for more in ({}, {"fill_nan": 0.0}, {"fill_nan": 0.0, "weight": False}):
        try:
            found = from_object(open_graph(spec, data_dir=data_dir, raw=True, **{**options, **more}))
            break
        except NonFiniteError as error:
            problems.append(error.message)
    else:
        open_graph(spec, data_dir=data_dir, raw=True, **options)
    return dataclasses.replace(found, array="rows", problems=tuple(dict.fromkeys(problems)))


def _from_arrays(name: str, key: str, arrays: Archive) -> Stored:
    import scipy.sparse as sp

    edges = _parts.as_edge_index(arrays[key]).numpy()
    x: Any | None = None
    if "x_rows" in arrays:
        x = None  # features of some nodes only; reading leaves them out as well
    elif "x" in arrays:
        x = arrays["x"].reshape(len(arrays["x"]), -1)
    elif {"x_indptr", "x_indices", "x_data", "x_shape"} <= arrays.keys():
        shape = tuple(int(n) for n in arrays["x_shape"])
        indices = arrays["x_indices"].astype(np.int64)
        try:
            x = sp.csr_array((arrays["x_data"], indices, arrays["x_indptr"].astype(np.int64)), shape=shape)
            x.check_format(full_check=True)
        except (ValueError, IndexError) as error:
            raise ShapeError(f"{name}: x_indptr, x_indices and x_data do not form a matrix: {error}.") from error
    y = _maybe(arrays, "y")
    ids = _maybe(arrays, "ids")
    weight = arrays["edge_weight"] if "edge_weight" in arrays and key == "edge_index" else None
    rows = [len(part) if not hasattr(part, "indptr") else part.shape[0] for part in (x, y, ids) if part is not None]
    largest = int(edges.max()) + 1 if edges.size else 0
    count = int(arrays["num_nodes"]) if "num_nodes" in arrays else rows[0] if rows else largest
    offsets = _maybe(arrays, "text_offsets")
    return Stored(
        name, key, edges, count, weight=weight, x=x, y=y, ids=ids,
        unlabelled=_maybe(arrays, "unlabeled_idx"),
        texts=None if offsets is None else int((np.diff(offsets) > 0).sum()),
        splits={k: arrays[k] for k in _SPLITS if k in arrays},
        links={k: arrays[k] for k in _LINKS if k in arrays},
        directed="directed" in arrays and bool(arrays["directed"]),
    )  # fmt: skip


def _maybe(arrays: Archive, name: str) -> Array | None:
    return arrays[name] if name in arrays else None  # noqa: SIM401 - an Archive reads on access and has no get


def from_object(graph: Any) -> Stored:
    """The parts of a Graph or of a PyG ``Data``, which may hold what a Graph refuses; else of what coerce makes."""
    if not (isinstance(getattr(graph, "edge_index", None), Tensor) and hasattr(graph, "num_nodes")):
        from graphrep.data.graph import Graph

        graph = Graph.coerce(graph)
    weight = getattr(graph, "edge_weight", None)
    ids, text = getattr(graph, "ids", None), getattr(graph, "text", None)
    return Stored(
        getattr(graph, "name", None) or "graph",
        "edge_index",
        _numpy(graph.edge_index),
        int(graph.num_nodes),
        weight=None if weight is None else _numpy(weight),
        x=_features(getattr(graph, "x", None)),
        y=None if getattr(graph, "y", None) is None else _numpy(graph.y),
        ids=None if ids is None else _numpy(ids),
        texts=None if text is None else sum(bool(t) for t in text),
        splits={k: _numpy(part) for k in _SPLITS if (part := getattr(graph, k, None)) is not None},
    )


def _features(x: Any) -> Any | None:
    import scipy.sparse as sp

    if x is None or x.layout is not _sparse_csr():
        return None if x is None else _numpy(x).reshape(len(x), -1)
    pieces = tuple(_numpy(part) for part in (x.values(), x.col_indices(), x.crow_indices()))
    return sp.csr_array(pieces, shape=tuple(x.shape))


def _sparse_csr() -> Any:
    import torch

    return torch.sparse_csr


def _numpy(value: Any) -> Array:
    array: Array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return array


def link_problems(
    links: Mapping[str, Array], train: Array, num_nodes: int, directed: bool, found: Findings
) -> dict[str, int]:
    """Sizes of the parts of a link split; all that leaks is an error."""
    from graphrep.data.leaks import check_link_split

    parts = {"train_pos": train, **links, "num_nodes": num_nodes, "directed": directed}
    report = check_link_split(parts, allow_leak=True)
    found.errors += [leak.message for leak in report.leaks if (leak.kind, leak.part) != ("range", "train_pos")]
    return report.sizes
