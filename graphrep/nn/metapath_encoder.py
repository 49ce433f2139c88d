"""Encoder of one node type along meta-paths: a coarse view of who is connected, a fine one of what connects them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, spmm
from graphrep.nn.encoder import feature_matrix

__all__ = ["MetaPathConv", "MetaPathEncoder", "MetaPathInputs", "MetaPathViews", "SemanticAttention", "TypeLinear"]

GAIN = 1.414  # of Xavier's normal start, as in HeCo


class MetaPathInputs(NamedTuple):
    """What the encoder reads.

    Attributes:
        x: features (N_t, F_t) by node type: dense, sparse CSR, or None for a type whose nodes have their own vectors.
        masked_x: those of the target type with some entries set to 0; for a target without features (N,) bool, False
            where a node's own vector is hidden.
        adjacency: P matrices (N, N) with weights, one per meta-path.
        masked: P of them with edges left out.
        mean: (N, N), the mean of `adjacency`.
        contexts: per meta-path, functions from (N_t, d) to (N, d): means over what lies on the way.
    """

    x: Mapping[str, Any]
    masked_x: Any
    adjacency: Sequence[CSR]
    masked: Sequence[CSR]
    mean: CSR
    contexts: Sequence[Sequence[Callable[[Tensor], Tensor]]]


class MetaPathViews(NamedTuple):
    """Both views, (N, d) each, and how much each of the 2 P matrices (clean ones first) counts in the fine one."""

    coarse: Tensor
    fine: Tensor
    attention: Tensor


class TypeLinear(nn.Module):
    """``elu(dropout(W x + b))`` of one node type; nodes without features have a row of W each.

    Args:
        in_channels: F, or None: no features.
        num_nodes: N, needed without features.
        out_channels: d.
        dropout: share of the entries that are dropped in training.

    Shapes:
        x: (N, F) dense or sparse; without features None, or (N,) bool, False where the node's row counts as 0. Returns
        (N, d).
    """

    def __init__(self, in_channels: int | None, num_nodes: int, out_channels: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.in_channels, self.num_nodes, self.out_channels = in_channels, num_nodes, out_channels
        rows = num_nodes if in_channels is None else in_channels
        self.weight = nn.Parameter(torch.empty(rows, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.dropout = dropout
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all weights anew, as :class:`torch.nn.Linear` does."""
        bound = 1 / math.sqrt(max(1, self.weight.shape[0]))
        for part in (self.weight, self.bias):
            nn.init.uniform_(part, -bound, bound)

    def forward(self, x: Any) -> Tensor:
        """See the class."""
        if self.in_channels is None:
            product: Tensor = self.weight if x is None else self.weight * x.unsqueeze(1).to(self.weight.dtype)
        else:
            rows = feature_matrix(x)
            if rows.shape[1] != self.in_channels:
                raise ShapeError(
                    f"x has {rows.shape[1]} columns; this layer takes {self.in_channels}.",
                    hint="features of the data it was made for",
                )
            product = spmm(rows, self.weight) if isinstance(rows, CSR) else rows @ self.weight
        return functional.elu(functional.dropout(product + self.bias, self.dropout, self.training))

    def extra_repr(self) -> str:
        """The widths."""
        rows = f"{self.num_nodes} nodes" if self.in_channels is None else str(self.in_channels)
        return f"{rows} -> {self.out_channels}, dropout={self.dropout}"


class MetaPathConv(nn.Module):
    """``norm(A drop(prelu(A drop(x V1)) V2))``, one pair of weights for every matrix.

    Args:
        channels: d.
        dropout: share of the entries that are dropped in training.
        norm: ``"global"``: one mean and one variance over all N d entries, as published, which couples all nodes;
            ``"node"``: those of each row; ``"none"``.

    Shapes:
        x: (N, d); adjacency: CSR (N, N) with weights, rows are destinations. Returns (N, d).

    Raises:
        UnknownNameError: another `norm`.
    """

    def __init__(self, channels: int, *, dropout: float = 0.0, norm: str = "global") -> None:
        super().__init__()
        if norm not in ("global", "node", "none"):
            raise UnknownNameError(f'norm is "{norm}".', hint='"global", "node" or "none"')
        self.weight1 = nn.Parameter(torch.empty(channels, channels))
        self.weight2 = nn.Parameter(torch.empty(channels, channels))
        self.slope = nn.PReLU()
        self.dropout, self.norm = dropout, norm
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all weights anew, between -1 / sqrt(d) and 1 / sqrt(d)."""
        bound = 1 / math.sqrt(self.weight1.shape[0])
        for weight in (self.weight1, self.weight2):
            nn.init.uniform_(weight, -bound, bound)
        nn.init.constant_(self.slope.weight, 0.25)

    def forward(self, x: Tensor, adjacency: CSR) -> Tensor:
        """See the class."""
        inner = self.slope(spmm(adjacency, self._dropped(x @ self.weight1)))
        out: Tensor = spmm(adjacency, self._dropped(inner @ self.weight2))
        if self.norm == "none":
            return out
        shape = out.shape if self.norm == "global" else out.shape[1:]
        return functional.layer_norm(out, shape, eps=1e-5)

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class SemanticAttention(nn.Module):
    """``z = sum_v b_v z_v`` with b the softmax over views of ``a . mean_n tanh(W z_v[n] + bias)``.

    Args:
        channels: d.
        dropout: share of a that is dropped in training.

    Shapes:
        views: a list of (N, d). Returns (N, d), and (V,) the shares.

    Source: Wang et al., "Heterogeneous Graph Attention Network", WWW 2019.
    """

    def __init__(self, channels: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.lin = nn.Linear(channels, channels)
        self.query = nn.Parameter(torch.empty(1, channels))
        self.dropout = dropout
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        nn.init.xavier_normal_(self.lin.weight, gain=GAIN)
        nn.init.zeros_(self.lin.bias)
        nn.init.xavier_normal_(self.query, gain=GAIN)

    def forward(self, views: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """See the class."""
        query = functional.dropout(self.query[0], self.dropout, self.training)
        share = torch.stack([torch.tanh(self.lin(view)).mean(0) @ query for view in views]).softmax(0)
        out = sum((b * view for b, view in zip(share, views, strict=True)), torch.zeros_like(views[0]))
        return out, share


class MetaPathEncoder(nn.Module):
    """Coarse and fine view of the nodes of one type.

    With f_t = elu(dropout(W_t x_t + b_t)), h the target's and m the target's from masked features, G a shared
    :class:`MetaPathConv`:

    - coarse: ``G(h, mean of the adjacencies)``.
    - fine: per meta-path i, ``h_i = elu(h + sum_c dropout(W_ic mean_c(f)))`` over the contexts c of i, and m_i the same
      from m; the rows of ``G(h_i, adjacency_i)`` and ``G(m_i, masked_i)`` scaled to unit length, put together by
      :class:`SemanticAttention`.

    Args:
        channels: F_t by node type, None for types without features; target and every type that a context ends in.
        num_nodes: N_t by node type.
        target: the type that is embedded.
        context_types: per meta-path, the node types that its contexts end in.
        dim: d.
        dropout: of all parts.
        norm: of the convolution.

    Shapes:
        inputs: :class:`MetaPathInputs`. Returns :class:`MetaPathViews`.

    Raises:
        GraphrepError: no meta-path.
        ShapeError: features of another width.

    Source: Yu and Li, "Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Weighted Negative Samples",
    SDM 2023, arXiv:2212.13847.
    """

    def __init__(
        self,
        channels: Mapping[str, int | None],
        num_nodes: Mapping[str, int],
        target: str,
        context_types: Sequence[Sequence[str]],
        dim: int = 64,
        *,
        dropout: float = 0.0,
        norm: str = "global",
    ) -> None:
        super().__init__()
        if not context_types:
            raise GraphrepError("there is no meta-path.", hint='"paper>author>paper"')
        self.target, self.dim, self.dropout = target, dim, dropout
        self.types = list(dict.fromkeys([target, *(name for types in context_types for name in types)]))
        self.context_types = [list(types) for types in context_types]
        self.inputs = nn.ModuleList(
            TypeLinear(channels[name], num_nodes[name], dim, dropout=dropout) for name in self.types
        )
        self.contexts = nn.ModuleList(
            nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in types) for types in context_types
        )
        self.conv = MetaPathConv(dim, dropout=dropout, norm=norm)
        self.attention = SemanticAttention(dim, dropout=dropout)

    def _context_layers(self) -> list[list[Any]]:
        lists: list[Any] = list(self.contexts)
        return [list(layers) for layers in lists]

    def hidden(self, x: Mapping[str, Any]) -> dict[str, Tensor]:
        """f_t of every type."""
        return {name: layer(x[name]) for name, layer in zip(self.types, self.inputs, strict=True)}

    def coarse(self, h: Tensor, inputs: MetaPathInputs) -> Tensor:
        """(N, d) of the coarse view; h is that of :meth:`hidden`."""
        out: Tensor = self.conv(h, inputs.mean)
        return out

    def forward(self, inputs: MetaPathInputs) -> MetaPathViews:
        """See the class."""
        hidden = self.hidden(inputs.x)
        h, m = hidden[self.target], self.inputs[0](inputs.masked_x)
        clean, masked = [], []
        layers = self._context_layers()
        for i, types in enumerate(self.context_types):
            seen = [mean(hidden[name]) for name, mean in zip(types, inputs.contexts[i], strict=True)]
            mixed = [layer(part) for layer, part in zip(layers[i], seen, strict=True)]
            clean.append(self._fine(h, mixed, inputs.adjacency[i]))
            masked.append(self._fine(m, mixed, inputs.masked[i]))
        fine, share = self.attention([*clean, *masked])
        return MetaPathViews(self.coarse(h, inputs), fine, share)

    def _fine(self, h: Tensor, mixed: list[Tensor], adjacency: CSR) -> Tensor:
        for part in mixed:
            h = h + functional.dropout(part, self.dropout, self.training)
        return functional.normalize(self.conv(functional.elu(h), adjacency), dim=1)
