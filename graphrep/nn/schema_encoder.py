"""HeCo's two encoders of one node type: by its neighbours of other types, and by its partners along meta-paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphrep.errors import GraphrepError
from graphrep.kernels import CSR, gat_aggregate, spmm
from graphrep.nn.metapath_encoder import GAIN, SemanticAttention, TypeLinear

__all__ = ["SchemaEncoder", "SchemaInputs"]

SLOPE = 0.01  # of the leaky ReLU in the attention among neighbours


class SchemaInputs(NamedTuple):
    """What the encoders read.

    Attributes:
        x: features by node type; see :class:`graphrep.nn.metapath_encoder.MetaPathInputs`.
        adjacency: P matrices (N, N) with weights, one per meta-path.
        neighbors: per relation that leaves the target, its (N, N_t) pattern.
    """

    x: Mapping[str, Any]
    adjacency: Sequence[CSR]
    neighbors: Sequence[CSR]


class SchemaEncoder(nn.Module):
    """Two views of the nodes of one type, each seeing what the other does not.

    With f_t = elu(dropout(W_t x_t + b_t)) and h those of the target,

    - schema: per relation r from the target to a type t, ``s_r = elu(sum_j a_ij f_t[j])`` with a the softmax over
      neighbours of ``leaky_relu(u_r . [dropped h_i, dropped f_j])``; the s_r put together by
      :class:`~graphrep.nn.metapath_encoder.SemanticAttention`.
    - meta-paths: per path ``prelu(A_p h W_p + b_p)``, put together likewise. This is the embedding.

    Args:
        channels: F_t by node type, None for types without features.
        num_nodes: N_t by node type.
        target: the type that is embedded.
        neighbor_types: the type at the end of each relation that leaves the target.
        num_paths: P.
        dim: d.
        feature_dropout: of f.
        attention_dropout: of the attention's vectors.

    Raises:
        GraphrepError: no meta-path or no relation.

    Source: Wang, Liu, Han, Shi, "Self-supervised Heterogeneous Graph Neural Network with Co-contrastive Learning", KDD
    2021, arXiv:2105.09111. All neighbours are read, where the authors draw a fixed number per type and epoch.
    """

    def __init__(
        self,
        channels: Mapping[str, int | None],
        num_nodes: Mapping[str, int],
        target: str,
        neighbor_types: Sequence[str],
        num_paths: int,
        dim: int = 64,
        *,
        feature_dropout: float = 0.3,
        attention_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if not neighbor_types or num_paths < 1:
            raise GraphrepError(f"{target} has {len(neighbor_types)} relations and {num_paths} meta-paths.", hint="1")
        self.target, self.dim, self.dropout = target, dim, attention_dropout
        self.neighbor_types = list(neighbor_types)
        self.types = list(dict.fromkeys([target, *neighbor_types]))
        self.inputs = nn.ModuleList(
            TypeLinear(channels[name], num_nodes[name], dim, dropout=feature_dropout) for name in self.types
        )
        self.queries = nn.ParameterList(nn.Parameter(torch.empty(2, dim)) for _ in neighbor_types)
        self.convs = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_paths))
        self.slopes = nn.ModuleList(nn.PReLU() for _ in range(num_paths))
        self.schema_attention = SemanticAttention(dim, dropout=attention_dropout)
        self.path_attention = SemanticAttention(dim, dropout=attention_dropout)
        for query in self.queries:
            nn.init.xavier_normal_(query, gain=GAIN)
        for conv in self._convs():
            nn.init.xavier_normal_(conv.weight, gain=GAIN)
            nn.init.zeros_(conv.bias)

    def _convs(self) -> list[Any]:
        return list(self.convs)

    def hidden(self, x: Mapping[str, Any]) -> dict[str, Tensor]:
        """f_t of every type."""
        return {name: layer(x[name]) for name, layer in zip(self.types, self.inputs, strict=True)}

    def paths(self, h: Tensor, adjacency: Sequence[CSR]) -> tuple[Tensor, Tensor]:
        """(N, d) of the view along meta-paths, and the share of each path."""
        views = []
        for conv, slope, matrix in zip(self._convs(), self.slopes, adjacency, strict=True):
            views.append(slope(spmm(matrix, h @ conv.weight.t()) + conv.bias))
        found: tuple[Tensor, Tensor] = self.path_attention(views)
        return found

    def forward(self, inputs: SchemaInputs) -> tuple[Tensor, Tensor]:
        """(N, d) of the schema view and of the view along meta-paths."""
        hidden = self.hidden(inputs.x)
        h = hidden[self.target]
        views = []
        for name, query, pattern in zip(self.neighbor_types, self.queries, inputs.neighbors, strict=True):
            dropped = functional.dropout(query, self.dropout, self.training)
            mine, theirs = (h @ dropped[0]).unsqueeze(1), (hidden[name] @ dropped[1]).unsqueeze(1)
            near = gat_aggregate(pattern, hidden[name].unsqueeze(1), theirs, mine, negative_slope=SLOPE).squeeze(1)
            views.append(functional.elu(near))
        return self.schema_attention(views)[0], self.paths(h, inputs.adjacency)[0]
