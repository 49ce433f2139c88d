"""Methods that make random views of a graph agree: encoder, projection head, and one step of their training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.methods._contrast import Contrast
from graphrep.methods._pot import Compactness
from graphrep.methods._views import Batch, Rates, Source, View, node_batches, sampled
from graphrep.nn.encoder import GCNEncoder

__all__ = ["ProjectionHead", "TwoViewModule", "TwoViewTask"]


class ProjectionHead(nn.Module):
    """``fc2(elu(fc1(z)))``, used for the loss alone."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, width), nn.Linear(width, dim)

    def forward(self, z: Tensor) -> Tensor:
        """(N, dim) to (N, dim)."""
        out: Tensor = self.fc2(nn.functional.elu(self.fc1(z)))
        return out


class TwoViewModule(nn.Module):
    """Encoder, head and the state of the loss.

    Args:
        encoder: called as encoder(x, adjacency).
        head: called on its output.
        contrast: a loss with state of its own (individual temperatures), or None.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, contrast: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        if contrast is not None and next(iter(contrast.state_dict()), None) is not None:
            self.contrast = contrast

    def forward(self, x: Any, adjacency: Any) -> Tensor:
        """(N, d) embedding, without the head."""
        out: Tensor = self.encoder(x, adjacency)
        return out


class TwoViewTask:
    """The training of a two-view method on one graph; a :class:`graphrep.train.Task`.

    Args:
        module: what is trained.
        source: the graph.
        rates: of dropping and masking.
        contrast: loss of the projected views.
        compactness: the regulariser of POT, and its weight; None without.
        batch_size: nodes that one step compares; None: all.
        num_neighbors: fan-out per layer: only a sample of the graph is encoded for a batch; None: all of it.
        steps_per_epoch: batches per epoch at most; None: so that each node occurs once.
        between: applied to each view's embedding before the head (COSTA's sketch), with the seed of the step.
        fingerprint: settings of the method.
    """

    def __init__(
        self,
        module: TwoViewModule,
        source: Source,
        rates: Rates,
        contrast: Contrast,
        *,
        compactness: tuple[Compactness, float] | None = None,
        batch_size: int | None = None,
        num_neighbors: list[int] | None = None,
        steps_per_epoch: int | None = None,
        between: Callable[[Tensor, int], Tensor] | None = None,
        fingerprint: str = "",
    ) -> None:
        self.module: nn.Module = module
        self._two = module
        self.source, self.rates, self.contrast, self.compactness = source, rates, contrast, compactness
        self.batch_size, self.num_neighbors, self.steps = batch_size, num_neighbors, steps_per_epoch
        self.between, self._fingerprint = between, fingerprint

    def batches(self, epoch: int, generator: torch.Generator) -> Iterable[Batch]:
        """All nodes at once, or random disjoint batches."""
        if self.batch_size is None or self.batch_size >= self.source.num_nodes:
            yield Batch(self.source)
            return
        for nodes in node_batches(self.source.num_nodes, self.batch_size, self.steps, generator):
            if self.num_neighbors is None:
                yield Batch(self.source, nodes, nodes)
            else:
                seed = int(torch.randint(1 << 62, (), generator=generator))
                yield sampled(self.source, nodes, self.num_neighbors, self.rates, seed)

    def loss(self, batch: Batch, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Contrast of the views, plus POT's share."""
        rates = batch.rates or self.rates
        views = [batch.source.draw(rates.of(k), generator) for k in range(self.contrast.num_views)]
        z = [self._two.encoder(view.x, view.adjacency) for view in views]
        value = self.contrast(self._projected(z, batch, generator), batch.nodes, epoch, generator)
        if self.compactness is None:
            return value, {}
        regulariser, share = self.compactness
        penalty = self._penalty(regulariser, views, z, generator)
        parts = {"contrast": value.detach(), "pot": penalty.detach()}
        return (1 - share) * value + share * penalty, parts

    def _projected(self, z: list[Tensor], batch: Batch, generator: torch.Generator) -> list[Tensor]:
        if batch.rows is not None:
            z = [view[batch.rows] for view in z]
        if self.between is not None:
            seed = int(torch.randint(1 << 62, (), generator=generator))
            z = list(torch.chunk(self.between(torch.cat(z, dim=1), seed), len(z), dim=1))
        return [self._two.head(view) for view in z]

    def _penalty(
        self, regulariser: Compactness, views: list[View], z: list[Tensor], generator: torch.Generator
    ) -> Tensor:
        encoder = self._two.encoder
        assert isinstance(encoder, GCNEncoder)
        return regulariser.loss(encoder, views, z, generator)

    def embed(self) -> Tensor:
        """(N, d) on the whole graph."""
        view = self.source.whole()
        out: Tensor = self._two(view.x, view.adjacency)
        return out

    def fingerprint(self) -> str:
        """Settings of the method and a digest of the edges."""
        digest = hashlib.blake2b(self.source.edge_index.cpu().numpy().tobytes(), digest_size=8).hexdigest()
        return f"{self._fingerprint}, {self.source.num_nodes} nodes, edges {digest}"
