"""What a reader understood of a file: counted while reading, shown before any computation."""

from __future__ import annotations

import dataclasses
from typing import Any

from graphrep.data.check import grouped

__all__ = ["ReadReport"]

_SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", " ": "whitespace"}


@dataclasses.dataclass(frozen=True)
class ReadReport:
    """Facts about a graph that was read from a file.

    Attributes:
        source: file or data set name, without its folder.
        kind: ``edge list``, ``scipy npz``, ``graph npz``, ...
        rows: rows (or stored entries) read, comments and blank lines not counted.
        nodes: distinct end points, or the number of nodes that the file states.
        edges: edges after cleaning; an undirected edge counts once.
        directed: whether direction was kept.
        columns: names of the columns used (from the header, else ``column 1``, ...).
        weight: name of the column or array the weights came from; None for an unweighted graph.
        separator: the character between fields; ``" "`` stands for any run of spaces and tabs.
        header: whether the first row was taken as column names.
        text_ids: whether ids were kept as text.
        merged: rows that repeated an earlier edge (their weights were summed).
        mirrored: every edge was listed in both directions with equal weights; the pair counts as one edge.
        self_loops: rows from a node to itself that were dropped.
        one_way: edges present in one direction only.
        components: connected components, direction ignored.
        isolated: nodes without a neighbour.
        raw: the edges were kept as they are; `merged` and `self_loops` then count what was kept.
    """

    source: str
    kind: str
    rows: int
    nodes: int
    edges: int
    directed: bool = False
    columns: tuple[str, ...] = ()
    weight: str | None = None
    separator: str | None = None
    header: bool = False
    text_ids: bool = False
    merged: int = 0
    mirrored: bool = False
    self_loops: int = 0
    one_way: int = 0
    components: int = 0
    isolated: int = 0
    raw: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """The report as the three lines that the commands print."""
        return [self._columns_line(), self._counts_line(), self._cleaning_line()]

    def _columns_line(self) -> str:
        if not self.columns:
            return f"{self.source}: {self.kind}" + (f", weights from {self.weight}" if self.weight else ", no weights")
        names = ", ".join(self.columns)
        use = " (used as weight; --no-weight to ignore)" if self.weight else ""
        how = "" if self.header else f" ({_SEPARATORS.get(self.separator or '', repr(self.separator))}-separated)"
        return f"{self.source}: columns {names}{use}" + how

    def _counts_line(self) -> str:
        ids = " (ids kept as text)" if self.text_ids else ""
        kind = "directed edge" if self.directed else "edge"
        both = ", each listed in both directions" if self.mirrored else ""
        return f"  read {_count(self.rows, 'row')}: {_count(self.nodes, 'node')}{ids}, {_count(self.edges, kind)}{both}"

    def _cleaning_line(self) -> str:
        structure = f"{_count(self.components, 'component')}, {_count(self.isolated, 'isolated node')}"
        if self.raw:
            kept = f"{_count(self.merged, 'repeated edge')} and {_count(self.self_loops, 'self-loop')}"
            return f"  kept as they are, with {kept}, {structure}"
        summed = " (weights summed)" if self.weight and self.merged else ""
        loops = _count(self.self_loops, "self-loop")
        return f"  merged {_count(self.merged, 'repeated edge')}{summed}, dropped {loops}, {structure}"


def _count(number: int, noun: str) -> str:
    return f"{grouped(number)} {noun}" + ("" if number == 1 else "s")
