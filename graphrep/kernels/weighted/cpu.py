"""The weighted log-sum-exps on CPU, on the blocks and products of :mod:`graphrep.kernels.blockwise`.

Work per pair: 2 d multiply-adds forward and 6 d backward, an exponential each, and T comparisons for labels. For a
network of h units, tanh(p_i + q_j) follows from exp(2 p_i) exp(2 q_j), which are computed once per node: a unit costs
a multiply-add and half a division per pair, and no exponential, unless a row's numbers are so large that the product
could overflow. Memory: the units of one row and 192 columns per thread.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.kernels import _numba
from graphrep.kernels._dispatch import register
from graphrep.kernels.blockwise import _schedule
from graphrep.kernels.blockwise._entry import run_rounds, words_of
from graphrep.kernels.blockwise._schedule import BLOCK_COLUMNS
from graphrep.kernels.blockwise._terms import UV
from graphrep.kernels.blockwise.cpu import PAD, Inputs, task_rows
from graphrep.kernels.weighted import tiles
from graphrep.kernels.weighted._kernels import (
    LABEL_BACKWARD,
    LABEL_FORWARD,
    MOMENTS,
    NETWORK_BACKWARD,
    NETWORK_FORWARD,
)

__all__ = [
    "label_contrast",
    "label_contrast_backward",
    "network_contrast",
    "network_contrast_backward",
    "network_moments",
]

SPLIT = 20.0  # largest |2 p| and |2 q| whose exponentials are multiplied: two such products fit into float32
Entries = dict[torch.dtype, Any]


class _Network:
    """The network's numbers as kernels read them: an even number of units, columns padded, both sides centred.

    Attributes:
        left: (N, h) exp(2 p), or 2 p if the numbers are too large to split.
        right: (h, stride) the same of q, transposed.
        minus2v: (h,).
        base: bias plus the sum of v.
    """

    def __init__(self, p: Tensor, q: Tensor, v: Tensor, bias: Tensor) -> None:
        self.v, self.units = v, v.shape[0]
        self.count, self.stride = self.units + self.units % 2, q.shape[0] + PAD
        shift = _middle(p).sub_(_middle(q)).div_(2).nan_to_num_(0, 0, 0)  # NaN stays in its rows
        left, right = p.new_zeros((p.shape[0], self.count)), p.new_zeros((self.count, self.stride))
        left[:, : self.units] = (p - shift) * 2
        right[: self.units, : q.shape[0]] = ((q + shift) * 2).t()
        self.split = bool(torch.stack([_largest(left), _largest(right)]).max() <= SPLIT)
        self.left, self.right = (left.exp_(), right.exp_()) if self.split else (left, right)
        self.minus2v = v.new_zeros(self.count)
        self.minus2v[: self.units] = v * -2
        self.base = (bias.double().sum() + v.double().sum()).to(v.dtype)

    def words(self) -> list[Any]:
        return [self.left, self.right, self.minus2v, self.count, self.stride, self.split]

    def room(self, chunk: int) -> int:
        """Numbers of scratch memory per thread: a row's logits and units, and the units' sums over `chunk` columns."""
        return BLOCK_COLUMNS + self.count * (BLOCK_COLUMNS + chunk)


def _middle(x: Tensor) -> Tensor:
    """(h,) the number halfway between the smallest and the largest of each column."""
    if not x.shape[0]:
        return x.new_zeros(x.shape[1])
    low, high = torch.aminmax(x, dim=0)
    return (low + high) / 2


def _largest(x: Tensor) -> Tensor:
    return x.abs().max() if x.numel() else x.new_zeros(())


class _Call:
    """Block sizes, rounds and leading words of one call."""

    def __init__(self, x: Tensor, y: Tensor, scale: float, base: Tensor | float, block_size: int) -> None:
        self.inputs = Inputs(x, y, scale, UV, False, block_size)
        blocks = [-(-count // self.inputs.layout.chunk) for count in self.inputs.counts]
        pairs = _schedule.rounds_of(*blocks)
        self.starts, self.tasks = _schedule.merged([task_rows(pairs, 0, 1, with_cols=0, skip=0, symmetric=0)])
        self.limits = torch.tensor([scale, float(base)], dtype=x.dtype)

    def run(self, entries: Entries, weights: list[Any], results: list[Any], extra: int = 0) -> None:
        inputs = self.inputs
        fixed = [self.tasks, inputs.u, inputs.v, *inputs.counts, inputs.base, inputs.factor]
        layout = [inputs.layout.scratch + extra, self.limits, *inputs.layout]
        inputs.run(entries, self.starts, [*fixed, *layout, *weights, *results], extra=extra)


def _without_pairs(x: Tensor, y: Tensor) -> bool:
    """Whether there is nothing to multiply; the kernels take at least one row, column and dimension."""
    return not (x.shape[0] and y.shape[0] and x.shape[1])


def _sums(count: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(count,) zeros, and the largest logit of each so far."""
    return torch.zeros(count, dtype=torch.float64), torch.full((count,), -torch.inf, dtype=dtype)


def _lse(sums: Tensor, tops: Tensor) -> Tensor:
    return torch.where(tops == torch.inf, torch.inf, sums.log_() + tops.double()).to(tops.dtype)


def _padded(labels: Tensor) -> tuple[Tensor, list[Any]]:
    """The labels with room behind each clustering, to be kept alive, and their words."""
    count, size = labels.shape
    padded = labels.new_zeros((count, size + PAD))
    padded[:, :size] = labels
    return padded, [padded, count, size + PAD, 0, 0, 0]


@register("label_contrast", "cpu")
def label_contrast(x: Tensor, y: Tensor, labels: Tensor, scale: float, block_size: int) -> Tensor:
    """See :func:`graphrep.kernels.weighted.label_contrast`."""
    if _without_pairs(x, y):
        return tiles.label_contrast(x, y, labels, scale, block_size)
    _, words = _padded(labels)
    sums, tops = _sums(x.shape[0], x.dtype)
    _Call(x, y, scale, 0.0, block_size).run(LABEL_FORWARD, words, [sums, tops, sums, tops, False])
    return _lse(sums, tops)


def _factors(lse: Tensor, grad: Tensor | None) -> tuple[Tensor, Tensor]:
    """What is taken off a row's logits and its gradient; a row without terms has none."""
    nothing = lse == -torch.inf
    grad = torch.zeros_like(lse) if grad is None else grad
    return torch.where(nothing, torch.inf, lse), torch.where(nothing, 0, grad)


def _zeros_like(x: Tensor) -> Tensor:
    return _numba.empty_output(tuple(x.shape), x.dtype).zero_()


@register("label_contrast_backward", "cpu")
def label_contrast_backward(
    grad: Tensor, lse: Tensor, x: Tensor, y: Tensor, labels: Tensor, scale: float, block_size: int
) -> tuple[Tensor, Tensor]:
    """See :func:`graphrep.kernels.weighted.tiles.label_contrast_backward`."""
    if _without_pairs(x, y):
        return torch.zeros_like(x), torch.zeros_like(y)
    _, words = _padded(labels)
    shift, factor = _factors(lse, grad)
    dx, dy = _zeros_like(x), _zeros_like(y)
    results = [shift, factor, shift, factor, False, dx, dy, dx, dy, torch.zeros(1, dtype=torch.float64)]
    _Call(x, y, scale, 0.0, block_size).run(LABEL_BACKWARD, words, results)
    return dx, dy


@register("network_contrast", "cpu")
def network_contrast(
    x: Tensor, y: Tensor, p: Tensor, q: Tensor, v: Tensor, bias: Tensor, scale: float, totals: bool, block_size: int
) -> tuple[Tensor, Tensor]:
    """See :func:`graphrep.kernels.weighted.network_contrast`."""
    if _without_pairs(x, y):
        return tiles.network_contrast(x, y, p, q, v, bias, scale, totals, block_size)
    network, count = _Network(p, q, v, bias), x.shape[0]
    call = _Call(x, y, scale, network.base, block_size)
    own, of_weights = _sums(count, x.dtype), _sums(count if totals else 0, x.dtype)
    call.run(NETWORK_FORWARD, network.words(), [*own, *of_weights, totals], network.room(call.inputs.layout.chunk))
    return _lse(*own), _lse(*of_weights)


@register("network_contrast_backward", "cpu")
def network_contrast_backward(
    grad: Tensor, grad_total: Tensor | None, lse: Tensor, total: Tensor, x: Tensor, y: Tensor, p: Tensor, q: Tensor,
    v: Tensor, bias: Tensor, scale: float, totals: bool, block_size: int,
) -> tuple[Tensor, ...]:  # fmt: skip
    """See :func:`graphrep.kernels.weighted.tiles.network_contrast_backward`."""
    if _without_pairs(x, y):
        rest = (x, y, p, q, v, bias, scale, totals, block_size)
        return tiles.network_contrast_backward(grad, grad_total, lse, total, *rest)
    network = _Network(p, q, v, bias)
    call = _Call(x, y, scale, network.base, block_size)
    numbers = [*_factors(lse, grad), *_factors(total if grad_total is not None else lse, grad_total)]
    dx, dy, left, right = (_zeros_like(t) for t in (x, y, network.left, network.right))
    parts = torch.zeros((len(call.tasks), network.count + 1), dtype=torch.float64)
    results = [*numbers, grad_total is not None, dx, dy, left, right, parts]
    call.run(NETWORK_BACKWARD, network.words(), results, network.room(call.inputs.layout.chunk))
    slope, units, sums = 4 * v, network.units, parts.sum(0)
    dq = right[:units, : q.shape[0]].t() * slope
    ends = (sums[:units].to(v.dtype), sums[network.count :].to(bias.dtype))
    return dx, dy, left[:, :units] * slope, dq.contiguous(), *ends


@register("network_moments", "cpu")
def network_moments(p: Tensor, q: Tensor, v: Tensor, bias: Tensor, pivot: float) -> Tensor:
    """See :func:`graphrep.kernels.weighted.tiles.network_moments`."""
    network, count = _Network(p, q, v, bias), p.shape[0]
    limits = torch.tensor([pivot, float(network.base)], dtype=p.dtype)
    workers, size = max(1, min(_numba.num_threads(), count)), network.room(0)
    room, rows = _numba.empty_output((workers, size), p.dtype), torch.zeros((count, 4), dtype=torch.float64)
    parts: list[Any] = [0, workers, room, 0, 0, 0, count, q.shape[0], 0, 0, size, limits, *[0] * 7]
    words = words_of([*parts, *network.words(), rows])
    work = count * q.shape[0] * network.count
    run_rounds(MOMENTS[p.dtype].address, words.ctypes.data, 1, workers, work=work)
    sums, (low, _), (_, high) = rows[:, :2].sum(0), *(torch.aminmax(rows[:, k]) for k in (2, 3))
    return torch.cat([sums, torch.stack([low, high])])
