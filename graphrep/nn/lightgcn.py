"""LightGCN with PyG's interface."""

from __future__ import annotations

from typing import Any

import torch
import torch_geometric.nn as pyg
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels import CSR, sddmm
from graphrep.nn._adjacency import pattern, plain_edges
from graphrep.nn.gcn_conv import LGConv

__all__ = ["LightGCN"]

_SCORES = 1 << 24  # scores that a block of recommendations holds at a time


class LightGCN(pyg.LightGCN):
    """:class:`torch_geometric.nn.LightGCN` on these kernels (He et al., arXiv:2002.02126).

    Arguments, ``state_dict``, losses and results are PyG's. Scores of node pairs gather no features per pair, and
    :meth:`recommend` goes through the sources in blocks, so that no N x N array is made.

    Shapes:
        edge_index: (2, E), or a :class:`~graphrep.kernels.CSR` (num_nodes, num_nodes), rows are destinations;
        edge_label_index: (2, B), by default the edges; edge_weight: (E,). Returns (B,) scores.

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError: the arguments do not fit each other.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 2, 3], [2, 3, 0, 1]])
        >>> LightGCN(num_nodes=4, embedding_dim=8, num_layers=2)(edge_index).shape
        torch.Size([4])
    """

    def __init__(
        self,
        num_nodes: int,
        embedding_dim: int,
        num_layers: int,
        alpha: float | Tensor | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_nodes, embedding_dim, num_layers, alpha, **kwargs)
        self.convs = torch.nn.ModuleList([LGConv(**kwargs) for _ in range(num_layers)])

    def forward(
        self, edge_index: Any, edge_label_index: Tensor | None = None, edge_weight: Tensor | None = None
    ) -> Tensor:
        """The inner products of the embeddings of pairs of nodes; shapes are those of the class."""
        if edge_label_index is None:
            if isinstance(edge_index, CSR):
                raise GraphrepError("a CSR keeps no order of its edges.", hint="pass edge_label_index")
            if edge_index.layout != torch.strided:
                scores: Tensor = super().forward(edge_index, edge_label_index, edge_weight)
                return scores
            edge_label_index = edge_index
        out: Tensor = self.get_embedding(edge_index, edge_weight)
        if edge_label_index is edge_index:
            csr = pattern(edge_index, (self.num_nodes, self.num_nodes))
        else:
            csr = CSR.from_edge_index(plain_edges(edge_label_index), size=(self.num_nodes, self.num_nodes))
        return out.new_empty(csr.nnz).index_copy(0, csr.perm.long(), sddmm(csr, out, out))

    def recommend(
        self,
        edge_index: Any,
        edge_weight: Tensor | None = None,
        src_index: Tensor | None = None,
        dst_index: Tensor | None = None,
        k: int = 1,
        sorted: bool = True,
    ) -> Tensor:
        """The `k` nodes of `dst_index` (default all) with the largest scores for each of `src_index` (default all).

        Returns:
            (len(src_index), k) node ids.
        """
        source = target = self.get_embedding(edge_index, edge_weight)
        if src_index is not None:
            source = source[src_index]
        if dst_index is not None:
            target = target[dst_index]
        rows = max(1, _SCORES // max(1, target.shape[0]))
        best = [(block @ target.t()).topk(k, dim=-1, sorted=sorted).indices for block in source.split(rows)]
        top = torch.cat(best)
        return top if dst_index is None else dst_index[top]
