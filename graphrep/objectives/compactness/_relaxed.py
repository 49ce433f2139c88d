"""From layer bounds to scores: the published score, and two lower bounds that hold.

Everything that is wide is done in blocks of hidden or output units, which do not depend on each other, and computed
anew in the backward pass; so about ten N x d arrays are alive instead of sixty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from graphrep.kernels import CSR, sddmm, spmm
from graphrep.kernels.dropping import least_coefficients
from graphrep.kernels.segment.reduce import reduce_rows
from graphrep.objectives.compactness._graph import Dropping, clean_scale, normalized_product, restricted
from graphrep.objectives.compactness.bounds import Weights, leaky

__all__ = ["Encoder", "official_scores", "sound_scores"]

UNITS = 64  # hidden or output units at a time
Slope = float | Tensor


class Encoder(NamedTuple):
    """Two layers on a graph: `inside` = x W1, (W, b) of both, the slope below 0, and the droppings allowed."""

    inside: Tensor
    layers: Weights
    slope: Slope
    dropping: Dropping


def _relaxation(lower: Tensor, upper: Tensor, slope: Slope) -> tuple[Tensor, Tensor]:
    """Slope of the lines that enclose the activation, and what the upper one adds: k x <= s(x) <= k x + rise."""
    crossing = (lower < 0) & (upper > 0)
    width = torch.where(crossing, upper - lower, 1)  # no division by zero, not even where the result is not used
    flat = torch.where(lower >= 0, torch.ones_like(lower), slope * torch.ones_like(lower))
    line = torch.where(crossing, (upper - slope * lower) / width, flat)
    rise = torch.where(crossing, (slope - 1) * upper * lower / width, 0)
    return line, rise


def _in_blocks(
    step: Callable[..., tuple[Tensor, ...]], *wide: tuple[Tensor, int], whole: Sequence[Tensor | float] = ()
) -> list[tuple[Tensor, ...]]:
    """Results of `step` for each block of units; what it computes on the way is not kept for the backward pass.

    Args:
        step: called with a block of each of `wide`, then `whole`.
        wide: tensors with the axis that counts the units.
        whole: passed as they are.
    """
    blocks = zip(*(torch.split(tensor, UNITS, dim=axis) for tensor, axis in wide), strict=True)
    return [checkpoint(step, *block, *whole, use_reentrant=False, preserve_rng_state=False) for block in blocks]


def _summed(parts: list[tuple[Tensor, ...]]) -> list[Tensor]:
    return [_total(part) for part in zip(*parts, strict=True)]


def _total(part: Sequence[Tensor]) -> Tensor:
    out = part[0]
    for other in part[1:]:
        out = out + other
    return out


def official_scores(encoder: Encoder, contrast: Tensor, view: CSR, nodes: Tensor | None) -> Tensor:
    """The score in the authors' program; `nodes` restricts all matrices to these rows and columns.

    It holds the first layer fixed on the given graph while it bounds the second, uses node i's relaxation for its
    neighbours too, and multiplies by the transpose of the sampled matrix: no lower bound, but the published numbers.
    """
    inside, ((_, b1), (w2, b2)), slope, dropping = encoder
    csr, sampled = dropping.csr, clean_scale(view, inside.dtype)
    clean = clean_scale(csr, inside.dtype)

    def hidden_layer(inside: Tensor, bias: Tensor, weight: Tensor, slope: Slope) -> tuple[Tensor, ...]:
        return (leaky(normalized_product(csr, clean, inside) + bias, slope) @ weight,)

    (second,) = _summed(_in_blocks(hidden_layer, (inside, 1), (b1, 0), (w2, 0), whole=(slope,)))
    if nodes is not None:
        view, inside, second, sampled = restricted(view, nodes), inside[nodes], second[nodes], sampled[nodes]
        dropping = Dropping(restricted(csr, nodes), dropping.scale[nodes], dropping.least_own[nodes])

    def lines(units: Tensor, bias: Tensor, slope: Slope) -> tuple[Tensor, Tensor]:
        low, high = dropping.interval(units, units)
        return _relaxation(low + bias, high + bias, slope)

    def output_units(units: Tensor, bias: Tensor, contrast: Tensor, slope: Slope) -> tuple[Tensor, ...]:
        line, rise = lines(units, bias, slope)
        pull = line * contrast
        return pull, torch.where(contrast < 0, contrast * rise, 0).sum(1) + (pull * bias).sum(1)

    def hidden_units(inside: Tensor, bias: Tensor, weight: Tensor, pull: Tensor, slope: Slope) -> tuple[Tensor, ...]:
        line, rise = lines(inside, bias, slope)
        back = pull @ weight.t()
        forth = line * back
        return (inside * forth).sum(1), torch.where(back < 0, back * rise, 0).sum(1) + (forth * bias).sum(1)

    parts = _in_blocks(output_units, (second, 1), (b2, 0), (contrast, 1), whole=(slope,))
    pull, added = torch.cat([part[0] for part in parts], 1), _total([part[1] for part in parts])
    start, hidden = _summed(_in_blocks(hidden_units, (inside, 1), (b1, 0), (w2, 0), whole=(pull, slope)))
    turned = view.t()
    middle = normalized_product(turned, sampled, start.unsqueeze(1)) + hidden.unsqueeze(1)
    return normalized_product(turned, sampled, middle).squeeze(1) + added


def sound_scores(encoder: Encoder, contrast: Tensor, bound: str) -> Tensor:
    """(N,) lower bounds of ``<contrast_i, z_i>`` over all permitted graphs: "ibp", "crown-ibp", or "best" of both."""
    inside, ((_, b1), (w2, b2)), slope, dropping = encoder

    def first_layer(inside: Tensor, bias: Tensor, slope: Slope) -> tuple[Tensor, Tensor]:
        low, high = dropping.interval(inside, inside)
        return leaky(low + bias, slope), leaky(high + bias, slope)

    def hidden_units(inside: Tensor, bias: Tensor, weight: Tensor, slope: Slope) -> tuple[Tensor, ...]:
        low, high = first_layer(inside, bias, slope)
        return (low + high) / 2 @ weight, (high - low) / 2 @ weight.abs()

    def output_units(
        centre: Tensor, radius: Tensor, bias: Tensor, contrast: Tensor, slope: Slope
    ) -> tuple[Tensor, ...]:
        low, high = dropping.interval(centre - radius, centre + radius)
        low, high = low + bias, high + bias
        held = (contrast.relu() * leaky(low, slope) - (-contrast).relu() * leaky(high, slope)).sum(1)
        line, rise = _relaxation(low, high, slope)
        pull = line * contrast
        return held, pull, torch.where(contrast < 0, contrast * rise, 0).sum(1) + (pull * bias).sum(1)

    def pulled_units(inside: Tensor, bias: Tensor, weight: Tensor, pull: Tensor, slope: Slope) -> tuple[Tensor, ...]:
        low, high = first_layer(inside, bias, slope)
        back = pull @ weight.t()
        up, down = back.relu(), (-back).relu()
        along = sddmm(dropping.csr, up, low) - sddmm(dropping.csr, down, high)
        return along, (up * low).sum(1) - (down * high).sum(1)

    hidden = (inside, 1), (b1, 0), (w2, 0)
    centre, radius = _summed(_in_blocks(hidden_units, *hidden, whole=(slope,)))
    parts = _in_blocks(output_units, (centre, 1), (radius, 1), (b2, 0), (contrast, 1), whole=(slope,))
    held = _total([part[0] for part in parts])
    if bound == "ibp":
        return held
    pull, constant = torch.cat([part[1] for part in parts], 1), _total([part[2] for part in parts])
    along, own = _summed(_in_blocks(pulled_units, *hidden, whole=(pull, slope)))
    through = constant + _least(dropping, along, own)
    return through if bound == "crown-ibp" else torch.maximum(held, through)


def _least(dropping: Dropping, along: Tensor, own: Tensor) -> Tensor:
    """The smallest sum over each row of its entries times `along` (nnz,), and its diagonal entry times `own`."""
    csr, scale, least_own, budget = dropping
    if budget is not None:
        factor, own_factor = least_coefficients(csr, along, own, budget)
        return reduce_rows(factor * along, csr.rowptr) + own_factor * own
    falls = spmm(csr.with_value((-along).relu()), scale.unsqueeze(1)).squeeze(1)
    lower: Tensor = least_own * own.relu() - scale * scale * (-own).relu() - scale * falls
    return lower
