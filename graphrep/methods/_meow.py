"""What MEOW and AdaMEOW train: encoder, projection, clusters that follow the embedding, and one step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from graphrep.eval._kmeans import lloyd_steps
from graphrep.methods._metapath_source import MetaPathSource
from graphrep.nn.metapath_encoder import MetaPathEncoder, MetaPathInputs, MetaPathViews

__all__ = ["Clusters", "MetaPathModule", "MetaPathTask", "ViewLoss"]

STEPS = 20  # of k-means from rows
WARM_STEPS = 3  # from the centres of the search before

ViewLoss = Callable[[Tensor, Tensor, int], tuple[Tensor, Mapping[str, Tensor | float]]]
"""Projected coarse and fine views, and the epoch; the loss and its parts."""


class Clusters(nn.Module):
    """K-means of several sizes in every epoch; what it goes on from are buffers, for resuming.

    Args:
        sizes: K_t, one clustering each.
        dim: width of the rows.
        every: epochs between two searches; in between the centres stay and the rows are assigned anew.
        warm: go on from the centres of the search before, few steps, in place of starting from rows. Clusters then
            confirm themselves: the weights hold back the very pairs that they were made from.
        seed: of the rows to start from, which are the same in every epoch.
    """

    def __init__(self, sizes: Sequence[int], dim: int, *, every: int = 1, warm: bool = False, seed: int = 0) -> None:
        super().__init__()
        self.sizes, self.every, self.warm, self.seed = [int(k) for k in sizes], every, warm, seed
        self.started: Tensor
        self.register_buffer("started", torch.zeros((), dtype=torch.int64))
        for t, k in enumerate(self.sizes):
            self.register_buffer(f"centres{t}", torch.zeros(k, dim))

    @torch.no_grad()
    def forward(self, rows: Tensor, epoch: int) -> tuple[list[Tensor], list[Tensor]]:
        """(N,) clusters and (K_t, d) means of each clustering of rows (N, d); `epoch` counts from 1."""
        rows, first = rows.detach(), not bool(self.started)
        found, means = [], []
        for t, k in enumerate(self.sizes):
            centres: Tensor = getattr(self, f"centres{t}")
            steps = 1
            if first or (epoch - 1) % self.every == 0:
                fresh = first or not self.warm
                steps = STEPS if fresh else WARM_STEPS
                if fresh:
                    generator = torch.Generator().manual_seed(self.seed + t)
                    centres.copy_(rows[torch.randperm(len(rows), generator=generator)[:k].to(rows.device)])
            labels, moved = lloyd_steps(rows, centres, steps)
            centres.copy_(moved if steps > 1 else centres)
            found.append(labels)
            means.append(moved)
        self.started.fill_(1)
        return found, means


class MetaPathModule(nn.Module):
    """Encoder and the projection that is used for the loss alone, ``normalise(tanh(W x + b))``.

    Args:
        encoder: of both views.
        views: ``"both"``, or ``"coarse"``: the coarse view is contrasted with that of masked features and edges.
    """

    def __init__(self, encoder: MetaPathEncoder, *, views: str = "both") -> None:
        super().__init__()
        self.encoder, self.views = encoder, views
        self.head = nn.Linear(encoder.dim, encoder.dim)

    def forward(self, inputs: MetaPathInputs) -> Tensor:
        """(N, d) embedding: the fine view, or the coarse one where there is no other."""
        if self.views == "both":
            fine: Tensor = self.encoder(inputs).fine
            return fine
        return self.encoder.coarse(self.encoder.hidden(inputs.x)[self.encoder.target], inputs)

    def contrasted(self, inputs: MetaPathInputs, masked_mean: Any) -> MetaPathViews:
        """What the loss compares: (N, d) twice; `masked_mean` is needed for coarse views alone."""
        if self.views == "both":
            views: MetaPathViews = self.encoder(inputs)
            return views
        encoder = self.encoder
        h, m = encoder.hidden(inputs.x)[encoder.target], encoder.inputs[0](inputs.masked_x)
        other = encoder.coarse(m, inputs._replace(mean=masked_mean))
        return MetaPathViews(encoder.coarse(h, inputs), other, h.new_zeros(0))

    def project(self, z: Tensor) -> Tensor:
        """(N, d) unit rows."""
        return normalize(torch.tanh(self.head(z)), dim=1)


class MetaPathTask:
    """Full-batch training of both views; a :class:`graphrep.train.Task`.

    Args:
        module: what is trained; parts that the loss owns hang on it too.
        source: the graph.
        loss: of the projected views.
        resample: new masks in every epoch instead of one drawing before the training.
        batch_size: nodes that a step contrasts; None: all.
        fingerprint: settings of the method.
    """

    def __init__(
        self,
        module: MetaPathModule,
        source: MetaPathSource,
        loss: ViewLoss,
        *,
        resample: bool,
        batch_size: int | None = None,
        fingerprint: str,
    ) -> None:
        self.module: nn.Module = module
        self._model = module
        self.source, self._loss, self.resample, self._fingerprint = source, loss, resample, fingerprint
        self.batch_size = batch_size
        self.last: Tensor | None = None  # the embedding of the last training pass, as the published program takes it

    def batches(self, epoch: int, generator: torch.Generator) -> Iterable[None]:
        """One step: the whole graph is encoded for it."""
        return [None]

    def loss(self, batch: Any, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The contrast of both views."""
        inputs = self.source.inputs()
        if self.resample:
            inputs = self.source.masked(inputs, int(torch.randint(1 << 62, (), generator=generator)))
        mean = self.source.mean(inputs.masked) if self._model.views == "coarse" else None
        views = self._model.contrasted(inputs, mean)
        self.last = (views.fine if self._model.views == "both" else views.coarse).detach()
        pair = [views.coarse, views.fine]
        if self.batch_size is not None and self.batch_size < len(views.fine):
            drawn = torch.randperm(len(views.fine), generator=generator)[: self.batch_size].to(views.fine.device)
            pair = [view[drawn] for view in pair]
        coarse, fine = (self._model.project(view) for view in pair)
        if not bool(torch.isfinite(fine.detach().sum() + coarse.detach().sum())):
            return coarse.sum() + fine.sum(), {}  # NaN, for the loop to report: nothing can be clustered
        return self._loss(coarse, fine, epoch)

    def embed(self) -> Tensor:
        """(N, d) of a pass without dropping."""
        out: Tensor = self.module(self.source.inputs())
        return out

    def fingerprint(self) -> str:
        """Settings of the method and a digest of the graph."""
        return f"{self._fingerprint}, {self.source.digest()}"
