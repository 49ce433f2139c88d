"""Shared type aliases; shapes are stated by name because annotations cannot check them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import torch

    ArrayLike: TypeAlias = "torch.Tensor | np.ndarray[Any, Any] | list[Any]"
    EdgeIndex: TypeAlias = "torch.Tensor"  # (2, E) integers: row 0 the sources, row 1 the destinations

__all__ = ["ArrayLike", "BackendName", "Direction", "EdgeIndex", "Reduction"]

Reduction: TypeAlias = Literal["sum", "mean", "max", "min"]
BackendName: TypeAlias = Literal["reference", "cpu", "cuda"]
Direction: TypeAlias = Literal["out", "in", "both"]


def __getattr__(name: str) -> Any:
    """`ArrayLike` and `EdgeIndex` exist for the type checker; at run time they stand for any object."""
    if name in {"ArrayLike", "EdgeIndex"}:
        return Any
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
