"""Graph convolutions without attention: GCN, the light form of recommenders, and GraphSAGE."""

from __future__ import annotations

from typing import Any

import torch_geometric.nn as pyg
from torch import Tensor
from torch.nn import functional
from torch_geometric.nn import MessagePassing

from graphrep.kernels import CSR, spmm
from graphrep.nn._adjacency import Edges, normalized, pattern, reduction, takes_kernels, weighted
from graphrep.nn._bipartite import bipartite_size
from graphrep.nn._signatures import call_types

__all__ = ["GCNConv", "LGConv", "SAGEConv"]


class GCNConv(pyg.GCNConv):
    """:class:`torch_geometric.nn.GCNConv` on these kernels (Kipf and Welling, arXiv:1609.02907, equation 2).

    Arguments, ``state_dict`` and results are PyG's. The normalised matrix is built once per `edge_index` tensor and
    kept while that lives and is not changed in place; nothing of size E x `out_channels` is stored. Explainers, hooks
    on ``propagate``, ``message`` or ``aggregate``, sparse tensors, other aggregations than sum, mean, max and min, and
    features with more than two axes run PyG's own code.

    Shapes:
        x: (N, in_channels); edge_index: (2, E), or a :class:`~graphrep.kernels.CSR` (N, N) with or without weights
        (rows are destinations); edge_weight: (E,) in the order of `edge_index`. Returns (N, out_channels).

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError: the arguments do not fit each other.

    Example:
        >>> import torch
        >>> conv = GCNConv(3, 2)
        >>> conv(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    propagate_type = call_types(pyg.GCNConv, "propagate")
    propagate = MessagePassing.propagate  # the step-by-step form that PyG goes back to for explainers
    _kept: CSR | None = None

    def reset_parameters(self) -> None:
        """Draws the weights anew and forgets the cached matrix."""
        super().reset_parameters()
        self._kept = None

    def forward(self, x: Any, edge_index: Any, edge_weight: Tensor | None = None) -> Tensor:
        """Runs the layer; shapes are those of the class."""
        if isinstance(x, tuple | list) or not takes_kernels(self, edge_index, x):
            out: Tensor = super().forward(x, edge_index, edge_weight)
            return out
        csr = self._adjacency(edge_index, edge_weight, x)
        out = spmm(csr, self.lin(x), reduce=reduction(self))  # type: ignore[arg-type]
        return out if self.bias is None else out + self.bias

    def _adjacency(self, edge_index: Edges, edge_weight: Tensor | None, x: Tensor) -> CSR:
        if not self.normalize:
            return weighted(edge_index, edge_weight, (x.shape[0], x.shape[0]), flow=self.flow)
        if self._kept is not None:
            return self._kept
        csr = normalized(
            edge_index,
            edge_weight,
            x.shape[0],
            add_self_loops=self.add_self_loops,
            dtype=x.dtype,
            fill=2.0 if self.improved and edge_weight is not None else 1.0,  # PyG ignores it without weights
            flow=self.flow,
        )
        if self.cached:
            self._kept = csr
        return csr


class LGConv(pyg.LGConv):
    """:class:`torch_geometric.nn.LGConv` on these kernels (He et al., arXiv:2002.02126, equation 3): no parameters.

    Shapes:
        x: (N, D); edge_index and edge_weight as for :class:`GCNConv`. Returns (N, D).

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError: the arguments do not fit each other.
    """

    propagate_type = call_types(pyg.LGConv, "propagate")
    propagate = MessagePassing.propagate  # the step-by-step form that PyG goes back to for explainers

    def forward(self, x: Tensor, edge_index: Any, edge_weight: Tensor | None = None) -> Tensor:
        """Runs the layer; shapes are those of the class."""
        if not takes_kernels(self, edge_index, x):
            out: Tensor = super().forward(x, edge_index, edge_weight)
            return out
        count = x.shape[0]
        if self.normalize:
            csr = normalized(edge_index, edge_weight, count, add_self_loops=False, dtype=x.dtype, flow=self.flow)
        else:
            csr = weighted(edge_index, edge_weight, (count, count), flow=self.flow)
        return spmm(csr, x, reduce=reduction(self))  # type: ignore[arg-type,no-any-return]


class SAGEConv(pyg.SAGEConv):
    """:class:`torch_geometric.nn.SAGEConv` on these kernels (Hamilton et al., arXiv:1706.02216).

    Arguments, ``state_dict`` and results are PyG's; what runs PyG's own code is said at :class:`GCNConv`, and so do
    aggregations such as ``"lstm"`` or a list of several.

    Shapes:
        x: (N, in_channels), or a pair (N_src, in_channels[0]), (N_dst, in_channels[1]) whose second part may be None;
        edge_index: (2, E), or a :class:`~graphrep.kernels.CSR` (N_dst, N_src) without weights; size: (N_src, N_dst).
        Returns (N_dst, out_channels).

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError: the arguments do not fit each other.

    Example:
        >>> import torch
        >>> conv = SAGEConv((3, 5), 2)
        >>> conv((torch.ones(4, 3), torch.ones(2, 5)), torch.tensor([[0, 1, 3], [1, 0, 1]])).shape
        torch.Size([2, 2])
    """

    propagate_type = call_types(pyg.SAGEConv, "propagate")
    propagate = MessagePassing.propagate  # the step-by-step form that PyG goes back to for explainers

    def forward(self, x: Any, edge_index: Any, size: tuple[int, int] | None = None) -> Tensor:
        """Runs the layer; shapes are those of the class."""
        source, target = (x, x) if isinstance(x, Tensor) else x
        reduce = reduction(self)
        if not takes_kernels(self, edge_index, source, target):
            out: Tensor = super().forward(x, edge_index, size)
            return out
        if self.project:
            source = self.lin(source).relu()
        csr = pattern(edge_index, bipartite_size(source, target, size), flow=self.flow)
        out = self.lin_l(spmm(csr, source, reduce=reduce))  # type: ignore[arg-type]
        if self.root_weight and target is not None:
            out = out + self.lin_r(target)
        return functional.normalize(out, p=2.0, dim=-1) if self.normalize else out
