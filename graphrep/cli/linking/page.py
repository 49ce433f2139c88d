"""report.html of a link predictor: all methods, the training, the best missing links of some nodes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import graphrep
from graphrep.cli.linking.missing import best_missing
from graphrep.cli.linking.predictors import kind_of
from graphrep.cli.linking.words import columns_of, heading
from graphrep.cli.nodes import id_array
from graphrep.cli.report import Chart, Report, Strong, Table, write_report
from graphrep.cli.report.charts import Curve, curves_svg
from graphrep.data.check import grouped

if TYPE_CHECKING:
    from graphrep.cli.linking.job import Job

__all__ = ["write_page"]

_EXAMPLES, _LINKS = 8, 5  # nodes, and missing links of each


def write_page(path: Path, job: Job) -> None:
    """Writes the page."""
    assert job.divided is not None
    count = job.divided.counts
    seeds = f"seeds {job.seeds[0]} to {job.seeds[-1]}" if len(job.seeds) > 1 else f"seed {job.seeds[0]}"
    write_report(
        path,
        Report(
            title=f"{job.inputs.name}: which links are missing?",
            subtitle=f"graphrep {graphrep.__version__}, {job.method}, {seeds}",
            facts={
                "Data": [
                    ("nodes", grouped(count["nodes"])),
                    ("training links", grouped(count["train"])),
                    ("validation links", grouped(count["val_pos"])),
                    ("test links", grouped(count["test_pos"])),
                    ("test negatives", grouped(count["test_neg"])),
                    ("split", job.divided.how),
                ],
                "Seconds": [
                    *((name, f"{value:.2f}") for name, value in job.seconds.items()),
                    ("peak memory", f"{job.own_row()['peak_memory_bytes'] / 2**30:.2f} GiB"),
                    ("threads", str(job.threads)),
                ],
            },
            settings={"method": job.method, **job.settings["params"]},
            command=f"graphrep linkpred --config {job.folder.path / 'config.toml'}",
            tables=[_notes(job), *_scores(job), *_training(job), *_missing(job)],
            footer="Written by graphrep; this page needs no network.",
        ),
    )


def _notes(job: Job) -> Table:
    """Everything that a reader must know."""
    assert job.divided is not None
    rows = [["verdict", verdict["text"]] for verdict in job.verdicts]
    rows += [["data", note] for note in [*job.inputs.notes, *job.divided.notes]]
    rows += [["methods", note] for note in job.notes]
    return Table("What to know", ["", ""], rows)


def _scores(job: Job) -> list[Table]:
    """Methods below each other, best values in bold, for each kind of negatives."""
    tables: list[Table] = []
    for negatives in job.summaries[0].rows[0]["scores"]:
        columns = columns_of(job.summaries, negatives)
        best = {key: max(np.mean(s.values(negatives, *place)) for s in job.summaries) for key, place in columns.items()}
        lines: list[list[Any]] = []
        for summary in job.summaries:
            cells: list[Any] = []
            for key, place in columns.items():
                text = summary.cell(negatives, *place, interval=True)
                cells.append(Strong(text) if np.mean(summary.values(negatives, *place)) >= best[key] else text)
            kind = "heuristic" if kind_of(summary.name) == "heuristic" else summary.outcomes.get(negatives, "")
            lines.append([summary.title, kind, *cells, f"{summary.seconds:.3g}", grouped(summary.memory >> 20)])
        note = "loses, level, beats: AUC and MRR against the best heuristic, which learns nothing."
        head = ["", "against heuristics", *columns, "seconds", "peak MiB"]
        tables.append(Table(heading(job.summaries, negatives), head, lines, note=note))
    return tables


def _training(job: Job) -> list[Chart]:
    course = job.own_row()["training"]
    if not course:
        return []
    epochs = list(range(1, course["epochs"] + 1))
    kept = course["kept_epoch"]
    curves = [Curve("loss", epochs, course["losses"], marked=kept)]
    looks = course["validation"]
    for name, title in (("hits", "Hits@K on validation"), ("auc", "AUC on validation")):
        found = [looks.get(str(epoch), {}).get(name, math.nan) for epoch in epochs]
        if not all(math.isnan(value) for value in found):
            curves.append(Curve(title, epochs, found, marked=kept, note="high is good"))
    note = f"{course['epochs']} epochs of {course['seconds_per_epoch']:.2g} s, stopped by {course['stopped']}; "
    note += f"epoch {kept} was kept (dashed). No test link was looked at."
    return [Chart("Training", curves_svg(curves, label="epoch"), note)]


def _missing(job: Job) -> list[Table]:
    """Nodes with many, some and few links, and their best missing ones."""
    if job.predictor is None or job.divided is None:
        return []
    split = job.divided.split
    degree = np.bincount(split.graph.edge_index[0].numpy(), minlength=split.graph.num_nodes)
    order = np.argsort(-degree, kind="stable")[: max(1, int((degree > 0).sum()))]
    picked = order[np.unique(np.linspace(0, len(order) - 1, min(_EXAMPLES, len(order))).round().astype(np.int64))]
    ids, rows = id_array(split.graph.ids, split.graph.num_nodes), []
    for nodes, others, scores in best_missing(job.predictor, split, picked, _LINKS, candidates="two-hop"):
        for node, found, values in zip(nodes, others, scores, strict=True):
            told = [f"{ids[o]} ({v:.3g})" for o, v in zip(found, values, strict=True) if o >= 0]
            rows.append([str(ids[node]), str(degree[node]), ", ".join(told) or "none two links away"])
    note = f"By {job.predictor.title}, with scores; links of every part are left out."
    return [
        Table("Missing links of some nodes", ["node", "training links", "best missing"], rows, note=note, wrap=True)
    ]
