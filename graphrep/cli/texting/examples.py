"""Predictions that a person can read: classes of test nodes with their texts, the best missing links of some nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrep.cli.report import Strong, Table
from graphrep.data import Graph

if TYPE_CHECKING:
    from graphrep.cli.texting.job import Job
    from graphrep.cli.texting.parts import LinkParts, NodeParts

__all__ = ["class_examples", "link_examples", "shortened", "suggestions"]

Array = np.ndarray[Any, Any]
_EXAMPLES, _LINKS = 12, 5
_LETTERS = 140
_SPARE = 60  # nearest nodes looked at beyond a node's own links


def shortened(text: str, letters: int = _LETTERS) -> str:
    """The beginning of a text on one line.

    Example:
        >>> shortened("one two three", 8)
        'one two ...'
    """
    line = " ".join(text.split())
    return line if len(line) <= letters else line[:letters].rsplit(" ", 1)[0] + " ..."


def class_examples(job: Job, parts: NodeParts) -> Table:
    """Test nodes: those the model is surest of, right and wrong ones."""
    assert job.graph.y is not None
    probability = np.asarray(job.model.predict_proba())
    said, y = probability.argmax(1), np.asarray(job.graph.y)
    sure = probability.max(1)
    order = parts.test[np.argsort(-sure[parts.test], kind="stable")]
    right = [node for node in order if said[node] == y[node]][: _EXAMPLES // 2]
    wrong = [node for node in order if said[node] != y[node]][: _EXAMPLES // 2]
    rows: list[list[Any]] = []
    texts = job.texts
    for node in [*right, *wrong]:
        guess = f"{job.named(int(said[node]))} ({100 * sure[node]:.0f} %)"
        shown = guess if said[node] == y[node] else Strong(guess)
        rows.append([str(job.ids[node]), shortened(texts[node]), job.named(int(y[node])), shown])
    note = "The test nodes that the model is surest of; bold where it is wrong. All: predictions.csv"
    return Table("Classes of test nodes", ["node", "text", "class", "predicted"], rows, note=note, wrap=True)


def suggestions(job: Job, nodes: Sequence[int], k: int) -> Iterator[tuple[int, list[tuple[int, float]]]]:
    """For each node the k likeliest partners that are no training or validation link of it, with scores.

    Nothing for scores that are no cosine or dot product, and for graphs with several kinds of nodes.
    """
    from graphrep.eval.neighbors import index

    if job.model.scorer not in ("cosine", "dot") or not isinstance(job.graph, Graph) or not len(nodes):
        return
    parts: Any = job.parts
    known = _partners(parts, job.graph.num_nodes)
    search = index(np.asarray(job.model.embedding_.float()), metric=job.model.scorer)
    most = min(k + _SPARE, job.graph.num_nodes - 1)
    if most < 1:
        return
    found, scores = search.neighbors(list(nodes), most)
    for node, others, values in zip(nodes, found, scores, strict=True):
        listed = zip(others.tolist(), values.tolist(), strict=True)
        yield node, [(other, value) for other, value in listed if other >= 0 and other not in known[node]][:k]


def _partners(parts: LinkParts, num_nodes: int) -> list[set[int]]:
    """Links of each node that training or validation have seen."""
    known: list[set[int]] = [set() for _ in range(num_nodes)]
    split = parts.data
    pairs = [np.asarray(split.graph.edge_index), *([] if split.val_pos is None else [np.asarray(split.val_pos)])]
    for first, second in (pair for part in pairs for pair in part.T.tolist()):
        known[first].add(second)
        known[second].add(first)
    return known


def link_examples(job: Job, parts: LinkParts) -> list[Table]:
    """Nodes with test links, and the best missing links of each; those that are test links in bold."""
    held: dict[int, set[int]] = {}
    for first, second in parts.pos.t().tolist():
        held.setdefault(first, set()).add(second)
        held.setdefault(second, set()).add(first)
    by_count = sorted(held, key=lambda node: (-len(held[node]), node))
    step = max(1, len(by_count) // _EXAMPLES)
    chosen = by_count[::step][:_EXAMPLES] or list(range(min(_EXAMPLES, len(job.ids))))
    rows: list[list[Any]] = []
    texts = job.texts
    for node, found in suggestions(job, chosen, _LINKS):
        first = True
        for other, score in found:
            name = str(job.ids[other])
            hit = other in held.get(node, set())
            rows.append(
                [
                    str(job.ids[node]) if first else "", shortened(texts[node]) if first else "",
                    Strong(name) if hit else name, shortened(texts[other]), f"{score:.3f}",
                ]
            )  # fmt: skip
            first = False
    if not rows:
        return []
    note = "Links that training has seen are left out; a test link, which it has not seen, is bold."
    head = ["node", "its text", "likely link", "its text", "score"]
    return [Table("Missing links", head, rows, note=note, wrap=True)]
