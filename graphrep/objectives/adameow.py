"""Contrast whose pairs are weighted by a small network that is trained with it (AdaMEOW; Yu et al., TKDE 2024)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels._check import check_device, check_floating
from graphrep.kernels.weighted import NetworkWeights, network_contrast, network_moments
from graphrep.kernels.weighted.tiles import activations
from graphrep.objectives._common import Objective, check_temperature, check_unit_views, reduced

__all__ = ["AdaMEOWContrastLoss", "AdaptiveNegativeWeight", "WeightStatistics", "adameow_contrast"]


class WeightStatistics(NamedTuple):
    """Of all weights w_ij: mean, population standard deviation, smallest and largest."""

    mean: float
    std: float
    min: float
    max: float


class AdaptiveNegativeWeight(nn.Module):
    """A weight between 0 and 1 for each pair of nodes: ``w_ij = sigmoid( v . tanh(U (a_i + z_j) + b) + c )``.

    As the first layer is linear, U (a_i + z_j) is a sum of two rows of `hidden` numbers, one per node; nothing of
    N x M x hidden is ever needed.

    Args:
        dim: d, length of the rows.
        hidden: units of the first layer.

    Attributes:
        lin1: ``nn.Linear(dim, hidden)``, U and b.
        lin2: ``nn.Linear(hidden, 1)``, v and c.

    Raises:
        GraphrepError: `dim` or `hidden` is not positive.

    Source: Yu, Ge, Li, Zhou, "Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Adaptively Weighted
    Negative Samples", 2024.

    Example:
        >>> net = AdaptiveNegativeWeight(4)
        >>> net(torch.zeros(2, 4), torch.zeros(3, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(self, dim: int, hidden: int = 16) -> None:
        for name, size in (("dim", dim), ("hidden", hidden)):
            if size < 1:
                raise GraphrepError(f"{name} is {size}; the network needs at least one.", hint="dim=64, hidden=16")
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, 1)

    def forward(self, anchor: Tensor, z: Tensor) -> Tensor:
        """(N, M) weights of all pairs, for inspection: :func:`adameow_contrast` makes do without this array.

        Args:
            anchor: (N, d).
            z: (M, d).

        Autograd would keep an N x M array for each hidden unit; under ``torch.no_grad()`` there are a few in all.
        """
        weights: Tensor = torch.sigmoid(activations(*self.rows(anchor, z)))
        return weights

    def statistics(self, anchor: Tensor, z: Tensor) -> WeightStatistics:
        """Mean, standard deviation, smallest and largest weight of all pairs of (N, d) and (M, d) rows.

        Weights that all approach 0 lower the loss of :func:`adameow_contrast` without any gain for the vectors; a mean
        below 0.01 says so. O((N + M) (d + hidden)) memory, N M hidden tangents.

        Raises:
            ShapeError, DTypeError, DeviceError: the arguments do not fit, or there is no pair.

        Example:
            >>> net = AdaptiveNegativeWeight(4)
            >>> torch.nn.init.zeros_(net.lin2.weight).sum() + torch.nn.init.zeros_(net.lin2.bias).sum()
            tensor(0., grad_fn=<AddBackward0>)
            >>> net.statistics(torch.ones(2, 4), torch.ones(3, 4))
            WeightStatistics(mean=0.5, std=0.0, min=0.5, max=0.5)
        """
        weights = self.rows(anchor, z)
        if not len(weights.p) * len(weights.q):
            raise ShapeError(
                f"{len(anchor)} anchors and {len(z)} columns form no pair.", hint="one row or more of each"
            )
        return WeightStatistics(*network_moments(weights))

    def rows(self, anchor: Tensor, z: Tensor) -> NetworkWeights:
        """What the weights of all pairs follow from: U a_i + b, U z_j, v and c; float32 or float64.

        Raises:
            ShapeError, DTypeError, DeviceError: the arguments do not fit.
        """
        dim = self.lin1.in_features
        for name, x in (("anchor", anchor), ("z", z)):
            check_floating(x, name)
            check_device(self.lin1.weight.device, **{name: x})
            if x.dim() != 2 or x.shape[1] != dim:
                raise ShapeError(f"{name} has shape {tuple(x.shape)}; the network takes rows of {dim}.", hint="(N, d)")
        dtype = torch.promote_types(torch.promote_types(anchor.dtype, z.dtype), self.lin1.weight.dtype)
        dtype = torch.promote_types(dtype, torch.float32)
        weight, bias = self.lin1.weight.to(dtype), self.lin1.bias.to(dtype)
        p, q = linear(anchor.to(dtype), weight, bias), linear(z.to(dtype), weight)
        return NetworkWeights(p, q, self.lin2.weight.to(dtype).squeeze(0), self.lin2.bias.to(dtype))

    def extra_repr(self) -> str:
        """Sizes."""
        return f"dim={self.lin1.in_features}, hidden={self.lin1.out_features}"


def adameow_contrast(
    anchor: Tensor,
    z: Tensor,
    net: AdaptiveNegativeWeight,
    *,
    temperature: float,
    normalise: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """InfoNCE whose pairs a network weighs; it learns from the same loss.

        ``l_i = -log [ exp(a_i.z_i / t) / sum_j w_ij exp(a_i.z_j / t) ]``,  ``w_ij = net(a_i, z_j)``

    One direction only; j = i is in the sum, with its weight. The weights stand in the denominator alone, so the loss
    falls without limit as they all go to 0. `normalise` divides them by their mean over j, which takes that way out.

    Args:
        anchor: (N, d), one view; row i is node i. Rows are taken as they are: pass unit rows.
        z: (N, d), the other view.
        net: gives the weights; its parameters get gradients, as do both views through it.
        temperature: t > 0.
        normalise: divide w_ij by the mean of w_ik over k.
        reduction: ``"mean"``, or ``"none"`` for (N,) rows.

    Returns:
        A scalar, or (N,); may be negative. float32 for half types, float64 if a view or the network is. Differentiable
        once.

    Cost per pair: d multiply-adds and h tangents forward, 3 d and about twice the tangents' work backward. Weights
    exist for a tile of pairs at a time and are computed anew in the backward pass: O(N (d + h)) memory.

    Raises:
        ShapeError, DTypeError, DeviceError, UnknownNameError, GraphrepError: the arguments do not fit.

    See also: :meth:`AdaptiveNegativeWeight.statistics` (whether the weights have collapsed), :func:`meow_contrast`.

    Source: Yu, Ge, Li, Zhou, "Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Adaptively Weighted
    Negative Samples", 2024; `normalise` after ProGCL, 2022.

    Example:
        >>> net = AdaptiveNegativeWeight(3)
        >>> for parameter in net.parameters():
        ...     _ = torch.nn.init.zeros_(parameter)  # all weights are 1/2
        >>> adameow_contrast(torch.eye(3), torch.eye(3), net, temperature=1.0, normalise=True).item()
        0.5514447...
    """
    check_temperature(temperature)
    if not isinstance(net, AdaptiveNegativeWeight):
        raise GraphrepError(f"net is a {type(net).__name__}.", hint="AdaptiveNegativeWeight(dim)")
    check_unit_views(anchor, z)
    weights, scale = net.rows(anchor, z), 1 / temperature
    a, b = anchor.to(weights.p.dtype), z.to(weights.p.dtype)
    lse, total = network_contrast(a, b, weights, scale=scale, totals=normalise)
    if normalise:
        lse = lse - total + math.log(len(a))
    return reduced(lse - (a * b).sum(1) * scale, reduction)


class AdaMEOWContrastLoss(Objective):
    """:func:`adameow_contrast` as a module; the network is passed to `forward`.

    Example:
        >>> AdaMEOWContrastLoss(temperature=0.9)
        AdaMEOWContrastLoss(temperature=0.9, normalise=False, reduction='mean')
    """

    def __init__(self, *, temperature: float, normalise: bool = False, reduction: str = "mean") -> None:
        check_temperature(temperature)
        super().__init__(temperature=temperature, normalise=normalise, reduction=reduction)

    def forward(self, anchor: Tensor, z: Tensor, net: AdaptiveNegativeWeight) -> Tensor:
        """See :func:`adameow_contrast`."""
        return adameow_contrast(anchor, z, net, **self.options)
