"""How important nodes, edges and feature columns are, and how likely each should be dropped from a view.

Zhu et al., "Graph Contrastive Learning with Adaptive Augmentation" (GCA), WWW 2021, arXiv:2010.14945, section 3.2.
Computed in float64; no result is ever NaN.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, scatter_add, spmm
from graphrep.kernels._check import check_device, check_edge_index, check_floating, check_range
from graphrep.kernels._sorted import sorted_pattern
from graphrep.nn._arguments import check_features, check_rate

__all__ = ["drop_probability", "gca_edge_weights", "gca_feature_weights", "node_centrality"]

Centrality: TypeAlias = Literal["degree", "pagerank", "eigenvector"]

DAMPING = 0.85
OFFSET = 1e-8  # added to eigenvector centralities, of which many are 0 and whose logarithm is taken
EQUAL = 1e-9  # logarithms that differ by less count as equal: rounding must not decide what is dropped
KRYLOV, RESTARTS, CONVERGED = 32, 100, 1e-12
ROWS = 4096  # of dense features converted to float64 at a time


def node_centrality(edge_index: Tensor, num_nodes: int, kind: Centrality, *, iterations: int = 200) -> Tensor:
    """Centrality of each node.

    Args:
        edge_index: (2, E) int32 or int64, row 0 sources, row 1 destinations.
        num_nodes: N; isolated last nodes count.
        kind: ``"degree"``: the number of neighbours in the undirected graph, each once. ``"pagerank"``: from 1 per
            node, ``x <- 0.15 x + 0.85 A D^-1 x`` with out-degrees D, `iterations` times (the published form: the first
            x is the previous one, no constant; repeated edges count). ``"eigenvector"``: the eigenvector of unit norm
            of A, with x_i summed over the edges into i, plus 1e-8; of several the projection of a
            constant vector on them.
        iterations: steps of ``"pagerank"``; GCA takes 200 for edges and 10 for features.

    Returns:
        (N,) float64, not negative. The eigenvector comes from restarted Arnoldi steps (at most 100 times 32, stopped at
        a residual of 1e-12); memory 32 N numbers.

    Raises:
        ShapeError, DTypeError, IndexRangeError, UnknownNameError, GraphrepError: an argument is malformed.

    Example:
        >>> node_centrality(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 4, "degree").tolist()
        [1.0, 2.0, 1.0, 0.0]
    """
    check_edge_index(edge_index)
    check_range(edge_index, num_nodes, "edge_index")
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 0:
        raise GraphrepError(f"iterations must be an integer of at least 0; got {iterations!r}.", hint="iterations=200")
    size = (num_nodes, num_nodes)
    if kind == "degree":
        both = torch.cat([edge_index, edge_index.flip(0)], dim=1)
        return sorted_pattern(CSR.from_edge_index(both, size=size)).degree().double()
    if kind == "pagerank":
        return _pagerank(CSR.from_edge_index(edge_index, size=size), edge_index[0], iterations)
    if kind == "eigenvector":
        return _leading(sorted_pattern(CSR.from_edge_index(edge_index, size=size))) + OFFSET
    raise UnknownNameError(f'kind is "{kind}".', hint='"degree", "pagerank" or "eigenvector"')


def gca_edge_weights(edge_index: Tensor, num_nodes: int, kind: Centrality = "degree") -> Tensor:
    """How much rather each edge is dropped: ``w = (max s - s) / (max s - mean s)``, s = log centrality of its target.

    Args:
        edge_index: (2, E).
        num_nodes: N.
        kind: as for :func:`node_centrality`.

    Returns:
        (E,) float64, not negative, of mean 1; all 1 where no edge leads to a more central node than another.

    Raises:
        As :func:`node_centrality`.

    Example:
        >>> star = torch.tensor([[0, 0, 0, 1, 2, 3], [1, 2, 3, 0, 0, 0]])
        >>> gca_edge_weights(star, 4).tolist()
        [2.0, 2.0, 2.0, 0.0, 0.0, 0.0]
    """
    centrality = node_centrality(edge_index, num_nodes, kind)
    tiny = torch.finfo(torch.float64).tiny  # PageRank of nodes that only old sources lead to can vanish
    return _relative(centrality.clamp(min=tiny).log()[edge_index[1].long()])


def gca_feature_weights(x: Tensor, centrality: Tensor, *, binary: bool = False) -> Tensor:
    """How much rather each column is masked: as :func:`gca_edge_weights` with s_f = log sum_i |x_if| c_i.

    Args:
        x: (N, F) numbers, dense or torch sparse CSR.
        centrality: (N,) c, not negative.
        binary: count where an entry is not zero instead of its size.

    Returns:
        (F,) in the type of `centrality`. Columns without a (weighted) entry get 1, the mean of the others, so they
        count neither here nor in :func:`drop_probability`.

    Raises:
        ShapeError, DTypeError, DeviceError, NonFiniteError, GraphrepError: an argument is malformed.

    Example:
        >>> x = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
        >>> gca_feature_weights(x, torch.tensor([1.0, 3.0])).tolist()
        [0.0, 2.0, 1.0]
    """
    check_features(x)
    check_floating(centrality, "centrality")
    if centrality.shape != (x.shape[0],):
        raise ShapeError(
            f"centrality has shape {tuple(centrality.shape)} but x has {x.shape[0]} rows.", hint="one number per node"
        )
    check_device(x.device, centrality=centrality)
    _check_weights(centrality, "centrality")
    sums = _column_sums(x.detach(), centrality.detach().double(), binary)
    if not bool(torch.isfinite(sums).all()):
        raise NonFiniteError(
            f"column {int((~torch.isfinite(sums)).nonzero()[0])} of x has no finite sum.", hint="torch.nan_to_num(x)"
        )
    weight, found = torch.ones_like(sums), sums > 0
    weight[found] = _relative(sums[found].log())
    return weight.to(centrality.dtype)


def drop_probability(weights: Tensor, p: float, *, cap: float = 0.7) -> Tensor:
    """Probabilities ``min(p w / mean(w), cap)`` from weights; `p` for all where every weight is 0.

    Args:
        weights: (n,) floating point, not negative.
        p: mean probability before the cap, in [0, 1).
        cap: largest probability, in (0, 1].

    Returns:
        (n,) in the type of `weights`.

    Raises:
        DTypeError, NonFiniteError, GraphrepError: an argument is malformed.

    Example:
        >>> drop_probability(torch.tensor([0.0, 1.0, 5.0]), 0.4)
        tensor([0.0000, 0.2000, 0.7000])
    """
    check_floating(weights, "weights")
    rate = check_rate(p)
    if not 0 < cap <= 1:
        raise GraphrepError(f"cap is {cap}; a probability lies in (0, 1].", hint="cap=0.7")
    _check_weights(weights, "weights")
    if not weights.numel():
        return weights.clone()
    exact = weights.double()
    mean = exact.mean()
    share = torch.where(mean > 0, exact / torch.where(mean > 0, mean, 1.0), 1.0)
    return (share * rate).clamp(max=cap).to(weights.dtype)


def _check_weights(weights: Tensor, name: str) -> None:
    bad = ~(torch.isfinite(weights) & (weights >= 0))
    if bool(bad.any()):
        where = int(bad.reshape(-1).nonzero()[0])
        number = float(weights.reshape(-1)[where])
        error = GraphrepError if torch.isfinite(torch.tensor(number)) else NonFiniteError
        raise error(f"{name} is {number} at position {where}; it must be finite and not negative.")


def _relative(s: Tensor) -> Tensor:
    """(max s - s) / (max s - mean s); 1 where all are equal, which leaves the rate uniform."""
    if not s.numel() or float(s.max() - s.min()) <= EQUAL:
        return torch.ones_like(s)
    return (s.max() - s) / (s.max() - s.mean())


def _column_sums(x: Tensor, centrality: Tensor, binary: bool) -> Tensor:
    """(F,) float64 sum_i |x_if| c_i, or of c_i where x_if is not 0."""
    if x.layout is not torch.strided:
        values = (x.values() != 0).double() if binary else x.values().abs().double()
        crow = x.crow_indices()
        rows = torch.arange(x.shape[0], device=x.device)
        row = torch.repeat_interleave(rows, crow[1:] - crow[:-1], output_size=values.numel())
        return scatter_add(values * centrality[row], x.col_indices(), dim_size=x.shape[1])
    total = centrality.new_zeros(x.shape[1])
    for first in range(0, x.shape[0], ROWS):
        part = x[first : first + ROWS]
        total += centrality[first : first + ROWS] @ ((part != 0).double() if binary else part.abs().double())
    return total


def _pagerank(csr: CSR, source: Tensor, iterations: int) -> Tensor:
    out_degree = torch.bincount(source, minlength=csr.num_rows).clamp(min=1)
    x = torch.ones(csr.num_rows, 1, dtype=torch.float64, device=csr.device)
    for _ in range(iterations):
        x = (1 - DAMPING) * x + DAMPING * spmm(csr, x / out_degree[:, None])
    return x[:, 0]


def _leading(csr: CSR) -> Tensor:
    """(N,) the non-negative unit eigenvector of the largest real eigenvalue.

    The start is constant, so nodes that nothing tells apart get equal numbers, and no choice depends on their order.
    """
    size = csr.num_rows
    v = torch.full((size,), max(size, 1) ** -0.5, dtype=torch.float64, device=csr.device)
    for _ in range(RESTARTS if csr.nnz else 0):
        basis, small, rest = _arnoldi(csr, v, min(KRYLOV, size))
        values, vectors = torch.linalg.eig(small)
        top = int(values.real.argmax())
        y = vectors[:, top].real
        v = y.to(basis.device) @ basis
        v = v if v.clamp(min=0).norm() >= v.clamp(max=0).norm() else -v
        v = v.clamp(min=0)  # what is below is rounding, or not converged yet
        v /= v.norm()
        if rest * float(y[-1].abs() / y.norm()) <= CONVERGED * max(1.0, float(values[top].abs())):
            break
    return v


def _arnoldi(csr: CSR, start: Tensor, steps: int) -> tuple[Tensor, Tensor, float]:
    """(m, N) orthonormal basis of A's powers on `start`, the (m, m) matrix of A in it on CPU, norm of what is left."""
    basis = start.new_zeros(steps, start.numel())
    small = torch.zeros(steps, steps, dtype=torch.float64)
    basis[0] = start
    for k in range(steps):
        w = spmm(csr, basis[k][:, None])[:, 0]
        before = float(w.norm())
        for _ in range(2):  # once more, because one pass leaves rounding errors that grow
            overlap = basis[: k + 1] @ w
            w = w - overlap @ basis[: k + 1]
            small[: k + 1, k] += overlap.cpu()
        rest = float(w.norm())
        if rest <= 1e-13 * max(before, 1.0):
            return basis[: k + 1], small[: k + 1, : k + 1], 0.0
        if k + 1 < steps:
            small[k + 1, k] = rest
            basis[k + 1] = w / rest
    return basis, small, rest
