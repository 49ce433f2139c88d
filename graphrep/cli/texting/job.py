"""The course of `graphrep train lmgnn`, from the first setting to the last file."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.console import Console
from graphrep.cli.graphs import short_name
from graphrep.cli.plan import check_memory
from graphrep.cli.processes import follow
from graphrep.cli.runs import RunFolder, write_text
from graphrep.cli.settings import Settings, parse_shares, to_toml
from graphrep.cli.system import use_threads
from graphrep.cli.texting.fitting import fit_stages
from graphrep.cli.texting.judging import Row, link_rows, node_rows, relation_rows
from graphrep.cli.texting.models import Speed, find_lm, measured
from graphrep.cli.texting.outcome import finish, show_plan
from graphrep.cli.texting.parts import LinkParts, NodeParts, link_parts, node_parts, task_of
from graphrep.cli.texting.texts import class_names
from graphrep.cli.texting.wanted import build, find_texted, gather
from graphrep.data import Graph, HeteroGraph
from graphrep.data.check import grouped
from graphrep.train.distributed import is_main

__all__ = ["Job", "Options", "lmgnn_run"]

LONG = 5.0  # seconds; longer runs are announced
_NO_MODEL = (
    "no --lm: a small BERT is built and trained from scratch on these texts alone. It knows nothing else and is far "
    "weaker than a pretrained model; --lm minilm or --lm DIR takes one."
)


@dataclass(frozen=True)
class Options:
    """What is no setting of the run."""

    run_dir: Path | None = None
    save_config: Path | None = None
    checkpoint_every: float = 30.0
    report: bool = False
    dry_run: bool = False


@dataclass
class Job:
    """A run on its way: what the steps hand on.

    Attributes:
        settings: of the run.
        graph: with texts.
        name: short, of the graph.
        task: ``node`` or ``link``.
        parts: what is learned from and judged by.
        model: the estimator.
        folder: of the run.
        target: the kind of node that is embedded; "" for a graph with one kind.
        threads: of the CPU.
        seconds: of each step.
        rows: scores on the test part, the model first.
        notes: sentences on what a user must know.
    """

    settings: Settings
    graph: Graph | HeteroGraph
    name: str
    task: str
    parts: NodeParts | LinkParts
    model: Any
    folder: RunFolder
    threads: int
    seconds: dict[str, float]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @functools.cached_property
    def classes(self) -> list[str] | None:
        """Names of the classes by their numbers, where they have some."""
        return class_names(self.settings["run"].get("text")) if self.task == "node" else None

    def named(self, number: int) -> str:
        """A class as a person knows it."""
        return str(number) if self.classes is None or number >= len(self.classes) else self.classes[number]

    @property
    def target(self) -> str:
        """The node type of the vectors."""
        return str(self.model._made["target"]) if isinstance(self.graph, HeteroGraph) else ""

    @property
    def texts(self) -> list[str]:
        """Of the nodes that have vectors; empty where they have none."""
        found = self.graph.text.get(self.target) if isinstance(self.graph, HeteroGraph) else self.graph.text
        return [] if found is None else list(found.tolist())

    @property
    def ids(self) -> Any:
        """(N,) external ids of those nodes."""
        from graphrep.cli.nodes import id_array

        if isinstance(self.graph, HeteroGraph):
            return id_array(self.graph.ids.get(self.target), self.graph.num_nodes[self.target])
        return id_array(self.graph.ids, self.graph.num_nodes)


def lmgnn_run(
    console: Console,
    *,
    layers: Sequence[Mapping[str, Mapping[str, Any]]],
    recipe_name: str | None,
    config: Path | None,
    resume: Path | None,
    options: Options,
) -> None:
    """Trains a language model and a graph network on a graph with texts, and judges them on what was held out.

    Raises:
        GraphrepError: bad input; the message says what to do.
        Stopped: Ctrl-C; the text says how to go on.
    """
    if resume is not None:
        config = RunFolder.require(resume)
    settings = gather(layers, recipe_name, config)
    run = settings["run"]
    threads = use_threads(run.get("threads"), deterministic=run.get("deterministic"))
    model = build(settings)
    if resume is not None and _finished(console, resume):
        return
    started = time.perf_counter()
    graph, lines, notes = find_texted(settings)
    seconds = {"read": time.perf_counter() - started}
    name = short_name(str(run["graph"]))
    for line in [*lines, *(f"  {note}" for note in notes)]:
        console.say(line)
    task = task_of(model.task, graph)
    model.set_params(task=task)
    parts = _parts(settings, graph, task)
    console.say(f"  {task}: {parts.line()}")
    where = options.run_dir or resume or Path("runs") / f"train-lmgnn-{name}"
    speed = _estimate(console, settings, model, graph) if is_main() else None
    if options.dry_run:
        show_plan(console, settings, model, where, speed)
        return
    if not is_main():
        follow(console, model, checkpoint=where / "checkpoint", **_learned(graph, parts))
        return
    if options.save_config:
        write_text(options.save_config, to_toml(settings))
    folder = RunFolder(where, settings, resume=resume is not None)
    try:
        job = Job(settings, graph, name, task, parts, model, folder, threads, seconds, notes=notes)
        _train(console, job, speed, options.checkpoint_every)
        _judge(console, job)
        finish(console, job, report=options.report)
    finally:
        folder.close()


def _finished(console: Console, folder: Path) -> bool:
    """Whether the run to resume is complete already; says so."""
    done = (folder / "result.json").is_file() and (folder / "model.safetensors").is_file()
    if done:
        RunFolder.clear_states(folder)
        console.say(f"{folder} is finished.")
        console.finish({"run": str(folder), "finished": True}, path=folder)
    return done


def _parts(settings: Settings, graph: Graph | HeteroGraph, task: str) -> NodeParts | LinkParts:
    given = settings["lmgnn"].get("shares")
    shares = tuple(parse_shares(str(given), "--shares")) if given else None
    seed = int(settings["params"].get("seed", 0))
    if task == "node":
        return node_parts(graph, shares=shares, seed=seed)
    return link_parts(graph, shares=shares, seed=seed, relations=settings["params"].get("relations"))


def _estimate(console: Console, settings: Settings, model: Any, graph: Graph | HeteroGraph) -> Speed | None:
    """A line on the time that the language model will take, from a short try; or on there being none."""
    folder = find_lm(settings["params"].get("lm"))
    if folder is None:
        console.say(f"  {_NO_MODEL}")
        return None
    by_type = [graph.text] if isinstance(graph, Graph) else list(graph.text.values())
    texts = [text for part in by_type if part is not None for text in part.tolist()]
    speed = measured(folder, texts, model.text_length)
    memory = 2 * len(texts) * speed.dim
    check_memory(console, memory, "cpu")
    seconds = speed.seconds(stages=tuple(model.stages), lm_epochs=model.lm_epochs, joint_epochs=model.joint_epochs)
    name = folder.parent.name if folder.name == "model" else folder.name
    console.say(
        f"  {name}: {grouped(speed.tokens)} tokens, {speed.tokens_per_second / 1000:.1f} k a second: about "
        f"{max(seconds, 1):.0f} s in the language model, vectors of {memory / 2**20:.1f} MiB (an estimate)"
    )
    return speed


def _learned(graph: Graph | HeteroGraph, parts: NodeParts | LinkParts) -> dict[str, Any]:
    """What the estimator is fitted on."""
    if isinstance(parts, LinkParts):
        return {"data": parts.data, "splits": None}
    return {"data": graph, "splits": parts.splits}


def _train(console: Console, job: Job, speed: Speed | None, checkpoint_every: float) -> None:
    started = time.perf_counter()
    by_stage = fit_stages(
        console, job.model, folder=job.folder, checkpoint_every=checkpoint_every,
        num_tokens=None if speed is None else speed.tokens, **_learned(job.graph, job.parts),
    )  # fmt: skip
    job.seconds |= by_stage
    job.seconds["train"] = time.perf_counter() - started
    job.notes += list(job.model.notes_)
    for note in job.model.notes_:
        console.say(f"  {note}")


def _judge(console: Console, job: Job) -> None:
    """The test part, looked at once."""
    started, model, parts = time.perf_counter(), job.model, job.parts
    title = f"lmgnn ({','.join(model.stages)})"
    vectors = None if model.text_embedding_ is None else np.asarray(model.text_embedding_.float())
    if isinstance(parts, NodeParts) and len(parts.test):
        y = np.asarray(job.graph.y)
        predicted = np.asarray(model.predict())
        three = (parts.train, parts.val, parts.test)
        job.rows = node_rows(job.texts, y, three, predicted, vectors, title)
    elif isinstance(parts, LinkParts) and parts.pos.numel():
        job.rows = link_rows(job.texts, parts.pos, parts.tails, model.score, vectors, title)
    elif isinstance(parts, LinkParts) and isinstance(job.graph, HeteroGraph):
        job.rows = relation_rows(job.graph.text, parts.relations, model.score, title)
    job.seconds["judge"] = time.perf_counter() - started
    if not job.rows:
        console.say("  nothing is held out for a test: nothing is judged")
        return
    columns = list(job.rows[0].scores)
    width = max(len(row.title) for row in job.rows)
    console.say(f"\n  {'':<{width}}  " + "  ".join(f"{name:>8}" for name in columns))
    relation = ""
    for row in job.rows:
        if row.relation != relation:
            relation = row.relation
            console.say(f"  {relation}")
        console.say(f"  {row.title:<{width}}  " + "  ".join(f"{100 * row.scores[name]:8.2f}" for name in columns))
    console.say("")
