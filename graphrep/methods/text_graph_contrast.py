"""Text-graph contrast: the neighbourhood of a node and a text about it get the same vector; classes by their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from graphrep.data.graph import Graph
from graphrep.errors import EmptyGraphError, GraphrepError, MissingFeaturesError, ShapeError, UnknownNameError
from graphrep.methods._text_graph import Augmentation, TextGraph, TextGraphModule, TextGraphTask, embed_nodes
from graphrep.methods._views import scaled_features
from graphrep.methods._walk_subgraphs import WalkSampler
from graphrep.methods.trained import WEIGHT_DTYPES, TrainedEstimator
from graphrep.nn.encoder import GCNEncoder
from graphrep.objectives.scaled_contrast import LARGEST_SCALE

__all__ = ["TextGraphContrast"]

_FREE = ("epochs", "time_budget", "patience", "min_delta", "stop", "keep", "eval_every", "device")  # when resumed
_FEATURES = ("text", "graph")


class TextGraphContrast(TrainedEstimator):
    """Vectors of nodes in the space of a text encoder: subgraph i is told from the other texts of a batch, text i from
    the other subgraphs.

    A node's subgraph is what a few short random walks from it meet; a graph encoder, the mean over the subgraph and a
    linear map make its vector. The text encoder stays as it is, so that any later text, such as the name of a class,
    can be compared with a node (:meth:`zero_shot`). Each step takes O(B^2 h) operations and O(B h) memory for a batch
    of B nodes; B can be thousands.

    Args:
        dim: width of the graph encoder.
        text_encoder: directory of a transformers model, a :class:`~graphrep.nn.TextEncoder` (with `tokenizer`), or a
            function of a list of texts that gives (n, h) vectors.
        graph_encoder: None: :class:`~graphrep.nn.GCNEncoder`; else a module called as encoder(x, edge_index) that gives
            (M, dim), or a function of the number of inputs that makes one.
        num_layers: of the default graph encoder.
        tokenizer: of a :class:`~graphrep.nn.TextEncoder`, as :meth:`graphrep.data.TextTable.from_texts` takes it.
        text_length: tokens of a text at most.
        features: inputs of the graph encoder: "text": vectors of the nodes' texts; "graph": the graph's features.
        residual: add the mean of the texts' vectors over the subgraph; needs `features` "text".
        num_walks: random walks from each node.
        walk_length: steps of a walk.
        drop_edge: rate at which edges of a subgraph are dropped in training.
        drop_feature: rate at which columns of the inputs are set to zero in training.
        hide_center: share of the training subgraphs whose centre has no input, so that its text must be told from its
            neighbours; None: 0.5, or 0 when summaries are given.
        adversarial_steps: signed gradient steps by which the inputs are made hard; each costs a forward and a backward
            pass.
        adversarial_size: length of such a step in each number of a unit vector; the authors' 1e-2 hides the texts of
            small graphs altogether.
        init_scale: factor of the cosines at the start of the training; it is learnt, at most 100.
        batch_size: B; the negatives of a node are the other B - 1.
        epochs, lr, weight_decay, optimizer, clip_norm, precision, stop, patience, min_delta, keep, eval_every,
            time_budget, seed: see :class:`graphrep.train.TrainConfig`.
        device: where the training runs.

    Attributes:
        module_: graph encoder, ``projection``, ``log_scale``.
        embedding_: (N, h) unit vectors of the training graph.
        history_: the course of the training.

    Directions of edges are ignored. Nodes without a text take part as neighbours.

    Source: Zhu, Shi, Wang, Liu, Wang, Peng, Hong, Tang, "GraphCLIP: Enhancing Transferability in Graph Foundation
    Models for Text-Attributed Graphs", WWW 2025, arXiv:2410.10329. Differs: `residual`, `hide_center` (the authors'
    texts are written by a large model; summaries are the user's here), a graph convolution in place of a graph
    transformer.

    Example:
        >>> from graphrep import Graph
        >>> from graphrep.methods import TextGraphContrast
        >>> words = ("matrix", "graph")
        >>> def encoder(texts):  # a text encoder of your own
        ...     return torch.tensor([[float(text.count(word)) for word in words] for text in texts])
        >>> graph = Graph(torch.tensor([[0, 1, 2], [1, 0, 3]]), text=["a graph", "graphs", "a matrix", ""])
        >>> model = TextGraphContrast(dim=8, text_encoder=encoder, epochs=1).fit(graph)
        >>> labels, scores = model.zero_shot(["matrix", "graph"])
        >>> labels.tolist(), scores.shape
        ([1, 1, 0, 0], torch.Size([4, 2]))
    """

    _needs_features: ClassVar[bool] = False

    def __init__(
        self,
        dim: int = 256,
        *,
        text_encoder: str | os.PathLike[str] | nn.Module | Callable[[list[str]], Any] | None = None,
        graph_encoder: nn.Module | Callable[[int], nn.Module] | None = None,
        num_layers: int = 2,
        tokenizer: Any = None,
        text_length: int = 128,
        features: str = "text",
        residual: bool = True,
        num_walks: int = 8,
        walk_length: int = 4,
        drop_edge: float = 0.3,
        drop_feature: float = 0.2,
        hide_center: float | None = None,
        adversarial_steps: int = 3,
        adversarial_size: float = 1e-3,
        init_scale: float = 1 / 0.07,
        batch_size: int = 512,
        epochs: int = 30,
        lr: float = 1e-3,
        weight_decay: float = 1e-5,
        optimizer: str = "adamw",
        clip_norm: float | None = 1.0,
        precision: str = "float32",
        stop: str = "none",
        patience: int = 50,
        min_delta: float = 0.0,
        keep: str = "last",
        eval_every: int = 10,
        time_budget: float | None = None,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.dim = dim
        self.text_encoder = text_encoder
        self.graph_encoder = graph_encoder
        self.num_layers = num_layers
        self.tokenizer = tokenizer
        self.text_length = text_length
        self.features = features
        self.residual = residual
        self.num_walks = num_walks
        self.walk_length = walk_length
        self.drop_edge = drop_edge
        self.drop_feature = drop_feature
        self.hide_center = hide_center
        self.adversarial_steps = adversarial_steps
        self.adversarial_size = adversarial_size
        self.init_scale = init_scale
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

    def fit(self, graph: Any, *, summaries: Sequence[str] | None = None, **training: Any) -> Self:
        """Trains on `graph`, and embeds it.

        Args:
            graph: with a text per node.
            summaries: (N,) texts about the nodes' neighbourhoods, told from each other in place of the nodes' own
                texts; a node with an empty one is no pair. None: the nodes' own texts.
            training: the other arguments of :meth:`TrainedEstimator.fit`.

        Raises:
            MissingFeaturesError: the graph has no texts, or no features where those are wanted.
            ShapeError: not one summary per node.
            EmptyGraphError: fewer than two nodes have a text.
            GraphrepError: a setting that does not fit.
        """
        self._check_settings()
        return super().fit(self._read(Graph.coerce(graph), summaries), **training)

    def zero_shot(
        self, classes: Sequence[str] | Mapping[str, str], *, graph: Any = None, template: str = "{}"
    ) -> tuple[Tensor, Tensor]:
        """Classes of nodes by the texts of the classes alone; no label is needed.

        Args:
            classes: names, or names with a text about each.
            graph: None: the training graph.
            template: of the texts, with ``{}`` for the class's text: ``"a paper about {}"``.

        Returns:
            (N,) the place in `classes` of the closest, and (N, C) cosines.

        Raises:
            NotFittedError: before `fit`.
            GraphrepError: fewer than two classes, or a template without ``{}``.
        """
        self._fitted("module_")
        texts = list(classes.values()) if isinstance(classes, Mapping) else [str(name) for name in classes]
        if len(texts) < 2:
            raise GraphrepError(
                f"{len(texts)} classes leave nothing to choose.", hint='zero_shot(["theory", "agents"])'
            )
        if "{}" not in template:
            raise GraphrepError(f'template is "{template}".', hint='"a paper about {}"')
        z = self.embedding_ if graph is None else self.embed(graph)
        scores = z.float() @ self._vectors([template.replace("{}", text) for text in texts]).float().t()
        return scores.argmax(1), scores

    # the method

    def _check_settings(self) -> None:
        if self.text_encoder is None:
            raise GraphrepError(
                "textgraph needs a text encoder.",
                hint="text_encoder=DIR with a transformers model, or a function of a list of texts",
            )
        if self.features not in _FEATURES:
            raise UnknownNameError(f'features is "{self.features}".', hint='"text" or "graph"')
        for name, least in (("dim", 1), ("num_walks", 1), ("walk_length", 1), ("batch_size", 2), ("text_length", 1)):
            if getattr(self, name) < least:
                raise GraphrepError(f"{name} is {getattr(self, name)}.", hint=f"{least} or more")
        for name in ("drop_edge", "drop_feature", "hide_center"):
            rate = getattr(self, name)
            if rate is not None and not 0 <= rate < 1 + (name == "hide_center") * 1e-9:
                raise GraphrepError(f"{name} is {rate}; rates lie in [0, 1).", hint=f"{name}=0.2")
        if self.adversarial_steps < 0 or self.adversarial_size < 0:
            raise GraphrepError("adversarial_steps and adversarial_size are 0 or more.", hint="3 and 0.01")
        if not 0 < self.init_scale <= LARGEST_SCALE:
            raise GraphrepError(f"init_scale is {self.init_scale}.", hint="above 0 and up to 100")

    def _read(self, graph: Graph, summaries: Sequence[str] | None) -> TextGraph:
        """The graph with the vectors of its texts, and of the summaries where there are some."""
        where = graph.name or "the graph"
        if graph.text is None:
            raise MissingFeaturesError(f"textgraph needs a text per node and {where} has none.", hint="Graph(text=...)")
        if self.features == "graph" and graph.x is None:
            raise MissingFeaturesError(f"{where} has no features.", hint='features="text"')
        own = self._vectors(graph.text.tolist())
        dtype = WEIGHT_DTYPES[self.precision]
        x = own.to(dtype) if self.features == "text" else scaled_features(graph.x, "unit", dtype)  # type: ignore[arg-type]
        texts, target = graph.text.tolist(), own
        if summaries is not None:
            texts = [str(text) for text in summaries]
            if len(texts) != graph.num_nodes:
                raise ShapeError(
                    f"{len(texts)} summaries for {graph.num_nodes} nodes.", hint="one per node, or an empty text"
                )
            target = self._vectors(texts)
        group = np.unique(np.array(texts, dtype=np.dtypes.StringDType()), return_inverse=True)[1]
        usable = torch.tensor([place for place, text in enumerate(texts) if text.strip()], dtype=torch.int64)
        self._summaries = summaries is not None
        return TextGraph(graph, x, target.to(dtype), torch.from_numpy(group.astype(np.int64)), usable)

    def _vectors(self, texts: list[str]) -> Tensor:
        """(n, h) unit vectors of texts, by the text encoder as it is."""
        encoder: Any = self.text_encoder
        if isinstance(encoder, str | os.PathLike | nn.Module):
            found = self._encoded(encoder, texts)
        else:
            found = torch.as_tensor(encoder(texts)).detach()
        if found.dim() != 2 or len(found) != len(texts) or not found.is_floating_point():
            raise ShapeError(
                f"text_encoder gave {found.dtype} of shape {tuple(found.shape)} for {len(texts)} texts.",
                hint="a floating-point row per text",
            )
        if not bool(torch.isfinite(found).all()):
            raise GraphrepError("text_encoder gave NaN or infinity.", hint="look at the texts it did so for")
        return nn.functional.normalize(found.cpu(), dim=1)

    def _encoded(self, encoder: Any, texts: list[str]) -> Tensor:
        from graphrep.data.text_table import TextTable
        from graphrep.nn import TextEncoder, encode_texts

        tokenizer = self.tokenizer
        if not isinstance(encoder, nn.Module):
            tokenizer, encoder = TextEncoder.load_tokenizer(encoder), TextEncoder(encoder, train_layers=0)
        elif tokenizer is None:
            raise GraphrepError("A TextEncoder needs its tokenizer.", hint="tokenizer=DIR of the model")
        table = TextTable.from_texts(texts, tokenizer, max_length=self.text_length)
        found: Tensor = encode_texts(encoder.to(self.device), table)
        return found.float()

    def _coerced(self, graph: Any) -> TextGraph:
        return graph if isinstance(graph, TextGraph) else self._read(Graph.coerce(graph), None)

    def _row_ids(self, graph: TextGraph) -> Any:
        return graph.graph.ids

    def _check(self, graph: Any) -> None:
        if graph.usable.numel() < 2:
            raise EmptyGraphError(
                f"textgraph tells texts from each other, and {graph.usable.numel()} nodes have one.", hint="2 or more"
            )

    def _check_known(self, graph: Any) -> None:
        if not graph.num_nodes:
            raise EmptyGraphError("The graph has no nodes.", hint="1 or more")

    def _shape(self, graph: TextGraph) -> tuple[int, int]:
        return graph.num_features, int(graph.target.shape[1])

    def _pack_shape(self, module: nn.Module) -> str:
        assert isinstance(module, TextGraphModule)
        return f"{module.in_channels} {module.text_dim}"

    def _unpack_shape(self, text: str) -> tuple[int, int]:
        inputs, width = text.split()
        return int(inputs), int(width)

    def _width(self, module: nn.Module) -> int | None:
        assert isinstance(module, TextGraphModule)
        return module.in_channels

    def _module(self, shape: tuple[int, int]) -> nn.Module:
        inputs, width = shape
        encoder = self.graph_encoder
        if encoder is None:
            encoder = GCNEncoder(inputs, self.dim, self.dim, num_layers=self.num_layers)
        elif not isinstance(encoder, nn.Module):
            encoder = encoder(inputs)
        residual = self.residual and self.features == "text"
        return TextGraphModule(encoder, inputs, self.dim, width, residual=residual, init_scale=self.init_scale)

    def _sampler(self, graph: Graph) -> WalkSampler:
        return WalkSampler(
            graph.edge_index.cpu(), graph.num_nodes, num_walks=self.num_walks, length=self.walk_length
        )  # fmt: skip

    def _task(self, module: nn.Module, graph: Any) -> TextGraphTask:
        assert isinstance(module, TextGraphModule)
        hidden = (0.0 if self._summaries else 0.5) if self.hide_center is None else self.hide_center
        augmentation = Augmentation(
            self.drop_edge, self.drop_feature, hidden, self.adversarial_steps, self.adversarial_size
        )
        return TextGraphTask(
            module, graph, self._sampler(graph.graph), augmentation, batch_size=self.batch_size, device=self.device,
            seed=self.seed, fingerprint=self._fingerprint(_FREE),
        )  # fmt: skip

    def _encode(self, module: nn.Module, graph: Any) -> Tensor:
        assert isinstance(module, TextGraphModule)
        nodes = torch.arange(graph.num_nodes)
        return embed_nodes(module, graph.x, self._sampler(graph.graph), nodes, device=self.device, seed=self.seed)
