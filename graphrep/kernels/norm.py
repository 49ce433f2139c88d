"""Symmetric normalisation of an adjacency matrix, D^-1/2 (A + I) D^-1/2 (Kipf and Welling, arXiv:1609.02907)."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels._check import check_device, check_edge_index, check_floating, check_range
from graphrep.kernels._library import needs_grad
from graphrep.kernels.csr import CSR
from graphrep.kernels.segment.reduce import gather_columns, gather_rows, reduce_rows

__all__ = ["gcn_norm"]


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
    weight = _weights(edge_index, edge_weight, dtype)
    if add_self_loops:
        edge_index, weight = _with_loops(edge_index, weight, num_nodes)
    csr = CSR.from_edge_index(edge_index, weight, size=(num_nodes, num_nodes))
    value = csr.value
    assert value is not None  # it was given
    root = reduce_rows(value, csr.rowptr).pow(-0.5)
    root = root.masked_fill(root == torch.inf, 0)
    return csr.with_value(_at_rows(root, csr) * value * _at_columns(root, csr))


def _at_rows(root: Tensor, csr: CSR) -> Tensor:
    """The number of each entry's row; on CUDA index_select has a gradient with atomics, which these gathers do not."""
    if root.is_cuda and needs_grad(root):
        return gather_rows(root, csr.rowptr, csr.nnz)
    return root.index_select(0, csr.row())


def _at_columns(root: Tensor, csr: CSR) -> Tensor:
    if root.is_cuda and needs_grad(root):
        return gather_columns(root, csr)
    return root.index_select(0, csr.col)


def _weights(edge_index: Tensor, edge_weight: Tensor | None, dtype: torch.dtype | None) -> Tensor:
    if edge_weight is None:
        return torch.ones(edge_index.shape[1], dtype=dtype or torch.get_default_dtype(), device=edge_index.device)
    check_floating(edge_weight, "edge_weight")
    if edge_weight.shape != (edge_index.shape[1],):
        raise ShapeError(
            f"edge_weight has shape {tuple(edge_weight.shape)} but there are {edge_index.shape[1]} edges.",
            hint=f"({edge_index.shape[1]},)",
        )
    return edge_weight if dtype is None else edge_weight.to(dtype)


def _with_loops(edge_index: Tensor, weight: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """The edges that are no loops, then one loop per node with the weight of the last given one, or 1."""
    nodes = torch.arange(num_nodes, dtype=edge_index.dtype, device=edge_index.device)
    is_loop = edge_index[0] == edge_index[1]
    loops = is_loop.nonzero().squeeze(1)
    loop_weight = weight.new_ones(num_nodes)
    if loops.numel():
        last = torch.full((num_nodes,), -1, device=edge_index.device)
        last.scatter_reduce_(0, edge_index[0, loops].long(), loops, "amax")
        loop_weight = torch.where(last >= 0, weight[last.clamp(min=0)], loop_weight)
        edge_index, weight = edge_index[:, ~is_loop], weight[~is_loop]
    return torch.cat([edge_index, nodes.expand(2, -1)], dim=1), torch.cat([weight, loop_weight])
