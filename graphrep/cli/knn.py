"""Lists of nearest nodes: the index of a file, the search with its progress, printing and writing."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrep.cli.console import Console
from graphrep.cli.nodes import id_array
from graphrep.cli.tables import arrow
from graphrep.data.write import atomic_write
from graphrep.errors import GraphrepError, UnknownNameError

if TYPE_CHECKING:
    from graphrep.eval.neighbors import NearestIndex

__all__ = ["check_target", "find_lists", "open_index", "print_lists", "write_lists"]

Array = np.ndarray[Any, Any]
_ENDINGS = (".csv", ".tsv", ".parquet", ".pq", ".npz")
_LINES = 100_000  # rows of text put together at once


def open_index(file: Path, *, metric: str | None, backend: str | None) -> tuple[NearestIndex, Array]:
    """The index of saved embeddings, or a saved index, and the id of each row.

    Raises:
        GraphrepError: a metric or back end other than the saved index's was asked for.
    """
    from graphrep.data.embeddings import load_embeddings
    from graphrep.eval.neighbors import NearestIndex, index

    if file.suffix.lower() == ".safetensors":
        found = NearestIndex.load(file)
        for asked, own, option in ((metric, found.metric, "--metric"), (backend, found.backend, "--backend")):
            if asked not in (None, own, "auto"):
                raise GraphrepError(
                    f"{file} was saved with {option} {own}; {asked} was asked for.", hint="the embeddings"
                )
        return found, id_array(found.ids, len(found))
    saved = load_embeddings(file)
    return index(saved.vectors, metric=metric or "cosine", backend=backend or "exact"), id_array(saved.ids, len(saved))


def find_lists(console: Console, index: NearestIndex, rows: Sequence[int] | None, n: int) -> tuple[Array, Array]:
    """(R, n) row numbers and scores of the nearest others, with a bar on a terminal where all nodes are searched."""
    if rows is not None or console.quiet or not sys.stderr.isatty():
        return index.neighbors(rows, n)
    from rich.console import Console as RichConsole
    from rich.progress import Progress

    with Progress(console=RichConsole(stderr=True), transient=True) as bar:
        task = bar.add_task("nodes", total=len(index))
        return index.neighbors(rows, n, progress=lambda done, total: bar.update(task, completed=done, total=total))


def print_lists(console: Console, queries: Array, names: Array, scores: Array) -> dict[str, Any]:
    """Prints a list for each node; returns what ``--json`` says of them."""
    lists = []
    for query, near, values in zip(queries.tolist(), names.tolist(), scores.tolist(), strict=True):
        if len(queries) > 1:
            console.say(f"{query}:")
        width = max((len(str(name)) for name in near), default=0)
        for rank, (name, value) in enumerate(zip(near, values, strict=True), start=1):
            console.say(f"{rank:>2}  {name!s:<{width}}  {value:.4f}")
        found = [{"rank": r, "id": name, "score": v} for r, (name, v) in enumerate(zip(near, values, strict=True), 1)]
        lists.append({"node": query, "neighbors": found})
    return lists[0] if len(lists) == 1 else {"nodes": lists}


def check_target(path: Path) -> None:
    """Refuses an ending that is no format, or a format that cannot be written, before any work.

    Raises:
        UnknownNameError: no such format.
        MissingExtraError: parquet without pyarrow.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise UnknownNameError(f'{path}: no format is known for "{path.suffix}".', hint=f"one of {', '.join(_ENDINGS)}")
    if path.suffix.lower() in (".parquet", ".pq"):
        arrow()


def write_lists(path: Path, queries: Array, names: Array, scores: Array) -> None:
    """Writes (Q, n) neighbours and scores of each query.

    csv, tsv and parquet have a row per neighbour: id, rank (from 1), neighbor, score; npz holds ids (Q,), neighbors
    (Q, n) and scores (Q, n).
    """
    kind = path.suffix.lower()
    with atomic_write(path) as file:
        if kind == ".npz":
            np.savez(file, ids=queries, neighbors=names, scores=scores)
            return
        many = names.shape[1]
        if kind in (".parquet", ".pq"):
            pa = arrow()
            rank = np.tile(np.arange(1, many + 1), len(queries))
            columns = {
                "id": np.repeat(queries, many),
                "rank": rank,
                "neighbor": names.reshape(-1),
                "score": scores.reshape(-1),
            }
            texts = {name: column.tolist() if column.dtype.kind == "U" else column for name, column in columns.items()}
            pa.parquet.write_table(pa.table(texts), file)
            return
        separator = "\t" if kind == ".tsv" else ","
        file.write(separator.join(("id", "rank", "neighbor", "score")).encode() + b"\n")
        step = max(1, _LINES // max(1, many))
        for start in range(0, len(queries), step):
            text = io.StringIO()
            writer = csv.writer(text, delimiter=separator, lineterminator="\n")
            part = slice(start, start + step)
            for query, near, values in zip(
                queries[part].tolist(), names[part].tolist(), scores[part].tolist(), strict=True
            ):
                writer.writerows(
                    (query, r, name, f"{v:.9g}") for r, (name, v) in enumerate(zip(near, values, strict=True), 1)
                )
            file.write(text.getvalue().encode("utf8"))
