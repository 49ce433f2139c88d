"""Typed graphs as folders of tables that :mod:`graphrep.data.hetero_folder` reads again."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from graphrep.data._folder_layout import LAYOUT_FILE
from graphrep.data._node_rows import SPLIT_NAME
from graphrep.data.hetero import HeteroGraph
from graphrep.data.tables import arrow
from graphrep.data.toml import dumps
from graphrep.data.write import atomic_write
from graphrep.data.writers import feature_arrays
from graphrep.errors import EmptyGraphError, GraphrepError, UnknownNameError

__all__ = ["write_folder"]

_FORMATS = ("csv", "parquet")
Columns = dict[str, Sequence[Any]]


def write_folder(graph: HeteroGraph, path: str | os.PathLike[str], *, format: str = "csv") -> Path:
    """Writes a table per relation and per node type, features as npz, and ``graph.toml``; the folder appears complete.

    What comes back may differ in this: ids that are all written as integers are integers, splits are sorted, weights
    are float32, several labels are uint8, half precision is float32; csv takes blanks around texts away.

    Args:
        graph: with an edge or more in each relation, and a node or more of each type.
        path: a folder that is not there yet, or empty.
        format: of the tables, ``csv`` or ``parquet``.

    Returns:
        The path.

    Raises:
        UnknownNameError: no such format.
        EmptyGraphError: a relation without edges or a type without nodes, which no table stands for.
        GraphrepError: ids or labels that a table cannot hold, a split of another name than train, val, test or
            train_..., or the folder cannot be written; nothing is left behind.
        MissingExtraError: parquet without pyarrow.

    Example:
        >>> import tempfile, graphrep
        >>> g = HeteroGraph({("p", "pa", "a"): [[0, 1], [0, 0]]}, y=[0, 1], target="p", metapaths=["pap"])
        >>> folder = write_folder(g, tempfile.mkdtemp() + "/small")
        >>> sorted(file.name for file in folder.iterdir())
        ['graph.toml', 'nodes-a.csv', 'nodes-p.csv', 'p-pa-a.csv']
        >>> graphrep.read(folder)
        HeteroGraph(small: 2 p, 1 a; 2 p-pa-a; 2 classes of p; meta-paths pap)
    """
    target = Path(path)
    if format not in _FORMATS:
        raise UnknownNameError(f'A typed graph has no format "{format}".', hint=" or ".join(_FORMATS))
    if target.suffix.lower() in (".npz", ".pt", ".json", ".csv", ".parquet", ".graphml", ".gexf"):
        raise GraphrepError(
            f"A typed graph is written as a folder of tables, not as {target}.", hint=str(target.with_suffix(""))
        )
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise GraphrepError(f"{target} is there already.", hint="a new folder")
    graph = graph.to("cpu")
    files = _Files(format)
    nodes = {key: _nodes(graph, key, files) for key in graph.num_nodes}
    edges = [_edges(graph, edge_type, files) for edge_type in graph.edge_types]
    head = {"name": graph.name, "target": graph.target, "metapaths": list(graph.metapaths) or None}
    layout: dict[str | tuple[str, ...], Any] = {"graph": head, "edges": edges}
    layout |= {("nodes", key): part for key, part in nodes.items()}
    part = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        part.mkdir()
        files.put(part)
        with atomic_write(part / LAYOUT_FILE) as file:
            file.write(dumps(layout).encode())
        if target.exists():
            target.rmdir()
        os.replace(part, target)
    except OSError as error:
        raise GraphrepError(
            f"{target} cannot be written: {error.strerror or error}.", hint=f"mkdir -p {target.parent}, or its rights"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


class _Files:
    """What goes into the folder, by file name."""

    def __init__(self, format: str) -> None:
        self._format = format
        self._tables: dict[str, Columns] = {}
        self._matrices: dict[str, dict[str, Any]] = {}

    def table(self, *parts: str, columns: Columns) -> str:
        """Takes over a table; its file name, of the parts with dashes between."""
        name = self._free("-".join(re.sub(r"[^\w.]+", "_", part) for part in parts), self._format)
        self._tables[name] = columns
        return name

    def matrix(self, *parts: str, arrays: dict[str, Any]) -> str:
        """Takes over the arrays of features; the file name."""
        name = self._free("-".join(re.sub(r"[^\w.]+", "_", part) for part in parts), "npz")
        self._matrices[name] = arrays
        return name

    def _free(self, stem: str, ending: str) -> str:
        used = {name.lower() for name in (*self._tables, *self._matrices)}  # some file systems do not tell case
        names = (f"{stem}{number or ''}.{ending}" for number in range(len(used) + 1))
        return next(name for name in names if name.lower() not in used)

    def put(self, folder: Path) -> None:
        """Writes them."""
        for name, columns in self._tables.items():
            with atomic_write(folder / name) as file:
                (_put_csv if self._format == "csv" else _put_parquet)(columns, file, name)
        for name, arrays in self._matrices.items():
            with atomic_write(folder / name) as file:
                np.savez_compressed(file, **arrays)


def _nodes(graph: HeteroGraph, key: str, files: _Files) -> dict[str, Any]:
    """The table of a type, and what ``graph.toml`` says of it."""
    count = graph.num_nodes[key]
    if not count:
        raise EmptyGraphError(f"There is no node of type {key}, and a table without rows is none.", hint="leave it out")
    columns: Columns = {"id": _ids(graph, key)}
    said: dict[str, Any] = {"id": "id", "label": False, "text": False, "features": False}
    if key == graph.target:
        labels = _labels(graph.y)
        columns |= labels
        if labels:
            said["label"] = list(labels) if len(labels) > 1 else "label"
        columns |= {name: _mask(name, index, count) for name, index in graph.splits.items()}
    if key in graph.text:
        columns["text"], said["text"] = graph.text[key].tolist(), "text"
    if key in graph.x:
        said["features"] = files.matrix("features", key, arrays=feature_arrays(graph.x[key]))
    return {"file": files.table("nodes", key, columns=columns), **said}


def _ids(graph: HeteroGraph, key: str) -> list[Any]:
    ids: list[Any] = graph.ids[key].tolist() if key in graph.ids else list(range(graph.num_nodes[key]))
    if "" in ids:
        raise GraphrepError(
            f"A node of type {key} has an empty id, which tables take for a missing one.", hint="rename"
        )
    return ids


def _labels(y: torch.Tensor | None) -> Columns:
    """One column of classes, or a column of 0 and 1 for each label."""
    if y is None:
        return {}
    if y.dim() == 2 and y.shape[1] > 1 and bool(((y == 0) | (y == 1)).all()):
        return {f"label_{number}": column.long().tolist() for number, column in enumerate(y.T)}
    if y.dim() != 1 or y.is_floating_point():
        raise GraphrepError(
            f"Labels of shape {tuple(y.shape)} and dtype {y.dtype} are no classes, which a table could hold.",
            hint="replace(y=None), or class numbers",
        )
    return {"label": y.tolist()}


def _mask(name: str, index: torch.Tensor, count: int) -> list[int]:
    if not SPLIT_NAME.fullmatch(name):
        raise GraphrepError(f'A split "{name}" has no column.', hint="train, val, test, or train_20 and the like")
    mask = torch.zeros(count, dtype=torch.int64)
    mask[index] = 1
    return mask.tolist()


def _edges(graph: HeteroGraph, edge_type: tuple[str, str, str], files: _Files) -> dict[str, Any]:
    """The table of a relation, and what ``graph.toml`` says of it."""
    index = graph.edge_index[edge_type]
    if not index.shape[1]:
        raise EmptyGraphError(f"The relation {'-'.join(edge_type)} has no edges.", hint="leave it out")
    source, relation, target = edge_type
    ids = [_ids(graph, key) for key in (source, target)]
    columns: Columns = {
        name: [own[node] for node in end.tolist()]
        for name, own, end in zip(("source", "target"), ids, index, strict=True)
    }
    weight = graph.edge_weight.get(edge_type)
    if weight is not None:
        columns["weight"] = weight.detach().float().tolist()
    return {
        "file": files.table(*edge_type, columns=columns),
        "source": source,
        "relation": relation,
        "target": target,
        "source_column": "source",
        "target_column": "target",
        "weight": "weight" if weight is not None else False,
    }


def _put_csv(columns: Columns, file: IO[bytes], name: str) -> None:
    for column in ("id", "source", "target"):
        for value in columns.get(column, ()):
            if isinstance(value, str) and (value != value.strip() or set(value) & set("\n\r\0")):
                raise GraphrepError(
                    f"{name}: the id {value!r} has a line break, or blanks at an end, which text cannot hold.",
                    hint="format='parquet'",
                )
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    text = stream.getvalue()
    if "\0" in text:
        raise GraphrepError(f"{name}: a text holds a NUL, which text files cannot.", hint="format='parquet'")
    file.write(_encoded(text, name))


def _encoded(text: str, name: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise GraphrepError(f"{name}: an id or a text is not valid: {error}.", hint="correct it") from error


def _put_parquet(columns: Mapping[str, Sequence[Any]], file: IO[bytes], name: str) -> None:
    pa = arrow("Writing parquet")
    arrays = {}
    for column, values in columns.items():
        try:
            arrays[column] = pa.array(values, type=pa.float32() if column == "weight" else None)
        except UnicodeEncodeError as error:
            raise GraphrepError(f"{name}: an id or a text is not valid: {error}.", hint="correct it") from error
    pa.parquet.write_table(pa.table(arrays), file)
