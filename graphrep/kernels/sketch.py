"""Random projections of the node axis, P z, without storing P (COSTA: Zhang et al., arXiv:2206.04726, section 4.2).

An entry of P depends on the seed and its place alone, so two views get the same P from the same seed.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels._check import check_floating
from graphrep.kernels._counter import (
    DOMAIN_SKETCH,
    check_seed,
    torch_below,
    torch_fraction,
    torch_start,
    torch_word,
)
from graphrep.kernels._dispatch import register
from graphrep.kernels.csr import CSR
from graphrep.kernels.projection._words import DOMAIN_NODE
from graphrep.kernels.projection.random import random_gaussian
from graphrep.kernels.spmm import spmm

__all__ = ["random_projection", "sparse_signs"]

BLOCK_NUMBERS = 1 << 21  # of P that exist at a time
SIGNS = 8  # per node in the sparse kind


def random_projection(rows_out: int, z: Tensor, seed: int, kind: Literal["gaussian", "sparse"] = "gaussian") -> Tensor:
    """P z for a random P (rows_out, N) whose squared column norms are 1 on average, so that E[P'P] = I.

    Args:
        rows_out: k, at least 1; COSTA takes N // 2.
        z: (N, d) floating point. Two views that share P can go in side by side, ``torch.cat([z1, z2], 1)``, which
            generates it once.
        seed: any integer; the same P for the same seed, k and N.
        kind: ``"gaussian"``: independent N(0, 1) / sqrt(k), O(k N) random numbers and O(k N d) work, in blocks of
            about two million numbers of P. ``"sparse"``: min(8, k) signs +-1 / sqrt(8) per column, one in each eighth
            of the rows (Nelson and Nguyen, arXiv:1211.1002), O(N d) work.

    Returns:
        (k, d) in the type of `z`; half types are computed in float32. Differentiable in `z`, to any order.

    Raises:
        GraphrepError, ShapeError, DTypeError, UnknownNameError: an argument is malformed.

    Example:
        >>> random_projection(3, torch.eye(5), seed=0).shape
        torch.Size([3, 5])
    """
    check_floating(z, "z")
    if z.dim() != 2:
        raise ShapeError(f"z has shape {tuple(z.shape)}; it must be (N, d).", hint="z[:, None] for one column")
    if isinstance(rows_out, bool) or not isinstance(rows_out, int) or rows_out < 1:
        raise GraphrepError(f"rows_out must be an integer of at least 1; got {rows_out!r}.", hint="max(N // 2, 1)")
    bits = check_seed(seed)
    if kind not in ("gaussian", "sparse"):
        raise UnknownNameError(f'kind is "{kind}".', hint='"gaussian" or "sparse"')
    work = z if z.dtype.itemsize > 2 else z.float()
    if kind == "gaussian":
        out: Tensor = _Gaussian.apply(work, rows_out, bits, False)  # type: ignore[no-untyped-call]
    else:
        out = spmm(sparse_signs(rows_out, z.shape[0], bits, dtype=work.dtype, device=z.device), work)
    return out.to(z.dtype)


class _Gaussian(torch.autograd.Function):
    """P z, or P'z where `turned`; the gradient of one is the other."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, size: int, seed: int, turned: bool) -> Tensor:
        """`size` is the number of rows of the result."""
        ctx.rows, ctx.seed, ctx.turned = z.shape[0], seed, turned
        num_rows, num_cols = (z.shape[0], size) if turned else (size, z.shape[0])
        out = z.new_zeros(size, z.shape[1])
        step = max(1, BLOCK_NUMBERS // max(num_cols, 1))
        for first in range(0, num_rows, step):
            last = min(first + step, num_rows)
            keys = torch.arange(first, last, device=z.device)
            block = random_gaussian(keys, num_cols, seed=seed, dtype=z.dtype)
            if turned:
                out.addmm_(block.t(), z[first:last])
            else:
                torch.mm(block, z, out=out[first:last])
        return out.div_(math.sqrt(num_rows))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        """The other product, itself differentiable."""
        return _Gaussian.apply(grads[0], ctx.rows, ctx.seed, not ctx.turned), None, None, None  # type: ignore[no-untyped-call]


@register("random_gaussian", "cuda")
def _gaussian_on_device(keys: Tensor, seed: int, out: Tensor) -> None:
    """The rows of :func:`~graphrep.kernels.projection.random_gaussian` by torch's own kernels, rounding apart."""
    start = torch_start(seed, DOMAIN_NODE, keys)[:, None]
    t = torch.arange(0, out.shape[1] + out.shape[1] % 2, 2, device=keys.device)
    radius = (-2.0 * (torch_fraction(torch_word(start, t)) + 2.0**-53).log()).sqrt()
    angle = 2.0 * math.pi * torch_fraction(torch_word(start, t + 1))
    pairs = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=2)
    out.copy_(pairs.flatten(1)[:, : out.shape[1]])


def sparse_signs(
    num_rows: int,
    num_cols: int,
    seed: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> CSR:
    """P of the sparse kind: each column has one sign in each of min(8, num_rows) even parts of the rows.

    Example:
        >>> signs = sparse_signs(4, 3, seed=0)
        >>> signs.nnz, signs.value.abs().unique().tolist()
        (12, [0.5])
    """
    parts = min(SIGNS, num_rows)
    columns = torch.arange(num_cols, device=device)
    start = torch_start(seed, DOMAIN_SKETCH, columns)
    rows, values = [], []
    for part in range(parts):
        low, high = part * num_rows // parts, (part + 1) * num_rows // parts
        words = torch_word(start, part)
        rows.append(low + torch_below(words, torch.full_like(columns, high - low)))
        values.append(1 - 2 * (words & 1))  # a bit that the choice of the row does not use
    value = torch.cat(values).to(dtype) / math.sqrt(parts)
    edges = torch.stack([columns.repeat(parts), torch.cat(rows)])
    return CSR.from_edge_index(edges, value, size=(num_cols, num_rows))
