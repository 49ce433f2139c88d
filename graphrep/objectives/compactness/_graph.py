"""The graph without duplicates and self-loops, what each node may lose of it, and products with its normalised form."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR, spmm
from graphrep.kernels._check import check_device, check_edge_index, check_floating, check_range
from graphrep.kernels.dropping import least_sums

__all__ = ["Dropping", "budgets", "clean_scale", "normalized_product", "pattern", "restricted"]


def pattern(edge_index: Tensor, num_nodes: int, edge_prob: Tensor | None = None) -> tuple[CSR, Tensor | None]:
    """Rows are destinations; and the largest probability among the copies of each edge, in CSR order.

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError: no edge list of nodes below `num_nodes`.
    """
    check_edge_index(edge_index)
    check_range(edge_index, num_nodes, "edge_index")
    source, target = edge_index[0].long(), edge_index[1].long()
    keep = source != target
    key = (target * num_nodes + source)[keep]
    kept, place = torch.unique(key, return_inverse=True)  # ascending: already in CSR order
    edges = torch.stack([kept % max(num_nodes, 1), kept // max(num_nodes, 1)])
    csr = CSR.from_edge_index(edges, size=(num_nodes, num_nodes))
    if edge_prob is None:
        return csr, None
    prob = edge_prob.detach().double()[keep]
    return csr, prob.new_zeros(len(kept)).scatter_reduce(0, place, prob, "amax")


def budgets(csr: CSR, drop_rate: float | None, edge_prob: Tensor | None) -> Tensor:
    """(N,) int64 in-edges that each node may lose: the rounded expectation, and all but one at most.

    Raises:
        GraphrepError: not exactly one of the two is given, or a probability is outside [0, 1].
    """
    if (drop_rate is None) == (edge_prob is None):
        raise GraphrepError(
            "Exactly one of drop_rate and edge_prob must be given.", hint="drop_rate=0.3, or one probability per edge"
        )
    degree = csr.degree().long()
    if drop_rate is not None:
        if not 0 <= drop_rate <= 1:
            raise GraphrepError(f"drop_rate is {drop_rate}; a probability lies in [0, 1].", hint="0.3")
        expected = drop_rate * degree.double()
    else:
        assert edge_prob is not None
        expected = degree.new_zeros(csr.num_rows, dtype=torch.float64).index_add(0, csr.row().long(), edge_prob)
    return torch.minimum((degree - 1).clamp(min=0), expected.round().long())


def check_edge_prob(edge_prob: Tensor | None, edge_index: Tensor) -> None:
    """Raises unless there is one probability per edge."""
    if edge_prob is None:
        return
    check_floating(edge_prob, "edge_prob")
    check_edge_index(edge_index)
    check_device(edge_index.device, edge_prob=edge_prob)
    if edge_prob.shape != edge_index.shape[1:]:
        raise ShapeError(
            f"edge_prob has shape {tuple(edge_prob.shape)} but there are {edge_index.shape[1]} edges.",
            hint=f"({edge_index.shape[1]},)",
        )
    if edge_prob.numel():
        low, high = (float(end) for end in torch.aminmax(edge_prob.detach()))
        if not (low >= 0 and high <= 1) or math.isnan(low):
            raise GraphrepError(f"edge_prob runs from {low} to {high}; probabilities lie in [0, 1].")


def clean_scale(csr: CSR, dtype: torch.dtype) -> Tensor:
    """(N,) one over the root of the in-degree with the self-loop."""
    return (csr.degree() + 1).to(torch.float64).rsqrt().to(dtype)


def normalized_product(csr: CSR, scale: Tensor, x: Tensor) -> Tensor:
    """``D^-1/2 (A + I) D^-1/2 x`` for A without weights and loops, and (N,) `scale` = D^-1/2."""
    root = scale.unsqueeze(1)
    inside = root * x
    out: Tensor = root * (spmm(csr, inside) + inside)
    return out


def restricted(csr: CSR, nodes: Tensor) -> CSR:
    """The rows and columns of `nodes`, in their order."""
    place = nodes.new_full((csr.num_rows,), -1)
    place[nodes] = torch.arange(len(nodes), device=nodes.device)
    row, col = place[csr.row().long()], place[csr.col.long()]
    inside = (row >= 0) & (col >= 0)
    return CSR.from_edge_index(torch.stack([col[inside], row[inside]]), size=(len(nodes), len(nodes)))


class Dropping(NamedTuple):
    """A graph and the set of graphs it may become: entries of the normalised matrix between two bounds."""

    csr: CSR
    scale: Tensor  # (N,) r; entry (i, j) is at most r_i r_j
    least_own: Tensor  # (N,) least value of entry (i, i); entries off the diagonal may vanish
    budget: Tensor | None = None  # (N,) entries that a row may lose, where that count is used too

    def interval(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the product with (N, D) numbers between `low` and `high`."""
        if self.budget is not None:
            return least_sums(self.csr, low, self.budget), -least_sums(self.csr, -high, self.budget)
        scale, own = self.scale.unsqueeze(1), self.least_own.unsqueeze(1)
        most = scale * scale
        falls, rises = (-low).relu(), high.relu()
        lower = own * low.relu() - most * falls - scale * spmm(self.csr, scale * falls)
        upper = most * rises - own * (-high).relu() + scale * spmm(self.csr, scale * rises)
        return lower, upper
