"""Softmax of edge logits over the in-edges of each node, per head."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.families.forms import GraphForms, graph_forms
from benchmarks.families.spmm import GRAPH_OF_SIZE, timed
from benchmarks.reference import all_agree, relative_difference
from benchmarks.registry import Case, Method

__all__ = ["cases"]


@dataclass(frozen=True)
class SoftmaxInputs:
    """x (E, H) logits in CSR order; g (E, H) the gradient that backward starts from."""

    forms: GraphForms
    x: Tensor
    g: Tensor
    backward: bool


def _inputs(graph: str, heads: int, backward: bool) -> SoftmaxInputs:
    forms = graph_forms(graph)
    generator = torch.Generator().manual_seed(8)
    logits, g = (torch.randn(forms.nnz, heads, generator=generator) for _ in range(2))
    return SoftmaxInputs(forms, (3 * logits).requires_grad_(backward), g, backward)


def _ours(inputs: SoftmaxInputs) -> Callable[[], Any]:
    from graphrep.kernels import edge_softmax

    csr = inputs.forms.csr(False)
    return timed(inputs, lambda x: edge_softmax(csr, x))


def _dgl(inputs: SoftmaxInputs) -> Callable[[], Any]:
    from dgl.nn.functional import edge_softmax

    graph = inputs.forms.dgl_graph
    return timed(inputs, lambda x: edge_softmax(graph, x.unsqueeze(-1)).squeeze(-1))


def _pyg_index(inputs: SoftmaxInputs) -> Callable[[], Any]:
    from torch_geometric.utils import softmax

    return timed(inputs, lambda x: softmax(x, inputs.forms.row_long, num_nodes=inputs.forms.num_nodes))


def _pyg_ptr(inputs: SoftmaxInputs) -> Callable[[], Any]:
    from torch_geometric.utils import softmax

    return timed(inputs, lambda x: softmax(x, ptr=inputs.forms.rowptr_long))


def _torch_scatter(inputs: SoftmaxInputs) -> Callable[[], Any]:
    from torch_scatter.composite import scatter_softmax

    index, size = inputs.forms.row_long.unsqueeze(1), inputs.forms.num_nodes
    return timed(inputs, lambda x: scatter_softmax(x, index.expand_as(x), dim=0, dim_size=size))


def _check(inputs: SoftmaxInputs, result: tuple[Tensor, ...]) -> float:
    """Float64 over the rows of the largest degree and 300 random ones."""
    forms, worst = inputs.forms, 0.0
    rows = np.random.default_rng(9).permutation(forms.num_nodes)[:300]
    for node in [int(forms.graph.degree.argmax()), *rows]:
        part = slice(int(forms.graph.rowptr[node]), int(forms.graph.rowptr[node + 1]))
        alpha = torch.softmax(inputs.x.detach()[part].double(), dim=0)
        expected = [alpha]
        if inputs.backward:
            g = inputs.g[part].double()
            expected.append(alpha * (g - (alpha * g).sum(0)))
        worst = max([worst, *(relative_difference(a[part], b) for a, b in zip(result, expected, strict=True))])
    return worst


_RIVALS = {
    "dgl": Method(_dgl, "dgl", "nn.functional.edge_softmax, int32 ids"),
    "pyg-softmax": Method(_pyg_index, "torch_geometric", "utils.softmax with an index"),
    "pyg-softmax-ptr": Method(_pyg_ptr, "torch_geometric", "utils.softmax with ptr"),
    "torch_scatter": Method(_torch_scatter, "torch_scatter", "scatter_softmax"),
}


def _case(size: str, heads: int, backward: bool) -> Case:
    graph = GRAPH_OF_SIZE[size]
    return Case(
        name="/".join([graph, f"H{heads}", "fwd+bwd" if backward else "fwd"]),
        family="edge_softmax",
        size=size,
        inputs=lambda: _inputs(graph, heads, backward),
        ours=Method(_ours),
        rivals=_RIVALS,
        check=_check,
        agree=all_agree,
        tolerance=2e-5,  # values below 1; the exponential is good to 2e-7 and sums add a few 1e-6
        params={"graph": graph, "heads": heads, "backward": backward},
        tags=frozenset({"memory"}) if size in ("tiny", "medium") else frozenset(),
    )


def cases() -> list[Case]:
    """One head, and four."""
    return [_case(s, heads, b) for s in GRAPH_OF_SIZE for heads, b in itertools.product((1, 4), (False, True))]
