"""Log-sum-exps whose pairs carry a weight that depends on how similar the pair is, without an N x N array.

The weight of nodes i and j is ``B_ij = x / (1 + exp(-(c + a log x + b log(1 - x))))``, ``x = (1 + <p_i, q_j>) / 2``:
x times the probability of one of two Beta densities. p and q are the two views themselves or rows kept from earlier, so
a tile of weights costs one product, and the same tile serves both directions (B_ij for u_i, and for v_j as the anchor).
Everything is done in logarithms: no sum overflows or vanishes at any temperature.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from graphrep.errors import GraphrepError
from graphrep.kernels._dispatch import register
from graphrep.kernels._library import define
from graphrep.kernels._ops import accumulator, widened

__all__ = ["MixtureSums", "mixture_contrast"]

TILE = 1024  # rows and columns at a time
SMALLEST = 1e-12  # x and 1 - x are at least this


class MixtureSums(NamedTuple):
    """(N,) each, the last two empty for one direction; only the first and the third carry a gradient.

    For anchor u_i, `lse_u` is ``log sum_{j != i} B_ij [exp(s u_i.v_j) + exp(s u_i.u_j)]`` and `total_u` is ``log
    sum_{j != i} B_ij``; for anchor v_j the same with u and v, and the axes of B, exchanged. -inf without other nodes.
    """

    lse_u: Tensor
    total_u: Tensor
    lse_v: Tensor
    total_v: Tensor


def mixture_contrast(
    u: Tensor,
    v: Tensor,
    odds: tuple[float, float, float],
    *,
    scale: float,
    symmetric: bool,
    frozen: tuple[Tensor, Tensor] | None = None,
    block_size: int | None = None,
) -> MixtureSums:
    """The weighted sums over all pairs.

    Args:
        u: (N, d) unit rows, float32 or float64.
        v: (N, d) unit rows of the same dtype.
        odds: (c, a, b) above.
        scale: s, an inverse temperature.
        symmetric: whether rows of v are anchors too.
        frozen: (N, e) unit rows p and q that the weights come from; default u and v. Weights carry no gradient.
        block_size: side of a tile.

    Cost in multiply-adds per pair: 2 d + e forward and 6 d + e backward with one direction, 3 d + e and 9 d + e with
    both; e = d without frozen rows.
    """
    kept = (None, None) if frozen is None else tuple(x.detach().to(u.dtype).contiguous() for x in frozen)
    sums = _mixture(u.contiguous(), v.contiguous(), scale, symmetric, *odds, block_size or TILE, *kept)
    return MixtureSums(*sums)


class _Tiles:
    """Logarithms of weights, and logits, tile by tile."""

    def __init__(self, u: Tensor, v: Tensor, scale: float, odds: tuple[float, ...], step: int, kept: Any) -> None:
        self.u, self.v, self.scale, self.odds, self.step = u, v, scale, odds, step
        self.p: Tensor = u if kept[0] is None else kept[0]
        self.q: Tensor = v if kept[1] is None else kept[1]

    def parts(self) -> list[slice]:
        """Rows in blocks of at most `step`."""
        count = self.u.shape[0]
        return [slice(first, min(first + self.step, count)) for first in range(0, count, self.step)]

    def log_weights(self, rows: slice, cols: slice) -> Tensor:
        """(rows, cols) log of the weight of each pair of a tile; -inf on the diagonal."""
        offset, on_log_x, on_log_rest = self.odds
        half = (self.p[rows] @ self.q[cols].t()).mul_(0.5)
        rest = (0.5 - half).clamp_(min=SMALLEST).log_()
        x = half.add_(0.5).clamp_(min=SMALLEST).log_()
        out = logsigmoid(rest.mul_(on_log_rest).add_(x, alpha=on_log_x).add_(offset)).add_(x)
        if rows == cols:
            out.diagonal().fill_(-torch.inf)
        return out

    def logits(self, a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
        """(rows, cols) scaled products of a tile plus the log weights."""
        return torch.addmm(weights, a, b.t(), alpha=self.scale)


def _sums(
    u: Tensor, v: Tensor, scale: float, symmetric: bool, offset: float, on_log_x: float, on_log_rest: float,
    step: int, frozen_u: Tensor | None, frozen_v: Tensor | None,
) -> tuple[Tensor, ...]:  # fmt: skip
    tiles = _Tiles(u, v, scale, (offset, on_log_x, on_log_rest), step, (frozen_u, frozen_v))
    out = [u.new_full((size,), -torch.inf, dtype=torch.float64) for size in _sizes(u, symmetric)]

    def add(place: int, part: slice, logits: Tensor, dim: int) -> None:
        out[place][part] = torch.logaddexp(out[place][part], torch.logsumexp(logits, dim).double())

    for rows in tiles.parts():
        for cols in tiles.parts():
            weights = tiles.log_weights(rows, cols)
            between = tiles.logits(u[rows], v[cols], weights)
            add(1, rows, weights, 1)
            add(0, rows, between, 1)
            add(0, rows, tiles.logits(u[rows], u[cols], weights), 1)
            if symmetric:
                add(3, cols, weights, 0)
                add(2, cols, between, 0)
                add(2, cols, tiles.logits(v[rows], v[cols], weights), 0)
    return tuple(sums.to(u.dtype) for sums in out)


def _gradients(
    grad_u: Tensor, grad_v: Tensor, lse_u: Tensor, lse_v: Tensor, u: Tensor, v: Tensor, scale: float, symmetric: bool,
    offset: float, on_log_x: float, on_log_rest: float, step: int, frozen_u: Tensor | None, frozen_v: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    tiles = _Tiles(u, v, scale, (offset, on_log_x, on_log_rest), step, (frozen_u, frozen_v))
    du, dv = torch.zeros_like(u), torch.zeros_like(v)
    shift_u, shift_v = (torch.where(lse == -torch.inf, torch.inf, lse) for lse in (lse_u, lse_v))
    grad_u, grad_v = grad_u * scale, grad_v * scale
    for rows in tiles.parts():
        by_row = (shift_u[rows].unsqueeze(1), grad_u[rows].unsqueeze(1))
        for cols in tiles.parts():
            weights = tiles.log_weights(rows, cols)
            between = tiles.logits(u[rows], v[cols], weights)
            share = _share(between, *by_row)
            own = _share(tiles.logits(u[rows], u[cols], weights), *by_row)
            if symmetric:
                by_col = (shift_v[cols], grad_v[cols])
                share += _share(between, *by_col)
                other = _share(tiles.logits(v[rows], v[cols], weights), *by_col)
                dv[rows].addmm_(other, v[cols])
                dv[cols].addmm_(other.t(), v[rows])
            du[rows].addmm_(share, v[cols]).addmm_(own, u[cols])
            du[cols].addmm_(own.t(), u[rows])
            dv[cols].addmm_(share.t(), u[rows])
    return du, dv


def _share(logits: Tensor, shift: Tensor, grad: Tensor) -> Tensor:
    return (logits - shift).exp_().mul_(grad)


def _sizes(u: Tensor, symmetric: bool) -> tuple[int, ...]:
    count = u.shape[0]
    return (count, count, count, count) if symmetric else (count, count, 0, 0)


def _fake(u: Tensor, v: Tensor, scale: float, symmetric: bool, *_: Any) -> tuple[Tensor, ...]:
    return tuple(u.new_empty(size, dtype=accumulator(u.dtype)) for size in _sizes(u, symmetric))


_OPTIONS = "float scale, bool symmetric, float offset, float on_log_x, float on_log_rest, int step"
_INPUTS = f"Tensor u, Tensor v, {_OPTIONS}, Tensor? frozen_u, Tensor? frozen_v"
_mixture = define(f"mixture_contrast({_INPUTS}) -> (Tensor, Tensor, Tensor, Tensor)", _fake)
_mixture_backward = define(
    f"mixture_contrast_backward(Tensor grad_u, Tensor grad_v, Tensor lse_u, Tensor lse_v, {_INPUTS})"
    " -> (Tensor, Tensor)",
    lambda *args: (torch.empty_like(args[4]), torch.empty_like(args[5])),
    device_of=4,
)


for _name, _function in (("mixture_contrast", _sums), ("mixture_contrast_backward", _gradients)):
    register(_name, "reference")(widened(_function))
    register(_name, "cpu")(_function)
    register(_name, "cuda")(_function)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    u, v, *ctx.options, frozen_u, frozen_v = inputs
    ctx.save_for_backward(u, v, output[0], output[2], frozen_u, frozen_v)
    ctx.mark_non_differentiable(output[1], output[3])


def _backward(ctx: Any, grad_u: Tensor | None, _: Any, grad_v: Tensor | None, __: Any) -> tuple[Any, ...]:
    u, v, lse_u, lse_v, *kept = ctx.saved_tensors
    grads = (torch.zeros_like(lse) if g is None else g for g, lse in ((grad_u, lse_u), (grad_v, lse_v)))
    du, dv = _mixture_backward(*grads, lse_u, lse_v, u, v, *ctx.options, *kept)
    return du, dv, *[None] * (len(ctx.options) + 2)


def _refuse(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    raise GraphrepError(
        "Second derivatives of the weighted log-sum-exp are not provided.", hint="backward without create_graph"
    )


torch.library.register_autograd("graphrep::mixture_contrast", _backward, setup_context=_save)
torch.library.register_autograd(
    "graphrep::mixture_contrast_backward", _refuse, setup_context=lambda ctx, inputs, output: None
)
