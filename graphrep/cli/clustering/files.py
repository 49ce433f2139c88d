"""The files of a clustering: a row per node as csv, parquet or AnnData, and the vectors."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.clustering.details import Certainty
from graphrep.cli.clustering.inputs import is_h5ad
from graphrep.cli.tables import arrow, file_kind
from graphrep.data.write import atomic_write
from graphrep.errors import FileFormatError, GraphrepError, UnknownNameError
from graphrep.registry import suggest

__all__ = ["FORMATS", "check_target", "choose_target", "write_clusters"]

Array = np.ndarray[Any, Any]
FORMATS = {"csv": (".csv",), "tsv": (".tsv",), "parquet": (".parquet", ".pq"), "h5ad": (".h5ad",)}
_COLUMNS = ("id", "cluster", "confidence", "second", "margin")
_LINES = 100_000  # rows of text put together at once


def choose_target(out: str | None, kind: str | None, name: str, source: str | None) -> tuple[Path, str]:
    """Where the clusters go and in which format.

    Args:
        out: what was asked for.
        kind: the format that was asked for.
        name: short name of the graph.
        source: the graph as it was given.

    Raises:
        UnknownNameError: no such format, or a file name that stands for none.
        GraphrepError: AnnData for an input that is none.
    """
    if kind is not None and kind not in FORMATS:
        raise UnknownNameError(f'Unknown format "{kind}".{suggest(kind, FORMATS)}', hint="--format csv | parquet")
    from_cells = source is not None and is_h5ad(source)
    if out is None:
        kind = kind or ("h5ad" if from_cells else "csv")
        path = Path(f"{name}.clusters{FORMATS[kind][0]}")
    else:
        path = Path(out)
        told = next((k for k, endings in FORMATS.items() if path.suffix.lower() in endings), None)
        if told is None and kind is None:
            raise UnknownNameError(
                f'{path}: no format is known for "{path.suffix}".', hint="a name that ends in .csv, .tsv or .parquet"
            )
        kind = kind or told
    assert kind is not None
    if kind == "h5ad" and not from_cells:
        raise GraphrepError(
            "AnnData is written for an input of AnnData, whose cells it repeats.", hint="--out clusters.csv"
        )
    return path, kind


def check_target(path: Path, kind: str, source: str | None) -> None:
    """Refuses a file that must not be replaced, or cannot be written, before any work.

    A table of clusters, as this command writes it, is replaced.

    Raises:
        GraphrepError: the graph itself, something else than clusters, or no such folder.
        MissingExtraError: parquet without pyarrow.
    """
    if not path.absolute().parent.is_dir():
        raise GraphrepError(f"There is no folder {path.parent} to write into.", hint=f"mkdir -p {path.parent}")
    if path.is_dir():
        raise GraphrepError(f"{path} is a folder; a file name is needed.", hint=f"{path / 'clusters.csv'}")
    if kind == "parquet":
        arrow()
    if not path.exists():
        return
    if source is not None and Path(source).exists() and path.samefile(source):
        raise GraphrepError(f"{path} is the graph itself; it would be overwritten.", hint="another name with --out")
    if not _ours(path, kind):
        raise GraphrepError(
            f"{path} exists and holds no clusters; it would be overwritten.", hint="another name with --out"
        )


def _ours(path: Path, kind: str) -> bool:
    """Whether an existing file is a clustering that an earlier run wrote."""
    if path.stat().st_size == 0:
        return True
    if kind == "h5ad":
        import h5py

        try:
            with h5py.File(path) as file:
                return "graphrep" in file.get("uns", ())
        except OSError:
            return False
    try:
        return file_kind(path) == "clusters"
    except FileFormatError:
        return False


def write_clusters(
    path: Path,
    kind: str,
    ids: Array,
    labels: Array,
    sure: Certainty | None,
    *,
    vectors: Any = None,
    source: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Writes a row per node: id, cluster, and with `sure` confidence, second and margin; the file appears complete.

    Args:
        path: where to.
        kind: csv, tsv, parquet or h5ad.
        ids: (N,) names of the nodes.
        labels: (N,) clusters.
        sure: how sure they are.
        vectors: (N, d), which only AnnData holds beside the clusters.
        source: the file of AnnData whose cells are repeated.
        settings: plain values, kept by parquet and AnnData.
    """
    if kind == "h5ad":
        _write_h5ad(path, str(source), labels, sure, vectors, settings)
        return
    with atomic_write(path) as file:
        if kind == "parquet":
            pa = arrow()
            columns: dict[str, Any] = {"id": ids.tolist() if ids.dtype.kind == "U" else ids, "cluster": labels}
            if sure is not None:
                columns |= {
                    "confidence": pa.array(sure.confidence, from_pandas=True),
                    "second": pa.array(sure.second, mask=sure.second < 0),
                    "margin": pa.array(sure.margin, from_pandas=True),
                }
            pa.parquet.write_table(pa.table(columns).replace_schema_metadata(_text(settings)), file)
            return
        file.write(("\t" if kind == "tsv" else ",").join(_COLUMNS[: 5 if sure is not None else 2]).encode() + b"\n")
        for start in range(0, len(labels), _LINES):
            text = io.StringIO()
            writer = csv.writer(text, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n")
            writer.writerows(_rows(slice(start, start + _LINES), ids, labels, sure))
            file.write(text.getvalue().encode("utf8"))


def _text(settings: Mapping[str, Any] | None) -> dict[str, str]:
    import json

    return {"graphrep": json.dumps(dict(settings or {}), sort_keys=True, default=str)}


def _rows(part: slice, ids: Array, labels: Array, sure: Certainty | None) -> Any:
    if sure is None:
        return zip(ids[part].tolist(), labels[part].tolist(), strict=True)
    return (
        (node, label, _number(confidence), second if second >= 0 else "", _number(margin))
        for node, label, confidence, second, margin in zip(
            ids[part].tolist(), labels[part].tolist(), sure.confidence[part].tolist(), sure.second[part].tolist(),
            sure.margin[part].tolist(), strict=True,
        )
    )  # fmt: skip


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _write_h5ad(
    path: Path, source: str, labels: Array, sure: Certainty | None, vectors: Any, settings: Mapping[str, Any] | None
) -> None:
    from graphrep.interop.anndata import open_h5ad, save_h5ad, to_anndata

    cells = open_h5ad(source)
    to_anndata(
        cells,
        labels,
        vectors,
        confidence=None if sure is None else sure.confidence,
        settings=settings or {"by": "graphrep"},
    )
    save_h5ad(path, cells)
