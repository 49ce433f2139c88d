"""Tables with a row per edge of a relation: ids of both ends, each of its own type, and weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.data._bytes import text_bytes
from graphrep.data._folder_layout import LAYOUT_FILE, EdgeTable
from graphrep.data._layout import Sample, find_layout
from graphrep.data._node_rows import NodeRows, match
from graphrep.data._rating_fields import ids_of_words
from graphrep.data.check import grouped
from graphrep.data.tables import arrow_names, is_arrow
from graphrep.errors import EmptyGraphError, GraphrepError

__all__ = ["RelationRows", "distinct_ids", "placed", "read_edges"]

Array = np.ndarray[Any, Any]
_WORDS = {"--no-weight": f"weight = false in {LAYOUT_FILE}", "--columns S,T[,W]": "source_column and target_column"}


@dataclasses.dataclass(frozen=True, eq=False)
class RelationRows:
    """The rows of a relation.

    Attributes:
        table: where they are from.
        ends: ids of the sources (E,) and of the targets (E,), int64 or text.
        weight: (E,) float32, or None.
    """

    table: EdgeTable
    ends: tuple[Array, Array]
    weight: Any

    def of_type(self, node_type: str) -> list[Array]:
        """The columns that hold ids of this type: none, one or both."""
        return [ids for ids, end in zip(self.ends, self.table.ends, strict=True) if end == node_type]


def read_edges(table: EdgeTable, *, weighted: bool, nodes: Mapping[str, NodeRows]) -> RelationRows:
    """Reads the table of a relation.

    Args:
        table: the file and its columns.
        weighted: False leaves weights out.
        nodes: by type the node tables, which tell ids from names of columns.

    Raises:
        EmptyGraphError: no rows.
        EdgeListError, NonFiniteError, UnknownNameError, FileFormatError: as :func:`graphrep.read`.
    """
    with _about_relation(table):
        columns: dict[str, Any] = {"weight": table.weight if weighted else False}
        if is_arrow(table.file):
            columns |= _end_columns(table, arrow_names(table.file))
            return RelationRows(table, *_columns_of(table, columns))
        first = _first_row(table.file)
        columns |= _end_columns(table, first if table.header is not False else [])
        columns["header"] = _has_names(table, first, columns)
        found = RelationRows(table, *_columns_of(table, columns))
        if table.header is None and columns["header"] and _is_edge(first, found, columns, nodes):
            found = RelationRows(table, *_columns_of(table, {**columns, "header": False}))
        return found


@contextmanager
def _about_relation(table: EdgeTable) -> Iterator[None]:
    """Errors of the readers of edge lists in the words of a folder."""
    try:
        yield
    except EmptyGraphError:
        raise EmptyGraphError(
            f"{table.file.name}: the relation {'-'.join(table.edge_type)} is empty, its table has no rows.",
            hint="a row per edge (header = false if the first row is one), or leave the relation out",
        ) from None
    except GraphrepError as error:
        hint = error.hint
        for said, word in _WORDS.items():
            hint = None if hint is None else hint.replace(said, word)
        named = error.message if table.file.name in error.message else f"{table.file.name}: {error.message}"
        raise type(error)(named, hint=hint) from error


def _first_row(path: Path) -> list[str]:
    """The fields of the first row of a text."""
    sample = Sample.take(text_bytes(path), 0, b"#%")
    if not sample.lines:
        raise EmptyGraphError(f"{path.name} has no rows.")
    found = find_layout(sample, sep=None, header=None, source=None, target=None, weight=None)
    return sample.split(*sample.lines[0][:2], found.separator)


def _end_columns(table: EdgeTable, names: list[str]) -> dict[str, Any]:
    """The columns that were named; else those that are called as their types, as far as there are such."""
    given = {"source": table.source, "target": table.target}
    chosen: dict[str, Any] = {role: column for role, column in given.items() if column is not None}
    if table.ends[0] == table.ends[1]:
        return chosen
    lower = [name.strip().lower() for name in names]
    for role, node_type in zip(given, table.ends, strict=True):
        own = (node_type.lower(), f"{node_type.lower()}_id", f"{node_type.lower()}id")
        found = [name for name, small in zip(names, lower, strict=True) if small in own]
        if role not in chosen and len(found) == 1:
            chosen[role] = found[0]
    return chosen


def _has_names(table: EdgeTable, first: list[str], columns: Mapping[str, Any]) -> bool:
    """Whether the first row of a text holds names; unless something says so, it does where no integer is in it."""
    if table.header is not None:
        return table.header
    if any(isinstance(column, str) for column in columns.values()):
        return True
    return not any(field.lstrip("-").isdigit() for field in first[:2])


def _is_edge(first: list[str], found: RelationRows, columns: Mapping[str, Any], nodes: Mapping[str, NodeRows]) -> bool:
    """Whether what was taken for names of columns are ids: one is in the table of its type, or comes again below."""
    if any(isinstance(column, str) for column in columns.values()):
        return False
    places = (columns.get("source", 0), columns.get("target", 1))
    for place, ids, node_type in zip(places, found.ends, found.table.ends, strict=True):
        known = nodes[node_type].ids if node_type in nodes else ids
        if match(known, np.array([first[place]]))[0] >= 0:
            return True
    return False


def _columns_of(table: EdgeTable, columns: dict[str, Any]) -> tuple[tuple[Array, Array], Any]:
    """Ids of the sources and of the targets, row for row, and weights or None."""
    from graphrep.data.read import read

    graph = read(table.file, raw=True, directed=True, **columns)
    ids = np.arange(graph.num_nodes) if graph.ids is None else np.asarray(graph.ids)
    source, target = (_narrowed(ids, end.numpy()) for end in graph.edge_index)
    return (source, target), graph.edge_weight


def _narrowed(ids: Array, rows: Array) -> Array:
    """The ids of one column: integers if all of them are, even where those of the other column are text."""
    if ids.dtype.kind != "U":
        return ids[rows]
    used, place = np.unique(rows, return_inverse=True)
    return ids_of_words(ids[used].tolist())[place.reshape(-1)]


def distinct_ids(node_type: str, relations: Sequence[RelationRows]) -> Array:
    """The ids of a type that the relations name, sorted; text if those of one relation are."""
    columns = [column for rows in relations for column in rows.of_type(node_type)]
    if len({column.dtype.kind for column in columns}) > 1:
        columns = [column.astype(np.str_) for column in columns]
    return np.unique(np.concatenate(columns))


def placed(relation: RelationRows, ids: Mapping[str, Array], owners: Mapping[str, NodeRows]) -> Array:
    """(2, E) numbers of the nodes.

    Args:
        relation: the rows.
        ids: by type the ids of its nodes.
        owners: by type the tables of nodes.

    Raises:
        GraphrepError: an id that the table of its type does not have.
    """
    ends = []
    for column, node_type in zip(relation.ends, relation.table.ends, strict=True):
        rows = match(ids[node_type], column)
        lost = np.flatnonzero(rows < 0)
        if lost.size:
            file = owners[node_type].file
            raise GraphrepError(
                f"{relation.table.file.name}: {node_type} {column[lost[0]].item()!r} (row {lost[0] + 1}) is not in "
                f"{file}; {grouped(lost.size)} of {grouped(len(column))} rows name such nodes.",
                hint=f"a row in {file} for every {node_type}, or no table of {node_type} at all",
            )
        ends.append(rows)
    return np.stack(ends)
