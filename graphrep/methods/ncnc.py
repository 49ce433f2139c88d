"""NCNC: neural common neighbours with completion."""

from __future__ import annotations

from typing import Any

from graphrep.methods.ncn import NCN
from graphrep.methods.trained import inherits_arguments

__all__ = ["NCNC"]


class NCNC(NCN):
    """:class:`~graphrep.methods.NCN` with completion: neighbours of one end alone count by the chance of their link.

    Args:
        dim: D, width of the vectors.
        completion: depth; 1 as published.
        options: all other arguments are those of :class:`~graphrep.methods.NCN`.

    Source: Wang, Yang, Zhang, "Neural Common Neighbor with Completion for Link Prediction", ICLR 2024,
    arXiv:2302.00890.

    Example:
        >>> import torch
        >>> ring = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
        >>> NCNC(dim=8, epochs=2, validation=None).fit(ring).score([[0], [2]]).shape
        torch.Size([1])
    """

    def __init__(self, dim: int = 256, *, completion: int = 1, **options: Any) -> None:
        super().__init__(dim, completion=completion, **options)


inherits_arguments(NCNC)
