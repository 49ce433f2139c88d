"""The nodes of one type out of their table: ids, classes, texts, features and splits."""

from __future__ import annotations

import dataclasses
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphrep.data import _parts, check
from graphrep.data._archive import Archive, read_array
from graphrep.data._folder_layout import MATRICES, NodeTable
from graphrep.data._node_columns import NodeColumns, open_columns
from graphrep.data._rating_fields import ids_of_words
from graphrep.data.npz_kinds import features_of
from graphrep.errors import FileFormatError, GraphrepError, MissingLabelsError, UnknownNameError
from graphrep.registry import suggest

__all__ = ["SPLIT_NAME", "NodeRows", "match", "read_nodes"]

Array = np.ndarray[Any, Any]
_log = logging.getLogger(__name__)
_LABELS = ("label", "labels", "class", "y")
SPLIT_NAME = re.compile(r"(train|val|test)(_\w+)?")
_TRUTH = {"0": False, "false": False, "": False, "1": True, "true": True}


@dataclasses.dataclass(frozen=True, eq=False)
class NodeRows:
    """What a table says about the nodes of one type, a row each.

    Attributes:
        file: the name of the table.
        ids: (N,) int64 or text, distinct.
        y: (N,) class numbers, -1 where none is written, or (N, C) of 0 and 1.
        x: (N, F) features.
        text: (N,) texts.
        splits: by name, (N,) masks.
    """

    file: str
    ids: Array
    y: Any = None
    x: Any = None
    text: list[str] | None = None
    splits: dict[str, Array] = dataclasses.field(default_factory=dict)


def read_nodes(node_type: str, table: NodeTable, *, fill_nan: float | None = None) -> NodeRows:
    """Reads the table of a type, which has a file.

    Raises:
        UnknownNameError: a column that the table does not have.
        NonFiniteError: features that are missing, NaN or infinite, unless `fill_nan` replaces them.
        GraphrepError: an id that is missing or there twice.
        FileFormatError, EmptyGraphError: not a table with rows; the message has the line.
    """
    assert table.file is not None
    columns = open_columns(table.file)
    roles = _Roles.find(columns, node_type, table)
    words, x = columns.take([roles.id, *roles.labels, *roles.texts, *roles.splits.values()], roles.features)
    ids = _ids(words[0], columns.name, columns.names[roles.id])
    cut = 1 + len(roles.labels)
    behind = cut + len(roles.texts)
    splits = {
        name: _mask(column, columns.name, name) for name, column in zip(roles.splits, words[behind:], strict=True)
    }
    features = _finite(torch.from_numpy(x.copy()), fill_nan, columns.name) if x.shape[1] else None
    if isinstance(table.features, Path):
        features = _finite(_own_file(table.features, node_type, table, ids, fill_nan), fill_nan, table.features.name)
    names = [columns.names[place] for place in roles.labels]
    return NodeRows(
        columns.name,
        ids,
        _labels(words[1:cut], columns.name, names),
        features,
        words[cut] if roles.texts else None,
        splits,
    )


@dataclasses.dataclass(frozen=True)
class _Roles:
    """Which column holds what, by numbers from 0."""

    id: int
    labels: tuple[int, ...]
    texts: tuple[int, ...]
    splits: dict[str, int]
    features: tuple[int, ...]

    @classmethod
    def find(cls, columns: NodeColumns, node_type: str, table: NodeTable) -> _Roles:
        lower = [name.strip().lower() for name in columns.names]
        own = ("id", node_type.lower(), f"{node_type.lower()}_id", f"{node_type.lower()}id")
        place = _first(lower, own) if table.id is None else _column(columns, table.id)
        id_place = 0 if place is None else place
        labels = _several(columns, table.label, lower, _LABELS)
        texts = _several(columns, table.text, lower, ("text",))
        chosen = table.features if isinstance(table.features, tuple) else ()
        features = tuple(_column(columns, name) for name in chosen)
        taken = {id_place, *labels, *texts, *features}
        splits = {
            name: at
            for at, name in enumerate(lower)
            if at not in taken and SPLIT_NAME.fullmatch(name) and set(_lower(columns.sample(at))) <= _TRUTH.keys()
        }
        rest = [at for at in range(len(lower)) if at not in taken and at not in splits.values()]
        if table.features is None:
            features = tuple(at for at in rest if columns.holds_numbers(at))
        left = [columns.names[at] for at in rest if at not in features]
        if left:
            _log.info("%s: columns that are no features: %s", columns.name, ", ".join(left[:20]))
        return cls(id_place, labels, texts, splits, features)


def _lower(words: list[str]) -> list[str]:
    return [word.strip().lower() for word in words]


def _first(names: list[str], known: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _column(columns: NodeColumns, name: str) -> int:
    if name not in columns.names:
        raise UnknownNameError(
            f'{columns.name} has no column "{name}".{suggest(name, columns.names)}',
            hint=f"one of {', '.join(columns.names[:12])}",
        )
    return columns.names.index(name)


def _several(columns: NodeColumns, given: Any, lower: list[str], known: tuple[str, ...]) -> tuple[int, ...]:
    """The columns that were named, else the one with a known name, if there is one."""
    if given is False:
        return ()
    if given is None:
        found = _first(lower, known)
        return () if found is None else (found,)
    return tuple(_column(columns, name) for name in ((given,) if isinstance(given, str) else given))


def _ids(words: list[str], file: str, column: str) -> Array:
    if "" in words:
        raise GraphrepError(
            f'{file}: row {words.index("") + 1} has no id in column "{column}".', hint="remove the row or fill it in"
        )
    ids = ids_of_words(words)
    with check.about(file):
        check.check_ids(torch.from_numpy(ids) if ids.dtype.kind == "i" else ids, len(ids), "the table")
    return ids


def _labels(columns: list[list[str]], file: str, names: list[str]) -> Any:
    """Class numbers as they are written, those of the sorted names where they are words; (N, C) of several columns."""
    if not columns:
        return None
    if len(columns) > 1:
        masks = [_mask(column, file, name) for column, name in zip(columns, names, strict=True)]
        return np.stack(masks, axis=1).astype(np.uint8)
    words = columns[0]
    written = sorted({word for word in words if word})
    if not written:
        raise MissingLabelsError(f'{file}: column "{names[0]}" is empty.', hint="label = false")
    classes = ids_of_words(written)
    if classes.dtype.kind == "i":
        return np.array([int(word) if word else -1 for word in words])
    place = {word: number for number, word in enumerate(written)}
    return np.array([place.get(word, -1) for word in words])


def _mask(words: list[str], file: str, name: str) -> Array:
    found = [_TRUTH.get(word.lower()) for word in words]
    if None in found:
        row = found.index(None)
        raise FileFormatError(
            f'{file}, row {row + 1}: "{words[row]}" in column "{name}" is neither 0 nor 1.', hint="0, 1 or nothing"
        )
    return np.array(found, dtype=bool)


def _own_file(path: Path, node_type: str, table: NodeTable, ids: Array, fill_nan: float | None) -> Any:
    """Features beside the table: rows in its order in an npz or npy file, by the ids in a table."""
    if path.suffix.lower() in MATRICES:
        with check.about(path.name):
            x = _matrix(path)
            check.check_rows(int(x.shape[0]), len(ids), "It", f"the table of {node_type}")
        return x
    found = read_nodes(node_type, NodeTable(path, table.id, False, False), fill_nan=fill_nan)
    if found.x is None:
        raise FileFormatError(f"{path.name} has no column of numbers.", hint="a column per feature beside the ids")
    rows = match(found.ids, ids)
    if (rows < 0).any():
        missing = ids[int(np.argmax(rows < 0))].item()
        raise GraphrepError(
            f"{path.name} has no features for {node_type} {missing!r}.", hint="a row for each of the nodes"
        )
    return found.x[torch.from_numpy(rows)]


def _matrix(path: Path) -> Any:
    if path.suffix.lower() == ".npy":
        try:
            with path.open("rb") as file:
                return _parts.as_features(read_array(file, path.stat().st_size))
        except (ValueError, OSError) as error:
            if isinstance(error, GraphrepError):
                raise
            raise FileFormatError(f"It is no npy file of numbers: {error}.", hint="numpy.save(path, x)") from error
    arrays = Archive(path)
    if "indptr" in arrays and {"indices", "data", "shape"} <= arrays.keys():  # of scipy.sparse.save_npz
        if "format" in arrays and arrays["format"].item() not in (b"csr", "csr"):
            raise FileFormatError("It holds a matrix that is not CSR.", hint="scipy.sparse.save_npz(path, x.tocsr())")
        shape = tuple(arrays.integers("shape", 2).tolist())
        return _parts.sparse_features(arrays["indptr"], arrays["indices"], arrays["data"], shape)
    found = features_of(arrays)
    if found is None:
        raise FileFormatError(
            f"It holds no features (arrays: {', '.join(arrays) or 'none'}).", hint="numpy.savez(path, x=x)"
        )
    return found


def _finite(x: torch.Tensor, fill_nan: float | None, file: str) -> torch.Tensor:
    if fill_nan is not None:
        return _parts.fill_non_finite(x, fill_nan)
    with check.about(file):
        check.check_features(x, hint="fill in what is missing, or --fill-nan 0")
    return x


def match(known: Array, wanted: Array) -> Array:
    """Positions in `known` (distinct) of each of `wanted`, -1 for what is not there; integers and text meet as text.

    Example:
        >>> match(np.array([7, 3]), np.array(["3", "7", "4"]))
        array([ 1,  0, -1])
    """
    if known.dtype.kind != wanted.dtype.kind:
        known, wanted = known.astype(np.str_), wanted.astype(np.str_)
    if not len(known):
        return np.full(len(wanted), -1)
    order = np.argsort(known, kind="stable")
    rows = order[np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)]
    return np.where(known[rows] == wanted, rows, -1)
