"""How other libraries compute the same on a GPU, called the way their users call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.registry import Method, Skip

__all__ = ["CONTRAST", "DOTS", "TEMPERATURE", "Inputs", "gat", "products", "segments", "softmax", "with_gradients"]

Inputs = dict[str, Tensor]
MESSAGE_BYTES = 20e9  # an E x d array above this is not built
TEMPERATURE = 0.4


def with_gradients(
    function: Callable[[Inputs], Tensor], inputs: Inputs, names: tuple[str, ...], *, cotangent: str = "g"
) -> list[Tensor]:
    """The result and its gradients with respect to the named inputs for the named cotangent (1 if there is none)."""
    leaves = {n: t.detach().requires_grad_(n in names) for n, t in inputs.items()}
    out = function(leaves)
    return [out.detach(), *torch.autograd.grad(out, [leaves[n] for n in names], inputs.get(cotangent))]


def _method(
    function: Callable[[Any, Inputs], Tensor],
    names: tuple[str, ...],
    needs: str | None = None,
    *,
    cotangent: str = "g",
) -> Method:
    """`function` of the graph and the inputs, and its gradients with respect to `names`, if any."""

    def prepare(forms: Any, inputs: Inputs) -> Callable[[], list[Tensor]]:
        if names:
            return lambda: with_gradients(lambda v: function(forms, v), inputs, names, cotangent=cotangent)
        return lambda: [function(forms, inputs)]

    return Method(lambda pair: prepare(*pair), needs)


def _messages(forms: Any, x: Tensor, weighted: bool) -> Tensor:
    size = forms.nnz * x[:1].nbytes
    if size > MESSAGE_BYTES:
        raise Skip(f"the E x d array of messages takes {size / 1e9:.0f} GB")
    return x[forms.col] * forms.weight.to(x.dtype)[:, None] if weighted else x[forms.col]


def products(reduce: str, *, weighted: bool, backward: bool) -> dict[str, Method]:
    """Rivals of spmm."""
    names = ("x",) if backward else ()

    def cusparse(forms: Any, inputs: Inputs) -> Tensor:
        x = inputs["x"]
        matrix = forms.matrix(weighted, x.dtype)
        return matrix @ x if reduce == "sum" else torch.sparse.mm(matrix, x, _AMAX[reduce])

    def pyg(forms: Any, inputs: Inputs) -> Tensor:
        from torch_geometric.utils import scatter

        messages = _messages(forms, inputs["x"], weighted)
        return scatter(messages, forms.row, dim=0, dim_size=forms.num_nodes, reduce=reduce)

    def torch_scatter(forms: Any, inputs: Inputs) -> Tensor:
        from torch_scatter import segment_csr

        return segment_csr(_messages(forms, inputs["x"], weighted), forms.rowptr, reduce=reduce)

    def index(forms: Any, inputs: Inputs) -> Tensor:
        x = inputs["x"]
        messages, out = _messages(forms, x, weighted), x.new_zeros(forms.num_nodes, x.shape[1])
        if reduce == "sum":
            return out.index_add(0, forms.row, messages)
        return out.index_reduce(0, forms.row, messages, _AMAX[reduce], include_self=False)

    return {
        "torch-csr": _method(cusparse, names),
        "torch-index": _method(index, names),
        "pyg-scatter": _method(pyg, names, "torch_geometric"),
        "torch_scatter": _method(torch_scatter, names, "torch_scatter"),
    }


_AMAX = {"sum": "sum", "mean": "mean", "max": "amax"}


def segments(reduce: str) -> dict[str, Method]:
    """Rivals of segment_reduce."""

    def torch_segments(forms: Any, inputs: Inputs) -> Tensor:
        return torch.segment_reduce(inputs["x_e"], reduce, offsets=forms.rowptr, axis=0, initial=0)

    def scatter_reduce(forms: Any, inputs: Inputs) -> Tensor:
        x = inputs["x_e"]
        index = forms.row[:, None].expand_as(x)
        out = x.new_zeros(forms.num_nodes, x.shape[1])
        return out.scatter_reduce(0, index, x, _AMAX[reduce], include_self=False)

    def torch_scatter(forms: Any, inputs: Inputs) -> Tensor:
        from torch_scatter import segment_csr

        return segment_csr(inputs["x_e"], forms.rowptr, reduce=reduce)

    found = {"torch-scatter_reduce": _method(scatter_reduce, ())}
    if reduce != "max":  # its `initial` of 0, which empty segments need, would take part in the maximum
        found["torch-segment_reduce"] = _method(torch_segments, ())
    return {**found, "torch_scatter": _method(torch_scatter, (), "torch_scatter")}


def _gathered_dots(forms: Any, inputs: Inputs) -> Tensor:
    size = forms.nnz * inputs["q"][:1].nbytes
    if 2 * size > MESSAGE_BYTES:
        raise Skip(f"the two E x d arrays take {2 * size / 1e9:.0f} GB")
    return (inputs["q"][forms.row] * inputs["k"][forms.col]).sum(-1)


def _sampled_addmm(forms: Any, inputs: Inputs) -> Tensor:
    q, k = inputs["q"], inputs["k"]
    if q.shape[1] != 1:
        raise Skip("sampled_addmm has no heads")
    pattern = forms.matrix(False, q.dtype)
    return torch.sparse.sampled_addmm(pattern, q[:, 0], k[:, 0].t(), beta=0).values()[:, None]


DOTS = {"torch-sampled_addmm": _method(_sampled_addmm, ()), "torch-gather": _method(_gathered_dots, ())}


def _pyg_softmax(forms: Any, logits: Tensor) -> Tensor:
    from torch_geometric.utils import softmax as pyg

    result: Tensor = pyg(logits, forms.row, num_nodes=forms.num_nodes)
    return result


def softmax(backward: bool) -> dict[str, Method]:
    """Rivals of edge_softmax."""
    names = ("x_e",) if backward else ()
    rival = _method(lambda forms, v: _pyg_softmax(forms, v["x_e"]), names, "torch_geometric", cotangent="g_e")
    return {"pyg-softmax": rival}


def gat(backward: bool) -> dict[str, Method]:
    """Rivals of gat_aggregate: PyG's own steps, gather, softmax, scatter."""

    def composed(forms: Any, inputs: Inputs) -> Tensor:
        x = inputs["x"]
        if forms.nnz * x[:1].nbytes > MESSAGE_BYTES:
            raise Skip("the E x H x d array of messages does not fit")
        logits = torch.nn.functional.leaky_relu(inputs["left"][forms.col] + inputs["right"][forms.row], 0.2)
        messages = _pyg_softmax(forms, logits)[:, :, None] * x[forms.col]
        return torch.zeros_like(x).index_add(0, forms.row, messages)

    return {"pyg-steps": _method(composed, ("x", "left", "right") if backward else (), "torch_geometric")}


def _dense_contrast(forms: Any, inputs: Inputs) -> Tensor:
    """The loss as its authors wrote it, with four N x N matrices."""
    u, v = (torch.nn.functional.normalize(inputs[n], dim=1) for n in "uv")

    def one_way(a: Tensor, b: Tensor) -> Tensor:
        between, within = (torch.exp(a @ other.t() / TEMPERATURE) for other in (b, a))
        return -torch.log(between.diag() / (between.sum(1) + within.sum(1) - within.diag()))

    return ((one_way(u, v) + one_way(v, u)) / 2).mean()


CONTRAST = {"dense": _method(_dense_contrast, ("u", "v"))}
