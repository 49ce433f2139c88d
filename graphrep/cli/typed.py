"""Graphs with several kinds of nodes under the commands: methods that want them, finding them, rows of the target."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrep.data.check import grouped
from graphrep.errors import FileFormatError, GraphrepError, UnknownNameError
from graphrep.registry import METHODS, suggest

if TYPE_CHECKING:
    from graphrep.data import HeteroGraph

__all__ = [
    "TypedRows", "announce_typed", "find_typed", "is_typed", "named_splits", "needs_types", "published_recipe",
    "typed_facts",
]  # fmt: skip

Array = np.ndarray[Any, Any]
Split = tuple[Array, Array, Array]


def needs_types(method: str) -> bool:
    """Whether a method takes graphs with several kinds of nodes.

    Example:
        >>> needs_types("meow"), needs_types("grace")
        (True, False)
    """
    return method in METHODS and "hetero" in METHODS[method].needs


def is_typed(graph: str) -> bool:
    """Whether the user's GRAPH means such a graph whatever the method: a folder of relations, or a named set."""
    from graphrep.data._folder_layout import is_typed_folder
    from graphrep.data.cards import card

    if Path(graph).exists():
        return is_typed_folder(Path(graph))
    try:
        return card(graph).kind == "hetero"
    except UnknownNameError:
        return False


def find_typed(graph: str, *, data_dir: Path | None = None, read: Mapping[str, Any] | None = None) -> HeteroGraph:
    """The typed graph that the user's GRAPH argument stands for; `read` holds the options for files.

    Raises:
        DTypeError: a graph with one kind of node.
        UnknownNameError: neither a folder or file nor a data set.
        FileFormatError: a folder or file that does not hold a graph.
    """
    from graphrep.data.read import open_hetero

    return open_hetero(graph, data_dir=data_dir, **(read or {}))


@dataclasses.dataclass(frozen=True, eq=False)
class TypedRows:
    """The nodes of one type, as pictures, tables and protocols need them.

    Attributes:
        graph: where they are from.
        node_type: which.
        ids: external ids, None for 0..N-1.
        y: their labels, None if the labels are of another type or missing.
    """

    graph: HeteroGraph
    node_type: str
    ids: Any
    y: Any

    @classmethod
    def of(cls, graph: HeteroGraph, node_type: str | None = None) -> TypedRows:
        """The nodes of a type; default the graph's target.

        Raises:
            GraphrepError: neither is there.
        """
        chosen = node_type or graph.target
        if chosen is None:
            raise GraphrepError("Nothing says which node type is meant.", hint="target in graph.toml, or --set target=")
        return cls(graph, chosen, graph.ids.get(chosen), graph.y if chosen == graph.target else None)

    @property
    def num_nodes(self) -> int:
        """N."""
        return int(self.graph.num_nodes[self.node_type])

    @property
    def degree(self) -> Array:
        """(N,) edges of all relations at each node."""
        count = np.zeros(self.num_nodes, dtype=np.int64)
        for (source, _, target), edges in self.graph.edge_index.items():
            for node_type, end in ((source, edges[0]), (target, edges[1])):
                if node_type == self.node_type:
                    count += np.bincount(end.numpy(), minlength=self.num_nodes)
        return count


def announce_typed(graph: HeteroGraph, name: str) -> list[str]:
    """What the program understood: types, relations, features, labels, meta-paths; and where a named set is from."""
    from graphrep.data.cards import card

    try:
        source = "" if Path(name).exists() else f"   [{card(name, kind='hetero').source.partition(';')[0]}]"
    except UnknownNameError:
        source = ""
    nodes = ", ".join(f"{grouped(count)} {key}" for key, count in graph.num_nodes.items())
    lines = [f"{name}: {nodes}; {grouped(graph.num_edges)} edges{source}"]
    lines += [f"  {'-'.join(key):<24} {grouped(edges.shape[1])} edges" for key, edges in graph.edge_index.items()]
    told = [f"{key} {grouped(x.shape[1])}" for key, x in graph.x.items()]
    parts = [f"features: {', '.join(told) or 'none'}"]
    if graph.y is not None:
        parts.append(f"{graph.num_classes} {'labels' if graph.y.dim() == 2 else 'classes'} of {graph.target}")
    if graph.metapaths:
        parts.append(f"meta-paths: {', '.join(graph.metapaths)}")
    return [*lines, "  " + "; ".join(parts)]


def published_recipe(method: str, graph: str) -> str | None:
    """The name of the recipe of a method for a named set, if there is one.

    Example:
        >>> published_recipe("meow", "acm"), published_recipe("meow", "cora")
        ('meow/acm', None)
    """
    from graphrep.data.cards import card
    from graphrep.recipes import recipe_names

    if Path(graph).exists():
        return None
    name = f"{method}/{card(graph, kind='hetero').name}"
    return name if name in recipe_names() else None


def typed_facts(rows: TypedRows) -> list[tuple[str, str]]:
    """What a page says of the graph."""
    graph = rows.graph
    facts = [(f"nodes of {key}", grouped(count)) for key, count in graph.num_nodes.items()]
    facts += [("-".join(key), f"{grouped(edges.shape[1])} edges") for key, edges in graph.edge_index.items()]
    facts += [(f"features of {key}", grouped(x.shape[1])) for key, x in graph.x.items()]
    facts.append((f"{rows.node_type} without an edge", grouped(int((rows.degree == 0).sum()))))
    if rows.y is not None:
        facts.append(("labels" if rows.y.dim() == 2 else "classes", grouped(graph.num_classes)))
    return facts


def named_splits(graph: HeteroGraph, name: str, *, only: str | None = None) -> dict[str, Split]:
    """The splits of the target by what follows ``train``: ``{"20": (train, val, test), ...}``, "" for plain ones.

    A node that a part holds twice, as the published training nodes of IMDB do, counts once.

    Args:
        graph: with splits ``train``, ``val``, ``test`` or ``train_20``, ``val_20``, ``test_20``, ...
        name: what the user calls it.
        only: one of them.

    Raises:
        FileFormatError: there is none, or one lacks a part.
        UnknownNameError: `only` is not among them.
    """
    found: dict[str, Split] = {}
    for key in graph.splits:
        part, _, label = key.partition("_")
        if part != "train":
            continue
        keys = [f"{part}_{label}" if label else part for part in ("train", "val", "test")]
        missing = [one for one in keys if one not in graph.splits]
        if missing:
            raise FileFormatError(f"{name} has a split {key} and no {missing[0]}.", hint=", ".join(keys))
        train, val, test = (np.unique(np.asarray(graph.splits[one])) for one in keys)
        found[label] = (train, val, test)
    if not found:
        raise FileFormatError(
            f"{name} has no splits.", hint="columns train, val, test of 0 and 1 in the target's table, or --split FILE"
        )
    if only is None:
        return found
    if only not in found:
        known = ", ".join(found)
        raise UnknownNameError(f'{name} has no split "{only}".{suggest(only, found)}', hint=f"one of {known}")
    return {only: found[only]}
