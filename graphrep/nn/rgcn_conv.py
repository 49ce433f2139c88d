"""Relational graph convolution with PyG's interface."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch_geometric.nn as pyg
from torch import Tensor
from torch_geometric.nn import MessagePassing

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR, spmm
from graphrep.kernels._check import check_device, check_index, check_range
from graphrep.nn._adjacency import plain_edges, reduction, remembered, takes_kernels
from graphrep.nn._signatures import call_types

__all__ = ["RGCNConv"]


class _Relation(NamedTuple):
    """The edges of one relation over the destinations that it reaches."""

    number: int
    rows: Tensor  # (n,) destinations
    csr: CSR  # (n, num_src)


class RGCNConv(pyg.RGCNConv):
    """:class:`torch_geometric.nn.RGCNConv` on these kernels (Schlichtkrull et al., arXiv:1703.06103).

    Arguments, ``state_dict`` and results are PyG's, with basis and block-diagonal decomposition and with node ids in
    place of features. The edges are grouped by relation once per pair of `edge_index` and `edge_type`; a relation costs
    memory only for the nodes that it reaches. While a graph is compiled, where shapes cannot depend on the edges, an
    array of num_relations x N_dst x in_channels is made. What runs PyG's own code is said at
    :class:`~graphrep.nn.GCNConv`.

    Shapes:
        x: (N, in_channels) features, (N,) ids, None for the ids 0..in_channels-1, or a pair of sources and
        destinations; edge_index: (2, E); edge_type: (E,) integers in 0..num_relations-1. Returns (N_dst, out_channels).

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError: the arguments do not fit each other.

    Example:
        >>> conv = RGCNConv(3, 2, num_relations=2)
        >>> conv(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]]), torch.tensor([0, 1, 1])).shape
        torch.Size([4, 2])
    """

    propagate_type = call_types(pyg.RGCNConv, "propagate")
    propagate = MessagePassing.propagate  # the step-by-step form that PyG goes back to for explainers

    def forward(self, x: Any, edge_index: Any, edge_type: Tensor | None = None) -> Tensor:
        """Runs the layer; shapes are those of the class."""
        if isinstance(edge_index, CSR):
            raise GraphrepError("this layer needs the relation of each edge.", hint="pass edge_index and edge_type")
        source, target = x if isinstance(x, tuple | list) else (x, x)
        if source is None:
            source = torch.arange(self.in_channels_l, device=self.weight.device)
        target = source if target is None else target
        if edge_type is None or not takes_kernels(self, edge_index, source, target):
            out: Tensor = super().forward(x, edge_index, edge_type)
            return out
        _check_edge_type(edge_type, edge_index, self.num_relations)
        has_features = source.is_floating_point()
        if self.num_blocks is not None and not has_features:
            raise GraphrepError(
                "block-diagonal decomposition needs features, not node ids.", hint="num_bases, or neither"
            )
        weight = self.relation_weights()
        size = (source.shape[0], target.shape[0])
        if torch.compiler.is_compiling():
            out = self._at_once(source, edge_index, edge_type, size, weight)
        else:
            out = weight.new_zeros(size[1], self.out_channels)
            for relation in self._relations(edge_index, edge_type, size):
                out.index_add_(0, relation.rows, self._messages(source, relation, weight))
        if self.root is not None:
            out = out + (target @ self.root if has_features else self.root[target])
        return out if self.bias is None else out + self.bias

    def relation_weights(self) -> Tensor:
        """(num_relations, in_channels, out_channels), or blocks of them, put together from the bases if there are."""
        weight: Tensor = self.weight
        if self.num_bases is None:
            return weight
        weight = self.comp @ self.weight.view(self.num_bases, -1)
        return weight.view(self.num_relations, self.in_channels_l, self.out_channels)

    def _messages(self, source: Tensor, relation: _Relation, weight: Tensor) -> Tensor:
        """(n, out_channels): what arrives through one relation."""
        reduce: Any = reduction(self)
        if not source.is_floating_point():
            messages: Tensor = spmm(relation.csr, weight[relation.number, source], reduce=reduce)
            return messages
        return self._transformed(spmm(relation.csr, source, reduce=reduce), weight[relation.number])

    def _transformed(self, h: Tensor, weight: Tensor) -> Tensor:
        if self.num_blocks is None:
            return h @ weight
        blocks = h.view(-1, *weight.shape[:2])
        return torch.einsum("abc,bcd->abd", blocks, weight).reshape(-1, self.out_channels)

    def _relations(self, edge_index: Tensor, edge_type: Tensor, size: tuple[int, int]) -> list[_Relation]:
        key, edges = ("relations", size, self.flow), plain_edges(edge_index, self.flow)
        return remembered(edge_index, key, lambda: _grouped(edges, edge_type, size), also=edge_type)

    def _at_once(
        self, source: Tensor, edge_index: Tensor, edge_type: Tensor, size: tuple[int, int], weight: Tensor
    ) -> Tensor:
        """The same with shapes that do not depend on the edges: one block of rows per relation."""
        edges, count = plain_edges(edge_index, self.flow), self.num_relations
        check_range(edges[0], size[0], "edge_index[0] (source)")
        check_range(edges[1], size[1], "edge_index[1] (destination)")
        rows = edge_type.long() * size[1] + edges[1]
        reduce: Any = reduction(self)
        if not source.is_floating_point():
            columns = edge_type.long() * size[0] + edges[0]
            csr = CSR.from_edge_index(torch.stack([columns, rows]), size=(count * size[0], count * size[1]))
            h: Tensor = spmm(csr, weight[:, source].reshape(-1, self.out_channels), reduce=reduce)
            return h.view(count, size[1], -1).sum(dim=0)
        csr = CSR.from_edge_index(torch.stack([edges[0].long(), rows]), size=(size[0], count * size[1]))
        h = spmm(csr, source, reduce=reduce).view(count, size[1], -1)
        return torch.stack([self._transformed(h[r], weight[r]) for r in range(count)]).sum(dim=0)


def _check_edge_type(edge_type: Tensor, edge_index: Tensor, num_relations: int) -> None:
    check_index(edge_type, "edge_type")
    check_device(edge_index.device, edge_type=edge_type)
    if edge_type.shape != (edge_index.shape[1],):
        raise ShapeError(
            f"edge_type has shape {tuple(edge_type.shape)} but there are {edge_index.shape[1]} edges.",
            hint=f"({edge_index.shape[1]},)",
        )
    check_range(edge_type, num_relations, "edge_type")


def _grouped(edges: Tensor, edge_type: Tensor, size: tuple[int, int]) -> list[_Relation]:
    check_range(edges[0], size[0], "edge_index[0] (source)")
    check_range(edges[1], size[1], "edge_index[1] (destination)")
    order = edge_type.argsort(stable=True)
    source, destination = edges[0, order], edges[1, order]
    relations, begin = [], 0
    for index, count in enumerate(torch.bincount(edge_type).tolist()):
        if count:
            rows, position = destination[begin : begin + count].unique(return_inverse=True)  # type: ignore[no-untyped-call]
            pairs = torch.stack([source[begin : begin + count].long(), position])
            relations.append(_Relation(index, rows.long(), CSR.from_edge_index(pairs, size=(size[0], rows.shape[0]))))
        begin += count
    return relations
