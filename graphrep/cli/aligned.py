"""Labels, splits and edges in the order of the rows that are judged, matched by the nodes' ids."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrep.cli.nodes import align_labels, id_array, read_labels
from graphrep.cli.tables import read_columns
from graphrep.cli.typed import TypedRows, named_splits
from graphrep.errors import FileFormatError, MissingLabelsError, UnknownNameError

if TYPE_CHECKING:
    from graphrep.data import Graph

__all__ = ["checksum", "edges_of_rows", "labels_of_rows", "split_of_rows", "typed_splits_of_rows"]

Array = np.ndarray[Any, Any]
Split = tuple[Array, Array, Array]
_PARTS = ("train", "val", "test")
_OTHER_NAMES = {"valid": "val", "validation": "val"}


def labels_of_rows(ids: Array, labels: Path | None, graph: Graph | TypedRows | None, source: str | None) -> Array:
    """Classes (N,) with -1 for none, or (N, C) of 0 and 1, of the rows called `ids`.

    Args:
        ids: (N,) names of the rows.
        labels: csv with id,label; goes before the graph's own labels.
        graph: a graph with labels.
        source: what the user calls the graph.

    Raises:
        MissingLabelsError: neither gives a label, or none of them is of a row.
    """
    if labels is not None:
        return align_labels(ids, read_labels(labels), source=str(labels))[0]
    if graph is None:
        raise MissingLabelsError("This protocol needs labels.", hint="--labels FILE.csv or --dataset NAME")
    if graph.y is None:
        raise MissingLabelsError(f"{source} has no labels.", hint="--labels FILE.csv with id,label")
    y = np.asarray(graph.y)
    known = {str(node): row for row, node in enumerate(id_array(graph.ids, graph.num_nodes).tolist())}
    rows = np.array([known.get(str(node), -1) for node in ids.tolist()])
    if (rows < 0).all():
        raise MissingLabelsError(
            f"No node of the embedding is a node of {source}.", hint="--dataset must name the graph that was embedded"
        )
    if y.ndim == 2:
        return np.where((rows >= 0)[:, None], y[rows], 0)
    return np.where(rows >= 0, y[rows], -1)


def edges_of_rows(graph: Graph, ids: Array, source: str) -> Array:
    """(2, E) end points of a graph's edges as row numbers.

    Raises:
        UnknownNameError: an end point is no row.
    """
    names = id_array(graph.ids, graph.num_nodes)
    rows = _places(ids, names)
    edges: Array = rows[np.asarray(graph.edge_index)]
    if edges.size and edges.min() < 0:
        unknown = names[int(np.asarray(graph.edge_index)[edges < 0][0])]
        raise UnknownNameError(
            f'{source} has node "{unknown}", which has no row in the judged file.',
            hint="edges between judged nodes only",
        )
    return edges


def split_of_rows(ids: Array, file: Path | None, graph: Graph | None, source: str | None) -> Split | None:
    """(train, val, test) row numbers from a file, or else from the data set; None where neither has a split.

    A csv, tsv or parquet file has the columns id and part (train, val or test). An npz archive has train_idx, val_idx
    and test_idx, or masks train_mask ..., over the nodes of the data set, or over the rows where none is given.

    Raises:
        FileFormatError: the file has no split.
        UnknownNameError: a node of the split is no row.
    """
    if file is not None:
        columns = read_columns(_existing(file))
        if "part" in columns and "id" in columns:
            return _named_parts(ids, columns, file)
        given = {part: _indices(columns, part) for part in _PARTS}
        origin = str(file)
    elif graph is not None and graph.train_idx is not None:
        found = {part: getattr(graph, f"{part}_idx") for part in _PARTS}
        given = {part: None if index is None else np.asarray(index) for part, index in found.items()}
        origin = str(source)
    else:
        return None
    if given["train"] is None or given["test"] is None:
        raise FileFormatError(
            f"{origin} has no split.", hint="train_idx, val_idx, test_idx in an npz, or a csv with id,part"
        )
    names = ids if graph is None else id_array(graph.ids, graph.num_nodes)
    parts = [np.zeros(0, dtype=np.int64) if index is None else index for index in given.values()]
    for part in parts:
        if part.size and not 0 <= part.min() <= part.max() < len(names):
            raise FileFormatError(
                f"{origin} refers to node {part.max()}, but there are {len(names)}.",
                hint="--dataset must name the graph that was split",
            )
    rows = np.arange(len(ids)) if graph is None else _places(ids, names)
    return _checked(tuple(rows[part] for part in parts), origin)


def typed_splits_of_rows(ids: Array, rows: TypedRows, source: str, *, only: str | None = None) -> dict[str, Split]:
    """The splits of a node type as row numbers, by what follows ``train_`` in their names.

    Args:
        ids: (N,) names of the judged rows.
        rows: the nodes of the type that the splits belong to.
        source: what the user calls the graph.
        only: one of the splits.

    Raises:
        FileFormatError, UnknownNameError: no such split.
        UnknownNameError: a node of a split is no row.
    """
    places = _places(ids, id_array(rows.ids, rows.num_nodes))
    splits = named_splits(rows.graph, source, only=only)
    return {label: _checked(tuple(places[part] for part in split), source) for label, split in splits.items()}


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise FileFormatError(f"There is no file {file}.", hint="an npz with train_idx, val_idx, test_idx, or a csv")
    return file


def _indices(columns: dict[str, Array], part: str) -> Array | None:
    for name in (part, *(other for other, own in _OTHER_NAMES.items() if own == part)):
        if f"{name}_idx" in columns:
            return columns[f"{name}_idx"].astype(np.int64).reshape(-1)
        if f"{name}_mask" in columns:
            return np.flatnonzero(columns[f"{name}_mask"])
    return None


def _named_parts(ids: Array, columns: dict[str, Array], file: Path) -> Split:
    said = [_OTHER_NAMES.get(name, name) for name in (str(part).strip().lower() for part in columns["part"])]
    wrong = sorted(set(said) - {*_PARTS, ""})
    if wrong:
        raise FileFormatError(f'{file} has part "{wrong[0]}".', hint="train, val or test")
    rows, part = _places(ids, columns["id"]), np.asarray(said)
    return _checked(tuple(rows[part == name] for name in _PARTS), str(file))


def _checked(parts: tuple[Array, ...], origin: str) -> Split:
    missing = sum(int((part < 0).sum()) for part in parts)
    if missing:
        raise UnknownNameError(
            f"{missing} nodes of the split in {origin} have no vector.", hint="embed the graph that was split"
        )
    train, val, test = parts
    return train, val, test


def _places(ids: Array, names: Array) -> Array:
    """Row of each name, -1 where there is none."""
    place = {str(node): row for row, node in enumerate(ids.tolist())}
    return np.array([place.get(str(name), -1) for name in names.tolist()], dtype=np.int64)


def checksum(name: str | Path, graph: Graph | TypedRows | None = None) -> dict[str, str]:
    """What identifies an input: the SHA-256 of the file, of a named set's file, or of the graph's arrays."""
    from graphrep.data.cards import card

    path = Path(name)
    if path.is_file():
        with path.open("rb") as file:
            return {"name": str(name), "sha256": hashlib.file_digest(file, "sha256").hexdigest(), "of": "file"}
    try:
        known = card(str(name), kind="hetero" if isinstance(graph, TypedRows) else None).sha256
    except UnknownNameError:
        known = ""
    if known or graph is None:
        return {"name": str(name), "sha256": known, "of": "card"}
    digest = hashlib.sha256()
    for array in _parts_of(graph):
        digest.update(b"-" if array is None else np.ascontiguousarray(array.numpy()).tobytes())
    return {"name": str(name), "sha256": digest.hexdigest(), "of": "edge_index, edge_weight, y"}


def _parts_of(graph: Graph | TypedRows) -> list[Any]:
    if isinstance(graph, TypedRows):
        typed = graph.graph
        return [*typed.edge_index.values(), *(typed.edge_weight.get(key) for key in typed.edge_types), typed.y]
    return [graph.edge_index, graph.edge_weight, graph.y]
