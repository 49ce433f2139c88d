"""Where LMGNN's losses take the vectors of their seeds from: texts alone, the whole graph, or sampled neighbours."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from graphrep.kernels import CSR
from graphrep.methods._lmgnn_graph import EdgeType, TextGraph
from graphrep.methods._lmgnn_losses import Vectors
from graphrep.methods._recommend_task import new_seed
from graphrep.methods._shared_encoding import fill_cache
from graphrep.nn import (
    EmbeddingCache,
    SampledBatch,
    TextEncoder,
    TextGraphEncoder,
    choose_live,
    encode_texts,
    mixed_text,
    sample_batch,
)
from graphrep.nn._arguments import check_rate
from graphrep.nn.live_text import passes
from graphrep.train import distributed

__all__ = ["GraphSource", "JointSource", "NodeInputs", "SampledSource", "Source", "Texts", "fill", "whole_vectors"]

Edges = Mapping[EdgeType, Tensor]


class Source(Protocol):
    """Vectors of nodes."""

    def vectors(
        self, seeds: dict[str, Tensor], excluded: dict[EdgeType, Tensor], generator: torch.Generator
    ) -> Vectors:
        """Rows of the seeds with gradient; messages do not pass over excluded pairs."""
        ...

    def judged(self, seeds: dict[str, Tensor]) -> Vectors:
        """Rows of the seeds without gradient and dropout, as they are after training."""
        ...


@dataclasses.dataclass
class Texts:
    """The texts of all node types, one type behind the other, with the encoder of all of them.

    Attributes:
        encoder: in training or not.
        table: tokens.
        states: what training reads: the table, or states of the frozen layers in their place.
        starts: by node type, the number of its first text.
        sizes: by node type, how many there are.
        precision: ``float32`` or ``bfloat16``.
        chunk_size: texts per pass with gradient; None: all at once.
        checkpointing: compute chunks again in the backward pass.
        max_tokens: of a batch without gradient.
    """

    encoder: TextEncoder
    table: Any
    states: Any
    starts: dict[str, int]
    sizes: dict[str, int]
    precision: str = "bfloat16"
    chunk_size: int | None = None
    checkpointing: bool = False
    max_tokens: int = 8192

    def rows(self, kind: str, nodes: Tensor) -> Tensor:
        """Numbers of the texts of nodes."""
        return nodes + self.starts[kind]

    def encode(self, kind: str, nodes: Tensor) -> Tensor:
        """(n, h) with gradient."""
        live = torch.arange(len(nodes), device=self.encoder.device)
        return self.mixed(_Uncached(), self.rows(kind, nodes), live)

    def mixed(self, cache: Any, rows: Tensor, live: Tensor, *, scale: bool = False) -> Tensor:
        """:func:`graphrep.nn.mixed_text` of rows of the table, as all processes together can call it."""
        options: dict[str, Any] = {"chunk_size": self.chunk_size, "checkpointing": self.checkpointing}
        options |= {"write_back": False, "precision": self.precision}
        idle = self._idle_calls(rows[live.cpu()])
        rows, live = rows.to(self.encoder.device), live.to(self.encoder.device)
        found: Tensor = mixed_text(self.encoder, self.states, cache, rows, live, scale=scale, **options)
        one = torch.zeros(1, dtype=torch.int64, device=self.encoder.device)
        for _ in range(idle):
            found = found + 0.0 * mixed_text(self.encoder, self.states, _Uncached(), one, one, **options).sum()
        return found

    def _idle_calls(self, texts: Tensor) -> int:
        """Calls for nothing, by which a process with fewer texts keeps up with the others where layers are sharded."""
        if not any(distributed.is_sharded(p) for p in self.encoder.parameters()):
            return 0
        calls = passes(self.states, texts, chunk_size=self.chunk_size)
        return distributed.largest(calls) - calls

    def vectors(
        self, seeds: dict[str, Tensor], excluded: dict[EdgeType, Tensor], generator: torch.Generator
    ) -> Vectors:
        """A :class:`Source` of texts without a graph."""
        device = self.encoder.device
        found = {kind: self.encode(kind, nodes) for kind, nodes in seeds.items()}
        return Vectors(found, {kind: nodes.to(device) for kind, nodes in seeds.items()})

    def judged(self, seeds: dict[str, Tensor]) -> Vectors:
        """The same without gradient."""
        rows = {}
        for kind, nodes in seeds.items():
            found = encode_texts(self.encoder, self.table, index=self.rows(kind, nodes), precision=self.precision)
            assert isinstance(found, Tensor)
            rows[kind] = found.float()
        return Vectors(rows, {kind: nodes.to(self.encoder.device) for kind, nodes in seeds.items()})


class _Uncached:
    """Stands for a cache where every row is live."""

    def mix(self, nodes: Tensor, live: Tensor, rows: Tensor) -> Tensor:
        return rows


def fill(
    cache: EmbeddingCache,
    texts: Texts,
    progress: Any = None,
    should_stop: Callable[[], bool] | None = None,
    *,
    alone: bool = False,
) -> None:
    """Encodes the rows that a cache lacks; in several processes each a share, unless this one is `alone` here."""
    options: dict[str, Any] = {"precision": texts.precision, "max_tokens": texts.max_tokens, "progress": progress}
    if alone:
        encode_texts(texts.encoder, texts.table, out=cache, **options)
    else:
        fill_cache(texts.encoder, texts.table, cache, should_stop=should_stop, **options)


class NodeInputs:
    """What the input layers read: text vectors from a cache beside features, or node numbers for tables.

    Args:
        graph: its features and sizes.
        texts: where each type's texts begin.
        cache: text vectors of all types.
        device: where the rows go.
        dropout: of text vectors and features in training.
    """

    def __init__(
        self, graph: TextGraph, texts: Texts, cache: EmbeddingCache, device: torch.device, *, dropout: float = 0.0
    ) -> None:
        self.graph, self.texts, self.cache, self.device = graph, texts, cache, device
        self.dropout = check_rate(dropout, "input_dropout")
        self.x = {kind: part.to(device) for kind, part in graph.x.items()}

    def rows(self, kind: str, nodes: Tensor | None = None, text: Tensor | None = None) -> Tensor:
        """Input rows of some nodes or of all; `text` stands for the cache's rows."""
        numbers = torch.arange(self.graph.num_nodes[kind]) if nodes is None else nodes
        parts = []
        if kind in self.graph.text:
            cached = self.cache.gather(self.texts.rows(kind, numbers.cpu())) if text is None else text
            parts.append(cached.to(self.device).float())
        if kind in self.x:
            parts.append(self.x[kind] if nodes is None else self.x[kind][nodes.to(self.device)])
        return torch.cat(parts, dim=1) if parts else numbers.to(self.device)

    def all(self) -> dict[str, Tensor]:
        """Input rows of all nodes by type."""
        return {kind: self.rows(kind) for kind in self.graph.num_nodes}

    def dropped(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same with some entries dropped; node numbers stay."""
        if not self.dropout:
            return rows
        return {
            kind: functional.dropout(part, self.dropout) if part.is_floating_point() else part
            for kind, part in rows.items()
        }


def whole_vectors(model: TextGraphEncoder, inputs: NodeInputs, edges: Edges) -> dict[str, Tensor]:
    """Vectors of all nodes over all their neighbours, without dropout, a block of nodes at a time."""
    known = inputs.graph.num_nodes == model.num_nodes  # else functions cannot say how many rows
    rows = {kind: functools.partial(inputs.rows, kind) for kind in model.types} if known else inputs.all()
    found: dict[str, Tensor] = model.inference(rows, {kind: part.to(inputs.device) for kind, part in edges.items()})
    return found


class GraphSource:
    """The whole graph in every step, on cached text vectors.

    Args:
        model: the graph network.
        inputs: see :class:`NodeInputs`; read once.
        edges: that messages use in training.
        reverse: the reverse of each edge type.
    """

    def __init__(
        self, model: TextGraphEncoder, inputs: NodeInputs, edges: Edges, reverse: Mapping[EdgeType, EdgeType]
    ) -> None:
        self.model, self.reverse, self.inputs, self.dropped = model, reverse, inputs.all(), inputs.dropped
        self.edges = {kind: part.to(inputs.device) for kind, part in edges.items()}
        self.sizes = dict(inputs.graph.num_nodes)
        self._matrices: dict[EdgeType, CSR] | None = None

    def vectors(
        self, seeds: dict[str, Tensor], excluded: dict[EdgeType, Tensor], generator: torch.Generator
    ) -> Vectors:
        """One pass over all nodes."""
        edges = self._without(excluded) if excluded else self.matrices
        return self._picked(self.model(self.dropped(self.inputs), edges), seeds)

    @torch.no_grad()
    def judged(self, seeds: dict[str, Tensor]) -> Vectors:
        """The same; the loop has set evaluation mode."""
        return self._picked(self.model(self.inputs, self.matrices), seeds)

    @property
    def matrices(self) -> dict[EdgeType, CSR]:
        """All edges as the layers take them, made once."""
        if self._matrices is None:
            self._matrices = self.model.prepare(self.edges, self.sizes)
        return self._matrices

    def _picked(self, z: dict[str, Tensor], seeds: dict[str, Tensor]) -> Vectors:
        device = next(self.model.parameters()).device
        ids = {kind: nodes.to(device) for kind, nodes in seeds.items()}
        return Vectors({kind: z[kind].index_select(0, nodes) for kind, nodes in ids.items()}, ids)

    def _without(self, excluded: dict[EdgeType, Tensor]) -> dict[EdgeType, Tensor]:
        kept = dict(self.edges)
        for kind, pairs in excluded.items():
            pairs = pairs.to(kept[kind].device)
            for side, gone in ((kind, pairs), (self.reverse[kind], pairs.flip(0))):
                size = self.sizes[side[2]]
                keys, out = (part[0] * size + part[1] for part in (kept[side], gone))
                kept[side] = kept[side][:, ~torch.isin(keys, out)]
        return kept


class SampledSource:
    """Sampled neighbours of the seeds, on cached text vectors.

    Args:
        model: the graph network.
        inputs: see :class:`NodeInputs`.
        edges: that messages use in training.
        reverse: the reverse of each edge type.
        num_neighbors: per hop.
    """

    def __init__(
        self,
        model: TextGraphEncoder,
        inputs: NodeInputs,
        edges: Edges,
        reverse: Mapping[EdgeType, EdgeType],
        num_neighbors: Sequence[int],
    ) -> None:
        self.model, self.inputs, self.edges, self.reverse = model, inputs, dict(edges), dict(reverse)
        self.num_neighbors, self.sizes = list(num_neighbors), dict(inputs.graph.num_nodes)
        self.graphs = {
            kind: CSR.from_edge_index(part.cpu(), size=(self.sizes[kind[0]], self.sizes[kind[2]]))
            for kind, part in edges.items()
        }

    def vectors(
        self, seeds: dict[str, Tensor], excluded: dict[EdgeType, Tensor], generator: torch.Generator
    ) -> Vectors:
        """The seeds' vectors on a fresh sample."""
        batch = sample_batch(
            self.graphs, {kind: nodes.cpu() for kind, nodes in seeds.items()}, self.num_neighbors,
            seed=new_seed(generator), num_nodes=self.sizes, reverse=self.reverse,
            exclude={kind: pairs.cpu() for kind, pairs in excluded.items()} or None,
        )  # fmt: skip
        device = self.inputs.device
        text = self._text(batch.nodes, seeds, generator)
        inputs = {kind: self.inputs.rows(kind, nodes, text.get(kind)) for kind, nodes in batch.nodes.items()}
        z = self.model(self.inputs.dropped(inputs), self._edges(batch.to(device)))
        rows = {kind: z[kind][: batch.num_seeds[kind]] for kind in seeds}
        return Vectors(rows, {kind: nodes.to(device) for kind, nodes in seeds.items()})

    def _edges(self, batch: SampledBatch) -> Mapping[EdgeType, Any]:
        """As the layers take them: GCN's weights are those of the graph, which all neighbours will have in the end."""
        if self.model.conv == "gcn" and self.graphs:
            return {next(iter(self.graphs)): batch.gcn_matrix(self.graphs)}
        return dict(batch.edges)

    def _text(
        self, nodes: dict[str, Tensor], seeds: dict[str, Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Text vectors that do not come from the cache, by type."""
        return {}

    def judged(self, seeds: dict[str, Tensor]) -> Vectors:
        """Over all neighbours."""
        z = whole_vectors(self.model, self.inputs, self.edges)
        ids = {kind: nodes.to(self.inputs.device) for kind, nodes in seeds.items()}
        return Vectors({kind: z[kind].index_select(0, nodes) for kind, nodes in ids.items()}, ids)


class JointSource(SampledSource):
    """Sampled neighbours, some of them with text vectors that are computed anew and carry a gradient.

    The cache follows: live rows are written back, and every `refresh_every` steps, and before the validation part is
    judged, all are encoded again.

    Args:
        model, inputs, edges, reverse, num_neighbors: see :class:`SampledSource`.
        live_nodes: at most so many in a step; -1: all.
        scheme: see :func:`graphrep.nn.choose_live`.
        scale: multiply the gradient of the live rows by the number of nodes over that of the live ones.
        refresh_every: steps; None: never within a pass.

    Attributes:
        live: how many there were in the last step.
        fresh: whether the cache has what the encoder gives now.
    """

    def __init__(
        self,
        model: TextGraphEncoder,
        inputs: NodeInputs,
        edges: Edges,
        reverse: Mapping[EdgeType, EdgeType],
        num_neighbors: Sequence[int],
        *,
        live_nodes: int,
        scheme: str,
        scale: bool,
        refresh_every: int | None,
    ) -> None:
        super().__init__(model, inputs, edges, reverse, num_neighbors)
        self.live_nodes, self.scheme, self.scale, self.refresh_every = live_nodes, scheme, scale, refresh_every
        self.live = 0
        self.fresh = True
        self._idle: Tensor | float = 0.0

    def vectors(
        self, seeds: dict[str, Tensor], excluded: dict[EdgeType, Tensor], generator: torch.Generator
    ) -> Vectors:
        """The seeds' vectors on a fresh sample."""
        found = super().vectors(seeds, excluded, generator)
        return Vectors({kind: rows + self._idle for kind, rows in found.rows.items()}, found.ids)

    def _text(
        self, nodes: dict[str, Tensor], seeds: dict[str, Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        texts, cache = self.inputs.texts, self.inputs.cache
        kinds = [kind for kind in nodes if kind in texts.starts and len(nodes[kind])]
        ids = torch.cat([torch.empty(0, dtype=torch.int64), *(texts.rows(kind, nodes[kind]) for kind in kinds)])
        firsts = [texts.rows(kind, seeds[kind].cpu()) for kind in kinds if kind in seeds]
        wanted = torch.cat(firsts) if firsts else ids[:0]
        live = choose_live(wanted, ids, self.live_nodes, generator=generator, scheme=self.scheme)
        self.live = len(live)
        device = texts.encoder.device
        rows = texts.mixed(cache, ids, live, scale=self.scale)
        # without a text here the others' layers still wait for this process's backward pass
        self._idle = 0.0 if kinds else 0.0 * rows.sum()
        own, found = distributed.all_rows(ids[live]), distributed.all_rows(rows.detach()[live.to(device)])
        distinct, first = _first_of_each(own)
        cache.write(distinct, found[first.to(found.device)])
        cache.tick()
        self.fresh = False
        return dict(zip(kinds, torch.split(rows, [len(nodes[kind]) for kind in kinds]), strict=True))

    def refresh(self, progress: Any = None) -> None:
        """Encodes all texts again with the encoder as it is, if there was a step since the last time."""
        if not self.fresh:
            self.inputs.cache.reset()
            fill(self.inputs.cache, self.inputs.texts, progress)
            self.fresh = True

    def judged(self, seeds: dict[str, Tensor]) -> Vectors:
        """Over all neighbours and on fresh vectors, as they are after training."""
        self.refresh()
        return super().judged(seeds)


def _first_of_each(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct ids and where each comes first."""
    distinct, inverse = torch.unique(ids, return_inverse=True)
    first = torch.full_like(distinct, len(ids))
    first.scatter_reduce_(0, inverse, torch.arange(len(ids), device=ids.device), "amin")
    return distinct, first
