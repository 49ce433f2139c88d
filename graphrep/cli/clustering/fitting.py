"""One clustering: fitted with progress, timed, saved with its model; found again when a run is resumed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrep.cli.clustering.estimators import Maker, embeds
from graphrep.cli.clustering.wanted import entry_of
from graphrep.cli.console import Console, to_json
from graphrep.cli.progress import Stopped, terminal_bar
from graphrep.cli.runs import RunFolder, write_text
from graphrep.cli.system import peak_memory, reset_peak_memory
from graphrep.cli.training import EpochProgress
from graphrep.errors import FileFormatError

if TYPE_CHECKING:
    from graphrep.data import Graph

__all__ = ["Fit", "fit", "load_fitted", "saved_fit"]

Array = np.ndarray[Any, Any]
_FACTS = "fit.json"


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted clustering; its model lies in `folder`.

    Attributes:
        method: as users call it.
        seed: of all its random numbers.
        labels: (N,) clusters 0..K-1.
        baseline: whether it was added to compare with.
        seconds: of the fit alone.
        peak: largest resident memory during the fit, in bytes.
        notes: what the method says.
        params: of the estimator.
        training: epochs, last loss and why it stopped; empty without a training.
    """

    method: str
    seed: int
    labels: Array
    baseline: bool
    seconds: float
    peak: int
    folder: Path
    notes: tuple[str, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Clusters that have a node."""
        return int(self.labels.max()) + 1

    def facts(self) -> dict[str, Any]:
        """Everything but the labels, as plain values."""
        return {
            "method": self.method, "seed": self.seed, "baseline": self.baseline, "num_clusters": self.count,
            "seconds": round(self.seconds, 6), "peak_memory_bytes": self.peak, "notes": list(self.notes),
            "params": self.params, "training": self.training,
        }  # fmt: skip


def fit(
    console: Console,
    maker: Maker,
    seed: int,
    graph: Graph,
    run: RunFolder,
    *,
    baseline: bool,
    should_stop: Callable[[], bool],
    checkpoint_every: float,
    time_budget: float | None = None,
    announce: bool = True,
) -> Fit:
    """Fits, and saves the model under the run's folder.

    Args:
        console: where words go.
        maker: of the estimator.
        seed: of the estimator.
        graph: what is clustered.
        run: the run's folder.
        baseline: what the fit is for.
        should_stop: asked between epochs.
        checkpoint_every: seconds between saved states of a training.
        time_budget: seconds that a training may take.
        announce: whether a long training is announced.

    Raises:
        Stopped: stopped on request; the state of the training is saved.
        GraphrepError: what the method raises.
    """
    model = maker.make(seed, time_budget=time_budget)
    reset_peak_memory()
    started = time.perf_counter()
    if maker.trains:
        _train(console, maker, model, graph, run, should_stop, checkpoint_every, announce)
    else:
        _compute(console, maker, model, graph)
    seconds = time.perf_counter() - started
    made = Fit(
        method=maker.name,
        seed=seed,
        labels=np.asarray(model.labels_, dtype=np.int64),
        baseline=baseline,
        seconds=seconds,
        peak=peak_memory(),
        folder=_folder(run.path, maker.name, seed),
        notes=tuple(model.notes_),
        params=maker.plain_params(model),
        training=_course(model),
    )
    _save(made, model)
    run.drop_checkpoint()
    run.metrics(method=made.method, seed=seed, num_clusters=made.count, fit_seconds=round(seconds, 6))
    return made


def _train(
    console: Console, maker: Maker, model: Any, graph: Graph, run: RunFolder,
    should_stop: Callable[[], bool], checkpoint_every: float, announce: bool,
) -> None:  # fmt: skip
    from graphrep.train import Interrupted

    what = {"method": maker.name, "seed": f"seed {model.seed}"}
    state = run.checkpoint
    with EpochProgress(console, run, what=what, estimate=announce) as progress:
        try:
            model.fit(
                graph,
                callbacks=[progress],
                checkpoint=state,
                checkpoint_every=checkpoint_every,
                resume=state.exists(),
                should_stop=should_stop,
            )
        except Interrupted:
            raise Stopped(
                f"Interrupted in {maker.name}, seed {model.seed}, after epoch {progress.done}, which is saved."
            ) from None


def _compute(console: Console, maker: Maker, model: Any, graph: Graph) -> None:
    bar = None if console.quiet else terminal_bar(lambda speed: "")
    if bar is None:
        model.fit(graph)
        return
    with bar:
        bar.add_task(f"{maker.name}  seed {model.seed}", total=None)
        model.fit(graph)


def _course(model: Any) -> dict[str, Any]:
    history = getattr(model, "history_", None) or getattr(getattr(model, "embedder_", None), "history_", None)
    if history is None:
        return {}
    losses = history.losses
    return {
        "epochs": len(losses), "loss": losses[-1] if losses else None, "stopped": history.stopped,
        "kept_epoch": history.kept_epoch, "losses": losses,
        "changed": [log.parts.get("changed") for log in history.epochs],
    }  # fmt: skip


def _folder(run: Path, method: str, seed: int) -> Path:
    return run / "fits" / f"{method}-{seed}"


def _save(made: Fit, model: Any) -> None:
    """The model, then the facts: a folder with facts is complete."""
    shutil.rmtree(made.folder, ignore_errors=True)
    made.folder.parent.mkdir(exist_ok=True)
    model.save(made.folder)
    write_text(made.folder / _FACTS, to_json(made.facts(), indent=2) + "\n")


def saved_fit(run: Path, method: str, seed: int) -> Fit | None:
    """The fit that an interrupted run finished, or None.

    Raises:
        FileFormatError: its files are damaged.
    """
    folder = _folder(run, method, seed)
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise FileFormatError(
            f"{folder} cannot be read: {error}.", hint=f"remove {folder}; it is made again"
        ) from error
    model = load_fitted(method, folder)
    return Fit(
        method, seed, np.asarray(model.labels_, dtype=np.int64), bool(facts["baseline"]), float(facts["seconds"]),
        int(facts["peak_memory_bytes"]), folder, tuple(facts["notes"]), facts["params"], facts["training"],
    )  # fmt: skip


def load_fitted(method: str, folder: Path) -> Any:
    """The fitted estimator of a method in a folder."""
    if not embeds(method):
        return entry_of(method).load().load(folder)
    from graphrep.methods import EmbeddingKMeans

    return EmbeddingKMeans.load(folder)
