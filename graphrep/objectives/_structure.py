"""What contrasts along a graph share: unit rows, positives along its entries, negatives over all rows, clusters."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR, edge_logsumexp, scatter
from graphrep.kernels._check import check_device, check_floating, check_index, check_range
from graphrep.kernels.blockwise import UU, contrast
from graphrep.objectives._common import check_temperature

__all__ = [
    "Clusters",
    "check_structure",
    "clusters_of",
    "log_negatives",
    "log_plus",
    "log_positives",
    "unit_rows",
    "widened",
]

SHORTEST = 1e-12  # rows up to this length have no direction
MANY = 1 << 20  # labels from this one on, and from N on, are renumbered by sorting instead of counting


def check_structure(z: Tensor, influence: CSR, inv_temperature: float, eps: float) -> None:
    """Raises unless `influence` is an (N, N) matrix for the N >= 1 rows of `z`, and the two numbers are in range."""
    check_temperature(inv_temperature, "inv_temperature")
    if not (math.isfinite(eps) and eps >= 0):
        raise GraphrepError(f"eps must be finite and at least 0; got {eps}.", hint="for example 1e-8")
    check_floating(z, "z")
    if z.dim() != 2 or z.shape[0] == 0:
        raise ShapeError(f"z has shape {tuple(z.shape)}; it holds one vector per node.", hint="(N, d) with N >= 1")
    if not isinstance(influence, CSR):
        raise GraphrepError(
            f"influence is a {type(influence).__name__}.", hint="influence_matrix(edge_index, num_nodes=N, order=1)"
        )
    if influence.shape != (z.shape[0], z.shape[0]):
        raise ShapeError(f"influence has shape {influence.shape} for {z.shape[0]} nodes.", hint="a CSR (N, N)")


def widened(x: Tensor) -> Tensor:
    """Half types as float32, others as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def unit_rows(x: Tensor) -> Tensor:
    """Rows divided by their length; a row without one becomes zeros, whose cosines are 0, and sends no gradient."""
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    short = length <= SHORTEST
    return torch.where(short, 0, x / torch.where(short, 1, length))


def log_positives(unit: Tensor, influence: CSR, inv_temperature: float) -> Tensor:
    """(N,) ``log sum_j w_ij exp(tau c_ij)`` with c_ii = 0."""
    return edge_logsumexp(influence, unit, unit, scale=inv_temperature, zero_diagonal=True)


def log_negatives(unit: Tensor, inv_temperature: float) -> Tensor:
    """(N,) ``log sum_j exp(tau c_ij)`` over all rows with c_ii = 0."""
    others = contrast(unit, unit, terms=UU, scale=inv_temperature)[0]
    return torch.logaddexp(others, torch.zeros_like(others))


def log_plus(log: Tensor, eps: float) -> Tensor:
    """``log(exp(log) + eps)``."""
    return log if eps == 0 else torch.logaddexp(log, log.new_tensor(eps).log())


class Clusters(NamedTuple):
    """Clusters that have members: the place of each node's cluster among them, and their sizes."""

    place: Tensor
    size: Tensor

    def reduced(self, x: Tensor, reduce: str) -> Tensor:
        """(K', d) sums or means of the members' rows."""
        return scatter(x, self.place, dim_size=self.size.shape[0], reduce=reduce)  # type: ignore[arg-type]


def clusters_of(labels: Tensor, z: Tensor, name: str, num_clusters: int | None = None) -> Clusters:
    """The clusters that labels (N,) name, numbered in ascending order of their labels, without empty ones.

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError: no label from 0 on, or below `num_clusters`, per node.
    """
    check_index(labels, name)
    check_device(z.device, **{name: labels})
    if labels.shape[0] != z.shape[0]:
        raise ShapeError(f"{name} has {labels.shape[0]} entries for {z.shape[0]} nodes.", hint="one label per node")
    top = int(labels.max())
    check_range(labels, max(top, 0) + 1 if num_clusters is None else num_clusters, name)
    if top >= max(MANY, len(labels)):
        labels = torch.unique(labels, return_inverse=True)[1]
    size = torch.bincount(labels)
    used = size > 0
    return Clusters((used.cumsum(0) - 1)[labels.long()], size[used])
