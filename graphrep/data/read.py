"""Reading graphs: the reader for each kind of file, and graphs out of other libraries' objects."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from graphrep.data._bytes import require_file
from graphrep.data.graph import Graph
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, UnknownNameError

__all__ = ["READERS", "as_graph", "open_graph", "read", "read_networkx"]

_TEXT, _NPZ = "graphrep.data.text:read_edge_list", "graphrep.data.npz:read_npz"
READERS: dict[str, str] = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".edges", ".edgelist", ".edge", ".el", ".dat"), _TEXT),
    ".npz": _NPZ,
}
"""Extension -> ``"module:function"``; a reader takes the path and the options that make sense for it."""

_PACKED = (".gz", ".bz2", ".xz")
_TEXT_ONLY = ("sep", "header", "source", "target", "comment")
_NPZ_ONLY = ("edges",)


def read(
    path: str | os.PathLike[str],
    *,
    sep: str | None = None,
    header: bool | None = None,
    source: int | str | None = None,
    target: int | str | None = None,
    weight: int | str | bool | None = None,
    comment: str | None = None,
    directed: bool | None = None,
    keep_self_loops: bool = False,
    edges: str | None = None,
) -> Any:
    r"""Reads a graph from a file.

    Nodes are numbered by their sorted ids and edges are sorted and merged, so that the order of the rows does not
    matter. ``graph.report`` tells what was understood.

    Args:
        path: an edge list (csv, tsv, txt; also .gz, .bz2, .xz) with two or three columns: source, target and weight;
            or an npz archive (a scipy matrix, ``edge_index`` with features and labels, or one of the sets with
            several kinds of nodes that :mod:`graphrep.data.npz_kinds` describes); or
            ``nx:karate_club_graph``, a graph that networkx builds.
        sep: separator of a text file; default: found out.
        header: whether the first row holds column names; default: found out.
        source: column of the sources, a number from 0 or a name; default the first.
        target: column of the destinations; default the second.
        weight: column (text) or array (npz) of the weights; default the third column, or ``edge_weight``; False
            ignores weights. Weights of repeated edges are summed, both directions together; but a list that holds
            every edge in both directions with equal weights is taken as it is. Without weights, repeats count once.
        comment: lines that begin with one of these characters are skipped; default ``#%``.
        directed: True keeps the direction; default False: both directions are stored.
        keep_self_loops: False drops edges from a node to itself.
        edges: array of an npz archive that holds the edges; default ``edge_index``.

    Returns:
        A :class:`Graph`; for an archive of another kind a :class:`HeteroGraph`, :class:`Interactions`,
        :class:`LinkSplit` or :class:`KnowledgeGraph`. Integer ids that are exactly 0..N-1 are not kept in ``ids``;
        all others are.

    Raises:
        FileFormatError, EdgeListError, EmptyGraphError: the file is missing, damaged, empty or not a graph; the
            message has the line.

    Example:
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "friends.csv"
        >>> _ = file.write_text("from,to,times\nann,bob,2\nbob,cat,1\nbob,ann,3\n")
        >>> g = read(file)
        >>> g
        Graph(friends: 3 nodes, 2 edges, undirected, weighted, text ids)
        >>> g.ids.tolist(), g.edge_index.tolist(), g.edge_weight.tolist()
        (['ann', 'bob', 'cat'], [[1, 0, 2, 1], [0, 1, 1, 2]], [5.0, 5.0, 1.0, 1.0])
    """
    if str(path).startswith("nx:"):
        return read_networkx(str(path)[3:])
    file = Path(path)
    target_reader = _reader(file)
    given = {
        "sep": sep, "header": header, "source": source, "target": target, "comment": comment, "edges": edges,
    }  # fmt: skip
    unused = _NPZ_ONLY if target_reader == _TEXT else _TEXT_ONLY
    for key in unused:
        if given.pop(key) is not None:
            raise GraphrepError(f"{file.name}: {key} does not apply to this kind of file.", hint=f"leave {key} out")
    options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    options["directed"] = bool(directed) if target_reader == _TEXT else directed
    return _load(target_reader)(file, weight=weight, keep_self_loops=keep_self_loops, **options)


def _reader(file: Path) -> str:
    """The reader for a file, by its extension, else by its first bytes."""
    suffixes = [s.lower() for s in file.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    if suffixes and suffixes[-1] in READERS:
        return READERS[suffixes[-1]]
    if suffixes and suffixes[-1] in (".parquet", ".feather", ".graphml", ".gml", ".gexf", ".json", ".pkl", ".pt"):
        raise FileFormatError(
            f"{file}: {suffixes[-1]} files are not read yet.", hint=f"one of {' '.join(READERS)}, or graphrep.from_*"
        )
    if file.is_file():
        with file.open("rb") as handle:
            return _NPZ if handle.read(4) == b"PK\x03\x04" else _TEXT
    return _TEXT


def _load(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def read_networkx(name: str) -> Graph:
    """The graph that ``networkx.NAME()`` builds, for generators that need no arguments.

    Raises:
        UnknownNameError: networkx has no such generator.

    Example:
        >>> read_networkx("karate_club_graph").num_nodes
        34
    """
    import inspect

    import networkx as nx

    from graphrep.registry import suggest

    builder = getattr(nx, name, None)
    if not callable(builder) or not getattr(builder, "__module__", "").startswith("networkx.generators"):
        known = [n for n in dir(nx) if getattr(getattr(nx, n), "__module__", "").startswith("networkx.generators")]
        raise UnknownNameError(f'networkx has no graph "{name}".{suggest(name, known)}', hint="nx:karate_club_graph")
    needed = [p.name for p in inspect.signature(builder).parameters.values() if p.default is p.empty and p.kind < 2]
    if needed:
        raise UnknownNameError(
            f"networkx.{name} needs arguments ({', '.join(needed)}).", hint=f"graphrep.from_networkx(nx.{name}(...))"
        )
    return as_graph(builder()).replace(name=name)


def open_graph(spec: Any, *, data_dir: str | os.PathLike[str] | None = None, **options: Any) -> Graph:
    """The graph that a command's first argument means: a file, ``nx:NAME``, or the name of a data set.

    Args:
        spec: path or name; other objects go through :func:`as_graph`.
        data_dir: where named data sets lie, see :func:`graphrep.load`.
        options: of :func:`read`, for files.

    Raises:
        UnknownNameError: neither a file nor a known name.
        DTypeError: the file or the data set is not a graph with one kind of node.
    """
    from graphrep.data.datasets import card, load

    if not isinstance(spec, str | os.PathLike):
        return as_graph(spec)
    text = str(spec)
    if text.startswith("nx:") or Path(text).is_file():
        return as_graph(read(text, **options))
    if text.startswith(("ogb:", "pyg:")):
        raise UnknownNameError(
            f"{text} cannot be loaded by name yet.", hint="load it with that library, then graphrep.from_pyg(data)"
        )
    if _has_known_suffix(text) or text.startswith((".", "/", "~")):
        require_file(Path(text))
    entry = card(text)
    if entry.kind != "graph" and options.get("edges") is None:
        from graphrep.data.coerce import not_a_graph

        raise not_a_graph(f"{entry.full_name}, a data set of kind {entry.kind},", entry.kind)
    given = {key for key, value in options.items() if value not in (None, False)} - {"edges"}
    if given:
        raise GraphrepError(f"{min(given)} applies to files, and {text} is a named data set.", hint="leave it out")
    graph: Graph = load(text, data_dir=data_dir, edges=options.get("edges"))
    return (
        graph.replace(edge_weight=None) if options.get("weight") is False and graph.edge_weight is not None else graph
    )


def _has_known_suffix(text: str) -> bool:
    suffixes = [s.lower() for s in Path(text).suffixes]
    return any(s in READERS or s in _PACKED for s in suffixes)


def as_graph(graph: Any) -> Graph:
    """A Graph from a Graph, PyG ``Data``, (2, E) tensor or array, CSR, scipy matrix, networkx or DGL graph, or table.

    A CSR's rows are destinations; entry (i, j) of a scipy matrix is an edge from i to j.

    Raises:
        DTypeError: an object of another kind.

    Example:
        >>> import networkx as nx
        >>> as_graph(nx.path_graph(3)).edge_index.tolist()
        [[0, 1, 1, 2], [1, 0, 2, 1]]
    """
    if isinstance(graph, Graph):
        return graph
    from graphrep.data.coerce import converted, not_a_graph

    result = converted(graph)
    if isinstance(result, Graph):
        return result
    if result is not None:
        raise not_a_graph(f"A {type(graph).__name__}", type(result).__name__)
    if isinstance(graph, str | os.PathLike):
        raise DTypeError(f"{graph!r} is text, not a graph.", hint="graphrep.read(path), or graphrep.load(name)")
    if type(graph).__name__ == "ndarray" or isinstance(graph, Tensor):
        return Graph(graph)
    raise DTypeError(
        f"A {type(graph).__name__} is not a graph.",
        hint="Graph, PyG Data, edge_index (2, E), CSR, scipy matrix, networkx or DGL graph, pandas table of edges",
    )
