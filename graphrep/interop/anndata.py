"""AnnData, the tables of single-cell analysis: a neighbour graph and coordinates in, clusters and vectors out."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphrep.data import _parts
from graphrep.data._finish import Cleaning, finish
from graphrep.data.graph import Graph
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, MissingExtraError, ShapeError, UnknownNameError
from graphrep.interop.scipy import entries
from graphrep.registry import suggest

__all__ = ["from_anndata", "open_h5ad", "read_h5ad", "save_h5ad", "to_anndata"]

_GRAPH, _COORDINATES = "connectivities", "X_pca"


def _library() -> Any:
    try:
        import anndata
    except ImportError as error:
        raise MissingExtraError(
            ".h5ad files need anndata, which is not installed.", hint='pip install "graphrep[anndata]"'
        ) from error
    return anndata


def from_anndata(
    adata: Any,
    *,
    graph: str = _GRAPH,
    features: str | None = None,
    label: str | None = None,
    weight: bool = True,
    **cleaning: Any,
) -> Graph:
    """A graph from an AnnData object: cells are nodes, ``obsp[graph]`` their links.

    Args:
        adata: an ``anndata.AnnData``.
        graph: key of ``obsp``. Without such a matrix the graph has no edges.
        features: key of ``obsm``; ``"X"``: the matrix itself; default ``X_pca`` if there is one, else ``X``.
        label: column of ``obs`` whose values become class numbers, in the order of their sorted names.
        weight: whether the entries of the matrix are weights.
        cleaning: directed, keep_self_loops, raw, fill_nan, as :func:`graphrep.read` takes them.

    Raises:
        UnknownNameError: no such key.
        DTypeError: the object is no AnnData, or the matrices do not hold real numbers.

    Example:
        >>> import pytest
        >>> anndata, np = pytest.importorskip("anndata"), pytest.importorskip("numpy")
        >>> cells = anndata.AnnData(np.eye(3, dtype=np.float32))
        >>> from_anndata(cells).num_features
        3
    """
    if not hasattr(adata, "obsp") or not hasattr(adata, "obsm"):
        raise DTypeError(f"A {type(adata).__name__} is no AnnData object.", hint="anndata.read_h5ad(path)")
    parts: dict[str, Any] = {"name": None}
    parts["x"], parts["feature_names"] = _features(adata, features)
    parts["ids"] = np.asarray(adata.obs_names, dtype=str)
    if label is not None:
        parts["y"] = label_column(adata, label)[0]
    count = int(adata.n_obs)
    if graph not in adata.obsp:
        if graph != _GRAPH:
            raise UnknownNameError(
                f'obsp has no "{graph}".{suggest(graph, adata.obsp)}', hint=f"one of {_listed(adata.obsp)}"
            )
        edge_index, edge_weight = torch.zeros(2, 0, dtype=torch.int64), None
    else:
        edge_index, edge_weight = _links(adata.obsp[graph], count)
    return finish(
        "AnnData", "AnnData", edge_index, edge_weight if weight else None, count, Cleaning(**cleaning),
        weight_name=f'obsp["{graph}"]', **parts,
    )  # fmt: skip


def _listed(keys: Any) -> str:
    return ", ".join(str(key) for key in list(keys)[:12]) or "none"


def _links(matrix: Any, count: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    import scipy.sparse as sp

    if not sp.issparse(matrix):
        matrix = sp.csr_array(np.asarray(matrix))
    if matrix.shape != (count, count):
        raise ShapeError(f"The neighbour matrix is {matrix.shape[0]} x {matrix.shape[1]} for {count} cells.")
    row, column, weight = entries(matrix)
    return torch.stack([row, column]), weight


def _features(adata: Any, key: str | None) -> tuple[Any, list[str] | None]:
    """(N, F) numbers and the names of the columns."""
    key = key or (_COORDINATES if _COORDINATES in adata.obsm else "X")
    if key == "X":
        if adata.X is None:
            return None, None
        return _real(adata.X, "X"), [str(name) for name in adata.var_names]
    if key not in adata.obsm:
        raise UnknownNameError(f'obsm has no "{key}".{suggest(key, adata.obsm)}', hint=f"one of {_listed(adata.obsm)}")
    x = _real(adata.obsm[key], key)
    stem = key.removeprefix("X_")
    return x, [f"{stem} {column + 1}" for column in range(x.shape[1])]


def _real(matrix: Any, key: str) -> Any:
    """A float32 array, or a sparse CSR tensor."""
    import scipy.sparse as sp

    kind = getattr(matrix, "dtype", np.dtype(object)).kind
    if hasattr(matrix, "to_numpy"):  # a table
        matrix = matrix.to_numpy()
        kind = matrix.dtype.kind
    if kind not in "biuf":
        raise DTypeError(f"{key} does not hold real numbers.", hint="features=, another key of obsm")
    if sp.issparse(matrix):
        rows = matrix.tocsr()
        return _parts.as_features(rows.astype(np.float32))
    return np.ascontiguousarray(matrix, dtype=np.float32)


def label_column(adata: Any, name: str) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Class numbers (N,) of a column of ``obs``, -1 where it is empty, and the names of the classes.

    Raises:
        UnknownNameError: no such column.
    """
    if name not in adata.obs.columns:
        raise UnknownNameError(
            f'obs has no column "{name}".{suggest(name, map(str, adata.obs.columns))}',
            hint=f"one of {_listed(adata.obs.columns)}",
        )
    column = adata.obs[name]
    known = ~np.asarray(column.isna())
    texts = np.asarray(column.astype(str))
    classes, number = np.unique(texts[known], return_inverse=True)
    y = np.full(len(texts), -1, dtype=np.int64)
    y[known] = number
    return y, classes.tolist()


def to_anndata(
    adata: Any,
    labels: Any,
    vectors: Any = None,
    *,
    confidence: Any = None,
    key: str = "graphrep",
    settings: Mapping[str, Any] | None = None,
) -> Any:
    """Puts clusters into an AnnData object, as scanpy's own clusterings do; returns the object.

    Args:
        adata: it is changed: ``obs[key]`` (categories "0", "1", ...), ``obs[key + "_confidence"]``,
            ``obsm["X_" + key]``, ``uns[key]``.
        labels: (N,) clusters.
        vectors: (N, d), or None.
        confidence: (N,), or None.
        key: what the columns are called.
        settings: plain values, kept as JSON.

    Raises:
        ShapeError: another number of rows than cells.
    """
    import pandas as pd

    numbers = np.asarray(labels)
    if numbers.shape != (adata.n_obs,):
        raise ShapeError(f"labels has shape {numbers.shape} for {adata.n_obs} cells.", hint="one label per cell")
    names = [str(value) for value in np.unique(numbers)]
    names.sort(key=int if all(name.lstrip("-").isdigit() for name in names) else str)
    adata.obs[key] = pd.Categorical(numbers.astype(str), categories=names)
    if confidence is not None:
        adata.obs[f"{key}_confidence"] = np.asarray(confidence, dtype=np.float64)
    if vectors is not None:
        rows = np.asarray(vectors, dtype=np.float32)
        if len(rows) != adata.n_obs:
            raise ShapeError(f"vectors has {len(rows)} rows for {adata.n_obs} cells.", hint="one row per cell")
        adata.obsm[f"X_{key}"] = rows
    if settings:
        adata.uns[key] = {"settings": json.dumps(dict(settings), sort_keys=True, default=str)}
    return adata


def open_h5ad(path: str | os.PathLike[str]) -> Any:
    """The AnnData object in a file.

    Raises:
        FileFormatError: no such file, or it is damaged.
        MissingExtraError: anndata is not installed.
    """
    library = _library()
    if not Path(path).is_file():
        raise FileFormatError(f"There is no file {path}.", hint="the path of a .h5ad file")
    try:
        return library.read_h5ad(path)
    except (MemoryError, GraphrepError):
        raise
    except Exception as error:  # a damaged file may fail anywhere inside HDF5 or anndata
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(f"{path} is not a complete .h5ad file: {reason}.", hint="write it again") from error


def read_h5ad(path: Path, *, weight: bool | str | None = None, **cleaning: Any) -> Graph:
    """Reads ``obsp["connectivities"]`` and ``obsm["X_pca"]`` (or ``X``) of a file; :func:`graphrep.read` has the rest.

    Args:
        path: the file.
        weight: key of ``obsp`` in place of "connectivities"; False ignores the weights.
        cleaning: see :func:`graphrep.read`.

    Raises:
        FileFormatError, MissingExtraError: see :func:`open_h5ad`.
    """
    key = weight if isinstance(weight, str) else _GRAPH
    graph = from_anndata(open_h5ad(path), graph=key, weight=weight is not False, **cleaning)
    import dataclasses

    report = None if graph.report is None else dataclasses.replace(graph.report, source=path.name)
    return graph.replace(name=path.name.split(".")[0] or None, report=report)


def save_h5ad(path: str | os.PathLike[str], adata: Any) -> None:
    """Writes an AnnData object; the file appears when it is complete. Texts in `obs` and `var` become plain objects.

    Raises:
        GraphrepError: it cannot be written.
    """
    target = Path(path)
    if not target.absolute().parent.is_dir():
        raise GraphrepError(f"There is no folder {target.parent}.", hint=f"mkdir -p {target.parent}")
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.absolute().parent) as folder:
        part = Path(folder) / target.name
        with _plain_texts():
            for name in ("obs", "var"):
                setattr(adata, name, _storable(getattr(adata, name)))
            adata.write_h5ad(part)
        part.replace(target)


@contextlib.contextmanager
def _plain_texts() -> Iterator[None]:
    """Texts stay Python objects meanwhile: anndata has no form for the text columns of pandas 3."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*infer_string")
        try:
            context = pd.option_context("future.infer_string", False)
        except (KeyError, ValueError):  # a version of pandas without the option
            context = contextlib.nullcontext()
        with context:
            yield


def _storable(table: Any) -> Any:
    """The table with its texts as Python objects."""
    import pandas as pd

    plain = table.copy(deep=False)
    for name in table.columns:
        kind = table[name].dtype
        if isinstance(kind, pd.StringDtype):
            plain[name] = pd.Series(table[name].to_numpy(dtype=object), index=table.index, dtype=object)
        elif isinstance(kind, pd.CategoricalDtype) and isinstance(kind.categories.dtype, pd.StringDtype):
            plain[name] = table[name].cat.rename_categories(pd.Index(list(kind.categories), dtype=object))
    plain.index = pd.Index(list(table.index), dtype=object, name=table.index.name)
    return plain
