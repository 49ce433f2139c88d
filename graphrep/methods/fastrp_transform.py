"""FastRP as a PyTorch Geometric transform: adds vectors to a `Data` object."""

from __future__ import annotations

from typing import Any

from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphrep.methods.fastrp import FastRP

__all__ = ["FastRPTransform"]


class FastRPTransform(BaseTransform):
    """Adds ``data.fastrp`` (N, dim), the FastRP embedding of the graph (Chen et al., CIKM 2019).

    Args:
        dim: coordinates.
        attr_name: where the vectors go; ``"x"`` appends them to the features.
        **params: other arguments of :class:`graphrep.methods.FastRP`.

    Example:
        >>> import torch
        >>> data = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> FastRPTransform(dim=16)(data).fastrp.shape
        torch.Size([3, 16])
    """

    def __init__(self, dim: int = 128, attr_name: str = "fastrp", **params: Any) -> None:
        self.attr_name = attr_name
        self.model = FastRP(dim=dim, **params)

    def forward(self, data: Data) -> Data:
        """A copy of `data` with the vectors (PyG copies before it calls)."""
        import torch

        z = self.model.embed(data)
        if self.attr_name == "x" and data.x is not None:
            x = data.x if data.x.dim() > 1 else data.x[:, None]
            z = torch.cat([x, z.to(x.dtype)], dim=1)
        data[self.attr_name] = z
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r}, attr_name={self.attr_name!r})"
