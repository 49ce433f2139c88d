"""What LMGNN minimises for labels, on vectors of a batch's seeds: from texts alone, or from texts and a graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphrep.methods._lmgnn_data import Parts
from graphrep.methods._lmgnn_graph import EdgeType
from graphrep.nn import EdgeHead
from graphrep.objectives import pseudo_label_loss
from graphrep.train import distributed

__all__ = ["NodeObjective", "Objective", "PairObjective", "Pseudo", "Vectors", "batch_count", "by_type"]


@dataclasses.dataclass(frozen=True)
class Vectors:
    """Rows of nodes by type, with the ascending ids they belong to; None where row i is node i."""

    rows: dict[str, Tensor]
    ids: dict[str, Tensor] | None = None

    def place(self, kind: str, nodes: Tensor) -> Tensor:
        """Positions of nodes among the rows."""
        nodes = nodes.to(self.rows[kind].device)
        return nodes if self.ids is None else torch.searchsorted(self.ids[kind], nodes.contiguous())

    def at(self, kind: str, nodes: Tensor) -> Tensor:
        """(n, d) rows of nodes."""
        return self.rows[kind].index_select(0, self.place(kind, nodes))

    def of_all_processes(self) -> Vectors:
        """The rows of every process, each node once."""
        if self.ids is None or distributed.world_size() == 1:
            return self
        rows, ids = {}, {}
        for kind, own in self.rows.items():
            every = distributed.all_rows(self.ids[kind])
            ids[kind], inverse = torch.unique(every, return_inverse=True)
            first = torch.full_like(ids[kind], len(every))
            first.scatter_reduce_(0, inverse, torch.arange(len(every), device=every.device), "amin")
            rows[kind] = distributed.all_rows(own).index_select(0, first)
        return Vectors(rows, ids)


class Objective(Protocol):
    """A loss with its batches; parameters of its own are in `head`."""

    head: nn.Module

    def batches(self, generator: torch.Generator) -> list[Any]:
        """All batches of one pass, the same in every process."""
        ...

    def seeds(self, batch: Any) -> dict[str, Tensor]:
        """Distinct nodes by type, ascending, whose vectors this process's share of the batch needs."""
        ...

    def excluded(self, batch: Any) -> dict[EdgeType, Tensor]:
        """Pairs by edge type that messages must not pass over in this step."""
        ...

    def loss(self, vectors: Vectors, batch: Any) -> Tensor:
        """The loss of this process's share."""
        ...

    def judged(self) -> dict[str, Tensor] | None:
        """Nodes whose vectors :meth:`judge` needs; None where nothing validates."""
        ...

    def shown(self, vectors: Vectors) -> Tensor:
        """(n, d) rows of the validation part that the loop watches for collapse: for classes their logits, as vectors
        of few classes lie in few directions by right.
        """
        ...

    def judge(self, vectors: Vectors) -> Mapping[str, float]:
        """``score`` on the validation part, larger is better."""
        ...


@dataclasses.dataclass(frozen=True)
class Pseudo:
    """(N, C) probabilities of another model for all nodes, and the weight of what they add."""

    probabilities: Tensor
    weight: float


class NodeObjective:
    """Cross-entropy on the classes of nodes.

    Args:
        head: from vectors to (n, C) logits.
        kind: the node type.
        y: (N,) classes.
        parts: of the labels.
        batch_size: None: all training nodes at once.
        pseudo: another model's guesses on the nodes that are not trained on.
    """

    def __init__(
        self,
        head: nn.Module,
        kind: str,
        y: Tensor,
        parts: Parts,
        *,
        batch_size: int | None,
        pseudo: Pseudo | None = None,
    ) -> None:
        self.head, self.kind, self.y, self.parts = head, kind, y, parts
        self.batch_size, self.pseudo = batch_size, pseudo
        self.gold = torch.zeros(len(y), dtype=torch.bool)
        self.gold[parts.train] = True

    def batches(self, generator: torch.Generator) -> list[Tensor]:
        """Node numbers; with pseudo labels those of all nodes."""
        chosen = self.parts.train if self.pseudo is None else torch.arange(len(self.y))
        if self.batch_size is None:
            return [chosen]
        return list(
            chosen[torch.randperm(len(chosen), generator=generator)].tensor_split(batch_count(chosen, self.batch_size))
        )

    def seeds(self, batch: Tensor) -> dict[str, Tensor]:
        """The nodes of the batch."""
        return {self.kind: torch.unique(distributed.shard(batch))}

    def excluded(self, batch: Tensor) -> dict[EdgeType, Tensor]:
        """Nothing: labels are no edges."""
        return {}

    def loss(self, vectors: Vectors, batch: Tensor) -> Tensor:
        """Cross-entropy on the labels, or on labels and guesses."""
        nodes = distributed.shard(batch, equal=self.pseudo is not None)
        logits = self.head(vectors.at(self.kind, nodes))
        y = self.y[nodes].to(logits.device)
        if self.pseudo is None:
            return _mean_loss(logits, y)
        guesses, gold = self.pseudo.probabilities[nodes].to(logits.device), self.gold[nodes].to(logits.device)
        return pseudo_label_loss(logits, y, guesses, gold, alpha=self.pseudo.weight)

    def judged(self) -> dict[str, Tensor] | None:
        """The validation nodes."""
        return {self.kind: self.parts.val} if self.parts.val.numel() else None

    def shown(self, vectors: Vectors) -> Tensor:
        """Logits of the validation nodes."""
        found: Tensor = self.head(vectors.at(self.kind, self.parts.val))
        return found

    def judge(self, vectors: Vectors) -> Mapping[str, float]:
        """Accuracy on the validation nodes."""
        return _accuracy(self.shown(vectors), self.y[self.parts.val])


class PairObjective:
    """Cross-entropy on the classes of pairs of nodes.

    Args:
        head: a :class:`~graphrep.nn.EdgeHead`.
        kind: edge type whose ends the pairs join.
        pairs: (2, P).
        y: (P,) classes.
        parts: of the pairs.
        batch_size: None: all training pairs at once.
    """

    def __init__(
        self, head: EdgeHead, kind: EdgeType, pairs: Tensor, y: Tensor, parts: Parts, *, batch_size: int | None
    ) -> None:
        self.head, self.kind, self.pairs, self.y, self.parts = head, kind, pairs, y, parts
        self.batch_size = batch_size

    def batches(self, generator: torch.Generator) -> list[Tensor]:
        """Numbers of pairs."""
        chosen = self.parts.train
        if self.batch_size is None:
            return [chosen]
        return list(
            chosen[torch.randperm(len(chosen), generator=generator)].tensor_split(batch_count(chosen, self.batch_size))
        )

    def seeds(self, batch: Tensor) -> dict[str, Tensor]:
        """Both ends."""
        return by_type(
            [(self.kind[end], self.pairs[place, distributed.shard(batch)]) for place, end in ((0, 0), (1, 2))]
        )

    def excluded(self, batch: Tensor) -> dict[EdgeType, Tensor]:
        """Nothing: a class is not told by the edge itself."""
        return {}

    def loss(self, vectors: Vectors, batch: Tensor) -> Tensor:
        """Cross-entropy."""
        some = distributed.shard(batch, equal=False)
        logits = self.logits(vectors, self.pairs[:, some])
        return _mean_loss(logits, self.y[some].to(logits.device))

    def logits(self, vectors: Vectors, pairs: Tensor) -> Tensor:
        """(B, C) of (2, B) pairs."""
        found: Tensor = self.head(vectors.at(self.kind[0], pairs[0]), vectors.at(self.kind[2], pairs[1]))
        return found

    def judged(self) -> dict[str, Tensor] | None:
        """Both ends of the validation pairs."""
        pairs = self.pairs[:, self.parts.val]
        return by_type([(self.kind[0], pairs[0]), (self.kind[2], pairs[1])]) if pairs.numel() else None

    def shown(self, vectors: Vectors) -> Tensor:
        """Logits of the validation pairs."""
        return self.logits(vectors, self.pairs[:, self.parts.val])

    def judge(self, vectors: Vectors) -> Mapping[str, float]:
        """Accuracy on the validation pairs."""
        return _accuracy(self.shown(vectors), self.y[self.parts.val])


def by_type(parts: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Distinct nodes of each type, ascending."""
    found: dict[str, list[Tensor]] = {}
    for kind, nodes in parts:
        found.setdefault(kind, []).append(nodes.cpu())
    return {kind: torch.unique(torch.cat(nodes)) for kind, nodes in found.items()}


def batch_count(rows: Tensor, size: int) -> int:
    """Batches of at most `size`, of equal size to within one."""
    return max(1, -(-len(rows) // size))


def _mean_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy over the rows of all processes, of which this one may have fewer than others, or none."""
    if distributed.world_size() == 1:
        return functional.cross_entropy(logits.float(), y)
    return distributed.mean_over_all(functional.cross_entropy(logits.float(), y, reduction="none"))


def _accuracy(logits: Tensor, y: Tensor) -> Mapping[str, float]:
    if not bool(torch.isfinite(logits).all()):
        return {}
    share = float((logits.argmax(1).cpu() == y).double().mean())
    return {"score": share, "accuracy": share}
