"""NCN and NCNC: missing links from both ends and the neighbours they share."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import torch
from torch import Tensor, nn

from graphrep.data.check import grouped
from graphrep.data.graph import Graph
from graphrep.errors import CheckpointMismatchError, EmptyGraphError, GraphrepError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_index, check_range
from graphrep.methods._link_data import LinkData, as_pairs, as_split, link_data, usable_cut
from graphrep.methods._link_features import feature_kind, features_of
from graphrep.methods._link_task import LinkTask, scored
from graphrep.methods._link_top import best_links
from graphrep.methods.trained import WEIGHT_DTYPES, TrainedEstimator
from graphrep.nn import ncn
from graphrep.nn._arguments import check_rate
from graphrep.nn.link_dropper import LinkDropper
from graphrep.train import History, TrainConfig, train

__all__ = ["NCN"]

_FREE = ("epochs", "time_budget", "patience", "min_delta", "eval_every", "block_size", "device")  # when resumed
_MODULE = (
    "conv", "jk", "jk_init", "residual", "use_xlin", "tail_act", "two_layer_head", "common_neighbors", "completion",
    "scale", "offset", "alpha", "pt", "inner_features", "inner_dropout", "exclude_endpoints", "max_completion",
    "input_dropout", "gnn_dropout", "tail_dropout", "dropout",
)  # fmt: skip
_CHOICES = {
    "features": ("auto", "given", "learned", "fastrp"),
    "scale_features": ("none", "row", "unit"),
}


class NCN(TrainedEstimator):
    """Link prediction by neural common neighbours; with completion (NCNC) also by those a pair may be missing.

    The encoder runs on the training graph in every step. The links of the batch are taken out of it first, both for the
    encoder and for the neighbour sets (``remove_targets``): otherwise training pairs have evidence that test pairs
    lack. Each step adds as many negatives, drawn anew each epoch among pairs that are no training link. Scores after
    training use the graph with all its training links.

    Args:
        dim: D, width of the vectors.
        num_layers, conv, jk, jk_init, residual, use_xlin, tail_act, two_layer_head, common_neighbors, completion,
            scale, offset, alpha, pt, inner_features, inner_dropout, exclude_endpoints, max_completion, input_dropout,
            gnn_dropout, tail_dropout, dropout: see :class:`graphrep.nn.NCN`. ``completion=1`` is NCNC;
            ``common_neighbors=False`` leaves the product of the ends alone.
        edge_dropout: share of links that are out of the encoder's graph in a step, both directions together.
        neighbor_dropout: share that is out of the neighbour sets, drawn apart; nothing is rescaled.
        remove_targets: see above; False is for comparison only.
        features: ``"given"`` those of the graph; ``"learned"`` a trained vector per node; ``"fastrp"`` FastRP vectors
            of the training graph; ``"auto"`` the given ones where there are any, else learned.
        feature_dim: width of learned and FastRP vectors; None: `dim`.
        scale_features: ``"none"``, ``"row"`` (absolute values add up to 1) or ``"unit"`` (length 1).
        validation: share of the links to hold out where the data has no validation links. Hits@K on validation links
            chooses the epoch and stops the training. None: nothing validates, the last epoch is kept.
        hits_k: K; where there are not more negatives than that, half their number, which the notes say.
        use_validation_edges: whether the graph that answers after training has the validation links too. None: yes for
            those held out of a plain graph, no for those of a split, which are to be predicted.
        batch_size: B, most links of a step; the batches of an epoch are of equal size and hold every link.
        block_size: pairs scored at a time after training.
        epochs: at most. lr: of the predictor; encoder_lr: of the encoder, None: the same. patience: epochs without a
            better Hits@K after which the training stops. weight_decay, optimizer, schedule, clip_norm, precision,
            min_delta, min_epochs, eval_every (epochs between two looks at the validation links), time_budget, seed: see
            :class:`graphrep.train.TrainConfig`.
        device: where the training runs.

    Attributes:
        embedding_: (N, D) vectors of the nodes on the graph that answers; a pair's score needs that graph as well.
        history_: the course of the training, with ``hits``, ``mrr``, ``auc`` and ``ap`` of the validation links.
        module_: the trained :class:`graphrep.nn.NCN`.
        notes_: plain sentences that a user must be told.
        ids_, trained_on_: as for every trained method.

    Source: Wang, Yang, Zhang, "Neural Common Neighbor with Completion for Link Prediction", ICLR 2024,
    arXiv:2302.00890.

    Example:
        >>> ring = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
        >>> model = NCN(dim=8, epochs=3, validation=None).fit(ring)
        >>> model.score([[0, 1], [3, 4]]).shape
        torch.Size([2])
        >>> nodes, scores = model.top([0], k=2)
        >>> sorted(nodes[0].tolist())
        [2, 4]
    """

    _needs_features = False

    notes_: list[str]
    _graph: CSR  # in which the neighbours of pairs are looked up
    _known: CSR  # links that a list of missing ones leaves out
    _used: str  # where the features come from

    def __init__(
        self,
        dim: int = 256,
        *,
        num_layers: int = 1,
        conv: str = "puregcn",
        jk: bool = True,
        jk_init: str = "mean",
        residual: bool = False,
        use_xlin: bool = True,
        tail_act: bool = True,
        two_layer_head: bool = False,
        common_neighbors: bool = True,
        completion: int = 0,
        scale: float = 4.3,
        offset: float = 2.8,
        alpha: float = 1.0,
        pt: float = 0.75,
        inner_features: str = "input",
        inner_dropout: bool = True,
        exclude_endpoints: bool = True,
        max_completion: int | None = None,
        input_dropout: float = 0.7,
        gnn_dropout: float = 0.05,
        tail_dropout: float = 0.3,
        dropout: float = 0.05,
        edge_dropout: float = 0.0,
        neighbor_dropout: float = 0.4,
        remove_targets: bool = True,
        features: str = "auto",
        feature_dim: int | None = None,
        scale_features: str = "none",
        validation: float | None = 0.1,
        hits_k: int = 100,
        use_validation_edges: bool | None = None,
        batch_size: int = 1152,
        block_size: int = 16384,
        epochs: int = 100,
        lr: float = 0.0024,
        encoder_lr: float | None = 0.0043,
        weight_decay: float = 0.0,
        optimizer: str = "adam",
        schedule: str = "constant",
        clip_norm: float | None = None,
        precision: str = "float32",
        patience: int = 50,
        min_delta: float = 0.0,
        min_epochs: int = 0,
        eval_every: int = 1,
        time_budget: float | None = None,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.dim = dim
        self.num_layers = num_layers
        self.conv = conv
        self.jk = jk
        self.jk_init = jk_init
        self.residual = residual
        self.use_xlin = use_xlin
        self.tail_act = tail_act
        self.two_layer_head = two_layer_head
        self.common_neighbors = common_neighbors
        self.completion = completion
        self.scale = scale
        self.offset = offset
        self.alpha = alpha
        self.pt = pt
        self.inner_features = inner_features
        self.inner_dropout = inner_dropout
        self.exclude_endpoints = exclude_endpoints
        self.max_completion = max_completion
        self.input_dropout = input_dropout
        self.gnn_dropout = gnn_dropout
        self.tail_dropout = tail_dropout
        self.dropout = dropout
        self.edge_dropout = edge_dropout
        self.neighbor_dropout = neighbor_dropout
        self.remove_targets = remove_targets
        self.features = features
        self.feature_dim = feature_dim
        self.scale_features = scale_features
        self.validation = validation
        self.hits_k = hits_k
        self.use_validation_edges = use_validation_edges
        self.batch_size = batch_size
        self.block_size = block_size
        self.epochs = epochs
        self.lr = lr
        self.encoder_lr = encoder_lr
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.precision = precision
        self.patience = patience
        self.min_delta = min_delta
        self.min_epochs = min_epochs
        self.eval_every = eval_every
        self.time_budget = time_budget
        self.device = device
        self.seed = seed

    def fit(self, graph: Any, **training: Any) -> Self:
        """Trains on the training links of a split, or on a graph, of which some links are held out to validate.

        Args:
            graph: a :class:`~graphrep.data.LinkSplit`, whose test pairs play no part, or anything :meth:`Graph.coerce`
                takes. Directions are dropped, duplicates merged and self-loops left out.
            training: callbacks, checkpoint, resume, ...: see :meth:`TrainedEstimator.fit`.

        Raises:
            LeakySplitError: validation or test links of the split are among its training links.
            EmptyGraphError: no training links, or no pair that is none.
            MissingFeaturesError: ``features="given"`` and there are none.
            DivergedError: NaN during training; ``module_`` holds the last good state.
            GraphrepError: a setting out of range.
        """
        self._check_settings()
        found = link_data(as_split(graph), self.validation, self.use_validation_edges, self.seed)
        size = found.num_nodes
        self._graph, self._known = (_matrix(part, size) for part in (found.serving, found.known))
        self.notes_ = list(found.notes)
        return super().fit(found, **training)

    def score(self, pairs: Any) -> Tensor:
        """(P,) logits that pairs of nodes are linked; ``score(pairs).sigmoid()`` is a chance against random pairs.

        Args:
            pairs: (2, P) node numbers, in any order; a score does not depend on which end comes first.

        Raises:
            NotFittedError: before `fit`.
            ShapeError, DTypeError, IndexRangeError: no such pairs.
        """
        h: Tensor = self._fitted("embedding_")
        pairs = as_pairs(pairs, len(h))
        module = self.module_.eval()
        assert isinstance(module, ncn.NCN)
        device = next(module.parameters()).device
        return scored(module, h.to(device), self._graph.to(device), pairs, self.block_size)

    def top(self, nodes: Any = None, k: int = 10, *, candidates: str = "auto") -> tuple[Tensor, Tensor]:
        """The most likely missing links of each node; known links, those of validation among them, are left out.

        Args:
            nodes: (n,) node numbers; None: all.
            k: links per node, at least 1.
            candidates: ``"two-hop"``: nodes that share a neighbour with it; ``"all"``: every node, which costs N scores
                each; ``"auto"``: all for nodes with fewer than `k` of the former.

        Returns:
            (n, k) int64 nodes and their (n, k) logits, best first, equal ones by number; -1 and -inf where fewer are
            left. Pairs are scored `block_size` at a time.

        Raises:
            NotFittedError: before `fit`.
            IndexRangeError, DTypeError, ShapeError, GraphrepError, UnknownNameError: no such nodes, or `k` below 1.
        """
        size = len(self._fitted("embedding_"))
        chosen = torch.arange(size) if nodes is None else torch.as_tensor(nodes)
        chosen = chosen.long() if not chosen.numel() else chosen
        check_index(chosen, "nodes")
        check_range(chosen, size, "nodes")
        parts = (self.score, self._graph, self._known, chosen.long(), k)
        return best_links(*parts, candidates=candidates, block_size=self.block_size)

    def _coerced(self, graph: Any) -> Any:
        return graph if isinstance(graph, LinkData) else Graph.coerce(graph)

    def _row_ids(self, graph: Any) -> Any:
        return graph.graph.ids

    def _check(self, graph: Any) -> None:
        count = graph.num_nodes
        if count < 2:
            raise EmptyGraphError(f"a link needs two nodes, and the graph has {count}.", hint="2 or more")

    def _check_settings(self) -> None:
        """Raises where a setting is out of range, whatever the graph."""
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UnknownNameError(f'{name} is "{getattr(self, name)}".', hint="one of " + ", ".join(choices))
        counts = {name: getattr(self, name) for name in ("dim", "batch_size", "block_size", "hits_k")}
        counts["feature_dim"] = self._feature_dim
        for name, value in counts.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise GraphrepError(f"{name} is {value!r}.", hint="an integer of 1 or more")
        if self.encoder_lr is not None and not self.encoder_lr > 0:
            raise GraphrepError(f"encoder_lr is {self.encoder_lr!r}.", hint="a positive rate, or None for that of lr")
        for name in ("edge_dropout", "neighbor_dropout"):
            check_rate(getattr(self, name), name)

    @property
    def _feature_dim(self) -> int:
        return self.dim if self.feature_dim is None else self.feature_dim

    def _shape(self, graph: Any) -> tuple[int, int | None]:
        """Width of the features, and the number of nodes where they are learned."""
        kind = feature_kind(graph.graph, self.features)
        if kind == "given":
            return graph.graph.num_features, None
        return self._feature_dim, graph.num_nodes if kind == "learned" else None

    def _pack_shape(self, module: nn.Module) -> str:
        assert isinstance(module, ncn.NCN)
        return f"{module.encoder.in_channels} {module.encoder.num_nodes or 0} {self._used}"

    def _unpack_shape(self, text: str) -> tuple[int, int | None]:
        width, count, self._used = text.split()
        return int(width), int(count) or None

    def _width(self, module: nn.Module) -> int | None:
        assert isinstance(module, ncn.NCN)
        return module.encoder.in_channels

    def _module(self, shape: Any, /) -> nn.Module:
        width, count = shape
        options = {name: getattr(self, name) for name in _MODULE}
        return ncn.NCN(width, self.dim, self.num_layers, **options, num_nodes=count)

    def _fitting(self, graph: Any) -> Any:
        """The data of a running `fit` as they are; of another graph what the encoder reads must be there."""
        if isinstance(graph, LinkData):
            return graph
        found = self._coerced(graph)
        origin = self.__dict__.get("_origin", "The model")
        module = self._fitted("module_")
        if self._used == "learned":
            raise CheckpointMismatchError(
                f"{origin} has learned vectors for the nodes it was trained on; it cannot embed other graphs.",
                hint='model.embedding_, or features="fastrp"',
            )
        wanted = self._width(module)
        if self._used == "given" and found.num_features != wanted:
            raise CheckpointMismatchError(
                f"{origin} was trained on {grouped(wanted or 0)} features; this graph has "
                f"{grouped(found.num_features)}.",
                hint="the data set it came from, or graphrep train to make a new one",
            )
        return found

    def _input(self, graph: Graph, links: Tensor) -> Any:
        x = features_of(
            graph, links, self._used, self._feature_dim, self.scale_features, WEIGHT_DTYPES[self.precision], self.seed
        )
        return None if x is None else x.to(self.device)

    def _train(self, module: nn.Module, graph: Any, config: TrainConfig, **options: Any) -> History:
        assert isinstance(module, ncn.NCN)
        self._used = feature_kind(graph.graph, self.features)
        self._held = self._input(graph.graph, graph.train)
        if graph.val_pos is not None:
            config = dataclasses.replace(config, stop="hits", keep="best")
        hits_k, note = usable_cut(self.hits_k, graph.val_neg)
        self.notes_ += note
        dropper = LinkDropper(graph.train.to(self.device), graph.num_nodes, dtype=WEIGHT_DTYPES[self.precision])
        task = LinkTask(
            module,
            self._held,
            dropper,
            graph,
            batch_size=self.batch_size,
            remove_targets=self.remove_targets,
            edge_dropout=self.edge_dropout,
            neighbor_dropout=self.neighbor_dropout,
            hits_k=hits_k,
            block_size=self.block_size,
            encoder_rate=1.0 if self.encoder_lr is None else self.encoder_lr / self.lr,
            fingerprint=self._fingerprint(_FREE),
        )
        return train(task, config, **options)

    @torch.no_grad()
    def _encode(self, module: nn.Module, graph: Any) -> Tensor:
        assert isinstance(module, ncn.NCN)
        dtype = WEIGHT_DTYPES[self.precision]
        if isinstance(graph, LinkData):
            links, x = graph.serving, self.__dict__.pop("_held")
        else:
            links = graph.edge_index
            x = self._input(graph, links)
        dropper = LinkDropper(links.to(self.device), graph.num_nodes, dtype=dtype)
        return module.encode(x, dropper.whole.messages)

    def _results(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        parts = {"graph": self._graph, "known": self._known}
        return {f"{name}.{key}": getattr(csr, key) for name, csr in parts.items() for key in ("rowptr", "col")}, {}

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, str]) -> None:
        size = len(tensors["embedding"])
        self._graph, self._known = (
            CSR(tensors[f"{name}.rowptr"], tensors[f"{name}.col"], num_cols=size) for name in ("graph", "known")
        )
        self.notes_ = []


def _matrix(links: Tensor, size: int) -> CSR:
    """Both directions of links as a pattern with ascending columns."""
    return LinkDropper(links, size).whole.neighbors
