"""Measurement in alternating processes: for calls so large that methods must not share an address space."""

from __future__ import annotations

import statistics
import sys
from typing import Any, TypeAlias

from benchmarks.measure import Plan, check_only, graph_facts, rotation, summarise
from benchmarks.registry import OURS, Case, unavailable
from benchmarks.worker import run_worker

__all__ = ["measure_in_processes"]

Record: TypeAlias = dict[str, Any]
_ROUNDS = 3
_ONCE = 12.0  # seconds of a call above which a rival gets one round


def _left_out(name: str, case: Case, plan: Plan, checked: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Why a rival is not run: its absence, the command line, or what the equality check on the stand-in said."""
    if plan.only is not None and name not in plan.only:
        return {"status": "skipped", "reason": "left out on the command line (--rivals)"}
    reason = unavailable(case.rivals[name])
    if reason is not None:
        return {"status": "skipped", "reason": reason}
    verdict = checked.get(name, {"status": "ok"})
    return None if verdict["status"] == "ok" else verdict


def _rounds(case: Case, names: list[str], plan: Plan) -> tuple[dict[str, list[Record]], dict[str, Record]]:
    """records[name] of all successful calls; dropped[name] says why a method has none."""
    records: dict[str, list[Record]] = {name: [] for name in names}
    dropped: dict[str, Record] = {}
    for number in range(min(plan.repeats, _ROUNDS)):
        for name in rotation(names, number):
            first = records[name][0] if records[name] else None
            too_slow = first is not None and name != OURS and first.get("measured_seconds", first["seconds"]) > _ONCE
            if name in dropped or too_slow:
                continue
            record = run_worker(case, name)
            print(f"  {case.name} {name}: {record.get('seconds', record.get('reason'))}", file=sys.stderr, flush=True)
            if record["status"] == "ok":
                records[name].append(record)
            elif not records[name]:
                dropped[name] = record
    return records, dropped


def _method(case: Case, name: str, records: list[dict[str, Any]], ours: list[float]) -> dict[str, Any]:
    times = [record["seconds"] for record in records]
    ratios = [rival / own for rival, own in zip(times, ours, strict=False)]
    result = {
        "status": "ok", "seconds": summarise(times), "calls_per_sample": 1, "ratio": statistics.median(ratios),
        "ratio_samples": ratios, "peak_bytes": max(record["peak_bytes"] for record in records),
        "result_bytes": records[0]["result_bytes"],
    }  # fmt: skip
    if case.methods()[name].note:
        result["note"] = case.methods()[name].note
    if "extrapolated" in records[0]:
        result["extrapolated"] = records[0]["extrapolated"]
    if len(times) < len(ours):
        result["limited"] = f"{len(times)} of {len(ours)} rounds: too slow for more"
    return result


def measure_in_processes(case: Case, plan: Plan) -> dict[str, Any]:
    """One entry of a result file; equality is checked on the stand-in, in this process, before any timing."""
    if case.stand_in is None:
        raise ValueError(f"{case.name} has no stand-in to check equality on")
    entry: dict[str, Any] = {
        "name": case.name, "size": case.size, "params": dict(case.params), "tolerance": case.tolerance,
        "mode": "alternating processes", "checked_on": case.stand_in().name, "graph": graph_facts(case.inputs()),
    }  # fmt: skip
    checked = check_only(case.stand_in(), plan)
    if checked[OURS]["status"] != "ok":
        return {**entry, "status": checked[OURS]["status"], "methods": {OURS: checked[OURS]}}
    left_out = {name: _left_out(name, case, plan, checked) for name in case.rivals}
    names = [OURS, *(name for name, reason in left_out.items() if reason is None)]
    records, dropped = _rounds(case, names, plan)
    methods: dict[str, dict[str, Any]] = {}
    if not records[OURS]:
        return {**entry, "status": "failed", "methods": {OURS: dropped[OURS]}}
    ours = [record["seconds"] for record in records[OURS]]
    for name in names:
        methods[name] = _method(case, name, records[name], ours) if records[name] else dropped[name]
        methods[name]["error"] = checked.get(name, {}).get("error")
    methods.update({name: reason for name, reason in left_out.items() if reason is not None})
    return {**entry, "status": "ok", "methods": methods}
