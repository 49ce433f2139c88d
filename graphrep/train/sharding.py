"""Large modules in several processes: parameters shared out by torch's ``fully_shard``, and put together for files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.train.exchange import is_sharded, synchronise
from graphrep.train.processes import is_active, local_device

__all__ = [
    "PARALLEL",
    "apart",
    "clip",
    "full_state",
    "gradient_norm",
    "laid_out_as",
    "load_full_state",
    "plain",
    "wrap",
]

PARALLEL = ("ddp", "fsdp")


def wrap(
    module: nn.Module, parallel: str = "ddp", *, layers: Sequence[nn.Module] | None = None, methods: Sequence[str] = ()
) -> nn.Module:
    """The module, ready to be trained by all processes of a group, in place.

    ``ddp``: every process holds all of it; the main process's weights are copied to the others, and
    :func:`graphrep.train.train` averages the gradients. ``fsdp``: every process holds one part of each parameter, of
    its gradient and of its moments, and gathers a layer while that is computed; for encoders that do not fit otherwise.
    Under ``fsdp`` all processes must call the module equally often, with or without live rows of their own.

    Args:
        module: the same in every process.
        parallel: ``ddp`` or ``fsdp``.
        layers: parts of `module` that are gathered one at a time; None: the members of its longest ``nn.ModuleList``,
            which are the layers of a transformer.
        methods: names of methods besides ``forward`` that compute with the parameters.

    Returns:
        `module`; unchanged without a group.

    Raises:
        UnknownNameError: another `parallel`.
        GraphrepError: this torch has no ``fully_shard``.

    Example:
        >>> wrap(nn.Linear(2, 1))
        Linear(in_features=2, out_features=1, bias=True)
    """
    if parallel not in PARALLEL:
        raise UnknownNameError(f'parallel is "{parallel}".', hint="one of " + ", ".join(PARALLEL))
    if not is_active():
        return module
    synchronise(module)
    if parallel == "fsdp":
        _shard(module, _layers(module) if layers is None else layers, methods)
    return module


def _shard(module: nn.Module, layers: Iterable[nn.Module], methods: Sequence[str]) -> None:
    try:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
    except ImportError as error:
        raise GraphrepError(
            f"parallel=fsdp needs torch.distributed.fsdp.fully_shard: {error}.", hint="parallel=ddp, or torch 2.11"
        ) from error
    import torch.distributed as dist

    kind = next(module.parameters()).device.type
    mesh = init_device_mesh(local_device(kind).type, (dist.get_world_size(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    for name in methods:
        register_fsdp_forward_method(module, name)


def _layers(module: nn.Module) -> list[nn.Module]:
    lists = [part for part in module.modules() if isinstance(part, nn.ModuleList)]
    return list(max(lists, key=lambda part: len(list(part)))) if lists else []


def plain(tensor: Tensor) -> Tensor:
    """The whole of a sharded tensor, in every process; another tensor as it is."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def full_state(module: nn.Module) -> dict[str, Tensor]:
    """``state_dict`` of whole tensors, sharded ones on the CPU; to be called by all processes.

    Example:
        >>> sorted(full_state(nn.Linear(2, 1)))
        ['bias', 'weight']
    """
    return {name: plain(t).cpu() if is_sharded(t) else t for name, t in module.state_dict().items()}


def load_full_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Puts what :func:`full_state` returned back, each process its parts.

    Raises:
        RuntimeError: names or shapes differ.
    """
    held = module.state_dict()
    module.load_state_dict({name: laid_out_as(held[name], t) if name in held else t for name, t in state.items()})


def laid_out_as(parameter: Tensor, value: Any) -> Any:
    """A moment in the memory layout of its parameter, which fused steps rely on and files do not keep."""
    if not isinstance(value, Tensor) or value.shape != parameter.shape or is_sharded(value):
        return value
    if is_sharded(parameter):
        from torch.distributed.tensor import distribute_tensor

        mesh, placements = parameter.device_mesh, parameter.placements  # type: ignore[attr-defined]
        return distribute_tensor(value.to(parameter.device), mesh, placements)
    if value.stride() == parameter.stride():
        return value
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def apart(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups of parameters, sharded and whole ones in groups of their own: a fused step takes one kind."""
    found = []
    for group in groups:
        kinds = [[p for p in group["params"] if is_sharded(p) is kind] for kind in (False, True)]
        found += [{**group, "params": kind} for kind in kinds if kind]
    return found


def gradient_norm(gradients: Sequence[Tensor]) -> float:
    """The Euclidean norm of all gradients together, sharded or whole."""
    parts = [[g for g in gradients if is_sharded(g) is kind] for kind in (False, True)]
    norms = [float(plain(torch.nn.utils.get_total_norm(part))) for part in parts if part]
    return norms[0] if len(norms) == 1 else math.hypot(*norms)


def clip(parameters: Sequence[Tensor], max_norm: float, norm: float) -> None:
    """Scales the gradients so that their norm, which is `norm` now, is at most `max_norm`."""
    whole = [p for p in parameters if not is_sharded(p)]
    torch.nn.utils.clip_grads_with_norm_(whole, max_norm, torch.tensor(norm))
    if len(whole) < len(parameters):
        factor = min(1.0, max_norm / (norm + 1e-6))  # as torch clips the others
        for p in parameters:
            if is_sharded(p) and p.grad is not None:
                p.grad.mul_(factor)
