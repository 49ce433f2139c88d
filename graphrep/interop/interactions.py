"""Interactions of users with items as a pandas table, a scipy matrix and PyG's ``HeteroData``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from graphrep.data.interactions import PARTS, Interactions
from graphrep.errors import DTypeError, GraphrepError, UnknownNameError
from graphrep.interop import _frames as frames
from graphrep.interop.pyg import edge_weight_of

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = [
    "interactions_from_pandas",
    "interactions_from_pyg",
    "interactions_from_scipy",
    "interactions_to_pandas",
    "interactions_to_pyg",
]


def interactions_from_pandas(
    frame: Any,
    *,
    user: str = "user",
    item: str = "item",
    weight: str | bool | None = None,
    time: str | bool | None = None,
    part: str | bool | None = None,
    user_ids: Any = None,
    item_ids: Any = None,
) -> Interactions:
    """Interactions from a table with a row each; rows keep their order and repeats stay.

    Args:
        frame: the table.
        user: column of the users, integers or text.
        item: column of the items.
        weight: column of the weights; default ``weight`` if there is one; False ignores it.
        time: column of the times, numbers or dates (which become nanoseconds since 1970); default ``time`` likewise.
        part: column with ``train``, ``val`` and ``test``; default ``part`` likewise.
        user_ids: all user ids in the order of their numbers; default what :func:`interactions_to_pandas` noted, else
            the sorted distinct ones of the column.
        item_ids: likewise.

    Raises:
        UnknownNameError: no such column.
        GraphrepError, DTypeError: ids of another kind, missing values, or an id that is not in `user_ids`.
        MissingExtraError: pandas is not installed.

    Example:
        >>> import pandas as pd
        >>> seen = interactions_from_pandas(pd.DataFrame({"user": ["u", "v", "u"], "item": [7, 7, 9]}))
        >>> seen.user.tolist(), seen.item.tolist(), seen.item_ids.tolist()
        ([0, 1, 0], [0, 0, 1], [7, 9])
    """
    pd = frames.pandas()
    if not isinstance(frame, pd.DataFrame):
        raise DTypeError(f"A {type(frame).__name__} is no table.", hint="a pandas DataFrame with a row per interaction")
    noted = frames.notes(frame)
    numbers, known = [], []
    for column, given, key in ((user, user_ids, "user_ids"), (item, item_ids, "item_ids")):
        values = frames.ids_in(frames.column(frame, column), f'Column "{column}"')
        given = noted.get(key) if given is None else given
        ids = frames.distinct([values]) if given is None else frames.ids_in(given, key)
        numbers.append(frames.place(ids, values, f'Column "{column}"'))
        known.append(ids)
    parts = None
    if part is not False and (part is not None or "part" in frame.columns):
        parts = frames.column(frame, "part" if part in (None, True) else str(part)).tolist()
    return Interactions(
        numbers[0], numbers[1], frames.numbers_in(frame, weight, "weight"), _times(frame, time), part=parts,
        num_users=len(known[0]), num_items=len(known[1]), user_ids=frames.kept_ids(known[0]),
        item_ids=frames.kept_ids(known[1]), name=noted.get("name"),
    )  # fmt: skip


def _times(frame: Any, time: str | bool | None) -> Any:
    if time is False or (time is None and "time" not in frame.columns):
        return None
    name = "time" if time in (None, True) else str(time)
    values = frames.column(frame, name)
    if values.dtype.kind == "M":
        if values.isna().any():
            raise GraphrepError(f'Column "{name}" has rows without a date.', hint="frame.dropna()")
        return values.dt.as_unit("ns").astype("int64").to_numpy()
    return frames.array_of(values, f'Column "{name}"', frames.notes(frame).get("time_dtype"))


def interactions_to_pandas(data: Interactions) -> Any:
    """A table with the columns ``user``, ``item`` and, where there are any, ``weight``, ``time`` and ``part``.

    Users and items are external ids. ``attrs`` note what the columns cannot say, such as items that nobody met.

    Raises:
        MissingExtraError: pandas is not installed.

    Example:
        >>> interactions_to_pandas(Interactions([0, 1], [0, 0], [2.0, 3.0], user_ids=["u", "v"])).to_dict("list")
        {'user': ['u', 'v'], 'item': [0, 0], 'weight': [2.0, 3.0]}
    """
    columns: dict[str, Any] = {}
    noted: dict[str, Any] = {"name": data.name}
    for key, count in (("user", data.num_users), ("item", data.num_items)):
        ids = getattr(data, f"{key}_ids")
        index = getattr(data, key).cpu().numpy()
        columns[key] = index if ids is None else np.asarray(ids)[index]
        noted[f"{key}_ids"] = list(range(count)) if ids is None else ids.tolist()
    for key in ("weight", "time"):
        value = getattr(data, key)
        if value is not None:
            columns[key] = frames.numpy_of(value)
            noted[f"{key}_dtype"] = str(value.dtype).removeprefix("torch.")
    if data.part is not None:
        columns["part"] = np.array(PARTS, dtype=object)[data.part.cpu().numpy()]
    frame = frames.pandas().DataFrame(columns)
    frame.attrs["graphrep"] = noted
    return frame


def interactions_from_scipy(
    matrix: sp.sparray | sp.spmatrix, *, user_ids: Any = None, item_ids: Any = None
) -> Interactions:
    """Interactions from a matrix with a row per user: every stored entry is one, zeros and duplicates too.

    Args:
        matrix: (U, I) real. A matrix whose entries are all 1 gives interactions without weights.
        user_ids: external ids of the rows.
        item_ids: external ids of the columns.

    Raises:
        DTypeError: the entries are not real numbers.

    Example:
        >>> import scipy.sparse as sp
        >>> interactions_from_scipy(sp.csr_array([[0, 2.0], [1.0, 0]]))
        Interactions(2 users, 2 items, 2 rows, weighted)
    """
    from graphrep.interop.scipy import entries

    row, column, weight = entries(matrix)
    return Interactions(
        row, column, weight, num_users=matrix.shape[0], num_items=matrix.shape[1],
        user_ids=user_ids, item_ids=item_ids,
    )  # fmt: skip


def interactions_to_pyg(data: Interactions) -> Any:
    """``HeteroData`` with the node types ``user`` and ``item`` and the edge type (user, rates, item).

    The edges have ``edge_weight``, ``time`` and, for split rows, ``part`` (0, 1, 2) and a mask per part.

    Example:
        >>> interactions_to_pyg(Interactions([0, 1], [0, 0]))["user", "rates", "item"].edge_index.tolist()
        [[0, 1], [0, 0]]
    """
    from torch_geometric.data import HeteroData

    result = HeteroData()
    for key, count in (("user", data.num_users), ("item", data.num_items)):
        result[key].num_nodes = count
        ids = getattr(data, f"{key}_ids")
        if ids is not None:
            result[key].ids = ids
    store = result["user", "rates", "item"]
    store.edge_index = torch.stack([data.user, data.item])
    for name, value in (("edge_weight", data.weight), ("time", data.time), ("part", data.part)):
        if value is not None:
            store[name] = value
    for name in data.parts:
        store[f"{name}_mask"] = data.part == PARTS.index(name)
    if data.name is not None:
        result.name = data.name
    return result


def interactions_from_pyg(
    data: Any, *, edge_type: tuple[str, str, str] | None = None, weight: str | None = None
) -> Interactions:
    """Interactions from one edge type of a ``HeteroData``: its sources are the users, its destinations the items.

    Args:
        data: the ``HeteroData``.
        edge_type: default (user, rates, item), else the only edge type, else the only one whose reverse is not
            there before it.
        weight: attribute of the edges, such as ``rating``; default ``edge_weight`` or an ``edge_attr`` of one column.

    Parts come from the attribute ``part`` or from the masks ``train_mask``, ``val_mask``, ``test_mask``, times from
    ``time``, ids from ``ids`` of the node types.

    Raises:
        UnknownNameError: no such edge type or attribute, or several edge types and no choice.
        GraphrepError: masks that do not put every row in one part.
    """
    store, key = _store(data, edge_type)
    users, items = data[key[0]], data[key[2]]
    if weight is not None and weight not in store:
        raise UnknownNameError(f"Edge type {key} has no attribute {weight}.", hint=", ".join(store.keys()))
    counts = {
        f"num_{what}s": int(nodes["num_nodes"]) if "num_nodes" in nodes else nodes.num_nodes if "x" in nodes else None
        for what, nodes in (("user", users), ("item", items))
    }
    return Interactions(
        store.edge_index[0], store.edge_index[1], store[weight] if weight is not None else edge_weight_of(store),
        store.get("time"), part=_parts_of(store), user_ids=users.get("ids"), item_ids=items.get("ids"),
        name=getattr(data, "name", None), **counts,
    )  # fmt: skip


def _store(data: Any, edge_type: tuple[str, str, str] | None) -> tuple[Any, tuple[str, str, str]]:
    known = list(data.edge_types)
    if edge_type is None:
        usual = [key for key in known if key == ("user", "rates", "item")]
        forward = [key for i, key in enumerate(known) if not any(k[::2] == key[::-2] for k in known[:i])]
        chosen = usual or forward
        if len(chosen) != 1:
            raise UnknownNameError(
                f"The HeteroData has {len(known)} edge types, and edge_type does not say which are the interactions.",
                hint=f"edge_type={chosen[0] if chosen else '(user, rates, item)'}",
            )
        edge_type = chosen[0]
    if tuple(edge_type) not in known:
        raise UnknownNameError(f"The HeteroData has no edge type {edge_type}.", hint=", ".join(map(str, known)))
    return data[edge_type], tuple(edge_type)


def _parts_of(store: Any) -> Any:
    if store.get("part") is not None:
        return store["part"]
    masks = {name: store[f"{name}_mask"] for name in PARTS if store.get(f"{name}_mask") is not None}
    if not masks:
        return None
    rows = torch.stack([mask.long() for mask in masks.values()])
    if not bool((rows.sum(0) == 1).all()):
        raise GraphrepError(
            "The masks do not put every interaction in exactly one part.", hint="Interactions(..., part=)"
        )
    codes = torch.tensor([PARTS.index(name) for name in masks], device=rows.device)
    return (rows * codes[:, None]).sum(0)
