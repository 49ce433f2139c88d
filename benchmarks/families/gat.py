"""Graph attention: logits from both ends, softmax over the in-edges, weighted sum of the neighbours' rows."""

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
from benchmarks.families.spmm_rivals import messages_fit
from benchmarks.reference import all_agree, relative_difference
from benchmarks.registry import Case, Method

__all__ = ["cases"]

SLOPE = 0.2


@dataclass(frozen=True)
class GatInputs:
    """x (N, H, D) features, left and right (N, H) the parts of the logits, g (N, H, D) the incoming gradient of x."""

    forms: GraphForms
    x: Tensor
    left: Tensor
    right: Tensor
    g: Tensor
    backward: bool


def _inputs(graph: str, heads: int, width: int, backward: bool) -> GatInputs:
    forms = graph_forms(graph)
    generator = torch.Generator().manual_seed(8)
    x, g = (torch.randn(forms.num_nodes, heads, width // heads, generator=generator) for _ in range(2))
    left, right = (torch.randn(forms.num_nodes, heads, generator=generator) for _ in range(2))
    return GatInputs(forms, x.requires_grad_(backward), left, right, g, backward)


def _ours(inputs: GatInputs) -> Callable[[], Any]:
    from graphrep.kernels import gat_aggregate

    csr = inputs.forms.csr(False)
    return timed(inputs, lambda x: gat_aggregate(csr, x, inputs.left, inputs.right, negative_slope=SLOPE))


def _dgl(inputs: GatInputs) -> Callable[[], Any]:
    import dgl
    from dgl.nn.functional import edge_softmax

    graph = inputs.forms.dgl_graph

    def forward(x: Tensor) -> Tensor:
        logits = dgl.ops.u_add_v(graph, inputs.left, inputs.right)
        alpha = edge_softmax(graph, torch.nn.functional.leaky_relu(logits, SLOPE).unsqueeze(-1))
        out: Tensor = dgl.ops.u_mul_e_sum(graph, x, alpha)
        return out

    return timed(inputs, forward)


def _pyg(inputs: GatInputs) -> Callable[[], Any]:
    from torch_geometric.utils import scatter, softmax

    forms = inputs.forms
    messages_fit(forms.nnz, inputs.x[:1].numel())
    source, target, count = forms.col_long, forms.row_long, forms.num_nodes

    def forward(x: Tensor) -> Tensor:
        logits = torch.nn.functional.leaky_relu(inputs.left[source] + inputs.right[target], SLOPE)
        alpha = softmax(logits, target, num_nodes=count)
        return scatter(x[source] * alpha.unsqueeze(-1), target, dim_size=count)

    return timed(inputs, forward)


def _torch_scatter(inputs: GatInputs) -> Callable[[], Any]:
    from torch_scatter import scatter_add
    from torch_scatter.composite import scatter_softmax

    forms = inputs.forms
    messages_fit(forms.nnz, inputs.x[:1].numel())
    source, target, count = forms.col_long, forms.row_long, forms.num_nodes

    def forward(x: Tensor) -> Tensor:
        logits = torch.nn.functional.leaky_relu(inputs.left[source] + inputs.right[target], SLOPE)
        alpha = scatter_softmax(logits, target.unsqueeze(1).expand_as(logits), dim=0, dim_size=count)
        out: Tensor = scatter_add(x[source] * alpha.unsqueeze(-1), target, dim=0, dim_size=count)
        return out

    return timed(inputs, forward)


def _check(inputs: GatInputs, result: tuple[Tensor, ...]) -> float:
    """Float64: the sums at the row of the largest degree and 300 random ones, the gradients at as many columns."""
    forms = inputs.forms
    x, left, right = (t.detach().double() for t in (inputs.x, inputs.left, inputs.right))
    g, transpose = inputs.g.double(), forms.csr(False).t()
    rowptr, col = torch.from_numpy(forms.graph.rowptr), torch.from_numpy(forms.graph.col)

    def weights(row: int) -> tuple[Tensor, Tensor]:
        source = col[int(rowptr[row]) : int(rowptr[row + 1])].long()
        return torch.softmax(torch.nn.functional.leaky_relu(left[source] + right[row], SLOPE), dim=0), source

    worst = 0.0
    some = np.random.default_rng(9).permutation(forms.num_nodes)[:300]
    for row in [int(forms.graph.degree.argmax()), *some]:
        alpha, source = weights(row)
        worst = max(worst, relative_difference(result[0][row], (alpha.unsqueeze(-1) * x[source]).sum(0)))
    if inputs.backward:
        for node in some[:60]:
            part = slice(int(transpose.rowptr[node]), int(transpose.rowptr[node + 1]))
            expected = torch.zeros_like(x[node])
            for row in transpose.col[part].unique().tolist():
                alpha, source = weights(row)
                expected += alpha[source == node].sum(0).unsqueeze(-1) * g[row]
            worst = max(worst, relative_difference(result[1][node], expected))
    return worst


_RIVALS = {
    "dgl": Method(_dgl, "dgl", "u_add_v, edge_softmax, u_mul_e_sum, int32 ids"),
    "pyg": Method(_pyg, "torch_geometric", "gather, utils.softmax, scatter, as GATConv does"),
    "torch_scatter": Method(_torch_scatter, "torch_scatter", "gather, scatter_softmax, scatter_add"),
}


def _case(size: str, heads: int, width: int, backward: bool) -> Case:
    graph = GRAPH_OF_SIZE[size]
    return Case(
        name="/".join([graph, f"H{heads}", f"d{width}", "fwd+bwd" if backward else "fwd"]),
        family="gat",
        size=size,
        inputs=lambda: _inputs(graph, heads, width, backward),
        ours=Method(_ours),
        rivals=_RIVALS,
        check=_check,
        agree=all_agree,
        tolerance=1e-4,
        params={"graph": graph, "heads": heads, "width": width, "backward": backward},
        tags=frozenset({"memory"}) if size in ("tiny", "medium") and width == 64 else frozenset(),
    )


def cases() -> list[Case]:
    """Four heads, 64 and 256 numbers in all."""
    return [_case(s, 4, width, b) for s in GRAPH_OF_SIZE for width, b in itertools.product((64, 256), (False, True))]
