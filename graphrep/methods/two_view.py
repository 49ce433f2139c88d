"""The estimator behind GRACE, GCA, ProGCL, COSTA and CCA-SSG: all settings that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from graphrep.data.graph import Graph
from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.methods._contrast import Contrast, make_contrast
from graphrep.methods._pot import Compactness
from graphrep.methods._two_view import ProjectionHead, TwoViewModule, TwoViewTask
from graphrep.methods._views import Rate, Rates, Source, scaled_features, simple_edges
from graphrep.methods.compactness import CompactnessReport, compactness_report
from graphrep.methods.trained import WEIGHT_DTYPES, TrainedEstimator
from graphrep.nn.encoder import GCNEncoder

__all__ = ["TwoViewEstimator"]

_FREE = ("epochs", "time_budget", "patience", "min_delta", "stop", "keep", "eval_every", "device")  # when resumed


class TwoViewEstimator(TrainedEstimator):
    """Two random views of a graph, one encoder, and a loss that tells each node's other view from other nodes.

    :class:`~graphrep.methods.GRACE` describes the arguments. Subclasses change how edges and columns are dropped, the
    loss, the head, or what is done to the embeddings before it.
    """

    _left_out = ("contrast.",)

    def __init__(
        self,
        dim: int = 128,
        *,
        hidden_dim: int | None = None,
        projection_dim: int | None = None,
        num_layers: int = 2,
        activation: str = "relu",
        encoder: nn.Module | Callable[[int], nn.Module] | None = None,
        drop_edge_rates: Sequence[float] = (0.4, 0.3),
        drop_feature_rates: Sequence[float] = (0.0, 0.0),
        undirected: bool = False,
        scale_features: str = "row",
        temperature: float = 0.7,
        loss: str = "info_nce",
        loss_options: Mapping[str, Any] | None = None,
        pot: bool = False,
        pot_weight: float = 0.4,
        pot_bound: str = "official",
        pot_nodes: int | None = None,
        batch_size: int | None = None,
        num_neighbors: Sequence[int] | None = None,
        steps_per_epoch: int | None = None,
        epochs: int = 200,
        lr: float = 5e-4,
        weight_decay: float = 1e-5,
        optimizer: str = "adam",
        clip_norm: float | None = None,
        precision: str = "float32",
        stop: str = "none",
        patience: int = 50,
        min_delta: float = 0.0,
        keep: str = "last",
        eval_every: int = 20,
        time_budget: float | None = None,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.dim = dim
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.num_layers = num_layers
        self.activation = activation
        self.encoder = encoder
        self.drop_edge_rates = drop_edge_rates
        self.drop_feature_rates = drop_feature_rates
        self.undirected = undirected
        self.scale_features = scale_features
        self.temperature = temperature
        self.loss = loss
        self.loss_options = loss_options
        self.pot = pot
        self.pot_weight = pot_weight
        self.pot_bound = pot_bound
        self.pot_nodes = pot_nodes
        self.batch_size = batch_size
        self.num_neighbors = num_neighbors
        self.steps_per_epoch = steps_per_epoch
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

    def compactness(self, graph: Any, *, drop_rate: float | None = None, tighten: bool = True) -> CompactnessReport:
        """Which nodes the trained encoder keeps on their side however a few in-edges are dropped.

        Each node's positive is its own output on the whole graph.

        Args:
            graph: with features of the same kind as the training graph's.
            drop_rate: p of the permitted droppings; None: the larger of the views' own rates, of each edge where the
                method weights edges.
            tighten: narrower bounds, see :func:`~graphrep.objectives.node_compactness`.

        Raises:
            NotFittedError: before `fit`.
            MissingFeaturesError, CheckpointMismatchError: the graph has no features, or others.
            GraphrepError: a layer of the encoder cannot be bounded (the message names it), or `drop_rate` is no
                probability.

        Source: Yu et al., "Provable Training for Graph Contrastive Learning", 2023.

        Example:
            >>> import graphrep as gr
            >>> model = gr.GRACE(dim=8, epochs=2).fit(gr.load("digits"))
            >>> model.compactness(gr.load("digits")).drop_rate
            0.4
        """
        module: TwoViewModule = self._fitted("module_")
        source = self._source(module, self._fitting(graph))
        rate = self._rates(source).largest() if drop_rate is None else drop_rate
        permitted: dict[str, Any] = {"edge_prob": rate} if isinstance(rate, Tensor) else {"drop_rate": rate}
        seen = Graph(source.edge_index, x=source.x, num_nodes=source.num_nodes)
        return compactness_report(module.encoder, seen, tighten=tighten, **permitted)

    # for subclasses

    def _rates(self, source: Source) -> Rates:
        """Probabilities per edge and column; here the same for all."""
        return Rates(tuple(map(float, self.drop_edge_rates)), tuple(map(float, self.drop_feature_rates)))

    def _contrast(self, source: Source) -> Contrast:
        return make_contrast(
            self.loss,
            self.loss_options,
            temperature=self.temperature,
            num_nodes=source.num_nodes,
            guide=source.smoothed,
        )

    def _between(self, num_rows: int) -> Callable[[Tensor, int], Tensor] | None:
        """What is done to each view's embedding before the head; nothing here."""
        return None

    def _head(self) -> nn.Module:
        return ProjectionHead(self.dim, self.projection_dim or self.dim)

    # the method

    def _check(self, graph: Graph) -> None:
        super()._check(graph)
        if self.scale_features not in ("row", "none"):
            raise UnknownNameError(f'scale_features is "{self.scale_features}".', hint='"row" or "none"')
        if self.dim < 1:
            raise GraphrepError(f"dim is {self.dim}.", hint="dim=128")
        for name in ("drop_edge_rates", "drop_feature_rates"):
            rates = getattr(self, name)
            if len(rates) < 1 or not all(0 <= rate < 1 for rate in rates):
                raise GraphrepError(
                    f"{name} is {rates!r}; rates lie in [0, 1).", hint="one number per view: (0.4, 0.3)"
                )
        if not 0 <= self.pot_weight <= 1:
            raise GraphrepError(f"pot_weight is {self.pot_weight}.", hint="between 0 and 1, as 0.4")
        if self.batch_size is not None and self.batch_size < 2:
            raise GraphrepError(f"batch_size is {self.batch_size}.", hint="2 or more, or None for all nodes")
        if self.num_neighbors is not None and self.batch_size is None:
            raise GraphrepError("num_neighbors samples around the nodes of a batch.", hint="batch_size=1024")
        if self.num_neighbors is not None and self.pot:
            raise GraphrepError("POT bounds need whole neighbourhoods.", hint="num_neighbors=None, pot_nodes=4096")

    def _module(self, in_channels: int) -> nn.Module:
        if isinstance(self.encoder, nn.Module):
            encoder = self.encoder
        elif self.encoder is not None:
            encoder = self.encoder(in_channels)
        else:
            hidden = self.hidden_dim or 2 * self.dim
            encoder = GCNEncoder(in_channels, hidden, self.dim, num_layers=self.num_layers, activation=self.activation)
        return TwoViewModule(encoder, self._head())

    def _source(self, module: nn.Module, graph: Graph) -> Source:
        assert isinstance(module, TwoViewModule)
        assert graph.x is not None
        x = scaled_features(graph.x, self.scale_features, WEIGHT_DTYPES[self.precision]).to(self.device)
        edges = simple_edges(graph).to(self.device)
        return Source(edges, x, undirected=self.undirected, lists=not isinstance(module.encoder, GCNEncoder))

    def _task(self, module: nn.Module, graph: Graph) -> TwoViewTask:
        assert isinstance(module, TwoViewModule)
        source = self._source(module, graph)
        rates, contrast = self._rates(source), self._contrast(source)
        if list(contrast.state_dict()):
            module.contrast = contrast.to(self.device)
        compactness = None
        if self.pot:
            bounded = Compactness(source, rates, module.encoder, bound=self.pot_bound, num_nodes=self.pot_nodes)
            compactness = (bounded, self.pot_weight)
        return TwoViewTask(
            module,
            source,
            rates,
            contrast,
            compactness=compactness,
            batch_size=self.batch_size,
            num_neighbors=None if self.num_neighbors is None else [int(n) for n in self.num_neighbors],
            steps_per_epoch=self.steps_per_epoch,
            between=self._between(source.num_nodes),
            fingerprint=self._fingerprint(_FREE),
        )

    def _width(self, module: nn.Module) -> int | None:
        assert isinstance(module, TwoViewModule)
        return module.encoder.in_channels if isinstance(module.encoder, GCNEncoder) else None

    def _encode(self, module: nn.Module, graph: Graph) -> Tensor:
        view = self._source(module, graph).whole()
        out: Tensor = module(view.x, view.adjacency)
        return out


def per_view(weights: Tensor, rates: Sequence[float], make: Callable[[Tensor, float], Tensor]) -> tuple[Rate, ...]:
    """Probabilities of each view from importance weights; a rate of 0 stays the number 0."""
    return tuple(make(weights, float(rate)) if rate > 0 else 0.0 for rate in rates)
