"""The predictor of NCN and NCNC: small networks around the sum over common neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from graphrep.kernels import CSR, common_neighbor_pool, common_neighbors, spmm
from graphrep.nn._completion import OneSided, link_probability, one_sided_neighbors, unique_pairs

__all__ = ["LinkPredictor"]

_FEW = 2  # X' is made of the pooled nodes alone where those are at most one in so many


class _NodeMLP(nn.Module):
    """``lin1, dropout, relu, lin2, norm, dropout, relu[, out]``."""

    def __init__(self, width: int, dropout: float, *, out: bool = False) -> None:
        super().__init__()
        self.lin1, self.lin2, self.norm = nn.Linear(width, width), nn.Linear(width, width), nn.LayerNorm(width)
        self.out = nn.Linear(width, width) if out else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(self.norm(self.lin2(self.dropout(self.lin1(x)).relu()))).relu()
        return x if self.out is None else self.out(x)


class _PairMLP(nn.Module):
    """``lin1, norm, dropout, relu[, out]``."""

    def __init__(self, width: int, dropout: float, *, out: bool) -> None:
        super().__init__()
        self.lin1, self.norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.out = nn.Linear(width, width) if out else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(self.norm(self.lin1(x))).relu()
        return x if self.out is None else self.out(x)


class _Head(nn.Module):
    """``lin1, norm1, dropout, relu[, lin2, norm2, dropout, relu], out`` to one number."""

    def __init__(self, width: int, dropout: float, *, two_layers: bool) -> None:
        super().__init__()
        self.lin1, self.norm1 = nn.Linear(width, width), nn.LayerNorm(width)
        self.lin2 = nn.Linear(width, width) if two_layers else None
        self.norm2 = nn.LayerNorm(width) if two_layers else None
        self.out = nn.Linear(width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(self.norm1(self.lin1(x))).relu()
        if self.lin2 is not None and self.norm2 is not None:
            x = self.dropout(self.norm2(self.lin2(x))).relu()
        found: Tensor = self.out(x)
        return found[:, 0]


class LinkPredictor(nn.Module):
    """Logits of pairs from node vectors; :class:`~graphrep.nn.NCN` describes the arguments and the equations."""

    def __init__(
        self,
        width: int,
        *,
        use_xlin: bool,
        tail_act: bool,
        two_layer_head: bool,
        dropout: float,
        common_neighbors: bool,
        calibration: tuple[float, float, float, float],
        inner_features: str,
        inner_dropout: bool,
        exclude_endpoints: bool,
        max_completion: int | None,
        chunk_size: int,
    ) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.ones(1))
        self.node_mlp = _NodeMLP(width, dropout) if use_xlin else None
        self.neighbor_mlp = _NodeMLP(width, dropout, out=not tail_act)
        self.pair_mlp = _PairMLP(width, dropout, out=not tail_act)
        self.head = _Head(width, dropout, two_layers=two_layer_head)
        self.common_neighbors, self.calibration = common_neighbors, calibration
        self.inner_features, self.inner_dropout = inner_features, inner_dropout
        self.exclude_endpoints, self.max_completion, self.chunk_size = exclude_endpoints, max_completion, chunk_size

    def forward(self, h: Tensor, csr: CSR, pairs: Tensor, depth: int) -> Tensor:
        """(P,) logits; `depth` 0 is NCN, more completes the neighbours that often."""
        return self._logits(h, csr, pairs, depth, None)

    def weights(self, h: Tensor, csr: CSR, pairs: Tensor, depth: int) -> tuple[Tensor, Tensor, Tensor]:
        """(pair, node, weight) of every node that is pooled; common neighbours have weight 1."""
        pair, node, alone = self._sets(csr, pairs, depth)
        weight = torch.ones(pair.numel(), dtype=h.dtype, device=h.device)
        if alone is not None:
            inner = self._spread(h) if self._transforms else h
            pair, node = torch.cat([pair, alone.pair]), torch.cat([node, alone.node])
            weight = torch.cat([weight, self._probability(inner, csr, alone, depth).to(h.dtype)])
        order = torch.argsort(pair * max(csr.num_cols, 1) + node, stable=True)
        return pair[order], node[order], weight[order]

    @property
    def _transforms(self) -> bool:
        return self.inner_features == "transformed"

    def _logits(self, h: Tensor, csr: CSR, pairs: Tensor, depth: int, spread: Tensor | None) -> Tensor:
        """`spread`: X' of all nodes where it is known already."""
        ends = h.index_select(0, pairs[0]) * h.index_select(0, pairs[1])
        found: Tensor = self.pair_mlp(ends)
        if self.common_neighbors:
            found = self.beta * self._evidence(self._pooled(h, csr, pairs, depth, spread)) + found
        logit: Tensor = self.head(found)
        return logit

    def _evidence(self, pooled: Tensor) -> Tensor:
        """f_c of each row; in inference the rows of pairs without neighbours, most of them, are computed once."""
        if self.training or torch.is_grad_enabled():
            whole: Tensor = self.neighbor_mlp(pooled)
            return whole
        some = (pooled != 0).any(1)
        rows = torch.cat([pooled[some], pooled.new_zeros(1, pooled.shape[1])])
        place = torch.where(some, some.cumsum(0) - 1, len(rows) - 1)
        found: Tensor = self.neighbor_mlp(rows)[place]
        return found

    def _pooled(self, h: Tensor, csr: CSR, pairs: Tensor, depth: int, spread: Tensor | None) -> Tensor:
        """(P, D) sums of X' over common neighbours and, weighted, over those of one end alone."""
        if depth and self._transforms and spread is None:
            spread = self._spread(h)
        if not depth and (spread is not None or self.node_mlp is None):
            return common_neighbor_pool(csr, pairs, h if spread is None else spread)
        pair, node, alone = self._sets(csr, pairs, depth)
        weight: Tensor | None = None
        if alone is not None:
            inner = h if spread is None or not self._transforms else spread
            weight = self._probability(inner, csr, alone, depth).to(h.dtype)
        if spread is None:
            touched, place = torch.unique(node if alone is None else torch.cat([node, alone.node]), return_inverse=True)
            if _FEW * touched.numel() <= len(h) and self.node_mlp is not None:
                weights = torch.ones(node.numel(), dtype=h.dtype, device=h.device)
                if alone is not None and weight is not None:
                    pair, weights = torch.cat([pair, alone.pair]), torch.cat([weights, weight])
                rows = self._spread(h.index_select(0, touched))
                return _weighted_sum(pair, place, weights, pairs.shape[1], rows)
            spread = self._spread(h)
        pooled = common_neighbor_pool(csr, pairs, spread)
        if alone is None or weight is None:
            return pooled
        return pooled + _weighted_sum(alone.pair, alone.node, weight, pairs.shape[1], spread)

    def _sets(self, csr: CSR, pairs: Tensor, depth: int) -> tuple[Tensor, Tensor, OneSided | None]:
        if not self.common_neighbors:
            none = pairs.new_empty(0)
            return none, none, None
        if not depth:
            return *common_neighbors(csr, pairs), None
        seed = 0
        if self.max_completion is not None and self.training:  # the draw of a step, from the generator of dropout
            seed = int(torch.randint(1 << 60, ()))
        return one_sided_neighbors(
            csr, pairs, exclude_endpoints=self.exclude_endpoints, limit=self.max_completion, seed=seed
        )

    @torch.no_grad()
    def _probability(self, h: Tensor, csr: CSR, alone: OneSided, depth: int) -> Tensor:
        """(n,) weights of one-sided neighbours: the probability of the missing link, of each pair computed once."""
        inner, place = unique_pairs(alone.node, alone.other, csr.num_cols)
        with _mode(self, self.training and self.inner_dropout):
            few = not self._transforms and _FEW * inner.shape[1] <= len(h)
            spread = None if few else self._spread(h)
            chunks = [
                self._logits(h, csr, part, depth - 1, spread) for part in torch.split(inner, self.chunk_size, dim=1)
            ]
        logit = torch.cat(chunks) if chunks else h.new_empty(0)
        found = link_probability(logit, *self.calibration)[place]
        return found if alone.factor is None else found * alone.factor

    def _spread(self, h: Tensor) -> Tensor:
        """X' = H + f_x(H)."""
        return h if self.node_mlp is None else h + self.node_mlp(h)


def _weighted_sum(pair: Tensor, node: Tensor, weight: Tensor, num_pairs: int, rows: Tensor) -> Tensor:
    matrix = CSR.from_edge_index(torch.stack([node, pair]), weight, size=(len(rows), num_pairs))
    out: Tensor = spmm(matrix, rows)
    return out


@contextmanager
def _mode(module: nn.Module, training: bool) -> Iterator[None]:
    """The module with or without dropout, and as it was afterwards."""
    before = module.training
    module.train(training)
    try:
        yield
    finally:
        module.train(before)
