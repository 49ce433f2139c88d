"""The estimator behind MEOW, AdaMEOW and HeCo: heterogeneous graphs in, vectors of one node type out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from graphrep.data.check import grouped
from graphrep.data.hetero import HeteroGraph
from graphrep.errors import CheckpointMismatchError, EmptyGraphError, GraphrepError, UnknownNameError
from graphrep.methods._meow import MetaPathModule, MetaPathTask, ViewLoss
from graphrep.methods._metapath_source import MetaPathShape, MetaPathSource, PathSettings
from graphrep.methods.trained import WEIGHT_DTYPES, TrainedEstimator
from graphrep.nn.metapath_encoder import MetaPathEncoder
from graphrep.nn.metapaths import PathTies
from graphrep.train import History, TrainConfig, seeded, train

__all__ = ["FREE", "MetaPathEstimator"]

FREE = ("epochs", "time_budget", "patience", "min_delta", "stop", "keep", "eval_every", "device")  # when resumed


class MetaPathEstimator(TrainedEstimator):
    """Base of the methods that contrast views along meta-paths; :class:`~graphrep.methods.MEOW` has the arguments."""

    _needs_features: ClassVar[bool] = False
    attention_: dict[str, tuple[float, float]]
    _held: dict[int, MetaPathSource]
    notes_: list[str]

    def __init__(
        self,
        dim: int = 64,
        *,
        metapaths: Sequence[str | Sequence[str]] | str | None = None,
        target: str | None = None,
        views: str = "both",
        contexts: bool = True,
        num_neighbors: int | Sequence[int | None] | None = 100,
        edge_masks: float | Sequence[float] = 0.2,
        feature_mask: float = 0.3,
        resample_masks: bool = False,
        ties: PathTies = "hash",
        scale_features: str = "row",
        norm: str = "global",
        dropout: float = 0.2,
        official_embedding: bool = False,
        batch_size: int | None = None,
        epochs: int = 200,
        lr: float = 7e-4,
        weight_decay: float = 0.0,
        optimizer: str = "adam",
        clip_norm: float | None = None,
        precision: str = "float32",
        stop: str = "loss",
        patience: int = 30,
        min_delta: float = 0.0,
        keep: str = "last",
        eval_every: int = 20,
        time_budget: float | None = None,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.dim = dim
        self.metapaths = metapaths
        self.target = target
        self.views = views
        self.contexts = contexts
        self.num_neighbors = num_neighbors
        self.edge_masks = edge_masks
        self.feature_mask = feature_mask
        self.resample_masks = resample_masks
        self.ties = ties
        self.scale_features = scale_features
        self.norm = norm
        self.dropout = dropout
        self.official_embedding = official_embedding
        self.batch_size = batch_size
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
        """Trains on `graph`, and embeds its nodes of the target type.

        Args:
            graph: anything :meth:`HeteroGraph.coerce` takes.
            training: callbacks, checkpoint, resume, ...: see :meth:`TrainedEstimator.fit`.

        Raises:
            UnknownNameError: a type or relation that is not there.
            EmptyGraphError: fewer than two nodes of the target, no meta-path, or one with an empty relation.
            GraphrepError: a meta-path that does not come back to the target, or a setting out of range.
            DivergedError: NaN during training; ``module_`` holds the last good state.
        """
        self._held = {}
        try:
            super().fit(HeteroGraph.coerce(graph), **training)
        finally:
            del self._held
        return self

    def embed(self, graph: Any) -> Tensor:
        """(N, dim) of the target nodes of a graph with the same types, by a pass without dropping.

        Args:
            graph: anything :meth:`HeteroGraph.coerce` takes.

        Raises:
            NotFittedError: before `fit`.
            CheckpointMismatchError: other types, features or meta-paths, or other nodes of a type without features.
        """
        return super().embed(graph)

    @property
    def target_(self) -> str:
        """The node type that is embedded."""
        known: MetaPathShape = self._fitted("_known")
        return known.target

    # for subclasses

    def _loss(self, module: MetaPathModule, num_nodes: int) -> ViewLoss:
        """The loss of projected views of so many nodes; what it trains hangs on the module."""
        raise NotImplementedError

    def _finished(self, module: nn.Module) -> None:
        """Takes away what only the training needed."""

    # the method

    def _coerced(self, graph: Any) -> HeteroGraph:
        return HeteroGraph.coerce(graph)

    def _row_ids(self, graph: Any) -> Any:
        return graph.ids.get(self._shape(graph).target)

    def _shape(self, graph: Any) -> MetaPathShape:
        return MetaPathShape.of(graph, self.metapaths, self.target)

    def _pack_shape(self, module: nn.Module) -> str:
        shape: MetaPathShape = self._fitted("_known")
        return shape.to_json()

    def _unpack_shape(self, text: str) -> MetaPathShape:
        self._known = MetaPathShape.from_json(text)
        return self._known

    def _check(self, graph: Any) -> None:
        self._check_settings()
        shape = self._shape(graph)
        count = graph.num_nodes[shape.target]
        if count < 2:
            name = type(self).__name__
            raise EmptyGraphError(
                f"{name} contrasts nodes, and the graph has {count} {shape.target}.", hint="2 or more"
            )

    def _check_known(self, graph: Any) -> None:
        """Raises unless the trained module fits the graph."""
        known: MetaPathShape = self._fitted("_known")
        origin = self.__dict__.get("_origin", "The model")
        for name in self._used_types(known):
            width, wanted = graph.x[name].shape[1] if name in graph.x else None, known.channels[name]
            if name not in graph.num_nodes or width != wanted:
                told = f"{wanted} features" if wanted else "no features"
                raise CheckpointMismatchError(
                    f"{origin} was trained on {told} of {name}; this graph has {width or 'none'}.",
                    hint="the data set it came from, or graphrep train to make a new one",
                )
            if wanted is None and graph.num_nodes[name] != known.num_nodes[name]:
                raise CheckpointMismatchError(
                    f"{origin} has a vector for each of {grouped(known.num_nodes[name])} {name} nodes, which have no "
                    f"features; this graph has {grouped(graph.num_nodes[name])}.",
                    hint="features for them, or graphrep train to make a new one",
                )

    def _width(self, module: nn.Module) -> None:
        return None  # widths are those of the types, which _check_known compares

    def _used_types(self, shape: MetaPathShape) -> list[str]:
        """Types that have weights of their own."""
        ends = [end for types in shape.context_types for end in types] if self.contexts else []
        return list(dict.fromkeys([shape.target, *ends]))

    def _check_settings(self) -> None:
        """Raises where a setting is out of range, whatever the graph."""
        if self.views not in ("both", "coarse"):
            raise UnknownNameError(f'views is "{self.views}".', hint='"both" or "coarse"')
        if self.scale_features not in ("row", "none"):
            raise UnknownNameError(f'scale_features is "{self.scale_features}".', hint='"row" or "none"')
        if self.batch_size is not None and self.batch_size < 2:
            raise GraphrepError(f"batch_size is {self.batch_size}.", hint="2 or more, or None for all nodes")
        if self.dim < 1:
            raise GraphrepError(f"dim is {self.dim}.", hint="dim=64")
        for name in ("dropout", "feature_mask"):
            if not 0 <= getattr(self, name) < 1:
                raise GraphrepError(f"{name} is {getattr(self, name)}; shares lie in [0, 1).", hint=f"{name}=0.2")
        masks = [self.edge_masks] if isinstance(self.edge_masks, int | float) else self.edge_masks
        if not all(0 <= rate < 1 for rate in masks):
            raise GraphrepError(f"edge_masks is {self.edge_masks!r}; shares lie in [0, 1).", hint="edge_masks=0.2")

    def _module(self, shape: MetaPathShape, /) -> nn.Module:
        self._known = shape
        contexts = shape.context_types if self.contexts else [[] for _ in shape.paths]
        sizes = (shape.channels, shape.num_nodes, shape.target, contexts, self.dim)
        return MetaPathModule(MetaPathEncoder(*sizes, dropout=self.dropout, norm=self.norm), views=self.views)

    def _source(self, graph: Any) -> MetaPathSource:
        """What the module reads; made once while `fit` runs."""
        held: dict[int, MetaPathSource] | None = self.__dict__.get("_held")
        held = {} if held is None else held
        if id(graph) not in held:
            settings = PathSettings(
                num_neighbors=self.num_neighbors,
                edge_masks=self.edge_masks,
                feature_mask=self.feature_mask,
                scale_features=self.scale_features,
                contexts=self.contexts,
                ties=self.ties,
                seed=self.seed,
                dtype=WEIGHT_DTYPES[self.precision],
            )
            held[id(graph)] = MetaPathSource(graph, self._fitted("_known"), settings, self.device)
        return held[id(graph)]

    def _train(self, module: nn.Module, graph: Any, config: TrainConfig, **options: Any) -> History:
        self.notes_ = self._source(graph).notes()
        task = self._task(module, graph)
        try:
            return train(task, config, **options)
        finally:
            self._last = task.last if self.official_embedding else None
            self._finished(module)

    def _task(self, module: nn.Module, graph: Any) -> Any:
        assert isinstance(module, MetaPathModule)
        count = int(graph.num_nodes[self._known.target])
        with seeded(self.seed):
            loss = self._loss(module, min(self.batch_size or count, count))
        return MetaPathTask(
            module,
            self._source(graph),
            loss,
            resample=self.resample_masks,
            batch_size=self.batch_size,
            fingerprint=self._fingerprint(FREE),
        )

    @torch.no_grad()
    def _encode(self, module: nn.Module, graph: Any) -> Tensor:
        last: Tensor | None = self.__dict__.pop("_last", None)
        return self._embedded(module, self._source(graph)) if last is None else last

    def _embedded(self, module: nn.Module, source: MetaPathSource) -> Tensor:
        """(N, dim) of a pass without dropping."""
        assert isinstance(module, MetaPathModule)
        if module.views == "both":
            views = module.encoder(source.inputs())
            share, names = views.attention.tolist(), source.shape.names
            self.attention_ = {name: (share[i], share[i + len(names)]) for i, name in enumerate(names)}
            fine: Tensor = views.fine
            return fine
        out: Tensor = module(source.inputs())
        return out
