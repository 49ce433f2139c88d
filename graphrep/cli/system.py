"""What a run needs to know of the machine: threads, device, memory, versions, commit. torch is imported late."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any

import graphrep
from graphrep.errors import DeviceError

__all__ = [
    "commit",
    "describe",
    "free_memory",
    "peak_memory",
    "reset_peak_memory",
    "resolve_device",
    "use_threads",
    "versions",
]

_PACKAGES = ("torch", "torch_geometric", "numba", "numpy", "scipy", "scikit-learn", "networkx", "safetensors")


def use_threads(threads: int | None, *, deterministic: Any = False) -> int:
    """Sets the number of CPU threads of numba and torch; None keeps the default. Returns the number in use.

    `deterministic`: torch refuses operations whose result may differ from run to run.

    numba fixes the size of its pool when it is imported, so this must run first; more than the cores is allowed.
    """
    if threads is not None:
        # The pool must not be smaller than the cores: code that was not told of `threads` may ask for all of them.
        os.environ["NUMBA_NUM_THREADS"] = str(max(threads, os.cpu_count() or 1))
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if deterministic:
        torch.use_deterministic_algorithms(True)
    return torch.get_num_threads()


def resolve_device(name: str | None) -> str:
    """The torch device that `name` (auto, cpu, cuda, cuda:1) stands for.

    Raises:
        DeviceError: no such device here.
    """
    import torch

    name = (name or "auto").lower()
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return name
    kind, _, index = name.partition(":")
    if kind != "cuda" or (index and not index.isdigit()):
        raise DeviceError(f'"{name}" is no device.', hint="--device auto, cpu, cuda or cuda:1")
    if not torch.cuda.is_available():
        without = "has no CUDA support" if torch.version.cuda is None else "finds no GPU"
        raise DeviceError(
            f"--device {name} was asked for, but torch {torch.__version__} {without}.",
            hint="--device cpu, or install a CUDA build of torch (graphrep info shows the line).",
        )
    if index and int(index) >= torch.cuda.device_count():
        raise DeviceError(
            f"--device {name} was asked for, but there are {torch.cuda.device_count()} GPUs.", hint="--device cuda:0"
        )
    return name


def free_memory(device: str = "cpu") -> int | None:
    """Bytes that a new process could use on `device`: what the system reports, within the container's limit."""
    if device != "cpu":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    known = [size for size in (_meminfo_available(), _cgroup_room()) if size is not None]
    return min(known) if known else None


def _meminfo_available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _cgroup_room() -> int | None:
    """Bytes left below the container's memory limit (cgroup v2), where there is one."""
    root = Path("/sys/fs/cgroup")
    try:
        limit = (root / "memory.max").read_text().strip()
        used = int((root / "memory.current").read_text())
        stat = dict(line.split() for line in (root / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    # Cached file pages count as used but are given back on demand.
    return max(int(limit) - used + int(stat.get("inactive_file", 0)), 0)


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    try:
        # Not ru_maxrss: on Linux that starts from what the parent process held when it forked.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reset_peak_memory() -> None:
    """Starts :func:`peak_memory` anew from what is resident now, where the system allows it (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def versions() -> dict[str, str]:
    """Versions of graphrep, Python and the packages a result may depend on; nothing is imported for it."""
    found = {"graphrep": graphrep.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The git commit of a source checkout of graphrep, or None for an installed copy."""
    git = Path(graphrep.__file__).parent.parent / ".git"
    try:
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        reference = git / head.removeprefix("ref: ")
        if reference.exists():
            return reference.read_text().strip()
        packed = (git / "packed-refs").read_text().splitlines()
    except OSError:
        return None
    wanted = head.removeprefix("ref: ")
    return next((line.split()[0] for line in packed if line.endswith(" " + wanted)), None)


def describe(device: str, threads: int) -> dict[str, Any]:
    """The machine part of a result file."""
    return {"device": device, "threads": threads, "platform": platform.platform(), "commit": commit()}
