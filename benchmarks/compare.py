"""Fails when a new result file is slower or hungrier than an old one: ``python -m benchmarks.compare OLD NEW``.

Slower: median more than 10 % above the old one and quartile ranges apart. Hungrier: peak more than 5 % and 4 MB above.
``--relative`` compares the times divided by those of the rivals, for files of different machines.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import read_json
from benchmarks.registry import OURS

__all__ = ["Verdict", "compare", "main"]

SLOWER = 1.10
HUNGRIER = 1.05
MEMORY_NOISE = 4 << 20


@dataclass(frozen=True)
class Verdict:
    """One comparison; `bad` fails the run."""

    case: str
    method: str
    verdict: str
    detail: str
    bad: bool


def _time_verdict(case: str, method: str, old: dict[str, Any], new: dict[str, Any]) -> Verdict:
    before, after = old["seconds"], new["seconds"]
    change = after["median"] / before["median"]
    detail = f"{before['median']:.4g} s -> {after['median']:.4g} s ({change:.2f}x)"
    if change > SLOWER and after["q1"] > before["q3"]:
        return Verdict(case, method, "slower", detail, True)
    if change > SLOWER:
        return Verdict(case, method, "within noise", detail, False)
    faster = change < 1 / SLOWER and after["q3"] < before["q1"]
    return Verdict(case, method, "faster" if faster else "same", detail, False)


def _memory_verdict(case: str, method: str, old: dict[str, Any], new: dict[str, Any]) -> Verdict | None:
    before, after = old.get("peak_bytes"), new.get("peak_bytes")
    if before is None or after is None:
        return None
    detail = f"{before / 2**20:.1f} MiB -> {after / 2**20:.1f} MiB"
    worse = after > HUNGRIER * before and after - before > MEMORY_NOISE
    return Verdict(case, method, "more memory" if worse else "same memory", detail, worse)


def _relative_time(case: str, old: dict[str, Any], new: dict[str, Any]) -> Verdict | None:
    """Our time in units of the rivals': the median over rivals of the change of 1 / ratio."""
    changes, spread = [], []
    for name, before in old.items():
        after = new.get(name, {})
        if name == OURS or before["status"] != "ok" or after.get("status") != "ok":
            continue
        changes.append(before["ratio"] / after["ratio"])
        spread.append(max(after["ratio_samples"]) < min(before["ratio_samples"]))
    if not changes:
        return None
    change = statistics.median(changes)
    detail = f"{change:.2f}x the time relative to {len(changes)} rivals"
    bad = change > SLOWER and sum(spread) * 2 > len(spread)
    return Verdict(case, OURS, "slower" if bad else "same", detail, bad)


def _case_verdicts(
    name: str, old: dict[str, Any], new: dict[str, Any] | None, methods: list[str] | None, relative: bool
) -> list[Verdict]:
    if new is None:
        return [Verdict(name, OURS, "missing", "the new file has no such case", True)]
    if new["status"] != "ok":
        return [Verdict(name, OURS, new["status"], "no time: the result is not right", True)]
    if old.get("graph") != new.get("graph"):
        return [Verdict(name, OURS, "other inputs", "the graphs differ", True)]
    if old["status"] != "ok":
        return [Verdict(name, OURS, "new", "the old file has no time", False)]
    verdicts: list[Verdict | None] = []
    before_all, after_all = old["methods"], new["methods"]
    for method in methods if methods is not None else list(before_all):
        before, after = before_all.get(method, {}), after_all.get(method, {})
        if before.get("status") == "ok" and after.get("status") == "ok":
            if not relative:
                verdicts.append(_time_verdict(name, method, before, after))
            verdicts.append(_memory_verdict(name, method, before, after))
    if relative:
        verdicts.append(_relative_time(name, before_all, after_all))
    return [verdict for verdict in verdicts if verdict is not None]


def compare(
    old: dict[str, Any], new: dict[str, Any], *, methods: list[str] | None = None, relative: bool = False
) -> list[Verdict]:
    """Verdicts on every case of the old file; `methods` defaults to ours alone, cases only in the new file are fine."""
    found = {case["name"]: case for case in new["cases"]}
    return [
        verdict
        for case in old["cases"]
        for verdict in _case_verdicts(case["name"], case, found.get(case["name"]), methods or [OURS], relative)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Prints what changed; returns 1 when something got worse."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--relative", action="store_true", help="times relative to the rivals of the same file")
    parser.add_argument("--methods", help=f"comma-separated; default {OURS}")
    options = parser.parse_args(arguments)
    old, new = read_json(options.old), read_json(options.new)
    if not options.relative and old["begin"]["machine"] != new["begin"]["machine"]:
        print("The files are from different machines; --relative compares ratios to the rivals.", file=sys.stderr)
    methods = options.methods.split(",") if options.methods else None
    verdicts = compare(old, new, methods=methods, relative=options.relative)
    for verdict in verdicts:
        if verdict.bad or verdict.verdict in ("faster", "within noise"):
            print(f"{verdict.verdict:>12}  {verdict.case}  {verdict.method}: {verdict.detail}")
    bad = sum(verdict.bad for verdict in verdicts)
    print(f"{len(verdicts)} comparisons, {bad} worse")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
