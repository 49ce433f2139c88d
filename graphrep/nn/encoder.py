"""A stack of graph convolutions with one activation: the encoder of the GRACE family, also for sparse features."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, spmm
from graphrep.nn._adjacency import normalized, remembered
from graphrep.nn.gcn_conv import GCNConv

__all__ = ["GCNEncoder", "feature_matrix"]

_ACTIVATIONS = ("relu", "prelu", "rrelu", "elu", "none")


class GCNEncoder(nn.Module):
    """``h_l = s(A h_{l-1} W_l + b_l)`` with A = D^-1/2 (A + I) D^-1/2, the activation s after every layer too.

    The layers are :class:`~graphrep.nn.GCNConv` in ``convs``, so weights go to and from a PyG model; all layers share
    one activation (one slope for ``prelu``), as in GRACE (Zhu et al. 2020). Sparse features are multiplied as they are,
    never made dense.

    Args:
        in_channels: F.
        hidden_channels: width of the layers before the last.
        out_channels: d.
        num_layers: 1 or more.
        activation: "relu", "prelu", "rrelu" (random slopes in training), "elu" or "none".

    Shapes:
        x: (N, F) dense, torch sparse CSR, or a :class:`~graphrep.kernels.CSR` of features; adjacency: (2, E), or a
        :class:`~graphrep.kernels.CSR` (N, N), rows are destinations: without weights it is normalised as an edge_index
        is, with weights it is taken as normalised already. Returns (N, out_channels).

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError: the arguments of a call do not fit each other.

    Example:
        >>> encoder = GCNEncoder(3, 8, 4)
        >>> encoder(torch.eye(3), torch.tensor([[0, 1], [1, 2]])).shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        *,
        num_layers: int = 2,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise GraphrepError(f"num_layers is {num_layers}.", hint="1 or more")
        widths = [in_channels, *[hidden_channels] * (num_layers - 1), out_channels]
        self.in_channels, self.out_channels = in_channels, out_channels
        self.convs = nn.ModuleList(GCNConv(a, b) for a, b in itertools.pairwise(widths))
        self.activation = _activation(activation)

    def _layers(self) -> list[Any]:
        return list(self.convs)

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        for conv in self._layers():
            conv.reset_parameters()

    @property
    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """[(W, b)] per layer, used as x @ W + b."""
        return [(conv.lin.weight.t(), conv.bias) for conv in self._layers()]

    @property
    def negative_slope(self) -> Tensor | float:
        """Slope of the activation below zero where it is linear there.

        Raises:
            GraphrepError: the activation is not piecewise linear.
        """
        if isinstance(self.activation, nn.PReLU):
            return self.activation.weight
        if isinstance(self.activation, nn.RReLU):
            return (self.activation.lower + self.activation.upper) / 2
        if isinstance(self.activation, nn.ReLU):
            return 0.0
        if isinstance(self.activation, nn.Identity):
            return 1.0
        raise GraphrepError(f"{self.activation} is not piecewise linear.", hint='activation="relu" or "prelu"')

    def forward(self, x: Any, adjacency: Tensor | CSR, edge_weight: Tensor | None = None) -> Tensor:
        """Runs the layers; shapes are those of the class."""
        h: Any = feature_matrix(x)
        if h.shape[1] != self.in_channels:
            raise ShapeError(
                f"x has {h.shape[1]} columns; this encoder takes {self.in_channels}.",
                hint="features of the data it was made for",
            )
        dtype = self._layers()[0].lin.weight.dtype
        if not isinstance(adjacency, CSR) or adjacency.value is None:
            adjacency = normalized(adjacency, edge_weight, h.shape[0], add_self_loops=True, dtype=dtype)
        for conv in self._layers():
            product = spmm(h, conv.lin.weight.t()) if isinstance(h, CSR) else conv.lin(h)
            h = self.activation(spmm(adjacency, product) + conv.bias)
        out: Tensor = h
        return out

    def extra_repr(self) -> str:
        """The widths."""
        return " -> ".join(str(n) for n in [self.in_channels, *(conv.out_channels for conv in self.convs)])


def feature_matrix(x: Any) -> Tensor | CSR:
    """Features as layers take them: dense (N, F) as they are, a torch sparse CSR tensor as a CSR (made once).

    Raises:
        DTypeError, ShapeError: something else.
    """
    if isinstance(x, CSR):
        return x
    if not isinstance(x, Tensor):
        raise DTypeError(f"x is a {type(x).__name__}.", hint="a tensor (N, F), dense or sparse CSR")
    if x.dim() != 2:
        raise ShapeError(f"x has shape {tuple(x.shape)}.", hint="(N, F)")
    if x.layout == torch.sparse_csr:
        parts, columns = (x.crow_indices(), x.col_indices(), x.values()), x.shape[1]
        if x.requires_grad:
            return CSR(*parts, num_cols=columns)
        # values() is a view that holds x: what x remembers must not, or neither would ever be freed
        plain = (*parts[:2], parts[2].detach())
        return remembered(x, ("features",), lambda: CSR(*plain, num_cols=columns))
    if x.layout != torch.strided:
        raise DTypeError(f"x has layout {x.layout}.", hint="x.to_sparse_csr() or x.to_dense()")
    return x


def _activation(name: str) -> nn.Module:
    if name not in _ACTIVATIONS:
        raise UnknownNameError(f'activation is "{name}".', hint="one of " + ", ".join(_ACTIVATIONS))
    modules = {"relu": nn.ReLU, "prelu": nn.PReLU, "rrelu": nn.RReLU, "elu": nn.ELU, "none": nn.Identity}
    module: nn.Module = modules[name]()
    return module
