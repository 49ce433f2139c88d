"""Graph attention with PyG's interface."""

from __future__ import annotations

from typing import Any

import torch
import torch_geometric.nn as pyg
from torch import Tensor
from torch.nn import functional
from torch.nn.parameter import UninitializedParameter
from torch_geometric.nn import MessagePassing

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR, edge_softmax, gat_aggregate, scatter, spmm
from graphrep.kernels.segment.reduce import gather_columns, gather_rows
from graphrep.nn._adjacency import LoopedPattern, looped_pattern, pattern, plain_edges, reduction, takes_kernels
from graphrep.nn._bipartite import bipartite_size
from graphrep.nn._signatures import call_types

__all__ = ["GATConv"]

_FILLS = {"add": "sum", "sum": "sum", "mean": "mean", "max": "max", "min": "min"}


class GATConv(pyg.GATConv):
    """:class:`torch_geometric.nn.GATConv` on these kernels (Velickovic et al., arXiv:1710.10903).

    Arguments, ``state_dict`` and results are PyG's. Without edge features, dropout of attention weights and returned
    attention weights, logits, softmax and sum are one pass that stores nothing per edge; with them, E x `heads` numbers
    are stored, but never E x `heads` x `out_channels`. What runs PyG's own code is said at
    :class:`~graphrep.nn.GCNConv`; other aggregations than the sum and ``fill_value="mul"`` do, too.

    Shapes:
        x: (N, in_channels), or a pair (N_src, in_channels[0]), (N_dst, in_channels[1]) whose second part may be None;
        edge_index: (2, E), or a :class:`~graphrep.kernels.CSR` (N_dst, N_src) without weights; edge_attr:
        (E, edge_dim) or (E,); size: (N_src, N_dst). Returns (N_dst, heads * out_channels), or (N_dst, out_channels)
        unless `concat`; with `return_attention_weights`, also (edge_index, (E, heads) weights) with the loops that
        were added.

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError: the arguments do not fit each other.

    Example:
        >>> conv = GATConv(3, 2, heads=4)
        >>> conv(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 8])
    """

    propagate_type = call_types(pyg.GATConv, "propagate")
    propagate = MessagePassing.propagate  # the step-by-step form that PyG goes back to for explainers
    edge_updater_type = call_types(pyg.GATConv, "edge_updater")
    edge_updater = MessagePassing.edge_updater

    def forward(
        self,
        x: Any,
        edge_index: Any,
        edge_attr: Tensor | None = None,
        size: tuple[int, int] | None = None,
        return_attention_weights: bool | None = None,
    ) -> Any:
        """Runs the layer; shapes are those of the class."""
        source, target = (x, x) if isinstance(x, Tensor) else x
        if not self._takes_kernels(edge_index, source, target, edge_attr, return_attention_weights):
            return super().forward(x, edge_index, edge_attr, size, return_attention_weights)
        residual = self.res(target) if self.res is not None and target is not None else None
        source, target = self._projected(source, target)
        el = (source * self.att_src).sum(dim=-1)
        if target is not None:
            er = (target * self.att_dst).sum(dim=-1)
        shape = bipartite_size(source, target, size)
        if target is None:
            er = el.new_zeros(shape[1], self.heads)
        edges = self._pattern(edge_index, shape, target, size)
        alpha = self._attention(edges, el, er, edge_index, edge_attr, return_attention_weights)
        if alpha is None:
            if edges.spare_row:
                er = functional.pad(er, (0, 0, 0, 1))
            out = gat_aggregate(edges.csr, source, el, er, negative_slope=self.negative_slope)
        else:
            out = spmm(edges.csr.with_value(alpha), source)
        out = self._finished(out[: shape[1]] if edges.spare_row else out, residual)
        if return_attention_weights and alpha is not None:
            return out, (self._edge_list(edge_index, edges), _in_list_order(alpha, edges.csr))
        return out

    def _takes_kernels(
        self,
        edge_index: Any,
        source: Tensor,
        target: Tensor | None,
        edge_attr: Tensor | None,
        wants_weights: bool | None,
    ) -> bool:
        if isinstance(edge_index, CSR) and (reduction(self) != "sum" or edge_attr is not None or wants_weights):
            raise GraphrepError(
                "a CSR goes with the sum, and neither with edge_attr nor with return_attention_weights.",
                hint="pass an edge_index",
            )
        if self.edge_dim is not None and edge_attr is not None and self.add_self_loops:
            if isinstance(self.fill_value, str) and self.fill_value not in _FILLS:
                return False
            if torch.compiler.is_compiling():  # the number of kept edges is not known
                return False
        if wants_weights and torch.compiler.is_compiling():
            return False
        return takes_kernels(self, edge_index, source, target) and reduction(self) == "sum"

    def _projected(self, source: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(N, heads, out_channels) features of sources and destinations."""
        shape = (-1, self.heads, self.out_channels)
        if self.lin is None:
            other = None if target is None else self.lin_dst(target).view(shape)
            return self.lin_src(source).view(shape), other
        left = self.lin(source).view(shape)
        if target is None or target is source:
            return left, None if target is None else left
        return left, self.lin(target).view(shape)

    def _pattern(
        self, edge_index: Any, shape: tuple[int, int], target: Tensor | None, size: tuple[int, int] | None
    ) -> LoopedPattern:
        if not self.add_self_loops:
            return LoopedPattern(pattern(edge_index, shape, flow=self.flow), None, False)
        num_loops = min(shape) if size is not None or target is not None else shape[0]
        return looped_pattern(edge_index, shape, num_loops, flow=self.flow)

    def _attention(
        self,
        edges: LoopedPattern,
        el: Tensor,
        er: Tensor,
        edge_index: Any,
        edge_attr: Tensor | None,
        wants_weights: bool | None,
    ) -> Tensor | None:
        """(nnz, heads) weights in CSR order; None where the fused pass does without them."""
        has_attr = edge_attr is not None and self.lin_edge is not None
        drops = self.training and self.dropout > 0
        if not (has_attr or drops or wants_weights):
            return None
        csr = edges.csr
        if edges.spare_row:
            er = functional.pad(er, (0, 0, 0, 1))
        logits = gather_columns(el, csr) + gather_rows(er, csr.rowptr, csr.nnz)
        if has_attr:
            logits = logits + self._of_edges(edges, edge_index, edge_attr).index_select(0, csr.perm)
        alpha = edge_softmax(csr, functional.leaky_relu(logits, self.negative_slope))
        return functional.dropout(alpha, p=self.dropout, training=self.training)

    def _of_edges(self, edges: LoopedPattern, edge_index: Tensor, edge_attr: Tensor | None) -> Tensor:
        """(nnz, heads) part of the edge features in the logits, in the order of the list and then of the loops."""
        assert edge_attr is not None
        if edge_attr.dim() not in (1, 2) or edge_attr.shape[0] != edge_index.shape[1]:
            raise ShapeError(
                f"edge_attr has shape {tuple(edge_attr.shape)} but there are {edge_index.shape[1]} edges.",
                hint=f"({edge_index.shape[1]}, {self.edge_dim})",
            )
        attr = edge_attr.view(-1, 1) if edge_attr.dim() == 1 else edge_attr
        if isinstance(self.lin_edge.weight, UninitializedParameter):
            self.lin_edge(attr[:0])
        weight = self.lin_edge.weight.view(self.heads, self.out_channels, -1)
        project = torch.einsum("hcd,hc->dh", weight, self.att_edge[0])
        kept = attr if edges.kept is None else attr.index_select(0, edges.kept)
        parts = [kept @ project]
        num_loops = edges.csr.nnz - kept.shape[0]
        if num_loops:
            destination = plain_edges(edge_index, self.flow)[1]
            destination = destination if edges.kept is None else destination.index_select(0, edges.kept)
            parts.append(self._of_loops(kept, destination, num_loops) @ project)
        return torch.cat(parts)

    def _of_loops(self, attr: Tensor, destination: Tensor, num_loops: int) -> Tensor:
        """(num_loops, edge_dim) features of the added loops, as `fill_value` says."""
        fill = self.fill_value
        if isinstance(fill, str):
            return scatter(attr, destination, dim_size=num_loops, reduce=_FILLS[fill])  # type: ignore[arg-type]
        if isinstance(fill, Tensor):
            return fill.to(attr).expand(num_loops, attr.shape[1])
        return attr.new_full((num_loops, attr.shape[1]), float(fill))

    def _finished(self, out: Tensor, residual: Tensor | None) -> Tensor:
        out = out.reshape(-1, self.heads * self.out_channels) if self.concat else out.mean(dim=1)
        if residual is not None:
            out = out + residual
        return out if self.bias is None else out + self.bias

    def _edge_list(self, edge_index: Tensor, edges: LoopedPattern) -> Tensor:
        """The edges that the attention weights belong to: those kept, then the loops."""
        if not self.add_self_loops:
            return edge_index
        kept = edge_index if edges.kept is None else edge_index[:, edges.kept]
        num_loops = edges.csr.nnz - kept.shape[1]
        nodes = torch.arange(num_loops, dtype=edge_index.dtype, device=edge_index.device)
        return torch.cat([kept, nodes.expand(2, -1)], dim=1)


def _in_list_order(alpha: Tensor, csr: CSR) -> Tensor:
    return torch.empty_like(alpha).index_copy(0, csr.perm.long(), alpha)
