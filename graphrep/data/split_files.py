"""Splits as files: npz with an array per part, or csv with a row per node or pair."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.data.split import EdgeSplit, NodeSplit
from graphrep.data.write import atomic_write

__all__ = ["write_split"]

_PARTS = ("train", "val", "test")


def write_split(split: NodeSplit | EdgeSplit, path: str | os.PathLike[str], *, ids: Any | None = None) -> None:
    """Writes a split; the file appears only when it is complete.

    Args:
        split: of nodes or of edges.
        path: ending in ``.csv`` for a table: ``id,part`` for nodes, ``source,target,part,label`` for edges (label 0
            for negatives), and ``time`` for a split by time. Otherwise an npz archive: ``train_idx``, ``val_idx``,
            ``test_idx``, or ``train_pos``, ``train_neg``, ..., with ``num_nodes``, ``seed`` and, for edges,
            ``directed`` and perhaps ``train_time``, ...
        ids: (N,) external ids; the table has them in place of node numbers, the archive in ``ids``.

    Raises:
        GraphrepError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from graphrep.data.split import split_nodes
        >>> target = Path(tempfile.mkdtemp()) / "nodes.csv"
        >>> write_split(split_nodes(3, shares=(1, 0, 0)), target, ids=["a", "b", "c"])
        >>> target.read_text().split()
        ['id,part', 'a,train', 'b,train', 'c,train']
    """
    names = None if ids is None else np.asarray(ids)
    with atomic_write(path) as file:
        if Path(path).suffix.lower() == ".csv":
            file.write(_table(split, names).encode())
        else:
            np.savez_compressed(file, **_arrays(split, names))


def _arrays(split: NodeSplit | EdgeSplit, ids: Any | None) -> dict[str, Any]:
    found: dict[str, Any] = {"num_nodes": np.int64(split.num_nodes), "seed": np.int64(split.seed)}
    for part in _PARTS:
        if isinstance(split, NodeSplit):
            found[f"{part}_idx"] = getattr(split, part).numpy()
        else:
            found |= {f"{part}_pos": getattr(split, part).numpy(), f"{part}_neg": getattr(split, f"{part}_neg").numpy()}
    if isinstance(split, EdgeSplit):
        found["directed"] = np.bool_(split.directed)
        times = {f"{part}_time": getattr(split, f"{part}_time") for part in _PARTS}
        found |= {key: time.numpy() for key, time in times.items() if time is not None}
    return found if ids is None else {**found, "ids": ids}


def _table(split: NodeSplit | EdgeSplit, ids: Any | None) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    names = np.arange(split.num_nodes) if ids is None else ids
    if isinstance(split, NodeSplit):
        rows.writerow(("id", "part"))
        for part in _PARTS:
            rows.writerows((name, part) for name in names[getattr(split, part).numpy()].tolist())
        return text.getvalue()
    timed = split.train_time is not None
    rows.writerow(("source", "target", "part", "label", *(("time",) if timed else ())))
    for part in _PARTS:
        for label, key in ((1, part), (0, f"{part}_neg")):
            ends = names[getattr(split, key).numpy()].T.tolist()
            if not timed:
                rows.writerows((source, target, part, label) for source, target in ends)
                continue
            time = getattr(split, f"{part}_time").tolist() if label else [""] * len(ends)
            rows.writerows((*end, part, label, when) for end, when in zip(ends, time, strict=True))
    return text.getvalue()
