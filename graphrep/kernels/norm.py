"""Symmetric normalisation of an adjacency matrix, D^-1/2 (A + I) D^-1/2 (Kipf and Welling, arXiv:1609.02907)."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels._check import check_device, check_edge_index, check_floating, check_range
from graphrep.kernels._library import needs_grad
from graphrep.kernels.csr import CSR
from graphrep.kernels.segment.reduce import gather_columns, gather_rows, reduce_rows

Norm: TypeAlias = Literal["sym", "row"] | None

__all__ = ["Norm", "NormPattern", "check_edge_weight", "gcn_norm", "norm_pattern", "scaled"]


def gcn_norm(
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    *,
    num_nodes: int,
    add_self_loops: bool = True,
    dtype: torch.dtype | None = None,
) -> CSR:
    """The normalised adjacency matrix, rows are destinations.

    A node with given self-loops keeps exactly one, with the weight of its last; other nodes get one of weight 1. The
    degree is the sum of the weights that arrive at a node, and nodes of degree 0 get zeros.

    Args:
        edge_index: (2, E) int32 or int64, row 0 sources, row 1 destinations; duplicates count separately.
        edge_weight: (E,); gradients flow to it. Default 1.
        num_nodes: N; ids are 0..N-1.
        add_self_loops: False leaves the edges as they are.
        dtype: of the weights; default that of `edge_weight`, else torch's default.

    Returns:
        CSR of shape (N, N); its `perm` counts the edges that are no self-loops in the given order, then the N loops.

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError: the arguments do not fit each other.

    Example:
        >>> gcn_norm(torch.tensor([[0, 1], [1, 0]]), num_nodes=2).value
        tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """
    check_edge_index(edge_index)
    check_range(edge_index, num_nodes, "edge_index")
    check_device(edge_index.device, edge_weight=edge_weight)
    if edge_weight is not None:
        check_edge_weight(edge_weight, edge_index.shape[1])
    return norm_pattern(edge_index, num_nodes, add_self_loops=add_self_loops).weighted(edge_weight, dtype=dtype)


class NormPattern(NamedTuple):
    """The entries of a normalised adjacency matrix, which do not depend on the edge weights."""

    csr: CSR  # without weights; perm counts the kept edges, then the loops if there are any
    kept: Tensor | None  # ids of the edges that are no loops; None: all of them
    last: Tensor | None  # (N,) the last given loop of each node, -1 where it has none; None: nowhere
    blank: Tensor | None  # (E,) True at edges that stay in the pattern with weight 0; None: nowhere
    has_loops: bool

    def weighted(
        self,
        edge_weight: Tensor | None,
        *,
        dtype: torch.dtype | None = None,
        fill: float = 1.0,
        norm: Norm = "sym",
    ) -> CSR:
        """The normalised matrix for these (E,) weights, default 1; `fill` is the weight of loops that were added.

        `norm`: "sym" D^-1/2 A D^-1/2, "row" D^-1 A, None A.
        """
        value = self._values(edge_weight, dtype, fill)
        if norm is None:
            return self.csr.with_value(value)
        return self.csr.with_value(scaled(self.csr, value, norm))

    def _values(self, edge_weight: Tensor | None, dtype: torch.dtype | None, fill: float) -> Tensor:
        """(nnz,) weights before normalisation, in CSR order."""
        num_nodes = self.csr.num_rows if self.has_loops else 0
        weight: Tensor | float = 1.0
        if edge_weight is None:
            dtype = dtype or torch.get_default_dtype()
            value = torch.ones(self.csr.nnz - num_nodes, dtype=dtype, device=self.csr.device)
        else:
            value = weight = edge_weight if dtype is None else edge_weight.to(dtype)
            if self.kept is not None:
                value = value.index_select(0, self.kept)
        if self.blank is not None:
            value = value.masked_fill(self.blank, 0)
        if self.has_loops:
            loops = value.new_full((num_nodes,), fill)
            if self.last is not None:
                given = weight[self.last.clamp(min=0)] if isinstance(weight, Tensor) else weight
                loops = torch.where(self.last >= 0, given, loops)
            value = torch.cat([value, loops])
        return value.index_select(0, self.csr.perm)


def scaled(csr: CSR, value: Tensor, norm: Literal["sym", "row"]) -> Tensor:
    """(nnz,) `value` times D^-1/2 of row and column ("sym"), or D^-1 of its row, with D the row sums; 0 where D is."""
    scale = reduce_rows(value, csr.rowptr).pow(-0.5 if norm == "sym" else -1.0)
    scale = scale.masked_fill(scale == torch.inf, 0)
    value = _at_rows(scale, csr) * value
    return value * _at_columns(scale, csr) if norm == "sym" else value


def norm_pattern(edge_index: Tensor, num_nodes: int, *, add_self_loops: bool) -> NormPattern:
    """Groups the edges by destination, with one loop per node if asked; `edge_index` is known to be right.

    While a graph is compiled its shapes cannot depend on the number of given loops, so those keep their entries, with
    weight 0.
    """
    kept = last = blank = None
    if add_self_loops:
        is_loop = edge_index[0] == edge_index[1]
        nodes = torch.arange(num_nodes, dtype=edge_index.dtype, device=edge_index.device)
        if torch.compiler.is_compiling():
            blank = is_loop
            ids = torch.arange(is_loop.shape[0], device=edge_index.device).masked_fill(~is_loop, -1)
            last = _last_loops(edge_index[0], ids, num_nodes)
        else:
            loops = is_loop.nonzero().squeeze(1)
            if loops.numel():
                last = _last_loops(edge_index[0, loops], loops, num_nodes)
                kept = (~is_loop).nonzero().squeeze(1)
                edge_index = edge_index[:, kept]
        edge_index = torch.cat([edge_index, nodes.expand(2, -1)], dim=1)
    csr = CSR.from_edge_index(edge_index, size=(num_nodes, num_nodes))
    return NormPattern(csr, kept, last, blank, add_self_loops)


def _last_loops(nodes: Tensor, ids: Tensor, num_nodes: int) -> Tensor:
    """(num_nodes,) the largest id given for each node, -1 where there is none."""
    last = torch.full((num_nodes,), -1, device=nodes.device)
    return last.scatter_reduce(0, nodes.long(), ids, "amax")


def check_edge_weight(edge_weight: Tensor, num_edges: int) -> None:
    """Raises unless `edge_weight` holds one floating-point number per edge."""
    check_floating(edge_weight, "edge_weight")
    if edge_weight.shape != (num_edges,):
        raise ShapeError(
            f"edge_weight has shape {tuple(edge_weight.shape)} but there are {num_edges} edges.",
            hint=f"({num_edges},)",
        )


def _at_rows(root: Tensor, csr: CSR) -> Tensor:
    """The number of each entry's row; on CUDA index_select has a gradient with atomics, which these gathers do not."""
    if root.is_cuda and needs_grad(root):
        return gather_rows(root, csr.rowptr, csr.nnz)
    return root.index_select(0, csr.row())


def _at_columns(root: Tensor, csr: CSR) -> Tensor:
    if root.is_cuda and needs_grad(root):
        return gather_columns(root, csr)
    return root.index_select(0, csr.col)
