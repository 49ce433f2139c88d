"""The estimator behind DeepWalk, LINE and node2vec: all settings that they share."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from graphrep.data.check import GraphWarning, grouped
from graphrep.data.graph import Graph
from graphrep.errors import CheckpointMismatchError, EmptyGraphError, GraphrepError, UnknownNameError
from graphrep.kernels._numba import num_threads
from graphrep.methods._fastrp_estimate import Estimate
from graphrep.methods._pretraining import digest
from graphrep.methods._skipgram import Schedule, SkipGramModule, SkipGramSource, SkipGramTraining, pairs_per_walk
from graphrep.methods.trained import TrainedEstimator
from graphrep.train import History, TrainConfig

__all__ = ["SkipGramEstimator"]

_FREE = ("device",)  # when resumed; the rates depend on the number of epochs
_GPU_BATCH = 512
_TARGET_SECONDS, _NUMBER_SECONDS = 20e-9, 0.35e-9  # of one learning step of a context row, and of each of its numbers


class SkipGramEstimator(TrainedEstimator):
    """Base of the methods that tell nodes met on walks from random ones.

    :class:`~graphrep.methods.DeepWalk` describes the arguments. A subclass says what an epoch and a pair are.

    Attributes:
        embedding_: (N, dim); rows of nodes that no pair starts at are zero. Shares memory with ``module_.vertex``.
        context_: (N, dim): a pair of nodes scores ``embedding_[u] @ context_[v]``.
        module_: both tables.
        history_: loss, rate and pairs of each epoch.
        ids_: external ids of the rows, None for 0..N-1.
    """

    _needs_features: ClassVar[bool] = False
    _by_edge: ClassVar[bool] = False  # an epoch has as many steps as there are stored edges
    _both: ClassVar[bool] = True  # a node meets those before it on a walk too

    def __init__(
        self,
        dim: int = 128,
        *,
        epochs: int = 80,
        walk_length: int = 40,
        window: int = 5,
        shrink_window: bool = False,
        starts: str = "degree",
        direction: str = "both",
        num_negatives: int = 1,
        negative_weight: float = 5.0,
        negative_power: float = 0.75,
        lr: float = 0.025,
        weight_decay: float = 0.005,
        parts: int = 8,
        pool_size: int = 1 << 20,
        batch_size: int | None = None,
        precision: str = "float32",
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.dim = dim
        self.epochs = epochs
        self.walk_length = walk_length
        self.window = window
        self.shrink_window = shrink_window
        self.starts = starts
        self.direction = direction
        self.num_negatives = num_negatives
        self.negative_weight = negative_weight
        self.negative_power = negative_power
        self.lr = lr
        self.weight_decay = weight_decay
        self.parts = parts
        self.pool_size = pool_size
        self.batch_size = batch_size
        self.precision = precision
        self.device = device
        self.seed = seed

    @property
    def context_(self) -> Tensor:
        """(N, dim) context vectors of the trained graph."""
        module: SkipGramModule = self._fitted("module_")
        return module.context

    def embed(self, graph: Any) -> Tensor:
        """(M, dim) the trained vectors of the nodes of a graph, found by id; edges play no part.

        Raises:
            NotFittedError: before `fit`.
            CheckpointMismatchError: a node that was not trained; these methods have no vector for new nodes.
        """
        return super().embed(graph)

    def estimate(self, num_nodes: int, num_edges: int, *, weighted: bool = False, num_features: int = 0) -> Estimate:
        """Peak memory and rough time for a graph of that size (`num_edges` stored entries).

        Example:
            >>> from graphrep.methods import LINE
            >>> LINE(dim=128).estimate(1_000_000, 20_000_000).bytes < 4e9
            True
        """
        schedule, item = self._schedule(), 4 if self.precision == "float32" else 8
        matrices = 2 * (num_nodes * 8 + num_edges * (16 if weighted else 12))
        pool = self.pool_size * 16 + self.pool_size / pairs_per_walk(schedule) * (self.walk_length + 1) * 16
        walks = self.epochs * (num_edges / self.walk_length if self._by_edge else num_nodes)
        steps = walks * pairs_per_walk(schedule) * (1 + self.num_negatives)
        threads = min(num_threads(), self.parts)
        seconds = steps * (_TARGET_SECONDS + self.dim * _NUMBER_SECONDS) / threads
        return Estimate(int(2 * num_nodes * self.dim * item + matrices + pool), seconds, threads)

    def _usual_batch(self) -> int:
        return 1 if torch.device(self.device).type == "cpu" else _GPU_BATCH

    # for subclasses

    def _bias(self) -> tuple[float, float]:
        """The p and q of the walks."""
        return 1.0, 1.0

    # the method

    def _schedule(self) -> Schedule:
        p, q = self._bias()
        return Schedule(
            epochs=self.epochs,
            walk_length=self.walk_length,
            window=self.window,
            shrink=self.shrink_window,
            both=self._both,
            starts=self.starts,
            by_edge=self._by_edge,
            p=p,
            q=q,
            lr=self.lr,
            num_negatives=self.num_negatives,
            negative_weight=self.negative_weight,
            weight_decay=self.weight_decay,
            power=self.negative_power,
            parts=self.parts,
            pool_size=self.pool_size,
            batch_size=self.batch_size or self._usual_batch(),
            seed=self.seed,
        )

    def _config(self) -> TrainConfig:
        return TrainConfig(
            epochs=self.epochs,
            lr=self.lr,
            weight_decay=self.weight_decay,
            optimizer="sgd",
            precision=self.precision,
            eval_every=0,
            seed=self.seed,
        )

    def _check(self, graph: Graph) -> None:
        whole = ("dim", "walk_length", "window", "num_negatives", "parts", "pool_size", "batch_size")
        for name in whole:
            value = getattr(self, name)
            if name == "batch_size" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise GraphrepError(f"{name} must be an integer of 1 or more; got {value!r}.", hint=f"{name}=8")
        p, q = self._bias()
        for name, number, least in (
            ("negative_weight", self.negative_weight, 0.0),
            ("p", p, math.ulp(0.0)),
            ("q", q, math.ulp(0.0)),
        ):
            if not (math.isfinite(number) and number >= least):
                raise GraphrepError(f"{name} is {number}.", hint=f"{name}=1.0")
        if not math.isfinite(self.negative_power):
            raise GraphrepError(f"negative_power is {self.negative_power}.", hint="negative_power=0.75")
        for name, choices in (
            ("starts", ("node", "degree")),
            ("direction", ("out", "both")),
            ("precision", ("float32", "float64")),
        ):
            if getattr(self, name) not in choices:
                raise UnknownNameError(f'{name} is "{getattr(self, name)}".', hint=" or ".join(choices))
        if not graph.num_edges:
            name = type(self).__name__
            raise EmptyGraphError(f"{name} walks along edges, and the graph has none.", hint="a graph with edges")

    def _check_known(self, graph: Graph) -> None:
        """Any graph will do, of which the nodes are known."""

    def _shape(self, graph: Graph) -> int:
        return graph.num_nodes

    def _pack_shape(self, module: nn.Module) -> str:
        assert isinstance(module, SkipGramModule)
        return str(module.vertex.shape[0])

    def _width(self, module: nn.Module) -> None:
        return None  # no features

    def _module(self, num_nodes: int, /) -> SkipGramModule:
        return SkipGramModule(num_nodes, self.dim)

    def _train(self, module: nn.Module, graph: Graph, config: TrainConfig, **options: Any) -> History:
        assert isinstance(module, SkipGramModule)
        schedule = self._schedule()
        direction: Any = self.direction
        source = SkipGramSource(graph, direction, schedule, self.device)
        starting = source.linked.clone()
        if not self._both:  # pairs begin at the first node alone, which has an edge out of it
            starting = source.out_weight > 0
        if not bool(starting.all()):
            self._say_zero(int((~starting).sum()), graph.num_nodes)
            module.vertex[~starting.to(module.vertex.device)] = 0.0
        told = f"{self._fingerprint(_FREE)}, {graph.num_nodes} nodes, edges {digest(source.csr)}"
        training = SkipGramTraining(module, source, schedule, config, told)
        for name in ("checkpoint", "rescue"):
            options[name] = None if options[name] is None else Path(options[name])
        return training.run(**options)

    def _say_zero(self, count: int, total: int) -> None:
        why = "have no neighbours" if self._both else "have no edges out of them"
        warnings.warn(
            f"{grouped(count)} of {grouped(total)} nodes {why}: their vectors are zero.", GraphWarning, stacklevel=4
        )

    def _encode(self, module: nn.Module, graph: Graph) -> Tensor:
        assert isinstance(module, SkipGramModule)
        rows = self._rows_of(graph, module.vertex.shape[0])
        return module.vertex if rows is None else module.vertex[rows.to(module.vertex.device)]

    def _rows_of(self, graph: Graph, trained: int) -> Tensor | None:
        """The trained row of each node; None where they are all rows in their order.

        Raises:
            CheckpointMismatchError: a node without one.
        """
        if self.ids_ is None and graph.ids is None:
            if graph.num_nodes > trained:
                raise self._unknown(trained, graph.num_nodes - trained)
            return None if graph.num_nodes == trained else torch.arange(graph.num_nodes)
        before, now = (np.arange(n) if ids is None else np.asarray(ids) for ids, n in (
            (self.ids_, trained), (graph.ids, graph.num_nodes)))  # fmt: skip
        if before.shape == now.shape and bool((before == now).all()):
            return None
        row = {name: place for place, name in enumerate(before.tolist())}
        found = [row.get(name, -1) for name in now.tolist()]
        missing = [name for name, place in zip(now.tolist(), found, strict=True) if place < 0]
        if missing:
            raise self._unknown(missing[0], len(missing))
        return torch.tensor(found, dtype=torch.int64)

    def _unknown(self, node: Any, count: int) -> CheckpointMismatchError:
        others = f", nor for {grouped(count - 1)} others" if count > 1 else ""
        return CheckpointMismatchError(
            f"{type(self).__name__} has no vector for node {node}{others}: it was not in the training graph.",
            hint="fit on the new graph; fastrp and the methods with features embed new nodes",
        )
