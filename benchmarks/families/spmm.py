"""SpMM: sum, mean, max; weighted and not; forward and forward + backward; three graphs and widths."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.families.forms import GraphForms, graph_forms
from benchmarks.families.spmm_rivals import RIVALS
from benchmarks.reference import chosen_columns, relative_difference, spmm_reference
from benchmarks.registry import Case, Method

__all__ = ["GRAPH_OF_SIZE", "WIDTHS", "SpmmInputs", "cases", "timed"]

GRAPH_OF_SIZE = {"tiny": "tiny", "small": "pubmed", "medium": "rmat-200k", "large": "rmat-1m"}
WIDTHS = (16, 64, 256)


@dataclass(frozen=True)
class SpmmInputs:
    """x (N, d) float32; g (N, d) the gradient that backward starts from."""

    forms: GraphForms
    x: Tensor
    g: Tensor
    reduce: str
    weighted: bool
    backward: bool


@functools.lru_cache(maxsize=1)
def _features(graph: str, width: int) -> tuple[Tensor, Tensor]:
    """Inputs x and gradients g, which are 0 for rows without edges (DGL's maximum sends those to some node)."""
    forms = graph_forms(graph)
    generator = torch.Generator().manual_seed(3)
    x, g = (torch.randn(forms.num_nodes, width, generator=generator) for _ in range(2))
    g[~forms.has_entries] = 0.0
    return x, g


def _inputs(graph: str, width: int, reduce: str, weighted: bool, backward: bool) -> SpmmInputs:
    x, g = _features(graph, width)
    return SpmmInputs(graph_forms(graph), x.detach().requires_grad_(backward), g, reduce, weighted, backward)


def timed(inputs: Any, forward: Callable[[Tensor], Tensor]) -> Callable[[], tuple[Tensor, ...]]:
    """The timed call: forward alone without a graph of gradients, or forward and the gradient of x."""

    def without_gradient() -> tuple[Tensor, ...]:
        with torch.no_grad():
            return (forward(inputs.x),)

    def with_gradient() -> tuple[Tensor, ...]:
        out = forward(inputs.x)
        (dx,) = torch.autograd.grad(out, inputs.x, inputs.g)
        return out.detach(), dx

    return with_gradient if inputs.backward else without_gradient


def _prepare_ours(inputs: SpmmInputs) -> Callable[[], tuple[Tensor, ...]]:
    from graphrep.kernels import spmm

    csr = inputs.forms.csr(inputs.weighted)
    return timed(inputs, lambda x: spmm(csr, x, reduce=inputs.reduce))


def check(inputs: SpmmInputs, result: tuple[Tensor, ...]) -> float:
    """Largest error of `result` against float64 on every row and some columns."""
    forms = inputs.forms
    columns = chosen_columns(inputs.x.shape[1], forms.nnz)
    weight = forms.weight.numpy() if inputs.weighted else None
    x = inputs.x.detach().numpy()[:, columns]
    g = inputs.g.numpy()[:, columns] if inputs.backward else x
    expected = spmm_reference(forms.graph.rowptr, forms.graph.col, weight, x, g, inputs.reduce)
    pairs = zip(result, expected, strict=False)
    return max(relative_difference(a[:, columns], torch.from_numpy(b)) for a, b in pairs)


def agree(inputs: SpmmInputs, ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> float:
    """Largest difference over all entries; rows without edges are left out of a maximum (DGL gives -inf there)."""
    if len(ours) != len(theirs):
        return float("inf")
    masks = [inputs.forms.has_entries if inputs.reduce == "max" else None, None]
    return max(relative_difference(b, a, m) for a, b, m in zip(ours, theirs, masks, strict=False))


def _case(size: str, width: int, reduce: str, weighted: bool, backward: bool) -> Case:
    graph = GRAPH_OF_SIZE[size]
    parts = [graph, f"d{width}", reduce, "weighted" if weighted else "plain", "fwd+bwd" if backward else "fwd"]
    remembered = size in ("tiny", "medium") and width == 64 and weighted and reduce in ("sum", "max")
    return Case(
        name="/".join(parts),
        family="spmm",
        size=size,
        inputs=lambda: _inputs(graph, width, reduce, weighted, backward),
        ours=Method(_prepare_ours),
        rivals=RIVALS,
        check=check,
        agree=agree,
        # Serial float32 sums over hubs of 2e4 edges lose up to 1e-5 relative to the row; a wrong edge costs 1e-2.
        tolerance=1e-4,
        params={"graph": graph, "width": width, "reduce": reduce, "weighted": weighted, "backward": backward},
        tags=frozenset({"memory"}) if remembered else frozenset(),
    )


def cases() -> list[Case]:
    """Ordered by graph, so that each graph's formats are built once."""
    widths = {"tiny": (16, 64), "small": WIDTHS, "medium": WIDTHS, "large": WIDTHS}
    return [
        _case(size, width, reduce, weighted, backward)
        for size in GRAPH_OF_SIZE
        for width, reduce, weighted, backward in itertools.product(
            widths[size], ("sum", "mean", "max"), (False, True), (False, True)
        )
    ]
