"""Typed graphs out of a folder of tables: one per relation, and if wanted one per node type.

``graph.toml`` says which table holds what; everything in it but the tables of the edges may be left out::

    [graph]
    target = "paper"                         # whose vectors are wanted; default the type that has labels
    metapaths = ["paper>author>paper"]       # what methods follow; default: proposed from the relations
    name = "library"                         # default the name of the folder

    [nodes.paper]                            # one for each type that has a table
    file = "papers.csv"                      # default nodes-paper.csv if there is one
    id = "doi"                               # default a column id, paper or paper_id, else the first
    label = "topic"                          # default a column label, labels, class or y; a list of 0/1 columns; false
    text = "abstract"                        # default a column text; false
    features = ["year", "pages"]             # default all other columns of numbers; false: none; or a file of its own:
                                             # npz or npy with the rows of the table, or a table with the ids

    [[edges]]                                # one for each relation
    file = "writes.csv"
    source = "author"
    relation = "writes"                      # default author_paper
    target = "paper"
    source_column = "who"                    # default a column called as the type, else the first
    target_column = "what"                   # likewise, else the second
    weight = "share"                         # default the only other column, or one called weight; false: none
    header = true                            # default: found out

Without ``[[edges]]``, or without the file, the names of the tables say it: ``SOURCE-RELATION-TARGET.csv`` or
``SOURCE-TARGET.csv`` for edges, ``nodes-TYPE.csv`` for nodes. Tables are csv or tsv (also .gz, .bz2, .xz), parquet or
feather. The first row of a text holds names, unless there is an integer in it, or an id that comes again below it.

Ids are text or integers, of each type on its own; an edge may name only nodes of the node table, where there is one.
Without one the nodes are the distinct ids in the edges, sorted. The columns ``train``, ``val``, ``test`` (also
``train_20``, ...) of 0 and 1 in the target's table are splits. Classes may be words, and nothing stands for unknown.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.data import check
from graphrep.data._edge_tables import distinct_ids, placed, read_edges
from graphrep.data._folder_layout import LAYOUT_FILE, FolderLayout, folder_layout
from graphrep.data._node_rows import NodeRows, read_nodes
from graphrep.data.check import GraphWarning
from graphrep.data.hetero import HeteroGraph
from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.registry import suggest

__all__ = ["read_folder"]

Array = np.ndarray[Any, Any]


def read_folder(
    folder: Path,
    *,
    weight: bool | str | int | None = None,
    directed: bool | None = None,
    fill_nan: float | None = None,
    **cleaning: bool,
) -> HeteroGraph:
    r"""Reads a typed graph from a folder of tables; the edges are kept as they are listed.

    Args:
        folder: laid out as this module describes.
        weight: False ignores all weights.
        directed: does not apply.
        fill_nan: number that replaces what is missing, NaN or infinite in features; default: it is refused.
        cleaning: other options of :func:`graphrep.read`, without effect: repeats and self-loops of a relation stay.

    Raises:
        FileFormatError: a table that is missing or damaged, or names that do not say what it holds.
        UnknownNameError: no such column, key or node type.
        EmptyGraphError: a table without rows.
        EdgeListError: a row that is no edge.
        NonFiniteError: missing or infinite features or weights.
        GraphrepError: an edge that names a node which the node table lacks, an id that is there twice, labels of
            several types, an option that does not apply.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp())
        >>> _ = (place / "author-writes-paper.csv").write_text("author,paper\nann,p2\nbob,p1\nann,p1\n")
        >>> _ = (place / "nodes-paper.csv").write_text("id,topic,pages\np1,graphs,12\np2,trees,9\n")
        >>> _ = (place / "graph.toml").write_text('[graph]\nname = "small"\n[nodes.paper]\nlabel = "topic"\n')
        >>> g = read_folder(place)
        >>> g
        HeteroGraph(small: 2 paper, 2 author; 3 author-writes-paper; features paper 1; 2 classes of paper)
        >>> g.edge_index["author", "writes", "paper"].tolist(), g.y.tolist(), g.ids["author"].tolist()
        ([[0, 1, 0], [1, 0, 0]], [0, 1], ['ann', 'bob'])
    """
    if directed is not None:
        raise GraphrepError("directed does not apply to a folder of relations.", hint="the edges are taken as listed")
    if weight not in (None, False):
        raise GraphrepError(f"weight={weight!r} does not apply to a folder.", hint=f"weight = ... in {LAYOUT_FILE}")
    layout = folder_layout(folder)
    _warn_unused(layout)
    nodes = {
        key: read_nodes(key, table, fill_nan=fill_nan) for key, table in layout.nodes.items() if table.file is not None
    }
    edges = [read_edges(table, weighted=weight is not False, nodes=nodes) for table in layout.edges]
    named = [key for key in layout.nodes if key in nodes or key not in layout.unused]
    ids = {key: nodes[key].ids if key in nodes else distinct_ids(key, edges) for key in named}
    target = _target(layout, nodes)
    own = nodes.get(target or "")
    with check.about(layout.origin):
        return HeteroGraph(
            {part.table.edge_type: placed(part, ids, nodes) for part in edges},
            {part.table.edge_type: part.weight for part in edges if part.weight is not None},
            {key: rows.x for key, rows in nodes.items() if rows.x is not None},
            None if own is None else own.y,
            num_nodes={key: len(part) for key, part in ids.items()},
            target=target,
            ids={key: part for key, part in ids.items() if not _numbered(part)},
            splits={} if own is None else own.splits,
            text={key: rows.text for key, rows in nodes.items() if rows.text is not None},
            name=layout.name,
            metapaths=layout.metapaths,
        )


def _warn_unused(layout: FolderLayout) -> None:
    used = [key for key in layout.nodes if key not in layout.unused]
    for key in layout.unused:
        text = f"{layout.origin}: no relation names the node type {key}.{suggest(key, used)}"
        warnings.warn(text, GraphWarning, stacklevel=4)


def _numbered(ids: Array) -> bool:
    return ids.dtype.kind == "i" and np.array_equal(ids, np.arange(len(ids)))


def _target(layout: FolderLayout, nodes: Mapping[str, NodeRows]) -> str | None:
    """The type that was named, else the only one with labels.

    Raises:
        UnknownNameError: no such type.
        GraphrepError: several have labels.
    """
    known = list(layout.nodes)
    if layout.target is not None:
        if layout.target not in known:
            raise UnknownNameError(
                f'{layout.origin}: target = "{layout.target}" is no node type.{suggest(layout.target, known)}',
                hint=f"one of {', '.join(known)}",
            )
        return layout.target
    labelled = [key for key, rows in nodes.items() if rows.y is not None]
    if len(labelled) > 1:
        raise GraphrepError(
            f"{layout.origin}: {len(labelled)} node types have labels ({', '.join(labelled)}), and no target is named.",
            hint=f'target = "{labelled[0]}" in [graph] of {LAYOUT_FILE}',
        )
    return labelled[0] if labelled else None
