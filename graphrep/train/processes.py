"""The processes of a training on ``torch.distributed``: who is who, and decisions that all take alike."""

from __future__ import annotations

import datetime
import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from graphrep.errors import DeviceError, GraphrepError

__all__ = [
    "agreed_path",
    "any_of",
    "any_process",
    "barrier",
    "from_main",
    "is_active",
    "is_main",
    "largest",
    "launched",
    "local_device",
    "mean_parts",
    "on_all",
    "process_group",
    "process_seed",
    "rank",
    "reduced",
    "world_size",
]

T = TypeVar("T")
_PLACE = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: seeds of neighbouring processes lie far apart


def launched() -> bool:
    """Whether a launcher such as ``torchrun`` started this process as one of a group.

    Raises:
        GraphrepError: it says so only in part.

    Example:
        >>> launched()
        False
    """
    named = [name for name in _PLACE if os.environ.get(name)]
    if not named or "WORLD_SIZE" not in named or "RANK" not in named:
        return False
    if len(named) < len(_PLACE):
        missing = ", ".join(sorted(set(_PLACE) - set(named)))
        raise GraphrepError(
            f"The launcher set {', '.join(named)} but not {missing}.", hint="start the processes with torchrun"
        )
    return True


@contextmanager
def process_group(*, backend: str | None = None, timeout: float = 7200.0) -> Iterator[None]:
    """Within the block the processes of the launcher are one group; without a launcher nothing happens.

    Each process takes the GPU of its local rank where there are GPUs. A group that exists already is left alone.

    Args:
        backend: of ``torch.distributed``; None: gloo for CPU tensors and nccl for those on GPUs.
        timeout: seconds that a process waits for the others, which covers what the main process does alone.

    Raises:
        GraphrepError: the launcher named the place of this process only in part.
        DeviceError: more processes than GPUs on this machine.

    Example:
        >>> with process_group():
        ...     world_size()
        1
    """
    if not launched() or is_active():
        yield
        return
    if not _available():
        raise GraphrepError("This build of torch has no torch.distributed.", hint="a build with it, or one process")
    if torch.cuda.is_available():
        torch.cuda.set_device(local_device("cuda"))
    dist.init_process_group(backend, timeout=datetime.timedelta(seconds=timeout))
    try:
        yield
        barrier()  # nobody leaves while others still exchange something
    finally:
        gc.collect()  # wrapped modules hold the group, whose threads would outlive it
        dist.destroy_process_group()


def is_active() -> bool:
    """Whether there is a process group."""
    return _available() and dist.is_initialized()


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if is_active() else 0


def world_size() -> int:
    """Number of processes; 1 without a group."""
    return dist.get_world_size() if is_active() else 1


def is_main() -> bool:
    """Whether this process is the one that writes and prints.

    Example:
        >>> is_main()
        True
    """
    return rank() == 0


def barrier() -> None:
    """Waits until all processes are here."""
    if is_active():
        any_process(False)  # an all-reduce: unlike dist.barrier() it needs no device to be named


def local_device(device: str | torch.device = "cpu") -> torch.device:
    """`device`, with ``cuda`` meaning the GPU of this process.

    Raises:
        DeviceError: more processes than GPUs on this machine.

    Example:
        >>> local_device("cpu")
        device(type='cpu')
    """
    found = torch.device(device)
    if found.type != "cuda" or ":" in str(found) or not launched():
        return found
    place, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if place >= count:
        raise DeviceError(
            f"Process {place} of this machine has no GPU of its own; there are {count}.",
            hint=f"torchrun --nproc-per-node {max(count, 1)}",
        )
    return torch.device("cuda", place)


def process_seed(seed: int, stream: int = 0) -> int:
    """A seed of this process's own; in the main process `seed` itself (`stream` 0).

    Example:
        >>> process_seed(7)
        7
    """
    return (seed + _GOLDEN * (rank() + world_size() * stream)) % 2**63 if rank() or stream else seed


def any_process(flag: bool) -> bool:
    """Whether `flag` is true in at least one process; the same answer in all.

    Example:
        >>> any_process(False)
        False
    """
    return bool(reduced(torch.tensor(int(flag)), "max"))


def any_of(flags: Tensor) -> Tensor:
    """:func:`any_process` of every entry of a bool tensor; `flags` is left as it is.

    Example:
        >>> any_of(torch.tensor([True, False]))
        tensor([ True, False])
    """
    return reduced(flags.to(torch.uint8), "max").to(flags.device).bool()


def largest(number: int) -> int:
    """The largest of the processes' numbers.

    Example:
        >>> largest(3)
        3
    """
    return int(reduced(torch.tensor(number), "max"))


def on_all(value: float) -> float:
    """The mean of a number over the processes; NaN where one has NaN.

    Example:
        >>> on_all(2.5)
        2.5
    """
    if world_size() == 1:
        return value
    return float(reduced(torch.tensor(value, dtype=torch.float64), "sum")) / world_size()


def mean_parts(parts: Mapping[str, float]) -> dict[str, float]:
    """Named numbers, each the mean over the processes that have it."""
    if world_size() == 1:
        return dict(parts)
    found: list[Mapping[str, float]] = [{} for _ in range(world_size())]
    dist.all_gather_object(found, dict(parts))
    names = dict.fromkeys(name for one in found for name in one)
    held = {name: [one[name] for one in found if name in one] for name in names}
    return {name: sum(values) / len(values) for name, values in held.items()}


def from_main(value: T) -> T:
    """The main process's `value`, a plain object, in all processes.

    Example:
        >>> from_main("epoch")
        'epoch'
    """
    if world_size() == 1:
        return value
    held = [value]
    dist.broadcast_object_list(held, src=0, device=_device())
    return held[0]


def agreed_path(path: Path) -> bool:
    """Whether the file exists, as all processes see it.

    Raises:
        GraphrepError: some processes see it and others do not.
    """
    seen, wanted = path.exists(), from_main(path.exists())
    if any_process(seen != wanted):
        raise GraphrepError(
            f"{path} is not there in every process.", hint="a folder that all machines share, such as a network drive"
        )
    return wanted


def reduced(value: Tensor, operation: str) -> Tensor:
    """The sum or the maximum (`operation`) of a tensor over the processes, on the device of the group."""
    if world_size() > 1:
        value = value.to(_device())
        dist.all_reduce(value, op=getattr(dist.ReduceOp, operation.upper()))
    return value


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


def _available() -> bool:
    return bool(dist.is_available())
