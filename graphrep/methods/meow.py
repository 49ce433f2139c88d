"""MEOW: two views of a node type along meta-paths, contrasted with negatives that clusters weight (Yu and Li 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.methods._meow import Clusters, MetaPathModule, ViewLoss
from graphrep.methods.metapath import MetaPathEstimator
from graphrep.methods.trained import inherits_arguments
from graphrep.objectives import meow_contrast, prototype_contrast, prototype_density
from graphrep.objectives._common import check_temperature

__all__ = ["MEOW"]


class MEOW(MetaPathEstimator):
    """Vectors for one node type of a heterogeneous graph, from meta-paths and without labels.

    The coarse view knows who is connected by meta-paths, the fine one also through what; each node's two vectors are to
    be alike, and unlike those of nodes in other clusters: a negative counts by how many of several k-means clusterings
    put it elsewhere. A second loss draws the coarse view to the centre of its cluster. See
    :func:`graphrep.objectives.meow_contrast` and :func:`graphrep.objectives.prototype_contrast`.

    Args:
        dim: d, numbers per node.
        metapaths: a list of paths that come back to the target, as "paper>author>paper", as "PAP" where first letters
            tell types apart, or as lists of relation names; None: all of the schema that turn round after one or two
            steps.
        target: the node type; None: that of the labels.
        weights: of the negatives: ``"cluster"``, or ``"none"``: plain InfoNCE.
        num_clusters: K_t, one clustering each; sizes of N or more are lowered to half of N.
        prototype_weight: lambda, of the second loss; 0 leaves it out.
        density: of the prototypes' concentration: ``"ip"`` as published, ``"l2"`` as the loss it comes from has it; see
            :func:`graphrep.objectives.prototype_density`.
        cluster_every: epochs between two searches for clusters.
        warm_clusters: each search goes on from the one before, which is faster, instead of from rows; but such clusters
            confirm themselves, and scores fall.
        views: ``"both"``, or ``"coarse"``: the coarse view and its masked form alone.
        contexts: whether the fine view mixes in what lies on the way.
        temperature: tau of the contrast.
        num_neighbors: per meta-path the partners of a node that are kept, the best by path similarity, itself among
            them: a number, one per meta-path, or None: all.
        edge_masks: share of the entries that the masked matrix of a meta-path lacks: a number, or one per meta-path.
        feature_mask: share of the target's entries that are set to 0 for the masked matrices.
        resample_masks: new masks in each epoch instead of one drawing.
        ties: of path similarity: ``"hash"``: at random by `seed`; ``"index"``: the higher number, as published.
        scale_features: ``"row"``: rows of types without negative features are divided by their sum; ``"none"``.
        norm: of the convolution: ``"global"`` as published, which couples all nodes, or ``"node"``.
        dropout: share of entries that are dropped in training.
        batch_size: nodes contrasted in a step, drawn anew each time, for graphs where N^2 is too much; the clusters
            are then those of the drawn nodes. None: all. Every step encodes the whole graph.
        official_embedding: the vectors of the last training pass, dropping included, in place of a clean pass.
        epochs: at most; it ends when the loss has not fallen for `patience` epochs.
        lr, weight_decay, optimizer, clip_norm, precision, stop, patience, min_delta, keep, eval_every, time_budget,
            seed: see :class:`graphrep.train.TrainConfig`.
        device: where the training runs.

    Attributes:
        embedding_: (N, dim) of the target type; ids_: external ids of its rows.
        attention_: by meta-path, how much its clean and its masked matrix count in the fine view.
        notes_: sentences on what a user must know.
        module_: encoder and projection.
        history_: the course of the training.

    Types without features have a trained vector per node, so such a model embeds only graphs with the same nodes of
    these types.

    Source: Yu and Li, "Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Weighted Negative Samples",
    SDM 2023, arXiv:2212.13847. Settings beyond the published ones and the clean pass are additions.

    Example:
        >>> import torch
        >>> from graphrep import HeteroGraph
        >>> by = torch.tensor([[0, 1, 2, 3, 0, 2], [0, 0, 1, 1, 2, 2]])
        >>> graph = HeteroGraph({("paper", "by", "author"): by}, x={"paper": torch.eye(4)}, target="paper")
        >>> MEOW(8, num_clusters=(2,), epochs=3).fit_transform(graph).shape
        torch.Size([4, 8])
    """

    _left_out = ("clusters.",)

    def __init__(
        self,
        dim: int = 64,
        *,
        weights: str = "cluster",
        num_clusters: Sequence[int] = (100, 300),
        prototype_weight: float = 1.0,
        density: str = "ip",
        cluster_every: int = 1,
        warm_clusters: bool = False,
        temperature: float = 0.4,
        **options: Any,
    ) -> None:
        super().__init__(dim, **options)
        self.weights = weights
        self.num_clusters = num_clusters
        self.prototype_weight = prototype_weight
        self.density = density
        self.cluster_every = cluster_every
        self.warm_clusters = warm_clusters
        self.temperature = temperature

    def _check_settings(self) -> None:
        super()._check_settings()
        check_temperature(self.temperature)
        if self.weights not in ("cluster", "none"):
            raise UnknownNameError(f'weights is "{self.weights}".', hint='"cluster" or "none"')
        if self.density not in ("ip", "l2"):
            raise UnknownNameError(f'density is "{self.density}".', hint='"ip" or "l2"')
        if not self.prototype_weight >= 0:
            raise GraphrepError(f"prototype_weight is {self.prototype_weight}.", hint="0 or more: 1.0")
        if self.cluster_every < 1:
            raise GraphrepError(f"cluster_every is {self.cluster_every}.", hint="1 or more epochs")
        if not len(self.num_clusters) or min(self.num_clusters) < 1:
            raise GraphrepError(f"num_clusters is {self.num_clusters!r}.", hint="(100, 300)")

    def _loss(self, module: MetaPathModule, num_nodes: int) -> ViewLoss:
        weighted, prototypes = self.weights == "cluster", self.prototype_weight > 0
        clusters = None
        if weighted or prototypes:
            sizes = [k if k < num_nodes else max(1, num_nodes // 2) for k in self.num_clusters]
            clusters = Clusters(sizes, self.dim, every=self.cluster_every, warm=self.warm_clusters, seed=self.seed)
            module.clusters = clusters.to(self.device, next(module.parameters()).dtype)

        def loss(coarse: Tensor, fine: Tensor, epoch: int) -> tuple[Tensor, Mapping[str, Tensor | float]]:
            labels, centres = ([], []) if clusters is None else clusters(fine, epoch)
            contrast = meow_contrast(coarse, fine, labels if weighted else None, temperature=self.temperature)
            if not prototypes:
                return contrast, {}
            density = [
                prototype_density(fine.detach(), q, centre, temperature=self.temperature, kind=self.density)
                for q, centre in zip(labels, centres, strict=True)
            ]
            units = [normalize(centre, dim=1) for centre in centres]
            prototype = prototype_contrast(coarse, labels, units, density)
            value = contrast + self.prototype_weight * prototype
            return value, {"contrast": contrast.detach(), "prototypes": prototype.detach()}

        return loss

    def _finished(self, module: nn.Module) -> None:
        if hasattr(module, "clusters"):
            del module.clusters


inherits_arguments(MEOW)
