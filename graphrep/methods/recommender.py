"""What every recommender offers: lists of items, scores, users who came later, evaluation, files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from graphrep.data.check import grouped
from graphrep.data.interactions import Interactions
from graphrep.errors import GraphrepError, ShapeError
from graphrep.eval._topk import as_csr, entries, score_block, top_columns
from graphrep.eval.ranking import RankingScores, topk_metrics
from graphrep.kernels import CSR, spmm
from graphrep.kernels._check import check_index, check_range
from graphrep.methods._recommend_data import as_matrix
from graphrep.methods._recommend_task import scored_at_once
from graphrep.methods._recommender_files import load_into, save_model
from graphrep.methods.base import Estimator
from graphrep.train.task import History

__all__ = ["Recommender", "load_recommender"]

Scorer = Callable[[Tensor], Tensor]


class Recommender(Estimator):
    """Base of the recommenders; a subclass's `fit` sets the attributes.

    Users without training interactions have no vector that means anything, so their scores are the items' popularity.

    Attributes:
        user_embedding_: (U, d) vectors.
        item_embedding_: (I, d) vectors; a score is an inner product.
        popularity_: (I,) int64 users of each item in training.
        cold_users_: (C,) int64 users without training interactions.
        user_ids_: external ids of the users, None for 0..U-1.
        item_ids_: external ids of the items, likewise.
        notes_: plain sentences that a user must be told.
        history_: the course of the training.
        module_: the trained ``nn.Module``, None for methods without one.
        trained_on_: name of the interactions, or None.
    """

    user_embedding_: Tensor
    item_embedding_: Tensor
    item_context_: Tensor
    popularity_: Tensor
    cold_users_: Tensor
    user_ids_: Any
    item_ids_: Any
    notes_: list[str]
    history_: History
    module_: Any
    trained_on_: str | None
    _seen: CSR  # pattern of the training and validation pairs

    @property
    def num_users_(self) -> int:
        """U."""
        return int(self._fitted("user_embedding_").shape[0])

    @property
    def num_items_(self) -> int:
        """I."""
        return int(self._fitted("item_embedding_").shape[0])

    @property
    def seen_(self) -> CSR:
        """(U, I) pattern of the training and validation pairs, which lists leave out."""
        seen: CSR = self._fitted("_seen")
        return seen

    def recommend(
        self,
        users: Any = None,
        k: int = 20,
        *,
        exclude_seen: bool = True,
        exclude: Any = None,
        block_size: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The best items of each user; equal scores: the lower item number first.

        Args:
            users: (n,) numbers of users; None: all.
            k: items per user, at least 1.
            exclude_seen: leave out what a user met in training or validation.
            exclude: more pairs to leave out: anything :meth:`Interactions.coerce` takes, with the users of training.
            block_size: users scored at once; block_size * I scores are held. Default by I.

        Returns:
            (n, k) int64 items and their (n, k) scores; -1 and -inf where fewer items are left.

        Raises:
            NotFittedError: before `fit`.
            IndexRangeError, DTypeError, ShapeError, GraphrepError: no such users, or `k` below 1.
        """
        chosen = self._chosen(users)
        hidden = [self._seen] if exclude_seen else []
        if exclude is not None:
            hidden.append(self._matrix(as_matrix(exclude, None, what="exclude"), "exclude", self.num_users_))
        return self._best(self._scorer(self.user_embedding_, self.cold_users_), chosen, k, hidden, block_size)

    def recommend_for(
        self, interactions: Any, k: int = 20, *, exclude_seen: bool = True, block_size: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """The best items for other users, from their interactions with known items, without training.

        Args:
            interactions: as for :meth:`fold_in`; users with none that is known get the most popular items.
            k: items per user.
            exclude_seen: leave out the given items.
            block_size: users scored at once.

        Returns:
            As :meth:`recommend`, a row per user of `interactions`.

        Raises:
            NotFittedError, GraphrepError: as :meth:`recommend`.
        """
        rows = self._rows_of(interactions)
        cold = (rows.degree() == 0).nonzero().reshape(-1)
        scorer = self._scorer(self._fold(rows), cold)
        users = torch.arange(rows.num_rows)
        return self._best(scorer, users, k, [rows] if exclude_seen else [], block_size)

    def fold_in(self, interactions: Any) -> Tensor:
        """(n, d) vectors of users who were not there, by one propagation of what the known items hold.

        Args:
            interactions: anything :meth:`Interactions.coerce` takes (the train part where it is split), a row per user.
                Items are matched by their ids where both sides have ids, else by number; unknown ones are left out.

        Raises:
            NotFittedError: before `fit`.
            ShapeError: items by number beyond those of the training.
        """
        return self._fold(self._rows_of(interactions))

    def score(self, pairs: Any) -> Tensor:
        """(P,) scores of (2, P) pairs of a user and an item; those of users without training are popularity.

        Raises:
            NotFittedError: before `fit`.
            ShapeError, DTypeError, IndexRangeError: no such pairs.
        """
        users = self._fitted("user_embedding_")
        found = torch.as_tensor(pairs)
        check_index(found, "pairs", ndim=2)
        if found.shape[0] != 2:
            raise ShapeError(f"pairs has shape {tuple(found.shape)}.", hint="(2, P): users, then items")
        check_range(found[0], self.num_users_, "pairs[0] (user)")
        check_range(found[1], self.num_items_, "pairs[1] (item)")
        user, item = found.long()
        out: Tensor = (users[user] * self.item_embedding_[item]).sum(1)
        cold = torch.isin(user, self.cold_users_)
        return torch.where(cold, self.popularity_[item].to(out.dtype), out)

    def evaluate(
        self, test: Any, ks: Iterable[int] = (20, 40), *, average: str = "users", block_size: int | None = None
    ) -> RankingScores:
        """Recall, NDCG and their kin with every item ranked but those met in training or validation.

        Args:
            test: pairs to find: a CSR, or anything :meth:`Interactions.coerce` takes, of which the test part counts
                where it is split.
            ks: cut-offs.
            average: ``"users"``, or ``"official"``: means of batches of 256 users, as in LightGCL's published tables.
            block_size: users scored at once. Default by I.

        Raises:
            NotFittedError: before `fit`.
            MissingLabelsError, ShapeError: no pairs to find, or of other users and items.

        Source: see :func:`graphrep.eval.topk_metrics`.
        """
        self._fitted("user_embedding_")
        wanted = self._matrix(as_matrix(test, "test", what="test"), "test", self.num_users_)
        size = block_size or scored_at_once(self.num_items_)
        given: tuple[Any, Any] = self.user_embedding_, self.item_embedding_
        if self.cold_users_.numel():
            given = self._scorer(self.user_embedding_, self.cold_users_), None
        return topk_metrics(*given, self._seen, wanted, ks=ks, block_size=size, average=average)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes ``model.toml`` and ``model.safetensors`` into folder `path`.

        Raises:
            NotFittedError: before `fit`.
            GraphrepError: the folder cannot be written.
        """
        self._fitted("user_embedding_")
        save_model(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The model that :meth:`save` wrote; nothing in the files is executed.

        Raises:
            FileFormatError: the folder does not hold such a model.
        """
        return load_into(cls, path)

    # for subclasses

    def _keep(self, data: Interactions, seen: CSR, train: CSR, notes: Iterable[str]) -> None:
        """What follows from the interactions alone."""
        self._seen = seen.with_value(None).to("cpu")
        self.popularity_ = torch.bincount(train.col.long().cpu(), minlength=train.num_cols)
        self.cold_users_ = (train.degree() == 0).nonzero().reshape(-1).cpu()
        self.user_ids_, self.item_ids_, self.trained_on_ = data.user_ids, data.item_ids, data.name
        self.notes_ = list(notes)

    def _rebuilt(self) -> Any:
        """An untrained module of the fitted sizes, for a file; None for methods without one."""
        return None

    def _fold(self, rows: CSR) -> Tensor:
        """(n, d) from the pattern (n, I) of what each user met."""
        weight = rows.degree().clamp(min=1).rsqrt()[rows.row().long()].to(self.item_context_.dtype)
        arrived: Tensor = spmm(rows.with_value(weight), self.item_context_)
        return self.module_.folded(arrived) if self.module_ is not None else arrived

    # inside

    def _chosen(self, users: Any) -> Tensor:
        count = int(self._fitted("user_embedding_").shape[0])
        if users is None:
            return torch.arange(count)
        found = torch.as_tensor(users).reshape(-1) if np.ndim(users) == 0 else torch.as_tensor(users)
        if found.numel() == 0 and found.dim() == 1:
            return found.long()
        check_index(found, "users")
        check_range(found, count, "users")
        return found.long().cpu()

    def _matrix(self, given: CSR, name: str, num_rows: int) -> CSR:
        return as_csr(given, name, num_rows=num_rows, num_cols=self.num_items_, device=torch.device("cpu"))

    def _rows_of(self, interactions: Any) -> CSR:
        """(n, I) pattern of the known items that other users met."""
        self._fitted("item_embedding_")
        if isinstance(interactions, CSR):
            interactions = Interactions.coerce(interactions)
        data = Interactions.coerce(interactions)
        rows = data.rows("train" if data.part is not None else None)
        user, item = data.user[rows].cpu(), data.item[rows].cpu()
        if self.item_ids_ is not None and data.item_ids is not None:
            place = _places(data.item_ids, self.item_ids_)
            known = place[item] >= 0
            user, item = user[known], place[item[known]]
        else:
            size = self.num_items_
            if item.numel() and int(item.max()) >= size:
                raise ShapeError(
                    f"interactions has item {int(item.max())}; the model knows {grouped(size)} items.",
                    hint="give the items the ids that they had in training",
                )
        found = Interactions(user, item, num_users=data.num_users, num_items=self.num_items_)
        return found.csr(binarize=True).with_value(None)

    def _scorer(self, vectors: Tensor, cold: Tensor) -> Scorer:
        items = self.item_embedding_
        is_cold = torch.zeros(vectors.shape[0], dtype=torch.bool)
        is_cold[cold] = True

        def scores(users: Tensor) -> Tensor:
            out: Tensor = vectors[users] @ items.t()
            rows = is_cold[users]
            if bool(rows.any()):
                out[rows] = self.popularity_.to(out.dtype)
            return out

        return scores

    def _best(
        self, scorer: Scorer, users: Tensor, k: int, hidden: list[CSR], block_size: int | None
    ) -> tuple[Tensor, Tensor]:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise GraphrepError(f"k must be an integer of 1 or more; got {k!r}.", hint="k=20")
        size = block_size or scored_at_once(self.num_items_)
        if size < 1:
            raise GraphrepError(f"block_size is {block_size}.", hint="1024")
        width = min(k, self.num_items_)
        best = torch.full((len(users), k), -1, dtype=torch.int64)
        values = torch.full((len(users), k), -torch.inf, dtype=self.item_embedding_.dtype)
        for start in range(0, len(users), size):
            block = users[start : start + size]
            scores = score_block(scorer(block), block)
            for csr in hidden:
                scores[entries(csr, block)] = -torch.inf
            columns = top_columns(scores, width)
            value = scores.gather(1, columns)
            best[start : start + size, :width] = torch.where(value > -torch.inf, columns, -1)
            values[start : start + size, :width] = value
        return best, values


def _places(ids: Any, known: Any) -> Tensor:
    """For each of `ids` its place in `known`, -1 where it is not there; text and integers never match."""
    given, model = (np.asarray(part) for part in (ids, known))
    order = model.argsort(kind="stable")
    if (given.dtype.kind in "iu") != (model.dtype.kind in "iu"):
        return torch.full((len(given),), -1)
    place = np.searchsorted(model[order], given).clip(max=max(len(model) - 1, 0))
    found = order[place] if len(model) else np.zeros(len(given), dtype=np.int64)
    same = model[found] == given if len(model) else np.zeros(len(given), dtype=bool)
    return torch.from_numpy(np.where(same, found, -1).astype(np.int64))


def load_recommender(path: str | os.PathLike[str]) -> Recommender:
    """The recommender in a folder, whichever method it is.

    Raises:
        FileFormatError: no such model there.
    """
    from pathlib import Path

    from graphrep.data.tensor_files import read_tensors
    from graphrep.errors import FileFormatError
    from graphrep.registry import METHODS

    file = Path(path) / "model.safetensors"
    facts = read_tensors(file)[1] if file.is_file() else {}
    name = facts.get("graphrep", "").split()[1:2]
    for entry in METHODS.values():
        if name and entry.task == "recommend" and entry.target.endswith(f":{name[0]}"):
            model: Recommender = entry.load().load(path)
            return model
    raise FileFormatError(f"{path} does not hold a recommender.", hint="model.save(path)")
