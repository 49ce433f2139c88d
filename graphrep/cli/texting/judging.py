"""How good a model of texts and a graph is: classes of test nodes, ranks of test links, beside what texts say alone."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.cli.texting.baselines import best_probe, row_cosines, tfidf
from graphrep.cli.texting.relations import Relation

__all__ = ["KS", "Row", "judge_classes", "judge_links", "link_rows", "node_rows", "relation_rows"]

Array = np.ndarray[Any, Any]
KS = (1, 3, 10)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        title: what was judged.
        scores: by column, between 0 and 1.
        rank: of each test link.
        learned: whether graph or language model were trained for it.
        relation: of a typed graph, whose links were judged.
    """

    title: str
    scores: dict[str, float]
    rank: Array | None = field(default=None, repr=False)
    learned: bool = False
    relation: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        about = {"relation": self.relation} if self.relation else {}
        return {"title": self.title, "learned": self.learned, **about, "scores": self.scores}


def judge_classes(title: str, y: Array, predicted: Array, *, learned: bool = False) -> Row:
    """Accuracy and macro-F1 of test nodes."""
    from graphrep.eval import classification_scores

    found = classification_scores(y, predicted)
    return Row(title, {"accuracy": found.accuracy, "macro-F1": found.macro_f1}, learned=learned)


def judge_links(
    title: str, score: Callable[[Tensor], Any], pos: Tensor, tails: Tensor, *, learned: bool = False
) -> Row:
    """MRR and Hits@K of test links, each among the pairs of its first end with its own tails.

    Args:
        title: of the row.
        score: (2, P) pairs to (P,) scores.
        pos: (2, n) links.
        tails: (n, K).
        learned: see :class:`Row`.
    """
    from graphrep.eval import link_scores

    heads = pos[0].repeat_interleave(tails.shape[1])
    others = np.asarray(score(torch.stack([heads, tails.flatten()]))).reshape(tails.shape)
    found = link_scores(np.asarray(score(pos)), others, ks=KS)
    scores = {"MRR": found.mrr, **{f"Hits@{k}": found.hits[k] for k in KS}}
    return Row(title, scores, np.asarray(found.rank), learned)


def node_rows(
    texts: list[str], y: Array, parts: tuple[Array, Array, Array], predicted: Array, vectors: Array | None, title: str
) -> list[Row]:
    """The model, logistic regression on the vectors of its texts, and logistic regression on TF-IDF.

    Args:
        texts: (N,).
        y: (N,) classes, -1 unknown.
        parts: numbers of training, validation and test nodes, all of them labelled.
        predicted: (N,) classes by the model.
        vectors: (N, h) of the texts, None where there are none.
        title: of the model.
    """
    test = parts[2]
    rows = [judge_classes(title, y[test], predicted[test], learned=True)]
    if vectors is not None:
        rows.append(judge_classes("its text vectors, logistic regression", y[test], best_probe(vectors, y, parts)[0]))
    rows.append(judge_classes("TF-IDF, logistic regression", y[test], best_probe(tfidf(texts), y, parts)[0]))
    return rows


def link_rows(
    texts: list[str], pos: Tensor, tails: Tensor, score: Callable[[Tensor], Any], vectors: Array | None, title: str
) -> list[Row]:
    """The model, cosines of the vectors of its texts, and cosines of TF-IDF; arguments as for :func:`judge_links`."""
    rows = [judge_links(title, score, pos, tails, learned=True)]
    if vectors is not None:
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
        rows.append(judge_links("its text vectors, cosine", lambda pairs: row_cosines(unit, pairs), pos, tails))
    words = tfidf(texts)
    rows.append(judge_links("TF-IDF, cosine", lambda pairs: row_cosines(words, pairs), pos, tails))
    return rows


def relation_rows(
    texts: Mapping[str, Any], relations: Sequence[Relation], score: Callable[..., Any], title: str
) -> list[Row]:
    """For each edge type of a typed graph the model, cosines of TF-IDF where both ends have texts, and how many links
    the other end has already.

    Args:
        texts: by node type.
        relations: with their test links.
        score: of pairs, and ``relation=`` an edge type.
        title: of the model.
    """
    rows = []
    for part in relations:
        source, name, target = part.kind
        judges: dict[str, Callable[[Tensor], Any]] = {title: functools.partial(score, relation=part.kind)}
        if source in texts and target in texts:
            first = list(texts[source])
            words = tfidf(first if source == target else [*first, *texts[target]])
            shift = torch.tensor([[0], [0 if source == target else len(first)]])
            judges["TF-IDF, cosine"] = functools.partial(_shifted_cosines, words, shift)
        judges["links of the other end"] = functools.partial(_links_of_the_other_end, part.seen)
        for told, judge in judges.items():
            found = judge_links(told, judge, part.pos, part.tails, learned=told == title)
            rows.append(dataclasses.replace(found, relation=f"{source} {name} {target}"))
    return rows


def _links_of_the_other_end(seen: Tensor, pairs: Tensor) -> Tensor:
    return seen[pairs[1]]


def _shifted_cosines(rows: Any, shift: Tensor, pairs: Tensor) -> Array:
    return row_cosines(rows, pairs + shift)
