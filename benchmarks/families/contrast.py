"""InfoNCE over all nodes (both views, both directions) and one-sided log-sum-exps, forward + backward.

The methods `gemm-...` do nothing but matrix products of as many operations as the loss needs with all products shared
(16 N^2 d, and 8 N M d for one side), so their ratio is ours' share of the ceiling that the processor's libraries reach.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.reference import relative_difference
from benchmarks.registry import Case, Method, Skip

__all__ = ["cases"]

TEMPERATURE = 0.4
DENSE_BYTES = 8_000_000_000  # what the plain form may hold
CHUNK = 512  # anchors that the form with checkpoints takes at a time
SIDE = 1536  # of the products that stand for the ceiling
SAMPLED = 64  # rows checked in float64 on large inputs
Result = tuple[Tensor, ...]


@dataclass(frozen=True)
class ContrastInputs:
    """u (N, d), v (M, d) float32; `pairs`: InfoNCE of N = M nodes, else each row of u over all rows of v."""

    u: Tensor
    v: Tensor
    pairs: bool

    @property
    def graph(self) -> ContrastInputs:
        """There is no graph; the result file gets the sizes in its place."""
        return self

    def facts(self) -> dict[str, Any]:
        """What the result file says about the inputs."""
        return {"key": "random rows", "num_nodes": self.u.shape[0], "columns": self.v.shape[0], "seed": 8}

    @property
    def operations(self) -> int:
        return (16 if self.pairs else 8) * self.u.shape[0] * self.v.shape[0] * self.u.shape[1]


@functools.lru_cache(maxsize=1)
def _inputs(n: int, m: int, width: int) -> ContrastInputs:
    generator = torch.Generator().manual_seed(8)
    u, v = (torch.randn(count, width, generator=generator).requires_grad_() for count in (n, m))
    return ContrastInputs(u, v, n == m)


def _timed(inputs: ContrastInputs, forward: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], Result]:
    """Rows of the loss and the gradients of their sum (the mean's would be too small to compare)."""

    def run() -> Result:
        rows = forward(inputs.u, inputs.v)
        return (rows.detach(), *torch.autograd.grad(rows.sum(), (inputs.u, inputs.v)))

    return run


def _ours(inputs: ContrastInputs) -> Callable[[], Result]:
    from graphrep.kernels import streaming_logsumexp
    from graphrep.objectives import info_nce

    if inputs.pairs:
        return _timed(inputs, lambda u, v: info_nce(u, v, temperature=TEMPERATURE, reduction="none"))
    return _timed(inputs, lambda u, v: streaming_logsumexp(normalize(u), normalize(v), scale=1 / TEMPERATURE))


def _anchors(first: int, a: Tensor, b: Tensor, part: Tensor, positive: Tensor) -> Tensor:
    """Rows first..first + n of one direction: `part` holds the anchors, a their view, b the other one."""
    own = (part @ a.t() / TEMPERATURE).diagonal_scatter(part.new_full((part.shape[0],), -torch.inf), first)
    return torch.logsumexp(torch.cat([own, part @ b.t() / TEMPERATURE], 1), 1) - positive


def _loss_by(step: int, apply: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    def forward(u: Tensor, v: Tensor) -> Tensor:
        a, b = normalize(u), normalize(v)
        positive, rows = (a * b).sum(1) / TEMPERATURE, []
        for first in range(0, len(a), step):
            part = slice(first, first + step)
            directions = (apply(_anchors, first, x, y, x[part], positive[part]) for x, y in ((a, b), (b, a)))
            rows.append(sum(directions) / 2)
        return torch.cat(rows)

    return forward


def _one_side_by(step: int, apply: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    def part(a: Tensor, b: Tensor) -> Tensor:
        return torch.logsumexp(a @ b.t() / TEMPERATURE, 1)

    def forward(u: Tensor, v: Tensor) -> Tensor:
        a, b = normalize(u), normalize(v)
        return torch.cat([apply(part, a[first : first + step], b) for first in range(0, len(a), step)])

    return forward


def _plainly(function: Callable[..., Tensor], *args: Any) -> Tensor:
    return function(*args)


def _dense(inputs: ContrastInputs) -> Callable[[], Result]:
    arrays = 14 if inputs.pairs else 4
    size = arrays * 4 * inputs.u.shape[0] * inputs.v.shape[0]
    if size > DENSE_BYTES:
        raise Skip(f"its N x M arrays take {size / 1e9:.0f} GB (limit 8 GB)")
    make = _loss_by if inputs.pairs else _one_side_by
    return _timed(inputs, make(inputs.u.shape[0], _plainly))


def _checkpointed(inputs: ContrastInputs) -> Callable[[], Result]:
    from torch.utils.checkpoint import checkpoint

    make = _loss_by if inputs.pairs else _one_side_by
    return _timed(inputs, make(CHUNK, functools.partial(checkpoint, use_reentrant=False)))


def _products(inputs: ContrastInputs, multiply: Callable[[Tensor, Tensor], Any]) -> Callable[[], Result]:
    """Square products with as many operations as the case needs."""
    side = SIDE if inputs.operations >= 2 * SIDE**3 else 64
    generator = torch.Generator().manual_seed(9)
    a, b = (torch.randn(side, side, generator=generator) for _ in range(2))
    whole, rest = divmod(inputs.operations, 2 * side**3)
    last = a[: max(1, round(side * rest / (2 * side**3)))].contiguous()

    def run() -> Result:
        for _ in range(whole):
            multiply(a, b)
        multiply(last, b)
        return ()

    return run


def _onednn(inputs: ContrastInputs) -> Callable[[], Result]:
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        raise Skip("this torch has no oneDNN products")
    return _products(inputs, lambda a, b: torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""))


def _check(inputs: ContrastInputs, result: Result) -> float:
    """Float64 values of some anchors (all of small inputs), and gradients where everything fits."""
    u, v = (x.detach().double() for x in (inputs.u, inputs.v))
    if u.shape[0] * v.shape[0] <= 25_000_000:
        make = _loss_by if inputs.pairs else _one_side_by
        wide = ContrastInputs(u.requires_grad_(), v.requires_grad_(), inputs.pairs)
        expected = _timed(wide, make(CHUNK, _plainly))()
        return max(relative_difference(a, b) for a, b in zip(result, expected, strict=True))
    a, b = normalize(u), normalize(v)
    chosen = torch.randperm(len(a), generator=torch.Generator().manual_seed(10))[:SAMPLED]
    if not inputs.pairs:
        return relative_difference(result[0][chosen], torch.logsumexp(a[chosen] @ b.t() / TEMPERATURE, 1))
    rows = torch.zeros(len(chosen), dtype=torch.float64)
    for x, y in ((a, b), (b, a)):
        own = x[chosen] @ x.t() / TEMPERATURE
        own[torch.arange(len(chosen)), chosen] = -torch.inf
        lse = torch.logsumexp(torch.cat([own, x[chosen] @ y.t() / TEMPERATURE], 1), 1)
        rows += (lse - (x[chosen] * y[chosen]).sum(1) / TEMPERATURE) / 2
    return relative_difference(result[0][chosen], rows)


def _agree(_: ContrastInputs, ours: Result, theirs: Result) -> float:
    """Rows and both gradients; the products that stand for the ceiling have no result."""
    return max((relative_difference(b, a) for a, b in zip(ours, theirs, strict=False)), default=0.0)


_RIVALS = {
    "torch-dense": Method(_dense, note="N x N logits and autograd"),
    "torch-checkpoint": Method(_checkpointed, note="rows in chunks of 512, torch.utils.checkpoint"),
    "gemm-torch": Method(lambda i: _products(i, torch.mm), note="torch.mm of as many operations: the ceiling"),
    "gemm-onednn": Method(_onednn, note="the same by oneDNN"),
}


def _case(size: str, n: int, m: int, width: int) -> Case:
    return Case(
        name=f"info_nce/n{n}/d{width}" if n == m else f"logsumexp/n{n}x{m}/d{width}",
        family="contrast",
        size=size,
        inputs=lambda: _inputs(n, m, width),
        ours=Method(_ours),
        rivals=_RIVALS,
        check=_check,
        agree=_agree,
        tolerance=1e-4,  # float32 sums over 100,000 columns
        params={"nodes": n, "columns": m, "width": width},
        tags=frozenset({"memory"}) if size in ("tiny", "medium") else frozenset(),
    )


def cases() -> list[Case]:
    """Cora's size, 4,096, 20,000 and 100,000 nodes; 4,096 anchors against 100,000."""
    return [
        _case("tiny", 130, 130, 16),
        _case("tiny", 40, 150, 16),
        *(_case("small", n, n, width) for n in (2_708, 4_096) for width in (128, 256)),
        *(_case("medium", 20_000, 20_000, width) for width in (128, 256)),
        _case("large", 4_096, 100_000, 128),
        *(_case("huge", 100_000, 100_000, width) for width in (128, 256)),
    ]
