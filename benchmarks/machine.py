"""The circumstances of a run (machine, versions, commit, load) and atomic JSON files."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

__all__ = ["circumstances", "read_json", "set_threads_and_allocator", "versions", "write_json", "write_text"]

ROOT = Path(__file__).parent.parent
_PACKAGES = (
    "graphrep", "torch", "numba", "numpy", "scipy", "torch_geometric", "torch_scatter", "dgl", "scikit-network",
    "pycleora", "scikit-learn", "pyarrow",
)  # fmt: skip
_THREAD_VARIABLES = tuple(f"{name}_NUM_THREADS" for name in ("OMP", "MKL", "NUMBA", "OPENBLAS", "RAYON"))


def versions() -> dict[str, str]:
    """Installed versions of everything that is measured; absent packages are listed as such."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _proc(path: str, key: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "unknown")


def circumstances() -> dict[str, Any]:
    """Machine, versions, commit and load, as they are now."""
    thp = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {
            "cpu": _proc("/proc/cpuinfo", "model name"),
            "cores": os.cpu_count(),
            "memory": _proc("/proc/meminfo", "MemTotal"),
            "system": platform.platform(),
            "transparent_huge_pages": thp.read_text().strip() if thp.is_file() else "unknown",
        },
        "versions": versions(),
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "load": list(os.getloadavg()),
    }


def set_threads_and_allocator(threads: int, *, huge_pages: bool) -> None:
    """Environment of this process and its children; must run before torch, numba or DGL is imported."""
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(threads)
    os.environ["DGLBACKEND"] = "pytorch"
    if huge_pages:
        os.environ["THP_MEM_ALLOC_ENABLE"] = "1"
    else:
        os.environ.pop("THP_MEM_ALLOC_ENABLE", None)


def write_text(path: Path, text: str) -> None:
    """Complete or absent: written beside the target, synced, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def _rounded(data: Any) -> Any:
    """Floats to six significant digits, for files that can be read."""
    if isinstance(data, float):
        return float(f"{data:.6g}")
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    return [_rounded(value) for value in data] if isinstance(data, list) else data


def write_json(path: Path, data: Any) -> None:
    """JSON in one atomic write; NaN and infinity are refused."""
    write_text(path, json.dumps(_rounded(data), indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """A result file."""
    data: dict[str, Any] = json.loads(path.read_text())
    return data
