"""What `graphrep recommend` prints: the table of scores beside popularity, some lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphrep.cli.console import Console
from graphrep.cli.recommending.judging import METRICS, Judged
from graphrep.cli.recommending.lists import Lists
from graphrep.data.check import grouped

__all__ = ["print_lists", "print_scores"]

Array = np.ndarray[Any, Any]


def print_scores(console: Console, judged: Judged, ks: Sequence[int]) -> None:
    """A line per method and K, then the verdict."""
    table = [("", *(f"{title}@{k}" for title in METRICS.values())) for k in ks]
    told = "" if judged.average == "users" else ", averaged as in the official code"
    console.say(f"\n{grouped(judged.users)} test users, every item ranked{told}")
    for head, k in zip(table, ks, strict=True):
        lines: list[tuple[str, ...]] = [head]
        for name, scores in ((judged.method, judged.scores), ("popularity  (baseline)", judged.baseline)):
            if scores is not None:
                lines.append((name, *(f"{scores[metric][k]:.4f}" for metric in METRICS)))
        widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
        for line in lines:
            cells = "  ".join(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True))
            console.say(f"  {line[0].ljust(max(widths[0], 22))}  {cells}")
    console.say(("Warning: " if judged.beaten else "") + judged.verdict)


def print_lists(console: Console, lists: Lists, user_ids: Array, item_ids: Array, *, most: int = 3) -> None:
    """The first items of some lists."""
    for place in range(min(most, len(lists.users))):
        found = lists.items[place][lists.items[place] >= 0]
        names = ", ".join(str(name) for name in item_ids[found[:5]].tolist())
        more = ", ..." if len(found) > 5 else ""
        cold = "  (popular items: nothing is known of this user)" if lists.cold[place] else ""
        console.say(f"  {user_ids[lists.users[place]]}: {names or 'nothing is left'}{more}{cold}")
