"""Negatives that a guide finds more alike than the positive pair are dropped (GISTEmbed; Solatorio 2024)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from graphrep.kernels import CSR
from graphrep.objectives._common import check_pairs

__all__ = ["guided_negatives"]

PAIRS = 1 << 21  # similarities held at a time
SLACK = 8  # roundings by which equal similarities may differ


@torch.no_grad()
def guided_negatives(guide_u: Tensor, guide_v: Tensor, *, margin: float = 0.0) -> tuple[CSR, CSR]:
    """Pairs (i, j) whose guide similarity is strictly above that of the positive pair of i, less a margin.

    ``g(u_i, x_j) > g(u_i, v_i) - margin`` with cosines g and x the guide's rows of the same view (uu) or the other
    (uv).
    Similarities that differ by rounding alone count as equal. Self pairs are left out.

    Args:
        guide_u: (N, d) rows of the guide for the anchors' view: features, embeddings of another model, ...
        guide_v: (N, d) rows of the guide for the other view.
        margin: how far below the positive pair a pair is dropped already.

    Returns:
        CSRs (uu, uv), both (N, N), rows = anchors, columns ascending: ``forbidden`` of :func:`info_nce` with
        ``symmetric=False``. For both directions append ``guided_negatives(guide_v, guide_u)``. A weak positive removes
        every negative: look at ``uu.nnz / N^2``.

    Cost: 4 N^2 d operations in float64 by blocks of rows; memory O(N d) and the result.

    Raises:
        ShapeError: the guides differ in shape.

    Source: Solatorio, "GISTEmbed", 2024, section 3.

    Example:
        >>> guide = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> uu, uv = guided_negatives(guide, torch.tensor([[1.0, 0.5], [0.9, 0.1], [0.0, 1.0]]))
        >>> uu.row().tolist(), uu.col.tolist()
        ([0], [1])
    """
    check_pairs(guide_u, guide_v)
    u, v = (normalize(x.double()) for x in (guide_u, guide_v))
    positive = (u * v).sum(1, keepdim=True)
    threshold = positive - margin + SLACK * torch.finfo(torch.float64).eps
    return _above(u, u, threshold), _above(u, v, threshold)


def _above(u: Tensor, x: Tensor, threshold: Tensor) -> CSR:
    num_nodes = u.shape[0]
    step = max(1, PAIRS // num_nodes)
    counts, columns = [], []
    for start in range(0, num_nodes, step):
        above = u[start : start + step] @ x.t() > threshold[start : start + step]
        above.diagonal(offset=start).fill_(False)
        counts.append(above.sum(1))
        columns.append(above.nonzero()[:, 1])
    rowptr = torch.cat([counts[0].new_zeros(1), torch.cat(counts).cumsum(0)])
    return CSR(rowptr, torch.cat(columns), num_cols=num_nodes)
