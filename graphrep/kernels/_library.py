"""The ``torch.ops.graphrep`` namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from graphrep.kernels._dispatch import implementation

__all__ = ["define", "needs_grad"]

_LIBRARY = torch.library.Library("graphrep", "FRAGMENT")  # type: ignore[no-untyped-call]
_modes = torch._C._len_torch_dispatch_stack
_transforms = torch._C._functorch.peek_interpreter_stack


def needs_grad(*tensors: Tensor | None) -> bool:
    """Whether autograd will ask for a gradient with respect to any of these."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def define(schema: str, fake: Callable[..., Any], *, device_of: int = 0) -> Callable[..., Any]:
    """Defines ``graphrep::name`` from its schema; each call runs the implementation for its arguments' device.

    The lower-level registration is used because ``torch.library.custom_op`` costs several times more per call.

    Args:
        schema: ``name(arguments) -> results`` in torch's schema language.
        fake: gives empty outputs of the right shape, for tracing.
        device_of: position of the tensor argument whose device decides.

    Returns:
        A function that calls the operator, or its implementation at once where nothing watches: the way through the
        dispatcher and back into Python costs 40 to 200 us, a quarter of the sum over a graph of 90,000 edges.
    """
    name = schema.partition("(")[0]

    def implemented(*args: Any) -> Any:
        return implementation(name, args[device_of].device)(*args)

    _LIBRARY.define(schema)  # type: ignore[no-untyped-call]
    _LIBRARY.impl(name, implemented, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"graphrep::{name}", fake, lib=_LIBRARY)
    operator = getattr(torch.ops.graphrep, name).default

    def call(*args: Any) -> Any:
        if torch.compiler.is_compiling() or _watched(args):
            return operator(*args)
        return implemented(*args)

    return call


def _watched(args: tuple[Any, ...]) -> bool:
    """Whether autograd, a dispatch mode, a function transform or a tensor subclass must see this call."""
    if _modes() or _transforms() is not None:
        return True
    tracked = torch.is_grad_enabled()
    for arg in args:
        kind = type(arg)
        if kind is torch.Tensor or kind is torch.nn.Parameter:
            if tracked and arg.requires_grad:
                return True
        elif isinstance(arg, torch.Tensor):
            return True
    return False
