"""DMoN: a graph convolution trained so that its soft clusters have a large modularity."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from graphrep.data.graph import Graph
from graphrep.errors import EmptyGraphError, GraphrepError, UnknownNameError
from graphrep.kernels import CSR, gcn_norm
from graphrep.methods._partition_input import check_cluster_count, isolated_note, prepared
from graphrep.methods._views import scaled_features
from graphrep.methods.clusterer import ClusterMixin
from graphrep.methods.trained import WEIGHT_DTYPES, TrainedEstimator
from graphrep.nn.encoder import GCNEncoder, feature_matrix
from graphrep.objectives import dmon_loss

__all__ = ["DMoN", "DMoNModule"]


class DMoNModule(nn.Module):
    """Encoder, dropout, and the linear layer whose softmax are the soft clusters."""

    def __init__(self, encoder: GCNEncoder, num_clusters: int, dropout: float) -> None:
        super().__init__()
        self.encoder, self.dropout = encoder, nn.Dropout(dropout)
        self.head = nn.Linear(encoder.out_channels, num_clusters)
        nn.init.orthogonal_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Any, adjacency: Any) -> tuple[Tensor, Tensor]:
        """Embedding (N, d) and soft clusters (N, K)."""
        z = self.encoder(x, adjacency)
        return z, self.assign(z)

    def assign(self, z: Tensor) -> Tensor:
        """Soft clusters (N, K) of embeddings."""
        out: Tensor = self.head(self.dropout(z)).softmax(1)
        return out


class _DMoNTask:
    """The training on one graph, all nodes at once; a :class:`graphrep.train.Task`."""

    def __init__(
        self, module: DMoNModule, x: Any, links: CSR, adjacency: CSR, weights: dict[str, float], fingerprint: str
    ) -> None:
        self.module: nn.Module = module
        self._dmon, self.x, self.links, self.adjacency = module, x, links, adjacency
        self.weights, self._fingerprint = weights, fingerprint

    def batches(self, epoch: int, generator: torch.Generator) -> Iterable[None]:
        return [None]

    def loss(self, batch: Any, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        _, soft = self._dmon(self.x, self.adjacency)
        return dmon_loss(soft, self.links, **self.weights), {}

    def embed(self) -> Tensor:
        z: Tensor = self._dmon.encoder(self.x, self.adjacency)
        return z

    def fingerprint(self) -> str:
        return self._fingerprint


class DMoN(ClusterMixin, TrainedEstimator):
    """Clusters as the softmax of a linear layer over a graph convolution, trained for the modularity of those clusters.

    The loss is :func:`graphrep.objectives.dmon_loss`; no N x N matrix is built. O(nnz(X) d + E (d + K)) an epoch.

    Args:
        num_clusters: K, at most; clusters may stay empty, which ``notes_`` says.
        dim: d, width of the embedding.
        hidden_dim: width of the layers before the last; None: d.
        num_layers: graph convolutions.
        activation: "relu", "prelu", "rrelu" or "elu".
        dropout: share of the embedding's entries that are dropped before the linear layer in training.
        collapse: weight of the penalty on unequal sizes.
        orthogonality: weight of the penalty on overlapping clusters.
        scale_features: "row": rows divided by their sum of absolute values; "none".
        epochs, lr, weight_decay, optimizer, clip_norm, precision, stop, patience, min_delta, keep, eval_every,
            time_budget, seed: see :class:`graphrep.train.TrainConfig`.
        device: where the training runs.

    Attributes:
        labels_, num_clusters_, probabilities_, notes_: see :class:`~graphrep.methods.clusterer.Clustering`; a loaded
            model knows no notes on its graph.
        module_: encoder and linear layer, whose columns are in the order of the labels.
        embedding_: (N, dim).
        history_: the course of the training.

    Raises:
        MissingFeaturesError, EmptyGraphError, GraphrepError: no features, no links, or an argument out of range (raised
            by `fit`).

    Source: Tsitsulin, Palowitch, Perozzi, Müller, "Graph Clustering with Graph Neural Networks", JMLR 24(127), 2023,
    arXiv:2006.16904. The authors' convolution has a skip connection instead of self-loops, and SELU.

    Example:
        >>> import graphrep as gr
        >>> DMoN(10, epochs=5).fit(gr.load("digits")).probabilities_.shape
        torch.Size([1797, 10])
    """

    def __init__(
        self,
        num_clusters: int | None = None,
        *,
        dim: int = 64,
        hidden_dim: int | None = None,
        num_layers: int = 1,
        activation: str = "elu",
        dropout: float = 0.5,
        collapse: float = 1.0,
        orthogonality: float = 0.0,
        scale_features: str = "row",
        epochs: int = 1000,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        optimizer: str = "adam",
        clip_norm: float | None = None,
        precision: str = "float32",
        stop: str = "none",
        patience: int = 50,
        min_delta: float = 0.0,
        keep: str = "last",
        eval_every: int = 0,
        time_budget: float | None = None,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.num_clusters = num_clusters
        self.dim = dim
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.activation = activation
        self.dropout = dropout
        self.collapse = collapse
        self.orthogonality = orthogonality
        self.scale_features = scale_features
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

    def fit(self, graph: Any, **training: Any) -> Self:
        """Trains on `graph`, links without direction, and labels its nodes.

        Args:
            graph: anything :meth:`Graph.coerce` takes.
            training: callbacks, checkpoint, resume, ...: see :meth:`TrainedEstimator.fit`.
        """
        simple = prepared(graph)
        check_cluster_count(self.num_clusters, simple.num_nodes)
        super().fit(simple.graph, **training)
        isolated = int(simple.isolated().sum())
        notes = isolated_note(isolated, simple.num_nodes, "their own features alone decide")
        module = self._dmon()
        order = self._label([*simple.notes, *notes])
        with torch.no_grad():
            module.head.weight.copy_(module.head.weight[order.to(self.device)])
            module.head.bias.copy_(module.head.bias[order.to(self.device)])
        return self

    @torch.no_grad()
    def predict_proba(self, graph: Any) -> Tensor:
        """Soft clusters (N, K) of the nodes of any graph with features of the same kind, columns by label."""
        z = self.embed(graph)
        return self._dmon().assign(z.to(self.device)).cpu()

    def predict(self, graph: Any) -> Tensor:
        """Labels (N,) of the nodes of any graph with features of the same kind."""
        return self.predict_proba(graph).argmax(1)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The model that :meth:`save` wrote; nothing in the files is executed.

        Raises:
            FileFormatError: the folder does not hold such a model.
        """
        model = super().load(path)
        model.module_.eval()
        model._label([])
        return model

    def _dmon(self) -> DMoNModule:
        module = self._fitted("module_")
        assert isinstance(module, DMoNModule)
        return module

    @torch.no_grad()
    def _label(self, notes: list[str]) -> Tensor:
        module = self._dmon()
        soft = module.assign(self.embedding_.to(next(module.parameters()).device)).cpu()
        return self._keep(soft.argmax(1), probabilities=soft, notes=notes)

    def _check(self, graph: Graph) -> None:
        super()._check(graph)
        if self.scale_features not in ("row", "none"):
            raise UnknownNameError(f'scale_features is "{self.scale_features}".', hint='"row" or "none"')
        if self.dim < 1:
            raise GraphrepError(f"dim is {self.dim}.", hint="dim=64")
        if not 0 <= self.dropout < 1:
            raise GraphrepError(f"dropout is {self.dropout}; a share lies in [0, 1).", hint="dropout=0.5")
        for name in ("collapse", "orthogonality"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise GraphrepError(f"{name} is {getattr(self, name)}.", hint=f"{name}=1.0")

    def _module(self, in_channels: int) -> nn.Module:
        hidden = self.hidden_dim or self.dim
        encoder = GCNEncoder(in_channels, hidden, self.dim, num_layers=self.num_layers, activation=self.activation)
        return DMoNModule(encoder, int(self.num_clusters or 1), self.dropout)

    def _inputs(self, graph: Graph) -> tuple[Any, CSR]:
        assert graph.x is not None
        dtype = WEIGHT_DTYPES[self.precision]
        x = feature_matrix(scaled_features(graph.x, self.scale_features, dtype).to(self.device))
        weight = None if graph.edge_weight is None else graph.edge_weight.to(dtype)
        adjacency = gcn_norm(graph.edge_index, weight, num_nodes=graph.num_nodes, dtype=dtype)
        return x, adjacency.to(self.device)

    def _task(self, module: nn.Module, graph: Graph) -> _DMoNTask:
        assert isinstance(module, DMoNModule)
        links = graph.csr("in")
        if not links.nnz or (links.value is not None and not float(links.value.sum())):
            raise EmptyGraphError("dmon needs links between nodes, and the graph has none.", hint="KMeans")
        x, adjacency = self._inputs(graph)
        free = ("epochs", "time_budget", "patience", "min_delta", "stop", "keep", "eval_every", "device")
        settings = ", ".join(f"{k}={v!r}" for k, v in self.get_params().items() if k not in free)
        digest = hashlib.blake2b(graph.edge_index.cpu().numpy().tobytes(), digest_size=8).hexdigest()
        fingerprint = f"DMoN({settings}), {graph.num_nodes} nodes, edges {digest}"
        weights = {"collapse": self.collapse, "orthogonality": self.orthogonality}
        return _DMoNTask(module, x, links.to(self.device), adjacency, weights, fingerprint)

    def _width(self, module: nn.Module) -> int | None:
        assert isinstance(module, DMoNModule)
        return module.encoder.in_channels

    def _encode(self, module: nn.Module, graph: Graph) -> Tensor:
        assert isinstance(module, DMoNModule)
        self._check(graph)
        x, adjacency = self._inputs(prepared(graph).graph)
        z: Tensor = module.encoder(x, adjacency)
        return z
