"""Recommenders that train vectors on pairs: one frame for LightGCL, LightGCN, SimGCL and matrix factorisation."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from graphrep.data.interactions import Interactions
from graphrep.errors import GraphrepError
from graphrep.methods._compression import check_compression, compressed
from graphrep.methods._recommend_data import TrainingData, training_data
from graphrep.methods._recommend_task import PairBatch, RecommendTask
from graphrep.methods.recommender import Recommender
from graphrep.methods.trained import WEIGHT_DTYPES
from graphrep.nn.interactions import InteractionEncoder
from graphrep.objectives import bpr
from graphrep.train import Callback, TrainConfig, seeded, train

__all__ = ["TrainedRecommender", "ranking_loss", "row_lengths"]

_TRAINING = (
    "epochs", "lr", "weight_decay", "optimizer", "schedule", "clip_norm", "precision", "patience", "min_delta",
    "eval_every", "time_budget", "seed",
)  # fmt: skip
_FREE = ("epochs", "time_budget", "patience", "min_delta", "eval_every", "device")  # when resumed


class TrainedRecommender(Recommender):
    """Base of the recommenders with a module.

    :class:`~graphrep.methods.LightGCN` describes the arguments that all have. A subclass makes the module and the loss
    of a batch.
    """

    def __init__(
        self,
        dim: int = 64,
        *,
        num_layers: int = 2,
        batch_size: int = 4096,
        binarize: bool = True,
        reg_weight: float = 1e-4,
        validation: float | None = 0.1,
        compression: str = "none",
        compression_rows: float | int = 0.25,
        epochs: int = 100,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        optimizer: str = "adam",
        schedule: str = "constant",
        clip_norm: float | None = None,
        precision: str = "float32",
        patience: int = 30,
        min_delta: float = 0.0,
        eval_every: int = 3,
        time_budget: float | None = None,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.dim = dim
        self.num_layers = num_layers
        self.batch_size = batch_size
        self.binarize = binarize
        self.reg_weight = reg_weight
        self.validation = validation
        self.compression = compression
        self.compression_rows = compression_rows
        self.epochs = epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.precision = precision
        self.patience = patience
        self.min_delta = min_delta
        self.eval_every = eval_every
        self.time_budget = time_budget
        self.device = device
        self.seed = seed

    def fit(
        self,
        interactions: Any,
        *,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 30.0,
        resume: bool = False,
        rescue: str | os.PathLike[str] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Self:
        """Trains on the train part of the interactions, all rows where they are not split; never on a test part.

        With `validation` set the val part, or pairs held out of the train part, say when to stop and which epoch to
        keep, by Recall@20. With ``validation=None`` all epochs are trained and the last is kept.

        Args:
            interactions: anything :meth:`Interactions.coerce` takes.
            callbacks: told about steps and epochs.
            checkpoint: file for the state of the training; None saves none.
            checkpoint_every: seconds between two states.
            resume: go on from `checkpoint` if it exists.
            rescue: file for the last good weights should the training diverge.
            should_stop: asked after every epoch; :func:`graphrep.train.train` has the rest.

        Raises:
            EmptyGraphError: no training interactions, or none that could be ranked above another item.
            DivergedError: NaN during training; ``module_`` holds the last good state.
            GraphrepError: a setting out of range, or weights that are not positive.
        """
        data = Interactions.coerce(interactions)
        self._check()
        found = training_data(data, self.validation, self.binarize, self.seed)
        config = self._config(found)
        with seeded(self.seed):
            module = self._module(data.num_users, data.num_items)
            module = compressed(module, found.train, self.compression, self.compression_rows, self.seed)
            module = module.to(self.device, WEIGHT_DTYPES[self.precision])
        module.prepare(found.train, binarize=self.binarize)
        self.module_ = module
        self._keep(data, found.seen, found.train, found.notes)
        options: dict[str, Any] = {"checkpoint_every": checkpoint_every, "resume": resume, "rescue": rescue}
        options |= {"callbacks": callbacks, "checkpoint": checkpoint, "should_stop": should_stop}
        self.history_ = train(self._task(module, found), config, **options)
        self._finish(module)
        return self

    @torch.no_grad()
    def _finish(self, module: InteractionEncoder) -> None:
        module.eval()
        users, items = module()
        self.user_embedding_, self.item_embedding_ = (part.detach().cpu().clone() for part in (users, items))
        self.item_context_ = module.item_context().cpu()
        module.cpu()

    def _config(self, found: TrainingData) -> TrainConfig:
        rule = {"stop": "none", "keep": "last"} if found.val is None else {"stop": "recall", "keep": "best"}
        return TrainConfig(**{name: getattr(self, name) for name in _TRAINING}, **rule)

    def _task(self, module: InteractionEncoder, found: TrainingData) -> RecommendTask:
        def step(batch: PairBatch, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor | float]]:
            return self._loss(module, batch, generator)

        return RecommendTask(
            module,
            found.train.to(self.device),
            None if found.val is None else found.val.to(self.device),
            step,
            batch_size=self.batch_size,
            user_batches=self._user_batches(),
            fingerprint=self._fingerprint(),
        )

    def _fingerprint(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items() if name not in _FREE)
        return f"{type(self).__name__}({settings})"

    def _rebuilt(self) -> InteractionEncoder:
        return self._module(self.num_users_, self.num_items_)

    def _check(self) -> None:
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise GraphrepError(f"batch_size is {self.batch_size!r}.", hint="an integer of 1 or more: 4096")
        if not self.reg_weight >= 0:
            raise GraphrepError(f"reg_weight is {self.reg_weight!r}.", hint="0 or more: 1e-4")
        check_compression(self.compression)

    # for subclasses

    def _user_batches(self) -> tuple[int, int, int] | None:
        """See :class:`RecommendTask`; None: batches of pairs."""
        return None

    def _module(self, num_users: int, num_items: int) -> InteractionEncoder:
        raise NotImplementedError

    def _loss(
        self, module: InteractionEncoder, batch: PairBatch, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Here BPR and the squared length of the batch's rows at level 0, halved, per pair."""
        users, items = module()
        ranking = ranking_loss(users, items, batch)
        penalty = self.reg_weight * row_lengths(module, batch)
        return ranking + penalty, {"bpr": ranking.detach(), "reg": penalty.detach()}


def ranking_loss(users: Tensor, items: Tensor, batch: PairBatch) -> Tensor:
    """BPR of the batch."""
    user = users.index_select(0, batch.users)
    pos, neg = ((user * items.index_select(0, part)).sum(1) for part in (batch.pos, batch.neg))
    return bpr(pos, neg)


def row_lengths(module: InteractionEncoder, batch: PairBatch) -> Tensor:
    """Half the squared lengths of the batch's rows of the tables, per pair."""
    user, item = module.tables()
    rows = (user[batch.users], item[batch.pos], item[batch.neg])
    return sum((part.square().sum() for part in rows), user.new_zeros(())) / (2 * batch.users.numel())
