"""HeCo: what a node's neighbours say against what its partners along meta-paths say (Wang et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from graphrep.errors import EmptyGraphError, GraphrepError
from graphrep.kernels import CSR, edge_logsumexp, streaming_logsumexp
from graphrep.methods._metapath_source import MetaPathShape, MetaPathSource
from graphrep.methods._two_view import ProjectionHead
from graphrep.methods.metapath import FREE, MetaPathEstimator
from graphrep.methods.trained import inherits_arguments
from graphrep.nn.metapaths import top_neighbors
from graphrep.nn.schema_encoder import SchemaEncoder, SchemaInputs
from graphrep.objectives._common import check_temperature
from graphrep.train import seeded

__all__ = ["HeCo"]

_DEFAULTS: dict[str, Any] = {"lr": 8e-4, "dropout": 0.3, "epochs": 10_000, "patience": 5}


class _Module(nn.Module):
    def __init__(self, encoder: SchemaEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = ProjectionHead(encoder.dim, encoder.dim)
        for layer in (self.head.fc1, self.head.fc2):
            nn.init.xavier_normal_(layer.weight, gain=1.414)

    def forward(self, inputs: SchemaInputs) -> Tensor:
        """(N, d) of the view along meta-paths."""
        hidden = self.encoder.hidden(inputs.x)
        return self.encoder.paths(hidden[self.encoder.target], inputs.adjacency)[0]


class _Task:
    """Full-batch training; a :class:`graphrep.train.Task`."""

    def __init__(self, module: _Module, source: MetaPathSource, method: HeCo, fingerprint: str) -> None:
        self.module: nn.Module = module
        self._model, self.source, self.method, self._fingerprint = module, source, method, fingerprint
        self.inputs, self.positives = method._inputs(source), method._positives(source)
        self.last: Tensor | None = None

    def batches(self, epoch: int, generator: torch.Generator) -> Iterable[None]:
        """One step on all nodes."""
        return [None]

    def loss(self, batch: Any, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The contrast of both views, in both directions."""
        schema, paths = self._model.encoder(self.inputs)
        self.last = paths.detach()
        a, b = (normalize(self._model.head(z), dim=1) for z in (schema, paths))
        balance = self.method.balance
        rows, size = None, self.method.batch_size
        if size is not None and size < len(a):
            rows = torch.randperm(len(a), generator=generator)[:size].to(a.device)
        value = balance * self._one_way(a, b, rows) + (1 - balance) * self._one_way(b, a, rows)
        return value, {}

    def _one_way(self, a: Tensor, b: Tensor, rows: Tensor | None) -> Tensor:
        """-log of the share of a node's positives, mean over the nodes `rows`."""
        scale = 1 / self.method.temperature
        near = edge_logsumexp(self.positives, a, b, scale=scale)
        anchor, near = (a, near) if rows is None else (a[rows], near[rows])
        return (streaming_logsumexp(anchor, b, scale=scale) - near).mean()

    def embed(self) -> Tensor:
        """(N, d) of a pass without dropping."""
        out: Tensor = self._model(self.inputs)
        return out

    def fingerprint(self) -> str:
        """Settings of the method and a digest of the graph."""
        return f"{self._fingerprint}, {self.source.digest()}"


class HeCo(MetaPathEstimator):
    """Vectors for one node type from two encoders that must agree: the network schema and the meta-paths.

    A node's positives are its best partners by the sum over meta-paths of 1 / (its partners on that path), as the
    authors' program has it (the paper counts paths), itself always among them; all others are negatives.
    For views a (schema) and b (meta-paths), the loss is ``balance l(a, b) + (1 - balance) l(b, a)`` with
    ``l(a, b) = -mean_i log(sum_{j in P_i} exp(a_i.b_j / tau) / sum_j exp(a_i.b_j / tau))`` on unit rows of
    ``W_2 elu(W_1 z)``.

    Args:
        dim: d, numbers per node.
        temperature: tau.
        num_positives: partners that count as positives, the node itself included; `ties` are those of MEOW.
        balance: share of the schema's direction in the loss.
        attention_dropout: share of the attention's vectors that is dropped in training; `dropout` is that of features.
        metapaths, target, num_neighbors, ties, scale_features and the settings of the training: see :class:`MEOW`.
            Contexts, masks, `views` and `norm` play no part; `batch_size` draws anchors, compared with all nodes.

    Attributes:
        embedding_, ids_, notes_, module_, history_: see :class:`MEOW`. The embedding is the view along meta-paths.

    Source: Wang, Liu, Han, Shi, "Self-supervised Heterogeneous Graph Neural Network with Co-contrastive Learning", KDD
    2021, arXiv:2105.09111.

    Example:
        >>> import torch
        >>> from graphrep import HeteroGraph
        >>> by = torch.tensor([[0, 1, 2, 3, 0, 2], [0, 0, 1, 1, 2, 2]])
        >>> graph = HeteroGraph({("paper", "by", "author"): by}, x={"paper": torch.eye(4)}, target="paper")
        >>> HeCo(8, num_positives=2, epochs=3).fit_transform(graph).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        dim: int = 64,
        *,
        temperature: float = 0.8,
        num_positives: int = 5,
        balance: float = 0.5,
        attention_dropout: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(dim, **{**_DEFAULTS, **options})
        self.temperature = temperature
        self.num_positives = num_positives
        self.balance = balance
        self.attention_dropout = attention_dropout

    def _check_settings(self) -> None:
        super()._check_settings()
        check_temperature(self.temperature)
        if self.num_positives < 1:
            raise GraphrepError(f"num_positives is {self.num_positives}.", hint="5")
        for name in ("balance", "attention_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise GraphrepError(f"{name} is {getattr(self, name)}; it lies between 0 and 1.", hint=f"{name}=0.5")

    def _module(self, shape: MetaPathShape, /) -> nn.Module:
        self._known = shape
        encoder = SchemaEncoder(
            shape.channels,
            shape.num_nodes,
            shape.target,
            list(shape.neighbors.values()),
            len(shape.paths),
            self.dim,
            feature_dropout=self.dropout,
            attention_dropout=self.attention_dropout,
        )
        return _Module(encoder)

    def _used_types(self, shape: MetaPathShape) -> list[str]:
        return list(dict.fromkeys([shape.target, *shape.neighbors.values()]))

    def _inputs(self, source: MetaPathSource) -> SchemaInputs:
        found = source.inputs()
        names = source.shape.neighbors
        x = {**found.x, **{name: source.features(name) for name in names.values()}}
        return SchemaInputs(x, source.plain(), [source.relation(name) for name in names])

    def _positives(self, source: MetaPathSource) -> CSR:
        """(N, N) pattern: the best partners of each node by the sum over meta-paths of 1 / partners, itself first."""
        count = source.shape_rows()
        keys, shares = [torch.arange(count) * (count + 1)], [torch.zeros(count)]
        for csr in source.counts:
            row, col = csr.row().long().cpu(), csr.col.long().cpu()
            keys.append(row * count + col)
            shares.append(1 / torch.bincount(row, minlength=count).float()[row])
        key, place = torch.unique(torch.cat(keys), return_inverse=True)
        score = torch.zeros(len(key)).index_add_(0, place, torch.cat(shares))
        edges = torch.stack([key % count, key // count])
        summed = CSR.from_edge_index(edges, score, size=(count, count))
        best = top_neighbors(summed, self.num_positives, ties=self.ties, seed=self.seed, score="count")
        return best.with_value(None).to(source.device)

    def _task(self, module: nn.Module, graph: Any) -> Any:
        assert isinstance(module, _Module)
        if not self._known.neighbors:
            raise EmptyGraphError(f"No relation leaves {self._known.target}.", hint="-m meow, which needs none")
        with seeded(self.seed):
            return _Task(module, self._source(graph), self, self._fingerprint(FREE))

    def _embedded(self, module: nn.Module, source: MetaPathSource) -> Tensor:
        out: Tensor = module(self._inputs(source))
        return out


inherits_arguments(HeCo, **_DEFAULTS)
