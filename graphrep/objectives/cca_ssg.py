"""Two views made equal column by column while columns stay uncorrelated (CCA-SSG; Zhang et al., NeurIPS 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels._check import check_device, check_floating
from graphrep.objectives._common import Objective, check_pairs

__all__ = ["CCASSGLoss", "cca_ssg"]


def cca_ssg(u: Tensor, v: Tensor, *, lambd: float) -> Tensor:
    """Invariance plus `lambd` times decorrelation; no negatives, no pairs of nodes.

    With a and b the views' columns centred and divided by their standard deviation (that of N, not N - 1) and by
    sqrt(N), the loss is ``|a - b|_F^2 + lambd (|a'a - I|_F^2 + |b'b - I|_F^2)``. A column without variance is 0 in a or
    b, sends no gradient, and costs 1 in each of the two terms that it is part of.

    Args:
        u: (N, d), one view; row i is node i.
        v: (N, d), the other view.
        lambd: weight of the decorrelation, at least 0.

    Returns:
        A scalar, float32 for half types. O(N d^2) time, O(N d + d^2) memory.

    Raises:
        ShapeError, DTypeError, DeviceError: the views do not fit each other.
        GraphrepError: `lambd` is negative or not finite.

    See also: :func:`bootstrap` (needs a second encoder), :func:`info_nce`.

    Source: Zhang et al., "From Canonical Correlation Analysis to Self-supervised Graph Neural Networks", 2021,
    arXiv:2106.12484. The authors' program divides by N - 1 and drops constants of the first term.

    Example:
        >>> u = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> cca_ssg(u, -u, lambd=0.001)
        tensor(8.0000)
    """
    _check_lambd(lambd)
    check_pairs(u, v)
    check_floating(u, "u")
    check_floating(v, "v")
    check_device(u.device, v=v)
    dtype = torch.promote_types(torch.promote_types(u.dtype, v.dtype), torch.float32)
    a, b = _standard(u.to(dtype)), _standard(v.to(dtype))
    identity = torch.eye(a.shape[1], dtype=dtype, device=a.device)
    spread = sum((x.t() @ x - identity).square().sum() for x in (a, b))
    return (a - b).square().sum() + lambd * spread


def _standard(x: Tensor) -> Tensor:
    """Columns of mean 0 and length 1; zeros where a column varies by no more than rounding."""
    mean = x.mean(0)
    centred = x - mean
    variance = centred.square().mean(0)
    flat = variance <= (16 * torch.finfo(x.dtype).eps * mean).square()
    scale = torch.where(flat, 1, variance).rsqrt() / math.sqrt(x.shape[0])
    return torch.where(flat, 0, centred * scale)


def _check_lambd(lambd: float) -> None:
    if not (math.isfinite(lambd) and lambd >= 0):
        raise GraphrepError(f"lambd must be finite and at least 0; got {lambd}.", hint="for example 0.001")


class CCASSGLoss(Objective):
    """:func:`cca_ssg` as a module.

    Example:
        >>> CCASSGLoss(lambd=0.001)
        CCASSGLoss(lambd=0.001)
    """

    def __init__(self, *, lambd: float) -> None:
        _check_lambd(lambd)
        super().__init__(lambd=lambd)

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """See :func:`cca_ssg`."""
        return cca_ssg(u, v, **self.options)
