"""All clusterings of a run: every method and seed once, within the time there is, interruptible between them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphrep.cli.clustering.estimators import Maker
from graphrep.cli.clustering.fitting import Fit, fit, saved_fit
from graphrep.cli.console import Console
from graphrep.cli.progress import Stop, Stopped, stop_after
from graphrep.errors import GraphrepError

if TYPE_CHECKING:
    from graphrep.cli.clustering.inputs import Inputs
    from graphrep.cli.runs import RunFolder
    from graphrep.data import Graph

__all__ = ["Budget", "Series", "Task", "fit_all"]


@dataclass(frozen=True)
class Task:
    """A method with its seeds."""

    maker: Maker
    seeds: Sequence[int]
    baseline: bool


@dataclass
class Series:
    """What came of the tasks.

    Attributes:
        fits: finished clusterings.
        left_out: sentences on those that are missing, and why.
    """

    fits: list[Fit] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Budget:
    """Seconds that are left, shared among the trainings that are left.

    Args:
        seconds: for everything from now on; None: no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.perf_counter() + seconds
        self._trainings = 0

    def expect(self, tasks: Sequence[Task]) -> None:
        """Trainings that are to come."""
        self._trainings += sum(len(task.seeds) for task in tasks if task.maker.trains)

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self._end is not None and time.perf_counter() >= self._end

    def share(self) -> float | None:
        """Seconds of the next training."""
        if self._end is None:
            return None
        left = max(self._end - time.perf_counter(), 0.0) / max(self._trainings, 1)
        self._trainings -= 1
        return max(left, 1e-3)


def fit_all(
    console: Console,
    run: RunFolder,
    inputs: Inputs,
    tasks: Sequence[Task],
    *,
    checkpoint_every: float,
    budget: Budget,
    resume: bool,
) -> Series:
    """Fits every task in the given order.

    A baseline that cannot be fitted is left out, with the reason; so is one of several requested methods.

    Args:
        console: where words go.
        run: folder of the run.
        inputs: the graph.
        tasks: methods with seeds.
        checkpoint_every: seconds between saved states of a training.
        budget: of time.
        resume: take what an interrupted run finished.

    Raises:
        Stopped: Ctrl-C; what is finished is saved, and the text says how to go on.
        GraphrepError: no requested method could be fitted.
    """
    budget.expect(tasks)
    series = Series()
    failure: GraphrepError | None = None
    with stop_after(console, "clustering", saves=True) as stop:
        for task in tasks:
            try:
                _fit_task(console, run, inputs, task, series, budget, stop, checkpoint_every, resume)
            except Stopped as stopped:
                done = f"{len(series.fits)} finished clusterings are saved."
                text = f"{stopped} {done} To finish: graphrep cluster --resume {run.path}"
                raise Stopped(text.strip()) from None
            except GraphrepError as error:
                if len([t for t in tasks if not t.baseline]) == 1 and not task.baseline:
                    raise
                failure = error if not task.baseline else failure
                series.left_out.append(f"{task.maker.name}: {error.message}")
    if failure is not None and all(fit.baseline for fit in series.fits):
        raise failure
    return series


def _fit_task(
    console: Console, run: RunFolder, inputs: Inputs, task: Task, series: Series, budget: Budget, stop: Stop,
    checkpoint_every: float, resume: bool,
) -> None:  # fmt: skip
    first = True
    for seed in task.seeds:
        if stop.wanted:
            raise Stopped("Interrupted.")
        found = saved_fit(run.path, task.maker.name, seed) if resume else None
        needed = not task.baseline and first  # a run without any result of what was asked for is of no use
        if found is None and budget.spent and not needed:
            series.left_out.append(f"{task.maker.name}, seed {seed}: the time budget was spent.")
            continue
        if found is None:
            found = fit(
                console,
                task.maker,
                seed,
                _input(inputs, task.maker),
                run,
                baseline=task.baseline,
                should_stop=lambda: stop.wanted,
                checkpoint_every=checkpoint_every,
                time_budget=budget.share() if task.maker.trains else None,
                announce=first,
            )
            _say(console, found)
        series.fits.append(found)
        first = False


def _input(inputs: Inputs, maker: Maker) -> Graph:
    """The graph, with features that were made only for methods that need some."""
    return inputs.graph if maker.needs_features else inputs.plain


def _say(console: Console, made: Fit) -> None:
    head = f"{made.method}  seed {made.seed}  K {made.count}  "
    if made.training:
        head += f"{made.training['epochs']} epochs, stopped by {made.training['stopped']}  "
    console.say(f"{head:.<70} {made.seconds:.2f} s   peak {made.peak / 2**30:.2f} GiB")
