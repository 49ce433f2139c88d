"""Chooses the implementation of each operation: plain torch (reference), numba (cpu) or Triton (cuda).

An operation has one public function and up to three implementations under one name. The environment variable
``GRAPHREP_BACKEND`` forces one; otherwise the device of the input decides.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from graphrep.errors import DeviceError, UnknownNameError
from graphrep.typing import BackendName

__all__ = ["backend", "implementation", "implementations", "register"]

_NAMES: tuple[BackendName, ...] = ("reference", "cpu", "cuda")
_TABLE: dict[str, dict[BackendName, Callable[..., Any]]] = {}
_F = TypeVar("_F", bound=Callable[..., Any])


def register(op: str, name: BackendName) -> Callable[[_F], _F]:
    """Decorator: the function is the implementation of operation `op` for backend `name`."""

    def wrap(function: _F) -> _F:
        _TABLE.setdefault(op, {})[name] = function
        return function

    return wrap


def forced() -> BackendName | None:
    """The backend named by ``GRAPHREP_BACKEND``, or None when the variable is unset or ``auto``."""
    name = os.environ.get("GRAPHREP_BACKEND", "auto").strip().lower()
    if name in ("", "auto"):
        return None
    if name not in _NAMES:
        raise UnknownNameError(
            f'GRAPHREP_BACKEND is "{name}", which is no backend.', hint="one of reference, cpu, cuda, auto"
        )
    return name


def backend(device: torch.device | str = "cpu") -> BackendName:
    """The backend that operations on `device` run on.

    Returns:
        What ``GRAPHREP_BACKEND`` forces, else ``"cuda"`` for CUDA tensors and ``"cpu"`` (numba) for CPU tensors.

    Example:
        >>> backend("cpu") in ("cpu", "reference")
        True
    """
    name = forced()
    if name is not None:
        return name
    return "cuda" if torch.device(device).type == "cuda" else "cpu"


def implementation(op: str, device: torch.device) -> Callable[..., Any]:
    """The function that runs `op` on tensors of `device`.

    A CUDA operation without a CUDA kernel runs on the plain torch reference, which works on every device;
    ``graphrep info`` shows which operations those are.

    Raises:
        DeviceError: the forced backend cannot run on tensors of this device.
    """
    table = _TABLE[op]
    name = forced()
    if name is None:
        wanted: BackendName = "cuda" if device.type == "cuda" else "cpu"
        return table.get(wanted, table["reference"])
    if name == "cpu" and device.type != "cpu":
        raise DeviceError(
            f"GRAPHREP_BACKEND=cpu cannot run {op} on tensors of {device}.", hint="unset it, or move the tensors to cpu"
        )
    if name == "cuda" and device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise DeviceError(
            f"GRAPHREP_BACKEND=cuda cannot run {op} on tensors of {device}.",
            hint='move the tensors to "cuda", or unset GRAPHREP_BACKEND',
        )
    if name not in table:
        raise DeviceError(f"{op} has no {name} kernel.", hint=f"GRAPHREP_BACKEND={' or '.join(table)}")
    return table[name]


def implementations() -> dict[str, tuple[BackendName, ...]]:
    """Every operation with the backends that have an implementation of their own (for ``graphrep info``)."""
    return {op: tuple(name for name in _NAMES if name in table) for op, table in sorted(_TABLE.items())}
