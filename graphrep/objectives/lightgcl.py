"""The contrast of LightGCL: some nodes of one view against all nodes of another (Cai et al., ICLR 2023)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels._check import check_device, check_floating, check_index, check_range
from graphrep.kernels.blockwise import streaming_logsumexp
from graphrep.objectives._common import Objective, check_temperature

__all__ = ["LightGCLContrastLoss", "lightgcl_contrast"]


def lightgcl_contrast(
    view_query: Tensor,
    main_keys: Tensor,
    index: Tensor,
    *,
    temperature: float,
    pos_clamp: float | None = 5.0,
) -> Tensor:
    """Log-sum-exp of each listed node's row against all keys, minus the logit of its own key.

    The mean over i in `index` of ``log sum_v exp(g_i . e_v / t) - clamp(g_i . e_i / t, -c, c)``: inner products, rows
    are not normalised, and the node's own key is in the sum. Beyond c the own logit has no gradient.

    Args:
        view_query: (N, d), row g_i of every node in the view that asks.
        main_keys: (N, d), row e_i of the same nodes in the view that answers.
        index: (T,) int32 or int64, T >= 1, nodes that ask. Repeats count with their multiplicity and cost nothing.
        temperature: t > 0.
        pos_clamp: c > 0; None: no clamp.

    Returns:
        A scalar, float32 for half types; differentiable once in both views. With M distinct nodes 2 M N d
        multiply-adds forward and 6 M N d backward, O((M + N) d) memory: no T x N array exists.

    Raises:
        ShapeError, DTypeError, DeviceError, IndexRangeError, GraphrepError: the arguments do not fit each other.

    Source: Cai, Huang, Xia, Ren, "LightGCL: Simple Yet Effective Graph Contrastive Learning for Recommendation", 2023,
    arXiv:2302.08191, in the form of the authors' current code.

    Example:
        >>> rows = torch.eye(3)
        >>> lightgcl_contrast(rows, rows, torch.tensor([0, 2, 2]), temperature=1.0)
        tensor(0.5514)
    """
    check_temperature(temperature)
    if pos_clamp is not None and not (math.isfinite(pos_clamp) and pos_clamp > 0):
        raise GraphrepError(f"pos_clamp must be positive and finite; got {pos_clamp}.", hint="5.0, or None for none")
    _check(view_query, main_keys, index)
    nodes, count = torch.unique(index.long(), return_counts=True)
    query, scale = view_query.index_select(0, nodes), 1 / temperature
    total = streaming_logsumexp(query, main_keys, scale=scale)
    own = (query.to(total.dtype) * main_keys.index_select(0, nodes).to(total.dtype)).sum(1) * scale
    if pos_clamp is not None:
        own = own.clamp(-pos_clamp, pos_clamp)
    weight = count.to(total.dtype) / index.numel()
    mean: Tensor = ((total - own) * weight).sum()
    return mean


def _check(view_query: Tensor, main_keys: Tensor, index: Tensor) -> None:
    for name, rows in (("view_query", view_query), ("main_keys", main_keys)):
        check_floating(rows, name)
    if view_query.dim() != 2 or view_query.shape != main_keys.shape:
        raise ShapeError(
            f"view_query has shape {tuple(view_query.shape)} and main_keys {tuple(main_keys.shape)}; row i of both "
            "must be the same node.",
            hint="(N, d)",
        )
    check_device(view_query.device, main_keys=main_keys, index=index)
    check_index(index, "index")
    check_range(index, view_query.shape[0], "index")
    if not index.numel():
        raise ShapeError("index is empty, so no node asks.", hint="one node or more")


class LightGCLContrastLoss(Objective):
    """:func:`lightgcl_contrast` as a module.

    Example:
        >>> LightGCLContrastLoss(temperature=0.2)
        LightGCLContrastLoss(temperature=0.2, pos_clamp=5.0)
    """

    def __init__(self, *, temperature: float, pos_clamp: float | None = 5.0) -> None:
        check_temperature(temperature)
        super().__init__(temperature=temperature, pos_clamp=pos_clamp)

    def forward(self, view_query: Tensor, main_keys: Tensor, index: Tensor) -> Tensor:
        """See :func:`lightgcl_contrast`."""
        return lightgcl_contrast(view_query, main_keys, index, **self.options)
