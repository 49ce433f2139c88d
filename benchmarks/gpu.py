"""Correctness, then speed, on one CUDA device: ``make gpu PYTHON=...``, or ``python -m benchmarks.gpu``.

Needs an environment with torch, Triton and this package's own requirements; nothing is installed or fetched. Every
operator is compared with its float64 definition first, then the tests that need a device run, and only if all is right
is anything timed, each case beside what the same device reaches in a copy and in a matrix product.

Exit status: 0 all right, 1 a result is wrong, 2 there is no CUDA device.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import circumstances, write_json
from benchmarks.registry import OURS, Method, Skip, unavailable

if TYPE_CHECKING:
    import torch

    from benchmarks.gpu_cases import GpuCase
    from benchmarks.gpu_clock import Clock

__all__ = ["main", "measure", "result_name"]

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
MARKS = ("mark.gpu", "DEVICE")  # what the text of a test file has that must run on a device
TINY_PIECE = 64  # where a dry run cuts long rows, so that tiny graphs have some
_FAILURES = (RuntimeError, NotImplementedError, TypeError, ValueError, ImportError, AttributeError)


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    result.add_argument("--filter", default="", help="only cases whose name contains this")
    result.add_argument("--runs", type=int, default=20, help="timed calls per method, at least 20 for a result file")
    result.add_argument("--no-tests", action="store_true", help="leave out the test suite, not the comparisons")
    result.add_argument("--out", type=Path, help="result file; default benchmarks/results/<gpu-name>.json")
    result.add_argument("--dry-run", action="store_true", help="tiny sizes on the CPU in Triton's interpreter")
    return result


def result_name(device_name: str) -> str:
    """The name of a device as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", device_name.lower()).strip("-") + ".json"


def compare(device: torch.device, *, quick: bool) -> list[dict[str, Any]]:
    """Every operator against float64; prints what is wrong."""
    from benchmarks.gpu_checks import checks, run_check

    records = []
    for check in checks(quick=quick):
        try:
            error, reason = run_check(check, device), ""
        except _FAILURES as failure:
            error, reason = float("inf"), f"{type(failure).__name__}: {failure}"[:500]
        good = error <= check.tolerance
        if not good:
            print(f"WRONG {check.name}: error {error:.2e}, allowed {check.tolerance:.0e} {reason}", flush=True)
        finite = error if error < float("inf") else None
        records.append({"name": check.name, "ok": good, "error": finite, "tolerance": check.tolerance})
    right = sum(record["ok"] for record in records)
    print(f"{right} of {len(records)} comparisons with float64 are right", flush=True)
    return records


def gradients_are_right(device: torch.device) -> bool:
    """Finite differences in float64 on small graphs."""
    import torch

    from benchmarks.gpu_checks import gradient_checks

    right = True
    for name, function, inputs in gradient_checks(device):
        good = torch.autograd.gradcheck(function, inputs, raise_exception=False)
        if not good:
            print(f"WRONG gradient of {name}", flush=True)
        right &= good
    return right


def run_tests() -> list[dict[str, Any]]:
    """The test files that need or use a device, each in a process of its own."""
    if importlib.util.find_spec("pytest") is None or importlib.util.find_spec("hypothesis") is None:
        print("the test suite is left out: pytest and hypothesis are not installed", flush=True)
        return [{"ok": True, "file": "", "summary": "left out: pytest or hypothesis is not installed"}]
    found = [p.relative_to(ROOT) for p in sorted((ROOT / "tests").rglob("test_*.py"))]
    records = []
    for path in (p for p in found if any(mark in (ROOT / p).read_text() for mark in MARKS)):
        selected = ["-m", "gpu or slow or not slow", str(path)]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *selected]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        summary = (done.stdout.strip().splitlines() or [done.stderr[-300:]])[-1]
        print(f"{path}: {summary}", flush=True)
        if done.returncode:
            print(done.stdout[-4000:], flush=True)
        records.append({"ok": done.returncode == 0, "file": str(path), "summary": summary})
    return records


def measure(case: GpuCase, clock: Clock, rates: dict[str, float]) -> dict[str, Any]:
    """One entry of the result file: errors, seconds, and the share of the device's ceiling."""
    from benchmarks.gpu_cases import gpu_graph
    from benchmarks.gpu_checks import backend
    from benchmarks.gpu_clock import copies_wanted

    graph = gpu_graph(case.graph, clock.device)
    first = case.inputs(graph, 0)
    size = sum(tensor.nbytes for tensor in first.values())
    sets = [first, *(case.inputs(graph, seed) for seed in range(1, copies_wanted(size, clock.device)))]
    with backend("reference"):
        expected = case.compared(graph, case.expected(graph, first))
    moved, flops = case.traffic(graph)
    floor = max(moved / rates["copy"], flops / rates[case.engine])
    prepared = {OURS: Method(lambda pair: lambda: case.ours(*pair)), **case.rivals}
    pairs = [(graph, inputs) for inputs in sets]
    methods = {name: _record(name, method, case, pairs, expected, clock) for name, method in prepared.items()}
    for record in methods.values():
        if record["status"] == "ok":
            record["share_of_ceiling"] = floor / record["seconds"]["median"]
    return {
        "name": case.name, "params": dict(case.params), "dtype": str(case.dtype), "graph": graph.facts,
        "tolerance": case.tolerance, "input_sets": len(sets), "bytes": moved, "flops": flops, "floor_seconds": floor,
        "methods": methods,
    }  # fmt: skip


def _record(
    name: str, method: Method, case: GpuCase, pairs: list[Any], expected: list[torch.Tensor], clock: Clock
) -> dict[str, Any]:
    """Error and seconds of one method, or why there are none."""
    from benchmarks.gpu_checks import largest_error, on_device

    reason = unavailable(method)
    if reason is not None:
        return {"status": "skipped", "reason": reason}

    def timed() -> dict[str, Any]:
        calls = [method.prepare(pair) for pair in pairs]
        error = largest_error(case.compared(pairs[0][0], calls[0]()), expected)
        if error <= case.tolerance:
            return {"status": "ok", "error": error, "seconds": clock.seconds(calls)}
        status = "wrong" if name == OURS else "disagrees"
        return {"status": status, "error": error if error < float("inf") else None}

    try:
        record: dict[str, Any] = on_device(clock.device, timed)
    except Skip as skip:
        return {"status": "skipped", "reason": str(skip)}
    except _FAILURES as failure:
        return {"status": "failed", "reason": f"{type(failure).__name__}: {failure}"[:300]}
    return record


def line(entry: dict[str, Any]) -> str:
    """One line of progress."""
    parts, own = [], entry["methods"][OURS]
    for name, method in entry["methods"].items():
        if method["status"] != "ok":
            parts.append(f"{name} {method['status']}")
        elif name == OURS:
            median, share = method["seconds"]["median"], method["share_of_ceiling"]
            parts.append(f"{name} {median * 1e3:.4g} ms ({share:.0%} of the ceiling)")
        else:
            own_time = own["seconds"]["median"] if own["status"] == "ok" else float("nan")
            parts.append(f"{name} {method['seconds']['median'] / own_time:.2f}x")
    return f"{entry['name']}: " + ", ".join(parts)


def _timed(options: argparse.Namespace, clock: Clock, result: dict[str, Any]) -> bool:
    """Measures the cases into `result`; whether ours is right in all of them."""
    import torch

    from benchmarks.gpu_cases import cases
    from benchmarks.gpu_clock import ceilings

    rates = result["ceilings"] = ceilings(clock, tiny=options.dry_run)
    found = ", ".join(
        f"{name} {rate / 1e12:.3g} {'TB/s' if name == 'copy' else 'TFLOP/s'}" for name, rate in rates.items()
    )
    print(f"ceilings: {found}", flush=True)
    right = True
    for case in cases("tiny" if options.dry_run else "full"):
        if options.filter in case.name:
            try:
                entry = measure(case, clock, rates)
            except _FAILURES as failure:  # no inputs or nothing to compare with: the other cases go on
                reason = f"{type(failure).__name__}: {failure}"[:300]
                entry = {"name": case.name, "methods": {OURS: {"status": "failed", "reason": reason}}}
            print(line(entry), flush=True)
            right &= entry["methods"][OURS]["status"] == "ok"
            result["cases"].append(entry)
            if clock.device.type == "cuda":
                torch.cuda.empty_cache()
    return right


def _has_device() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status."""
    options = parser().parse_args(arguments)
    if options.dry_run:
        os.environ["TRITON_INTERPRET"] = "1"
    elif not _has_device():
        print("No CUDA device (or no torch that sees one): nothing was checked or measured.", file=sys.stderr)
        return 2
    import torch
    import triton

    from benchmarks.gpu_clock import Clock, describe_device

    if options.dry_run:
        from graphrep.kernels import _schedule

        _schedule.PIECE = TINY_PIECE
    device = torch.device("cpu" if options.dry_run else "cuda")
    described = describe_device(device)
    print(f"device: {described['name']}, torch {torch.__version__}", flush=True)
    versions = {"torch": torch.__version__, "triton": triton.__version__}
    result: dict[str, Any] = {"schema": 1, "dry_run": options.dry_run, "device": described, "versions": versions}
    result |= {"begin": circumstances(), "checks": compare(device, quick=options.dry_run), "cases": [], "tests": []}
    right = all(record["ok"] for record in result["checks"])
    if not options.dry_run:
        right &= gradients_are_right(device)
        if not options.no_tests:
            result["tests"] = run_tests()
            right &= all(record["ok"] for record in result["tests"])
    if right:
        right = _timed(options, Clock(device, options.runs), result)
    else:
        print("nothing is timed, because something is wrong", flush=True)
    out = options.out or (None if options.dry_run else RESULTS / result_name(described["name"]))
    if out is not None:
        write_json(out, result)
        print(f"Wrote {out}", flush=True)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
