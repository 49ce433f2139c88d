"""The two layers of a trained GCN encoder as matrices, read from its modules and checked against what it computes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn

from graphrep.errors import GraphrepError
from graphrep.kernels import gcn_norm, spmm

__all__ = ["gcn_layers", "outputs"]

Layers = list[tuple[Tensor, Tensor | None]]
_IDLE = (nn.Identity, nn.Dropout, nn.AlphaDropout)  # nothing happens there in eval mode
_CLOSE = {torch.float64: 1e-9, torch.float32: 1e-4}  # relative to the largest output


def gcn_layers(encoder: nn.Module, x: Tensor, edge_index: Tensor) -> tuple[Layers, float, Tensor]:
    """Weights as ``x @ W + b``, the slope below 0 of both activations, and the encoder's output on this graph.

    Args:
        encoder: a module called as ``encoder(x, edge_index)`` that holds two GCNConv (PyG's or graphrep's) and ReLU,
            LeakyReLU or PReLU with one slope; functional ReLU is fine, dropout is idle.
        x: (N, F).
        edge_index: (2, E).

    Raises:
        GraphrepError: a layer that cannot be bounded, by name, or an encoder that computes something else.
    """
    convs: dict[str, pyg.GCNConv] = {}
    slopes = {}
    for name, module in _leaves(encoder, ""):
        if isinstance(module, pyg.GCNConv):
            _check_conv(name, module)
            convs[name] = module
        elif not isinstance(module, _IDLE):
            slopes[name] = _slope(name, module)
    if len(convs) != 2:
        which = f" ({', '.join(convs)})" if convs else ""
        raise GraphrepError(
            f"{type(encoder).__name__} has {len(convs)} GCNConv layers{which}; bounds exist for two.",
            hint="num_layers=2, or the encoder itself without heads",
        )
    if len(set(slopes.values())) > 1:
        raise GraphrepError(
            f"The activations have different slopes below 0: {slopes}; bounds need one.", hint="one shared PReLU"
        )
    slope = next(iter(slopes.values()), 0.0)
    layers: Layers = [
        (conv.lin.weight.detach().t(), None if conv.bias is None else conv.bias.detach()) for conv in convs.values()
    ]
    found = outputs(encoder, x, edge_index)
    sizes: Layers = [(weight.abs(), None if bias is None else bias.abs()) for weight, bias in layers]
    size = _plain(sizes, 1.0, x.abs(), edge_index)  # rounding is relative to what was summed, not to what is left of it
    _check_outputs(found, _plain(layers, slope, x, edge_index), size, type(encoder).__name__)
    return layers, slope, found


@torch.no_grad()
def outputs(encoder: nn.Module, x: Tensor, edge_index: Tensor) -> Tensor:
    """What the encoder gives in eval mode; the modes of its modules are put back."""
    modes = [(module, module.training) for module in encoder.modules()]
    try:
        encoder.eval()
        out: Tensor = encoder(x, edge_index)
        return out
    finally:
        for module, mode in modes:
            module.training = mode


def _leaves(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Modules that do something of their own, with their path; a GCNConv counts as one."""
    children = list(module.named_children())
    if isinstance(module, pyg.GCNConv) or not children:
        yield name or type(module).__name__, module
        return
    for key, child in children:
        yield from _leaves(child, f"{name}.{key}" if name else key)


def _check_conv(name: str, conv: pyg.GCNConv) -> None:
    wrong = {
        "normalize=False": not conv.normalize,
        "add_self_loops=False": not conv.add_self_loops,
        f'flow="{conv.flow}"': conv.flow != "source_to_target",
        f"aggr={conv.aggr!r}": conv.aggr not in ("add", "sum"),
    }
    for what, found in wrong.items():
        if found:
            raise GraphrepError(
                f"Layer {name} (GCNConv) has {what}; bounds exist for symmetric normalisation with self-loops."
            )


def _slope(name: str, module: nn.Module) -> float:
    """The slope below 0 of an activation."""
    if isinstance(module, nn.ReLU):
        return 0.0
    if isinstance(module, nn.LeakyReLU):
        slope = float(module.negative_slope)
    elif isinstance(module, nn.RReLU):
        slope = float(module.lower + module.upper) / 2
    elif isinstance(module, nn.PReLU) and module.weight.numel() == 1:
        slope = float(module.weight)
    else:
        raise GraphrepError(
            f"Layer {name} ({module}) cannot be bounded.",
            hint="two GCNConv with ReLU, LeakyReLU or a PReLU of one slope; pass the encoder without its heads",
        )
    if not 0 <= slope <= 1:
        raise GraphrepError(f"Layer {name} has slope {slope}; bounds hold for slopes in [0, 1].")
    return slope


@torch.no_grad()
def _plain(layers: Layers, slope: float, x: Tensor, edge_index: Tensor) -> Tensor | None:
    """The encoder that the bounds are about, or None where its sizes do not fit."""
    csr = gcn_norm(torch.unique(edge_index, dim=1), num_nodes=x.shape[0], dtype=x.dtype)
    for weight, bias in layers:
        if x.shape[1] != weight.shape[0]:
            return None
        x = spmm(csr, x @ weight)
        x = nn.functional.leaky_relu(x if bias is None else x + bias, slope)
    return x


def _check_outputs(found: Tensor, wanted: Tensor | None, size: Tensor | None, name: str) -> None:
    error = float("inf")
    if wanted is not None and size is not None and found.shape == wanted.shape and found.numel():
        error = float((found - wanted).abs().max() / size.max().clamp(min=1e-30))
    elif wanted is not None and found.shape == wanted.shape:
        error = 0.0
    if not error <= _CLOSE.get(found.dtype, 1e-2):
        raise GraphrepError(
            f"{name} does not compute s(A s(A x W1 + b1) W2 + b2) from two layers (relative difference {error:.2g}).",
            hint="an activation after the second layer too; no skip connection, norm layer, edge weight, double edge",
        )
