"""What LMGNN minimises for links: each against the rest of the batch and a pool that the batch shares."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from graphrep.eval.linkpred import link_scores
from graphrep.methods._lmgnn_data import Links
from graphrep.methods._lmgnn_graph import EdgeType
from graphrep.methods._lmgnn_losses import Vectors, batch_count, by_type
from graphrep.nn import LinkHead, SharedNegatives, link_score
from graphrep.objectives import in_batch_info_nce, link_adversarial, link_bce, link_bpr, link_info_nce
from graphrep.train import distributed

__all__ = ["LinkObjective", "LinkOptions"]

_REMOVED = -1e9  # score of a pair that is no negative
_SCORED_AT_ONCE = 50_000


@dataclasses.dataclass(frozen=True)
class LinkOptions:
    """How links are scored and against what; :class:`LMGNN` describes the names."""

    loss: str = "info_nce"
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
        head: with the kind of score and, where that has some, a vector per relation.
        links: relation by relation; batches hold links of one.
        num_nodes: by type.
        batch_size: links of a step.
        options: see :class:`LinkOptions`.
    """

    def __init__(
        self,
        head: LinkHead,
        links: Sequence[Links],
        num_nodes: Mapping[str, int],
        *,
        batch_size: int,
        options: LinkOptions,
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
            for some in order.tensor_split(batch_count(order, self.batch_size)):
                pools = [pool.draw(generator) for pool in self.pools[number]]
                if part.kind[0] == part.kind[2]:
                    pools[0] = pools[1]
                found.append(_LinkBatch(number, part.train[:, some], (pools[0], pools[1])))
        return [found[i] for i in torch.randperm(len(found), generator=generator).tolist()]

    def seeds(self, batch: _LinkBatch) -> dict[str, Tensor]:
        """Both ends and the pools."""
        source, _, target = self.links[batch.number].kind
        pairs = distributed.shard(batch.pairs, dim=1)
        back, forward = (distributed.shard(pool) for pool in batch.pools)  # every process computes a part of the pool
        return by_type([(source, pairs[0]), (target, pairs[1]), (target, forward), (source, back)])

    def excluded(self, batch: _LinkBatch) -> dict[EdgeType, Tensor]:
        """The links of the batch, whose own edges would give them away."""
        return {self.links[batch.number].kind: batch.pairs} if self.options.exclude else {}

    def loss(self, vectors: Vectors, batch: _LinkBatch) -> Tensor:
        """The mean of both directions: which target belongs to a source, and which source to a target."""
        vectors, kind = vectors.of_all_processes(), self.links[batch.number].kind
        if self.options.loss == "info_nce" and self.head.kind == "cosine":
            return self._contrast(vectors, batch, kind)
        rows = [vectors.at(end, nodes) for end, nodes in zip((kind[0], kind[2]), batch.pairs, strict=True)]
        rel = self._relation(batch.number)
        pos = link_score(*rows, None if rel is None else rel.expand_as(rows[0]), kind=self.head.kind)
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
        neg = _pool_scores(rows, others, rel, self.head.kind, heads=side == 0)
        mask = self.pools[batch.number][side].mask(fixed, pool, same_type=ends[0] == ends[1]).to(neg.device)
        if self.options.loss == "bce":
            return (
                link_bce(pos, neg[~mask][:, None])
                if not bool(mask.all())
                else link_bce(pos, neg.masked_fill(mask, _REMOVED))
            )
        neg = neg.masked_fill(mask, _REMOVED)
        if self.options.loss == "bpr":
            return link_bpr(pos, neg)
        if self.options.loss == "adversarial":
            return link_adversarial(pos, neg)
        return link_info_nce(pos, neg, temperature=self.options.temperature)

    def _relation(self, number: int) -> Tensor | None:
        return None if self.head.relations is None else self.head.relations[number]

    def judged(self) -> dict[str, Tensor] | None:
        """Ends of the validation links and what they are ranked against."""
        parts: list[tuple[str, Tensor]] = []
        for part in self.links:
            if part.val.numel():
                source, _, target = part.kind
                parts += [(source, part.val[0]), (target, part.val[1])]
                parts += [] if part.tails is None else [(target, part.tails.flatten())]
        return by_type(parts) if parts else None

    def shown(self, vectors: Vectors) -> Tensor:
        """Vectors of the first node type."""
        return next(iter(vectors.rows.values()))

    def judge(self, vectors: Vectors) -> Mapping[str, float]:
        """``score`` and ``mrr``: the mean reciprocal rank of the validation links."""
        total, count = 0.0, 0
        for number, part in enumerate(self.links):
            if part.tails is None:
                continue
            pos = self.scores(vectors, part.val, number)
            sources = part.val[0].repeat_interleave(part.tails.shape[1])
            neg = self.scores(vectors, torch.stack([sources, part.tails.flatten()]), number).view(part.tails.shape)
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
        for part in torch.split(pairs, _SCORED_AT_ONCE, dim=1):
            rows = vectors.at(source, part[0]), vectors.at(target, part[1])
            found.append(link_score(*rows, None if rel is None else rel.expand_as(rows[0]), kind=self.head.kind).cpu())
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
