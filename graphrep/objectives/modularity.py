"""Modularity of soft clusters, differentiable and sparse (DMoN; Tsitsulin et al., JMLR 2023)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphrep.errors import EmptyGraphError, GraphrepError, ShapeError
from graphrep.kernels import CSR, spmm
from graphrep.kernels._check import check_device, check_floating
from graphrep.objectives._common import Objective

__all__ = ["DMoNLoss", "dmon_loss", "spectral_modularity"]


def spectral_modularity(assign: Tensor, adjacency: CSR) -> Tensor:
    """``tr(S' (A - d d' / 2m) S) / 2m`` with d the row sums of A and 2m their sum; S are soft clusters.

    For one-hot rows and a symmetric A this is the modularity of the partition. The modularity matrix is never built:
    ``tr(S'AS)`` is one sparse product, and ``tr(S'dd'S) = |S'd|^2``.

    Args:
        assign: (N, K), S; rows usually sum to 1.
        adjacency: (N, N), A; weights default to 1 and may require grad.

    Returns:
        A scalar, float32 for half types; larger is better. O(E K) time, O(N K) memory.

    Raises:
        ShapeError, DTypeError, DeviceError: the arguments do not fit each other.
        EmptyGraphError: A has no weight.

    Source: Tsitsulin, Palowitch, Perozzi, Müller, "Graph Clustering with Graph Neural Networks", JMLR 24(127), 2023,
    arXiv:2006.16904.

    Example:
        >>> csr = CSR.from_edge_index(torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]]))
        >>> spectral_modularity(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), csr)
        tensor(0.5000)
    """
    soft = _checked(assign)
    if adjacency.shape != (len(soft), len(soft)):
        raise ShapeError(f"adjacency has shape {adjacency.shape}; assign has {len(soft)} rows.", hint="CSR (N, N)")
    check_device(adjacency.device, assign=assign)
    if adjacency.value is not None and adjacency.value.dim() != 1:
        raise ShapeError(f"adjacency has weights {tuple(adjacency.value.shape)}.", hint="one weight per entry, (nnz,)")
    degree = spmm(adjacency, soft.new_ones((len(soft), 1)))
    total = degree.sum()
    if float(total.detach()) == 0:
        raise EmptyGraphError("adjacency has no weight, so modularity is 0 / 0.", hint="a graph with edges")
    inside: Tensor = (soft * spmm(adjacency, soft)).sum()
    expected = (degree * soft).sum(0).square().sum() / total
    value: Tensor = (inside - expected) / total
    return value


def dmon_loss(assign: Tensor, adjacency: CSR, *, collapse: float = 1.0, orthogonality: float = 0.0) -> Tensor:
    """Minus the modularity of soft clusters, plus penalties that keep them from collapsing into one.

    - ``collapse`` times ``sqrt(K) / N |sum_i s_i| - 1``: 0 for clusters of equal size, sqrt(K) - 1 for a single one;
    - ``orthogonality`` times ``| S'S / |S'S|_F - I / sqrt(K) |_F``: 0 for equal and hard clusters.

    Args:
        assign: (N, K) soft clusters S.
        adjacency: (N, N).
        collapse: weight, at least 0; the paper's is 1.
        orthogonality: weight, at least 0; 0 in the paper. PyG's ``DMoNPooling`` returns it beside the other two.

    Returns:
        A scalar, float32 for half types. O(E K + N K^2) time, O(N K + K^2) memory.

    Raises:
        ShapeError, DTypeError, DeviceError, EmptyGraphError: as for :func:`spectral_modularity`.
        GraphrepError: a weight is negative or not finite.

    Source: as :func:`spectral_modularity`; orthogonality: Bianchi, Grattarola, Alippi, "Spectral Clustering with Graph
    Neural Networks for Graph Pooling", ICML 2020.

    Example:
        >>> csr = CSR.from_edge_index(torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]]))
        >>> dmon_loss(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), csr)
        tensor(-0.5000)
    """
    _check_weights(collapse=collapse, orthogonality=orthogonality)
    loss = -spectral_modularity(assign, adjacency)
    soft = _checked(assign)
    count = soft.shape[1]
    if collapse:
        loss = loss + collapse * (soft.sum(0).norm() * math.sqrt(count) / len(soft) - 1)
    if orthogonality:
        square = soft.t() @ soft
        even = torch.eye(count, dtype=soft.dtype, device=soft.device) / math.sqrt(count)
        loss = loss + orthogonality * (square / square.norm() - even).norm()
    return loss


def _checked(assign: Tensor) -> Tensor:
    check_floating(assign, "assign")
    if assign.dim() != 2 or 0 in assign.shape:
        raise ShapeError(f"assign has shape {tuple(assign.shape)}.", hint="(N, K), one row per node")
    return assign.to(torch.promote_types(assign.dtype, torch.float32))


def _check_weights(**weights: float) -> None:
    for name, weight in weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise GraphrepError(f"{name} must be finite and at least 0; got {weight}.", hint=f"{name}=1.0")


class DMoNLoss(Objective):
    """:func:`dmon_loss` as a module.

    Example:
        >>> DMoNLoss(collapse=0.5)
        DMoNLoss(collapse=0.5, orthogonality=0.0)
    """

    def __init__(self, *, collapse: float = 1.0, orthogonality: float = 0.0) -> None:
        _check_weights(collapse=collapse, orthogonality=orthogonality)
        super().__init__(collapse=collapse, orthogonality=orthogonality)

    def forward(self, assign: Tensor, adjacency: CSR) -> Tensor:
        """See :func:`dmon_loss`."""
        return dmon_loss(assign, adjacency, **self.options)
