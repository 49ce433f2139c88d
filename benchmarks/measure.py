"""Equality first, then interleaved timing: in each round every method runs once, and the order rotates."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.registry import OURS, Case, Method, Skip, unavailable

__all__ = ["Plan", "check_only", "graph_facts", "measure_case", "rotation", "summarise"]

SLOW = 20.0  # a rival this many times slower than ours gets one timed round
LONG = 0.7  # seconds above which a method is not called a second time before the rounds
_FAILURES = (RuntimeError, NotImplementedError, TypeError, ValueError, MemoryError, ImportError, AttributeError)
SETTLE = 0.01  # seconds in which the previous method's threads stop spinning before the next method starts
SHORT = 10e-3  # calls shorter than this are repeated within a sample, so that threads are awake in most of them


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        repeats: a third of the most rounds; 1 means one round at least, else two.
        seconds: a case has as many rounds as its estimated total allows within this.
        call_seconds: a rival whose first call takes longer gets one timed round.
        clock: "wall", or "cpu" (process time, for shared machines with one thread).
        only: names of rivals to run, or None for all.
    """

    repeats: int = 5
    seconds: float = 1.0
    call_seconds: float = 0.4
    clock: str = "wall"
    only: frozenset[str] | None = None

    def now(self) -> float:
        return time.process_time() if self.clock == "cpu" else time.perf_counter()


@dataclass
class _Runner:
    call: Callable[[], Any]
    first: float = 0.0
    error: float = 0.0
    number: int = 1
    rounds: int = 0
    note: str = ""
    limited: str = ""


def _reason(error: BaseException) -> str:
    """Type and first line of a message."""
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text[:200]}"


def rotation(names: Sequence[str], round_number: int) -> list[str]:
    """The order of a round: every method is first, second, ... equally often."""
    shift = round_number % len(names)
    return [*names[shift:], *names[:shift]]


def summarise(times: Sequence[float]) -> dict[str, Any]:
    """Median, quartiles and minimum, with the samples."""
    ordered = sorted(times)
    if len(ordered) > 1:
        q1, median, q3 = statistics.quantiles(ordered, n=4, method="inclusive")
    else:
        q1 = median = q3 = ordered[0]
    return {"median": median, "q1": q1, "q3": q3, "min": ordered[0], "samples": list(times)}


def _sample(runner: _Runner, plan: Plan) -> float:
    """Seconds per call; the garbage collector rests meanwhile, and the result is freed after the clock stops."""
    time.sleep(SETTLE)
    gc.disable()
    try:
        if runner.number > 1:
            runner.call()
        start = plan.now()
        for _ in range(runner.number):
            result = runner.call()
        seconds = (plan.now() - start) / runner.number
    finally:
        gc.enable()
    del result
    return seconds


def _start(method: Method, inputs: Any, plan: Plan, *, compiles: bool = False) -> tuple[_Runner, Any]:
    """Prepares a method and warms it up (compilation, caches); the second call gives the cost estimate.

    A rival's first call of more than `LONG` seconds stands for itself; ours `compiles`, so it is always called again.
    The estimate for a short call is the smaller of two: threads sleep before the first of them.
    """
    runner = _Runner(method.prepare(inputs), note=method.note)
    start = plan.now()
    result = runner.call()
    runner.first = plan.now() - start
    if compiles or runner.first < LONG:
        start = plan.now()
        result = runner.call()
        runner.first = plan.now() - start
    if runner.first < SHORT:
        start = plan.now()
        result = runner.call()
        runner.first = min(runner.first, plan.now() - start)
    return runner, result


def _reason_to_leave_out(name: str, method: Method, plan: Plan) -> str | None:
    if plan.only is not None and name not in plan.only:
        return "left out on the command line (--rivals)"
    return unavailable(method)


def _admit_rivals(
    case: Case, inputs: Any, ours: Any, plan: Plan
) -> tuple[dict[str, _Runner], dict[str, dict[str, Any]]]:
    """The rivals whose result agrees with ours, and what is to be said about the others."""
    runners: dict[str, _Runner] = {}
    record: dict[str, dict[str, Any]] = {}
    for name, method in case.rivals.items():
        reason = _reason_to_leave_out(name, method, plan)
        if reason is not None:
            record[name] = {"status": "skipped", "reason": reason}
            continue
        try:
            runner, result = _start(method, inputs, plan, compiles=method.compiles or name.startswith(OURS))
            runner.error = case.agree(inputs, ours, result)
        except Skip as skip:
            record[name] = {"status": "skipped", "reason": str(skip)}
        except _FAILURES as error:
            record[name] = {"status": "failed", "reason": _reason(error)}
        else:
            if not runner.error <= case.tolerance:
                error = runner.error if math.isfinite(runner.error) else None
                record[name] = {"status": "disagrees", "error": error, "reason": "result differs; not timed"}
                continue
            runners[name] = runner
    return runners, record


def _schedule(runners: dict[str, _Runner], plan: Plan) -> int:
    """Sets rounds and calls per sample of each method; returns the number of rounds."""
    ours = runners[OURS].first
    slow = {n for n, r in runners.items() if n != OURS and (r.first > SLOW * ours or r.first > plan.call_seconds)}
    per_round = sum(max(r.first, SHORT) for n, r in runners.items() if n not in slow)
    once = sum(runners[n].first for n in slow)
    affordable = int((plan.seconds - once) / per_round) if per_round else plan.repeats
    rounds = max(min(3 * plan.repeats, affordable), 1 if plan.repeats == 1 else 2)
    for name, runner in runners.items():
        runner.rounds = 1 if name in slow else rounds
        runner.number = max(1, min(100, math.ceil(SHORT / max(runner.first, 1e-7))))
    return rounds


def _interleave(runners: dict[str, _Runner], plan: Plan) -> dict[str, list[float]]:
    """times[name][round]; a slow rival takes part in the first round only, or its long first call stands for it."""
    rounds = _schedule(runners, plan)
    times: dict[str, list[float]] = {name: [] for name in runners}
    for name, runner in runners.items():
        if runner.rounds == 1 < rounds and runner.first >= LONG:
            times[name].append(runner.first)
            runner.rounds, runner.limited = 0, "its first call, outside the rounds: too slow for more"
    for number in range(rounds):
        for name in rotation(list(runners), number):
            if number < runners[name].rounds:
                times[name].append(_sample(runners[name], plan))
    return times


def _checked_ours(case: Case, inputs: Any, plan: Plan) -> tuple[_Runner, Any, dict[str, Any] | None]:
    """Our runner and result, and the record of a wrong result or None."""
    try:
        runner, result = _start(case.ours, inputs, plan, compiles=True)
    except _FAILURES as error:
        return _Runner(lambda: None), None, {"status": "failed", "reason": _reason(error)}
    runner.error = case.check(inputs, result)
    if runner.error <= case.tolerance:
        return runner, result, None
    reason = "graphrep differs from the float64 definition; nothing was timed"
    error = runner.error if math.isfinite(runner.error) else None
    return runner, result, {"status": "wrong", "error": error, "reason": reason}


def graph_facts(inputs: Any) -> dict[str, Any]:
    """Name and size of the graph behind some inputs."""
    facts: dict[str, Any] = getattr(inputs, "forms", inputs).graph.facts()
    return facts


def check_only(case: Case, plan: Plan) -> dict[str, dict[str, Any]]:
    """Equality of every method without timing: {name: {status, error or reason}}."""
    inputs = case.inputs()
    runner, ours, wrong = _checked_ours(case, inputs, plan)
    if wrong is not None:
        return {OURS: wrong}
    runners, record = _admit_rivals(case, inputs, ours, plan)
    agreeing = {name: {"status": "ok", "error": rival.error} for name, rival in runners.items()}
    return {OURS: {"status": "ok", "error": runner.error}, **agreeing, **record}


def _record(runner: _Runner, times: list[float], ours: list[float], rounds: int) -> dict[str, Any]:
    ratios = [rival / own for rival, own in zip(times, ours, strict=False)]
    record = {
        "status": "ok", "error": runner.error, "seconds": summarise(times), "calls_per_sample": runner.number,
        "ratio": statistics.median(ratios), "ratio_samples": ratios,
    }  # fmt: skip
    if runner.note:
        record["note"] = runner.note
    if runner.rounds < rounds:
        record["limited"] = runner.limited or f"{runner.rounds} of {rounds} rounds: too slow for more"
    return record


def measure_case(case: Case, plan: Plan) -> dict[str, Any]:
    """One entry of a result file: equality, times, ratios to ours, and a reason for each rival without a time."""
    inputs = case.inputs()
    entry: dict[str, Any] = {
        "name": case.name, "size": case.size, "params": dict(case.params), "tolerance": case.tolerance,
        "mode": "one process, interleaved", "graph": graph_facts(inputs),
    }  # fmt: skip
    ours_runner, ours_result, wrong = _checked_ours(case, inputs, plan)
    if wrong is not None:
        return {**entry, "status": wrong["status"], "methods": {OURS: wrong}}
    rivals, record = _admit_rivals(case, inputs, ours_result, plan)
    del ours_result
    runners = {OURS: ours_runner, **rivals}
    times = _interleave(runners, plan)
    rounds = ours_runner.rounds
    methods = {name: _record(runner, times[name], times[OURS], rounds) for name, runner in runners.items()}
    return {**entry, "status": "ok", "methods": {**methods, **record}}
