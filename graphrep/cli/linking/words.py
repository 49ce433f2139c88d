"""What `graphrep linkpred` prints: a table of all methods for each kind of negatives, and the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphrep.cli.console import Console
from graphrep.cli.linking.predictors import kind_of
from graphrep.cli.linking.rows import Summary
from graphrep.data.check import grouped

__all__ = ["columns_of", "print_scores"]

_TITLES = {
    "uniform": "{pos} test links, {neg} uniform negatives in one pool",
    "heart": "{pos} test links, each among {neg} hard negatives of its own (HeaRT)",
}


def columns_of(summaries: Sequence[Summary], negatives: str) -> dict[str, tuple[str, ...]]:
    """The columns of a table: title to where the score is found."""
    hits = {
        f"Hits@{cut}": ("hits", cut)
        for summary in summaries[:1]
        for cut in summary.rows[0]["scores"].get(negatives, {}).get("hits", {})
    }
    if negatives == "heart":
        return {"MRR": ("mrr",), **hits, "AUC": ("auc",)}
    return {"AUC": ("auc",), "AP": ("ap",), **hits, "MRR": ("mrr",)}


def heading(summaries: Sequence[Summary], negatives: str) -> str:
    """What the scores of a table are over."""
    part = summaries[0].rows[0]["scores"][negatives]
    runs = len(summaries[0].rows)
    over = f"; mean +- sample deviation over {runs} runs" if runs > 1 else "; [95 % bootstrap interval]"
    return _TITLES[negatives].format(pos=grouped(part["num_pos"]), neg=grouped(part["num_neg"])) + over


def print_scores(
    console: Console, summaries: Sequence[Summary], verdicts: Sequence[Mapping[str, Any]], ks: Sequence[int]
) -> None:
    """A line per method, marked where it loses, then the verdicts."""
    for negatives in summaries[0].rows[0]["scores"]:
        console.say(f"\n{heading(summaries, negatives)}")
        columns = columns_of(summaries, negatives)
        lines: list[list[str]] = [["", *columns, "seconds", "peak MiB"]]
        for summary in summaries:
            mark = " (heuristic)" if kind_of(summary.name) == "heuristic" else ""
            mark = "  < heuristic" if summary.outcomes.get(negatives) == "loses" else mark
            cells = [summary.cell(negatives, *place, interval=place[0] in ("auc", "mrr")) for place in columns.values()]
            size = grouped(summary.memory >> 20)
            lines.append([summary.title + mark, *cells, f"{summary.seconds:.3g}", size])
        widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
        for line in lines:
            cells = [text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)]
            console.say(f"  {line[0].ljust(widths[0])}  {'  '.join(cells)}")
    for verdict in verdicts:
        console.say(("Warning: " if verdict["outcome"] == "loses" else "") + verdict["text"])
