"""segment_reduce and scatter: reductions of an E x d array that the user already has."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.families.forms import GraphForms, graph_forms
from benchmarks.families.spmm import timed
from benchmarks.reference import chosen_columns, relative_difference, spmm_reference
from benchmarks.registry import Case, Method, Skip

__all__ = ["cases"]

_TORCH_NAMES = {"sum": "sum", "mean": "mean", "max": "amax"}


@dataclass(frozen=True)
class SegmentInputs:
    """x (E, d) with one row per entry; `index` (E,) the segment of each row, shuffled for scatter."""

    forms: GraphForms
    x: Tensor
    g: Tensor
    index: Tensor
    order: Tensor | None
    reduce: str
    backward: bool


@functools.lru_cache(maxsize=1)
def _arrays(graph: str, width: int) -> tuple[Tensor, Tensor, Tensor]:
    forms = graph_forms(graph)
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(forms.nnz, width, generator=generator)
    return x, torch.randn(forms.num_nodes, width, generator=generator), torch.randperm(forms.nnz, generator=generator)


def _inputs(graph: str, width: int, kind: str, reduce: str, backward: bool) -> SegmentInputs:
    forms = graph_forms(graph)
    x, g, shuffled = _arrays(graph, width)
    order = shuffled if kind == "scatter" else None
    index = forms.row_long if order is None else forms.row_long[order]
    return SegmentInputs(forms, x.detach().requires_grad_(backward), g, index, order, reduce, backward)


def _ours_segment(inputs: SegmentInputs) -> Callable[[], Any]:
    from graphrep.kernels import segment_reduce

    return timed(inputs, lambda x: segment_reduce(x, inputs.forms.rowptr_long, reduce=inputs.reduce))


def _ours_scatter(inputs: SegmentInputs) -> Callable[[], Any]:
    from graphrep.kernels import scatter

    size = inputs.forms.num_nodes
    return timed(inputs, lambda x: scatter(x, inputs.index, dim_size=size, reduce=inputs.reduce))


def _scatter_rival(inputs: SegmentInputs) -> Callable[[], Any]:
    from torch_scatter import scatter

    size = inputs.forms.num_nodes
    return timed(inputs, lambda x: scatter(x, inputs.index, dim=0, dim_size=size, reduce=inputs.reduce))


def _segment_csr_rival(inputs: SegmentInputs) -> Callable[[], Any]:
    from torch_scatter import segment_csr

    return timed(inputs, lambda x: segment_csr(x, inputs.forms.rowptr_long, reduce=inputs.reduce))


def _torch_segment(inputs: SegmentInputs) -> Callable[[], Any]:
    offsets = inputs.forms.rowptr_long
    return timed(inputs, lambda x: torch.segment_reduce(x, inputs.reduce, offsets=offsets, axis=0, initial=None))


def _torch_scatter_reduce(inputs: SegmentInputs) -> Callable[[], Any]:
    name, shape = _TORCH_NAMES[inputs.reduce], (inputs.forms.num_nodes, inputs.x.shape[1])
    index = inputs.index.unsqueeze(1).expand(-1, inputs.x.shape[1])
    return timed(inputs, lambda x: x.new_zeros(shape).scatter_reduce(0, index, x, name, include_self=False))


def _torch_index_add(inputs: SegmentInputs) -> Callable[[], Any]:
    if inputs.reduce != "sum":
        raise Skip("index_add only sums")
    shape = (inputs.forms.num_nodes, inputs.x.shape[1])
    return timed(inputs, lambda x: x.new_zeros(shape).index_add(0, inputs.index, x))


def _pyg_scatter(inputs: SegmentInputs) -> Callable[[], Any]:
    from torch_geometric.utils import scatter

    size = inputs.forms.num_nodes
    return timed(inputs, lambda x: scatter(x, inputs.index, dim=0, dim_size=size, reduce=inputs.reduce))


_SCATTER = {
    "torch_scatter": Method(_scatter_rival, "torch_scatter", "scatter"),
    "torch-scatter_reduce": Method(_torch_scatter_reduce, note="Tensor.scatter_reduce"),
    "torch-index_add": Method(_torch_index_add, note="Tensor.index_add"),
    "pyg-scatter": Method(_pyg_scatter, "torch_geometric", "utils.scatter"),
}
_SEGMENT = {
    "torch_scatter-csr": Method(_segment_csr_rival, "torch_scatter", "segment_csr"),
    "torch-segment_reduce": Method(_torch_segment, note="torch.segment_reduce"),
    **_SCATTER,
}


def _check(inputs: SegmentInputs, result: tuple[Tensor, ...]) -> float:
    """Against float64: the entries in row order are a CSR whose entry e gathers row e of x."""
    forms = inputs.forms
    columns = chosen_columns(inputs.x.shape[1], forms.nnz)
    x = inputs.x.detach()[:, columns]
    if inputs.order is not None:
        x = x[torch.argsort(inputs.order)]
    g = inputs.g[:, columns].numpy()
    position = torch.arange(forms.nnz, dtype=torch.int32).numpy()
    out, dx = spmm_reference(forms.graph.rowptr, position, None, x.numpy(), g, inputs.reduce)
    expected = [torch.from_numpy(out), torch.from_numpy(dx)]
    if inputs.order is not None:
        expected[1] = expected[1][inputs.order]
    return max(relative_difference(a[:, columns], b) for a, b in zip(result, expected, strict=False))


def _agree(inputs: SegmentInputs, ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> float:
    masks = [inputs.forms.has_entries, None]  # torch gives other values than 0 for empty segments
    if len(ours) != len(theirs):
        return float("inf")
    return max(relative_difference(b, a, m) for a, b, m in zip(ours, theirs, masks, strict=False))


def _case(size: str, graph: str, width: int, kind: str, reduce: str, backward: bool) -> Case:
    return Case(
        name="/".join([graph, f"d{width}", kind, reduce, "fwd+bwd" if backward else "fwd"]),
        family="segment",
        size=size,
        inputs=lambda: _inputs(graph, width, kind, reduce, backward),
        ours=Method(_ours_segment if kind == "segment" else _ours_scatter),
        rivals=_SEGMENT if kind == "segment" else _SCATTER,
        check=_check,
        agree=_agree,
        tolerance=1e-4,  # as for spmm: float32 sums over hubs
        params={"graph": graph, "width": width, "kind": kind, "reduce": reduce, "backward": backward},
        tags=frozenset({"memory"}) if size in ("tiny", "medium") and reduce == "sum" else frozenset(),
    )


def cases() -> list[Case]:
    """Two kinds, three reductions; widths that keep E x d below 2 GB."""
    sizes = (("tiny", "tiny", 16), ("small", "pubmed", 64), ("medium", "rmat-200k", 16), ("large", "rmat-1m", 16))
    return [
        _case(size, graph, width, kind, reduce, backward)
        for size, graph, width in sizes
        for kind, reduce, backward in itertools.product(("segment", "scatter"), ("sum", "mean", "max"), (False, True))
        if not (size == "large" and backward)
    ]
