"""Splits as files: npz with an array per part, or csv with a row per node or pair."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.data._archive import Archive
from graphrep.data.split import EdgeSplit, NodeSplit
from graphrep.data.write import atomic_write
from graphrep.errors import FileFormatError, IndexRangeError

__all__ = ["read_link_parts", "write_split"]

_PARTS = ("train", "val", "test")
_OTHER_NAMES = {"valid": "val", "validation": "val", "dev": "val"}
_KINDS = ("pos", "neg", "time")
_COLUMNS = "source,target,part,label"
_EXAMPLE = "train_pos, val_pos, val_neg, test_pos, test_neg"


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


def read_link_parts(path: str | os.PathLike[str], *, ids: Any | None = None) -> dict[str, Any]:
    r"""The arrays of a split of links exactly as they are stored, for :func:`graphrep.data.check_link_split`.

    Args:
        path: an npz archive with ``train_pos``, ``val_pos``, ``test_neg``, ... of shape (2, P), as
            :func:`write_split` makes it; a csv table with columns ``source,target,part`` and perhaps ``label`` (0 for
            negatives) and ``time``; or a folder with an edge list per part: ``train.csv``, ``test.txt``,
            ``test_neg.tsv``, ... Everywhere ``valid`` and ``validation`` mean ``val``.
        ids: (N,) external ids, for tables and folders of ids; default: integers are node numbers, and texts are
            numbered in their sorted order.

    Returns:
        (2, P) arrays by name; ``train_time``, ..., ``num_nodes``, ``directed`` where the file holds them; ``ids`` where
        it holds some, or names nodes that are no numbers.

    Raises:
        FileFormatError: no such file, or no split of links.
        IndexRangeError: an id that is not among `ids`.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "mine.csv"
        >>> _ = target.write_text("source,target,part\nann,bob,train\nbob,cat,test\n")
        >>> read_link_parts(target)["test_pos"].tolist()
        [[1], [2]]
    """
    path = Path(path)
    if path.is_dir():
        found = _from_folder(path, ids)
    elif path.suffix.lower() == ".csv":
        found = _from_table(path, ids)
    else:
        arrays = Archive(path)
        found = {_named(key): arrays[key] for key in arrays if _named(key)}
        found |= {key: arrays[key].item() for key in ("num_nodes", "directed") if key in arrays}
        if "ids" in arrays:
            found["ids"] = arrays["ids"]
    if not any(key.endswith("_pos") for key in found):
        raise FileFormatError(f"{path} holds no links of a split.", hint=_EXAMPLE)
    return found


def _named(key: str) -> str:
    """``valid_pos`` -> ``val_pos``; a part alone means its links; what is no part is empty."""
    part, _, kind = key.partition("_")
    part, kind = _OTHER_NAMES.get(part, part), kind or "pos"
    return f"{part}_{kind}" if part in _PARTS and kind in _KINDS else ""


def _from_table(path: Path, ids: Any | None) -> dict[str, Any]:
    rows: dict[str, list[list[str]]] = {}
    times: dict[str, list[float]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            missing = {"source", "target", "part"} - set(table.fieldnames or ())
            if missing:
                raise FileFormatError(
                    f"{path.name} has no column {sorted(missing)[0]}.", hint="source,target,part,label"
                )
            for row in table:
                negative = (row.get("label") or "1").strip() in ("0", "0.0")
                key = _named(f"{(row['part'] or '').strip()}_{'neg' if negative else 'pos'}")
                if not key:
                    raise FileFormatError(
                        f"{path.name}, line {table.line_num}: part is {row['part']!r}.", hint="train, val or test"
                    )
                rows.setdefault(key, []).append([row["source"] or "", row["target"] or ""])
                if not negative and row.get("time"):
                    times.setdefault(key.replace("pos", "time"), []).append(float(row["time"]))
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{path} is not a table of links: {error}.", hint=_COLUMNS) from error
    found = _numbered({key: np.array(pairs).T for key, pairs in rows.items()}, ids)
    whole = {key: np.array(values) for key, values in times.items()}
    return found | {key: t for key, t in whole.items() if len(t) == found[key.replace("time", "pos")].shape[1]}


def _from_folder(path: Path, ids: Any | None) -> dict[str, Any]:
    from graphrep.data.read import read

    names: dict[str, Any] = {}
    for file in sorted(path.iterdir()):
        key = _named(file.name.split(".")[0])
        if key and not key.endswith("time") and file.is_file():
            graph = read(file, raw=True, weight=False, directed=True)
            own = np.arange(graph.num_nodes) if graph.ids is None else np.asarray(graph.ids)
            if key in names:
                raise FileFormatError(f"{path} holds two files of {key}.", hint="one file for each part")
            names[key] = own[graph.edge_index.numpy()]
    return _numbered(names, ids)


def _numbered(names: dict[str, Any], ids: Any | None) -> dict[str, Any]:
    """Pairs of external ids as pairs of node numbers."""
    texts = {key: part.astype(str) for key, part in names.items()}
    if ids is not None:
        place = {str(name): number for number, name in enumerate(np.asarray(ids).tolist())}
        return {
            key: np.array([[_place(place, name) for name in row] for row in part.tolist()], dtype=np.int64)
            for key, part in texts.items()
        }
    try:
        return {key: part.astype(np.int64) for key, part in texts.items()}
    except ValueError:  # not all of them are integers
        known = np.unique(np.concatenate([part.reshape(-1) for part in texts.values()]))
        return {**{key: np.searchsorted(known, part) for key, part in texts.items()}, "ids": known}


def _place(place: dict[str, int], name: str) -> int:
    if name not in place:
        raise IndexRangeError(
            f"The split names node {name!r}, which the graph has not.", hint="the graph it was made of"
        )
    return place[name]
