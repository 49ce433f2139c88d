"""The training of a recommender with progress, saved states and a way to stop; methods that train nothing just fit."""

from __future__ import annotations

import inspect
import time
from typing import Any

from graphrep.cli.console import Console
from graphrep.cli.progress import Stopped, stop_after
from graphrep.cli.recommending.splitting import Divided
from graphrep.cli.runs import RunFolder
from graphrep.cli.training import EpochProgress, course

__all__ = ["fit", "training_facts"]


def fit(console: Console, model: Any, divided: Divided, folder: RunFolder, *, checkpoint_every: float) -> float:
    """Fits `model` in place; the seconds that took.

    Args:
        console: where words go.
        model: the estimator.
        divided: the parts, of which it gets all but the test.
        folder: of the run, for metrics and saved states.
        checkpoint_every: seconds between two states.

    Raises:
        Stopped: Ctrl-C; the state is saved, and the text says how to go on.
        DivergedError: NaN; the message names the file with the last good weights.
    """
    from graphrep.train import Interrupted

    started = time.perf_counter()
    data = divided.fitted_on
    if "checkpoint" not in inspect.signature(model.fit).parameters:
        model.fit(data)
        return time.perf_counter() - started
    if "validation" in model.get_params():
        model.set_params(validation=divided.validation)
    state = folder.checkpoint
    with stop_after(console, "epoch", saves=True) as stop, EpochProgress(console, folder) as progress:
        try:
            model.fit(
                data,
                callbacks=[progress],
                checkpoint=state,
                checkpoint_every=checkpoint_every,
                resume=state.exists(),
                rescue=folder.path / "model.safetensors",
                should_stop=lambda: stop.wanted,
            )
        except Interrupted:
            raise Stopped(
                f"Interrupted; {progress.done} epochs are saved. To finish: graphrep recommend --resume {folder.path}"
            ) from None
    folder.log(repr(model.history_))
    if model.history_.epochs:
        best = _best(model.history_)
        console.say(
            f"  {course(model.history_)}" + (f", Recall@20 {best:.4f} on validation" if best is not None else "")
        )
    return time.perf_counter() - started


def _best(history: Any) -> float | None:
    """Recall on validation of the epoch that was kept."""
    found = [log.signals["recall"] for log in history.epochs[: history.kept_epoch] if "recall" in log.signals]
    return float(found[-1]) if found else None


def training_facts(model: Any) -> dict[str, Any]:
    """The course of the training as plain values; empty where nothing was trained."""
    history = getattr(model, "history_", None)
    if history is None or not history.epochs:
        return {}
    looks = [(log.epoch, float(log.signals["recall"])) for log in history.epochs if "recall" in log.signals]
    return {
        "epochs": len(history.epochs), "stopped": history.stopped, "kept_epoch": history.kept_epoch,
        "seconds": history.seconds, "seconds_per_epoch": history.seconds / len(history.epochs),
        "losses": history.losses, "validation_recall_at_20": {str(epoch): value for epoch, value in looks},
    }  # fmt: skip
