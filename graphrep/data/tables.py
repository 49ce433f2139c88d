"""Edge tables in Arrow's formats: parquet and feather, read batch by batch, written in one pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from graphrep.data._bytes import require_file
from graphrep.data._finish import Cleaning, finish
from graphrep.data._int_ids import number_integers
from graphrep.data._layout import choose_columns
from graphrep.data._names import Names
from graphrep.data.graph import Graph
from graphrep.data.rows import node_table
from graphrep.errors import (
    EdgeListError,
    EmptyGraphError,
    FileFormatError,
    GraphrepError,
    MissingExtraError,
    NonFiniteError,
)

__all__ = [
    "arrow", "arrow_columns", "arrow_names", "is_arrow", "read_feather", "read_parquet", "write_parquet",
    "write_parquet_of_nodes",
]  # fmt: skip

_BATCH = 1 << 20
_INT64 = 2**63 - 1


def arrow(doing: str) -> Any:
    """The package pyarrow; `doing` begins the sentence of the error where it is not installed."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            f"{doing} needs pyarrow, which is not installed.", hint='pip install "graphrep[parquet]"'
        ) from error
    return pyarrow


def read_parquet(path: Path, **options: Any) -> Graph:
    """Reads a parquet table of edges, one row group after the other; :func:`graphrep.read` has the arguments.

    Raises:
        MissingExtraError: no pyarrow.
        FileFormatError: not a parquet file, or a damaged one.
        EdgeListError: a missing id or weight, with its row, or columns of another type.
    """
    return _read(path, "parquet", _open_parquet, **options)


def read_feather(path: Path, **options: Any) -> Graph:
    """Reads a feather (Arrow IPC) table of edges, one batch after the other; errors as :func:`read_parquet`."""
    return _read(path, "feather", _open_feather, **options)


def is_arrow(path: Path) -> bool:
    """Whether the name of a file is that of a parquet or feather table."""
    return path.suffix.lower() in _OPENERS


def arrow_names(path: Path) -> list[str]:
    """The names of a table's columns; errors as :func:`read_parquet`."""
    kind, opener = _OPENERS[path.suffix.lower()]
    pa = arrow(f"Reading {kind}")
    require_file(path)
    with _damage(path, kind), pa.OSFile(str(path), "rb") as file:
        return [str(name) for name in opener(pa, file)[0].names]


def arrow_columns(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """All columns by name: numbers as they are, with NaN where one is missing, everything else as objects.

    Raises:
        FileFormatError: not such a file, a damaged one, or two columns of one name.
        MissingExtraError: no pyarrow.
    """
    kind, opener = _OPENERS[path.suffix.lower()]
    pa = arrow(f"Reading {kind}")
    require_file(path)
    with _damage(path, kind), pa.OSFile(str(path), "rb") as file:
        schema, batches = opener(pa, file)
        if len(set(schema.names)) < len(schema.names):
            raise FileFormatError(f"{path.name} has several columns of one name.", hint="rename them")
        table = pa.Table.from_batches(list(batches(list(schema.names))), schema=schema)
        return {str(name): _as_numpy(pa, table[name]) for name in schema.names}


def _as_numpy(pa: Any, column: Any) -> np.ndarray[Any, Any]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    flat = column.cast(kind)
    if _is_number(pa, kind):
        if column.null_count:
            flat = flat.cast(pa.int8() if pa.types.is_boolean(kind) else kind).cast(pa.float64())
        numbers: np.ndarray[Any, Any] = flat.to_numpy()
        return numbers
    return np.array([*flat.to_pylist(), None], dtype=object)[:-1]  # lists of one length must not become a matrix


def _open_parquet(pa: Any, file: Any) -> tuple[Any, Any]:
    found = pa.parquet.ParquetFile(file, pre_buffer=False)

    def batches(columns: list[str]) -> Iterator[Any]:
        yield from found.iter_batches(_BATCH, columns=columns, use_threads=False)

    return found.schema_arrow, batches


def _open_feather(pa: Any, file: Any) -> tuple[Any, Any]:
    start = file.read(6)
    file.seek(0)
    if start == b"ARROW1":
        found = pa.ipc.open_file(file)
        parts = (found.get_batch(i) for i in range(found.num_record_batches))
    else:
        found = pa.ipc.open_stream(file)
        parts = iter(found)

    def batches(_: list[str]) -> Iterator[Any]:
        for part in parts:
            part.validate(full=True)  # offsets of a damaged file would point anywhere
            yield part

    return found.schema, batches


_OPENERS: dict[str, tuple[str, Any]] = {
    **dict.fromkeys((".parquet", ".pq"), ("parquet", _open_parquet)),
    **dict.fromkeys((".feather", ".arrow", ".ipc"), ("feather", _open_feather)),
}


def _read(
    path: Path,
    kind: str,
    opener: Any,
    *,
    source: int | str | None = None,
    target: int | str | None = None,
    weight: int | str | bool | None = None,
    **cleaning: Any,
) -> Graph:
    pa = arrow(f"Reading {kind}")
    require_file(path)
    with _damage(path, kind):
        file = pa.OSFile(str(path), "rb")
        schema, batches = opener(pa, file)
        names = list(schema.names)
    with contextlib.closing(file):
        if len(names) < 2:
            raise EdgeListError(f"{path.name} has {len(names)} columns.", hint="source, target and perhaps a weight")
        wanted = choose_columns(names, source=source, target=target, weight=weight)
        if len(set(names)) < len(names):
            raise EdgeListError(f"{path.name} has several columns of one name.", hint="rename them")
        edges = _Edges(pa, path.name, [names[c] for c in wanted], [schema.field(c).type for c in wanted])
        with _damage(path, kind):
            for batch in batches(edges.columns):
                edges.add(batch)
    numbers, ids, weights = edges.numbered()
    numbered = ids.dtype.kind != "U" and ids[0] == 0 and ids[-1] == len(ids) - 1
    return finish(
        path.name, "edge table", (numbers[0], numbers[1]), weights, len(ids), Cleaning(**cleaning),
        weight_name=edges.columns[2] if weights is not None else None,
        facts={"columns": tuple(edges.columns), "header": True, "text_ids": ids.dtype.kind == "U"},
        ids=None if numbered else ids if ids.dtype.kind == "U" else torch.from_numpy(ids),
    )  # fmt: skip


@contextlib.contextmanager
def _damage(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except GraphrepError:
        raise
    except Exception as error:  # a damaged file may fail anywhere inside pyarrow
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(
            f"{path} is not a readable {kind} file: {text[:200]}.", hint="the file may be cut off; copy it again"
        ) from error


class _Edges:
    """Collects the batches of a table: integers as they are, text as numbers of its distinct strings."""

    def __init__(self, pa: Any, name: str, columns: list[str], types: list[Any]) -> None:
        self.pa, self.name, self.columns, self.rows = pa, name, columns, 0
        values = [t.value_type if pa.types.is_dictionary(t) else t for t in types]
        for column, kind in zip(columns[:2], values[:2], strict=True):
            if not (pa.types.is_integer(kind) or _is_text(pa, kind)):
                floats = pa.types.is_floating(kind)
                raise EdgeListError(
                    f'{name}: column "{column}" holds {kind}; ids are integers or text.',
                    hint="missing values made it float? astype('Int64')"
                    if floats
                    else "--columns S,T[,W] names others",
                )
        if len(columns) > 2 and not _is_number(pa, values[2]):
            raise EdgeListError(
                f'{name}: the weight column "{columns[2]}" holds {values[2]}, not numbers.',
                hint="--no-weight to ignore that column",
            )
        self.text = not all(pa.types.is_integer(t) for t in values[:2])
        self.ends: tuple[list[Any], list[Any]] = ([], [])
        self.weights: list[Any] = []
        self.names = Names(pa)

    def add(self, batch: Any) -> None:
        """Takes over one batch of rows."""
        batch = batch.select(self.columns)
        for k, which in enumerate(("source", "target")):
            column = batch.column(k)
            self._no_nulls(column, which)
            self.ends[k].append(self._text(column, which) if self.text else self._integers(column, which))
        if len(self.columns) > 2:
            self.weights.append(self._numbers(batch.column(2)))
        self.rows += batch.num_rows

    def numbered(self) -> tuple[Any, Any, Any]:
        """Numbers (2, rows) int32, sorted ids, weights (rows,) or None."""
        if self.rows == 0:
            raise EmptyGraphError(f"{self.name} has no rows.", hint="one edge per row: source, target[, weight]")
        weights = np.concatenate(self.weights) if self.weights else None
        ends = np.stack([np.concatenate(part) for part in self.ends])
        self.ends = ([], [])
        if not self.text:
            numbers, ids = number_integers(ends)
            return numbers, ids, weights
        rank, ids = self.names.sorted(self.name)
        return rank[ends], ids, weights

    def _no_nulls(self, column: Any, which: str) -> None:
        if column.null_count:
            row = self.rows + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise EdgeListError(
                f"{self.name}, row {row} (from 0): the {which} is missing.", hint="drop the rows with missing values"
            )

    def _integers(self, column: Any, which: str) -> Any:
        values = column.cast(column.type.value_type) if self.pa.types.is_dictionary(column.type) else column
        numbers = values.to_numpy(zero_copy_only=False)
        if numbers.dtype == np.uint64 and numbers.size and int(numbers.max()) > _INT64:
            row = self.rows + int(np.argmax(numbers > _INT64))
            raise EdgeListError(
                f"{self.name}, row {row} (from 0): the {which} is {int(numbers.max())}; ids end at 2^63 - 1.",
                hint="store such ids as text",
            )
        return numbers.astype(np.int64)

    def _text(self, column: Any, which: str) -> Any:
        numbers, empty = self.names.numbers(column)
        if empty.size:
            raise EdgeListError(
                f"{self.name}, row {self.rows + int(empty[0])} (from 0): the {which} is empty.",
                hint="remove the row or fill it in",
            )
        return numbers

    def _numbers(self, column: Any) -> Any:
        self._no_nulls(column, "weight")
        values = column.cast(self.pa.float64()).to_numpy(zero_copy_only=False)
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise NonFiniteError(
                f"{self.name}, row {self.rows + int(bad[0])} (from 0): the weight is {values[bad[0]]}.",
                hint="remove the row, or --no-weight",
            )
        return values


def _is_text(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def write_parquet(graph: Graph, file: IO[bytes]) -> None:
    """Writes the columns source, target and, for a weighted graph, weight; a row per stored entry."""
    pa = arrow("Writing parquet")
    ids = _id_array(pa, graph)
    with_weight = graph.edge_weight is not None
    fields = [("source", ids.type), ("target", ids.type)]
    weights = None if graph.edge_weight is None else graph.edge_weight.detach()
    if weights is not None:
        weights = weights if weights.dtype == torch.float64 else weights.float()
        fields.append(("weight", pa.from_numpy_dtype(weights.numpy().dtype)))
    schema = pa.schema(fields)
    with pa.parquet.ParquetWriter(file, schema) as writer:
        for start in range(0, graph.num_edges, _BATCH):
            part = slice(start, start + _BATCH)
            columns = [ids.take(pa.array(end[part].numpy())) for end in graph.edge_index]
            if with_weight and weights is not None:
                columns.append(pa.array(weights[part].numpy()))
            writer.write_table(pa.table(columns, schema=schema))


def write_parquet_of_nodes(graph: Graph, file: IO[bytes]) -> None:
    """Writes one row per node: id, labels and features as float32 columns."""
    pa = arrow("Writing parquet")
    ids = _id_array(pa, graph)
    blocks, titles = node_table(graph)
    schema = pa.schema([("id", ids.type), *((title, pa.float32()) for title in titles)])
    with pa.parquet.ParquetWriter(file, schema) as writer:
        row = 0
        for block in blocks:
            columns = [ids.slice(row, len(block)), *(pa.array(np.ascontiguousarray(c)) for c in block.T)]
            writer.write_table(pa.table(columns, schema=schema))
            row += len(block)


def _id_array(pa: Any, graph: Graph) -> Any:
    if graph.ids is None:
        return pa.array(np.arange(graph.num_nodes, dtype=np.int64))
    if isinstance(graph.ids, torch.Tensor):
        return pa.array(graph.ids.numpy())
    try:
        return pa.array(graph.ids.tolist(), type=pa.string())
    except UnicodeEncodeError as error:
        raise GraphrepError(f"An id is not valid text: {error}.", hint="format='npz'") from error
