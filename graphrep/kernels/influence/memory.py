"""How many bytes a new array may take."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

__all__ = ["free_bytes"]


def free_bytes(device: torch.device) -> float:
    """Bytes that are free on `device`; infinity where the system does not say."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):
        return math.inf
