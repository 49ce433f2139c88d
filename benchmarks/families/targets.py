"""What the other operations cost beside the plain sum on the same graph and width: the targets of the CPU kernels.

The "rivals" are our own operations, measured interleaved with our unweighted sum, so a ratio is time over the sum's
(for `softmax`, over DGL's). DGL's sum of copied rows is the one outside bar.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.families.spmm import GRAPH_OF_SIZE, SpmmInputs, _inputs, check
from benchmarks.registry import Case, Method

__all__ = ["cases"]

HEADS = 4
WIDTHS = (16, 64, 256, 512)
_MOST_BYTES = 1.5e9  # a feature matrix above this is left out


def _sum(inputs: SpmmInputs) -> Callable[[], tuple[Tensor, ...]]:
    from graphrep.kernels import spmm

    csr = inputs.forms.csr(False)
    return lambda: (spmm(csr, inputs.x),)


def _dgl(inputs: SpmmInputs) -> Callable[[], Any]:
    import dgl

    graph = inputs.forms.dgl_graph
    return lambda: (dgl.ops.copy_u_sum(graph, inputs.x),)


def _weighted(inputs: SpmmInputs) -> Callable[[], Any]:
    from graphrep.kernels import spmm

    csr = inputs.forms.csr(True)
    return lambda: (spmm(csr, inputs.x),)


def _max_with_arg(inputs: SpmmInputs) -> Callable[[], Any]:
    from graphrep.kernels import spmm

    csr = inputs.forms.csr(False)
    return lambda: spmm(csr, inputs.x, reduce="max", return_arg=True)


def _sddmm(inputs: SpmmInputs) -> Callable[[], Any]:
    from graphrep.kernels import sddmm

    csr = inputs.forms.csr(False)
    return lambda: (sddmm(csr, inputs.x, inputs.x),)


def _gat(inputs: SpmmInputs) -> Callable[[], Any]:
    from graphrep.kernels import gat_aggregate

    csr, width = inputs.forms.csr(False), inputs.x.shape[1]
    x = inputs.x.view(-1, HEADS, width // HEADS)
    left, right = (torch.randn(len(x), HEADS, generator=torch.Generator().manual_seed(s)) for s in (5, 6))
    return lambda: (gat_aggregate(csr, x, left, right),)


def _with_backward(reduce: str, weighted: bool) -> Callable[[SpmmInputs], Callable[[], Any]]:
    def prepare(inputs: SpmmInputs) -> Callable[[], Any]:
        from graphrep.kernels import spmm

        csr, x = inputs.forms.csr(weighted), inputs.x.clone().requires_grad_()

        def call() -> tuple[Tensor, ...]:
            out = spmm(csr, x, reduce=reduce)
            return out.detach(), *torch.autograd.grad(out, x, inputs.g)

        return call

    return prepare


_METHODS = {
    "dgl-copy_u": Method(_dgl, "dgl", "unweighted sum, int32 ids"),
    "weighted": Method(_weighted, note="our weighted sum", compiles=True),
    "max+arg": Method(_max_with_arg, note="our maximum with positions", compiles=True),
    "sddmm": Method(_sddmm, note="our dot products", compiles=True),
    "gat": Method(
        _gat, note=f"our fused GAT aggregation, {HEADS} heads; the target is twice the weighted sum", compiles=True
    ),
    "sum fwd+bwd": Method(_with_backward("sum", False), note="our sum and its gradient", compiles=True),
    "weighted fwd+bwd": Method(
        _with_backward("sum", True), note="our weighted sum and the gradient of x", compiles=True
    ),
    "max fwd+bwd": Method(_with_backward("max", False), note="our maximum and its gradient", compiles=True),
}


def _agree(inputs: SpmmInputs, ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> float:
    """Other operations are checked in their own families; here only that a result of the right height came."""
    rows = {inputs.forms.num_nodes, inputs.forms.nnz}
    return 0.0 if theirs[0].shape[0] in rows and bool(theirs[0].isfinite().any()) else float("inf")


def _case(size: str, width: int) -> Case:
    graph = GRAPH_OF_SIZE[size]
    return Case(
        name=f"{graph}/d{width}",
        family="targets",
        size=size,
        inputs=lambda: _inputs(graph, width, "sum", False, False),
        ours=Method(_sum),
        rivals=_METHODS,
        check=check,
        agree=_agree,
        tolerance=1e-4,
        params={"graph": graph, "width": width},
    )


def cases() -> list[Case]:
    """Ordered by graph, so that each graph's formats are built once."""
    nodes = {"tiny": 1e3, "small": 2e4, "medium": 2e5, "large": 1e6}
    fitting = [(s, w) for s, w in itertools.product(GRAPH_OF_SIZE, WIDTHS) if nodes[s] * w * 4 <= _MOST_BYTES]
    return [_case(size, width) for size, width in fitting]
