"""Choices that no label takes part in: the number of clusters, the run of a method, the method."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphrep.cli.clustering.estimators import Maker
from graphrep.cli.clustering.fitting import Fit
from graphrep.cli.clustering.inputs import Inputs
from graphrep.cli.clustering.judging import Row
from graphrep.cli.clustering.wanted import LARGE, Count
from graphrep.cli.console import Console, to_json
from graphrep.cli.progress import Stop, Stopped, stop_after, terminal_bar
from graphrep.cli.report.charts import Curve
from graphrep.cli.runs import write_text
from graphrep.errors import FileFormatError

if TYPE_CHECKING:
    from graphrep.data import Graph

__all__ = ["Choice", "Curves", "choose_method", "choose_number", "choose_run"]

_HIGHEST = 15  # of the numbers tried when none was asked for
_MEASURED_WITH = ("smooth", "kmeans", "spectral")  # light methods that take a number
_INDICES = {  # name -> title, whether larger is better
    "modularity": ("modularity", True),
    "silhouette": ("silhouette", True),
    "davies_bouldin": ("Davies-Bouldin", False),
    "singular_gap": ("singular value gap", True),
    "stability": ("stability", True),
}


@dataclass(frozen=True)
class Choice:
    """A clustering, and a sentence on why it was taken."""

    fit: Fit
    why: str


@dataclass(frozen=True)
class Curves:
    """Indices over the numbers of clusters.

    Attributes:
        ks: numbers that were tried.
        values: index -> a value per number; NaN where it is not defined.
        suggested: a number to begin with.
        reason: why.
        method: the light method that was measured.
        space: vectors of the silhouette.
        notes: what must be known of the measurement.
    """

    ks: list[int]
    values: dict[str, list[float]]
    suggested: int
    reason: str
    method: str
    space: str
    notes: list[str]

    def panels(self) -> list[Curve]:
        """A panel per index that is defined somewhere."""
        found = []
        for name, (title, upward) in _INDICES.items():
            values = [v if math.isfinite(v) else math.nan for v in self.values[name]]
            if not all(math.isnan(v) for v in values):
                better = "larger is better" if upward else "smaller is better"
                found.append(Curve(title, self.ks, values, marked=self.suggested, note=better))
        return found

    @property
    def note(self) -> str:
        """The words below the panels."""
        told = f"Measured with {self.method}, silhouette and Davies-Bouldin on {self.space}; stability: agreement of "
        return f"{told}clusterings of random halves. {self.reason} {' '.join(self.notes)}".strip()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "ks": self.ks, **self.values, "suggested": self.suggested, "reason": self.reason, "method": self.method,
            "space": self.space, "notes": self.notes,
        }  # fmt: skip


def choose_number(
    console: Console, inputs: Inputs, wanted: Count, names: Sequence[str], *, seed: int, folder: Path, resume: bool
) -> Curves:
    """Measures a light method over a range of numbers, prints the curve, and takes the number that is suggested.

    Args:
        console: where words go.
        inputs: the graph.
        wanted: the range, where one was given.
        names: requested methods; a light one of them is measured.
        seed: of clusterings and halves.
        folder: of the run, which keeps the curve for a run that is resumed.
        resume: take the curve that is kept there.

    Raises:
        Stopped: Ctrl-C.
    """
    kept = folder / "curve.json"
    found = _kept(kept) if resume else None
    if found is None:
        found = _measure(console, inputs, wanted, names, seed)
        write_text(kept, to_json(found.to_dict(), indent=2) + "\n")
    _print(console, found)
    return found


def _kept(path: Path) -> Curves | None:
    try:
        stored = json.loads(path.read_text(encoding="utf8"))
        values = {name: [math.nan if v is None else float(v) for v in stored[name]] for name in _INDICES}
        rest = {name: stored[name] for name in ("ks", "suggested", "reason", "method", "space", "notes")}
        return Curves(values=values, **rest)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path} cannot be read: {error}.", hint=f"remove {path}; it is made again") from error


def _measure(console: Console, inputs: Inputs, wanted: Count, names: Sequence[str], seed: int) -> Curves:
    from graphrep.methods import cluster_curve

    fit = _MEASURED_WITH if inputs.made is None and inputs.graph.num_features else ("spectral",)
    method = next((name for name in fit if name in names), fit[0])
    graph = inputs.graph if method != "spectral" else inputs.plain
    low, high = wanted.low or 2, min(wanted.high or _HIGHEST, inputs.graph.num_nodes - 1)
    ks = range(low, max(high, low) + 1)
    large = graph.num_nodes > LARGE  # halves are drawn once then, and k-means starts thrice
    params = {"n_init": 3} if large else {}
    resamples = 1 if large else 3
    with (
        stop_after(console, "clustering", saves=False) as stop,
        _Counter(console, len(ks) * (1 + 2 * resamples), stop) as counter,
    ):
        curve = cluster_curve(counter.counted(method, params), graph, ks, resamples=resamples, seed=seed)
    suggested, reason = curve.suggestion.k, curve.suggestion.reason
    return Curves(
        ks=curve.ks.tolist(),
        values={name: getattr(curve, name).tolist() for name in _INDICES},
        suggested=low if suggested is None else int(suggested),
        reason=f"{reason} The smallest, {low}, was taken." if suggested is None else reason,
        method=method,
        space=curve.space,
        notes=list(curve.notes),
    )


class _Counter:
    """Counts fits on a bar, and stops between them when asked to."""

    def __init__(self, console: Console, total: int, stop: Stop) -> None:
        self._stop, self._total = stop, total
        self._bar: Any = None if console.quiet else terminal_bar(lambda speed: f"{speed:.1f} fits/s")
        self._task: Any = None

    def __enter__(self) -> _Counter:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("how many clusters?", total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def counted(self, method: str, params: Mapping[str, Any]) -> Callable[[Graph, int, int], Any]:
        """A function of graph, number and seed that gives labels."""

        def run(graph: Graph, count: int, seed: int) -> Any:
            if self._stop.wanted:
                raise Stopped("Interrupted while the number of clusters was chosen; -k N chooses it for you.")
            labels = Maker.of(method, count, params, None).make(seed).fit_predict(graph)
            if self._bar is not None:
                self._bar.advance(self._task)
            return labels

        return run


def _print(console: Console, curves: Curves) -> None:
    console.say(f"How many clusters? Measured with {curves.method}; the silhouette is of {curves.space}.")
    shown = {name: title for name, (title, _) in _INDICES.items()}
    console.say("    K  " + "  ".join(f"{title:>{max(len(title), 9)}}" for title in shown.values()))
    for place, k in enumerate(curves.ks):
        cells = [
            f"{'-' if math.isnan(v) else f'{v:.3f}':>{max(len(title), 9)}}"
            for title, v in ((title, curves.values[name][place]) for name, title in shown.items())
        ]
        mark = "> " if k == curves.suggested else "  "
        console.say(f"{mark}{k:>3}  " + "  ".join(cells))
    console.say(f"  Suggested: {curves.reason}")
    for note in curves.notes:
        console.say(f"  {note}")


def choose_run(row: Row, inputs: Inputs, count: int | None) -> Choice:
    """The run that stands for a method, of all its seeds; one with `count` clusters where there is one."""
    if len(row.runs) == 1:
        return Choice(row.runs[0], "its only run.")
    place, why = _select({f"seed {fit.seed}": fit for fit in row.runs}, inputs, count)
    return Choice(row.runs[place], why)


def choose_method(choices: Sequence[Choice], inputs: Inputs, count: int | None) -> Choice:
    """The clustering that is written, of those that stand for the requested methods; see :func:`choose_run`."""
    if len(choices) == 1:
        return choices[0]
    place, why = _select({choice.fit.method: choice.fit for choice in choices}, inputs, count)
    return Choice(choices[place].fit, why)


def _select(fits: Mapping[str, Fit], inputs: Inputs, count: int | None) -> tuple[int, str]:
    """Place of the best of several clusterings by links and features, and why.

    Clusterings with another number of clusters than was asked for are judged only where there are no others: fewer
    clusters are easier to tell apart.
    """
    from graphrep.methods import select_partition

    asked = {name: fit for name, fit in fits.items() if int(fit.labels.max()) + 1 == count} or fits
    found = select_partition(inputs.judged, {name: fit.labels for name, fit in asked.items()})
    others = ", ".join(name for name in fits if name not in asked)
    left_out = f" Not judged, because of their number of clusters: {others}." if others else ""
    return list(fits).index(found.name), found.reason + left_out
