"""The GRAPH argument: a file, a folder, a data set's name or a networkx generator; and how a graph is announced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphrep.data.check import grouped
from graphrep.errors import FileFormatError, UnknownNameError

if TYPE_CHECKING:
    from graphrep.data import Graph

__all__ = ["announce", "find_graph", "headline", "inside_folder", "short_name"]

_ENDINGS = re.compile(
    r"(\.(csv|tsv|txt|edges|edgelist|npz|parquet|feather|graphml|gexf|gml|json|pt|h5ad|npy|gz))+$", re.IGNORECASE
)


def short_name(graph: str) -> str:
    """A file-safe name for what the user typed.

    Example:
        >>> short_name("data/collab.csv.gz"), short_name("nx:karate_club_graph"), short_name("blogcatalog")
        ('collab', 'karate_club_graph', 'blogcatalog')
    """
    last = Path(graph.rpartition(":")[2]).name
    return re.sub(r"[^\w.-]+", "_", _ENDINGS.sub("", last)) or "graph"


def find_graph(graph: str, *, data_dir: Path | None = None, read: Mapping[str, Any] | None = None) -> Graph:
    """The graph that the user's GRAPH argument stands for; `read` holds the options for text files.

    Raises:
        UnknownNameError: neither a file nor a data set.
        FileFormatError: the file is not a graph, or a folder holds several.
    """
    from graphrep.data.read import open_graph

    return open_graph(inside_folder(graph), data_dir=data_dir, **(read or {}))


def inside_folder(graph: str) -> str:
    """The one graph file in a folder; anything else (a folder of OGB, of relations, without graph files) as it is.

    Raises:
        FileFormatError: the folder holds several.
    """
    from graphrep.data._folder_layout import is_typed_folder
    from graphrep.data.ogb import raw_folder
    from graphrep.data.read import READERS

    if not Path(graph).is_dir() or raw_folder(Path(graph)) is not None or is_typed_folder(Path(graph)):
        return graph
    files = sorted(path for path in Path(graph).iterdir() if READERS.keys() & {s.lower() for s in path.suffixes})
    if len(files) > 1:
        some = ", ".join(path.name for path in files[:4]) + (", ..." if len(files) > 4 else "")
        raise FileFormatError(
            f"The folder {graph} holds {len(files)} graph files: {some}.", hint=f"name one: {files[0]}"
        )
    return str(files[0]) if files else graph


def headline(graph: Graph, name: str) -> str:
    """One line on a graph that did not come from a text file: nodes, edges, features, labels."""
    undirected = graph.is_undirected()
    edges = graph.num_edges
    if undirected:
        edges = (edges + int((graph.edge_index[0] == graph.edge_index[1]).sum())) // 2
    parts = [f"{grouped(graph.num_nodes)} nodes", f"{grouped(edges)} {'edges' if undirected else 'directed edges'}"]
    if graph.edge_weight is not None:
        parts.append("weighted")
    if graph.num_features:
        parts.append(f"{grouped(graph.num_features)} features")
    if graph.y is not None:
        parts.append(f"{grouped(graph.num_classes)} {'labels' if graph.y.dim() == 2 else 'classes'}")
    return f"{name}: {', '.join(parts)}"


def announce(graph: Graph, name: str) -> list[str]:
    """What the program understood: the reader's report for a file, else one line with where the graph is from."""
    from graphrep.data.cards import card

    if graph.report is not None and Path(name).exists():
        lines: list[str] = graph.report.lines()
        return lines
    try:
        source = f"   [{card(name).source.partition(';')[0]}]"
    except UnknownNameError:
        source = ""
    return [headline(graph, name) + source]
