"""LightGCL: recommendation by propagation, contrasted with a low-rank view of the whole graph (Cai et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.kernels.views import keep_mask
from graphrep.methods._lightgcl_paper import PAIRS_PER_USER, USERS_PER_BATCH, USERS_PER_EPOCH, paper_loss
from graphrep.methods._recommend_task import PairBatch, new_seed
from graphrep.methods.trained import inherits_arguments
from graphrep.methods.trained_recommender import TrainedRecommender, ranking_loss
from graphrep.nn._lightgcl_paper import PaperLightGCL
from graphrep.nn.interactions import InteractionEncoder
from graphrep.nn.lightgcl import LightGCL as LightGCLModule
from graphrep.nn.svd import Component
from graphrep.objectives import lightgcl_contrast
from graphrep.objectives._common import check_temperature

__all__ = ["LightGCL"]

_CL_WEIGHT = {"current": 0.2, "paper": 0.2, "old": 1e-7}


class LightGCL(TrainedRecommender):
    """LightGCN whose nodes are told apart by a second, dense view: the graph through a decomposition of low rank.

    ``loss = BPR + cl_weight contrast + reg_weight (|E_u^0|^2 + |E_i^0|^2)``. The contrast of the users of a batch, and
    of its met and unmet items, is against *all* users and items, exactly; see
    :func:`graphrep.objectives.lightgcl_contrast`.

    Args:
        dim: d, numbers per user and item.
        variant: ``"current"``: the authors' repository as it is. ``"paper"``: LeakyReLU(0.5) and a residual in both
            views, contrast per layer by cosines among the nodes of the batch, hinge loss. ``"old"``: the code of the
            submission: as "paper", with the decomposition of the matrix that is not normalised, a trained bilinear form
            in the contrast, sums over a random half of the nodes, and batches of 256 users with up to 40 pairs each and
            30,000 users per epoch. To reproduce its table also set dim=32, weight_decay=1e-4, reg_weight=0,
            schedule="decay" and epochs as published; test scores of training items are left out here, not set to 0.
        view: ``"svd"``; ``"self"``: each node against itself in the same view; ``"noise"``: as in SimGCL. The last two
            go with the current variant.
        num_layers: L, propagations, at least 1.
        rank: q of the decomposition.
        temperature: of the contrast.
        cl_weight: of the contrast; None: 0.2, in the old variant, which adds up rows, 1e-7.
        pos_clamp: beyond it the positive logit has no gradient; None: no clamp. Current variant.
        edge_dropout: rate at which the entries of the adjacency are dropped, per layer and direction.
        noise: length of the noise of ``view="noise"``.
        svd_iters: ``"auto"``: accurate to 1e-4; 2 with svd_oversample=0 is the authors' inexact decomposition.
        svd_oversample: columns iterated along.
        svd_component: ``"largest"`` connected component, or ``"all"``, which is arbitrary where the graph has `rank` or
            more components.
        reg_weight: of the squared length of the whole tables.
        batch_size, binarize, validation and the settings of the training: see :class:`~graphrep.methods.LightGCN`.

    Attributes:
        user_embedding_: (U, d) of the whole graph, without dropping; item_embedding_: (I, d).
        history_: the course of the training, with ``recall`` and ``ndcg`` of the validation pairs in its signals.
        module_: the :class:`graphrep.nn.LightGCL`.

    Source: Cai, Huang, Xia, Ren, "LightGCL: Simple Yet Effective Graph Contrastive Learning for Recommendation", ICLR
    2023, arXiv:2302.08191.

    Example:
        >>> from graphrep.data import Interactions
        >>> seen = Interactions([0, 0, 1, 1, 2, 2, 3], [0, 1, 0, 2, 2, 3, 1])
        >>> model = LightGCL(dim=8, rank=2, epochs=3, validation=None).fit(seen)
        >>> model.recommend([3], k=2)[0].shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        dim: int = 64,
        *,
        variant: str = "current",
        view: str = "svd",
        rank: int = 5,
        temperature: float = 0.2,
        cl_weight: float | None = None,
        pos_clamp: float | None = 5.0,
        edge_dropout: float = 0.0,
        noise: float = 0.1,
        svd_iters: int | Literal["auto"] = "auto",
        svd_oversample: int = 10,
        svd_component: Component = "largest",
        reg_weight: float = 1e-7,
        **options: Any,
    ) -> None:
        super().__init__(dim, reg_weight=reg_weight, **options)
        self.variant = variant
        self.view = view
        self.rank = rank
        self.temperature = temperature
        self.cl_weight = cl_weight
        self.pos_clamp = pos_clamp
        self.edge_dropout = edge_dropout
        self.noise = noise
        self.svd_iters = svd_iters
        self.svd_oversample = svd_oversample
        self.svd_component = svd_component

    def _check(self) -> None:
        super()._check()
        check_temperature(self.temperature)
        if self.variant not in _CL_WEIGHT:
            raise UnknownNameError(f'variant is "{self.variant}".', hint="one of " + ", ".join(_CL_WEIGHT))
        if self.variant != "current" and self.view != "svd":
            raise GraphrepError(f'view="{self.view}" goes with the current variant.', hint='variant="current"')
        if not 0 <= self.edge_dropout < 1:
            raise GraphrepError(f"edge_dropout is {self.edge_dropout}; rates lie in [0, 1).", hint="0.0")
        if not (self.noise >= 0 and self._weight() >= 0):
            raise GraphrepError(f"noise is {self.noise} and cl_weight {self.cl_weight}.", hint="0 or more")

    def _weight(self) -> float:
        return _CL_WEIGHT[self.variant] if self.cl_weight is None else self.cl_weight

    def _module(self, num_users: int, num_items: int) -> InteractionEncoder:
        options: dict[str, Any] = {
            "svd_iters": self.svd_iters,
            "svd_oversample": self.svd_oversample,
            "svd_component": self.svd_component,
            "seed": self.seed,
        }
        sizes = (num_users, num_items, self.dim, self.num_layers, self.rank)
        if self.variant == "current":
            return LightGCLModule(*sizes, view=self.view, noise=self.noise, **options)
        return PaperLightGCL(*sizes, submission=self.variant == "old", **options)

    def _user_batches(self) -> tuple[int, int, int] | None:
        return (USERS_PER_BATCH, PAIRS_PER_USER, USERS_PER_EPOCH) if self.variant == "old" else None

    def _loss(
        self, module: InteractionEncoder, batch: PairBatch, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        multipliers = self._multipliers(module, generator)
        if isinstance(module, PaperLightGCL):
            ranking, contrast = paper_loss(
                module, batch, temperature=self.temperature, multipliers=multipliers, generator=generator
            )
        else:
            assert isinstance(module, LightGCLModule)
            ranking, contrast = self._current(module, batch, multipliers, generator)
        user, item = module.tables()
        penalty = self.reg_weight * (user.square().sum() + item.square().sum())
        weighted = self._weight() * contrast
        parts = {"ranking": ranking.detach(), "contrast": weighted.detach(), "reg": penalty.detach()}
        return ranking + weighted + penalty, parts

    def _current(
        self, module: LightGCLModule, batch: PairBatch, multipliers: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        if not self._weight():
            return ranking_loss(*module.combined(module.levels(multipliers)), batch), torch.zeros(())
        noise = None
        if self.view == "noise":
            noise = torch.Generator(batch.users.device).manual_seed(new_seed(generator))
        users, items, user_view, item_view = module.views(multipliers, generator=noise)
        contrast = self._contrast(user_view, users, batch.users)
        contrast = contrast + self._contrast(item_view, items, torch.cat([batch.pos, batch.neg]))
        return ranking_loss(users, items, batch), contrast

    def _contrast(self, view: Tensor, main: Tensor, index: Tensor) -> Tensor:
        return lightgcl_contrast(view, main, index, temperature=self.temperature, pos_clamp=self.pos_clamp)

    def _multipliers(self, module: InteractionEncoder, generator: torch.Generator) -> Tensor | None:
        """(L, 2, nnz) factors of the entries that stay, 0 for the others; None without dropping."""
        if not self.edge_dropout:
            return None
        adj = module.adj
        assert adj.value is not None
        shape = (module.num_layers, 2, adj.nnz)
        kept = keep_mask(shape[0] * 2 * adj.nnz, self.edge_dropout, new_seed(generator), device=adj.device)
        return kept.view(shape).to(adj.value.dtype) / (1 - self.edge_dropout)


inherits_arguments(LightGCL, reg_weight=1e-7)
