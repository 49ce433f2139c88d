"""The symmetric contrast of two towers with a learnt scale: row i of one side belongs to row i of the other (CLIP)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_floating, check_index
from graphrep.kernels.blockwise import DOTS, UV, VU, contrast
from graphrep.objectives._common import Objective, check_pairs, reduced

__all__ = ["LARGEST_SCALE", "ScaledContrastLoss", "scaled_contrast"]

LARGEST_SCALE = 100.0


def scaled_contrast(
    u: Tensor, v: Tensor, log_scale: Tensor, *, groups: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy of each row's own partner among all rows of the other side, the mean of both directions.

    For unit rows and s = min(exp(log_scale), 100), ``l_i = -s u_i.v_i + 1/2 log sum_j exp(s u_i.v_j) + 1/2 log sum_j
    exp(s v_i.u_j)``.

    Args:
        u: (N, d), N >= 1; rows are divided by their length inside.
        v: (N, d), the partners.
        log_scale: a scalar, usually a parameter; it gets a gradient while the scale is below 100.
        groups: (N,) integers: rows of one group (equal texts) are no negatives of each other. None: all are.
        reduction: ``"mean"``, or ``"none"`` for (N,) rows.

    Returns:
        A scalar, or (N,); float32 for half types. Differentiable once. No N x N array is built: 8 N^2 d
        floating-point operations, memory O(N d) and the pairs within groups.

    Raises:
        ShapeError, DTypeError, DeviceError, GraphrepError: the arguments do not fit.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, figure 3.

    Example:
        >>> scaled_contrast(torch.eye(3), torch.eye(3), torch.tensor(0.0))
        tensor(0.5514)
    """
    check_pairs(u, v)
    check_floating(log_scale, "log_scale")
    if log_scale.numel() != 1:
        raise ShapeError(f"log_scale has shape {tuple(log_scale.shape)}; it is one number.", hint="torch.tensor(2.66)")
    dtype = torch.promote_types(u.dtype, v.dtype)
    scale = log_scale.reshape(()).clamp(max=math.log(LARGEST_SCALE)).exp()
    left = nn.functional.normalize(u, dim=1).to(dtype) * scale.to(dtype)
    right = nn.functional.normalize(v, dim=1).to(dtype)
    uv = None if groups is None else _same_group(groups, u.shape[0])
    lse_u, lse_v, dots = contrast(left, right, terms=UV | VU | DOTS, forbidden={"uv": uv, "vu": uv})
    return reduced((lse_u + lse_v) / 2 - dots, reduction)


def _same_group(groups: Tensor, num_rows: int) -> CSR:
    """The pairs (i, j), i != j, of one group; a symmetric pattern, so that it serves both directions."""
    check_index(groups, "groups")
    if groups.shape != (num_rows,):
        raise ShapeError(f"groups has shape {tuple(groups.shape)} for {num_rows} rows.", hint="(N,)")
    order = groups.argsort(stable=True)
    sizes = torch.unique(groups, return_counts=True)[1]
    size = sizes.repeat_interleave(sizes)  # of the group at each place of the order
    first = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    place = torch.arange(num_rows, device=groups.device).repeat_interleave(size)
    within = torch.arange(place.numel(), device=groups.device) - (size.cumsum(0) - size)[place]
    other = first[place] + within
    pairs = torch.stack([order[other], order[place]])[:, other != place]
    return CSR.from_edge_index(pairs, size=(num_rows, num_rows))


class ScaledContrastLoss(Objective):
    """:func:`scaled_contrast` as a module.

    Args:
        init: the scale at the start, between 0 and 100; ``log_scale`` is the parameter.
        reduction: see there.

    Example:
        >>> loss = ScaledContrastLoss(init=1.0)
        >>> round(float(loss(torch.eye(3), torch.eye(3)).detach()), 4)
        0.5514
    """

    def __init__(self, *, init: float = 1 / 0.07, reduction: str = "mean") -> None:
        if not 0 < init <= LARGEST_SCALE:
            raise GraphrepError(f"init is {init}; the scale lies above 0 and up to 100.", hint="init=14.3")
        super().__init__(init=init, reduction=reduction)
        self.log_scale = nn.Parameter(torch.tensor(math.log(init)))

    def forward(self, u: Tensor, v: Tensor, groups: Tensor | None = None) -> Tensor:
        """See :func:`scaled_contrast`."""
        return scaled_contrast(u, v, self.log_scale, groups=groups, reduction=self.options["reduction"])
