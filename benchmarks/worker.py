"""One method of one case in a process of its own: ``python -m benchmarks.worker FAMILY CASE METHOD``.

Prints one JSON object: seconds of the call, peak memory above the level before it, bytes of the result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_of, result_bytes
from benchmarks.registry import OURS, Case, Extrapolated, Skip, cases_of

__all__ = ["add_memory", "run_worker"]

# Blocks of 64 KiB and more go back to the system when freed, for every method: the peak is then what lives at once, and
# not what the allocator's heap, full of gaps, has grown to.
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(1 << 16)}


def _warm_up(case: Case, method: str) -> None:
    """Compiles our kernels on a small input; the rivals here have nothing to compile."""
    if case.stand_in is not None and method.startswith(OURS):
        small = case.stand_in()
        small.methods()[method].prepare(small.inputs())()


def _measure(case: Case, method: str, *, steady: bool) -> dict[str, Any]:
    """`steady`: call once before measuring, so that one-time caches are not part of the peak."""
    _warm_up(case, method)
    call = case.methods()[method].prepare(case.inputs())
    if steady:
        call()
    seconds: list[float] = []

    def timed_call() -> Any:
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
        return result

    peak, result = peak_of(timed_call)
    record = {"status": "ok", "seconds": seconds[0], "peak_bytes": peak, "result_bytes": result_bytes(result)}
    if isinstance(result, Extrapolated):
        record |= {"seconds": result.seconds, "measured_seconds": seconds[0], "extrapolated": result.detail}
    return record


def run_worker(case: Case, method: str, *, steady: bool = False, timeout: float = 600.0) -> dict[str, Any]:
    """Runs the worker for a method; a record with status "ok", "skipped" or "failed"."""
    command = [sys.executable, "-m", "benchmarks.worker", case.family, case.name, method]
    command += ["steady"] if steady else []
    options: dict[str, Any] = {"cwd": Path(__file__).parent.parent, "env": {**os.environ, **_ALLOCATOR}}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
    except subprocess.TimeoutExpired:
        return {"status": "failed", "reason": f"no result within {timeout:.0f} s"}
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        killed = done.returncode == -9
        return {"status": "failed", "reason": "killed (out of memory?)" if killed else lines[-1][:200]}
    record: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return record


def add_memory(entry: dict[str, Any], case: Case) -> None:
    """Adds peak_bytes and result_bytes to every method of `entry` that was timed."""
    for name, record in entry["methods"].items():
        if record["status"] == "ok":
            measured = run_worker(case, name, steady=record["seconds"]["median"] < 2.0)
            if measured["status"] == "ok":
                record["peak_bytes"], record["result_bytes"] = measured["peak_bytes"], measured["result_bytes"]
            else:
                record["memory_failed"] = measured["reason"]


def main(arguments: list[str]) -> int:
    """Entry of the child process; thread counts come from the environment."""
    family, name, method, *rest = arguments
    case = next(case for case in cases_of(family) if case.name == name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    try:
        record = _measure(case, method, steady="steady" in rest)
    except Skip as skip:
        record = {"status": "skipped", "reason": str(skip)}
    print(json.dumps(record))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
