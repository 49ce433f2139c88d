"""Time on a GPU by its own events, and what the same device can do at best: a copy and matrix products.

The host can be slower than the device at handing out small kernels. Each series therefore starts behind a kernel that
only waits, so that the queue is full when the first event is reached; what handing out costs is reported apart.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

__all__ = ["Clock", "ceilings", "copies_wanted", "describe_device"]

RUNS = 20  # timed calls, at least
CYCLES_PER_SECOND = 2e9  # about the clock of the device, for the length of the wait
LONGEST_WAIT = 0.5  # seconds
COPIES = 32  # most sets of inputs


def describe_device(device: torch.device) -> dict[str, Any]:
    """Name and size of a CUDA device; of the CPU only that it is one."""
    if device.type != "cuda":
        return {"name": "cpu (Triton interpreter)"}
    found = torch.cuda.get_device_properties(device)
    return {
        "name": found.name,
        "capability": f"{found.major}.{found.minor}",
        "multiprocessors": found.multi_processor_count,
        "memory_bytes": found.total_memory,
        "l2_bytes": found.L2_cache_size,
        "cuda": torch.version.cuda,
    }


def copies_wanted(input_bytes: int, device: torch.device) -> int:
    """Sets of inputs of this size that together exceed the L2 cache twice, so that no call finds its own there."""
    if device.type != "cuda":
        return 1
    cache = torch.cuda.get_device_properties(device).L2_cache_size
    return max(2, min(COPIES, -(-2 * cache // max(input_bytes, 1)) + 1))


class Clock:
    """Times calls on one device.

    Args:
        device: a CUDA device; for the CPU, where only the program is tried, one call by the wall clock.
        runs: timed calls per series.
    """

    def __init__(self, device: torch.device, runs: int = RUNS) -> None:
        self.device = device
        self.runs = runs

    def seconds(self, calls: Sequence[Callable[[], Any]]) -> dict[str, Any]:
        """Median, quartiles and least of the device's seconds per call, over the calls in turn, after one of each."""
        if self.device.type == "cuda":
            samples, host = self._on_device(calls)
        else:
            start = time.perf_counter()
            calls[0]()
            samples, host = [time.perf_counter() - start], 0.0
        q1, median, q3 = statistics.quantiles(samples, n=4) if len(samples) > 1 else samples * 3
        return {"median": median, "q1": q1, "q3": q3, "min": min(samples), "runs": len(samples), "host": host}

    def _on_device(self, calls: Sequence[Callable[[], Any]]) -> tuple[list[float], float]:
        for call in calls:
            call()
        torch.cuda.synchronize()
        start = time.perf_counter()
        for number in range(self.runs):
            calls[number % len(calls)]()
        host = (time.perf_counter() - start) / self.runs
        torch.cuda.synchronize()
        events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(self.runs)]
        torch.cuda._sleep(int(min(2 * host * self.runs, LONGEST_WAIT) * CYCLES_PER_SECOND))
        for number, (begin, end) in enumerate(events):
            begin.record()
            calls[number % len(calls)]()
            end.record()
        torch.cuda.synchronize()
        return [begin.elapsed_time(end) / 1e3 for begin, end in events], host


def ceilings(clock: Clock, *, tiny: bool = False) -> dict[str, float]:
    """Bytes per second of a copy (read and written) and FLOP/s of square products, all of random numbers."""
    size, side = (1 << 12, 32) if tiny else (1 << 28, 8192)
    source = torch.randn(size, device=clock.device)
    target = torch.empty_like(source)
    found = {"copy": 2 * source.nbytes / clock.seconds([lambda a=target, b=source: a.copy_(b)])["median"]}
    allowed = torch.backends.cuda.matmul.allow_tf32
    try:
        for name, dtype, tf32 in (
            ("bfloat16", torch.bfloat16, False),
            ("tf32", torch.float32, True),
            ("float32", torch.float32, False),
        ):
            torch.backends.cuda.matmul.allow_tf32 = tf32
            a, b = (torch.randn(side, side, device=clock.device, dtype=dtype) for _ in range(2))
            found[name] = 2 * side**3 / clock.seconds([lambda a=a, b=b: a @ b])["median"]
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
    return found
