"""SCGC and SCGC*: clusters from node features alone at inference; the graph enters through the loss."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from graphrep.data.check import check_rows
from graphrep.data.graph import Graph
from graphrep.eval import cluster_scores
from graphrep.kernels import CSR, influence_matrix
from graphrep.methods._partition_input import isolated_note, prepared
from graphrep.methods._pretraining import PretrainTask, digest, encode, from_features, row_length, scaled_rows
from graphrep.methods._scgc import ClusterModule, JointTask, Pull, best_start
from graphrep.methods._scgc_rules import check_settings, course_notes, pretrain_rule, pretrain_starts
from graphrep.methods.clusterer import ClusterMixin
from graphrep.methods.trained import WEIGHT_DTYPES, TrainedEstimator
from graphrep.nn import AutoEncoder, FeatureMLP
from graphrep.objectives import influence_contrast, pamc
from graphrep.train import History, TrainConfig, seeded, train
from graphrep.train.checkpoint import saved_history

__all__ = ["SCGC"]

_FREE = ("epochs", "time_budget", "min_delta", "min_epochs", "stop", "keep", "eval_every", "device")  # when resumed


class SCGC(ClusterMixin, TrainedEstimator):
    """K clusters by an encoder of the features that is drawn towards the graph by its loss.

    An auto-encoder is trained on the features; k-means on its embedding gives the first centres. Then encoder and
    centres are trained together on ``alpha * contrast + beta * KL``: the contrast
    (:func:`graphrep.objectives.influence_contrast`) pulls each node towards those that a short random walk reaches and
    away from all others, the KL divergence (:func:`graphrep.objectives.clustering_kl`) sharpens the soft assignment q.
    The label of a node is its largest q. No message passes along edges, so nodes that come later are labelled from
    their features alone (:meth:`predict`).

    This is not "Simple Contrastive Graph Clustering" (Liu et al. 2023), which has the same short name.

    Args:
        num_clusters: K, at least 2. It must be given; nothing here finds it.
        dim: d, numbers per node.
        hidden_dims: widths between the features and the embedding.
        variant: "star": SCGC*, the sum of the walk's steps 1..order; "full": the plain SCGC, the last step alone, and
            the decoder is kept and its reconstruction error added to the loss.
        scale_features: "none"; a number that the features are multiplied by; "equal": all rows get the same length, the
            root mean square of theirs, so that nodes with many entries do not rule the auto-encoder; "row": each row is
            divided by its sum of absolute values.
        alpha: weight of the contrast.
        beta: weight of the KL divergence.
        order: steps of the random walk.
        inv_temperature: multiplies the cosines in the contrast; the papers' tau.
        df: degrees of freedom of the soft assignment.
        negatives: "exact" (all nodes, N^2 d per epoch, no N x N array), "cluster_rows" (N K d), "cluster_pairs", or
            "pamc"; see :func:`graphrep.objectives.influence_contrast`.
        top_m: keep only the m largest entries in each row of the influence matrix; None: all.
        n_init: starts of k-means.
        pretrain_epochs: epochs of the auto-encoder, at most; 0: random weights; None: the published 30, and then on
            until its loss has fallen by less than a tenth within five epochs, but no more than 300.
        pretrain_starts: auto-encoders trained side by side from different random weights; kept is the one whose k-means
            clusters links and features agree on best (:func:`select_partition`; an addition). None: 3, but 1 for more
            than 20,000 nodes.
        pretrain_lr: its learning rate.
        pretrain_batch_size: its rows per step.
        pretrain_patience: where `pretrain_epochs` is given, it ends earlier when its loss has not fallen by
            `pretrain_min_delta` of itself for so many epochs.
        pretrain_min_delta: see `pretrain_patience`.
        batch_size: nodes per step; each brings the ends of `num_walks` random walks along, and the contrast is among
            these. None: all nodes, exactly.
        num_walks: see `batch_size`.
        epochs, lr, weight_decay, optimizer, clip_norm, precision, keep, eval_every, time_budget, seed: see
            :class:`graphrep.train.TrainConfig`. Auto-encoder and centres are made from `seed` too.
        stop: "changed": after the first epoch in which fewer than `min_delta` of the nodes have another label than
            `patience` epochs before; "none": all epochs.
        patience, min_delta: see `stop`.
        device: where the training runs.

    Attributes:
        labels_: (N,) cluster of each node, by size, the largest first.
        probabilities_: (N, K) q.
        num_clusters_: clusters that have a node.
        embedding_: (N, dim).
        notes_: sentences on what a user must know: isolated nodes, empty clusters, a training that was cut short.
        module_: encoder and centres; ``module_(x)`` gives embedding and q.
        history_: the course of the training; per epoch the parts of the loss, the clusters in use, and the share of
            nodes that changed; ``history_.earlier[0]`` is that of the auto-encoder.

    The graph is taken as undirected; repeated edges and loops count once and weights do not count. An isolated node is
    placed by its features. K = 1 is refused: every node would be in it.

    Source: Kulatilleke, Portmann, Chandra, "SCGC: Self-Supervised Contrastive Graph Clustering", 2022,
    arXiv:2204.12656. The published scores are maxima over epochs by the true labels; `stop` looks at no label. The
    batched form, the cluster forms of `negatives` and the stop rules are additions.

    Example:
        >>> import graphrep as gr
        >>> digits = gr.load("digits")
        >>> model = gr.SCGC(10, hidden_dims=(64,), scale_features=0.125, pretrain_epochs=3, epochs=3).fit(digits)
        >>> model.labels_.shape, model.probabilities_.shape, model.predict(digits.x[:2]).shape
        (torch.Size([1797]), torch.Size([1797, 10]), torch.Size([2]))
    """

    _left_out = ("decoder.", "course.")
    _check_known = TrainedEstimator._check_features  # one node by itself is labelled too
    _oracle: Any = None  # known classes while `fit` runs
    _heard: list[str]  # about the graph, for the notes

    def __init__(
        self,
        num_clusters: int | None = None,
        *,
        dim: int = 10,
        hidden_dims: Sequence[int] = (500, 500, 2000),
        variant: str = "star",
        scale_features: str | float = "none",
        alpha: float = 1.0,
        beta: float = 0.1,
        order: int = 1,
        inv_temperature: float = 0.25,
        df: float = 1.0,
        negatives: str = "exact",
        top_m: int | None = None,
        n_init: int = 20,
        pretrain_epochs: int | None = None,
        pretrain_starts: int | None = None,
        pretrain_lr: float = 1e-3,
        pretrain_batch_size: int = 256,
        pretrain_patience: int = 10,
        pretrain_min_delta: float = 1e-3,
        batch_size: int | None = None,
        num_walks: int = 1,
        epochs: int = 200,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        optimizer: str = "adam",
        clip_norm: float | None = None,
        precision: str = "float32",
        stop: str = "changed",
        patience: int = 5,
        min_delta: float = 0.01,
        keep: str = "last",
        eval_every: int = 20,
        time_budget: float | None = None,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.num_clusters = num_clusters
        self.dim = dim
        self.hidden_dims = hidden_dims
        self.variant = variant
        self.scale_features = scale_features
        self.alpha = alpha
        self.beta = beta
        self.order = order
        self.inv_temperature = inv_temperature
        self.df = df
        self.negatives = negatives
        self.top_m = top_m
        self.n_init = n_init
        self.pretrain_epochs = pretrain_epochs
        self.pretrain_starts = pretrain_starts
        self.pretrain_lr = pretrain_lr
        self.pretrain_batch_size = pretrain_batch_size
        self.pretrain_patience = pretrain_patience
        self.pretrain_min_delta = pretrain_min_delta
        self.batch_size = batch_size
        self.num_walks = num_walks
        self.epochs = epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.clip_norm = clip_norm
        self.precision = precision
        self.stop = stop
        self.patience = patience
        self.min_delta = min_delta
        self.keep = keep
        self.eval_every = eval_every
        self.time_budget = time_budget
        self.device = device
        self.seed = seed

    def fit(self, graph: Any, *, oracle_labels: Any = None, **training: Any) -> Self:
        """Trains on `graph` and labels its nodes.

        Args:
            graph: anything :meth:`graphrep.Graph.coerce` takes, with features.
            oracle_labels: (N,) known classes, -1 unknown. Each epoch's agreement with them goes into ``history_`` as
                ``oracle_acc``, ``oracle_nmi``, ``oracle_ari`` and ``oracle_f1``; nothing else depends on them.
            training: callbacks, checkpoint, resume, ...: see :meth:`graphrep.methods.TrainedEstimator.fit`. Callbacks
                hear of both trainings, one after the other; a run is resumed in the one it was in.

        Raises:
            MissingFeaturesError, EmptyGraphError: the graph lacks what the method needs.
            DivergedError: NaN during training; ``module_`` holds the last good state.
            GraphrepError: a setting that does not fit the graph, or an encoder that maps the nodes to fewer than K
                points.
        """
        graph = Graph.coerce(graph)
        if oracle_labels is not None:
            check_rows(len(oracle_labels), graph.num_nodes, "oracle_labels")
            cluster_scores(oracle_labels, np.zeros(graph.num_nodes, dtype=np.int64))
        self._oracle = oracle_labels
        try:
            super().fit(graph, **training)
        finally:
            self._oracle = None
        self._label()
        return self

    @torch.no_grad()
    def _label(self) -> None:
        """Labels and notes from the trained module; centres get the order of their clusters."""
        module = self.module_
        assert isinstance(module, ClusterModule)
        q = self._shares(self.embedding_)
        told = course_notes(self.history_, self.embedding_, rule=self.stop, window=self.patience)
        order = self._keep(q.argmax(1), probabilities=q, notes=[*self._heard, *told])
        module.centres.copy_(module.centres[order.to(module.centres.device)])

    @torch.no_grad()
    def _shares(self, z: Tensor) -> Tensor:
        module = self.module_
        assert isinstance(module, ClusterModule)
        return module.assign(z.to(module.centres)).cpu()

    def embed(self, graph: Any) -> Tensor:
        """(N, dim) embedding of nodes by their features.

        Args:
            graph: a graph, of which the features count, or the features (N, F) alone: a floating-point tensor, dense or
                sparse CSR, or a numpy array of such numbers.

        Raises:
            NotFittedError: before `fit`.
            CheckpointMismatchError: another number of features.
        """
        return super().embed(from_features(graph))

    def predict_proba(self, graph: Any) -> Tensor:
        """(N, K) soft assignment q of nodes by their features; takes what :meth:`embed` takes."""
        return self._shares(self.embed(graph))

    def predict(self, graph: Any) -> Tensor:
        """(N,) labels of nodes by their features; takes what :meth:`embed` takes."""
        return self.predict_proba(graph).argmax(1)

    def _pull(self, num_nodes: int) -> Pull:
        """The contrast of a step."""
        if self.negatives == "pamc":
            return self._meta_nodes

        def contrast(z: Tensor, q: Tensor, labels: Tensor, influence: CSR) -> Tensor:
            value = influence_contrast(
                z, influence, inv_temperature=self.inv_temperature, negatives=self.negatives, labels=labels
            )
            return value + math.log(num_nodes / len(z))  # a batch stands for all nodes in the denominator

        return contrast

    def _meta_nodes(self, z: Tensor, q: Tensor, labels: Tensor, influence: CSR) -> Tensor:
        return pamc(z, labels, influence, inv_temperature=self.inv_temperature, num_clusters=q.shape[1])

    def _check(self, graph: Graph) -> None:
        super()._check(graph)
        check_settings(self, graph.num_nodes)

    def _module(self, in_channels: int) -> nn.Module:
        encoder = FeatureMLP(in_channels, self.hidden_dims, self.dim)
        return ClusterModule(encoder, int(self.num_clusters or 0), df=self.df)

    def _train(
        self,
        module: nn.Module,
        graph: Graph,
        config: TrainConfig,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        **options: Any,
    ) -> History:
        """Auto-encoder, centres, joint training; a saved state is of the first or of the last."""
        assert isinstance(module, ClusterModule)
        assert graph.x is not None
        if self.scale_features == "equal":
            module.row_length.fill_(row_length(graph.x))
        x = self._features(module, graph)
        simple = prepared(graph if graph.edge_weight is None else graph.replace(edge_weight=None))
        self._heard = list(simple.notes)
        if graph.edge_weight is not None:
            self._heard.append("Edge weights are not used.")
        self._heard += isolated_note(int(simple.isolated().sum()), graph.num_nodes, "their features alone place them")
        data = f"{graph.num_nodes} nodes, edges {digest(simple.graph.edge_index)}, features {digest(x)}"
        settings = f"{self._fingerprint(_FREE)}, {data}"
        with seeded(self.seed):
            starts = range(pretrain_starts(self, graph.num_nodes))
            autos = [AutoEncoder(graph.num_features, self.hidden_dims, self.dim) for _ in starts]
        autos = [auto.to(self.device, WEIGHT_DTYPES[self.precision]) for auto in autos]
        auto = autos[0]
        module.encoder = auto.encoder  # what is left where the training of the auto-encoders diverges

        saved = None
        if resume and checkpoint is not None and Path(checkpoint).exists():
            saved = saved_history(checkpoint, settings)
        if saved is None:
            first = PretrainTask(autos, x, self.pretrain_batch_size, f"{settings}, auto-encoder")
            stage = {"checkpoint": checkpoint, "resume": resume, **options}
            earlier = [train(first, self._pretrain_config(), **stage)]
            auto = best_start(module, autos, x, graph, n_init=self.n_init, seed=self.seed)
        else:
            earlier = saved.earlier
        if self.variant == "full":
            module.decoder = auto.decoder
        if config.time_budget is not None:
            left = config.time_budget - sum(history.seconds for history in earlier)
            config = dataclasses.replace(config, time_budget=max(left, 1e-9))
        task = self._joint_task(module, x, simple.graph, settings)
        history = train(task, config, checkpoint=checkpoint, resume=saved is not None, earlier=earlier, **options)
        del module.course
        return history

    def _joint_task(self, module: ClusterModule, x: Tensor | CSR, graph: Graph, fingerprint: str) -> JointTask:
        influence = influence_matrix(
            graph.edge_index,
            num_nodes=graph.num_nodes,
            order=self.order,
            cumulative=self.variant == "star",
            top_m=self.top_m,
            dtype=WEIGHT_DTYPES[self.precision],
        )
        return JointTask(
            module,
            x,
            influence.to(self.device),
            self._pull(graph.num_nodes),
            alpha=self.alpha,
            beta=self.beta,
            window=self.patience,
            batch_size=self.batch_size,
            num_walks=self.num_walks,
            oracle=self._oracle,
            fingerprint=fingerprint,
        )

    def _pretrain_config(self) -> TrainConfig:
        return TrainConfig(
            **pretrain_rule(self),
            lr=self.pretrain_lr,
            precision=self.precision,
            stop="loss",
            eval_every=0,
            time_budget=self.time_budget,
            seed=self.seed,
        )

    def _features(self, module: nn.Module, graph: Graph) -> Tensor | CSR:
        """(N, F) features as the module takes them, where it lies."""
        assert graph.x is not None
        assert isinstance(module, ClusterModule)
        dtype, length = WEIGHT_DTYPES[self.precision], float(module.row_length)
        rows = scaled_rows(graph.x, self.scale_features, dtype, length=length)
        return rows.to(next(module.parameters()).device)

    def _width(self, module: nn.Module) -> int | None:
        assert isinstance(module, ClusterModule)
        return module.encoder.in_channels

    def _encode(self, module: nn.Module, graph: Graph) -> Tensor:
        assert isinstance(module, ClusterModule)
        return encode(module.encoder, self._features(module, graph))

    def _results(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        assert self.probabilities_ is not None
        return {"labels": self.labels_, "probabilities": self.probabilities_}, {"notes": json.dumps(self.notes_)}

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, str]) -> None:
        self.labels_, self.probabilities_ = tensors["labels"], tensors["probabilities"]
        self.num_clusters_ = int(self.labels_.max()) + 1
        self.notes_ = [str(note) for note in json.loads(facts["notes"])]
