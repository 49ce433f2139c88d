"""Interactions written as the archives that :mod:`graphrep.data.npz_kinds` reads."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from graphrep.data.interactions import Interactions
from graphrep.data.write import atomic_write

__all__ = ["write_interactions"]


def write_interactions(data: Interactions, path: str | os.PathLike[str]) -> None:
    """Writes interactions as an npz archive, which appears complete; :func:`graphrep.read` gives them back.

    Rows that are not split are written as the train part. Rows keep their order within each part.

    Args:
        data: what is written.
        path: ends in ``.npz``.

    Raises:
        GraphrepError: the file cannot be written.

    Example:
        >>> import tempfile, graphrep
        >>> file = tempfile.mkdtemp() + "/seen.npz"
        >>> write_interactions(Interactions([0, 1], [0, 0], part=[0, 2], user_ids=["ann", "bob"]), file)
        >>> graphrep.read(file), graphrep.read(file).user_ids.tolist()
        (Interactions(seen: 2 users, 1 items, 2 rows; train 1, test 1), ['ann', 'bob'])
    """
    arrays: dict[str, Any] = {"num_users": np.int64(data.num_users), "num_items": np.int64(data.num_items)}
    for part in data.parts or ("train",):
        rows = data.rows(part if data.part is not None else None)
        columns = {"user": data.user, "item": data.item, "count": data.weight, "time": data.time}
        arrays |= {f"{part}_{name}": np.asarray(c[rows]) for name, c in columns.items() if c is not None}
    for name in ("user_ids", "item_ids"):
        ids = getattr(data, name)
        if ids is not None and np.asarray(ids).dtype.kind == "U":
            words = [str(word).encode() for word in np.asarray(ids).tolist()]
            arrays[f"{name}_bytes"] = np.frombuffer(b"".join(words), np.uint8)
            arrays[f"{name}_offsets"] = np.cumsum([0, *(len(word) for word in words)], dtype=np.int64)
        elif ids is not None:
            arrays[name] = np.asarray(ids)
    with atomic_write(path) as file:
        np.savez_compressed(file, **arrays)
