"""MEOW's training step in dense form, as its program has it, from its definition (Yu and Li, SDM 2023)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import elu, layer_norm, normalize, one_hot, prelu

__all__ = ["DenseStep"]

RESTARTS = 5
ITERATIONS = 20


class DenseStep:
    """What the program keeps over the training: a dense matrix per meta-path, clean and masked, and their mean.

    Args:
        task: our task, whose graph, masks and features are taken.
        estimator: its settings.
        dtype: of everything.
    """

    def __init__(self, task: Any, estimator: Any, dtype: torch.dtype) -> None:
        inputs = task.source.inputs()
        self.clean, self.masked = ([_dense(csr, dtype) for csr in part] for part in (inputs.adjacency, inputs.masked))
        self.mean = torch.stack(self.clean).mean(0)
        encoder = task.module.encoder
        self.types, self.context_types, self.target = encoder.types, encoder.context_types, encoder.target
        self.contexts = [[_operator(c, dtype) for c in path] for path in inputs.contexts]
        self.x = {name: None if x is None else _sparse(x, dtype) for name, x in inputs.x.items()}
        self.masked_x = None if inputs.masked_x is None else _sparse(inputs.masked_x, dtype)
        self.sizes, self.weight = list(task.module.clusters.sizes), estimator.prototype_weight
        self.temperature, self.kind, self.dtype = estimator.temperature, estimator.density, dtype

    def parameters(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Copies of a state to train."""
        kept = {name: value for name, value in state.items() if not name.startswith("clusters.")}
        return {name: value.to(self.dtype, copy=True).requires_grad_() for name, value in kept.items()}

    def loss(self, p: dict[str, Tensor], labels: list[Tensor], centres: list[Tensor], *, own_clusters: bool) -> Tensor:
        """The loss with the given clusters; `own_clusters` looks for some first, as every step of the program does."""
        coarse, fine = (normalize(torch.tanh(z @ p["head.weight"].t() + p["head.bias"])) for z in self.views(p))
        if own_clusters:
            for t, k in enumerate(self.sizes):
                _kmeans(fine.detach(), k, t)
        logits = torch.exp(coarse @ fine.t() / self.temperature)
        together = torch.zeros_like(logits)
        for q, k in zip(labels, self.sizes, strict=True):
            member = one_hot(q, k).to(self.dtype)
            together = together + member @ member.t()
        own = (coarse * fine).sum(1) / self.temperature
        contrast = (torch.log(((len(labels) - together) * logits).sum(1)) - own).mean()
        prototypes = [
            self._prototypes(coarse, fine.detach(), q, c.to(self.dtype)) for q, c in zip(labels, centres, strict=True)
        ]
        return contrast + self.weight * torch.stack(prototypes).mean()

    def _prototypes(self, coarse: Tensor, fine: Tensor, q: Tensor, centre: Tensor) -> Tensor:
        k, count = len(centre), torch.bincount(q, minlength=len(centre)).to(self.dtype)
        own = (fine * centre[q]).sum(1).clamp(min=0).sqrt()
        if self.kind == "l2":
            own = (fine - centre[q]).norm(dim=1)
        spread = torch.zeros(k, dtype=self.dtype).index_add_(0, q, own) / count.clamp(min=1) / torch.log(count + 5)
        spread[count <= 1] = spread[count > 1].max()
        low, high = torch.quantile(spread, torch.tensor([0.1, 0.9], dtype=self.dtype))
        spread = spread.clamp(low, high)
        spread = self.temperature * spread / spread.mean()
        logits = torch.exp(coarse @ normalize(centre).t() / spread)
        mine = logits[torch.arange(len(q)), q]
        return -torch.log(mine / (len(q) / k * logits.sum(1))).mean()

    def views(self, p: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Coarse and fine view."""
        hidden = {name: self._linear(p, i, self.x[name]) for i, name in enumerate(self.types)}
        h, m = hidden[self.target], self._linear(p, 0, self.masked_x)
        clean, masked = [], []
        for i, types in enumerate(self.context_types):
            mixed = torch.zeros_like(h)
            for c, name in enumerate(types):
                mixed = mixed + self.contexts[i][c] @ hidden[name] @ p[f"encoder.contexts.{i}.{c}.weight"].t()
            clean.append(normalize(self._conv(p, elu(h + mixed), self.clean[i])))
            masked.append(normalize(self._conv(p, elu(m + mixed), self.masked[i])))
        views = [*clean, *masked]
        lin = p["encoder.attention.lin.weight"].t(), p["encoder.attention.lin.bias"]
        share = torch.stack(
            [(torch.tanh(z @ lin[0] + lin[1]).mean(0) * p["encoder.attention.query"][0]).sum() for z in views]
        )
        fine = sum((b * z for b, z in zip(share.softmax(0), views, strict=True)), torch.zeros_like(h))
        return self._conv(p, h, self.mean), fine

    def _linear(self, p: dict[str, Tensor], i: int, x: Tensor | None) -> Tensor:
        weight = p[f"encoder.inputs.{i}.weight"]
        return elu((weight if x is None else torch.sparse.mm(x, weight)) + p[f"encoder.inputs.{i}.bias"])

    def _conv(self, p: dict[str, Tensor], x: Tensor, adjacency: Tensor) -> Tensor:
        inner = prelu(adjacency @ (x @ p["encoder.conv.weight1"]), p["encoder.conv.slope.weight"])
        out = adjacency @ (inner @ p["encoder.conv.weight2"])
        return layer_norm(out, out.shape)


def _dense(csr: Any, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(csr.to_scipy().toarray()).to(dtype)


def _sparse(x: Any, dtype: torch.dtype) -> Tensor:
    if isinstance(x, Tensor):
        return x.to(dtype).to_sparse_coo()
    index = torch.stack([x.row().long(), x.col.long()])
    return torch.sparse_coo_tensor(index, x.value.to(dtype), x.shape, check_invariants=False)


def _operator(context: Any, dtype: torch.dtype) -> Tensor:
    """A context as a sparse matrix of row means, read off it a block of columns at a time."""
    columns, parts = context.shape[1], []
    for start in range(0, columns, 512):
        stop = min(start + 512, columns)
        block = torch.zeros(columns, stop - start, dtype=dtype)
        block[torch.arange(start, stop), torch.arange(stop - start)] = 1
        found = context(block).to_sparse_coo().coalesce()
        parts.append((found.indices() + torch.tensor([[0], [start]]), found.values()))
    index = torch.cat([part[0] for part in parts], dim=1)
    value = torch.cat([part[1] for part in parts])
    return torch.sparse_coo_tensor(index, value, (context.shape[0], columns)).coalesce()


def _kmeans(rows: Tensor, k: int, seed: int) -> Tensor:
    """Labels of the best of five starts of twenty steps."""
    generator = torch.Generator().manual_seed(seed)
    best, most = torch.zeros(len(rows), dtype=torch.int64), -torch.inf
    for _ in range(RESTARTS):
        centres = rows[torch.randperm(len(rows), generator=generator)[:k]]
        for _ in range(ITERATIONS):
            near, labels = (rows @ centres.t() - centres.square().sum(1) / 2).max(1)
            sums = torch.zeros_like(centres).index_add_(0, labels, rows)
            centres = sums / torch.bincount(labels, minlength=k).clamp(min=1).unsqueeze(1)
        if float(near.sum()) > most:
            best, most = labels, float(near.sum())
    return best
