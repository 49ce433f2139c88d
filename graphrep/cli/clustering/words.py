"""What `graphrep cluster` prints: the table of methods, the curve over the number of clusters, the clusters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphrep.cli.clustering.details import ClusterFacts
from graphrep.cli.clustering.judging import CRITERIA, SCORES, Row
from graphrep.cli.console import Console
from graphrep.data.check import grouped

__all__ = ["cell", "print_clusters", "print_table", "table_columns"]


def cell(row: Row, name: str, *, percent: bool = False, digits: int = 3) -> str:
    """``61.2 +- 0.4``, or the value alone of a single run; nothing where it is undefined.

    Example:
        >>> row = Row("smooth", True, (), {"acc": [0.5, 0.7]}, 1.0)
        >>> cell(row, "acc", percent=True)
        '60.0 +- 14.1'
    """
    mean, std = row.mean(name), row.std(name)
    if math.isnan(mean):
        return "-"
    scale, places = (100.0, 1) if percent else (1.0, digits)
    text = f"{scale * mean:.{places}f}"
    return text if math.isnan(std) else f"{text} +- {scale * std:.{places}f}"


def table_columns(table: Sequence[Row]) -> list[tuple[str, str, bool]]:
    """(name, title, percent) of the columns that the table has."""
    scores = [(name, title, True) for name, title in SCORES.items() if name in table[0].values]
    return [*scores, *((name, title, False) for name, title in CRITERIA.items())]


def print_table(console: Console, table: Sequence[Row], marks: dict[str, list[str]], kept: str) -> None:
    """A line per method: scores, criteria, clusters, seconds, peak memory."""
    columns = table_columns(table)
    several = any(len(row.runs) > 1 for row in table)
    head = ["", "K", *(title for _, title, _ in columns), *(["agreement"] if several else []), "seconds", "peak GiB"]
    lines = [head]
    for row in table:
        name = ("> " if row.method == kept else "  ") + row.method + (" *" if marks.get(row.method) else "")
        counts = sorted({int(value) for value in row.values["clusters"]})
        lines.append([
            name + ("  (baseline)" if row.baseline else ""),
            str(counts[0]) if len(counts) == 1 else f"{counts[0]}-{counts[-1]}",
            *(cell(row, column, percent=percent) for column, _, percent in columns),
            *(["-" if math.isnan(row.agreement) else f"{row.agreement:.3f}"] if several else []),
            cell(row, "seconds", digits=1),
            f"{max(row.values['peak']) / 2**30:.2f}",
        ])  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        first = line[0].ljust(widths[0])
        console.say(f"{first}  " + "  ".join(t.rjust(w) for t, w in zip(line[1:], widths[1:], strict=True)))


def print_clusters(console: Console, facts: Sequence[ClusterFacts], num_nodes: int, *, most: int = 30) -> None:
    """A line per cluster: size, conductance, central nodes, and the commonest class where labels are known."""
    if len(facts) > most:
        console.say(f"  the {most} largest of {grouped(len(facts))} clusters:")
    classes = any(fact.classes for fact in facts)
    head = ["cluster", "nodes", "share", "conductance", "confidence", *(["class"] if classes else []), "central nodes"]
    lines: list[list[Any]] = [head]
    for fact in facts[:most]:
        named = [f"{fact.classes[0][0]} ({100 * fact.classes[0][1] / fact.size:.0f} %)" if fact.classes else "-"]
        lines.append([
            str(fact.cluster), grouped(fact.size), f"{100 * fact.size / num_nodes:.1f} %",
            "-" if fact.conductance is None else f"{fact.conductance:.3f}",
            "-" if fact.confidence is None else f"{fact.confidence:.3f}",
            *(named if classes else []), ", ".join(fact.central),
        ])  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        console.say("  " + "  ".join(t.rjust(w) for t, w in zip(line[:-1], widths[:-1], strict=True)) + f"  {line[-1]}")
