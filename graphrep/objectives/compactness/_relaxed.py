"""From layer bounds to scores: the published score, and two lower bounds that hold."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graphrep.kernels import CSR, sddmm, spmm
from graphrep.kernels.dropping import least_coefficients
from graphrep.kernels.segment.reduce import reduce_rows
from graphrep.objectives.compactness._graph import Dropping, clean_scale, normalized_product, restricted
from graphrep.objectives.compactness.bounds import Ranges, Weights, layer_ranges, leaky

__all__ = ["Encoder", "official_scores", "sound_scores"]


class Encoder(NamedTuple):
    """Two layers on a graph: `inside` = x W1, (W, b) of both, the slope below 0, and the droppings allowed."""

    inside: Tensor
    layers: Weights
    slope: float | Tensor
    dropping: Dropping


def _relaxation(lower: Tensor, upper: Tensor, slope: float | Tensor) -> tuple[Tensor, Tensor]:
    """Slope of the lines that enclose the activation, and what the upper one adds: k x <= s(x) <= k x + rise."""
    crossing = (lower < 0) & (upper > 0)
    width = torch.where(crossing, upper - lower, 1)  # no division by zero, not even where the result is not used
    flat = torch.where(lower >= 0, torch.ones_like(lower), slope * torch.ones_like(lower))
    line = torch.where(crossing, (upper - slope * lower) / width, flat)
    rise = torch.where(crossing, (slope - 1) * upper * lower / width, 0)
    return line, rise


def official_scores(encoder: Encoder, contrast: Tensor, view: CSR, nodes: Tensor | None) -> Tensor:
    """The score in the authors' program; `nodes` restricts all matrices to these rows and columns.

    It holds the first layer fixed on the given graph while it bounds the second, uses node i's relaxation for its
    neighbours too, and multiplies by the transpose of the sampled matrix: no lower bound, but the published numbers.
    """
    inside, ((_, b1), (w2, b2)), slope, dropping = encoder
    csr, scale, least_own, _ = dropping
    sampled = clean_scale(view, inside.dtype)
    second = leaky(normalized_product(csr, clean_scale(csr, inside.dtype), inside) + b1, slope) @ w2
    if nodes is not None:
        view, inside, second, sampled = restricted(view, nodes), inside[nodes], second[nodes], sampled[nodes]
        dropping = Dropping(restricted(csr, nodes), scale[nodes], least_own[nodes])
    (line1, rise1), (line2, rise2) = (
        _relaxation(*_shifted(dropping.interval(product, product), bias), slope)
        for product, bias in ((inside, b1), (second, b2))
    )
    pull = line2 * contrast
    back = pull @ w2.t()
    added = torch.where(contrast < 0, contrast * rise2, 0).sum(1) + pull @ b2
    pull = line1 * back
    hidden = torch.where(back < 0, back * rise1, 0).sum(1) + pull @ b1
    start = (inside * pull).sum(1, keepdim=True)
    turned = view.t()
    middle = normalized_product(turned, sampled, start) + hidden.unsqueeze(1)
    return normalized_product(turned, sampled, middle).squeeze(1) + added


def _shifted(ends: tuple[Tensor, Tensor], bias: Tensor) -> tuple[Tensor, Tensor]:
    return ends[0] + bias, ends[1] + bias


def sound_scores(encoder: Encoder, contrast: Tensor, bound: str) -> Tensor:
    """(N,) lower bounds of ``<contrast_i, z_i>`` over all permitted graphs: "ibp", "crown-ibp", or the larger."""
    ranges = layer_ranges(encoder.inside, encoder.dropping, encoder.layers, encoder.slope)
    if bound == "crown-ibp":
        return _through_lines(encoder, ranges, contrast)
    low, high = (leaky(end, encoder.slope) for end in ranges[1])
    score = (contrast.relu() * low - (-contrast).relu() * high).sum(1)
    return score if bound == "ibp" else torch.maximum(score, _through_lines(encoder, ranges, contrast))


def _through_lines(encoder: Encoder, ranges: Ranges, contrast: Tensor) -> Tensor:
    """The second activation replaced by a line per unit, so that one number per edge remains to be bounded."""
    _, (_, (w2, b2)), slope, dropping = encoder
    line, rise = _relaxation(*ranges[1], slope)
    pull = line * contrast
    constant = torch.where(contrast < 0, contrast * rise, 0).sum(1) + pull @ b2
    back = pull @ w2.t()
    (low, high), up, down = (leaky(end, slope) for end in ranges[0]), back.relu(), (-back).relu()
    own = (up * low).sum(1) - (down * high).sum(1)
    along = sddmm(dropping.csr, up, low) - sddmm(dropping.csr, down, high)
    return constant + _least(dropping, along, own)


def _least(dropping: Dropping, along: Tensor, own: Tensor) -> Tensor:
    """The smallest sum over each row of its entries times `along` (nnz,), and its diagonal entry times `own`."""
    csr, scale, least_own, budget = dropping
    if budget is not None:
        factor, own_factor = least_coefficients(csr, along, own, budget)
        return reduce_rows(factor * along, csr.rowptr) + own_factor * own
    falls = spmm(csr.with_value((-along).relu()), scale.unsqueeze(1)).squeeze(1)
    lower: Tensor = least_own * own.relu() - scale * scale * (-own).relu() - scale * falls
    return lower
