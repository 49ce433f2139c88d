"""Nodes by the names the user knows: finding one, matching two sets of ids, labels from a file."""

from __future__ import annotations

import csv
import difflib
import gzip
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.errors import FileFormatError, MissingLabelsError, UnknownNameError

__all__ = ["align_labels", "find_node", "id_array", "read_labels"]

Array = np.ndarray[Any, Any]
_SIMILAR_AMONG = 200_000  # names looked at for a suggestion; beyond that a typo costs seconds


def id_array(ids: Any, num_nodes: int) -> Array:
    """External ids as a numpy array (N,); None stands for 0..N-1."""
    if ids is None:
        return np.arange(num_nodes)
    return np.asarray(ids.numpy() if hasattr(ids, "numpy") else ids)


def find_node(node: str, ids: Array) -> int:
    """The row of the node that the user calls `node`.

    Raises:
        UnknownNameError: no such node; the message has the closest name, or the range of the ids.

    Example:
        >>> find_node("7", np.array([5, 7, 9])), find_node("bob", np.array(["alice", "bob"]))
        (1, 1)
    """
    if ids.dtype.kind in "iu":
        try:
            wanted: Any = int(node)
        except ValueError:
            wanted = None
        known = f"ids are integers from {ids.min()} to {ids.max()}" if len(ids) else "the file has no rows"
        hint = "give the id as it is in the edge list"
    else:
        wanted = node
        known = _similar(node, ids)
        hint = "names are matched as they are in the edge list; quote those with spaces"
    rows = np.flatnonzero(ids == wanted) if wanted is not None else np.zeros(0, dtype=np.int64)
    if not len(rows):
        raise UnknownNameError(f'No node "{node}" among {len(ids)}: {known}', hint=hint)
    return int(rows[0])


def _similar(node: str, names: Array) -> str:
    folded = node.casefold()
    some = [str(name) for name in names[:_SIMILAR_AMONG]]
    same = [name for name in some if name.casefold() == folded]
    close = (
        same or [n for n in some if folded in n.casefold()] or difflib.get_close_matches(node, some, n=3, cutoff=0.6)
    )
    quoted = [f'"{name}"' for name in close[:3]]
    return f"did you mean {' or '.join(quoted)}?" if quoted else f'names look like "{some[0] if some else ""}".'


def read_labels(path: Path) -> dict[str, list[str]]:
    """Labels of a csv or tsv file with the columns id and label: {id: labels}.

    A first row whose second field is ``label``, ``class`` or ``y`` is a header. Several rows with one id, or several
    labels separated by ``|``, give that node several labels.

    Raises:
        FileFormatError: the file is missing or a row has not two columns.
    """
    try:
        with gzip.open(path, "rt", encoding="utf8") if path.suffix == ".gz" else path.open(encoding="utf8") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise FileFormatError(f"Cannot read labels from {path}: {reason}.", hint="a csv file with id,label") from error
    first = text.partition("\n")[0]
    separator = max(",\t; ", key=first.count)
    found: dict[str, list[str]] = {}
    for number, row in enumerate(csv.reader(text.splitlines(), delimiter=separator), start=1):
        if not row or (number == 1 and len(row) > 1 and row[1].strip().lower() in ("label", "labels", "class", "y")):
            continue
        if len(row) != 2:
            raise FileFormatError(
                f"{path}, line {number}: expected 2 columns (id, label), found {len(row)}.",
                hint="id,label",
            )
        found.setdefault(row[0].strip(), []).extend(label.strip() for label in row[1].split("|") if label.strip())
    return found


def align_labels(ids: Array, labels: dict[str, list[str]], *, source: str) -> tuple[Array, list[str]]:
    """Labels in the order of `ids`, and the names of the classes.

    Returns:
        y: (N,) class numbers with -1 for nodes without a label, or an (N, C) 0/1 matrix where a node has several.

    Raises:
        MissingLabelsError: no id of the file is among `ids`.
    """
    given = [labels.get(str(node), []) for node in ids.tolist()]
    if not any(given):
        raise MissingLabelsError(
            f"None of the {len(labels)} ids in {source} is a node of the embedding.",
            hint=f'ids of the embedding look like "{ids[0] if len(ids) else ""}"',
        )
    classes = sorted({label for row in given for label in row}, key=_natural)
    place = {name: number for number, name in enumerate(classes)}
    if all(len(row) <= 1 for row in given):
        return np.array([place[row[0]] if row else -1 for row in given]), classes
    y = np.zeros((len(given), len(classes)), dtype=np.uint8)
    for row, names in enumerate(given):
        y[row, [place[name] for name in names]] = 1
    return y, classes


def _natural(name: str) -> tuple[bool, float, str]:
    try:
        return (False, float(name), name)
    except ValueError:
        return (True, 0.0, name)
