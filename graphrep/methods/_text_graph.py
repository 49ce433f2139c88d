"""The contrast of a node's neighbourhood with a text: the module, its inputs, and one step of its training."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.data.graph import Graph
from graphrep.kernels import segment_reduce
from graphrep.methods._views import node_batches, rows_of
from graphrep.methods._walk_subgraphs import WalkSampler, WalkSubgraphs
from graphrep.nn import drop_edges, mask_features
from graphrep.objectives.scaled_contrast import scaled_contrast

__all__ = ["Augmentation", "TextGraph", "TextGraphModule", "TextGraphTask", "embed_nodes"]

_SEEDS = 1 << 62
_SMALL = 1e-2
_SAMPLE = 4096  # nodes whose vectors the signals of an epoch look at


@dataclasses.dataclass(frozen=True, eq=False)
class TextGraph:
    """A graph with what the towers take.

    Attributes:
        graph: the graph.
        x: (N, F) inputs of the graph encoder.
        target: (N, h) unit vectors of the texts that nodes are told from each other by.
        group: (N,) equal numbers for equal texts.
        usable: nodes that have a text.
    """

    graph: Graph
    x: Tensor
    target: Tensor
    group: Tensor
    usable: Tensor

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.graph.num_nodes

    @property
    def num_features(self) -> int:
        """F."""
        return int(self.x.shape[1])

    @property
    def name(self) -> str | None:
        """Of the graph."""
        return self.graph.name


class TextGraphModule(nn.Module):
    """Graph encoder, mean over each subgraph, and a linear map into the space of the texts.

    Args:
        encoder: called as encoder(x, edge_index), gives (M, dim).
        in_channels: F.
        dim: what the encoder gives.
        text_dim: h.
        residual: adds the mean of the inputs, which must be text vectors: F = h.
        init_scale: of the products of unit vectors, at the start.
    """

    def __init__(
        self, encoder: nn.Module, in_channels: int, dim: int, text_dim: int, *, residual: bool, init_scale: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = nn.Linear(dim, text_dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(init_scale)))
        self.in_channels, self.text_dim, self.residual = in_channels, text_dim, residual
        if residual:  # the untrained model says what the mean of the texts says
            nn.init.zeros_(self.projection.weight)
            nn.init.normal_(self.projection.bias, std=_SMALL / math.sqrt(text_dim))  # where there is no text at all

    def forward(self, x: Tensor, edge_index: Tensor, rowptr: Tensor) -> Tensor:
        """(M, F) inputs of all subgraphs, their edges, (B + 1,) where each begins, to (B, h) unit rows."""
        out: Tensor = self.projection(segment_reduce(self.encoder(x, edge_index), rowptr, reduce="mean"))
        if self.residual:
            out = out + nn.functional.normalize(segment_reduce(x, rowptr, reduce="mean"), dim=1).to(out.dtype)
        return nn.functional.normalize(out, dim=1)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What makes a subgraph harder in training.

    Attributes:
        drop_edge: rate at which edges are dropped.
        drop_feature: rate at which columns are set to zero.
        hide_center: share of subgraphs whose centre has no input of its own.
        steps: of the adversarial shift of the inputs.
        step_size: of each of them.
    """

    drop_edge: float
    drop_feature: float
    hide_center: float
    steps: int
    step_size: float


class TextGraphTask:
    """The training on one graph; a :class:`graphrep.train.Task`.

    Args:
        module: what is trained.
        data: the graph and its texts.
        sampler: draws the subgraphs.
        augmentation: of the subgraphs.
        batch_size: nodes that are told from each other in one step.
        device: of the computation.
        seed: of the subgraphs that :meth:`embed` looks at.
        fingerprint: settings of the method.
    """

    def __init__(
        self,
        module: TextGraphModule,
        data: TextGraph,
        sampler: WalkSampler,
        augmentation: Augmentation,
        *,
        batch_size: int,
        device: str,
        seed: int,
        fingerprint: str,
    ) -> None:
        self.module: nn.Module = module
        self._two, self.data, self.sampler, self.augmentation = module, data, sampler, augmentation
        self.batch_size, self.device, self.seed, self._fingerprint = batch_size, device, seed, fingerprint

    def batches(self, epoch: int, generator: torch.Generator) -> Iterable[Tensor]:
        """Disjoint batches of the nodes that have a text."""
        for places in node_batches(self.data.usable.numel(), self.batch_size, None, generator):
            yield self.data.usable[places]

    def loss(
        self, batch: Tensor, epoch: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The contrast of augmented subgraphs with their texts."""
        found, x = self._augmented(batch, generator)
        target, group = self.data.target[batch].to(self.device), self.data.group[batch].to(self.device)

        def value(inputs: Tensor) -> Tensor:
            z = self._two(inputs, found.edge_index, found.rowptr)
            return scaled_contrast(z, target.to(z.dtype), self._two.log_scale, groups=group)

        shift = self._worst(value, x, generator)
        loss = value(x if shift is None else x + shift)
        return loss, {"scale": self._two.log_scale.detach().exp()}

    def _augmented(self, nodes: Tensor, generator: torch.Generator) -> tuple[WalkSubgraphs, Tensor]:
        asked = self.augmentation
        found = self.sampler.sample(nodes, seed=int(torch.randint(_SEEDS, (), generator=generator)))
        x = _inputs(self.data.x, found.node)
        if asked.drop_edge > 0:
            found = found._replace(edge_index=drop_edges(found.edge_index, asked.drop_edge, generator, undirected=True))
        if asked.drop_feature > 0:
            x = mask_features(x, asked.drop_feature, generator)
        if asked.hide_center > 0:
            hidden = torch.rand(nodes.numel(), generator=generator) < asked.hide_center
            hidden &= found.rowptr[1:] - found.rowptr[:-1] > 1  # a node alone is all there is to see
            x = x.index_fill(0, found.center[hidden], 0.0)
        return _moved(found, self.device), x.to(self.device)

    def _worst(self, value: Any, x: Tensor, generator: torch.Generator) -> Tensor | None:
        """A shift of the inputs that makes the loss large: some signed gradient steps from a random start."""
        asked = self.augmentation
        if not asked.steps:
            return None
        shift = (2 * torch.rand(x.shape, generator=generator) - 1).to(x) * asked.step_size
        for _ in range(asked.steps):
            shift.requires_grad_(True)
            (gradient,) = torch.autograd.grad(value(x + shift), shift)
            shift = shift.detach() + asked.step_size * gradient.sign()
        return shift

    def embed(self) -> Tensor:
        """Vectors of at most 4096 nodes, without augmentation."""
        nodes = torch.arange(min(self.data.num_nodes, _SAMPLE))
        return embed_nodes(self._two, self.data.x, self.sampler, nodes, device=self.device, seed=self.seed)

    def fingerprint(self) -> str:
        """Settings of the method and a digest of edges and texts."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.data.graph.edge_index, self.data.target):
            digest.update(part.contiguous().cpu().numpy().tobytes())
        return f"{self._fingerprint}, {self.data.num_nodes} nodes, edges and texts {digest.hexdigest()}"


@torch.no_grad()
def embed_nodes(
    module: TextGraphModule, x: Tensor, sampler: WalkSampler, nodes: Tensor, *, device: str, seed: int,
    block_size: int = 1024,
) -> Tensor:  # fmt: skip
    """(n, h) unit vectors of nodes, some at a time."""
    parts = []
    for block in torch.split(nodes, block_size):
        # A walk's numbers depend on its place in the batch: one seed per block, and blocks of one size.
        found = _moved(sampler.sample(block, seed=seed + int(block[0])), device)
        parts.append(module(_inputs(x, found.node.cpu()).to(device), found.edge_index, found.rowptr).cpu())
    return torch.cat(parts) if parts else x.new_zeros(0, module.text_dim)


def _inputs(x: Tensor, nodes: Tensor) -> Tensor:
    rows = rows_of(x, nodes)
    return rows if rows.layout == torch.strided else rows.to_dense()


def _moved(found: WalkSubgraphs, device: str) -> WalkSubgraphs:
    return WalkSubgraphs(*(part.to(device) for part in found))
