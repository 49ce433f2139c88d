"""Checks of arguments that views and centralities share."""

from __future__ import annotations

import numbers
from typing import Any

import torch
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, ShapeError

__all__ = ["check_features", "check_rate"]


def check_rate(value: Any, name: str = "p") -> float:
    """`value` as a float; raises unless it is a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise DTypeError(f"{name} must be a number; got {type(value).__name__}.", hint=f"{name}=0.3")
    number = float(value)
    if not 0 <= number < 1:
        raise GraphrepError(f"{name} is {number}; a rate lies in [0, 1).", hint=f"{name}=0.3 drops three in ten")
    return number


def check_features(x: Tensor) -> None:
    """Raises unless `x` is an (N, F) tensor, dense or sparse CSR."""
    if not isinstance(x, Tensor):
        raise DTypeError(f"x must be a torch tensor; got {type(x).__name__}.", hint="torch.as_tensor(x)")
    if x.dim() != 2:
        raise ShapeError(f"x has shape {tuple(x.shape)}; it must be (N, F).", hint="x[:, None] for one column")
    if x.layout not in (torch.strided, torch.sparse_csr):
        raise DTypeError(f"x has layout {x.layout}.", hint="x.to_sparse_csr(), or x.to_dense()")
