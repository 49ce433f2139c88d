"""Measures families of cases: ``python -m benchmarks.run spmm --sizes small,medium --repeats 5 --threads 2``.

Heavy libraries are imported only after the thread counts and the allocator are set.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import circumstances, read_json, set_threads_and_allocator, write_json
from benchmarks.registry import FAMILIES, OURS, SIZES, Case, cases_of

__all__ = ["line", "main", "run_family"]

RESULTS = Path(__file__).parent / "results"


def _names(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def parser() -> argparse.ArgumentParser:
    """The options of the runner."""
    result = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    result.add_argument("family", choices=[*FAMILIES, "quality", "all"])
    result.add_argument("--sizes", type=_names, default=["small", "medium", "large"], help=f"of {', '.join(SIZES)}")
    result.add_argument("--filter", default="", help="only cases whose name contains this")
    result.add_argument("--rivals", type=_names, help="only these rivals (others are recorded as left out)")
    result.add_argument("--repeats", type=int, default=5)
    result.add_argument("--seconds", type=float, default=1.0, help="timed seconds per case, roughly")
    result.add_argument("--call-seconds", type=float, default=0.4, help="slower rivals get one round")
    result.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    result.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: process time, on busy machines")
    result.add_argument("--thp", action="store_true", help="huge pages for torch's allocator too (all methods)")
    result.add_argument("--memory", action="store_true", help="peak memory of the tagged cases, a process per method")
    result.add_argument("--add", action="store_true", help="keep the other cases of the result file")
    result.add_argument("--out", type=Path, help="result file, or folder for several families")
    return result


def _header(family: str, options: argparse.Namespace) -> dict[str, Any]:
    allocation = "torch default with THP_MEM_ALLOC_ENABLE=1" if options.thp else "each library's default allocator"
    return {
        "schema": 1,
        "family": family,
        "threads": options.threads,
        "clock": options.clock,
        "allocation": f"{allocation}; outputs are allocated inside the timing for every method",
        "repeats": options.repeats,
        "sizes": options.sizes,
        "begin": circumstances(),
    }


def line(entry: dict[str, Any]) -> str:
    """One line of progress."""
    parts = []
    for name, method in entry["methods"].items():
        if method["status"] != "ok":
            parts.append(f"{name} {method['status']}")
        elif name == OURS:
            parts.append(f"{name} {method['seconds']['median'] * 1e3:.3g} ms")
        else:
            parts.append(f"{name} {method['ratio']:.2f}x")
    return f"{entry['name']}: " + ", ".join(parts)


def _selected(family: str, options: argparse.Namespace) -> list[Case]:
    return [c for c in cases_of(family) if c.size in options.sizes and options.filter in c.name]


def _in_one_process(
    family: str, options: argparse.Namespace, done: Callable[[list[dict[str, Any]]], None]
) -> list[dict[str, Any]]:
    from benchmarks.measure import Plan, measure_case
    from benchmarks.worker import add_memory

    only = None if options.rivals is None else frozenset(options.rivals)
    plan = Plan(options.repeats, options.seconds, options.call_seconds, options.clock, only)
    entries = []
    for case in _selected(family, options):
        entry = measure_case(case, plan)
        if options.memory and "memory" in case.tags:
            add_memory(entry, case)
        print(line(entry), file=sys.stderr, flush=True)
        entries.append(entry)
        done(entries)
    return entries


def added(before: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """An earlier result with the cases of a later one, which say when and on which commit they were measured."""
    cases = {case["name"]: case for case in before["cases"]}
    when = {"time": result["begin"]["time"], "commit": result["begin"]["commit"]}
    for case in result["cases"]:
        cases[case["name"]] = {**case, "measured": when}
    return {**before, "cases": list(cases.values())}


def run_family(family: str, options: argparse.Namespace) -> Path:
    """Measures one family and writes its result file."""
    out: Path = options.out or RESULTS
    path = out if out.suffix == ".json" else out / f"{family}.json"
    before = read_json(path) if options.add and path.is_file() else None
    result = _header(family, options)
    start = time.perf_counter()
    if family == "fastrp":
        from benchmarks.families.fastrp import measure

        result["cases"] = measure(options)
    elif family == "reading":
        from benchmarks.families.reading import measure

        result["cases"] = measure(options)
    elif family == "quality":
        from benchmarks.quality_fastrp import measure

        result["cases"] = measure(options)
    else:

        def keep(cases: list[dict[str, Any]]) -> None:  # after each case, so that an interruption loses only the next
            found = {**result, "cases": cases}
            write_json(path, found if before is None else added(before, found))

        result["cases"] = _in_one_process(family, options, keep)
    result["total_seconds"] = round(time.perf_counter() - start, 1)
    result["end"] = {"time": circumstances()["time"], "load": list(os.getloadavg())}
    write_json(path, result if before is None else added(before, result))
    print(f"Wrote {path} ({result['total_seconds']} s)", file=sys.stderr)
    return path


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 when a case of ours was wrong or failed."""
    options = parser().parse_args(arguments)
    unknown = set(options.sizes) - set(SIZES)
    if unknown:
        parser().error(f"unknown sizes {sorted(unknown)}; choose of {', '.join(SIZES)}")
    if options.family == "all" and options.out is not None and options.out.suffix == ".json":
        parser().error("--out must be a folder when several families run")
    set_threads_and_allocator(options.threads, huge_pages=options.thp)
    import torch

    torch.set_num_threads(options.threads)
    families = [*FAMILIES, "quality"] if options.family == "all" else [options.family]
    paths = [run_family(family, options) for family in families]
    entries = [entry for path in paths for entry in read_json(path)["cases"]]
    wrong = [entry for entry in entries if entry["status"] in ("wrong", "failed")]
    for entry in wrong:
        print(f"{entry['status'].upper()}: {entry['name']}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
