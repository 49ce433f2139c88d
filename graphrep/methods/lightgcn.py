"""LightGCN: vectors spread over the interactions, trained by ranking; and matrix factorisation, without spreading."""

from __future__ import annotations

from typing import Any

from graphrep.errors import GraphrepError
from graphrep.methods.trained import inherits_arguments
from graphrep.methods.trained_recommender import TrainedRecommender
from graphrep.nn.interactions import InteractionEncoder

__all__ = ["MF", "LightGCN"]


class LightGCN(TrainedRecommender):
    """Recommendation by linear propagation between users and items, trained by BPR.

    Args:
        dim: d, numbers per user and item.
        num_layers: L, propagations.
        combine: ``"mean"`` of the levels 0..L as published, or ``"sum"``.
        batch_size: T pairs per step. Each step propagates the whole graph once.
        binarize: a pair counts once, however often it occurs; False: counts weight the propagation.
        reg_weight: of the squared lengths of the batch's rows.
        validation: share of each user's training pairs to hold out where the data has no val part; a training stops
            when Recall@20 on them has not risen for `patience` epochs, and the best epoch is kept. None: all epochs,
            as published tables are made.
        compression: ``"graph"``, ``"double-graph"``, ``"modulo"``, ``"frequency"``, ``"double"`` or ``"lsh"``: ids
            share the rows of smaller tables, see :class:`~graphrep.methods.GraphHash`; ``"none"``: each id has its own.
        compression_rows: of both tables together: a fraction of users and items, or a count.
        epochs: at most. patience, min_delta, eval_every (epochs between two looks at the validation pairs),
            lr, weight_decay, optimizer, schedule, clip_norm, precision, time_budget, seed: see
            :class:`graphrep.train.TrainConfig`.
        device: where the training runs.

    Attributes:
        user_embedding_: (U, d) of the whole graph, without dropping; item_embedding_: (I, d).
        history_: the course of the training, with ``recall`` and ``ndcg`` of the validation pairs in its signals.
        module_: the :class:`~graphrep.nn.InteractionEncoder`.

    Repeated pairs count once. Users without interactions get the most popular items; users who met every item take no
    part in the ranking loss; the notes say so.

    Source: He, Deng, Wang, Li, Zhang, Wang, "LightGCN: Simplifying and Powering Graph Convolution Network for
    Recommendation", SIGIR 2020, arXiv:2002.02126.

    Example:
        >>> from graphrep.data import Interactions
        >>> seen = Interactions([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 2, 3])
        >>> model = LightGCN(dim=8, epochs=5, validation=None).fit(seen)
        >>> items, scores = model.recommend([0], k=3)
        >>> sorted(items[0].tolist())
        [-1, 2, 3]
    """

    def __init__(self, dim: int = 64, *, combine: str = "mean", **options: Any) -> None:
        super().__init__(dim, **options)
        self.combine = combine

    def _module(self, num_users: int, num_items: int) -> InteractionEncoder:
        return InteractionEncoder(num_users, num_items, self.dim, self.num_layers, combine=self.combine)


class MF(TrainedRecommender):
    """Matrix factorisation trained by BPR: the vectors of the tables themselves, no propagation.

    Args:
        dim, batch_size, binarize, reg_weight, validation and the settings of the training: see
            :class:`~graphrep.methods.LightGCN`.

    Source: Rendle, Freudenthaler, Gantner, Schmidt-Thieme, "BPR: Bayesian Personalized Ranking from Implicit Feedback",
    2009, arXiv:1205.2618.

    Example:
        >>> from graphrep.data import Interactions
        >>> model = MF(dim=8, epochs=5, validation=None).fit(Interactions([0, 0, 1], [0, 1, 2]))
        >>> model.score([[0], [2]]).shape
        torch.Size([1])
    """

    def __init__(self, dim: int = 64, *, num_layers: int = 0, **options: Any) -> None:
        super().__init__(dim, num_layers=num_layers, **options)

    def _check(self) -> None:
        super()._check()
        if self.num_layers:
            raise GraphrepError("matrix factorisation has no layers.", hint="num_layers=0, or LightGCN")

    def _module(self, num_users: int, num_items: int) -> InteractionEncoder:
        return InteractionEncoder(num_users, num_items, self.dim, 0)


inherits_arguments(LightGCN)
inherits_arguments(MF)
