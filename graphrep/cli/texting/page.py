"""report.html of a training on texts and a graph: scores, stages, predictions that a person can read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import graphrep
from graphrep.cli.report import Chart, Report, Strong, Table, write_report
from graphrep.cli.report.charts import Curve, curves_svg
from graphrep.cli.texting.examples import class_examples, link_examples
from graphrep.cli.texting.fitting import TITLES, stage_facts
from graphrep.cli.texting.parts import LinkParts
from graphrep.data import HeteroGraph
from graphrep.data.check import grouped

if TYPE_CHECKING:
    from graphrep.cli.texting.job import Job

__all__ = ["write_page"]


def write_page(path: Path, job: Job) -> None:
    """Writes the page."""
    from graphrep.cli.system import peak_memory

    link = isinstance(job.parts, LinkParts)
    title = f"{job.name}: which links are missing?" if link else f"{job.name}: classes from texts and links"
    examples = link_examples(job, job.parts) if isinstance(job.parts, LinkParts) else []
    if not isinstance(job.parts, LinkParts) and len(job.parts.test):
        examples = [class_examples(job, job.parts)]
    facts = [*((name, f"{value:.2f}") for name, value in job.seconds.items())]
    facts += [("peak memory", f"{peak_memory() / 2**30:.2f} GiB"), ("threads", str(job.threads))]
    write_report(
        path,
        Report(
            title=title,
            subtitle=f"graphrep {graphrep.__version__}, lmgnn, seed {job.model.seed}",
            facts={"Data": _data(job), "Seconds": facts},
            settings={"method": "lmgnn", **job.settings["params"]},
            command=f"graphrep train lmgnn --config {job.folder.path / 'config.toml'}",
            tables=[
                *([Table("What to know", ["", ""], [["note", note] for note in job.notes])] if job.notes else []),
                *_scores(job),
                *_stages(job),
                *examples,
            ],
            footer="Written by graphrep; this page needs no network.",
        ),
    )


def _data(job: Job) -> list[tuple[str, str]]:
    graph = job.graph
    if isinstance(graph, HeteroGraph):
        found = [(f"nodes of {key}", grouped(count)) for key, count in graph.num_nodes.items()]
    else:
        found = [("nodes", grouped(graph.num_nodes))]
    return [*found, ("edges", grouped(graph.num_edges)), ("task", job.task), ("parts", job.parts.line())]


def _scores(job: Job) -> list[Table]:
    """The model and what texts say alone, the best of each column in bold."""
    tables = []
    for relation in dict.fromkeys(row.relation for row in job.rows):
        rows = [row for row in job.rows if row.relation == relation]
        columns = list(rows[0].scores)
        best = {name: max(row.scores[name] for row in rows) for name in columns}
        lines: list[list[Any]] = []
        for row in rows:
            told = [f"{100 * row.scores[name]:.2f}" for name in columns]
            bold = [row.scores[name] >= best[name] for name in columns]
            lines.append([row.title, *(Strong(text) if b else text for text, b in zip(told, bold, strict=True))])
        others = "The lower rows learn nothing from the graph" + (", but for counts of links." if relation else ".")
        title = f"Scores: {relation}" if relation else "Scores"
        note = f"In percent, on the test part alone. {others}"
        tables.append(Table(title, ["", *columns], lines, note=note))
    return tables


def _stages(job: Job) -> list[Chart]:
    charts = []
    for name, facts in stage_facts(job.model).items():
        epochs, kept = list(range(1, facts["epochs"] + 1)), facts["kept_epoch"]
        curves = [Curve("loss", epochs, facts["losses"], marked=kept)]
        scores = [facts["validation"].get(str(epoch), math.nan) for epoch in epochs]
        if not all(math.isnan(value) for value in scores):
            curves.append(Curve("validation score", epochs, scores, marked=kept, note="high is good"))
        title = f"Stage {name}: {TITLES.get(name, name)}"
        charts.append(Chart(title, curves_svg(curves, label="epoch"), facts["said"]))
    return charts
