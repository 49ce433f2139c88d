"""The checker: what is in a graph as it is stored, before anything is cleaned, and what is wrong with it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.data._facts import (
    Findings,
    IdFacts,
    LabelFacts,
    WeightFacts,
    id_facts,
    label_facts,
    plural,
    split_facts,
    weight_facts,
)
from graphrep.data._feature_facts import FeatureFacts, feature_facts
from graphrep.data._stored import Stored, from_object, from_path, link_problems
from graphrep.data.canonical import canonical_edges
from graphrep.data.check import grouped

__all__ = ["CheckReport", "inspect"]


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """What a graph holds as stored, and what is wrong with it.

    Attributes:
        name: of the graph.
        array: where the edges are stored (``edge_index``, ``raw_edge_index``, ``rows``).
        nodes: N.
        entries: stored edges, everything counted.
        edges: links between different nodes, each counted once whatever its direction.
        duplicates: entries that repeat an earlier one (the same direction; repeated self-loops too).
        self_loops: entries from a node to itself.
        one_way: distinct entries (i, j) whose reverse (j, i) is not stored.
        isolated: nodes without a neighbour other than themselves.
        components: connected components, direction ignored, isolated nodes included.
        weights, features, labels, ids: None where there are none.
        splits: part -> its size.
        texts: nodes that have a text, None where there are none.
        errors: sentences on what would make a method fail, or its results wrong.
        warnings: sentences on what is legal and perhaps not meant.
    """

    name: str
    array: str
    nodes: int
    entries: int
    edges: int
    duplicates: int
    self_loops: int
    one_way: int
    isolated: int
    components: int
    weights: WeightFacts | None = None
    features: FeatureFacts | None = None
    labels: LabelFacts | None = None
    ids: IdFacts | None = None
    splits: dict[str, int] = dataclasses.field(default_factory=dict)
    texts: int | None = None
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there are no errors; warnings are allowed."""
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**dataclasses.asdict(self), "ok": self.ok}

    def lines(self) -> list[str]:
        """The report for people, a line for each part."""
        parts = {"features": self.features, "weights": self.weights, "labels": self.labels, "ids": self.ids}
        found = [
            f"{self.name}: {plural(self.nodes, 'node')}, {plural(self.entries, 'entry', 'entries')} in {self.array}, "
            f"{plural(self.edges, 'edge')}",
            f"  entries    {plural(self.duplicates, 'duplicate')}, {plural(self.self_loops, 'self-loop')}, "
            f"{grouped(self.one_way)} one-way",
            f"  nodes      {grouped(self.isolated)} isolated, {plural(self.components, 'component')}",
            *(f"  {name:<10} {'none' if part is None else part.line()}" for name, part in parts.items()),
            "  split      " + (", ".join(f"{k} {grouped(n)}" for k, n in self.splits.items()) or "none"),
        ]
        if self.texts is not None:
            found.append(f"  text       {plural(self.texts, 'node')} with a text")
        found += [f"Error: {text}" for text in self.errors]
        found += [f"Warning: {text}" for text in self.warnings]
        counts = f"{plural(len(self.errors), 'error')}, {plural(len(self.warnings), 'warning')}"
        return [*found, counts[0].upper() + counts[1:]]


def inspect(
    graph: Any, *, data_dir: str | os.PathLike[str] | None = None, edges: str | None = None, **options: Any
) -> CheckReport:
    """Counts and checks everything in a graph, as it is stored.

    Nothing is cleaned first, and nothing is refused: a file with NaN, wrong node numbers or overlapping splits gives
    a report that says so. O(E log E) time at most; beside the arrays themselves about 40 bytes per entry.

    Args:
        graph: path of a file, name of a data set, a Graph, a PyG ``Data``, or anything :meth:`Graph.coerce` takes.
            For an archive with ``raw_edge_index`` these edges are checked, as they are the ones that were published.
        data_dir: where named data sets lie.
        edges: array of an archive that holds the edges.
        options: of :func:`graphrep.read`, for text files.

    Raises:
        FileFormatError, UnknownNameError: not a readable graph at all.

    Example:
        >>> import torch
        >>> report = inspect(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 2]]))
        >>> report.entries, report.edges, report.self_loops, report.one_way, report.ok
        (4, 2, 1, 1, True)
    """
    if isinstance(graph, str | Path | os.PathLike):
        stored = from_path(os.fspath(graph), data_dir, edges, options)
    else:
        stored = from_object(graph)
    found = Findings(errors=list(stored.problems))
    count = stored.num_nodes
    facts: dict[str, Any] = {**_structure(stored, found)}
    if stored.weight is not None:
        facts["weights"] = weight_facts(stored.weight, stored.edge_index.shape[1], found)
    if stored.x is not None:
        facts["features"] = feature_facts(stored.x, count, found)
    if stored.y is not None:
        facts["labels"] = label_facts(stored.y, count, stored.unlabelled, found)
    if stored.ids is not None:
        facts["ids"] = id_facts(stored.ids, count, found)
    facts["splits"] = split_facts(stored.splits, count, found)
    if stored.links:
        facts["splits"] |= link_problems(stored.links, stored.edge_index, count, stored.directed, found)
    return CheckReport(
        name=stored.name, array=stored.array, nodes=count, texts=stored.texts, **facts,
        errors=tuple(found.errors), warnings=tuple(found.warnings),
    )  # fmt: skip


def _structure(stored: Stored, found: Findings) -> dict[str, int]:
    """Counts of the edge list; entries outside 0..N-1 are an error and are left out of the other counts."""
    edges, count = stored.edge_index, stored.num_nodes
    entries = edges.shape[1]
    if entries:
        outside = np.flatnonzero(((edges < 0) | (edges >= count)).any(axis=0))
        if outside.size:
            wrong = edges[:, outside[0]]
            number = int(wrong[(wrong < 0) | (wrong >= count)][0])
            found.errors.append(
                f"{plural(outside.size, 'entry refers', 'entries refer')} to nodes outside 0..{count - 1} "
                f"(first: entry {outside[0]}, node {number})."
            )
            edges = np.delete(edges, outside, axis=1)
    clean = canonical_edges((edges[0], edges[1]), None, count, directed=True, keep_self_loops=True)
    loops = int((clean.edge_index[0] == clean.edge_index[1]).sum())
    links = (clean.edges - loops + clean.one_way) // 2
    _warn(clean, entries, links, count, found)
    return {
        "entries": entries, "edges": links, "duplicates": clean.merged, "self_loops": clean.self_loops,
        "one_way": clean.one_way, "isolated": clean.isolated, "components": clean.components,
    }  # fmt: skip


def _warn(clean: Any, entries: int, links: int, count: int, found: Findings) -> None:
    if clean.merged:
        found.warnings.append(f"{plural(clean.merged, 'entry repeats', 'entries repeat')} an earlier one.")
    if clean.self_loops:
        found.warnings.append(
            f"{plural(clean.self_loops, 'entry is a self-loop', 'entries are self-loops')}; reading drops them."
        )
    if 0 < clean.one_way < links:
        found.warnings.append(
            f"{grouped(clean.one_way)} of {plural(links, 'edge')} are stored in one direction only and the others in "
            "both: a method that does not add the reverse gives other results."
        )
    if clean.isolated:
        found.warnings.append(f"{grouped(clean.isolated)} of {plural(count, 'node')} have no neighbour.")
