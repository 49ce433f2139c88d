"""Argument checks shared by the kernels: one clear error that names the argument, before any work."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.errors import DeviceError, DTypeError, IndexRangeError, ShapeError

__all__ = ["check_device", "check_edge_index", "check_floating", "check_index", "check_range"]

_INDEX_TYPES = (torch.int32, torch.int64)


def check_index(index: Tensor, name: str, *, ndim: int = 1) -> None:
    """Raises unless `index` is an int32 or int64 tensor with `ndim` axes."""
    if not isinstance(index, Tensor):
        raise DTypeError(f"{name} must be a torch tensor; got {type(index).__name__}.", hint="torch.as_tensor(...)")
    if index.dtype not in _INDEX_TYPES:
        raise DTypeError(
            f"{name} must hold integers; got {index.dtype}.",
            hint=f"{name}.long(). If these are weights, pass them as edge_weight.",
        )
    if index.dim() != ndim:
        raise ShapeError(f"{name} must have {ndim} axes; got shape {tuple(index.shape)}.", hint=f"{name}.reshape(...)")


def check_edge_index(edge_index: Tensor) -> None:
    """Raises unless `edge_index` is an integer tensor of shape (2, E)."""
    check_index(edge_index, "edge_index", ndim=edge_index.dim() if isinstance(edge_index, Tensor) else 2)
    if edge_index.dim() != 2 or edge_index.shape[0] != 2:
        turned = edge_index.dim() == 2 and edge_index.shape[1] == 2
        raise ShapeError(
            f"edge_index must have shape (2, E); got {tuple(edge_index.shape)}.",
            hint="edge_index.t().contiguous()" if turned else "torch.stack([source, destination])",
        )


def check_range(index: Tensor, size: int, name: str) -> None:
    """Raises unless 0 <= index < size everywhere; costs one pass and, on CUDA, one synchronisation.

    In a compiled graph the check is part of the graph, and raises RuntimeError when it runs.
    """
    if torch.compiler.is_compiling():
        inside = ((index >= 0) & (index < size)).all()
        torch._assert_async(inside, f"{name} refers to an id outside 0..{size - 1}.")
        return
    if index.numel() == 0:
        return
    low, high = (int(v) for v in torch.aminmax(index))
    if low >= 0 and high < size:
        return
    worst = low if low < 0 else high
    where = int((index.reshape(-1) == worst).nonzero()[0])
    valid = f"valid ids are 0..{size - 1}" if size else "there is no valid id"
    raise IndexRangeError(
        f"{name} refers to {worst} at position {where}, but the size is {size} ({valid}).",
        hint="ids that start at 1 need subtracting 1; or pass a larger size (num_nodes, size, dim_size)",
    )


def check_floating(x: Tensor, name: str) -> None:
    """Raises unless `x` is a tensor of real floating-point numbers."""
    if not isinstance(x, Tensor):
        raise DTypeError(f"{name} must be a torch tensor; got {type(x).__name__}.", hint="torch.as_tensor(...)")
    if not x.is_floating_point():
        raise DTypeError(f"{name} must hold floating-point numbers; got {x.dtype}.", hint=f"{name}.float()")


def check_device(device: torch.device, **tensors: Tensor | None) -> None:
    """Raises unless every named tensor lies on `device`."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.device != device:
            raise DeviceError(
                f"{name} is on {tensor.device}, the graph on {device}.", hint=f'{name}.to("{device}"), or csr.to(...)'
            )
