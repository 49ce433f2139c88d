"""Smallest row sums of a normalised adjacency matrix times numbers, over all graphs that lose a few in-edges per node.

With n_i entries in row i (no self-loop among them), D_i = n_i + 1 and at most q_i of them dropped, entry (i, j) of the
normalised matrix of such a graph is ``1 / sqrt((D_i - k_i) (D_j - k_j))`` with 0 <= k <= q, or 0 if it was dropped. For
exactly k dropped entries in row i, the sum over j of that times s_j is smallest when every kept source has the factor
``m_j = s_j / sqrt(D_j)`` (s_j >= 0) or ``s_j / sqrt(D_j - q_j)`` (s_j < 0) and the k largest m_j are dropped. So

    least_i = min over k <= q_i of  (sum_j m_j - largest k of them) / sqrt(D_i - k)  +  s_ii / (D_i - k),

which sorts each row once. It is the exact minimum when sources choose their k_j freely, hence a lower bound.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError
from graphrep.kernels._library import define
from graphrep.kernels.csr import CSR
from graphrep.kernels.dropping import cpu, reference  # noqa: F401  (they register themselves)
from graphrep.kernels.dropping.reference import least_coefficients

__all__ = ["least_coefficients", "least_sums"]


def least_sums(csr: CSR, x: Tensor, budget: Tensor) -> Tensor:
    """The bound above for each row and each column of numbers.

    Args:
        csr: (N, N) without weights, duplicates and self-loops; rows are destinations.
        x: (N, D) numbers s_j of the sources, in float32 or float64; ``x[i]`` is also row i's own.
        budget: (N,) integers q_i, 0 <= q_i <= entries of row i.

    Returns:
        (N, D). Differentiable once in `x`. O(E D log degree) time, O(N D) memory.

    Raises:
        DTypeError: `x` has another dtype.

    Example:
        >>> edges = torch.tensor([[1, 2], [0, 0]])
        >>> x, budget = torch.tensor([[0.0], [3.0], [1.0]]), torch.tensor([1, 0, 0])
        >>> least_sums(CSR.from_edge_index(edges, size=(3, 3)), x, budget).squeeze(1)
        tensor([0.7071, 3.0000, 1.0000])
    """
    if x.dtype not in (torch.float32, torch.float64):
        raise DTypeError(f"x is {x.dtype}; smallest sums are found in float32 or float64.", hint="x.float()")
    out: Tensor = _least(csr.rowptr, csr.col, x.contiguous(), budget.long())
    return out


_least = define(
    "least_sums(Tensor rowptr, Tensor col, Tensor x, Tensor budget) -> Tensor",
    lambda rowptr, col, x, budget: torch.empty_like(x),
)
_least_backward = define(
    "least_sums_backward(Tensor grad, Tensor rowptr, Tensor col, Tensor x, Tensor budget) -> Tensor",
    lambda grad, rowptr, col, x, budget: torch.empty_like(x),
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return None, None, _least_backward(grad.contiguous(), *ctx.saved_tensors), None


def _refuse(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    raise GraphrepError(
        "Second derivatives of the smallest row sums are not provided.", hint="backward without create_graph"
    )


torch.library.register_autograd("graphrep::least_sums", _backward, setup_context=_save)
torch.library.register_autograd(
    "graphrep::least_sums_backward", _refuse, setup_context=lambda ctx, inputs, output: None
)
