"""The weighted log-sum-exps in plain torch, a tile of pairs at a time: the reference (in float64), and CUDA's form."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from graphrep.kernels._dispatch import register
from graphrep.kernels._ops import widened

__all__ = [
    "activations",
    "label_contrast",
    "label_contrast_backward",
    "network_contrast",
    "network_contrast_backward",
    "network_moments",
]

TILE = 1024  # rows and columns at a time


def _parts(count: int, block_size: int) -> list[slice]:
    step = block_size or TILE
    return [slice(first, min(first + step, count)) for first in range(0, count, step)]


def _pairs(n: int, m: int, block_size: int) -> Iterator[tuple[slice, slice]]:
    return ((rows, cols) for rows in _parts(n, block_size) for cols in _parts(m, block_size))


def _add(out: Tensor, rows: slice, logits: Tensor) -> None:
    out[rows] = torch.logaddexp(out[rows], torch.logsumexp(logits, 1).double())


def _shift(lse: Tensor) -> Tensor:
    """What is taken off the logits of each row; rows without terms get no gradient."""
    return torch.where(lse == -torch.inf, torch.inf, lse).unsqueeze(1)


def _apart(labels: Tensor, rows: slice, cols: slice) -> Tensor:
    """(rows, columns) number of clusterings that tell a pair apart."""
    out = labels.new_zeros((rows.stop - rows.start, cols.stop - cols.start), dtype=torch.int32)
    for clustering in labels:
        out += clustering[rows].unsqueeze(1) != clustering[cols]
    return out


def _label_logits(x: Tensor, y: Tensor, labels: Tensor, scale: float, rows: slice, cols: slice) -> Tensor:
    return torch.addmm(_apart(labels, rows, cols).to(x.dtype).log_(), x[rows], y[cols].t(), alpha=scale)


def label_contrast(x: Tensor, y: Tensor, labels: Tensor, scale: float, block_size: int) -> Tensor:
    """See :func:`graphrep.kernels.weighted.label_contrast`."""
    out = x.new_full((x.shape[0],), -torch.inf, dtype=torch.float64)
    for rows, cols in _pairs(x.shape[0], y.shape[0], block_size):
        _add(out, rows, _label_logits(x, y, labels, scale, rows, cols))
    return out.to(x.dtype)


def label_contrast_backward(
    grad: Tensor, lse: Tensor, x: Tensor, y: Tensor, labels: Tensor, scale: float, block_size: int
) -> tuple[Tensor, Tensor]:
    """Each pair's share of its row's sum, times the row's gradient, carried to both rows of the pair."""
    dx, dy = torch.zeros_like(x), torch.zeros_like(y)
    shift, factor = _shift(lse), grad.unsqueeze(1) * scale
    for rows, cols in _pairs(x.shape[0], y.shape[0], block_size):
        logits = _label_logits(x, y, labels, scale, rows, cols)
        share = logits.sub_(shift[rows]).exp_().mul_(factor[rows])
        dx[rows].addmm_(share, y[cols])
        dy[cols].addmm_(share.t(), x[rows])
    return dx, dy


def activations(p: Tensor, q: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """(n, m) ``v . tanh(p_i + q_j) + bias``, one hidden unit at a time."""
    out = bias.expand(p.shape[0], q.shape[0])
    for k in range(v.shape[0]):
        out = out + v[k] * torch.tanh(p[:, k].unsqueeze(1) + q[:, k])
    return out


def network_contrast(
    x: Tensor, y: Tensor, p: Tensor, q: Tensor, v: Tensor, bias: Tensor, scale: float, totals: bool, block_size: int
) -> tuple[Tensor, Tensor]:
    """See :func:`graphrep.kernels.weighted.network_contrast`."""
    count = x.shape[0]
    out = x.new_full((count,), -torch.inf, dtype=torch.float64)
    total = x.new_full((count if totals else 0,), -torch.inf, dtype=torch.float64)
    for rows, cols in _pairs(count, y.shape[0], block_size):
        log_weights = logsigmoid(activations(p[rows], q[cols], v, bias))
        _add(out, rows, torch.addmm(log_weights, x[rows], y[cols].t(), alpha=scale))
        if totals:
            _add(total, rows, log_weights)
    return out.to(x.dtype), total.to(x.dtype)


def network_contrast_backward(
    grad: Tensor, grad_total: Tensor | None, lse: Tensor, total: Tensor, x: Tensor, y: Tensor, p: Tensor, q: Tensor,
    v: Tensor, bias: Tensor, scale: float, totals: bool, block_size: int,
) -> tuple[Tensor, ...]:  # fmt: skip
    """As for labels; besides, a pair's share times 1 - w goes to the network, whose units are computed anew."""
    dx, dy, dp, dq = (torch.zeros_like(t) for t in (x, y, p, q))
    dv, dbias = torch.zeros_like(v, dtype=torch.float64), torch.zeros_like(bias, dtype=torch.float64)
    shift, factor = _shift(lse), grad.unsqueeze(1)
    for rows, cols in _pairs(x.shape[0], y.shape[0], block_size):
        a = activations(p[rows], q[cols], v, bias)
        log_weights = logsigmoid(a)
        share = torch.addmm(log_weights, x[rows], y[cols].t(), alpha=scale)
        share = share.sub_(shift[rows]).exp_().mul_(factor[rows])
        dx[rows].addmm_(share, y[cols], alpha=scale)
        dy[cols].addmm_(share.t(), x[rows], alpha=scale)
        if grad_total is not None:
            share += log_weights.sub_(_shift(total)[rows]).exp_().mul_(grad_total[rows].unsqueeze(1))
        slope = share.mul_(torch.sigmoid(-a))
        dbias += slope.sum(dtype=torch.float64)
        for k in range(v.shape[0]):
            unit = torch.tanh(p[rows, k].unsqueeze(1) + q[cols, k])
            dv[k] += (slope * unit).sum(dtype=torch.float64)
            through = slope.mul(1 - unit.square_()).mul_(v[k])
            dp[rows, k] += through.sum(1)
            dq[cols, k] += through.sum(0)
    return dx, dy, dp, dq, dv.to(v.dtype), dbias.to(bias.dtype)


def network_moments(p: Tensor, q: Tensor, v: Tensor, bias: Tensor, pivot: float) -> Tensor:
    """Sums of w - pivot and of its square, smallest and largest w."""
    sums = p.new_zeros(2, dtype=torch.float64)
    ends = p.new_tensor([torch.inf, -torch.inf], dtype=torch.float64)
    for rows, cols in _pairs(p.shape[0], q.shape[0], 0):
        weights = torch.sigmoid(activations(p[rows], q[cols], v, bias)).double()
        low, high = torch.aminmax(weights)
        ends = torch.stack([torch.minimum(ends[0], low), torch.maximum(ends[1], high)])
        weights -= pivot
        sums += torch.stack([weights.sum(), weights.square_().sum()])
    return torch.cat([sums, ends])


for _function in (label_contrast, label_contrast_backward, network_contrast, network_contrast_backward):
    register(_function.__name__, "reference")(widened(_function))
    register(_function.__name__, "cuda")(_function)
register("network_moments", "cuda")(network_moments)


@register("network_moments", "reference")
def _wide_moments(p: Tensor, q: Tensor, v: Tensor, bias: Tensor, pivot: float) -> Tensor:
    return network_moments(p.double(), q.double(), v.double(), bias.double(), pivot)
