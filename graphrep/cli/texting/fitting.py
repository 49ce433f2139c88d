"""A training in stages with progress: encoding with its rate, a line per stage, saved states, Ctrl-C."""

from __future__ import annotations

import time
from typing import Any

from graphrep.cli.console import Console
from graphrep.cli.progress import Stopped, stop_after
from graphrep.cli.runs import RunFolder
from graphrep.cli.system import peak_memory
from graphrep.cli.training import EpochProgress, course
from graphrep.train.task import EpochLog

__all__ = ["StageProgress", "fit_stages", "stage_facts"]

TITLES = {"bert": "small BERT", "encode": "texts encoded", "lm": "language model", "gnn": "graph network"}


class StageProgress(EpochProgress):
    """Tells of every stage as it ends, and writes its name with the metrics.

    Args:
        console: where words go.
        run: where the metrics go.
        num_tokens: of all texts together, about; for the rate.
    """

    def __init__(self, console: Console, run: RunFolder, *, num_tokens: int | None = None) -> None:
        super().__init__(console, run)
        self._tokens = num_tokens
        self._stage: str | None = None
        self._started = time.perf_counter()
        self._logs: list[EpochLog] = []
        self.seconds: dict[str, float] = {}

    def stage_started(self, name: str) -> None:
        """The stage before is through."""
        self._ended()
        self._stage, self._started, self._logs = name, time.perf_counter(), []
        self._what = {"stage": name}

    def epoch_done(self, log: EpochLog) -> None:
        """As :meth:`EpochProgress.epoch_done`."""
        self._logs.append(log)
        super().epoch_done(log)

    def part_done(self, epoch: int, share: float) -> None:
        """Moves the bar; while texts are encoded it is one of its own."""
        if epoch or self._bar is None:
            super().part_done(epoch, share)
            return
        if self._task is None:
            self._task = self._bar.add_task("", total=1.0)
        self._bar.update(self._task, total=1.0, completed=share, description=TITLES.get(self._stage or "", "texts"))

    def finished(self) -> None:
        """After the last stage."""
        self._ended()

    def _ended(self) -> None:
        if self._stage is None:
            return
        seconds = time.perf_counter() - self._started
        name, number = self._stage, 1
        while self._key(name, number) in self.seconds:
            number += 1
        self.seconds[self._key(name, number)] = seconds
        if name == "encode" and seconds > 1 and self._tokens:
            rate = f"{self._tokens / seconds / 1000:.1f} k tokens/s"
            self._console.say(f"  {TITLES[name]:<16} {seconds:.1f} s, {rate}")
        if self._logs:
            first, last = self._logs[0].loss, self._logs[-1].loss
            saved = f" after {self._logs[0].epoch - 1} saved ones" if self._logs[0].epoch > 1 else ""
            told = f"{len(self._logs)} epochs{saved}, loss {first:.4g} -> {last:.4g}, {seconds:.1f} s"
            scores = [log.signals["score"] for log in self._logs if "score" in log.signals]
            told += f", best validation {max(scores):.4f}" if scores else ""
            memory = f"peak {peak_memory() / 2**30:.2f} GiB"
            self._console.say(f"  {TITLES.get(name, name):<16} {told}, {memory}")
        self._stage = None

    @staticmethod
    def _key(name: str, number: int) -> str:
        return name if number == 1 else f"{name} {number}"


def fit_stages(
    console: Console, model: Any, data: Any, folder: RunFolder, *, checkpoint_every: float, splits: Any,
    num_tokens: int | None,
) -> dict[str, float]:  # fmt: skip
    """Trains with progress, saved states and the last good weights in the run's folder; seconds by stage.

    Raises:
        Stopped: Ctrl-C; the state is saved, and the text says how to go on.
        DivergedError: NaN; the message names the file with the last good weights.
    """
    from graphrep.train import Interrupted, distributed

    state = folder.checkpoint
    with (
        stop_after(console, "epoch", saves=True) as stop,
        StageProgress(console, folder, num_tokens=num_tokens) as progress,
    ):
        try:
            model.fit(
                data,
                splits=splits,
                callbacks=[progress],
                checkpoint=state,
                checkpoint_every=checkpoint_every,
                resume=distributed.from_main(state.exists()),
                rescue=folder.path / "model.safetensors",
                should_stop=lambda: stop.wanted,
            )
        except Interrupted:
            raise Stopped(
                f"Interrupted; what was done is saved. To finish: graphrep train --resume {folder.path}"
            ) from None
        progress.finished()
    for name, history in model.stages_.items():
        folder.log(f"{name}: {history!r}")
    return progress.seconds


def stage_facts(model: Any) -> dict[str, Any]:
    """The course of each stage as plain values."""
    found = {}
    for name, history in model.stages_.items():
        if not history.epochs:
            continue
        scores = {str(log.epoch): log.signals["score"] for log in history.epochs if "score" in log.signals}
        found[name] = {
            "epochs": len(history.epochs), "stopped": history.stopped, "kept_epoch": history.kept_epoch,
            "seconds": history.seconds, "losses": history.losses, "validation": scores, "said": course(history),
        }  # fmt: skip
    return found
