"""`graphrep data show` on a graph with several kinds of nodes: types, relations, labels, splits, meta-paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphrep.cli.console import Console
from graphrep.cli.typed import TypedRows, announce_typed
from graphrep.data.check import grouped

if TYPE_CHECKING:
    from graphrep.data import HeteroGraph

__all__ = ["show_typed"]


def show_typed(console: Console, graph: HeteroGraph, name: str) -> dict[str, Any]:
    """Says what the graph holds, and returns it as plain values.

    Raises:
        UnknownNameError, GraphrepError: a meta-path of the graph names a type or relation that is not there, or does
            not come back to the target.
    """
    for line in announce_typed(graph, name):
        console.say(line)
    types = {key: _type(graph, key) for key in graph.num_nodes}
    for key, facts in types.items():
        told = [f"{grouped(facts['features'])} features" if facts["features"] else "no features"]
        if facts["isolated"]:
            told.append(f"{grouped(facts['isolated'])} without an edge")
        console.say(f"  {key:<10} {grouped(facts['nodes'])} nodes, {', '.join(told)}")
    found: dict[str, Any] = {
        "target": graph.target,
        "types": types,
        "relations": {"-".join(key): int(edges.shape[1]) for key, edges in graph.edge_index.items()},
        "labels": _labels(graph),
        "splits": {key: len(index) for key, index in graph.splits.items()},
        **_paths(graph),
    }
    if found["labels"]:
        console.say("  labels     " + ", ".join(f"{label}: {grouped(n)}" for label, n in found["labels"].items()))
    if found["splits"]:
        console.say("  splits     " + ", ".join(f"{part} {grouped(n)}" for part, n in found["splits"].items()))
    for kind in ("metapaths", "proposed"):
        for path in found[kind]:
            called = "meta-path" if kind == "metapaths" else "proposed"
            console.say(f"  {called:<10} {path['path']}: at most {grouped(path['entries'])} pairs")
    return found


def _type(graph: HeteroGraph, key: str) -> dict[str, int]:
    features = graph.x[key].shape[1] if key in graph.x else 0
    isolated = int((TypedRows.of(graph, key).degree == 0).sum())
    return {"nodes": graph.num_nodes[key], "features": int(features), "isolated": isolated}


def _labels(graph: HeteroGraph) -> dict[str, int]:
    """Nodes of each class, or with each label."""
    if graph.y is None:
        return {}
    y = np.asarray(graph.y)
    if y.ndim == 2:
        return {str(label): int(count) for label, count in enumerate((y > 0).sum(0))}
    values, counts = np.unique(y, return_counts=True)
    names = ("unknown" if value == -1 else str(value) for value in values.tolist())
    return dict(zip(names, counts.tolist(), strict=True))


def _paths(graph: HeteroGraph) -> dict[str, list[dict[str, Any]]]:
    """The graph's own meta-paths, read against its types; those that methods take where it has none."""
    from graphrep.nn import parse_metapath, propose_metapaths
    from graphrep.nn._metapath_steps import entries_at_most

    relations = graph.relations()
    own = [(text, parse_metapath(graph, text)) for text in graph.metapaths]
    proposed = [] if own or graph.target is None else propose_metapaths(graph)
    return {
        "metapaths": [{"path": text, "entries": entries_at_most(relations, path)} for text, path in own],
        "proposed": [{"path": one.text, "entries": one.entries} for one in proposed if one.entries],
    }
