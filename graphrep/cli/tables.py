"""Saved clusters and saved scores: what kind of file it is, and its columns, from csv, tsv, parquet or npz."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.errors import FileFormatError, GraphrepError, MissingExtraError, ShapeError

__all__ = ["arrow", "file_kind", "link_columns", "read_columns", "saved_clusters"]

Array = np.ndarray[Any, Any]
_PARQUET = (".parquet", ".pq")
_KINDS = {"cluster": "clusters", "score": "scores", "pos": "scores"}  # the column that tells


def file_kind(path: Path) -> str:
    """What a file holds: "clusters" (a column cluster), "scores" (score, or pos and neg), else "embeddings".

    A folder holds a "model".

    Raises:
        FileFormatError: the file cannot be read.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return "model"
    if suffix not in (".csv", ".tsv", ".npz", *_PARQUET) or not path.is_file():
        return "embeddings"
    names = _names(path)
    return next((kind for column, kind in _KINDS.items() if column in names), "embeddings")


def _names(path: Path) -> list[str]:
    suffix = path.suffix.lower()
    try:
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return list(archive.files)
        if suffix in _PARQUET:
            return list(arrow().parquet.read_schema(path).names)
        with path.open(encoding="utf8") as stream:
            return _header(stream.readline(), path)
    except GraphrepError:
        raise
    except Exception as error:  # a damaged file may fail anywhere inside numpy, zipfile or pyarrow
        raise FileFormatError(f"{path} cannot be read: {error}.", hint="write it again") from error


def _header(line: str, path: Path) -> list[str]:
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    row = next(csv.reader([line.removeprefix("\ufeff")], delimiter=separator), [])
    return [name.strip().lower() for name in row]


def read_columns(path: Path) -> dict[str, Array]:
    """The columns of a table, or the arrays of an archive, by name; columns of text files stay text.

    Raises:
        FileFormatError: the file is damaged, or a row has another number of fields than the header.
        MissingExtraError: parquet without pyarrow.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        if suffix in _PARQUET:
            table = arrow().parquet.read_table(path)
            return {name: np.asarray(table[name].to_pylist()) for name in table.column_names}
        with path.open(encoding="utf8", newline="") as stream:
            names = _header(stream.readline(), path)
            rows = [row for row in csv.reader(stream, delimiter="\t" if suffix == ".tsv" else ",") if row]
    except GraphrepError:
        raise
    except Exception as error:
        raise FileFormatError(f"{path} cannot be read: {error}.", hint="write it again") from error
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise FileFormatError(
                f"{path}, line {number}: expected {len(names)} columns, found {len(row)}.", hint=",".join(names)
            )
    columns = zip(*rows, strict=True) if rows else [[] for _ in names]
    return {name: np.asarray([field.strip() for field in column]) for name, column in zip(names, columns, strict=True)}


def saved_clusters(path: Path) -> tuple[Array, Array]:
    """Ids (N,) and cluster numbers (N,) of a file with the columns id and cluster; without ids 0..N-1.

    Names of clusters become numbers in their order.

    Raises:
        FileFormatError: no rows, or an id twice.
    """
    columns = read_columns(path)
    clusters = columns["cluster"].reshape(-1)
    ids = columns["id"].reshape(-1) if "id" in columns else np.arange(len(clusters))
    if not len(clusters) or len(ids) != len(clusters):
        raise FileFormatError(f"{path} has {len(ids)} ids and {len(clusters)} clusters.", hint="columns id,cluster")
    if len(np.unique(ids)) < len(ids):
        raise FileFormatError(f"{path} has an id twice.", hint="one row per node")
    return ids, np.unique(clusters, return_inverse=True)[1].reshape(-1)


def link_columns(path: Path) -> tuple[Array, Array]:
    """Scores of positives (n,) and of negatives, (m,) pooled or (n, M) each positive's own.

    Either arrays pos and neg; or columns score and label (1 for a true link); with a column group, each group holds one
    positive and its own negatives, the same number in every group.

    Raises:
        FileFormatError: none of these.
    """
    columns = read_columns(path)
    if "pos" in columns:
        if "neg" not in columns:
            raise FileFormatError(f"{path} has pos and no neg.", hint="arrays pos (n,) and neg (m,) or (n, M)")
        return columns["pos"], columns["neg"]
    score, label = _numbers(columns, "score", path), _numbers(columns, "label", path)
    if score.shape != label.shape or score.ndim != 1 or not np.isin(label, (0.0, 1.0)).all():
        raise FileFormatError(f"{path}: label must be 0 or 1, one for each score.", hint="columns score,label")
    true = label == 1
    if "group" not in columns:
        return score[true], score[~true]
    group = np.unique(columns["group"], return_inverse=True)[1].reshape(-1)
    if group.shape != score.shape:
        raise ShapeError(f"{path}: {len(group)} groups for {len(score)} scores.", hint="columns group,score,label")
    count = int(group.max()) + 1 if len(group) else 0
    positives, negatives = (np.bincount(group[part], minlength=count) for part in (true, ~true))
    if not count or (positives != 1).any() or len(np.unique(negatives)) != 1:
        raise FileFormatError(
            f"{path}: groups have {_range(positives)} positives and {_range(negatives)} negatives.",
            hint="one positive in each group, and as many negatives in all of them",
        )
    order = np.argsort(group, kind="stable")
    own = score[order][~true[order]].reshape(count, -1)
    return score[order][true[order]], own


def _numbers(columns: Mapping[str, Array], name: str, path: Path) -> Array:
    if name not in columns:
        raise FileFormatError(f"{path} has no column {name} ({', '.join(columns)}).", hint="columns score,label")
    try:
        return columns[name].astype(np.float64)
    except ValueError as error:
        raise FileFormatError(f"{path}: column {name} does not hold numbers: {error}.", hint="0.25") from error


def _range(counts: Array) -> str:
    if not len(counts):
        return "no"
    return str(counts.min()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"


def arrow() -> Any:
    """pyarrow, with its parquet module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "Parquet needs pyarrow, which is not installed.", hint='pip install "graphrep[parquet]", or a csv file'
        ) from error
    return pyarrow
