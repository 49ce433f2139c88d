"""Random walks, first order or with the memory of node2vec.

Sources: Perozzi, Al-Rfou, Skiena, "DeepWalk", KDD 2014 (arXiv:1403.6652); Grover, Leskovec, "node2vec", KDD 2016
(arXiv:1607.00653). The second order is drawn by rejection, so no table per edge is needed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, NonFiniteError, ShapeError
from graphrep.kernels import _triton
from graphrep.kernels._check import check_device, check_index, check_range
from graphrep.kernels._counter import check_seed
from graphrep.kernels._dispatch import implementation
from graphrep.kernels._sorted import sorted_pattern
from graphrep.kernels.csr import CSR
from graphrep.kernels.walks import cpu, reference  # noqa: F401  (they register themselves)

if _triton.AVAILABLE:
    from graphrep.kernels.walks import cuda  # noqa: F401

__all__ = ["random_walks"]


def random_walks(csr: CSR, starts: Tensor, length: int, *, p: float = 1.0, q: float = 1.0, seed: int) -> Tensor:
    """One walk from each start: every step goes from a row to one of its columns.

    Rows of a :class:`CSR` are destinations, so with a directed edge list walks run against the edges; walk on
    ``csr.t()`` to follow them. Undirected graphs have both directions and need no care.

    The next node x of a walk at v that came from u is drawn with probability proportional to the weight of (v, x) times
    1/p if x = u, 1 if x is in row u, 1/q otherwise; duplicate entries count separately. Where a node has no neighbour
    (or only weights of 0) the walk stays in place.

    Args:
        csr: square matrix; ``csr.value`` (nnz,) are non-negative weights, all equal where it has none. Weights are
            used as multiples of 2^-31 of the largest of their row, so that every backend walks alike.
        starts: (S,) int32 or int64 nodes, repeated for several walks each.
        length: number of steps, at least 0.
        p: return parameter of node2vec; above 1 walks turn back less often.
        q: in-out parameter; above 1 walks stay near the node they came from.
        seed: any integer. A walk depends on the seed, its position in `starts` and the step alone, not on threads or
            backend.

    Returns:
        (S, length + 1) int64, the starts in column 0. Costs O(1) memory per walk besides, O(log degree) time per step
        with weights or a second order and max(1/p, 1, 1/q) / (mean of the drawn) attempts; O(nnz) once for the weights
        of each call and for sorted rows once per matrix.

    Raises:
        ShapeError, IndexRangeError, DTypeError, DeviceError: the matrix is not square, or starts are no nodes of it.
        NonFiniteError, GraphrepError: a weight is negative or not finite, p or q is not a positive number.

    Example:
        >>> path = CSR.from_edge_index(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> random_walks(path, torch.tensor([0, 2]), 2, q=1e-9, p=1e9, seed=0).tolist()
        [[0, 1, 2], [2, 1, 0]]
    """
    if csr.num_rows != csr.num_cols:
        raise ShapeError(f"walks need a square matrix; this one is {csr.num_rows} x {csr.num_cols}.")
    check_index(starts, "starts")
    check_range(starts, csr.num_rows, "starts")
    check_device(csr.device, starts=starts)
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise GraphrepError(f"length must be a number of steps, 0 or more; got {length!r}.", hint="length=40")
    for name, number in (("p", p), ("q", q)):
        if not (math.isfinite(number) and number > 0):
            raise GraphrepError(f"{name} must be a positive number; got {number}.", hint=f"{name}=1.0")
    bits = check_seed(seed)
    biases = (1 / p, 1.0, 1 / q)
    accept = tuple(bias / max(biases) for bias in biases)
    sets = sorted_pattern(csr) if accept != (1.0, 1.0, 1.0) else None
    memory = (None, None) if sets is None else (sets.rowptr, sets.col)
    cumulative = None if csr.value is None else _cumulative(csr, csr.value.detach())
    walk = implementation("random_walks", csr.device)
    out: Tensor = walk(csr.rowptr, csr.col, cumulative, *memory, starts.long(), length, accept, bits)
    return out


def _cumulative(csr: CSR, value: Tensor) -> Tensor:
    """(nnz,) int64 running sums of each row's weights in units of 2^-31 of its largest; exact, so alike everywhere."""
    if value.dim() != 1:
        raise ShapeError(f"value has shape {tuple(value.shape)}; walks need one weight per entry.", hint="(nnz,)")
    if not bool(torch.isfinite(value).all()):
        raise NonFiniteError("a weight is NaN or infinite.", hint="csr.with_value(...)")
    if bool((value < 0).any()):
        raise GraphrepError(
            "a weight is negative; walks need probabilities.", hint="csr.with_value(value.clamp(min=0))"
        )
    table: Tensor = implementation("walk_weights", csr.device)(csr.rowptr, value)
    return table
