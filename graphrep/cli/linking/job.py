"""The course of `graphrep linkpred`, from the first setting to the last file."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphrep.cli.console import Console
from graphrep.cli.linking.fitting import fit, training_facts
from graphrep.cli.linking.inputs import Inputs, open_links
from graphrep.cli.linking.judging import HeldOut, hard_negatives, judge
from graphrep.cli.linking.outcome import finish
from graphrep.cli.linking.predictors import Predictor
from graphrep.cli.linking.rows import Kept, Summary, summaries, with_ranks
from graphrep.cli.linking.splitting import SHARES, Divided, divide, write_parts
from graphrep.cli.linking.wanted import build, cuts, gather, methods_of
from graphrep.cli.linking.words import print_scores
from graphrep.cli.runs import RunFolder, write_text
from graphrep.cli.settings import Settings, parse_shares, to_toml
from graphrep.cli.system import peak_memory, reset_peak_memory, use_threads
from graphrep.data.negative_files import write_negatives

__all__ = ["Job", "Options", "linkpred_run"]

_STEPS, _SMALLEST = 16, 64  # steps of an epoch and links of a batch that small data are given at least


@dataclass(frozen=True)
class Options:
    """What is no setting of the run."""

    run_dir: Path | None = None
    save_config: Path | None = None
    checkpoint_every: float = 30.0
    dry_run: bool = False


@dataclass
class Job:
    """A run on its way: what the steps hand on.

    Attributes:
        settings: of the run.
        inputs: what was read.
        names: of all methods, that of the run first.
        seeds: of the splits and trainings.
        ks: cut-offs of Hits@K.
        folder: of the run.
        kept: rows so far.
        divided: the first split, which is saved with the model.
        predictor: the fitted method of the run, on that split; None where an earlier process fitted it.
        training: its course.
        summaries, verdicts: all methods over all splits.
        seconds: of each step.
    """

    settings: Settings
    inputs: Inputs
    names: list[str]
    seeds: list[int]
    ks: tuple[int, ...]
    folder: RunFolder
    kept: Kept
    threads: int
    seconds: dict[str, float]
    divided: Divided | None = None
    predictor: Predictor | None = None
    summaries: list[Summary] = field(default_factory=list)
    verdicts: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def method(self) -> str:
        """What the run is about."""
        return self.names[0]

    def own_row(self) -> Mapping[str, Any]:
        """The row of the method of the run on the first split."""
        return next(row for row in self.kept.rows if (row["method"], row["seed"]) == (self.method, self.seeds[0]))


def linkpred_run(
    console: Console,
    *,
    layers: Sequence[Mapping[str, Mapping[str, Any]]],
    recipe_name: str | None,
    config: Path | None,
    resume: Path | None,
    options: Options,
) -> None:
    """Trains a link predictor and judges it beside heuristics.

    Raises:
        GraphrepError: bad input; the message says what to do.
        Stopped: Ctrl-C; the text says how to go on.
    """
    if resume is not None:
        config = RunFolder.require(resume)
    settings = gather(layers, recipe_name, config)
    run, asked = settings["run"], settings["linkpred"]
    threads = use_threads(run.get("threads"), deterministic=run.get("deterministic"))
    ks, names = cuts(asked.get("at")), methods_of(settings)
    told = {*settings["params"], *(("batch_size",) if run.get("recipe") else ())}
    first = int(settings["params"].get("seed", 0))
    seeds = list(range(first, first + int(asked.get("runs", 1))))
    for name in names[::-1]:
        build(settings, name, first)  # every setting is looked at before any work
    if resume is not None and _finished(console, resume):
        return
    started = time.perf_counter()
    inputs = _opened(settings)
    seconds = {"read": time.perf_counter() - started}
    for line in [*inputs.lines, *(f"  {note}" for note in inputs.notes)]:
        console.say(line)
    where = options.run_dir or resume or Path("runs") / f"linkpred-{inputs.name}"
    divided = _divided(settings, inputs, first)
    console.say(f"{inputs.name}: {divided.line()}")
    for note in divided.notes:
        console.say(f"  {note}")
    if "batch_size" not in told and "batch_size" in settings["params"] and names[0] in ("ncn", "ncnc"):
        _fit_batches(console, settings, inputs, divided)
    if options.dry_run:
        _show_plan(console, settings, names, seeds, divided, where)
        return
    if options.save_config:
        write_text(options.save_config, to_toml(settings))
    folder = RunFolder(where, settings, resume=resume is not None)
    try:
        kept = Kept.read(where, resume=resume is not None)
        job = Job(settings, inputs, names, seeds, ks, folder, kept, threads, seconds)
        _compute(console, job, divided, options.checkpoint_every)
        finish(console, job)
    finally:
        folder.close()


def _finished(console: Console, folder: Path) -> bool:
    """Whether the run to resume is complete already; says so."""
    result = folder / "result.json"
    if not result.is_file():
        return False
    RunFolder.clear_states(folder)
    console.say(f"{folder} is finished: {result}")
    console.finish({"run": str(folder), "finished": True}, path=result)
    return True


def _opened(settings: Settings) -> Inputs:
    run, asked, read = settings["run"], settings["linkpred"], dict(settings["read"])
    time_column = read.pop("time", None)
    return open_links(
        run.get("graph"), split=asked.get("split"), split_by=asked.get("split_by"), time=time_column,
        data_dir=run.get("data_dir"), read=read, allow_leak=bool(asked.get("allow_leak")),
    )  # fmt: skip


def _divided(settings: Settings, inputs: Inputs, seed: int) -> Divided:
    asked = settings["linkpred"]
    shares = tuple(parse_shares(str(asked["shares"]), "--shares")) if asked.get("shares") else SHARES
    return divide(
        inputs, shares=shares, features=settings["run"].get("features"), seed=seed,
        allow_leak=bool(asked.get("allow_leak")),
    )  # fmt: skip


def _fit_batches(console: Console, settings: Settings, inputs: Inputs, divided: Divided) -> None:
    """Smaller batches for small data, whose epochs would else be a step or two; not where the settings are told."""
    size = int(settings["params"]["batch_size"])
    wanted = max(_SMALLEST, 2 ** int(math.log2(max(divided.counts["train"] / _STEPS, 1))))
    if wanted >= size:
        return
    settings["params"]["batch_size"] = wanted
    note = f"The graph is small: batches of {wanted} links in place of {size} (--set batch_size={size}: not)."
    inputs.notes.append(note)
    console.say(f"  {note}")


def _show_plan(
    console: Console, settings: Settings, names: Sequence[str], seeds: Sequence[int], divided: Divided, where: Path
) -> None:
    """What ``--dry-run`` prints."""
    console.say(f"  {len(seeds)} x {', '.join(names)}")
    console.say(f"  would write the folder {where}")
    payload = {"plan": settings, "methods": list(names), "seeds": list(seeds), "data": divided.counts}
    console.finish({**payload, "run": str(where), "dry_run": True}, path=where)


def _compute(console: Console, job: Job, divided: Divided, checkpoint_every: float) -> None:
    """Every method on every split."""
    started = time.perf_counter()
    for number, seed in enumerate(job.seeds):
        if number:
            divided = _divided(job.settings, job.inputs, seed)
        test = _test(job, divided, seed)
        if number == 0:
            job.divided = divided
            write_parts(divided, job.folder.path / "split.npz")
            if test is not None and test.hard is not None:
                write_negatives(test.hard, job.folder.path / "hard_negatives.npy")
        for name in job.names:
            if not job.kept.has(name, seed):
                _one(console, job, name, seed, divided, test, checkpoint_every)
    job.seconds["methods"] = time.perf_counter() - started
    job.summaries, job.verdicts = summaries(job.kept.rows, job.names)
    if any(summary.rows[0]["scores"] for summary in job.summaries):
        print_scores(console, job.summaries, job.verdicts, job.ks)


def _test(job: Job, divided: Divided, seed: int) -> HeldOut | None:
    """What the methods are judged by; None without test links."""
    asked, split = job.settings["linkpred"], divided.split
    if split.test_pos is None or split.test_neg is None or not (split.test_pos.numel() and split.test_neg.numel()):
        return None
    file, most = asked.get("heart_file"), asked.get("heart_links")
    if not asked.get("heart") and not file:
        return HeldOut(split.test_pos, split.test_neg, job.ks)
    hard = hard_negatives(split, seed=seed, most=most, file=Path(str(file)) if file else None)
    return HeldOut(split.test_pos, split.test_neg, job.ks, *hard)


def _one(
    console: Console, job: Job, name: str, seed: int, divided: Divided, test: HeldOut | None, checkpoint_every: float
) -> None:
    """One method on one split; its row is kept at once, and the first of the run's own method is saved."""
    predictor = build(job.settings, name, seed)
    reset_peak_memory()
    what = {"run": seed, "method": name} if len(job.seeds) > 1 else {"method": name}
    seconds = fit(console, predictor, divided.fitted_on, job.folder, checkpoint_every=checkpoint_every, what=what)
    started = time.perf_counter()
    scores, found = ({}, {}) if test is None else judge(predictor, test, intervals=len(job.seeds) == 1, seed=seed)
    row = {
        "method": name, "title": predictor.title, "seed": seed, "scores": scores, "ranks": with_ranks(found),
        "seconds": round(seconds, 6), "judge_seconds": round(time.perf_counter() - started, 6),
        "peak_memory_bytes": peak_memory(), "training": training_facts(predictor), "notes": predictor.notes,
    }  # fmt: skip
    if (name, seed) == (job.method, job.seeds[0]):
        predictor.save(job.folder.path)
        job.predictor = predictor
    job.folder.drop_checkpoint()
    job.kept.add(row)
    for note in predictor.notes:
        if note not in job.notes:
            job.notes.append(note)
            console.say(f"  {note}")
