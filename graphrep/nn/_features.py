"""The check of node features that functions on dense and on sparse ones share."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.errors import DTypeError, ShapeError

__all__ = ["check_features"]


def check_features(x: Tensor) -> None:
    """Raises unless `x` is an (N, F) tensor, dense or sparse CSR."""
    if not isinstance(x, Tensor):
        raise DTypeError(f"x must be a torch tensor; got {type(x).__name__}.", hint="torch.as_tensor(x)")
    if x.dim() != 2:
        raise ShapeError(f"x has shape {tuple(x.shape)}; it must be (N, F).", hint="x[:, None] for one column")
    if x.layout not in (torch.strided, torch.sparse_csr):
        raise DTypeError(f"x has layout {x.layout}.", hint="x.to_sparse_csr(), or x.to_dense()")
