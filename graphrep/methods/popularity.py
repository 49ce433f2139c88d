"""The most popular items for everybody: what a recommender has to beat."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor

from graphrep.data.interactions import Interactions
from graphrep.kernels import CSR
from graphrep.methods._recommend_data import training_data
from graphrep.methods.recommender import Recommender
from graphrep.train.task import History

__all__ = ["Popularity"]


class Popularity(Recommender):
    """Items by the number of users who met them in training; equal numbers: the lower item number first.

    Example:
        >>> from graphrep.data import Interactions
        >>> model = Popularity().fit(Interactions([0, 1, 2, 2], [1, 1, 1, 2], num_items=4))
        >>> model.recommend([0], k=2)[0].tolist()
        [[2, 0]]
    """

    def __init__(self) -> None:
        """No settings."""

    def fit(self, interactions: Any, **training: Any) -> Self:
        """Counts the train part of `interactions`: anything :meth:`Interactions.coerce` takes.

        Args:
            interactions: who met what.
            training: the arguments of a training, which have no effect here.

        Raises:
            EmptyGraphError: no training interactions.
        """
        data = Interactions.coerce(interactions)
        found = training_data(data, None, True, 0)
        self._keep(data, found.seen, found.train, found.notes)
        self.user_embedding_ = torch.ones(data.num_users, 1)
        self.item_embedding_ = self.popularity_[:, None].float()
        self.item_context_ = torch.zeros(data.num_items, 1)
        self.module_, self.history_ = None, History()
        return self

    def _fold(self, rows: CSR) -> Tensor:
        return torch.ones(rows.num_rows, 1)
