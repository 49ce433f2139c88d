"""What LMGNN minimises, on vectors of a batch's seeds from wherever they come: texts alone, or texts and a graph."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphrep.eval.linkpred import link_scores
from graphrep.methods._lmgnn_data import Links, Parts
from graphrep.methods._lmgnn_graph import EdgeType
from graphrep.nn import SharedNegatives, link_score
from graphrep.objectives import (
    in_batch_info_nce,
    link_adversarial,
    link_bce,
    link_bpr,
    link_info_nce,
    pseudo_label_loss,
)
from graphrep.train import distributed

__all__ = ["LinkObjective", "LinkOptions", "NodeObjective", "Objective", "PairHead", "PairObjective", "Pseudo", "Vectors"]

_REMOVED = -1e9  # score of a pair that is no negative
_RANKED_AT_ONCE = 512


@dataclasses.dataclass(frozen=True)
class Vectors:
    """Rows of nodes by type, with the ascending ids they belong to; None where row i is node i."""

    rows: dict[str, Tensor]
    ids: dict[str, Tensor] | None = None

    def place(self, kind: str, nodes: Tensor) -> Tensor:
        """Positions of nodes among the rows."""
        nodes = nodes.to(self.rows[kind].device)
        return nodes if self.ids is None else torch.searchsorted(self.ids[kind], nodes)

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
        self, head: nn.Module, kind: str, y: Tensor, parts: Parts, *, batch_size: int | None, pseudo: Pseudo | None = None
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
        return list(chosen[torch.randperm(len(chosen), generator=generator)].tensor_split(_count(chosen, self.batch_size)))

    def seeds(self, batch: Tensor) -> dict[str, Tensor]:
        """The nodes of the batch."""
        return {self.kind: torch.unique(distributed.shard(batch))}

    def excluded(self, batch: Tensor) -> dict[EdgeType, Tensor]:
        """Nothing: labels are no edges."""
        return {}

    def loss(self, vectors: Vectors, batch: Tensor) -> Tensor:
        """Cross-entropy on the labels, or on labels and guesses."""
        nodes = distributed.shard(batch)
        logits = self.head(vectors.at(self.kind, nodes))
        y = self.y[nodes].to(logits.device)
        if self.pseudo is None:
            return functional.cross_entropy(logits.float(), y)
        guesses, gold = self.pseudo.probabilities[nodes].to(logits.device), self.gold[nodes].to(logits.device)
        return pseudo_label_loss(logits, y, guesses, gold, alpha=self.pseudo.weight)

    def judged(self) -> dict[str, Tensor] | None:
        """The validation nodes."""
        return {self.kind: self.parts.val} if self.parts.val.numel() else None

    def judge(self, vectors: Vectors) -> Mapping[str, float]:
        """Accuracy on the validation nodes."""
        val = self.parts.val
        return _accuracy(self.head(vectors.at(self.kind, val)), self.y[val])


class PairHead(nn.Module):
    """Logits of pairs: an MLP with one hidden layer on both vectors side by side, or on their product.

    Args:
        dims: widths of the two vectors; equal for the product.
        num_classes: C.
        combine: ``"concat"`` or ``"product"``.
        dropout: before the last layer.
    """

    def __init__(self, dims: tuple[int, int], num_classes: int, *, combine: str = "concat", dropout: float = 0.5) -> None:
        super().__init__()
        self.combine = combine
        width = sum(dims) if combine == "concat" else dims[0]
        self.hidden, self.out = nn.Linear(width, dims[0]), nn.Linear(dims[0], num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """(B, C) logits."""
        both = torch.cat([u, v], dim=1) if self.combine == "concat" else u * v
        found: Tensor = self.out(self.dropout(self.hidden(both).relu()))
        return found


class PairObjective:
    """Cross-entropy on the classes of pairs of nodes.

    Args:
        head: a :class:`PairHead`.
        kind: edge type whose ends the pairs join.
        pairs: (2, P).
        y: (P,) classes.
        parts: of the pairs.
        batch_size: None: all training pairs at once.
    """

    def __init__(
        self, head: PairHead, kind: EdgeType, pairs: Tensor, y: Tensor, parts: Parts, *, batch_size: int | None
    ) -> None:
        self.head, self.kind, self.pairs, self.y, self.parts = head, kind, pairs, y, parts
        self.batch_size = batch_size

    def batches(self, generator: torch.Generator) -> list[Tensor]:
        """Numbers of pairs."""
        chosen = self.parts.train
        if self.batch_size is None:
            return [chosen]
        return list(chosen[torch.randperm(len(chosen), generator=generator)].tensor_split(_count(chosen, self.batch_size)))

    def seeds(self, batch: Tensor) -> dict[str, Tensor]:
        """Both ends."""
        return _by_type([(self.kind[end], self.pairs[place, distributed.shard(batch)]) for place, end in ((0, 0), (1, 2))])

    def excluded(self, batch: Tensor) -> dict[EdgeType, Tensor]:
        """Nothing: a class is not told by the edge itself."""
        return {}

    def loss(self, vectors: Vectors, batch: Tensor) -> Tensor:
        """Cross-entropy."""
        some = distributed.shard(batch)
        logits = self.logits(vectors, self.pairs[:, some])
        return functional.cross_entropy(logits.float(), self.y[some].to(logits.device))

    def logits(self, vectors: Vectors, pairs: Tensor) -> Tensor:
        """(B, C) of (2, B) pairs."""
        found: Tensor = self.head(vectors.at(self.kind[0], pairs[0]), vectors.at(self.kind[2], pairs[1]))
        return found

    def judged(self) -> dict[str, Tensor] | None:
        """Both ends of the validation pairs."""
        pairs = self.pairs[:, self.parts.val]
        return _by_type([(self.kind[0], pairs[0]), (self.kind[2], pairs[1])]) if pairs.numel() else None

    def judge(self, vectors: Vectors) -> Mapping[str, float]:
        """Accuracy on the validation pairs."""
        return _accuracy(self.logits(vectors, self.pairs[:, self.parts.val]), self.y[self.parts.val])


@dataclasses.dataclass(frozen=True)
class LinkOptions:
    """How links are scored and against what; :class:`LMGNN` describes the names."""

    loss: str = "info_nce"
    score: str = "cosine"
    temperature: float = 0.1
    num_negatives: int = 1024
    log_q: bool = False
    exclude: bool = True


@dataclasses.dataclass(frozen=True)
class _LinkBatch:
    number: int  # of the relation
    pairs: Tensor  # (2, B)
    pools: tuple[Tensor, Tensor]  # negatives for the source's and for the target's place


class LinkObjective:
    """Links against negatives: the rest of the batch and a pool of nodes that the whole batch shares.

    Args:
        head: relation vectors for ``distmult`` and ``transe``, an ``nn.Embedding`` with a row per relation; else any
            module without parameters.
        links: relation by relation; batches hold links of one.
        num_nodes: by type.
        batch_size: links of a step.
        options: see :class:`LinkOptions`.
    """

    def __init__(
        self, head: nn.Module, links: Sequence[Links], num_nodes: Mapping[str, int], *, batch_size: int, options: LinkOptions
    ) -> None:
        self.head, self.links, self.batch_size, self.options = head, list(links), batch_size, options
        self.pools: list[tuple[SharedNegatives, SharedNegatives]] = []
        for part in self.links:
            known = torch.cat([part.train, part.train.flip(0)], dim=1) if part.mutual else part.train
            ends = num_nodes[part.kind[0]], num_nodes[part.kind[2]]
            sizes = [min(options.num_negatives, end) for end in ends]
            forward = SharedNegatives(sizes[1], known, num_nodes=ends[1], num_sources=ends[0])
            back = SharedNegatives(sizes[0], known.flip(0), num_nodes=ends[0], num_sources=ends[1])
            self.pools.append((back, forward))

    def batches(self, generator: torch.Generator) -> list[_LinkBatch]:
        """All links of all relations in random order."""
        found = []
        for number, part in enumerate(self.links):
            if not part.train.numel():
                continue
            order = torch.randperm(part.train.shape[1], generator=generator)
            for some in order.tensor_split(_count(order, self.batch_size)):
                pools = [pool.draw(generator) for pool in self.pools[number]]
                if part.kind[0] == part.kind[2]:
                    pools[0] = pools[1]
                found.append(_LinkBatch(number, part.train[:, some], (pools[0], pools[1])))
        return [found[i] for i in torch.randperm(len(found), generator=generator).tolist()]

    def seeds(self, batch: _LinkBatch) -> dict[str, Tensor]:
        """Both ends and the pools."""
        source, _, target = self.links[batch.number].kind
        pairs = distributed.shard(batch.pairs, dim=1)
        ends = [(source, pairs[0]), (target, pairs[1]), (target, batch.pools[1])]
        return _by_type([*ends, (source, batch.pools[0])])

    def excluded(self, batch: _LinkBatch) -> dict[EdgeType, Tensor]:
        """The links of the batch, whose own edges would give them away."""
        return {self.links[batch.number].kind: batch.pairs} if self.options.exclude else {}

    def loss(self, vectors: Vectors, batch: _LinkBatch) -> Tensor:
        """The mean of both directions: which target belongs to a source, and which source to a target."""
        vectors, kind = vectors.of_all_processes(), self.links[batch.number].kind
        if self.options.loss == "info_nce" and self.options.score == "cosine":
            return self._contrast(vectors, batch, kind)
        rows = [vectors.at(end, nodes) for end, nodes in zip((kind[0], kind[2]), batch.pairs, strict=True)]
        rel = self._relation(batch.number)
        pos = link_score(*rows, None if rel is None else rel.expand_as(rows[0]), kind=self.options.score)
        return (self._side(vectors, batch, pos, 0) + self._side(vectors, batch, pos, 1)) / 2

    def _contrast(self, vectors: Vectors, batch: _LinkBatch, kind: EdgeType) -> Tensor:
        source, _, target = kind
        back, forward = self.pools[batch.number]
        options: dict[str, Any] = {"temperature": self.options.temperature}
        ids = vectors.ids
        assert ids is not None  # a source hands out rows of the seeds
        src, dst = vectors.place(source, batch.pairs[0]), vectors.place(target, batch.pairs[1])
        count = batch.pairs.shape[1]
        if source == target:
            known = forward.known_among(ids[source])
            if self.options.log_q:
                options["log_q"] = forward.log_q(count)[ids[source].cpu()].to(src.device)
            pool = vectors.place(source, batch.pools[1])
            return in_batch_info_nce(vectors.rows[source], src, dst, pool=pool, known=known, symmetric=True, **options)
        table = torch.cat([vectors.rows[source], vectors.rows[target]])
        start = len(vectors.rows[source])
        known = forward.known_among(ids[source], ids[target])
        known = torch.stack([known[0], known[1] + start])
        if self.options.log_q:
            shares = [pool.log_q(count)[ids[end].cpu()] for pool, end in ((back, source), (forward, target))]
            options["log_q"] = torch.cat(shares).to(src.device)
        pools = vectors.place(source, batch.pools[0]), vectors.place(target, batch.pools[1]) + start
        there = in_batch_info_nce(table, src, dst + start, pool=pools[1], known=known, **options)
        back_loss = in_batch_info_nce(table, dst + start, src, pool=pools[0], known=known.flip(0), **options)
        return (there + back_loss) / 2

    def _side(self, vectors: Vectors, batch: _LinkBatch, pos: Tensor, side: int) -> Tensor:
        """The loss with negatives in place of the target (1) or the source (0)."""
        kind, fixed = self.links[batch.number].kind, batch.pairs[1 - side]
        ends = (kind[0], kind[2])
        pool = torch.unique(torch.cat([batch.pairs[side], batch.pools[side]]))
        rel = self._relation(batch.number)
        rows, others = vectors.at(ends[1 - side], fixed), vectors.at(ends[side], pool)
        neg = _pool_scores(rows, others, rel, self.options.score, heads=side == 0)
        mask = self.pools[batch.number][side].mask(fixed, pool, same_type=ends[0] == ends[1]).to(neg.device)
        if self.options.loss == "bce":
            return link_bce(pos, neg[~mask][:, None]) if not bool(mask.all()) else link_bce(pos, neg.masked_fill(mask, _REMOVED))
        neg = neg.masked_fill(mask, _REMOVED)
        if self.options.loss == "bpr":
            return link_bpr(pos, neg)
        if self.options.loss == "adversarial":
            return link_adversarial(pos, neg)
        return link_info_nce(pos, neg, temperature=self.options.temperature)

    def _relation(self, number: int) -> Tensor | None:
        return self.head.weight[number] if isinstance(self.head, nn.Embedding) else None

    def judged(self) -> dict[str, Tensor] | None:
        """Ends of the validation links and what they are ranked against."""
        parts: list[tuple[str, Tensor]] = []
        for part in self.links:
            if part.val.numel():
                source, _, target = part.kind
                parts += [(source, part.val[0]), (target, part.val[1])]
                parts += [] if part.tails is None else [(target, part.tails.flatten())]
                parts += [] if part.val_neg is None else [(source, part.val_neg[0]), (target, part.val_neg[1])]
        return _by_type(parts) if parts else None

    def judge(self, vectors: Vectors) -> Mapping[str, float]:
        """``score`` and ``mrr``: the mean reciprocal rank of the validation links."""
        total, count = 0.0, 0
        for number, part in enumerate(self.links):
            if not part.val.numel():
                continue
            pos = self.scores(vectors, part.val, number)
            if part.val_neg is not None:
                neg = self.scores(vectors, part.val_neg, number)
            elif part.tails is not None:
                sources = part.val[0].repeat_interleave(part.tails.shape[1])
                neg = self.scores(vectors, torch.stack([sources, part.tails.flatten()]), number).view(part.tails.shape)
            else:
                continue
            if bool(torch.isfinite(pos).all()) and bool(torch.isfinite(neg).all()):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    total += link_scores(pos, neg, ks=(10,)).mrr * len(pos)
                count += len(pos)
        return {"score": total / count, "mrr": total / count} if count else {}

    @torch.no_grad()
    def scores(self, vectors: Vectors, pairs: Tensor, number: int = 0) -> Tensor:
        """(P,) scores on the CPU of (2, P) pairs, some thousand at a time."""
        source, _, target = self.links[number].kind
        rel, found = self._relation(number), []
        for part in torch.split(pairs, _RANKED_AT_ONCE * 100, dim=1):
            rows = vectors.at(source, part[0]), vectors.at(target, part[1])
            found.append(link_score(*rows, None if rel is None else rel.expand_as(rows[0]), kind=self.options.score).cpu())
        return torch.cat(found) if found else torch.empty(0)


def _pool_scores(rows: Tensor, pool: Tensor, rel: Tensor | None, kind: str, *, heads: bool) -> Tensor:
    """(B, K) scores of each row with each node of the pool, as products of matrices: no (B, K, d) array."""
    if kind == "transe":
        assert rel is not None
        moved = rows - rel if heads else rows + rel  # -|h + r - t| with the pool as heads or as tails
        return -torch.cdist(moved, pool)
    if kind == "distmult":
        assert rel is not None
        rows = rows * rel
    elif kind == "cosine":
        rows, pool = (functional.normalize(part, dim=1, eps=1e-12) for part in (rows, pool))
    return rows @ pool.t()


def _by_type(parts: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Distinct nodes of each type, ascending."""
    found: dict[str, list[Tensor]] = {}
    for kind, nodes in parts:
        found.setdefault(kind, []).append(nodes.cpu())
    return {kind: torch.unique(torch.cat(nodes)) for kind, nodes in found.items()}


def _count(rows: Tensor, size: int) -> int:
    """Batches of at most `size`, of equal size to within one."""
    return max(1, -(-len(rows) // size))


def _accuracy(logits: Tensor, y: Tensor) -> Mapping[str, float]:
    if not bool(torch.isfinite(logits).all()):
        return {}
    share = float((logits.argmax(1).cpu() == y).double().mean())
    return {"score": share, "accuracy": share}
