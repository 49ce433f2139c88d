"""The ``torch.ops.graphrep`` namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from graphrep.kernels._dispatch import implementation

__all__ = ["define"]

_LIBRARY = torch.library.Library("graphrep", "FRAGMENT")  # type: ignore[no-untyped-call]


def define(schema: str, fake: Callable[..., Any], *, device_of: int = 0) -> Callable[..., Any]:
    """Defines ``graphrep::name`` from its schema; each call runs the implementation for its arguments' device.

    The lower-level registration is used because ``torch.library.custom_op`` costs several times more per call.

    Args:
        schema: ``name(arguments) -> results`` in torch's schema language.
        fake: gives empty outputs of the right shape, for tracing.
        device_of: position of the tensor argument whose device decides.
    """
    name = schema.partition("(")[0]

    def call(*args: Any) -> Any:
        return implementation(name, args[device_of].device)(*args)

    _LIBRARY.define(schema)  # type: ignore[no-untyped-call]
    _LIBRARY.impl(name, call, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"graphrep::{name}", fake, lib=_LIBRARY)
    operator: Callable[..., Any] = getattr(torch.ops.graphrep, name).default
    return operator
