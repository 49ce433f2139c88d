"""Texts of nodes from a file of their own: explanations, summaries, product pages, new nodes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from graphrep.data._node_columns import open_columns
from graphrep.data._parts import as_text
from graphrep.errors import EmptyGraphError, FileFormatError, GraphrepError, UnknownNameError

__all__ = ["NodeTexts", "read_texts"]

_JSON = (".jsonl", ".ndjson", ".json")


class NodeTexts(NamedTuple):
    """What :func:`read_texts` gives.

    Attributes:
        ids: of the nodes, as text, in the order of the file.
        texts: (M,) strings of variable width.
    """

    ids: list[str]
    texts: np.ndarray[Any, Any]

    def of(self, ids: Sequence[Any] | int, *, missing: str = "error") -> np.ndarray[Any, Any]:
        """The texts of given nodes, in their order.

        Args:
            ids: (N,) external ids (``graph.ids``), or N, which means 0..N-1.
            missing: ``"error"``, or ``"empty"``: "" for a node that the file does not name.

        Returns:
            (N,) strings of variable width, as ``Graph(text=...)`` takes them.

        Raises:
            GraphrepError: a node without a text.
            UnknownNameError: the file names a node that is not among `ids`, or another `missing`.
        """
        if missing not in ("error", "empty"):
            raise UnknownNameError(f'missing is "{missing}".', hint='"error" or "empty"')
        names = [str(name) for name in (range(ids) if isinstance(ids, int) else _plain(ids))]
        held = dict(zip(self.ids, self.texts.tolist(), strict=True))
        strangers = held.keys() - set(names)
        if strangers:
            first = next(name for name in self.ids if name in strangers)
            raise UnknownNameError(
                f'The file has texts of {len(strangers)} nodes that the graph does not have ("{first}", ...).',
                hint="ids as in the graph; without ids a graph counts its nodes from 0",
            )
        lacking = [name for name in names if name not in held]
        if lacking and missing == "error":
            raise GraphrepError(
                f'{len(lacking)} of {len(names)} nodes have no text in the file ("{lacking[0]}", ...).',
                hint='missing="empty"',
            )
        found = as_text([held.get(name, "") for name in names], len(names))
        assert found is not None
        return found


def read_texts(path: str | os.PathLike[str], *, id_column: str = "id", text_column: str = "text") -> NodeTexts:
    r"""Reads texts of nodes.

    Args:
        path: a table (csv, tsv, parquet, feather; ``.gz`` for text) whose first row holds the names of its columns, or
            JSON lines (``.jsonl``, ``.ndjson``), one object per node.
        id_column: column or key of the ids.
        text_column: column or key of the texts.

    Raises:
        FileFormatError: no such file or column, a damaged file, a line that is no object, an id that comes twice.
        EmptyGraphError: no rows.
        MissingExtraError: parquet or feather without pyarrow.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "explained.csv"
        >>> _ = file.write_text('id,text\nb,"It cites theory, so: Theory"\na,Rules\n')
        >>> read_texts(file).of(["a", "b"]).tolist()
        ['Rules', 'It cites theory, so: Theory']
    """
    source = Path(path)
    if source.suffix.lower() in _JSON:
        ids, texts = _json_lines(source, id_column, text_column)
    else:
        ids, texts = _columns(source, id_column, text_column)
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice = next(name for name in ids if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise FileFormatError(f'{source.name} names "{twice}" twice.', hint="one text per node")
    found = as_text(texts, len(texts))
    assert found is not None
    return NodeTexts(ids, found)


def _columns(source: Path, id_column: str, text_column: str) -> tuple[list[str], list[str]]:
    table = open_columns(source)
    for name in (id_column, text_column):
        if name not in table.names:
            raise FileFormatError(
                f'{source.name} has no column "{name}"; it has {", ".join(table.names)}.',
                hint="id_column=..., text_column=...",
            )
    columns, _ = table.take([table.names.index(id_column), table.names.index(text_column)], [])
    return columns[0], columns[1]


def _json_lines(source: Path, id_column: str, text_column: str) -> tuple[list[str], list[str]]:
    ids, texts = [], []
    try:
        # Not splitlines: a string may hold U+2028 and the like.
        lines = source.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{source} cannot be read: {error}.", hint="JSON lines in UTF-8") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            name, text = found[id_column], found[text_column]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise FileFormatError(
                f'{source.name}, line {number}: no object with "{id_column}" and "{text_column}" ({error}).',
                hint=f'{{"{id_column}": 0, "{text_column}": "..."}} in each line',
            ) from error
        if not isinstance(text, str) or isinstance(name, bool) or not isinstance(name, str | int):
            raise FileFormatError(
                f'{source.name}, line {number}: "{text_column}" must be text, "{id_column}" text or an integer.'
            )
        ids.append(str(name))
        texts.append(text)
    if not ids:
        raise EmptyGraphError(f"{source.name} holds no texts.", hint="a line per node")
    return ids, texts


def _plain(ids: Any) -> list[Any]:
    return list(ids.tolist() if hasattr(ids, "tolist") else ids)
