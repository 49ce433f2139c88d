"""From what the user passes to the matrix the passes run on: canonical rows, strengths, node keys, features."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data.check import GraphWarning, grouped
from graphrep.errors import GraphrepError, MissingFeaturesError, NonFiniteError, ShapeError
from graphrep.kernels import CSR
from graphrep.kernels.projection import node_keys
from graphrep.methods._fastrp_settings import Settings

__all__ = ["Problem", "as_source", "prepare", "warn_isolated"]

log = logging.getLogger("graphrep")


@dataclass(frozen=True)
class Problem:
    """One graph ready for FastRP.

    Attributes:
        csr: (N, N), row i gathers column j; entries of a row in canonical order.
        strength: (N,) float64, sums of weights (or counts) per row.
        keys: (N,) int64 random streams.
        ids: external ids or None.
        x: (N, F) features where the settings ask for them.
    """

    csr: CSR
    strength: Tensor
    keys: Tensor
    ids: Any
    x: Tensor | None

    @property
    def num_nodes(self) -> int:
        return self.keys.numel()

    def row_scale(self, settings: Settings) -> Tensor:
        """(N,) 1 / strength (0 where there is none), or ones without `transition`."""
        if not settings.transition:
            return torch.ones(self.num_nodes, dtype=settings.work)
        return torch.where(self.strength > 0, 1 / self.strength, 0.0).to(settings.work)

    def degree_scale(self, settings: Settings) -> Tensor:
        """(N,) float64 strength ** degree_exponent, 1 where the strength is 0."""
        if settings.degree_exponent == 0.0:
            return torch.ones(self.num_nodes, dtype=torch.float64)
        return torch.where(self.strength > 0, self.strength, 1.0) ** settings.degree_exponent

    def isolated(self) -> int:
        """Number of rows without neighbours (or with weights that are all 0)."""
        return int((self.strength == 0).sum())


def as_source(graph: Any) -> Any:
    """`graph` as a Graph; a CSR stays what it is."""
    from graphrep.data.graph import Graph

    return graph if isinstance(graph, (CSR, Graph)) else Graph.coerce(graph)


def prepare(graph: Any, settings: Settings) -> Problem:
    """Checks a Graph or CSR and puts it in canonical order.

    Raises:
        ShapeError: a CSR that is not square. GraphrepError: negative weights. MissingFeaturesError: feature_ratio > 0
        and no features. NonFiniteError: NaN or infinite weights or features.
    """
    if isinstance(graph, CSR):
        csr, ids, x = _square(graph), None, None
    else:
        csr, ids, x = _by_id(graph.csr(settings.direction), graph.ids), graph.ids, graph.x
    if csr.value is not None:
        csr = csr.with_value(csr.value.detach().to(settings.work))
        _check_weights(csr, settings)
    if settings.coalesce:
        csr = _coalesced(csr)
    if settings.num_features_dims and x is None:
        raise MissingFeaturesError(
            "feature_ratio is above 0 and the graph has no node features.", hint="Graph(..., x=features)"
        )
    strength = _strength(csr, settings)
    return Problem(csr, strength, node_keys(ids, csr.num_rows), ids, x if settings.num_features_dims else None)


def warn_isolated(problem: Problem) -> None:
    """One warning with the number of nodes that get a zero vector (or their self influence alone)."""
    count = problem.isolated()
    if count:
        log.info("%s of %s nodes have no neighbours", grouped(count), grouped(problem.num_nodes))
        warnings.warn(
            f"{grouped(count)} of {grouped(problem.num_nodes)} nodes have no neighbours to gather from: their vectors "
            "are zero (self_weight gives them their start vector; direction says which edges a row follows).",
            GraphWarning,
            stacklevel=4,
        )


def _square(csr: CSR) -> CSR:
    if csr.num_rows != csr.num_cols:
        raise ShapeError(
            f"The matrix is {csr.num_rows} x {csr.num_cols}; FastRP needs rows and columns to be the same nodes.",
            hint="a bipartite graph has both sides as nodes: number the second side after the first",
        )
    if csr.value is not None and csr.value.dim() != 1:
        raise ShapeError(f"value has shape {tuple(csr.value.shape)}; FastRP takes one weight per entry.")
    if csr.value is not None and not bool(torch.isfinite(csr.value).all()):
        where = int((~torch.isfinite(csr.value)).nonzero()[0])
        raise NonFiniteError(f"value[{where}] is {csr.value[where]}.", hint="torch.nan_to_num, or leave it out")
    return csr


def _by_id(csr: CSR, ids: Any) -> CSR:
    """Entries of each row in the order of the neighbours' ids, so that renumbering the nodes changes no sum."""
    if ids is None:
        return csr
    array = np.asarray(ids)
    if csr.num_rows < 2 or bool((array[1:] >= array[:-1]).all()):
        return csr
    rank = np.empty(array.size, np.int64)
    rank[np.argsort(array, kind="stable")] = np.arange(array.size)
    place = torch.from_numpy(rank)[csr.col.long()]
    order = torch.argsort(place, stable=True)
    order = order[torch.argsort(csr.row()[order], stable=True)]
    value = None if csr.value is None else csr.value[order]
    return CSR(csr.rowptr, csr.col[order], value, num_cols=csr.num_cols, perm=csr.perm[order])


def _check_weights(csr: CSR, settings: Settings) -> None:
    assert csr.value is not None
    if settings.abs_degree or settings.gds or csr.nnz == 0 or float(csr.value.min()) >= 0:
        return
    count = int((csr.value < 0).sum())
    where = int(csr.perm[int((csr.value < 0).nonzero()[0])])
    raise GraphrepError(
        f"{grouped(count)} of {grouped(csr.nnz)} edges have a negative weight (first: edge {where}), so a node's total "
        "may be 0 or negative.",
        hint="FastRP(abs_degree=True) divides by the sum of absolute weights",
    )


def _coalesced(csr: CSR) -> CSR:
    """Parallel edges as one: weights summed; without weights they count once."""
    if csr.nnz < 2:
        return csr
    row = csr.row()
    first = torch.ones(csr.nnz, dtype=torch.bool)
    first[1:] = (csr.col[1:] != csr.col[:-1]) | (row[1:] != row[:-1])
    if bool(first.all()):
        return csr
    start = first.nonzero().reshape(-1)
    count = torch.bincount(row[start].long(), minlength=csr.num_rows)
    rowptr = torch.cat([count.new_zeros(1), count.cumsum(0)])
    value = None
    if csr.value is not None:
        value = torch.from_numpy(np.add.reduceat(csr.value.numpy(), start.numpy()))
    return CSR(rowptr, csr.col[start], value, num_cols=csr.num_cols, perm=csr.perm[start])


def _strength(csr: CSR, settings: Settings) -> Tensor:
    """(N,) float64: number of entries, or the sum of (absolute) weights; GDS counts in both cases."""
    degree = csr.degree()
    if csr.value is None or settings.gds:
        return degree.double()
    value = csr.value.abs() if settings.abs_degree else csr.value
    total = torch.zeros(csr.num_rows, dtype=torch.float64)
    filled = (degree > 0).nonzero().reshape(-1)
    if filled.numel():
        # reduceat is serial: the same bytes for any number of threads
        sums = np.add.reduceat(value.numpy(), csr.rowptr[:-1][filled].numpy(), dtype=np.float64)
        total[filled] = torch.from_numpy(sums)
    return total
