"""The training of one predictor with progress, saved states and a way to stop; those that train nothing just fit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from graphrep.cli.console import Console
from graphrep.cli.linking.predictors import HeuristicPredictor, Predictor
from graphrep.cli.progress import Stopped, stop_after
from graphrep.cli.runs import RunFolder
from graphrep.cli.training import EpochProgress, course
from graphrep.data.links import LinkSplit

__all__ = ["fit", "training_facts"]


def fit(
    console: Console, predictor: Predictor, split: LinkSplit, folder: RunFolder, *, checkpoint_every: float,
    what: Mapping[str, Any],
) -> float:  # fmt: skip
    """Fits a predictor in place; the seconds that took.

    Args:
        console: where words go.
        predictor: what is fitted.
        split: the links.
        folder: of the run, for metrics and the saved state.
        checkpoint_every: seconds between two states.
        what: which of several trainings this is.

    Raises:
        Stopped: Ctrl-C; the state is saved, and the text says how to go on.
        DivergedError: NaN; the message names the file with the last good weights.
    """
    from graphrep.methods.trained import TrainedEstimator
    from graphrep.train import Interrupted

    started = time.perf_counter()
    model = getattr(predictor, "model", None)
    if isinstance(predictor, HeuristicPredictor) or not isinstance(model, TrainedEstimator):
        predictor.fit(split)
        return time.perf_counter() - started
    state = folder.checkpoint
    with stop_after(console, "epoch", saves=True) as stop, EpochProgress(console, folder, what=what) as progress:
        try:
            predictor.fit(
                split,
                callbacks=[progress],
                checkpoint=state,
                checkpoint_every=checkpoint_every,
                resume=state.exists(),
                rescue=folder.path / "model.safetensors",
                should_stop=lambda: stop.wanted,
            )
        except Interrupted:
            raise Stopped(
                f"Interrupted; {progress.done} epochs of {predictor.name} are saved. To finish: graphrep linkpred "
                f"--resume {folder.path}"
            ) from None
    folder.log(repr(model.history_))
    if model.history_.epochs:
        console.say(f"  {' '.join(str(value) for value in what.values())}: {course(model.history_)}")
    return time.perf_counter() - started


def training_facts(predictor: Predictor) -> dict[str, Any]:
    """The course of the training as plain values; empty where nothing was trained."""
    history = getattr(getattr(predictor, "model", None), "history_", None)
    if history is None or not history.epochs:
        return {}
    looks = {str(log.epoch): dict(log.signals) for log in history.epochs if "hits" in log.signals}
    return {
        "epochs": len(history.epochs), "stopped": history.stopped, "kept_epoch": history.kept_epoch,
        "seconds": history.seconds, "seconds_per_epoch": history.seconds / len(history.epochs),
        "losses": history.losses, "validation": looks,
    }  # fmt: skip
