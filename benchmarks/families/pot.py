"""Node compactness of all nodes (the published score and the sound ones), forward + backward, in both weights.

The rival `dense` is the published form: N x N bounds and normalised matrices, and the constants of every node as the
diagonal of an N x N product. It stays here as the measure of what the sparse form saves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from benchmarks.families.forms import GraphForms, graph_forms
from benchmarks.reference import all_agree, relative_difference
from benchmarks.registry import Case, Method, Skip

__all__ = ["cases"]

DROP_RATE = 0.3
DENSE_BYTES = 20_000_000_000  # what the dense form may hold
DENSE_ARRAYS = 12  # N x N arrays alive at its peak, as measured on 2,708 nodes
GRAPH_OF_SIZE = {"tiny": "tiny", "small": "cora", "medium": "pubmed"}
FEATURES = {"tiny": 40, "small": 1433, "medium": 500}
WIDTHS = {"tiny": (16, 8), "small": (256, 128), "medium": (512, 256)}
Result = tuple[Tensor, ...]


@dataclass(frozen=True)
class CompactnessInputs:
    """x (N, F) with one entry in a hundred, weights of a two-layer encoder, outputs of the other view."""

    forms: GraphForms
    edge_index: Tensor
    x: Tensor
    weights: tuple[Tensor, Tensor]
    z_other: Tensor
    bound: str

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        return [(w, w.new_zeros(w.shape[1])) for w in self.weights]


def _inputs(size: str, bound: str) -> CompactnessInputs:
    forms = graph_forms(GRAPH_OF_SIZE[size])
    generator = torch.Generator().manual_seed(21)
    features, (hidden, width) = FEATURES[size], WIDTHS[size]
    x = torch.rand(forms.num_nodes, features, generator=generator)
    x = normalize((x > 0.99).float(), p=1)
    shapes = ((features, hidden), (hidden, width))
    weights = tuple((torch.randn(*s, generator=generator) / s[0] ** 0.5).requires_grad_() for s in shapes)
    z_other = torch.rand(forms.num_nodes, width, generator=generator)
    edges = torch.stack([forms.col_long, forms.row_long])
    return CompactnessInputs(forms, edges, x, weights, z_other, bound)  # type: ignore[arg-type]


def _timed(inputs: CompactnessInputs, forward: Callable[[], Tensor]) -> Callable[[], Result]:
    def run() -> Result:
        scores = forward()
        grads = torch.autograd.grad(softplus(-scores).sum(), inputs.weights)
        return (scores.detach(), *grads)

    return run


def _ours(inputs: CompactnessInputs) -> Callable[[], Result]:
    from graphrep.objectives import node_compactness

    bound, _, tight = inputs.bound.partition("+")
    graph = (inputs.x, inputs.edge_index, inputs.layers(), inputs.z_other)
    return _timed(inputs, lambda: node_compactness(*graph, drop_rate=DROP_RATE, bound=bound, tighten=bool(tight)))


def _dense_parts(inputs: CompactnessInputs, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Upper and lower bounds of the normalised matrix, and the matrix itself, N x N each."""
    count = inputs.forms.num_nodes
    adjacency = torch.zeros(count, count, dtype=dtype)
    adjacency[inputs.forms.row_long, inputs.forms.col_long] = 1
    adjacency.fill_diagonal_(1)
    degree = adjacency.sum(1)
    budget = torch.minimum((degree - 2).clamp(min=0), (DROP_RATE * (degree.double() - 1)).round().to(dtype))
    high, clean = (degree - budget).rsqrt(), degree.rsqrt()
    return high[:, None] * high * adjacency, torch.diag(1 / degree), clean[:, None] * clean * adjacency


def _lines(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Slope of both lines around ReLU, and what the upper one adds."""
    crossing = (low < 0) & (high > 0)
    width = torch.where(crossing, high - low, 1)
    slope = torch.where(crossing, high / width, (low >= 0).to(low.dtype))
    return slope, torch.where(crossing, -high * low / width, 0)


def _dense_scores(inputs: CompactnessInputs, parts: tuple[Tensor, ...], x: Tensor, w: tuple[Tensor, ...]) -> Tensor:
    upper, lower, clean = parts
    z = normalize(inputs.z_other.to(x.dtype))
    contrast = (len(z) * z - z.sum(0)) / (len(z) - 1)

    def interval(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        least = lower @ low.relu() - upper @ (-low).relu()
        return least, upper @ high.relu() - lower @ (-high).relu()

    inside = x @ w[0]
    first = interval(inside, inside)
    if inputs.bound == "ibp":
        low, high = (end.relu() for end in first)
        centre, radius = (low + high) / 2 @ w[1], (high - low) / 2 @ w[1].abs()
        low, high = interval(centre - radius, centre + radius)
        return (contrast.relu() * low.relu() - (-contrast).relu() * high.relu()).sum(1)
    hidden = (clean @ inside).relu() @ w[1]
    (line1, rise1), (line2, rise2) = _lines(*first), _lines(*interval(hidden, hidden))
    back = (line2 * contrast) @ w[1].t()
    below = torch.where(contrast < 0, rise2, 0)
    added = (contrast @ below.t()).diagonal()  # N x N for N numbers, as published
    middle = (back @ torch.where(back < 0, rise1, 0).t()).diagonal()
    start = ((line1 * back) @ inside.t()).diagonal()
    return clean.t() @ (clean.t() @ start + middle) + added


def _dense(inputs: CompactnessInputs) -> Callable[[], Result]:
    if inputs.bound not in ("official", "ibp"):
        raise Skip("no dense form of this bound is published")
    size = DENSE_ARRAYS * 4 * inputs.forms.num_nodes**2
    if size > DENSE_BYTES:
        raise Skip(f"its N x N arrays take {size / 1e9:.0f} GB (limit {DENSE_BYTES / 1e9:.0f} GB)")
    return _timed(inputs, lambda: _dense_scores(inputs, _dense_parts(inputs, inputs.x.dtype), inputs.x, inputs.weights))


def _check(inputs: CompactnessInputs, result: Result) -> float:
    """Dense float64 scores and gradients of small inputs; else float64 scores and gradients of the sparse form."""
    from graphrep.objectives import node_compactness

    bound, _, tight = inputs.bound.partition("+")
    weights = tuple(w.detach().double().requires_grad_() for w in inputs.weights)
    x, z = inputs.x.double(), inputs.z_other.double()
    wide = CompactnessInputs(inputs.forms, inputs.edge_index, x, weights, z, inputs.bound)  # type: ignore[arg-type]
    if inputs.forms.num_nodes <= 3000 and inputs.bound in ("official", "ibp"):
        expected = _timed(wide, lambda: _dense_scores(wide, _dense_parts(wide, torch.float64), x, weights))()
    else:
        graph = (x, inputs.edge_index, wide.layers(), z)
        expected = _timed(
            wide, lambda: node_compactness(*graph, drop_rate=DROP_RATE, bound=bound, tighten=bool(tight))
        )()
    return max(relative_difference(a, b) for a, b in zip(result, expected, strict=True))


def _case(size: str, bound: str) -> Case:
    graph = GRAPH_OF_SIZE[size]
    return Case(
        name=f"{graph}/{bound}",
        family="pot",
        size=size,
        inputs=lambda: _inputs(size, bound),
        ours=Method(_ours),
        rivals={"dense": Method(_dense, note="N x N bounds built once per step, constants as diagonals of products")},
        check=_check,
        agree=all_agree,
        tolerance=5e-3,  # float32: a few units at the edge of their range take another line, with another gradient
        params={"graph": graph, "op": bound, "features": FEATURES[size], "width": WIDTHS[size][1]},
        tags=frozenset({"memory"}),
    )


def cases() -> list[Case]:
    """Published, interval, line and tightened bounds on graphs of Cora's and PubMed's size."""
    bounds = ("official", "ibp", "crown-ibp", "best", "best+tight")
    return [_case(size, bound) for size in GRAPH_OF_SIZE for bound in bounds]
