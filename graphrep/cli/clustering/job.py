"""The course of `graphrep cluster`, from the first setting to the last file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.clustering.choosing import Choice, Curves, choose_method, choose_number, choose_run
from graphrep.cli.clustering.estimators import TAKES_FACTOR, Maker, check_sets, usual_scale
from graphrep.cli.clustering.files import check_target, choose_target
from graphrep.cli.clustering.inputs import Inputs, prepare
from graphrep.cli.clustering.judging import Judge, Row, rows, weak_points
from graphrep.cli.clustering.outcome import finish
from graphrep.cli.clustering.series import Budget, Series, Task, fit_all
from graphrep.cli.clustering.wanted import BASELINES, LARGE, OWN_NUMBER, SLOW, Count, gather, parse_count, parse_methods
from graphrep.cli.clustering.words import print_table
from graphrep.cli.console import Console
from graphrep.cli.graphs import short_name
from graphrep.cli.runs import RunFolder, write_text
from graphrep.cli.settings import Settings, to_toml
from graphrep.cli.system import use_threads
from graphrep.data.check import grouped

__all__ = ["Job", "Options", "cluster_run"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Options:
    """What is no setting of the run: where files go, what is printed."""

    run_dir: Path | None = None
    save_config: Path | None = None
    size_report: bool = False
    checkpoint_every: float = 30.0
    dry_run: bool = False


@dataclass
class Job:
    """A run on its way: what the steps hand on.

    Attributes:
        settings: of the run.
        inputs: graph, features, labels.
        names: requested methods.
        seeds: of each method.
        count: the number of clusters, or None where a method finds its own.
        curves: how the number was chosen; None when it was given.
        folder: of the run.
        target: file of the clusters, and its format.
        table: a row per method.
        chosen: the run of each method that stands for it.
        kept: the clustering that is written, and why.
        marks: sentences on requested methods that a baseline beats.
        left_out: sentences on what is missing.
        seconds: of each step.
    """

    settings: Settings
    inputs: Inputs
    names: tuple[str, ...]
    seeds: list[int]
    folder: RunFolder
    target: tuple[Path, str]
    threads: int
    options: Options
    count: int | None = None
    curves: Curves | None = None
    judge: Judge | None = None
    table: list[Row] = field(default_factory=list)
    chosen: dict[str, Choice] = field(default_factory=dict)
    kept: Choice | None = None
    marks: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def cluster_run(
    console: Console,
    *,
    layers: Sequence[Mapping[str, Mapping[str, Any]]],
    recipe_name: str | None,
    config: Path | None,
    resume: Path | None,
    options: Options,
) -> None:
    """Clusters a graph.

    Raises:
        GraphrepError: bad input; the message says what to do.
        Stopped: Ctrl-C; the text says how to go on.
    """
    if resume is not None:
        config = RunFolder.require(resume)
    settings = gather(layers, recipe_name, config)
    run, asked = settings["run"], settings["cluster"]
    threads = use_threads(run.get("threads"), deterministic=run.get("deterministic"))
    wanted = parse_count(asked.get("k"))
    if resume is not None and _finished(console, resume, run):
        return
    name = short_name(str(run.get("graph") or run.get("features")))
    target = choose_target(run.get("out"), run.get("format"), name, run.get("graph"))
    check_target(*target, run.get("graph"))
    run |= {"out": str(target[0]), "format": target[1]}
    started = time.perf_counter()
    inputs = prepare(console, settings)
    read = time.perf_counter() - started
    names = parse_methods(str(run["method"]), inputs.graph.num_nodes)
    wanted.check(inputs.graph.num_nodes)
    check_sets(names, settings["params"], run.get("device"))
    for note in inputs.notes:
        console.say(f"  {note}")
    first = int(settings["params"].get("seed", 0))
    seeds = list(range(first, first + int(asked.get("runs") or 1)))
    where = options.run_dir or resume or Path("runs") / f"cluster-{inputs.name}"
    if options.dry_run:
        _show_plan(console, settings, inputs, names, seeds, wanted, target[0], where)
        return
    if options.save_config:
        write_text(options.save_config, to_toml(settings))
    folder = RunFolder(where, settings, resume=resume is not None)
    try:
        job = Job(settings, inputs, names, seeds, folder, target, threads, options, seconds={"read": read})
        _compute(console, job, wanted, resume=resume is not None)
        finish(console, job)
    finally:
        folder.close()


def _finished(console: Console, folder: Path, run: Mapping[str, Any]) -> bool:
    """Whether the run to resume is complete already; says so."""
    if not (folder / "result.json").is_file() or not Path(str(run.get("out", ""))).is_file():
        return False
    console.say(f"{folder} is finished: {run['out']}")
    console.finish({"out": run["out"], "run": str(folder), "finished": True}, path=run["out"])
    return True


def _show_plan(
    console: Console, settings: Settings, inputs: Inputs, names: Sequence[str], seeds: Sequence[int], wanted: Count,
    out: Path, where: Path,
) -> None:  # fmt: skip
    """What ``--dry-run`` prints."""
    others, _ = _baselines(settings, names, inputs.graph.num_nodes)
    count = str(wanted.number) if wanted.number else f"chosen from {wanted.low or 2} to {wanted.high or 'about 20'}"
    console.say(f"{', '.join(names)}: {len(seeds)} seed{'s' if len(seeds) > 1 else ''}, clusters {count}")
    console.say(f"  baselines: {', '.join(others) or 'none'}")
    console.say(f"  would write {out} and the folder {where}")
    plan = {"methods": list(names), "baselines": others, "seeds": list(seeds), "k": wanted.number}
    payload = {"plan": settings, **plan, "input": inputs.counts, "out": str(out), "run": str(where), "dry_run": True}
    console.finish(payload, path=out)


def _baselines(settings: Settings, names: Sequence[str], num_nodes: int) -> tuple[list[str], list[str]]:
    """Those that are installed and were not asked for anyway; and those of them that are too slow for this size."""
    if settings["cluster"].get("baselines") is False:
        return [], []
    found = [name for name in parse_methods("auto", num_nodes) if name in BASELINES and name not in names]
    slow = [name for name in found if name in SLOW and num_nodes > LARGE]
    return [name for name in found if name not in slow], slow


def _compute(console: Console, job: Job, wanted: Count, *, resume: bool) -> None:
    """Number of clusters, clusterings, judgement, choices."""
    if not resume:
        shutil.rmtree(job.folder.path / "fits", ignore_errors=True)
    started = time.perf_counter()
    own = wanted.number is None and wanted.low is None and all(name in OWN_NUMBER for name in job.names)
    if wanted.number is not None:
        job.count = wanted.number
    elif not own:
        job.curves = choose_number(
            console, job.inputs, wanted, job.names, seed=job.seeds[0], folder=job.folder.path, resume=resume
        )
        job.count = job.curves.suggested
    job.seconds["choose K"] = time.perf_counter() - started
    started = time.perf_counter()
    series = _fit(console, job, own=own, resume=resume)
    job.left_out += series.left_out
    job.seconds["fit"] = time.perf_counter() - started
    started = time.perf_counter()
    _judge(console, job, series)
    job.seconds["judge"] = time.perf_counter() - started


def _fit(console: Console, job: Job, *, own: bool, resume: bool) -> Series:
    """Baselines first, since they are light; but after a method that finds the number itself."""
    budget = Budget(job.settings["cluster"].get("time_budget"))
    params, device = _scaled(console, job), job.settings["run"].get("device")

    def run(tasks: Sequence[Task]) -> Series:
        return fit_all(
            console, job.folder, job.inputs, tasks,
            checkpoint_every=job.options.checkpoint_every, budget=budget, resume=resume,
        )  # fmt: skip

    size = job.inputs.graph.num_nodes
    light, slow = _baselines(job.settings, job.names, size)
    job.left_out += [f"{name}: no baseline above {grouped(LARGE)} nodes, where it is slow; -m {name}." for name in slow]
    fewer = {"num_seeds": 1} if size > LARGE else {}  # of the searches for a resolution that gives K

    def baselines() -> list[Task]:
        return [Task(Maker.of(name, job.count, fewer, None), job.seeds, True) for name in light]

    asked = [Task(Maker.of(name, job.count, params, device), job.seeds, False) for name in job.names]
    if not own:
        series = run([*baselines(), *asked])
        return Series(
            [f for f in series.fits if not f.baseline] + [f for f in series.fits if f.baseline], series.left_out
        )
    first = run(asked)
    job.count = first.fits[0].count
    second = run(baselines())
    return Series(first.fits + second.fits, first.left_out + second.left_out)


def _scaled(console: Console, job: Job) -> dict[str, Any]:
    """Settings of the requested methods, with a scale of the features where a method has one and none was set."""
    params = job.settings["params"]
    concerned = [name for name in job.names if name in TAKES_FACTOR]
    scale = usual_scale(job.inputs.graph.x) if concerned and "scale_features" not in params else None
    if scale is None:
        return params
    told = (
        f"The features are large: {', '.join(concerned)} multiplied them by {scale:g} (--set scale_features=none: not)."
    )
    job.inputs.notes.append(told)
    console.say(f"  {told}")
    return {**params, "scale_features": scale}


def _judge(console: Console, job: Job, series: Series) -> None:
    """The table, the run that stands for each method, the clustering that is kept."""
    judge = job.judge = Judge(job.inputs)
    job.table = rows(series.fits, judge)
    for row in job.table:
        job.chosen[row.method] = choose_run(row, job.inputs, job.count)
    requested = [row for row in job.table if not row.baseline]
    job.kept = choose_method([job.chosen[row.method] for row in requested], job.inputs, job.count)
    for row in requested:
        said = weak_points(row, job.table) if row.method not in BASELINES else []
        if said:
            job.marks[row.method] = said
    console.say()
    print_table(console, job.table, job.marks, job.kept.fit.method)
    for method, sentences in job.marks.items():
        for sentence in sentences:
            console.say(f"* {method}: {sentence}")
    for sentence in job.left_out:
        console.say(f"  left out: {sentence}")
    for note in job.kept.fit.notes:
        console.say(f"  {job.kept.fit.method}: {note}")
    console.say(f"Kept {job.kept.fit.method}, seed {job.kept.fit.seed}: {job.kept.why}")
    if job.kept.fit.method in job.marks:
        console.say("  -m auto takes the clustering that the evidence speaks for, whichever method made it.")
