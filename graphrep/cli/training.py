"""Training under a command: progress per epoch on stderr, a line per epoch in metrics.jsonl, Ctrl-C between epochs."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from graphrep.cli.console import Console
from graphrep.cli.progress import Stopped, stop_after, terminal_bar
from graphrep.cli.system import peak_memory
from graphrep.train.task import Callback, EpochLog

if TYPE_CHECKING:
    from graphrep.cli.runs import RunFolder
    from graphrep.train.task import History

__all__ = ["EpochProgress", "course", "fit_trained"]

LONG = 5.0  # seconds; longer trainings are announced after their second epoch
_RANKING = {"recall": "Recall", "ndcg": "NDCG"}  # of the validation pairs, where there are some
_LINKS = {"hits": "Hits@K", "mrr": "MRR", "auc": "AUC"}  # of the validation links


def _brief(seconds: float) -> str:
    """Two digits, more from a hundred on."""
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"


def _seconds_an_epoch(speed: float) -> str:
    return f"{_brief(1 / speed)} s/epoch"


class EpochProgress(Callback):
    """Shows loss, rate and time left, and writes the metrics.

    Args:
        console: for the line with the estimate.
        run: where the metrics go.
        what: which of several trainings this is; shown, and written with every epoch.
        estimate: whether a long training is announced.
    """

    def __init__(
        self, console: Console, run: RunFolder, *, what: Mapping[str, Any] | None = None, estimate: bool = True
    ) -> None:
        self._console, self._run, self._what = console, run, dict(what or {})
        self._bar: Any = None if console.quiet else terminal_bar(_seconds_an_epoch)
        self._task: Any = None
        self._epochs = 0
        self._first = 0
        self._told = not estimate
        self._signals: dict[str, float] = {}
        self.done = 0

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, config: Any, done: int) -> None:
        """`done` epochs were trained before."""
        self._epochs, self._first, self.done, self._told = config.epochs, done + 1, done, False
        if self._bar is not None:
            if self._task is not None:  # the second training of one fit
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task("", total=config.epochs, completed=done)

    def part_done(self, epoch: int, share: float) -> None:
        """Moves the bar within an epoch."""
        if self._bar is not None:
            self._bar.update(self._task, completed=epoch - 1 + share, description=f"epoch {epoch}/{self._epochs}")

    def epoch_done(self, log: EpochLog) -> None:
        """One line in metrics.jsonl; the second epoch gives the estimate, since the first compiles."""
        self.done = log.epoch
        values = log.to_dict()
        self._signals |= log.signals  # a task is not looked at in every epoch
        self._run.metrics(**self._what, **{k: v for k, v in values.items() if v or k not in ("parts", "signals")})
        if self._bar is not None:
            head = "".join(f"{value}  " for value in self._what.values())
            self._bar.update(self._task, completed=log.epoch, description=head + self._described(log))
        left = (self._epochs - log.epoch) * log.seconds
        if not self._told and log.epoch > self._first and left >= LONG:
            self._told = True
            memory = peak_memory() / 2**30
            self._console.say(
                f"  {_brief(log.seconds)} s per epoch: about {left:.0f} s for the other {self._epochs - log.epoch} "
                f"epochs; peak so far {memory:.2f} GiB"
            )

    def _described(self, log: EpochLog) -> str:
        told, seen = f"epoch {log.epoch}/{self._epochs}  loss {log.loss:.4f}", self._signals
        if "recall" in seen:
            return told + "".join(f"  {title}@20 {seen[n]:.4f}" for n, title in _RANKING.items() if n in seen)
        if "hits" in seen:
            return told + "".join(f"  {title} {seen[n]:.4f}" for n, title in _LINKS.items() if n in seen)
        return told + (f"  RankMe {seen['rankme']:.0f}" if "rankme" in seen else "")


def fit_trained(console: Console, model: Any, graph: Any, folder: RunFolder, *, checkpoint_every: float) -> Any:
    """Trains with progress, saved states and the last good weights in the run's folder; the embedding.

    Raises:
        Stopped: Ctrl-C; the state is saved, and the text says how to go on.
        DivergedError: NaN; the message names the file with the last good weights.
    """
    from graphrep.train import Interrupted

    state = folder.checkpoint
    with stop_after(console, "epoch", saves=True) as stop, EpochProgress(console, folder) as progress:
        try:
            z = model.fit_transform(
                graph,
                callbacks=[progress],
                checkpoint=state,
                checkpoint_every=checkpoint_every,
                resume=state.exists(),
                rescue=folder.path / "model.safetensors",
                should_stop=lambda: stop.wanted,
            )
        except Interrupted:
            raise Stopped(
                f"Interrupted; {progress.done} epochs are saved. To finish: graphrep train --resume {folder.path}"
            ) from None
    folder.log(repr(model.history_))
    if model.history_.epochs:
        console.say(f"  {course(model.history_)}")
    return z


def course(history: History) -> str:
    """A training in one line: epochs, loss, speed, why it stopped, which epoch was kept."""
    first, last = history.epochs[0].loss, history.epochs[-1].loss
    per = history.seconds / len(history.epochs)
    said = f"{len(history.epochs)} epochs, loss {first:.4g} -> {last:.4g}, {_brief(per)} s per epoch"
    if history.stopped != "epochs":
        said += f", stopped by {history.stopped}"
    if history.kept_epoch != len(history.epochs):
        said += f", kept epoch {history.kept_epoch}" if history.kept_epoch else ", the state before it was kept"
    return said
