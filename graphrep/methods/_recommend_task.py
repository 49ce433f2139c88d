"""The training of a recommender on pairs of users and items: batches with fresh negatives, and a look at validation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from graphrep.errors import EmptyGraphError
from graphrep.eval.ranking import topk_metrics
from graphrep.kernels import CSR, sample_neighbors, uniform_negatives
from graphrep.nn.interactions import InteractionEncoder

__all__ = ["CUT", "PairBatch", "RecommendTask", "Step", "new_seed", "scored_at_once"]

CUT = 20  # validation looks at the recall among so many items
_SCORES = 1 << 24  # scores held at a time


class PairBatch(NamedTuple):
    """(T,) users, an item each has met and one it has not; and how many users were drawn."""

    users: Tensor
    pos: Tensor
    neg: Tensor
    num_users: int


Step: TypeAlias = Callable[[PairBatch, torch.Generator], tuple[Tensor, Mapping[str, Tensor | float]]]


def new_seed(generator: torch.Generator) -> int:
    """A seed drawn from the generator of the training."""
    return int(torch.randint(1 << 62, (), generator=generator))


def scored_at_once(num_items: int) -> int:
    """Users whose scores for all items are held at a time by default."""
    return max(1, _SCORES // max(1, num_items))


class RecommendTask:
    """The training of a module on the pairs of a matrix; a :class:`graphrep.train.JudgedTask`.

    Args:
        module: what is trained.
        train: (U, I) pattern; users that met every item take no part.
        val: (U, I) pattern that validates, or None.
        step: the loss of a batch, with named parts.
        batch_size: T pairs of a batch; every pair occurs once an epoch.
        user_batches: (users of a batch, pairs per user, users of an epoch): instead draw users, and pairs of each.
        fingerprint: settings of the method.

    Raises:
        EmptyGraphError: every user met every item.
    """

    def __init__(
        self,
        module: InteractionEncoder,
        train: CSR,
        val: CSR | None,
        step: Step,
        *,
        batch_size: int,
        user_batches: tuple[int, int, int] | None = None,
        fingerprint: str = "",
    ) -> None:
        self.module = module
        self.train, self.val, self.step = train, val, step
        self.batch_size, self.user_batches, self._fingerprint = batch_size, user_batches, fingerprint
        row = train.row().long()
        open_ = (train.degree() < train.num_cols)[row]
        self.users, self.items = row[open_], train.col.long()[open_]
        self._last: tuple[Tensor, Tensor] | None = None
        if not self.users.numel():
            raise EmptyGraphError("every user met every item, so there is nothing to rank.", hint="more items")

    def batches(self, epoch: int, generator: torch.Generator) -> Iterable[PairBatch]:
        """All pairs in random order with one new negative each, or pairs of random users."""
        if self.user_batches is not None:
            yield from self._by_user(*self.user_batches, generator)
            return
        neg = uniform_negatives(self.train, self.users, seed=new_seed(generator))[:, 0]
        order = torch.randperm(self.users.numel(), generator=generator).to(self.users.device)
        for part in torch.split(order, self.batch_size):
            users = self.users[part]
            yield PairBatch(users, self.items[part], neg[part], users.numel())

    def _by_user(self, count: int, pairs: int, most: int, generator: torch.Generator) -> Iterable[PairBatch]:
        known = torch.unique(self.users)
        order = torch.randperm(known.numel(), generator=generator)[:most].to(known.device)
        for part in torch.split(order, count):
            users = known[part]
            found = sample_neighbors(self.train, users, pairs, seed=new_seed(generator))
            each = users[found.row().long()]
            neg = uniform_negatives(self.train, each, seed=new_seed(generator))[:, 0]
            yield PairBatch(each, found.col.long(), neg, users.numel())

    def loss(
        self, batch: PairBatch, epoch: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The loss of the method."""
        return self.step(batch, generator)

    def embed(self) -> Tensor:
        """(U, d) vectors of the users."""
        self._last = self.module()
        return self._last[0]

    def judge(self) -> Mapping[str, float]:
        """Recall and NDCG among 20 items on the validation pairs, training pairs left out."""
        if self.val is None or self._last is None:
            return {}
        block = scored_at_once(self.train.num_cols)
        found = topk_metrics(*self._last, self.train, self.val, ks=(CUT,), block_size=block)
        self._last = None
        return {"recall": found.recall[CUT], "ndcg": found.ndcg[CUT]}

    def fingerprint(self) -> str:
        """Settings of the method and a digest of the pairs."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.users, self.items):
            digest.update(part.cpu().numpy().tobytes())
        return f"{self._fingerprint}, {self.train.num_rows} users, {self.train.num_cols} items, {digest.hexdigest()}"
