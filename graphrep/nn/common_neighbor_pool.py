"""The sum over common neighbours as a module."""

from __future__ import annotations

from torch import Tensor, nn

from graphrep.kernels import CSR, common_neighbor_pool

__all__ = ["CommonNeighborPool"]


class CommonNeighborPool(nn.Module):
    """:func:`graphrep.kernels.common_neighbor_pool` as a module without parameters.

    Shapes:
        x: (N, D); csr: :class:`~graphrep.kernels.CSR` (N, N), row i holds the neighbours of node i; pairs: (2, P).
        Returns (P, D): zeros for pairs without a common neighbour.

    Raises:
        ShapeError, IndexRangeError, DTypeError, DeviceError: the arguments do not fit each other.

    Source: Wang, Yang, Zhang, "Neural Common Neighbor with Completion for Link Prediction", ICLR 2024,
    arXiv:2302.00890.

    Example:
        >>> import torch
        >>> path = CSR.from_edge_index(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> CommonNeighborPool()(torch.tensor([[1.0], [2.0], [4.0]]), path, torch.tensor([[0], [2]]))
        tensor([[2.]])
    """

    def forward(self, x: Tensor, csr: CSR, pairs: Tensor) -> Tensor:
        """Sums; shapes are those of the class."""
        return common_neighbor_pool(csr, pairs, x)
