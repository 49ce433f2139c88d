"""SDDMM: one dot product per edge and head, forward and forward + backward."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.families.forms import GraphForms, graph_forms
from benchmarks.families.spmm import GRAPH_OF_SIZE
from benchmarks.families.spmm_rivals import messages_fit
from benchmarks.reference import all_agree, relative_difference
from benchmarks.registry import Case, Method, Skip

__all__ = ["cases"]


@dataclass(frozen=True)
class SddmmInputs:
    """q, k (N, H, D); g (E, H) the gradient that backward starts from."""

    forms: GraphForms
    q: Tensor
    k: Tensor
    g: Tensor
    backward: bool


def _inputs(graph: str, heads: int, width: int, backward: bool) -> SddmmInputs:
    forms = graph_forms(graph)
    generator = torch.Generator().manual_seed(5)
    shape = (forms.num_nodes, heads, width)
    q, k = (torch.randn(shape, generator=generator).requires_grad_(backward) for _ in range(2))
    return SddmmInputs(forms, q, k, torch.randn(forms.nnz, heads, generator=generator), backward)


def _timed(inputs: SddmmInputs, forward: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], Any]:
    def without_gradient() -> tuple[Tensor, ...]:
        with torch.no_grad():
            return (forward(inputs.q, inputs.k),)

    def with_gradient() -> tuple[Tensor, ...]:
        out = forward(inputs.q, inputs.k)
        return (out.detach(), *torch.autograd.grad(out, (inputs.q, inputs.k), inputs.g))

    return with_gradient if inputs.backward else without_gradient


def _ours(inputs: SddmmInputs) -> Callable[[], Any]:
    from graphrep.kernels import sddmm

    csr = inputs.forms.csr(False)
    return _timed(inputs, lambda q, k: sddmm(csr, q, k))


def _dgl(inputs: SddmmInputs) -> Callable[[], Any]:
    import dgl

    graph = inputs.forms.dgl_graph
    return _timed(inputs, lambda q, k: dgl.ops.v_dot_u(graph, q, k).squeeze(-1))


def _gather(inputs: SddmmInputs) -> Callable[[], Any]:
    messages_fit(inputs.forms.nnz, inputs.q.shape[1] * inputs.q.shape[2])
    row, col = inputs.forms.row_long, inputs.forms.col_long
    return _timed(inputs, lambda q, k: (q[row] * k[col]).sum(-1))


def _sampled(inputs: SddmmInputs) -> Callable[[], Any]:
    if inputs.q.shape[1] != 1:
        raise Skip("sampled_addmm has no heads")
    pattern = inputs.forms.torch_csr(False)

    def forward(q: Tensor, k: Tensor) -> Tensor:
        return torch.sparse.sampled_addmm(pattern, q[:, 0], k[:, 0].t(), beta=0.0).values().unsqueeze(1)

    return _timed(inputs, forward)


def _check(inputs: SddmmInputs, result: tuple[Tensor, ...]) -> float:
    """Float64 dot products of 200,000 random entries (all, on small graphs), and gradients of 50 rows."""
    forms, q, k = inputs.forms, inputs.q.detach().double(), inputs.k.detach().double()
    chosen = np.random.default_rng(6).permutation(forms.nnz)[:200_000]
    row, col = forms.row_long[chosen], forms.col_long[chosen]
    worst = relative_difference(result[0][chosen], (q[row] * k[col]).sum(-1))
    if not inputs.backward:
        return worst
    for node in np.random.default_rng(7).permutation(forms.num_nodes)[:50]:
        start, stop = int(forms.graph.rowptr[node]), int(forms.graph.rowptr[node + 1])
        expected = (inputs.g[start:stop].double().unsqueeze(-1) * k[forms.col_long[start:stop]]).sum(0)
        worst = max(worst, relative_difference(result[1][node : node + 1], expected.unsqueeze(0)))
    return worst


_RIVALS = {
    "dgl": Method(_dgl, "dgl", "ops.v_dot_u, int32 ids"),
    "gather": Method(_gather, note="(q[row] * k[col]).sum(-1)"),
    "torch-sampled_addmm": Method(_sampled, note="torch.sparse.sampled_addmm (MKL)"),
}


def _case(size: str, heads: int, width: int, backward: bool) -> Case:
    graph = GRAPH_OF_SIZE[size]
    return Case(
        name="/".join([graph, f"H{heads}xD{width}", "fwd+bwd" if backward else "fwd"]),
        family="sddmm",
        size=size,
        inputs=lambda: _inputs(graph, heads, width, backward),
        ours=Method(_ours),
        rivals=_RIVALS,
        check=_check,
        agree=all_agree,
        tolerance=1e-4,  # float32 products of 64 terms, gradients summed over hubs
        params={"graph": graph, "heads": heads, "width": width, "backward": backward},
        tags=frozenset({"memory"}) if size in ("tiny", "medium") else frozenset(),
    )


def cases() -> list[Case]:
    """One head of 64 and four heads of 16."""
    shapes = ((1, 64), (4, 16))
    return [_case(s, *shape, b) for s in GRAPH_OF_SIZE for shape, b in itertools.product(shapes, (False, True))]
