"""What links are predicted from: a graph, with or without a split of the user's own, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphrep.cli.data.times import edge_times
from graphrep.cli.graphs import announce, find_graph, short_name
from graphrep.data.check import grouped
from graphrep.data.graph import Graph
from graphrep.data.leaks import check_link_split
from graphrep.data.links import LinkSplit
from graphrep.data.split_files import read_link_parts
from graphrep.errors import EmptyGraphError, GraphrepError, UnknownNameError

__all__ = ["Inputs", "open_links", "split_of_parts"]

_HELD = ("val_pos", "val_neg", "test_pos", "test_neg")


@dataclass(frozen=True)
class Inputs:
    """What was read.

    Attributes:
        graph: all links; of a given split, the training links.
        given: the split that the user gave, or the data set is.
        times: (E,) of the entries of the graph, for a split by time.
        name: short, for files.
        lines: what was understood, for people.
        notes: sentences on what a user must know.
    """

    graph: Graph
    given: LinkSplit | None
    times: Any
    name: str
    lines: list[str]
    notes: list[str] = field(default_factory=list)


def open_links(
    spec: str | None,
    *,
    split: str | None = None,
    split_by: str | None = None,
    time: str | None = None,
    data_dir: Any = None,
    read: Mapping[str, Any] | None = None,
    allow_leak: bool = False,
) -> Inputs:
    """Reads what GRAPH and --split stand for.

    Args:
        spec: a file, a folder or a name; None where the split says it all.
        split: file or folder of a split.
        split_by: ``random`` or ``time``.
        time: column, array or file with the times of the edges.
        data_dir: root of named data sets.
        read: options of the reader of text files.
        allow_leak: a leaky split is only told of.

    Raises:
        LeakySplitError: the split leaks.
        EmptyGraphError: no edges.
        GraphrepError: no graph, no split, times that are missing or not wanted.
    """
    if split_by not in (None, "random", "time"):
        raise UnknownNameError(f'--split-by "{split_by}" is unknown.', hint="random | time")
    if (split_by == "time") != (time is not None):
        what = "--split-by time needs the times of the edges." if time is None else "--time is for --split-by time."
        raise GraphrepError(what, hint="--split-by time --time COLUMN")
    if split is not None and split_by is not None:
        raise GraphrepError("The links are split already: --split-by has no effect.", hint="--split FILE alone")
    if split is not None:
        return _given(Path(split), spec, data_dir, read or {}, allow_leak)
    assert spec is not None
    if _is_split(spec):
        return _given(Path(spec), None, data_dir, {}, allow_leak)
    if (known := _named_split(spec, data_dir)) is not None:
        return _checked(known, short_name(spec), [f"{spec}: {known!r}"], allow_leak)
    options = dict(read or {})
    times = None
    if time is not None:
        times = edge_times(spec, time, sep=options.get("sep"))
        options |= {"raw": True, "weight": False, "directed": True}  # every edge in its place, beside its time
    graph = find_graph(spec, data_dir=data_dir, read=options)
    if not graph.num_edges:
        raise EmptyGraphError(f"{spec} has no edges: there is no link to learn from.", hint="a graph with edges")
    notes = []
    if time is None and not graph.is_undirected():
        notes.append("The edges have directions, which play no part: a link is one in either direction.")
    if graph.edge_weight is not None:
        notes.append("The edges have weights, which play no part.")
    return Inputs(graph, None, times, short_name(spec), announce(graph, spec), notes)


def _is_split(spec: str) -> bool:
    """Whether a file holds arrays of a split."""
    if Path(spec).suffix.lower() != ".npz" or not Path(spec).is_file():
        return False
    from graphrep.data._archive import Archive

    return {"train_pos", "test_pos"} <= Archive(Path(spec)).keys()


def _named_split(spec: str, data_dir: Any) -> LinkSplit | None:
    from graphrep.data.cards import card
    from graphrep.data.datasets import load

    if Path(spec).exists():
        return None
    try:
        if card(spec).kind != "link split":
            return None
    except UnknownNameError:
        return None
    found: LinkSplit = load(spec, data_dir)
    return found


def _given(path: Path, spec: str | None, data_dir: Any, read: Mapping[str, Any], allow_leak: bool) -> Inputs:
    graph = None if spec is None else find_graph(spec, data_dir=data_dir, read=read)
    parts = read_link_parts(path, ids=None if graph is None else graph.ids)
    name = short_name(spec or path.name.replace(".split", ""))
    if graph is not None:
        parts["num_nodes"] = graph.num_nodes
        parts.setdefault("train_pos", graph.edge_index.numpy())
    found = split_of_parts(parts, path, graph, name, allow_leak=allow_leak)
    lines = [] if graph is None else announce(graph, str(spec))
    return _checked(found, name, [*lines, f"{path}: a split of links"], allow_leak, raw=parts)


def split_of_parts(
    parts: Mapping[str, Any], path: Path, graph: Graph | None, name: str, *, allow_leak: bool = False
) -> LinkSplit:
    """The split that the arrays of a file are; the training links in both directions.

    Args:
        parts: of :func:`read_link_parts`.
        path: of the file, for messages.
        graph: with features and ids of the nodes, or None.
        name: of the split.
        allow_leak: a leaky split is no error here.

    Raises:
        LeakySplitError: the split leaks.
        EmptyGraphError: no training links.
    """
    if "train_pos" not in parts or not np.asarray(parts["train_pos"]).size:
        raise EmptyGraphError(f"{path} has no training links.", hint="train_pos, or GRAPH with the training edges")
    report = check_link_split(parts, allow_leak=True)
    if not allow_leak:
        report.raise_leaks()
    arrays = {
        key: np.asarray(parts[key], dtype=np.int64) for key in ("train_pos", *_HELD) if parts.get(key) is not None
    }
    largest = max(int(part.max()) for part in arrays.values() if part.size)
    count = parts.get("num_nodes")
    if count is None:
        count = len(parts["ids"]) if "ids" in parts else largest + 1
    tensors = {key: torch.from_numpy(part) for key, part in arrays.items()}
    train = tensors.pop("train_pos")
    train = train[:, train[0] != train[1]]
    edges = torch.unique(torch.cat([train, train.flip(0)], dim=1), dim=1)
    if graph is None:
        known = Graph(edges, num_nodes=int(count), ids=parts.get("ids"), name=name)
    else:
        known = graph.replace(edge_index=edges, edge_weight=None, directed=False, report=None)
    return LinkSplit(known, **tensors, name=name)


def _checked(
    split: LinkSplit, name: str, lines: list[str], allow_leak: bool, *, raw: Mapping[str, Any] | None = None
) -> Inputs:
    """A given split, once it was looked over for leaks; `raw` holds the arrays as they were read."""
    report = check_link_split(split if raw is None else raw, allow_leak=allow_leak)
    notes = [f"The split leaks (--allow-leak): {leak.message}" for leak in report.leaks]
    notes += [f"{text[0].upper()}{text[1:]}" for text in report.warnings]
    if split.test_pos is None or not split.test_pos.numel():
        notes.append("The split has no test links: nothing is judged.")
    sizes = ", ".join(f"{key} {grouped(size)}" for key, size in report.sizes.items())
    return Inputs(split.graph, split, None, name, [*lines, f"  {sizes}"], notes)
