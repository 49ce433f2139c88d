"""The contrasts of MEOW (weights from clusterings) and AdaMEOW (weights from a network), forward + backward.

The rival `official` is the published form, written down from its definition: for MEOW N x N weights from products of
one-hot assignments, for AdaMEOW the first layer on all N x N x d sums of rows, which takes more memory than most
machines have. `factorised` applies that layer to the rows before it adds them, N x N x 16; `checkpoint` does the same
for a few rows at a time and computes them anew in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from benchmarks.reference import all_agree, relative_difference
from benchmarks.registry import Case, Method, Skip

__all__ = ["cases"]

DENSE_BYTES = 8_000_000_000  # what a dense form may hold
HIDDEN = 16
ROWS = 64  # that the form with checkpoints takes at a time
SETS = {  # nodes, width, clusters of the two clusterings, temperature of MEOW and of AdaMEOW
    "tiny": (130, 16, (5, 20), (0.4, 1.0)),
    "acm": (4_019, 64, (100, 300), (0.4, 1.0)),
    "dblp": (4_057, 64, (200, 700), (0.9, 0.9)),
}
Result = tuple[Tensor, ...]


@dataclass(frozen=True)
class WeightedInputs:
    """Unit rows (N, d) float32; labels (T, N), or the network's (U, b, v, c) with empty labels."""

    key: str
    anchor: Tensor
    z: Tensor
    labels: Tensor
    layers: tuple[Tensor, ...]
    temperature: float

    @property
    def graph(self) -> WeightedInputs:
        """There is no graph; the result file gets the sizes in its place."""
        return self

    def facts(self) -> dict[str, Any]:
        """What the result file says about the inputs."""
        return {"key": f"random unit rows, {self.key}'s size", "num_nodes": len(self.z), "seed": 19}

    def leaves(self) -> Result:
        return self.anchor, self.z, *self.layers

    def double(self) -> WeightedInputs:
        wide = [t.detach().double().requires_grad_() for t in self.leaves()]
        return WeightedInputs(self.key, wide[0], wide[1], self.labels, tuple(wide[2:]), self.temperature)


def _inputs(key: str, op: str) -> WeightedInputs:
    count, width, clusters, temperature = SETS[key]
    generator = torch.Generator().manual_seed(19)
    anchor, z = (normalize(torch.randn(count, width, generator=generator)).requires_grad_() for _ in range(2))
    labels = torch.stack([torch.randint(0, k, (count,), generator=generator) for k in clusters])
    if op == "meow":
        return WeightedInputs(key, anchor, z, labels, (), temperature[0])
    shapes = ((HIDDEN, width), (HIDDEN,), (1, HIDDEN), (1,))
    layers = tuple(torch.randn(shape, generator=generator).div(2).requires_grad_() for shape in shapes)
    return WeightedInputs(key, anchor, z, labels[:0], layers, temperature[1])


def _timed(inputs: WeightedInputs, forward: Callable[[], Tensor]) -> Callable[[], Result]:
    """Rows of the loss and the gradients of their sum (the mean's would be too small to compare)."""

    def run() -> Result:
        rows = forward()
        return (rows.detach(), *torch.autograd.grad(rows.sum(), inputs.leaves()))

    return run


def _ours(inputs: WeightedInputs) -> Callable[[], Result]:
    from graphrep.objectives import AdaptiveNegativeWeight, adameow_contrast, meow_contrast

    options: dict[str, Any] = {"temperature": inputs.temperature, "reduction": "none"}
    if not inputs.layers:
        labels = list(inputs.labels)
        return _timed(inputs, lambda: meow_contrast(inputs.anchor, inputs.z, labels, **options))
    net = AdaptiveNegativeWeight(inputs.z.shape[1], HIDDEN)
    net.load_state_dict(dict(zip(net.state_dict(), inputs.layers, strict=True)))
    leaves = (inputs.anchor, inputs.z, *net.parameters())

    def run() -> Result:
        rows = adameow_contrast(inputs.anchor, inputs.z, net, **options)
        return (rows.detach(), *torch.autograd.grad(rows.sum(), leaves))

    return run


def _limited(arrays: int, inputs: WeightedInputs, width: int = 1) -> None:
    size = arrays * width * 4 * len(inputs.z) ** 2
    if size > DENSE_BYTES:
        raise Skip(f"its dense arrays take {size / 1e9:.0f} GB (limit {DENSE_BYTES / 1e9:.0f} GB)")


def _rows_of(inputs: WeightedInputs, weight: Tensor, first: int = 0) -> Tensor:
    """Rows of the loss from their weights against all columns."""
    part = inputs.anchor[first : first + len(weight)]
    power = (part @ inputs.z.t() / inputs.temperature).exp()
    return (weight * power).sum(1).log() - power.diagonal(first).log()


def _from_labels(inputs: WeightedInputs) -> Tensor:
    members = [one_hot(labels).to(inputs.z.dtype) for labels in inputs.labels]
    weight = len(members) - sum(m @ m.t() for m in members)
    assert isinstance(weight, Tensor)
    return _rows_of(inputs, weight)


def _from_sums(inputs: WeightedInputs) -> Tensor:
    u, b, v, c = inputs.layers
    hidden = torch.tanh((inputs.anchor.unsqueeze(1) + inputs.z) @ u.t() + b)
    return _rows_of(inputs, torch.sigmoid(hidden @ v[0] + c))


def _factorised(first: int, inputs: WeightedInputs, p: Tensor, q: Tensor) -> Tensor:
    _, _, v, c = inputs.layers
    return _rows_of(inputs, torch.sigmoid(torch.tanh(p.unsqueeze(1) + q) @ v[0] + c), first)


def _by_rows(inputs: WeightedInputs, step: int, apply: Callable[..., Tensor]) -> Callable[[], Tensor]:
    def forward() -> Tensor:
        u, b = inputs.layers[:2]
        p, q = inputs.anchor @ u.t() + b, inputs.z @ u.t()
        parts = (apply(_factorised, first, inputs, p[first : first + step], q) for first in range(0, len(p), step))
        return torch.cat(list(parts))

    return forward


def _plainly(function: Callable[..., Tensor], *args: Any) -> Tensor:
    return function(*args)


def _official(inputs: WeightedInputs) -> Callable[[], Result]:
    if not inputs.layers:
        _limited(8, inputs)
        return _timed(inputs, lambda: _from_labels(inputs))
    _limited(3, inputs, inputs.z.shape[1])
    return _timed(inputs, lambda: _from_sums(inputs))


def _dense(inputs: WeightedInputs) -> Callable[[], Result]:
    _limited(4, inputs, HIDDEN)
    return _timed(inputs, _by_rows(inputs, len(inputs.z), _plainly))


def _checkpointed(inputs: WeightedInputs) -> Callable[[], Result]:
    from torch.utils.checkpoint import checkpoint

    return _timed(inputs, _by_rows(inputs, ROWS, partial(checkpoint, use_reentrant=False)))


def _check(inputs: WeightedInputs, result: Result) -> float:
    """The definition in float64."""
    wide = inputs.double()
    wanted = _checkpointed(wide) if wide.layers else _timed(wide, lambda: _from_labels(wide))
    return max(relative_difference(a, b) for a, b in zip(result, wanted(), strict=True))


_OFFICIAL = Method(_official, note="the published form: N x N, for the network N x N x d")
_RIVALS = {
    "meow": {"official": _OFFICIAL},
    "adameow": {
        "official": _OFFICIAL,
        "factorised": Method(_dense, note="the network's first layer on the rows, N x N x 16"),
        "checkpoint": Method(_checkpointed, note=f"the same, {ROWS} rows at a time, torch.utils.checkpoint"),
    },
}


def _case(size: str, key: str, op: str) -> Case:
    count, width, _, _ = SETS[key]
    return Case(
        name=f"{key}/{op}",
        family="weighted_contrast",
        size=size,
        inputs=lambda: _inputs(key, op),
        ours=Method(_ours, compiles=True),
        rivals=_RIVALS[op],
        check=_check,
        agree=all_agree,
        tolerance=1e-4,  # float32 sums over 4,000 columns
        params={"nodes": count, "width": width, "op": op},
        tags=frozenset({"memory"}),
    )


def cases() -> list[Case]:
    """The sizes of ACM (4,019 papers) and DBLP (4,057 authors)."""
    sizes = (("tiny", "tiny"), ("small", "acm"), ("small", "dblp"))
    return [_case(size, key, op) for size, key in sizes for op in ("meow", "adameow")]
