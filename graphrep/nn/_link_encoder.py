"""The encoder of NCN: one linear layer and propagation without weights, or ordinary graph convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphrep.errors import GraphrepError, MissingFeaturesError, ShapeError
from graphrep.kernels import CSR, spmm
from graphrep.nn._adjacency import Edges, normalized
from graphrep.nn.encoder import feature_matrix
from graphrep.nn.gcn_conv import GCNConv

__all__ = ["LinkEncoder"]


class LinkEncoder(nn.Module):
    """Node vectors for link prediction; :class:`~graphrep.nn.NCN` describes the arguments.

    Shapes:
        x: (N, F) dense, torch sparse CSR or :class:`~graphrep.kernels.CSR`, None where the encoder has vectors of its
        own; adjacency: (2, E), or a CSR (N, N): with weights it is taken as normalised already. Returns (N, D).
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        num_layers: int,
        *,
        conv: str,
        jk: bool,
        jk_init: str,
        residual: bool,
        num_nodes: int | None,
        input_dropout: float,
        gnn_dropout: float,
        tail_dropout: float,
    ) -> None:
        super().__init__()
        self.in_channels, self.num_layers, self.residual = in_channels, num_layers, residual
        self.jk_init, self.num_nodes = jk_init, num_nodes
        self.rates = (input_dropout, gnn_dropout, tail_dropout)
        self.embedding = None if num_nodes is None else nn.Parameter(torch.empty(num_nodes, in_channels))
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        if conv == "puregcn":
            self.lin = nn.Linear(in_channels, hidden_channels)
        else:
            widths = [in_channels] + [hidden_channels] * (num_layers - 1)
            self.convs.extend(GCNConv(width, hidden_channels, normalize=False) for width in widths)
            self.norms.extend(nn.LayerNorm(hidden_channels) for _ in range(num_layers - 1))
        self.jk = nn.Parameter(torch.empty(num_layers)) if jk else None
        self._draw()

    @torch.no_grad()
    def _draw(self) -> None:
        if self.jk is not None:
            if self.jk_init == "normal":
                nn.init.normal_(self.jk)
            else:
                nn.init.constant_(self.jk, 1 / self.num_layers)
        if self.embedding is not None:
            nn.init.orthogonal_(self.embedding)

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        for part in (*self.children(), *self.convs, *self.norms):
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()
        self._draw()

    def forward(self, x: Any, adjacency: Edges) -> Tensor:
        """Node vectors; shapes are those of the class."""
        h = self._features(x)
        dtype = next(self.parameters()).dtype
        matrix = adjacency
        if not isinstance(adjacency, CSR) or adjacency.value is None:
            matrix = normalized(adjacency, None, h.shape[0], add_self_loops=True, dtype=dtype)
        assert isinstance(matrix, CSR)
        before, between, last = self.rates
        h = self._dropped(h, before)
        if len(self.convs) == 0:
            weight = self.lin.weight.t()
            h = spmm(h, weight) + self.lin.bias if isinstance(h, CSR) else self.lin(h)
            h = functional.dropout(h, between, self.training)
        levels = []
        for layer in range(self.num_layers):
            out = self._layer(layer, h, matrix)
            if layer + 1 == self.num_layers:
                out = functional.dropout(out, last, self.training)
            elif len(self.convs):
                out = functional.dropout(self.norms[layer](out), between, self.training).relu()
            h = out + h if self.residual and not isinstance(h, CSR) and out.shape == h.shape else out
            levels.append(h)
        if self.jk is None:
            return levels[-1]
        total = levels[0] * self.jk[0]
        for weight, level in zip(self.jk[1:], levels[1:], strict=True):
            total = total + level * weight
        return total

    def _layer(self, layer: int, h: Any, matrix: CSR) -> Tensor:
        if len(self.convs) == 0:
            out: Tensor = spmm(matrix, h)
            return out
        conv: Any = self.convs[layer]
        if isinstance(h, CSR):
            first: Tensor = spmm(matrix, spmm(h, conv.lin.weight.t())) + conv.bias
            return first
        found: Tensor = conv(h, matrix)
        return found

    def _features(self, x: Any) -> Any:
        if self.embedding is not None:
            if x is not None:
                raise GraphrepError("this encoder has vectors of its own for the nodes.", hint="x=None")
            return self.embedding
        if x is None:
            raise MissingFeaturesError("the encoder needs features.", hint="x (N, F), or NCN(..., num_nodes=N)")
        h = feature_matrix(x)
        if h.shape[1] != self.in_channels:
            raise ShapeError(
                f"x has {h.shape[1]} columns; this encoder takes {self.in_channels}.",
                hint="features of the data it was made for",
            )
        return h

    def _dropped(self, h: Any, rate: float) -> Any:
        """Of sparse features only the entries are dropped: the others are zero already."""
        if not isinstance(h, CSR):
            return functional.dropout(h, rate, self.training)
        if not self.training or not rate:
            return h
        value = torch.ones(h.nnz, device=h.device, dtype=next(self.parameters()).dtype) if h.value is None else h.value
        return h.with_value(functional.dropout(value, rate, True))
