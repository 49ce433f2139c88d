"""Rows of three scores with all other nodes, sparse: resource allocation, personalised PageRank, cosine of features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphrep.errors import NonFiniteError
from graphrep.eval.heuristics import allocation_weights
from graphrep.kernels import CSR, sparse_product
from graphrep.kernels._select import select_rows
from graphrep.kernels.proximity import pagerank_entries, pagerank_rows
from graphrep.kernels.sparse_product import product_cost

__all__ = ["Ranked", "RowScores"]


@dataclass(frozen=True)
class Ranked:
    """Candidates of some end points by each kind of score, in descending order of it.

    Attributes:
        pointer: (kinds, B + 1) where the candidates of each end point begin in `node`.
        node: (n,) int64 candidates.
        score: (n,) float32, above 0.
    """

    pointer: Tensor
    node: Tensor
    score: Tensor


class RowScores:
    """Scores of end points with all nodes, a block of end points at a time.

    Args:
        csr: (N, N) sets of neighbours.
        x: (N, F) features, dense or sparse CSR, or None.
        teleport, tolerance: of PageRank.

    Raises:
        NonFiniteError: a feature is NaN or infinite.
    """

    def __init__(self, csr: CSR, x: Tensor | None, *, teleport: float, tolerance: float) -> None:
        self.csr, self.num_nodes = csr, csr.num_rows
        weight = allocation_weights(csr.degree().double())
        self.shares = csr.with_value(weight[csr.col.long()])
        self.options = {"teleport": teleport, "tolerance": tolerance}
        self.most = pagerank_entries(csr.num_rows, teleport, tolerance)
        self.x = None if x is None else _unit(x.detach().cpu())

    def entries(self, ends: Tensor) -> Tensor:
        """(S,) the most entries of the rows of each end point."""
        cosine = 0 if self.x is None else self.num_nodes
        return product_cost(self.csr, self.csr)[ends].clamp(max=self.num_nodes) + self.most + cosine

    def ranked(self, ends: Tensor, barred: CSR) -> Ranked:
        """The candidates of a block of end points: not the end itself, nor its neighbours in `barred`."""
        known = select_rows(barred, ends)
        banned = torch.cat([known.row().long() * self.num_nodes + known.col, _keys(ends, self.num_nodes)]).sort().values
        kinds = [self._allocation(ends), pagerank_rows(self.csr, ends, **self.options)]
        if self.x is not None:
            kinds.append(self._cosine(ends))
        parts = [_descending(rows, banned) for rows in kinds]
        pointer, start = torch.empty(len(parts), len(ends) + 1, dtype=torch.int64), 0
        for row, (counts, node, _) in zip(pointer, parts, strict=True):
            row[0], row[1:] = start, start + counts.cumsum(0)
            start += len(node)
        return Ranked(pointer, torch.cat([part[1] for part in parts]), torch.cat([part[2] for part in parts]))

    def _allocation(self, ends: Tensor) -> CSR:
        return sparse_product(select_rows(self.shares, ends), self.csr, dtype=torch.float64)

    def _cosine(self, ends: Tensor) -> CSR:
        assert self.x is not None  # as the caller sees to
        if isinstance(self.x, CSR):
            return sparse_product(select_rows(self.x, ends), self.x.t(), dtype=torch.float64)
        block = self.x[ends] @ self.x.t()
        row, col = (block > 0).nonzero(as_tuple=True)
        pointer = torch.zeros(len(ends) + 1, dtype=torch.int64)
        pointer[1:] = torch.bincount(row, minlength=len(ends)).cumsum(0)
        return CSR(pointer, col, block[row, col], num_cols=self.num_nodes)


def _descending(rows: CSR, banned: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B,) candidates in each row, and their nodes and scores by row, then descending score, then node."""
    assert rows.value is not None  # all three kinds have values
    row, node, score = rows.row().long(), rows.col.long(), rows.value.float()
    key = row * rows.num_cols + node
    at = torch.searchsorted(banned, key).clamp(max=len(banned) - 1)
    kept = (score > 0) & (banned[at] != key)
    row, node, score = row[kept], node[kept], score[kept]
    order = torch.argsort(score, descending=True, stable=True)
    order = order[torch.argsort(row[order], stable=True)]
    return torch.bincount(row, minlength=rows.num_rows), node[order], score[order]


def _keys(ends: Tensor, num_nodes: int) -> Tensor:
    return torch.arange(len(ends)) * num_nodes + ends


def _unit(x: Tensor) -> Tensor | CSR:
    """Rows of unit length in float64, zero rows as they are; sparse features as a CSR matrix."""
    dense = x.layout is torch.strided
    numbers = x if dense else x.values()
    if not bool(torch.isfinite(numbers).all()):
        wrong = int((~torch.isfinite(numbers)).sum())
        raise NonFiniteError(f"x holds {wrong} numbers that are NaN or infinite.", hint="torch.nan_to_num(x)")
    if dense:
        wide = x.double()
        largest = wide.abs().amax(1, keepdim=True) if wide.shape[1] else wide.new_zeros(len(x), 1)
        wide = wide / torch.where(largest > 0, largest, 1)  # so that no square overflows
        norm = wide.norm(dim=1, keepdim=True)
        return wide / torch.where(norm > 0, norm, 1)
    matrix = CSR(x.crow_indices(), x.col_indices(), numbers.double(), num_cols=x.shape[1])
    row = matrix.row().long()
    square = torch.zeros(len(x), dtype=torch.float64).index_add_(0, row, numbers.double().square())
    norm = torch.where(square > 0, square, 1).sqrt()
    return matrix.with_value(numbers.double() / norm[row])
