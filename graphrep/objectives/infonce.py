"""InfoNCE between two views of the same nodes, with all other nodes as negatives (GRACE; Zhu et al. 2020)."""

from __future__ import annotations

from torch import Tensor

from graphrep.kernels import CSR
from graphrep.kernels.blockwise import DOTS, UU, UV, VU, VV, contrast
from graphrep.objectives._common import (
    Objective,
    check_choice,
    check_pairs,
    check_temperature,
    forbidden_lists,
    reduced,
)

__all__ = ["InfoNCELoss", "info_nce"]


def info_nce(
    u: Tensor,
    v: Tensor,
    *,
    temperature: float,
    intra_view: bool = True,
    symmetric: bool = True,
    negatives: str = "exact",
    reduction: str = "mean",
    forbidden: tuple[CSR | None, ...] | None = None,
) -> Tensor:
    """The contrast of each node's two views against all other nodes.

    For unit rows and temperature t, ``l(u_i) = -u_i.v_i / t + log [ sum_k exp(u_i.v_k / t) + sum_{k != i} exp(u_i.u_k /
    t) ]``; the loss is the mean of ``(l(u_i) + l(v_i)) / 2``.

    Args:
        u: (N, d), one view; row i is node i. Rows are divided by their length inside.
        v: (N, d), the other view of the same nodes.
        temperature: t > 0.
        intra_view: whether other nodes of the anchor's own view are negatives too.
        symmetric: whether both views take the part of the anchor; False is the direction u -> v alone.
        negatives: ``"exact"``, all of them.
        reduction: ``"mean"``, or ``"none"`` for (N,) rows (the mean of both directions when symmetric).
        forbidden: CSRs (uu, uv[, vv, vu]) of pairs to leave out, rows = anchors; the last two are needed when
            symmetric. An entry may be None. The positive always stays. See :func:`guided_negatives`.

    Returns:
        A scalar, or (N,); float32 for half types. Differentiable once.

    Cost: 16 N^2 d floating-point operations forward and backward with both directions and views, and O(N d) memory:
    products that serve two anchors are computed once and no N x N array exists.

    Raises:
        ShapeError, DTypeError, DeviceError, UnknownNameError, GraphrepError: the arguments do not fit.

    See also: :func:`decoupled_contrastive` (without the positive in the sum), :func:`in_batch_info_nce` (edges).

    Source: Zhu et al., "Deep Graph Contrastive Representation Learning", 2020, equation 1.

    Example:
        >>> import torch
        >>> views = torch.eye(3), torch.eye(3)
        >>> info_nce(*views, temperature=1.0)
        tensor(0.9048)
    """
    check_temperature(temperature)
    check_choice("negatives", negatives, ("exact",))
    check_pairs(u, v)
    terms = UV | DOTS | (UU if intra_view else 0)
    if symmetric:
        terms |= VU | (VV if intra_view else 0)
    lists = forbidden_lists(forbidden, u.shape[0], symmetric=symmetric)
    lse_u, lse_v, dots = contrast(u, v, terms=terms, scale=1 / temperature, unit=True, forbidden=lists)
    rows = (lse_u + lse_v) / 2 - dots if symmetric else lse_u - dots
    return reduced(rows, reduction)


class InfoNCELoss(Objective):
    """:func:`info_nce` as a module.

    Example:
        >>> InfoNCELoss(temperature=0.5, intra_view=False)
        InfoNCELoss(temperature=0.5, intra_view=False, symmetric=True, negatives='exact', reduction='mean')
    """

    def __init__(
        self,
        *,
        temperature: float,
        intra_view: bool = True,
        symmetric: bool = True,
        negatives: str = "exact",
        reduction: str = "mean",
        forbidden: tuple[CSR | None, ...] | None = None,
    ) -> None:
        check_temperature(temperature)
        super().__init__(
            temperature=temperature,
            intra_view=intra_view,
            symmetric=symmetric,
            negatives=negatives,
            reduction=reduction,
            forbidden=forbidden,
        )

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """See :func:`info_nce`."""
        return info_nce(u, v, **self.options)
