"""Reading graphs: the reader for each kind of file, and graphs out of other libraries' objects."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from graphrep.data._bytes import require_file
from graphrep.data._folder_layout import is_typed_folder
from graphrep.data.graph import Graph
from graphrep.data.hetero import HeteroGraph
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, UnknownNameError

__all__ = ["READERS", "as_graph", "open_graph", "open_hetero", "read", "read_networkx"]

_TEXT, _NPZ = "graphrep.data.text:read_edge_list", "graphrep.data.npz:read_npz"
_PARQUET, _FEATHER = "graphrep.data.tables:read_parquet", "graphrep.data.tables:read_feather"
_GRAPHML, _GEXF, _GML = (f"graphrep.data.{kind}:read_{kind}" for kind in ("graphml", "gexf", "gml"))
_JSON, _PT, _OGB = "graphrep.data.json_graph:read_json", "graphrep.interop.pt:read_pt", "graphrep.data.ogb:read_ogb"
_H5AD, _FOLDER = "graphrep.interop.anndata:read_h5ad", "graphrep.data.hetero_folder:read_folder"
READERS: dict[str, str] = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".edges", ".edgelist", ".edge", ".el", ".dat"), _TEXT),
    ".npz": _NPZ,
    **dict.fromkeys((".parquet", ".pq"), _PARQUET),
    **dict.fromkeys((".feather", ".arrow", ".ipc"), _FEATHER),
    ".graphml": _GRAPHML,
    ".gexf": _GEXF,
    ".gml": _GML,
    ".json": _JSON,
    **dict.fromkeys((".pt", ".pth"), _PT),
    ".h5ad": _H5AD,
}
"""Extension -> ``"module:function"``; a reader takes the path and the options that make sense for it."""

_PACKED = (".gz", ".bz2", ".xz")
_COLUMNS = frozenset({"source", "target"})
_OPTIONS: dict[str, frozenset[str]] = {
    _TEXT: _COLUMNS | {"sep", "header", "comment"},
    _NPZ: frozenset({"edges"}),
    _PARQUET: _COLUMNS,
    _FEATHER: _COLUMNS,
}
"""Reader -> the options that only some readers take."""

_MAGIC = {b"PK\x03\x04": _NPZ, b"PAR1": _PARQUET, b"ARRO": _FEATHER}


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
    raw: bool = False,
    fill_nan: float | None = None,
) -> Any:
    r"""Reads a graph from a file.

    Edges are sorted and merged, so that the order of the rows does not matter. In edge lists (text, parquet, feather)
    the nodes are numbered by their sorted ids; the other formats list their nodes, and that order is kept.
    ``graph.report`` tells what was understood.

    Args:
        path: the extension decides, or the first bytes if it says nothing. An edge list: csv, tsv, txt (also .gz, .bz2,
            .xz), parquet, feather, with the columns source, target and perhaps weight. An npz archive: a scipy matrix,
            ``edge_index`` with features and labels, or one of the sets with several kinds of nodes that
            :mod:`graphrep.data.npz_kinds` describes. GraphML, GEXF, GML (with .gz too), networkx's JSON (node-link or
            adjacency): node attributes that are numbers at every node become features, ``y`` the labels. A ``.pt``
            file that holds one PyG ``Data``. AnnData's ``.h5ad``: ``obsp["connectivities"]``, and ``obsm["X_pca"]`` or
            else ``X`` as features. A folder of an OGB data set. A folder with a table for each relation between several
            kinds of nodes, and perhaps a ``graph.toml``, as :mod:`graphrep.data.hetero_folder` describes. Or
            ``nx:karate_club_graph``, a graph that networkx builds.
        sep: separator of a text file; default: found out.
        header: whether the first row holds column names; default: found out.
        source: column of the sources, a number from 0 or a name; default the first.
        target: column of the destinations; default the second.
        weight: column, array (npz) or edge attribute of the weights; default the third column, ``edge_weight``, or
            ``weight``; False ignores weights. Weights of repeated edges are summed, both directions together; but a
            list that holds every edge in both directions with equal weights is taken as it is. Without weights,
            repeats count once.
        comment: lines that begin with one of these characters are skipped; default ``#%``.
        directed: True keeps the direction, False stores both directions; default: what the file states (GraphML, GEXF,
            GML and JSON do, npz archives may), else False.
        keep_self_loops: False drops edges from a node to itself.
        edges: array of an npz archive that holds the edges; default ``edge_index``.
        raw: True keeps every edge in its place: repeats and self-loops stay, and no direction is added, except that
            an edge that the file calls undirected is stored in both. `keep_self_loops` then has no effect.
        fill_nan: number that replaces NaN and infinity in features; default: they are refused.

    Returns:
        A :class:`Graph`; for a folder of relations a :class:`HeteroGraph`; for an archive of another kind that,
        :class:`Interactions`, :class:`LinkSplit` or :class:`KnowledgeGraph`. Integer ids that are exactly 0..N-1 are
        not kept in ``ids``; all others are.

    Raises:
        FileFormatError, EdgeListError, EmptyGraphError: the file is missing, damaged, empty or not a graph; the
            message has the line.
        MissingExtraError: parquet or feather without pyarrow.

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
    reader = _reader(file)
    given: dict[str, Any] = {
        "sep": sep, "header": header, "source": source, "target": target, "comment": comment, "edges": edges,
    }  # fmt: skip
    options = {key: value for key, value in given.items() if value is not None}
    unused = options.keys() - _OPTIONS.get(reader, frozenset())
    if unused:
        key = next(k for k in given if k in unused)
        raise GraphrepError(f"{file.name}: {key} does not apply to this kind of file.", hint=f"leave {key} out")
    return _load(reader)(
        file, weight=weight, directed=directed, keep_self_loops=keep_self_loops, raw=raw, fill_nan=fill_nan, **options
    )


def _reader(file: Path) -> str:
    """The reader for a file, by its extension, else by its first bytes."""
    if file.is_dir():
        return _FOLDER if is_typed_folder(file) else _OGB
    suffixes = [s.lower() for s in file.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    if suffixes and suffixes[-1] in READERS:
        return READERS[suffixes[-1]]
    if suffixes and suffixes[-1] in (".pkl", ".pickle"):
        raise FileFormatError(
            f"{file} is a Python pickle, which graphrep never opens: loading one can run any code.",
            hint=f"one of {' '.join(READERS)}, or graphrep.from_*",
        )
    return _by_content(file) if file.is_file() else _TEXT


def _by_content(file: Path) -> str:
    with file.open("rb") as handle:
        start = handle.read(1024)
    if start[:4] in _MAGIC:
        return _PT if b"/data.pkl" in start[:200] else _MAGIC[start[:4]]
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        return _GEXF if b"<gexf" in text else _GRAPHML
    return _JSON if text.startswith(b"{") else _TEXT


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
    """The graph that a command's first argument means: a file, a folder, or the name of a data set.

    Args:
        spec: path or name; ``nx:NAME`` is built by networkx, ``ogb:ogbn-arxiv`` and ``pyg:Planetoid/Cora`` are data
            sets that OGB or PyG left under the data roots (nothing is downloaded); other objects go through
            :func:`as_graph`.
        data_dir: where named data sets lie, see :func:`graphrep.load`.
        options: of :func:`read`, for files.

    Raises:
        UnknownNameError: neither a file nor a known name.
        DTypeError: the file, the folder or the data set is not a graph with one kind of node.
        FileFormatError: the files of a named data set are not there; the hint says how to get them.
    """
    from graphrep.data.datasets import card, load
    from graphrep.data.ogb import raw_folder

    if not isinstance(spec, str | os.PathLike):
        return as_graph(spec)
    from graphrep.data.coerce import not_a_graph

    text = str(spec)
    if is_typed_folder(Path(text)):
        raise not_a_graph(text, "HeteroGraph")
    if text.startswith("nx:") or Path(text).is_file() or raw_folder(Path(text)) is not None:
        return as_graph(read(text, **options))
    if text.startswith(("ogb:", "pyg:")):
        from graphrep.data.named import find_ogb, find_pyg

        find = find_ogb if text.startswith("ogb:") else find_pyg
        return as_graph(read(find(text[4:], data_dir), **options)).replace(name=text[4:])
    if _has_known_suffix(text) or text.startswith((".", "/", "~")):
        require_file(Path(text))
    entry = card(text)
    if entry.kind != "graph" and options.get("edges") is None:
        raise not_a_graph(f"{entry.full_name}, a data set of kind {entry.kind},", entry.kind)
    given = {key for key, value in options.items() if value not in (None, False)} - {"edges"}
    if given:
        raise GraphrepError(f"{min(given)} applies to files, and {text} is a named data set.", hint="leave it out")
    graph: Graph = load(text, data_dir=data_dir, edges=options.get("edges"))
    return (
        graph.replace(edge_weight=None) if options.get("weight") is False and graph.edge_weight is not None else graph
    )


def open_hetero(spec: Any, *, data_dir: str | os.PathLike[str] | None = None, **options: Any) -> HeteroGraph:
    """The typed graph that a command's argument means: a folder of tables, a file, or the name of a data set.

    Args:
        spec: path or name; a short name means the data set with several kinds of nodes even where another family has
            one of that name (``acm`` is ``hetero/acm`` here); other objects go through :func:`as_hetero`.
        data_dir: where named data sets lie, see :func:`graphrep.load`.
        options: of :func:`graphrep.read`, for folders and files; ``weight=False`` applies to all.

    Raises:
        UnknownNameError: neither a folder or file nor a known name.
        DTypeError: what is there has one kind of node.
        FileFormatError: the files of a named data set are not there; the hint says how to get it.
    """
    from graphrep.data.coerce import as_hetero
    from graphrep.data.datasets import card, load

    if not isinstance(spec, str | os.PathLike):
        return as_hetero(spec)
    text = str(spec)
    if Path(text).exists() or _has_known_suffix(text) or text.startswith((".", "/", "~")):
        if not Path(text).is_dir():
            require_file(Path(text))
        found, name = read(text, **options), text
    else:
        entry = card(text, kind="hetero")
        given = {key for key, value in options.items() if value is not None and value is not False}
        if given:
            raise GraphrepError(f"{min(given)} applies to files, and {text} is a named data set.", hint="leave it out")
        name = f"{entry.full_name}, a data set of kind {entry.kind},"
        found = load(entry.full_name, data_dir=data_dir) if entry.kind == "hetero" else None
    if not isinstance(found, HeteroGraph):
        raise DTypeError(
            f"{name} has no typed nodes and edges.",
            hint="a folder with a table per relation, or a data set of kind hetero: graphrep list datasets",
        )
    return found.replace(edge_weight={}) if options.get("weight") is False else found


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
