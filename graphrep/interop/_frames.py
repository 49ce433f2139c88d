"""Columns of pandas tables as ids, weights, features, labels and splits, and back.

What a table's columns cannot say (which of them are features, dtypes that numpy lacks, the order of a split) is noted
in ``frame.attrs["graphrep"]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data import _parts
from graphrep.errors import DTypeError, GraphrepError, MissingExtraError, UnknownNameError
from graphrep.interop._splits import SPLITS, as_index, as_mask, order_to_keep

__all__ = [
    "array_of", "column", "distinct", "edge_frame", "features_in", "ids_in", "kept_ids", "labels_in", "node_frame",
    "notes", "numbers_in", "numpy_of", "pandas", "place", "splits_in", "text_in",
]  # fmt: skip


def pandas() -> Any:
    """The library.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("Tables need pandas, which is not installed.", hint="pip install pandas") from error
    return pandas


def notes(frame: Any) -> dict[str, Any]:
    """What :func:`to_pandas` noted about a table."""
    found: dict[str, Any] = frame.attrs.get("graphrep", {})
    return found


def column(frame: Any, name: str) -> Any:
    """A column.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in frame.columns:
        known = ", ".join(str(c) for c in list(frame.columns)[:12])
        raise UnknownNameError(f'The table has no column "{name}".', hint=f"one of {known or 'none'}")
    return frame[name]


def ids_in(values: Any, what: str) -> np.ndarray[Any, Any]:
    """Ids as int64 or text.

    Raises:
        DTypeError: anything else, missing values too.
    """
    array = np.asarray(values)
    if array.dtype.kind in "iu" or (array.size == 0 and array.dtype.kind != "U"):
        return array.astype(np.int64)
    if array.dtype.kind == "O":
        items = array.tolist()
        if all(isinstance(v, str) for v in items):
            return array.astype(str)
        if all(isinstance(v, int) and not isinstance(v, bool) for v in items):
            return array.astype(np.int64)
    if array.dtype.kind != "U":
        raise DTypeError(
            f"{what} holds {array.dtype} with missing or mixed values or numbers that are no ids.",
            hint='.astype("int64"), or .astype(str)',
        )
    return array


def place(ids: np.ndarray[Any, Any], values: np.ndarray[Any, Any], what: str) -> np.ndarray[Any, Any]:
    """(R,) position in `ids` of each value.

    Raises:
        GraphrepError: a value is not among them, or one is the text of a number.
    """
    if ids.dtype.kind != values.dtype.kind and len(values):
        names = {"i": "integers", "U": "text"}
        raise DTypeError(
            f"{what} holds {names[values.dtype.kind]} and the nodes' ids are {names[ids.dtype.kind]}.",
            hint=".astype(str) on both",
        )
    index = pandas().Index(ids)
    if not index.is_unique:
        twice = ids[np.flatnonzero(index.duplicated())[0]].item()
        raise GraphrepError(f"ids must be distinct: {twice!r} occurs more than once.", hint="one row per node")
    found: np.ndarray[Any, Any] = np.asarray(index.get_indexer(values), dtype=np.int64)
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        raise GraphrepError(
            f"{what} has {values[row].item()!r} (row {row}), which is no node.",
            hint="a row of nodes for every end point",
        )
    return found


def distinct(rows: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """The sorted distinct ids.

    Raises:
        DTypeError: some are integers and some text.
    """
    kinds = {row.dtype.kind for row in rows if len(row)}
    if len(kinds) > 1:
        raise DTypeError("Some end points are integers and some are text.", hint=".astype(str) on both columns")
    kept = [row for row in rows if len(row)]
    return np.unique(np.concatenate(kept)) if kept else np.empty(0, dtype=np.int64)


def kept_ids(ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """None for 0..N-1 in order, which need no names."""
    return None if ids.dtype.kind == "i" and np.array_equal(ids, np.arange(len(ids))) else ids


def array_of(values: Any, what: str, dtype: str | None) -> Tensor:
    """Numbers of a column or of several, in a noted dtype.

    Raises:
        DTypeError: no numbers, or missing ones among integers.
    """
    array = np.asarray(values)
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DTypeError(f"{what} holds no numbers: {error}.", hint="pandas.to_numeric") from error
    tensor = _parts.as_tensor(array.astype(np.int64) if array.dtype.kind == "b" else array, what)
    return tensor if dtype is None else tensor.to(getattr(torch, dtype))


def numpy_of(tensor: Tensor) -> np.ndarray[Any, Any]:
    """As numpy; half precision, which tables hardly know, as float32."""
    tensor = tensor.detach().cpu()
    array: np.ndarray[Any, Any] = (
        tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
    ).numpy()
    return array


def numbers_in(frame: Any, name: str | bool | None, default: str) -> Tensor | None:
    """The column `name`; None means `default` if the table has it, False nothing."""
    if name is False or (name is None and default not in frame.columns):
        return None
    chosen = default if name is None or name is True else name
    return array_of(column(frame, chosen), f'Column "{chosen}"', notes(frame).get(f"{default}_dtype"))


def features_in(frame: Any, names: Sequence[str] | None) -> tuple[Any, tuple[str, ...] | None]:
    """(N, F) features and their names; `names` None means those that were noted, if the columns are all there."""
    noted = notes(frame)
    if names is None:
        names = noted.get("features")
        if names is None or not set(names) <= set(frame.columns):
            return None, None
        kept = tuple(names) if noted.get("named") else None
        dtype = noted.get("x_dtype")
    else:
        kept, dtype = tuple(names), None
    for name in names:
        column(frame, name)
    part = frame[list(names)]
    if len(names) and all(isinstance(kind, pandas().SparseDtype) for kind in part.dtypes):
        return part.sparse.to_coo().tocsr(), kept
    return array_of(part, "A column of features", dtype).reshape(len(frame), len(names)), kept


def labels_in(frame: Any, label: str | Sequence[str] | None) -> Tensor | None:
    """(N,) or (N, C) labels; `label` None means what was noted, else ``y``, where these columns are there."""
    noted = notes(frame)
    dtype = None
    if label is None:
        label = noted.get("label", "y")
        names = [label] if isinstance(label, str) else label
        if not set(names or ()) <= set(frame.columns):
            return None
        dtype = noted.get("y_dtype")
    if label is None:
        return None
    if isinstance(label, str):
        return array_of(column(frame, label), f'Column "{label}"', dtype)
    for name in label:
        column(frame, name)
    return array_of(frame[list(label)], "A column of labels", dtype).reshape(len(frame), len(label))


def splits_in(frame: Any) -> dict[str, Tensor]:
    """The splits: boolean columns of the noted names, or ``train``, ``val`` and ``test``."""
    noted = notes(frame)
    found = {}
    for name in noted.get("splits", SPLITS):
        if name in frame.columns and frame[name].dtype.kind == "b":
            index = as_index(torch.from_numpy(frame[name].to_numpy(copy=True)), noted.get("orders", {}).get(name))
            if index is not None:
                found[name] = index
    return found


def text_in(frame: Any) -> list[str] | None:
    """The column ``text`` if it holds strings."""
    if "text" not in frame.columns:
        return None
    texts = frame["text"].tolist()
    return texts if all(isinstance(text, str) for text in texts) else None


def edge_frame(source: Tensor, target: Tensor, weight: Tensor | None, source_ids: Any, target_ids: Any) -> Any:
    """A table with the columns source and target, as ids where there are any, and weight where there is one."""
    columns = {}
    for name, index, ids in (("source", source, source_ids), ("target", target, target_ids)):
        positions = index.cpu().numpy()
        columns[name] = positions if ids is None else np.asarray(ids)[positions]
    noted: dict[str, Any] = {}
    if weight is not None:
        columns["weight"] = numpy_of(weight)
        noted["weight_dtype"] = str(weight.dtype).removeprefix("torch.")
    frame = pandas().DataFrame(columns)
    frame.attrs["graphrep"] = noted
    return frame


def node_frame(
    count: int,
    ids: Any,
    x: Tensor | None,
    y: Tensor | None,
    text: Any,
    splits: Mapping[str, Tensor],
    feature_names: Sequence[str] | None = None,
) -> Any:
    """A table with a row per node.

    Raises:
        GraphrepError: two columns would have the same name.
    """
    pd = pandas()
    index = pd.RangeIndex(count, name="id") if ids is None else pd.Index(np.asarray(ids), name="id")
    noted: dict[str, Any] = {"splits": list(splits)}
    frame = pd.DataFrame(index=index)
    if x is not None:
        names = list(feature_names) if feature_names is not None else [f"x{i}" for i in range(x.shape[1])]
        if x.layout is torch.strided:
            frame = pd.DataFrame(numpy_of(x), index=index, columns=names)
        else:
            frame = pd.DataFrame.sparse.from_spmatrix(_parts.as_scipy(x), index=index, columns=names)
        noted.update(features=names, named=feature_names is not None, x_dtype=str(x.dtype).removeprefix("torch."))
    more: dict[str, Any] = {}
    if y is not None:
        names = ["y"] if y.dim() == 1 else [f"y{i}" for i in range(y.shape[1])]
        more.update(zip(names, np.atleast_2d(numpy_of(y).T), strict=True))
        noted.update(label="y" if y.dim() == 1 else names, y_dtype=str(y.dtype).removeprefix("torch."))
    if text is not None:
        more["text"] = np.array(text.tolist(), dtype=object)
    for name, split in splits.items():
        if name in more:
            raise _same_name(name)
        more[name] = as_mask(split, count).cpu().numpy()
        order = order_to_keep(split)
        if order is not None:
            noted.setdefault("orders", {})[name] = order.tolist()
    columns = [*frame.columns, *more]
    if len(set(columns)) != len(columns):
        raise _same_name(next(name for i, name in enumerate(columns) if name in columns[:i]))
    frame = pd.concat([frame, pd.DataFrame(more, index=index)], axis=1)
    frame.attrs["graphrep"] = noted
    return frame


def _same_name(name: str) -> GraphrepError:
    return GraphrepError(
        f'Two columns of the table of nodes would be called "{name}".', hint="replace(feature_names=None), or others"
    )
