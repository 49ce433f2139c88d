"""How each library computes the same SpMM, called the way its users call it (formats built beforehand)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.registry import Method, Skip

__all__ = ["MESSAGE_BYTES", "RIVALS", "messages_fit"]

MESSAGE_BYTES = 2_000_000_000  # an E x d array above this is not built
_AMAX = {"sum": "sum", "mean": "mean", "max": "amax"}
Timed = Callable[[], tuple[Any, ...]]


def messages_fit(entries: int, width: int) -> None:
    """Raises Skip when gathered messages would be too large."""
    size = entries * width * 4
    if size > MESSAGE_BYTES:
        raise Skip(f"the E x d array of messages takes {size / 1e9:.1f} GB (limit 2 GB)")


def _timed(inputs: Any, forward: Callable[[Tensor], Tensor]) -> Timed:
    from benchmarks.families.spmm import timed

    return timed(inputs, forward)


def _matrix(inputs: Any) -> Tensor:
    """int32 where it works: the gradient of torch 2.13's mean overflows with it on 200,000 nodes and is wrong."""
    matrix: Tensor = inputs.forms.torch_csr(inputs.weighted, wide=inputs.reduce == "mean" and inputs.backward)
    return matrix


def _torch_csr(inputs: Any) -> Timed:
    matrix = _matrix(inputs)
    if inputs.reduce == "sum":
        return _timed(inputs, lambda x: matrix @ x)
    return _timed(inputs, lambda x: torch.sparse.mm(matrix, x, _AMAX[inputs.reduce]))


def _pyg_spmm(inputs: Any) -> Timed:
    from torch_geometric.utils import spmm

    if inputs.forms.nnz >= 1_000_000 and inputs.x.shape[1] > 64:
        raise Skip("utils.spmm calls torch CSR on the same matrix; measured on the smaller cases")
    matrix = _matrix(inputs)
    return _timed(inputs, lambda x: spmm(matrix, x, reduce=inputs.reduce))


def _pyg_edge_index(inputs: Any) -> Timed:
    if inputs.reduce == "max" and inputs.backward:
        messages_fit(4 * inputs.forms.nnz, inputs.x.shape[1])  # its gradient holds several E x d arrays at once
    edge_index = inputs.forms.edge_index
    value = inputs.forms.weight if inputs.weighted else None
    return _timed(inputs, lambda x: edge_index.matmul(x, input_value=value, reduce=inputs.reduce))


def _dgl(inputs: Any) -> Timed:
    import dgl

    graph = inputs.forms.dgl_graph
    if inputs.weighted:
        weight = inputs.forms.weight.unsqueeze(1)
        operation = getattr(dgl.ops, f"u_mul_e_{inputs.reduce}")
        return _timed(inputs, lambda x: operation(graph, x, weight))
    operation = getattr(dgl.ops, f"copy_u_{inputs.reduce}")
    return _timed(inputs, lambda x: operation(graph, x))


def _messages(inputs: Any) -> Callable[[Tensor], Tensor]:
    messages_fit(inputs.forms.nnz, inputs.x.shape[1])
    col = inputs.forms.col_long
    if not inputs.weighted:
        return lambda x: x[col]
    weight = inputs.forms.weight.unsqueeze(1)
    return lambda x: x[col] * weight


def _scatter(inputs: Any) -> Timed:
    from torch_scatter import scatter

    gather, row, size = _messages(inputs), inputs.forms.row_long, inputs.forms.num_nodes
    return _timed(inputs, lambda x: scatter(gather(x), row, dim=0, dim_size=size, reduce=inputs.reduce))


def _segment_csr(inputs: Any) -> Timed:
    from torch_scatter import segment_csr

    gather, rowptr = _messages(inputs), inputs.forms.rowptr_long
    return _timed(inputs, lambda x: segment_csr(gather(x), rowptr, reduce=inputs.reduce))


def _scipy(inputs: Any) -> Timed:
    if inputs.backward:
        raise Skip("scipy has no gradients")
    if inputs.reduce == "max":
        raise Skip("scipy has no maximum over neighbours")
    matrix, x = inputs.forms.scipy_csr(inputs.weighted), inputs.x.numpy()
    if inputs.reduce == "sum":
        return lambda: (torch.from_numpy(matrix @ x),)
    count = inputs.forms.graph.degree.clip(min=1).astype("float32")[:, None]

    def mean() -> tuple[Tensor, ...]:
        out = matrix @ x
        out /= count
        return (torch.from_numpy(out),)

    return mean


RIVALS: dict[str, Method] = {
    "torch-csr": Method(_torch_csr, note="sum through MKL; int32 indices, int64 for the gradient of the mean"),
    "pyg-edgeindex": Method(_pyg_edge_index, "torch_geometric", "EdgeIndex.matmul, cache filled"),
    "pyg-spmm": Method(_pyg_spmm, "torch_geometric", "utils.spmm on torch CSR"),
    "torch_scatter": Method(_scatter, "torch_scatter", "gather, then scatter"),
    "torch_scatter-csr": Method(_segment_csr, "torch_scatter", "gather, then segment_csr"),
    "dgl": Method(_dgl, "dgl", "dgl.ops, int32 ids"),
    "scipy": Method(_scipy, "scipy", "csr_array @ x, one thread"),
}
