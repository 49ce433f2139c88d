"""The --text option: the texts of a graph's nodes, from a table with their ids or from a column of the graph's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from graphrep.cli.nodes import id_array
from graphrep.data.check import grouped
from graphrep.errors import FileFormatError, GraphrepError, MissingFeaturesError, UnknownNameError

if TYPE_CHECKING:
    from graphrep.data import Graph, HeteroGraph
    from graphrep.data._node_rows import NodeRows

__all__ = ["announce_texts", "class_names", "read_texts", "table_of", "with_texts"]

_HINT = "--text nodes.csv:COLUMN, a table with an id and a text for each node"


def with_texts(graph: Graph | HeteroGraph, spec: str | None, source: str) -> tuple[Any, list[str]]:
    """The graph with texts, and sentences on what a user must know.

    Args:
        graph: what was read.
        spec: None: its own texts. ``FILE`` or ``FILE:COLUMN``: a table with a row per node, whose first column or
            column ``id`` has the ids, and whose column ``text`` has the texts unless another is named; nodes that no
            edge names are added, labels (a column ``label``) and splits come along. ``TYPE=FILE[:COLUMN]`` for a
            graph with several kinds of nodes. ``COLUMN``: of the node tables in a folder.
        source: the user's GRAPH.

    Raises:
        MissingFeaturesError: no texts.
        UnknownNameError: no such column or node type.
        FileFormatError: the table is none, or names no node of the graph.
    """
    from graphrep.data import HeteroGraph

    typed = isinstance(graph, HeteroGraph)
    if spec is None:
        if graph.text is None or (typed and not graph.text):
            raise MissingFeaturesError(f"lmgnn needs a text per node and {source} has none.", hint=_HINT)
        return graph, []
    kind, equals, rest = spec.partition("=")
    if equals and not Path(spec).exists():
        if not typed:
            raise GraphrepError(f"--text {spec} names a kind of node, and {source} has one kind.", hint=_HINT)
        return _typed_table(graph, kind, rest)
    table = table_of(spec)
    if table is None:
        return _column(graph, spec, source)
    if typed:
        raise GraphrepError(
            f"{source} has several kinds of nodes: {', '.join(graph.num_nodes)}.",
            hint=f"--text {next(iter(graph.num_nodes))}={spec}",
        )
    return _plain_table(graph, *table)


def table_of(spec: str) -> tuple[Path, str | None] | None:
    """File and column of ``FILE[:COLUMN]``; None where there is no such file."""
    if Path(spec).is_file():
        return Path(spec), None
    file, colon, column = spec.rpartition(":")
    if colon and Path(file).is_file():
        return Path(file), column
    if colon and Path(file).suffix:
        raise FileFormatError(f"--text {spec}: there is no file {file}.", hint=_HINT)
    return None


def read_texts(path: Path, column: str | None, *, kind: str = "node") -> NodeRows:
    """Ids, texts, labels and splits of a table.

    Raises:
        UnknownNameError: no such column.
        MissingFeaturesError: none was named, and the table has no column ``text``.
        FileFormatError, EmptyGraphError, GraphrepError: not a table with a row per node.
    """
    from graphrep.data._folder_layout import NodeTable
    from graphrep.data._node_rows import read_nodes

    rows = read_nodes(kind, NodeTable(path, text=column, features=False))
    if rows.text is None:
        from graphrep.data._node_columns import open_columns

        names = open_columns(path).names
        raise MissingFeaturesError(
            f"{path.name} has no column called text; it has {', '.join(names)}.", hint=f"{path}:{names[-1]}"
        )
    return rows


def class_names(spec: str | None) -> list[str] | None:
    """What the classes are called in the table of --text, by their numbers; None where they are numbers there too."""
    from graphrep.data._folder_layout import NodeTable
    from graphrep.data._node_columns import open_columns
    from graphrep.data._node_rows import _Roles

    table = None if spec is None else table_of(spec.partition("=")[2] if "=" in spec else spec)
    if table is None:
        return None
    columns = open_columns(table[0])
    roles = _Roles.find(columns, "node", NodeTable(table[0], text=table[1], features=False))
    if len(roles.labels) != 1:
        return None
    written = sorted({word for word in columns.take(list(roles.labels), [])[0][0] if word})
    return None if all(word.lstrip("-").isdigit() for word in written) else written


def _plain_table(graph: Graph, path: Path, column: str | None) -> tuple[Graph, list[str]]:
    rows = read_texts(path, column)
    assert rows.text is not None
    ids = id_array(graph.ids, graph.num_nodes)
    known = {str(name): place for place, name in enumerate(ids.tolist())}
    names = [str(name) for name in rows.ids.tolist()]
    found = np.array([known.get(name, -1) for name in names], dtype=np.int64)
    if (found < 0).all():
        raise FileFormatError(
            f"No node of the graph is in {path.name}: its ids look like {names[0]}, those of the graph like {ids[0]}.",
            hint="ids as in the edge list",
        )
    more = np.flatnonzero(found < 0)
    found[more] = graph.num_nodes + np.arange(len(more))
    bigger = _grown(graph, ids, [names[place] for place in more])
    texts = np.full(bigger.num_nodes, "", dtype=object)
    texts[found] = rows.text
    notes = []
    if len(more):
        notes.append(f"{grouped(len(more))} nodes of {path.name} have no edge, and are added without one.")
    without = graph.num_nodes - int((found < graph.num_nodes).sum())
    if without:
        there = set(names)
        some = ", ".join([str(name) for name in ids.tolist() if str(name) not in there][:3])
        notes.append(f"{grouped(without)} nodes of the edges, such as {some}, are not in {path.name}: no text.")
    return bigger.replace(text=texts.tolist(), **_labels(bigger, rows, found)), notes


def _grown(graph: Graph, ids: Any, more: Sequence[str]) -> Graph:
    """The graph with further nodes without edges; its features and labels are gone if there are some."""
    from graphrep.data import Graph

    if not more:
        return graph
    together = [*map(str, ids.tolist()), *more] if ids.dtype.kind not in "iu" else [*ids.tolist(), *map(_whole, more)]
    return Graph(
        graph.edge_index, graph.edge_weight, num_nodes=graph.num_nodes + len(more), ids=together, name=graph.name
    )  # fmt: skip


def _whole(name: str) -> int:
    try:
        return int(name)
    except ValueError:
        raise FileFormatError(
            f'The ids of the edges are integers, and the table has "{name}".', hint="the same ids in both"
        ) from None


def _labels(graph: Graph, rows: NodeRows, found: Any) -> dict[str, Any]:
    """Labels and splits of the table, in the order of the graph's nodes."""
    changes: dict[str, Any] = {}
    if rows.y is not None and graph.y is None:
        y = torch.as_tensor(np.asarray(rows.y))
        if y.dim() == 1:
            full = torch.full((graph.num_nodes,), -1, dtype=torch.int64)
            full[torch.from_numpy(found)] = y.long()
            changes["y"] = full
    for name in ("train", "val", "test"):
        if name in rows.splits:
            changes[f"{name}_idx"] = torch.from_numpy(np.sort(found[np.asarray(rows.splits[name], dtype=bool)]))
    return changes


def _typed_table(graph: HeteroGraph, kind: str, spec: str) -> tuple[HeteroGraph, list[str]]:
    if kind not in graph.num_nodes:
        raise UnknownNameError(f'There is no node type "{kind}".', hint=" | ".join(graph.num_nodes))
    table = table_of(spec)
    if table is None:
        raise FileFormatError(f"--text {kind}={spec}: there is no file {spec}.", hint=f"--text {kind}=table.csv:COLUMN")
    rows = read_texts(*table, kind=kind)
    texts, missing = _placed(rows, id_array(graph.ids.get(kind), graph.num_nodes[kind]), table[0].name)
    notes = [f"{grouped(missing)} nodes of {kind} are not in {table[0].name}; their text is empty."] if missing else []
    return _retexted(graph, {**graph.text, kind: texts}), notes


def _placed(rows: NodeRows, ids: Any, name: str) -> tuple[list[str], int]:
    assert rows.text is not None
    given = dict(zip(map(str, rows.ids.tolist()), rows.text, strict=True))
    texts = [given.get(str(node), "") for node in ids.tolist()]
    missing = sum(str(node) not in given for node in ids.tolist())
    if missing == len(texts):
        raise FileFormatError(f"No node of the graph is in {name}.", hint="ids as in the edges")
    return texts, missing


def _column(graph: Graph | HeteroGraph, column: str, source: str) -> tuple[Any, list[str]]:
    """Texts of a column of the node tables in a folder; ``text`` is what the graph has anyway."""
    from graphrep.data import HeteroGraph
    from graphrep.data._folder_layout import folder_layout
    from graphrep.data._node_columns import open_columns
    from graphrep.data._node_rows import read_nodes

    if column == "text" and graph.text is not None and len(graph.text):
        return graph, []
    if not (isinstance(graph, HeteroGraph) and Path(source).is_dir()):
        raise GraphrepError(
            f'--text "{column}" is no file, and {source} has no table of nodes with such a column.', hint=_HINT
        )
    found: dict[str, Any] = {}
    for kind, table in folder_layout(Path(source)).nodes.items():
        if table.file is not None and column in open_columns(table.file).names:
            wanted = dataclasses.replace(table, text=column, label=False, features=False)
            found[kind] = read_nodes(kind, wanted).text
    if not found:
        raise UnknownNameError(f'No table of nodes in {source} has a column "{column}".', hint=_HINT)
    return _retexted(graph, {**graph.text, **found}), []


def _retexted(graph: HeteroGraph, text: dict[str, Any]) -> HeteroGraph:
    from graphrep.data import HeteroGraph

    return HeteroGraph(
        dict(graph.edge_index), dict(graph.edge_weight), dict(graph.x), graph.y, num_nodes=dict(graph.num_nodes),
        target=graph.target, ids=dict(graph.ids), splits=dict(graph.splits), text=text, name=graph.name,
        metapaths=graph.metapaths,
    )  # fmt: skip


def announce_texts(graph: Graph | HeteroGraph) -> list[str]:
    """A line per kind of node: how many texts, how long, how many are empty."""
    by_type = graph.text if isinstance(graph.text, dict) or not hasattr(graph.text, "dtype") else {"": graph.text}
    lines = []
    for kind, texts in by_type.items():
        words = np.array([text.count(" ") + 1 if text.strip() else 0 for text in texts.tolist()])
        empty = int((words == 0).sum())
        told = f"; {grouped(empty)} are empty" if empty else ""
        of = f"of {kind}: " if kind else ""
        size = f"{words.mean():.0f} words on average, {grouped(int(words.max()))} at most"
        lines.append(f"  texts {of}{grouped(len(words))}, {size}{told}")
    return lines
