"""SimGCL: two propagations with a little noise, which the users and items of a batch have to agree in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.methods._recommend_task import PairBatch, new_seed
from graphrep.methods.trained import inherits_arguments
from graphrep.methods.trained_recommender import TrainedRecommender, ranking_loss, row_lengths
from graphrep.nn.interactions import InteractionEncoder
from graphrep.nn.lightgcl import noisy_levels
from graphrep.objectives import info_nce
from graphrep.objectives._common import check_temperature

__all__ = ["SimGCL"]


class SimGCL(TrainedRecommender):
    """LightGCN with a contrast between two noisy propagations.

    At each level every row gets uniform noise of length `noise` with the signs of the row. The distinct users of a
    batch are told apart by the cosines between both views, and so are its distinct met items. The mean is over the
    levels 1..L, without level 0.

    Args:
        dim, num_layers, batch_size, binarize, reg_weight, validation and the settings of the training: see
            :class:`~graphrep.methods.LightGCN`.
        noise: length of the noise.
        temperature: of the contrast.
        cl_weight: of the contrast.

    Source: Yu, Yin, Xia, Chen, Cui, Nguyen, "Are Graph Augmentations Necessary? Simple Graph Contrastive Learning for
    Recommendation", SIGIR 2022, arXiv:2112.08679.

    Example:
        >>> from graphrep.data import Interactions
        >>> seen = Interactions([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 2, 3])
        >>> model = SimGCL(dim=8, epochs=2, validation=None).fit(seen)
        >>> sorted(model.history_.epochs[0].parts)
        ['bpr', 'contrast', 'reg']
    """

    def __init__(
        self,
        dim: int = 64,
        *,
        noise: float = 0.1,
        temperature: float = 0.2,
        cl_weight: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(dim, **options)
        self.noise = noise
        self.temperature = temperature
        self.cl_weight = cl_weight

    def _check(self) -> None:
        super()._check()
        check_temperature(self.temperature)
        if not (self.noise >= 0 and self.cl_weight >= 0):
            raise GraphrepError(f"noise is {self.noise} and cl_weight {self.cl_weight}.", hint="0 or more")

    def _module(self, num_users: int, num_items: int) -> InteractionEncoder:
        return InteractionEncoder(num_users, num_items, self.dim, self.num_layers, combine="mean", first_level=False)

    def _loss(
        self, module: InteractionEncoder, batch: PairBatch, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        users, items = module()
        ranking = ranking_loss(users, items, batch)
        noise = torch.Generator(batch.users.device).manual_seed(new_seed(generator))
        first, second = (module.combined(noisy_levels(module, self.noise, noise)) for _ in range(2))
        contrast = sum(
            (
                info_nce(
                    first[side].index_select(0, nodes),
                    second[side].index_select(0, nodes),
                    temperature=self.temperature,
                    intra_view=False,
                    symmetric=False,
                )
                for side, nodes in enumerate((torch.unique(batch.users), torch.unique(batch.pos)))
            ),
            ranking.new_zeros(()),
        )
        penalty = self.reg_weight * row_lengths(module, batch)
        parts = {"bpr": ranking.detach(), "contrast": contrast.detach(), "reg": penalty.detach()}
        return ranking + self.cl_weight * contrast + penalty, parts


inherits_arguments(SimGCL)
