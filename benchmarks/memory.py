"""Peak extra memory of a call: VmHWM at its end minus VmRSS before it (Linux)."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["peak_of", "result_bytes", "status_bytes", "trim"]


def status_bytes(key: str) -> int:
    """VmRSS or VmHWM of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def trim() -> None:
    """Gives freed memory back, so that recycled heap does not hide an allocation."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return


def peak_of(call: Callable[[], Any]) -> tuple[int, Any]:
    """(bytes above the level before the call at its highest point, result)."""
    trim()
    Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back to the current level
    before = status_bytes("VmRSS")
    result = call()
    return max(0, status_bytes("VmHWM") - before), result


def result_bytes(result: Any) -> int:
    """Size of the arrays a call returned."""
    parts = result if isinstance(result, tuple) else ()
    return sum(part.numel() * part.element_size() for part in parts)
