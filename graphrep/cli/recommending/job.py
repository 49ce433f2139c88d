"""The course of `graphrep recommend`, from the first setting to the last file."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrep.cli.console import Console
from graphrep.cli.embedding import choose_device
from graphrep.cli.nodes import id_array
from graphrep.cli.recommending.fitting import fit
from graphrep.cli.recommending.indexing import check_index_target
from graphrep.cli.recommending.inputs import Inputs, open_interactions
from graphrep.cli.recommending.judging import Coverage, Judged, judge, measure_coverage
from graphrep.cli.recommending.lists import Lists, check_target, choose_target, popular_lists
from graphrep.cli.recommending.outcome import finish
from graphrep.cli.recommending.splitting import Divided, divide
from graphrep.cli.recommending.wanted import build, chosen_users, gather, parse_at
from graphrep.cli.recommending.words import print_scores
from graphrep.cli.runs import RunFolder, write_text
from graphrep.cli.settings import Settings, to_toml
from graphrep.cli.system import peak_memory, reset_peak_memory, use_threads
from graphrep.data.check import grouped
from graphrep.errors import UnknownNameError

if TYPE_CHECKING:
    from graphrep.kernels import CSR

__all__ = ["Job", "Options", "recommend_run"]

Array = np.ndarray[Any, Any]
AVERAGES = ("users", "official")
_STEPS, _SMALLEST = 32, 32  # steps of an epoch and pairs of a batch that small data are given at least


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
        divided: its parts.
        model: the recommender.
        ks: lengths of lists; the longest is written.
        users: (n,) rows whose lists are written.
        folder: of the run.
        target: file of the lists, and its format.
        lists: what is written.
        judged: the scores; None without a test.
        coverage: what the lists are made of.
        seconds: of each step.
        peak: largest resident memory of the fit, in bytes.
    """

    settings: Settings
    inputs: Inputs
    divided: Divided
    model: Any
    ks: tuple[int, ...]
    users: Array
    folder: RunFolder
    target: tuple[Path, str]
    device: str
    threads: int
    seconds: dict[str, float]
    lists: Lists | None = None
    judged: Judged | None = None
    coverage: Coverage | None = None
    peak: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def method(self) -> str:
        """What the recommender is called."""
        return str(self.settings["run"]["method"])

    @property
    def ids(self) -> tuple[Array, Array]:
        """External ids of users and of items."""
        data = self.divided.data
        return id_array(data.user_ids, data.num_users), id_array(data.item_ids, data.num_items)


def recommend_run(
    console: Console,
    *,
    layers: Sequence[Mapping[str, Mapping[str, Any]]],
    recipe_name: str | None,
    config: Path | None,
    resume: Path | None,
    options: Options,
) -> None:
    """Trains a recommender and writes lists.

    Raises:
        GraphrepError: bad input; the message says what to do.
        Stopped: Ctrl-C; the text says how to go on.
    """
    if resume is not None:
        config = RunFolder.require(resume)
    settings = gather(layers, recipe_name, config)
    run, asked = settings["run"], settings["recommend"]
    threads = use_threads(run.get("threads"), deterministic=run.get("deterministic"))
    ks = parse_at(asked.get("at"))
    if asked.get("average", "users") not in AVERAGES:
        raise UnknownNameError(f'--average "{asked["average"]}" is unknown.', hint=" | ".join(AVERAGES))
    device = choose_device(settings)
    told = {*settings["params"], *(("batch_size",) if run.get("recipe") else ())}
    model = build(settings)
    if resume is not None and _finished(console, resume, run):
        return
    started = time.perf_counter()
    inputs = open_interactions(
        str(run["graph"]), data_dir=run.get("data_dir"), read=settings["read"], implicit=bool(asked.get("implicit")),
        min_rating=asked.get("min_rating"),
    )  # fmt: skip
    seconds = {"read": time.perf_counter() - started}
    where = options.run_dir or resume or Path("runs") / f"recommend-{inputs.name}"
    target = choose_target(run.get("out"), run.get("format"), where / "recommendations")
    check_target(*target, str(run["graph"]), made=where)
    if asked.get("index"):
        check_index_target(Path(str(asked["index"])))
    run |= {"out": str(target[0]), "format": target[1]}
    divided = _divided(console, settings, inputs, "validation" in model.get_params())
    if "batch_size" not in told and Path(str(run["graph"])).exists():
        _fit_batches(console, settings, inputs, divided, model)
    users = chosen_users(asked.get("users"), id_array(inputs.data.user_ids, inputs.data.num_users))
    if options.dry_run:
        _show_plan(console, settings, model, divided, ks, users, target[0], where)
        return
    if options.save_config:
        write_text(options.save_config, to_toml(settings))
    folder = RunFolder(where, settings, resume=resume is not None)
    try:
        job = Job(settings, inputs, divided, model, ks, users, folder, target, device, threads, seconds)
        _compute(console, job, options.checkpoint_every)
        finish(console, job)
    finally:
        folder.close()


def _finished(console: Console, folder: Path, run: Mapping[str, Any]) -> bool:
    """Whether the run to resume is complete already; says so."""
    if not (folder / "result.json").is_file() or not Path(str(run.get("out", ""))).is_file():
        return False
    RunFolder.clear_states(folder)
    console.say(f"{folder} is finished: {run['out']}")
    console.finish({"out": run["out"], "run": str(folder), "finished": True}, path=run["out"])
    return True


def _divided(console: Console, settings: Settings, inputs: Inputs, validates: bool) -> Divided:
    """The parts, with everything that was understood so far."""
    for line in inputs.lines:
        console.say(line)
    asked, params = settings["recommend"], settings["params"]
    share = asked.get("validation")
    if share is None and asked.get("protocol") != "published":
        share = params.get("validation")  # --set validation=...
    divided = divide(
        inputs, how=asked.get("split"), test=asked.get("test"), validation=share, protocol=asked.get("protocol"),
        seed=int(params.get("seed", 0)), validates=validates,
    )  # fmt: skip
    console.say(f"{divided.fingerprint(inputs.name)}   split {divided.how}, protocol {divided.protocol}")
    for note in [*inputs.notes, *divided.notes]:
        console.say(f"  {note}")
    return divided


def _fit_batches(console: Console, settings: Settings, inputs: Inputs, divided: Divided, model: Any) -> None:
    """Smaller batches for small data, whose epochs would else be a step or two; not where the settings are told."""
    size = model.get_params().get("batch_size")
    wanted = max(_SMALLEST, 2 ** int(math.log2(max(divided.counts["train"] / _STEPS, 1))))
    if size is None or wanted >= size:
        return
    model.set_params(batch_size=wanted)
    settings["params"]["batch_size"] = wanted
    note = f"The data are small: batches of {wanted} pairs in place of {size} (--set batch_size={size}: not)."
    inputs.notes.append(note)
    console.say(f"  {note}")


def _show_plan(
    console: Console, settings: Settings, model: Any, divided: Divided, ks: tuple[int, ...], users: Array, out: Path,
    where: Path,
) -> None:  # fmt: skip
    """What ``--dry-run`` prints."""
    console.say(f"{model!r}")
    console.say(f"  lists of {ks[-1]} items for {grouped(len(users))} users")
    console.say(f"  would write {out} and the folder {where}")
    payload = {"plan": settings, "data": divided.counts, "at": list(ks), "users": len(users)}
    console.finish({**payload, "out": str(out), "run": str(where), "dry_run": True}, path=out)


def _compute(console: Console, job: Job, checkpoint_every: float) -> None:
    """Training, judgement, lists."""
    from graphrep.methods import Popularity

    reset_peak_memory()
    job.seconds["train"] = fit(console, job.model, job.divided, job.folder, checkpoint_every=checkpoint_every)
    job.peak = peak_memory()
    console.say(f"{_head(job):.<70} {job.seconds['train']:.2f} s   peak {job.peak / 2**30:.2f} GiB")
    baseline = Popularity().fit(job.divided.fitted_on)
    started = time.perf_counter()
    if job.divided.counts["test"]:
        average = str(job.settings["recommend"].get("average", "users"))
        job.judged = judge(job.model, job.method, job.divided, baseline, job.ks, average=average)
        print_scores(console, job.judged, job.ks)
    job.seconds["judge"] = time.perf_counter() - started
    started = time.perf_counter()
    hidden = None if job.settings["recommend"].get("include_seen") else job.divided.data.csr(binarize=True)
    job.lists, popularity = _lists(job, hidden), np.asarray(baseline.popularity_)
    job.coverage = measure_coverage(job.lists, popular_lists(job.users, popularity, hidden, job.ks[-1]), popularity)
    job.seconds["lists"] = time.perf_counter() - started


def _head(job: Job) -> str:
    params = job.settings["params"]
    told = "".join(
        f"  {key} {params[name]}" for name, key in (("dim", "d"), ("num_layers", "layers")) if name in params
    )
    return f"{type(job.model).__name__}{told}  seed {params.get('seed', 0)}  "


def _lists(job: Job, hidden: CSR | None) -> Lists:
    """Lists of the chosen users; what a user had in any part is left out unless it was asked for."""
    import torch

    items, scores = job.model.recommend(
        torch.from_numpy(job.users), job.ks[-1], exclude_seen=hidden is not None, exclude=hidden
    )
    cold = np.isin(job.users, np.asarray(job.model.cold_users_))
    return Lists(job.users, np.asarray(items), np.asarray(scores.double()), cold)
