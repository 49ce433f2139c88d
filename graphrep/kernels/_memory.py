"""How many bytes a new array may take, and the sizes of sparse results found out before any of them is computed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["free_bytes", "row_offsets"]

SAMPLE = 64  # rows that the first estimate of the size rests on


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


def row_offsets(
    count: Callable[[Tensor], Tensor], num_rows: int, device: torch.device, check: Callable[[float], None]
) -> Tensor:
    """(num_rows + 1,) int64 offsets of a sparse result, row after row.

    Args:
        count: (R,) int64 entries of the given rows.
        num_rows: rows of the result.
        device: of the result.
        check: raises where that many entries would not fit; called with half of an estimate from some rows before all
            are counted, and with their number.
    """
    rows = torch.arange(num_rows, device=device)
    some = rows[:: max(1, num_rows // SAMPLE)]
    if some.numel() < num_rows:
        check(float(count(some).double().mean()) * num_rows / 2)
    offsets = torch.zeros(num_rows + 1, dtype=torch.int64, device=device)
    offsets[1:] = count(rows).cumsum(0)
    check(int(offsets[-1]))
    return offsets
