"""Common neighbours of pairs of rows: listed, or summed over without listing them.

Source: Wang, Yang, Zhang, "Neural Common Neighbor with Completion for Link Prediction", ICLR 2024 (arXiv:2302.00890).
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, overload

import torch
from torch import Tensor

from graphrep.errors import ShapeError
from graphrep.kernels import _triton
from graphrep.kernels._check import check_device, check_floating, check_index, check_range
from graphrep.kernels._dispatch import implementation
from graphrep.kernels._library import define
from graphrep.kernels._sorted import sorted_pattern
from graphrep.kernels.common_neighbors import cpu, reference  # noqa: F401  (they register themselves)
from graphrep.kernels.csr import CSR

if _triton.AVAILABLE:
    from graphrep.kernels.common_neighbors import cuda  # noqa: F401

__all__ = ["common_neighbor_pool", "common_neighbors"]

Sets: TypeAlias = "tuple[Tensor, Tensor]"
OneSided: TypeAlias = "tuple[Tensor, Tensor, Sets, Sets]"


@overload
def common_neighbors(csr: CSR, pairs: Tensor, *, one_sided: Literal[False] = False) -> Sets: ...
@overload
def common_neighbors(csr: CSR, pairs: Tensor, *, one_sided: Literal[True]) -> OneSided: ...


def common_neighbors(csr: CSR, pairs: Tensor, *, one_sided: bool = False) -> Sets | OneSided:
    """The columns that two rows of a matrix share, for many pairs of rows.

    Rows count as sets: duplicate entries and weights play no part, and an end point of a pair that is a neighbour of
    both (or, one-sided, of one) counts like any other.

    Args:
        csr: any matrix; row i holds the neighbours of node i.
        pairs: (2, P) int32 or int64 rows; repeated, reversed and equal ends are fine.
        one_sided: also list the neighbours of ``pairs[0]`` alone and of ``pairs[1]`` alone.

    Returns:
        (pair_index, node_index), int64, sorted by pair, then node. With `one_sided` the 4-tuple (pair_index,
        node_index, (pair, node) of ``pairs[0]`` only, (pair, node) of ``pairs[1]`` only). Costs per pair the sum of
        its degrees, or min(degree) log(max degree) where one is 16 times the other; sorted rows cost O(nnz) once.

    Raises:
        ShapeError, IndexRangeError, DTypeError, DeviceError: the pairs are no rows of the matrix.

    Example:
        >>> square = CSR.from_edge_index(torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]]))
        >>> pair, node = common_neighbors(square, torch.tensor([[0, 0], [2, 1]]))
        >>> pair.tolist(), node.tolist()
        ([0, 0], [1, 3])
    """
    pairs = _checked(csr, pairs)
    sets, listed = sorted_pattern(csr), implementation("neighbor_sets", csr.device)
    pair, node = listed(sets.rowptr, sets.col, pairs, True)[1:]
    if not one_sided:
        return pair, node
    return pair, node, *(listed(sets.rowptr, sets.col, ends, False)[1:] for ends in (pairs, pairs.flip(0)))


def common_neighbor_pool(csr: CSR, pairs: Tensor, x: Tensor) -> Tensor:
    """Sum of the feature rows of the common neighbours of each pair, ``out[p] = sum of x[u] over u in both rows``.

    Args:
        csr: any matrix, (num_rows, num_cols); rows count as sets, as in :func:`common_neighbors`.
        pairs: (2, P) int32 or int64 rows.
        x: (num_cols, D); float16 and bfloat16 are summed in float32 and rounded once.

    Returns:
        (P, D); zeros for pairs without common neighbours. Differentiable in `x` to any order, bitwise the same for any
        number of threads. Forward keeps one pair's hits at a time; backward lists those of blocks of pairs as
        integers. No array of hits x D exists in either.

    Raises:
        ShapeError, IndexRangeError, DTypeError, DeviceError: the arguments do not fit each other.

    Example:
        >>> square = CSR.from_edge_index(torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]]))
        >>> common_neighbor_pool(square, torch.tensor([[0], [2]]), torch.tensor([[1.0], [2.0], [4.0], [8.0]]))
        tensor([[10.]])
    """
    check_floating(x, "x")
    check_device(csr.device, x=x)
    if x.dim() != 2 or x.shape[0] != csr.num_cols:
        raise ShapeError(
            f"x has shape {tuple(x.shape)} but the matrix has {csr.num_cols} columns.", hint=f"({csr.num_cols}, D)"
        )
    sets = sorted_pattern(csr)
    out: Tensor = _pool(sets.rowptr, sets.col, x, _checked(csr, pairs))
    return out


def _checked(csr: CSR, pairs: Tensor) -> Tensor:
    check_index(pairs, "pairs", ndim=pairs.dim() if isinstance(pairs, Tensor) else 2)
    if pairs.dim() != 2 or pairs.shape[0] != 2:
        turned = pairs.dim() == 2 and pairs.shape[1] == 2
        raise ShapeError(
            f"pairs must have shape (2, P); got {tuple(pairs.shape)}.",
            hint="pairs.t().contiguous()" if turned else "torch.stack([first, second])",
        )
    check_device(csr.device, pairs=pairs)
    check_range(pairs, csr.num_rows, "pairs")
    return pairs.long()


_pool = define(
    "common_neighbor_pool(Tensor rowptr, Tensor col, Tensor x, Tensor pairs) -> Tensor",
    lambda rowptr, col, x, pairs: x.new_empty(pairs.shape[1], x.shape[1]),
)
_pool_t = define(
    "common_neighbor_pool_t(Tensor rowptr, Tensor col, Tensor grad, Tensor pairs, int num_cols) -> Tensor",
    lambda rowptr, col, grad, pairs, num_cols: grad.new_empty(num_cols, grad.shape[1]),
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    rowptr, col, x, pairs = inputs[:4]
    ctx.num_cols = x.shape[0]
    ctx.save_for_backward(rowptr, col, pairs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    rowptr, col, pairs = ctx.saved_tensors
    return None, None, _pool_t(rowptr, col, grad, pairs, ctx.num_cols), None


def _backward_t(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    rowptr, col, pairs = ctx.saved_tensors
    return None, None, _pool(rowptr, col, grad, pairs), None, None


torch.library.register_autograd("graphrep::common_neighbor_pool", _backward, setup_context=_save)
torch.library.register_autograd("graphrep::common_neighbor_pool_t", _backward_t, setup_context=_save)
