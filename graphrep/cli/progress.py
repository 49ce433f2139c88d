"""Progress of the powers on stderr, the line per power in metrics.jsonl, and Ctrl-C that stops after a saved state."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from graphrep.cli.console import Console
from graphrep.cli.runs import RunFolder

__all__ = ["PowerProgress", "Stop", "Stopped", "stop_after", "terminal_bar"]


class Stopped(KeyboardInterrupt):
    """Ctrl-C was pressed, and the run has stopped where nothing is lost; the text says how to go on."""


class Stop:
    """Whether Ctrl-C was pressed; the run looks at it where its state is safe.

    Args:
        saves: whether the run saves its state after each power, so that waiting for that is worth while.
    """

    def __init__(self, *, saves: bool) -> None:
        self.saves = saves
        self.wanted = False


@contextmanager
def stop_after(console: Console, unit: str, *, saves: bool) -> Iterator[Stop]:
    """Turns the first Ctrl-C into a request to stop after this `unit`, saved; the second stops at once."""
    stop = Stop(saves=saves)

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.wanted:
            raise KeyboardInterrupt
        stop.wanted = True
        if saves:
            console.note(f"Stopping after this {unit}, to save it (Ctrl-C again stops now).")

    try:
        before = signal.signal(signal.SIGINT, ask)
    except ValueError:  # not the main thread (a test runner, a notebook): Ctrl-C stays as it is
        yield stop
        return
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _edges_a_second(speed: float) -> str:
    return f"{speed / 1e6:.1f} M edges/s"


class PowerProgress:
    """Callback ``(power, done, total)`` of the methods: `done` of `total` edges of power `power` are through.

    Shows a bar with rate and time left on stderr when that is a terminal, and appends a line to the run's
    metrics.jsonl for each finished power.

    Args:
        num_powers: powers that the run computes.
        run: where the metrics go.
        stop: whether to stop, looked at in each call.
        show: whether a bar is wanted.

    Raises:
        Stopped: by a call, when a stop was asked for and the state of an earlier power is saved (or none is).
    """

    def __init__(self, num_powers: int, run: RunFolder | None, stop: Stop, *, show: bool) -> None:
        self._num_powers = num_powers
        self._stop = stop
        self._asked_in: int | None = None
        self._run = run
        self._bar: Any = terminal_bar(_edges_a_second) if show else None
        self._task: Any = None
        self._power_started = time.perf_counter()
        self.seconds: dict[int, float] = {}

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=None)
        self._power_started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, power: int, done: int, total: int) -> None:
        """`done` of `total` edges of this power are through."""
        if self._bar is not None:
            text = f"power {power} of {self._num_powers}"
            self._bar.update(
                self._task, description=text, completed=(power - 1) * total + done, total=self._num_powers * total
            )
        if self._stop.wanted:
            self._asked_in = power if self._asked_in is None else self._asked_in
            if not self._stop.saves or power > self._asked_in:
                raise Stopped
        if done >= total and power not in self.seconds:
            now = time.perf_counter()
            self.seconds[power] = now - self._power_started
            self._power_started = now
            if self._run is not None:
                self._run.metrics(power=power, edges=total, seconds=round(self.seconds[power], 6))


def terminal_bar(rate: Callable[[float], str]) -> Any:
    """A bar with rate, time and time left, on stderr; gone when it is done. None where stderr is no terminal.

    Args:
        rate: the text for a speed in units of work a second.
    """
    if not sys.stderr.isatty():
        return None
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """How fast it goes, once that is known."""

        def render(self, task: Any) -> Text:
            return Text(rate(task.speed) if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), Rate(), TimeElapsedColumn(), TextColumn("ETA"))
    return Progress(*columns, TimeRemainingColumn(), console=RichConsole(stderr=True), transient=True)
