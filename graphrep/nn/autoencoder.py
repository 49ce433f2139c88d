"""Encoder and decoder of node features without a graph, as in deep clustering; features may be sparse."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR, spmm
from graphrep.nn.encoder import feature_matrix

__all__ = ["AutoEncoder", "FeatureMLP"]


class FeatureMLP(nn.Module):
    """Linear layers with ReLU between them and none at the end; sparse features are multiplied as they are.

    The layers are ``nn.Linear`` with PyTorch's default start, in ``lins``.

    Args:
        in_channels: F.
        hidden_channels: widths of the layers before the last; may be empty.
        out_channels: d.

    Shapes:
        x: (N, F) dense, torch sparse CSR, or a :class:`~graphrep.kernels.CSR` of features. Returns (N, d).

    Raises:
        GraphrepError: a width below 1.
        ShapeError, DTypeError: x does not fit.

    Example:
        >>> FeatureMLP(3, [8], 2)(torch.eye(3).to_sparse_csr()).shape
        torch.Size([3, 2])
    """

    def __init__(self, in_channels: int, hidden_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        widths = [in_channels, *hidden_channels, out_channels]
        if min(widths) < 1:
            raise GraphrepError(f"the widths of the layers are {widths}.", hint="1 or more, such as [500, 500, 2000]")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.lins = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        first = self.lins[0]
        assert isinstance(first, nn.Linear)
        # Stored by columns: a sparse product gathers rows of the transpose, which then needs no copy in any step.
        first.weight = nn.Parameter(first.weight.detach().t().contiguous().t())

    @property
    def layers(self) -> list[nn.Linear]:
        """The layers, first to last."""
        return list(self.lins)  # type: ignore[arg-type]

    def hidden(self, x: Any) -> Tensor | CSR:
        """What the last layer is applied to: (N, width), or the features themselves when there is one layer."""
        h: Any = feature_matrix(x)
        if h.shape[1] != self.in_channels:
            raise ShapeError(
                f"x has {h.shape[1]} columns; this encoder takes {self.in_channels}.",
                hint="features of the data it was made for",
            )
        for lin in self.layers[:-1]:
            h = _linear(h, lin).relu_()
        out: Tensor | CSR = h
        return out

    def forward(self, x: Any) -> Tensor:
        """Runs the layers; shapes are those of the class."""
        return _linear(self.hidden(x), self.layers[-1])

    def extra_repr(self) -> str:
        """The widths."""
        return " -> ".join(str(n) for n in [self.in_channels, *(lin.out_features for lin in self.layers)])


def _linear(h: Tensor | CSR, lin: nn.Linear) -> Tensor:
    if isinstance(h, CSR):
        product: Tensor = spmm(h, lin.weight.t()) + lin.bias
        return product
    return torch.addmm(lin.bias, h, lin.weight.t())  # its gradient has the layout of the weight, whichever that is


class AutoEncoder(nn.Module):
    """``x_hat = decoder(encoder(x))``, the decoder with the encoder's widths in reverse.

    Args:
        in_channels: F.
        hidden_channels: widths between the features and the embedding.
        dim: d.

    Shapes:
        x: (N, F), as for :class:`FeatureMLP`. Returns z (N, d) and x_hat (N, F), both dense.

    Source: widths, activations and start of Xie, Girshick, Farhadi, "Unsupervised Deep Embedding for Clustering
    Analysis", ICML 2016, arXiv:1511.06335, as used by SDCN (Bo et al., WWW 2020, arXiv:2002.01633) and SCGC.

    Example:
        >>> z, x_hat = AutoEncoder(16, hidden_channels=[8], dim=2)(torch.ones(5, 16))
        >>> z.shape, x_hat.shape
        (torch.Size([5, 2]), torch.Size([5, 16]))
    """

    def __init__(self, in_channels: int, hidden_channels: Sequence[int] = (500, 500, 2000), dim: int = 10) -> None:
        super().__init__()
        self.encoder = FeatureMLP(in_channels, hidden_channels, dim)
        self.decoder = FeatureMLP(dim, list(hidden_channels)[::-1], in_channels)

    def forward(self, x: Any) -> tuple[Tensor, Tensor]:
        """Runs both halves."""
        z = self.encoder(x)
        return z, self.decoder(z)
