"""report.html of a clustering: picture, clusters, methods side by side, agreement, the curve over K, notes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.clustering.details import ClusterFacts
from graphrep.cli.clustering.fitting import Fit
from graphrep.cli.clustering.inputs import Inputs
from graphrep.cli.clustering.judging import Row, agreement
from graphrep.cli.clustering.words import cell, table_columns
from graphrep.cli.report import Bar, Chart, Face, Report, Spread, Strong, Swatch, Table, make_picture, write_report
from graphrep.cli.report.charts import Curve, curves_svg, matrix_svg
from graphrep.cli.report.picture import PALETTE
from graphrep.cli.reporting import degrees, graph_facts
from graphrep.data.check import grouped

__all__ = ["Page", "write_page"]

Array = np.ndarray[Any, Any]
_MOST_CLUSTERS = 60
_MOST_RUNS = 40
_FEATURES = 4


@dataclass(frozen=True)
class Page:
    """What the report shows.

    Attributes:
        inputs: the graph and what was found in it.
        kept: the clustering that was written.
        vectors: (N, d) that are drawn.
        drawn: what these vectors are.
        clusters: a row per cluster of it.
        table: a row per method.
        chosen: the run of each method that stands for it.
        marks: sentences on methods that a baseline beats.
        why: why this clustering was kept.
        space: vectors of the silhouette.
        curves: quantities over K, and what they suggest.
        curve_note: below them.
        meaning: what confidence is.
        left_out: sentences on what is missing.
        projection: of the picture.
        faces: other ways to colour the picture.
    """

    inputs: Inputs
    kept: Fit
    vectors: Array
    drawn: str
    clusters: Sequence[ClusterFacts]
    table: Sequence[Row]
    chosen: Mapping[str, Fit]
    marks: Mapping[str, Sequence[str]]
    why: str
    space: str
    curves: Sequence[Curve]
    curve_note: str
    meaning: str
    left_out: Sequence[str]
    projection: str
    faces: Sequence[Face] = ()


def write_page(path: Path, page: Page, *, subtitle: str, facts: Mapping[str, Any], command: str, seed: int) -> None:
    """Writes the page.

    Args:
        path: where to.
        page: what it shows.
        subtitle: the line below the title.
        facts: cards of (name, value) pairs beside that of the graph.
        command: what to type to get the same again.
        seed: of the drawing order.
    """
    inputs, kept = page.inputs, page.kept
    picture = make_picture(
        page.vectors, inputs.ids.tolist(), kept.labels, degrees(inputs.graph), what="cluster",
        projection=page.projection, seed=seed, drawn=page.drawn, faces=page.faces,
    )  # fmt: skip
    title = f"{inputs.name}: {kept.count} clusters of {grouped(inputs.graph.num_nodes)} nodes"
    write_report(
        path,
        Report(
            title=title,
            subtitle=subtitle,
            facts={"Graph": graph_facts(inputs.graph), **facts},
            settings={"method": kept.method, **{k: v for k, v in kept.params.items() if k != "options"}},
            command=command,
            tables=[
                _notes(page),
                _methods(page),
                _clusters(page),
                *_curve(page),
                *_agreement(page),
                *_confusion(page),
                *_training(page),
            ],
            picture=picture,
            footer="Written by graphrep; this page needs no network.",
        ),
    )


def _notes(page: Page) -> Table:
    """Everything that a reader must know, with where it is from."""
    rows = [["kept", page.why]]
    rows += [["input", note] for note in page.inputs.notes]
    rows += [[page.kept.method, note] for note in page.kept.notes]
    for method, sentences in page.marks.items():
        rows += [[f"{method} *", sentence] for sentence in sentences]
    for method, fit in page.chosen.items():
        if method != page.kept.method:
            rows += [[method, note] for note in fit.notes]
    rows += [["left out", sentence] for sentence in page.left_out]
    return Table("What to know", ["", ""], rows)


def _methods(page: Page) -> Table:
    """Methods side by side; the best of each column in bold."""
    columns = table_columns(page.table)
    several = any(len(row.runs) > 1 for row in page.table)
    best: dict[str, float] = {}
    for name, _, _ in columns:
        known = [row.mean(name) for row in page.table if not math.isnan(row.mean(name))]
        if known:
            best[name] = min(known) if name == "conductance" else max(known)
    head = [
        " ",
        "clusters",
        *(title for _, title, _ in columns),
        *(["agreement"] if several else []),
        "seconds",
        "peak GiB",
    ]
    lines: list[list[Any]] = []
    for row in page.table:
        name = row.method + (" *" if page.marks.get(row.method) else "")
        counts = sorted({int(value) for value in row.values["clusters"]})
        cells: list[Any] = [Strong(f"{name}  (kept)") if row.method == page.kept.method else name]
        cells.append(" to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1]))))
        cells += [_spread(row, column, best.get(column), percent=percent) for column, _, percent in columns]
        if several:
            cells.append("-" if math.isnan(row.agreement) else f"{row.agreement:.3f}")
        cells += [_spread(row, "seconds", None), f"{max(row.values['peak']) / 2**30:.2f}"]
        lines.append(cells)
    runs = max(len(row.runs) for row in page.table)
    note = "Best of each column in bold. No labels: evidence (how well a node's cluster is told from its features and, "
    note += "apart from that, from its neighbours; without features the modularity), by which runs and methods are "
    note += f"chosen; modularity; silhouette of {page.space}; conductance, mean over clusters (small is good). "
    if page.inputs.known is not None:
        note += f"ACC, NMI, ARI and F1 in percent against {page.inputs.known.source}: evaluation only. "
    if runs > 1:
        note += f"Mean +- sample standard deviation over {runs} seeds; agreement: mean adjusted Rand index of pairs. "
    if page.marks:
        note += "* a baseline is better; see above."
    return Table("Methods side by side", head, lines, note=note)


def _spread(row: Row, name: str, best: float | None, *, percent: bool = False) -> Spread:
    mean, _, std = cell(row, name, percent=percent, digits=2 if name == "seconds" else 3).partition(" +- ")
    return Spread(mean, std, strong=best is not None and row.mean(name) == best)


def _clusters(page: Page) -> Table:
    facts, total = page.clusters, page.inputs.graph.num_nodes
    classes = any(fact.classes for fact in facts)
    features = any(fact.features for fact in facts)
    largest = max(fact.size for fact in facts)
    head = ["cluster", "nodes", "share", "conductance", "confidence", *(["classes"] if classes else [])]
    head += [*(["features above the mean"] if features else []), "central nodes"]
    lines: list[list[Any]] = []
    for fact in facts[:_MOST_CLUSTERS]:
        row: list[Any] = [
            Swatch(str(fact.cluster), PALETTE[fact.cluster % len(PALETTE)]),
            Bar(grouped(fact.size), fact.size / largest),
            f"{100 * fact.size / total:.1f}\u00a0%",
            "-" if fact.conductance is None else Bar(f"{fact.conductance:.3f}", fact.conductance, warm=True),
            "-" if fact.confidence is None else Bar(f"{fact.confidence:.3f}", fact.confidence),
        ]
        if classes:
            row.append(", ".join(f"{name}: {100 * count / fact.size:.0f}\u00a0%" for name, count in fact.classes[:3]))
        if features:
            row.append(", ".join(f"{name} {above:+.1f}" for name, above in fact.features[:_FEATURES]))
        lines.append([*row, ", ".join(fact.central)])
    note = "Conductance: links that leave over all links of the cluster (or of the rest, if those are fewer). "
    note += f"Confidence: {page.meaning}. "
    if features:
        note += "Features: distance of the cluster's mean from the mean of all nodes, in standard deviations. "
    note += "Central nodes: those with most links inside."
    if len(facts) > _MOST_CLUSTERS:
        note += f" The {_MOST_CLUSTERS} largest of {grouped(len(facts))} clusters."
    return Table("Clusters", head, lines, note=note, wrap=True)


def _confusion(page: Page) -> list[Table]:
    known = page.inputs.known
    if known is None or len(known.classes) > _MOST_CLUSTERS:
        return []
    table = np.zeros((len(known.classes), page.kept.count), dtype=np.int64)
    labelled = known.y >= 0
    np.add.at(table, (known.y[labelled], page.kept.labels[labelled]), 1)
    shown = min(page.kept.count, _MOST_CLUSTERS)
    rows = [[name, *table[place, :shown].tolist()] for place, name in enumerate(known.classes)]
    note = "Nodes of each class by cluster. The classes are those of the labels, which decided nothing."
    return [Table("Classes and clusters", ["class", *(str(k) for k in range(shown))], rows, note=note, shade=True)]


def _curve(page: Page) -> list[Chart]:
    if not page.curves:
        return []
    return [Chart("How many clusters?", curves_svg(page.curves, label="clusters", columns=3), page.curve_note)]


def _training(page: Page) -> list[Chart]:
    course = page.kept.training
    if not course.get("losses"):
        return []
    epochs = list(range(1, len(course["losses"]) + 1))
    curves = [Curve("loss", epochs, course["losses"])]
    changed = [math.nan if value is None else 100 * value for value in course.get("changed", [])]
    if any(not math.isnan(value) for value in changed):
        curves.append(Curve("nodes that changed their cluster, %", epochs, changed))
    note = f"{course['epochs']} epochs, stopped by {course['stopped']}; no label was looked at."
    return [Chart(f"Training of {page.kept.method}, seed {page.kept.seed}", curves_svg(curves, label="epoch"), note)]


def _agreement(page: Page) -> list[Chart]:
    """Between the seeds of the method that was kept, and between methods."""
    charts = []
    mine = next(row for row in page.table if row.method == page.kept.method)
    if len(mine.runs) > 1:
        runs = mine.runs[:_MOST_RUNS]
        values = agreement([fit.labels for fit in runs])
        names = [f"seed {fit.seed}" for fit in runs]
        note = "Adjusted Rand index between runs: 1 for the same clusters, 0 for as much agreement as by chance."
        charts.append(
            Chart(f"Agreement of the seeds of {mine.method}", matrix_svg(values.tolist(), names), note, half=True)
        )
    if len(page.chosen) > 1:
        values = agreement([fit.labels for fit in page.chosen.values()])
        note = "Adjusted Rand index between the run of each method that was kept."
        charts.append(
            Chart("Agreement of the methods", matrix_svg(values.tolist(), list(page.chosen)), note, half=True)
        )
    return charts
