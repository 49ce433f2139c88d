"""NCN's training step written down from its definition: what the family `ncn` measures ours against.

It does what the published program does: the graph without the links of the batch is built anew in every step, sorted
and symmetrised; features are dense; X' is made of all nodes; the neighbour sets of all pairs are listed by looking the
keys of one end up among those of the other, and summed by a sparse product. The small networks are torch modules of
ours with the same weights: they cost the same in both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["PlainNCN"]


class PlainNCN:
    """The loss of a batch of links.

    Args:
        module: a :class:`graphrep.nn.NCN` without completion and with ``conv="puregcn"``, whose weights are used.
        x: (N, F) dense features.
        links: (2, M), each link once.
        neighbor_dropout: share of the entries that are out of the neighbour sets in a step.
    """

    def __init__(self, module: Any, x: Tensor, links: Tensor, neighbor_dropout: float) -> None:
        self.module, self.x, self.links, self.neighbor_dropout = module, x, links, neighbor_dropout

    def loss(self, batch: Tensor, negatives: Tensor) -> Tensor:
        """Of links `batch` (B,), taken out of the graph, and pairs (2, B) that are none."""
        module, size = self.module, len(self.x)
        stays = torch.ones(self.links.shape[1], dtype=torch.bool)
        stays[batch] = False
        graph = _symmetric(self.links[:, stays], size)
        h = self._encode(graph)
        neighbors = graph
        if self.neighbor_dropout and module.training:
            entries = graph.indices()
            neighbors = _matrix(entries[:, torch.rand(entries.shape[1]) >= self.neighbor_dropout], size)
        pos = self._logits(h, neighbors, self.links[:, batch])
        neg = self._logits(h, neighbors, negatives)
        return -functional.logsigmoid(pos).mean() - functional.logsigmoid(-neg).mean()

    def _encode(self, graph: Tensor) -> Tensor:
        encoder = self.module.encoder
        before, between, last = encoder.rates
        training = self.module.training
        h = functional.dropout(self.x.to(encoder.lin.weight.dtype), before, training)
        h = functional.dropout(encoder.lin(h), between, training)
        matrix = graph.to(h.dtype)
        scale = (torch.sparse.sum(matrix, dim=1).to_dense() + 1).rsqrt()[:, None]
        total = 0
        for layer in range(encoder.num_layers):
            scaled = h * scale
            h = scale * (matrix @ scaled + scaled)
            if layer + 1 == encoder.num_layers:
                h = functional.dropout(h, last, training)
            total = total + h * encoder.jk[layer]
        return total  # type: ignore[return-value]

    def _logits(self, h: Tensor, graph: Tensor, pairs: Tensor) -> Tensor:
        predictor = self.module.predictor
        spread = h + predictor.node_mlp(h)
        pair, node = _common(graph, pairs)
        ones = torch.ones(pair.numel(), dtype=h.dtype)
        sums = torch.sparse_coo_tensor(torch.stack([pair, node]), ones, (pairs.shape[1], len(h))) @ spread
        found = predictor.beta * predictor.neighbor_mlp(sums) + predictor.pair_mlp(h[pairs[0]] * h[pairs[1]])
        logits: Tensor = predictor.head(found)
        return logits


def _matrix(entries: Tensor, size: int) -> Tensor:
    ones = torch.ones(entries.shape[1])
    return torch.sparse_coo_tensor(entries, ones, (size, size)).coalesce()


def _symmetric(links: Tensor, size: int) -> Tensor:
    return _matrix(torch.cat([links, links.flip(0)], dim=1), size)


def _common(graph: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """(pair, node) of every common neighbour, by (pair, node) keys of both ends."""
    row, col = graph.indices()
    size = graph.shape[0]
    rowptr = torch.searchsorted(row.contiguous(), torch.arange(size + 1))
    keys = []
    for end in pairs:
        low = rowptr[end]
        degree = rowptr[end + 1] - low
        pair = torch.repeat_interleave(torch.arange(end.numel()), degree)
        place = torch.arange(pair.numel()) - (degree.cumsum(0) - degree)[pair] + low[pair]
        keys.append(pair * size + col[place])
    first, second = keys
    if not second.numel():
        return first[:0], first[:0]
    place = torch.searchsorted(second, first).clamp(max=second.numel() - 1)
    key = first[second[place] == first]
    return key // size, key % size
