"""Heterogeneous graph transformer with PyG's interface."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
import torch_geometric.nn as pyg
from torch import Tensor
from torch.nn import functional
from torch_geometric.nn import MessagePassing

from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.kernels import CSR, edge_softmax, sddmm, spmm
from graphrep.nn._adjacency import pattern, takes_kernels
from graphrep.nn._signatures import call_types

__all__ = ["HGTConv"]

EdgeType: TypeAlias = tuple[str, str, str]


class HGTConv(pyg.HGTConv):
    """:class:`torch_geometric.nn.HGTConv` on these kernels (Hu et al., arXiv:2003.01332).

    Arguments, ``state_dict`` and results are PyG's. The softmax over all edges into a node is put together from one
    softmax per edge type and its log-sum-exp, so that edges are grouped once per `edge_index` tensor and E x `heads`
    numbers are stored, never E x `out_channels`. What runs PyG's own code is said at :class:`~graphrep.nn.GCNConv`.

    Shapes:
        x_dict: {type: (N_t, in_channels)}; edge_index_dict: {(source, relation, destination): (2, E), or a
        :class:`~graphrep.kernels.CSR` (N_dst, N_src) without weights}. Returns {type: (N_t, out_channels)} for the
        types that some edge type of `metadata` leads to; a node that nothing leads to has attention 0.

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError, UnknownNameError: the arguments do not fit each other.

    Example:
        >>> kind = ("author", "writes", "paper")
        >>> conv = HGTConv(3, 4, (["author", "paper"], [kind]), heads=2)
        >>> x = {"author": torch.ones(2, 3), "paper": torch.ones(5, 3)}
        >>> {name: tuple(rows.shape) for name, rows in conv(x, {kind: torch.tensor([[0, 1], [4, 4]])}).items()}
        {'paper': (5, 4)}
    """

    propagate_type = call_types(pyg.HGTConv, "propagate")
    propagate = MessagePassing.propagate  # the step-by-step form that PyG goes back to for explainers

    def forward(self, x_dict: Mapping[str, Tensor], edge_index_dict: Mapping[EdgeType, Any]) -> dict[str, Any]:
        """Runs the layer; shapes are those of the class."""
        if not all(takes_kernels(self, edges, *x_dict.values()) for edges in edge_index_dict.values()):
            if any(isinstance(edges, CSR) for edges in edge_index_dict.values()):
                raise GraphrepError("a CSR does not go with hooks, explainers or sparse tensors.", hint="edge_index")
            found: dict[str, Any] = super().forward(x_dict, edge_index_dict)
            return found
        matrices = {}
        for kind, edges in edge_index_dict.items():
            if kind not in self.edge_types_map or kind[0] not in x_dict or kind[2] not in x_dict:
                raise UnknownNameError(f"edge type {kind} has no weights or no features.", hint=str(self.edge_types))
            matrices[kind] = pattern(edges, (x_dict[kind[0]].shape[0], x_dict[kind[2]].shape[0]))
        return self.between(x_dict, x_dict, matrices)

    def between(
        self, source: Mapping[str, Tensor], target: Mapping[str, Tensor], matrices: Mapping[EdgeType, CSR]
    ) -> dict[str, Tensor]:
        """The layer's output at the `target` nodes, with messages from the `source` nodes; (target, source) matrices.

        `source` and `target` are the same object for a whole graph, and any two sets of nodes for a part of one.
        """
        keys, queries, values = self._projected(source)
        if target is not source:
            queries = self._projected(target)[1]
        reached = [name for name in target if name in self.dst_node_types]
        attended = {name: functional.gelu(self._attended(name, queries, keys, values, matrices)) for name in reached}
        out: dict[str, Tensor] = self.out_lin(attended)
        for name, rows in out.items():
            if rows.shape[-1] == target[name].shape[-1]:
                share = self.skip[name].sigmoid()
                out[name] = share * rows + (1 - share) * target[name]
        return {name: out[name] for name in reached}

    def _projected(self, x: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """(N_t, heads, D) keys, queries and values by type."""
        parts: tuple[dict[str, Tensor], ...] = ({}, {}, {})
        for name, rows in self.kqv_lin(x).items():
            for found, part in zip(parts, torch.tensor_split(rows, 3, dim=1), strict=True):
                found[name] = part.reshape(rows.shape[0], self.heads, self.out_channels // self.heads)
        return parts[0], parts[1], parts[2]

    def _attended(
        self,
        name: str,
        queries: Mapping[str, Tensor],
        keys: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
        matrices: Mapping[EdgeType, CSR],
    ) -> Tensor:
        """(N, out_channels) sums over all edges into the nodes of one type, weighted by one softmax."""
        query = queries[name]
        parts: list[Tensor] = []
        sizes: list[Tensor] = []
        for kind, matrix in matrices.items():
            if kind[2] != name:
                continue
            prior = self.p_rel["__".join(kind)] / math.sqrt(query.shape[-1])
            logits = sddmm(matrix, query, self._turned(self.k_rel, keys[kind[0]], kind)) * prior
            alpha, size = edge_softmax(matrix, logits, return_lse=True)
            parts.append(spmm(matrix.with_value(alpha), self._turned(self.v_rel, values[kind[0]], kind)))
            sizes.append(size)
        if not parts:
            return query.new_zeros(query.shape[0], self.out_channels)
        if len(parts) == 1:
            return parts[0].reshape(-1, self.out_channels)
        stacked = torch.stack(sizes)  # (edge types, N, heads): how much of the softmax each edge type holds
        alone = torch.isneginf(stacked).all(dim=0)  # a softmax over -inf alone is NaN
        share = stacked.masked_fill(alone, 0).softmax(dim=0).to(query.dtype)
        mixed = [weight.unsqueeze(-1) * part for weight, part in zip(share, parts, strict=True)]
        out: Tensor = sum(mixed[1:], mixed[0])
        return out.reshape(-1, self.out_channels)

    def _turned(self, lin: Any, rows: Tensor, kind: EdgeType) -> Tensor:
        """Each head's rows times the matrix of this edge type and head."""
        weight = lin.weight[self.edge_types_map[kind] :: len(self.edge_types)]
        turned: Tensor = torch.einsum("nhd,hde->nhe", rows, weight)
        return turned
