"""report.html of a recommender: scores beside popularity, the training, what the lists cover, lists of some users."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import graphrep
from graphrep.cli.recommending.fitting import training_facts
from graphrep.cli.recommending.judging import METRICS
from graphrep.cli.report import Bar, Chart, Report, Strong, Table, write_report
from graphrep.cli.report.charts import Curve, curves_svg
from graphrep.data.check import grouped

if TYPE_CHECKING:
    from graphrep.cli.recommending.job import Job

__all__ = ["write_page"]

Array = np.ndarray[Any, Any]
_EXAMPLES = 8
_HAD, _GETS = 10, 10  # items of an example


def write_page(path: Path, job: Job) -> None:
    """Writes the page."""
    count = job.divided.counts
    title = f"{job.inputs.name}: {job.ks[-1]} items for each of {grouped(len(job.users))} users"
    write_report(
        path,
        Report(
            title=title,
            subtitle=f"graphrep {graphrep.__version__}, {job.method}, seed {job.settings['params'].get('seed', 0)}. "
            f"Lists: {job.target[0]}",
            facts={
                "Data": [
                    ("users", grouped(count["users"])),
                    ("items", grouped(count["items"])),
                    ("training pairs", grouped(count["train"])),
                    ("validation pairs", grouped(count["val"])),
                    ("test pairs", grouped(count["test"])),
                    ("split, protocol", f"{job.divided.how}, {job.divided.protocol}"),
                ],
                "Lists": _about_lists(job),
                "Seconds": [
                    *((name, f"{value:.2f}") for name, value in job.seconds.items()),
                    ("peak memory", f"{job.peak / 2**30:.2f} GiB"),
                    ("threads", str(job.threads)),
                ],
            },
            settings={"method": job.method, **job.settings["params"]},
            command=f"graphrep recommend --config {job.folder.path / 'config.toml'}",
            tables=[_notes(job), *_scores(job), *_training(job), *_coverage(job), *_examples(job)],
            footer="Written by graphrep; this page needs no network.",
        ),
    )


def _about_lists(job: Job) -> list[tuple[str, str]]:
    assert job.lists is not None
    assert job.coverage is not None
    cover = job.coverage
    return [
        ("distinct items", f"{grouped(cover.items)} of {grouped(cover.total)}"),
        ("share of the items", f"{100 * cover.items / cover.total:.1f} %"),
        ("mean popularity", f"{cover.mean_popularity:.1f} users"),
        ("Gini of listings", f"{cover.gini:.3f}"),
        ("cold users", grouped(int(job.lists.cold.sum()))),
        ("short lists", grouped(job.lists.short)),
    ]


def _notes(job: Job) -> Table:
    """Everything that a reader must know."""
    rows = [] if job.judged is None else [["verdict", job.judged.verdict]]
    rows += [["data", note] for note in [*job.inputs.notes, *job.divided.notes]]
    rows += [["lists", note] for note in job.notes]
    return Table("What to know", ["", ""], rows)


def _scores(job: Job) -> list[Table]:
    """Methods side by side, better values in bold."""
    if job.judged is None:
        return []
    judged, lines = job.judged, []
    pairs = [(f"{judged.method}", judged.scores)]
    if judged.baseline is not None:
        pairs.append(("popularity  (baseline)", judged.baseline))
    for k in job.ks:
        best = {name: max(scores[name][k] for _, scores in pairs) for name in METRICS}
        for method, scores in pairs:
            cells = [f"{scores[name][k]:.4f}" for name in METRICS]
            marked = [
                Strong(cell) if scores[name][k] == best[name] else cell
                for cell, name in zip(cells, METRICS, strict=True)
            ]
            lines.append([method, str(k), *marked])
    how = "mean over users" if judged.average == "users" else "averaged as in the official code"
    note = (
        f"{grouped(judged.users)} users with test pairs, every item ranked but those of training and validation; {how}."
    )
    return [Table("On the test pairs", ["", "K", *METRICS.values()], lines, note=note)]


def _training(job: Job) -> list[Chart]:
    course = training_facts(job.model)
    if not course:
        return []
    epochs = list(range(1, course["epochs"] + 1))
    curves = [Curve("loss", epochs, course["losses"], marked=course["kept_epoch"])]
    looks = course["validation_recall_at_20"]
    if looks:
        found = [looks.get(str(epoch), math.nan) for epoch in epochs]
        curves.append(Curve("Recall@20 on validation", epochs, found, marked=course["kept_epoch"], note="high is good"))
    note = f"{course['epochs']} epochs of {course['seconds_per_epoch']:.2g} s, stopped by {course['stopped']}; "
    note += f"epoch {course['kept_epoch']} was kept (dashed). No test pair was looked at."
    return [Chart("Training", curves_svg(curves, label="epoch"), note)]


def _coverage(job: Job) -> list[Table]:
    """Tenths of the items by popularity: their share of the training, of the lists, of the popularity lists."""
    assert job.coverage is not None
    groups = job.coverage.groups
    most = max((max(shares) for _, *shares in groups), default=0.0) or 1.0
    lines, first = [], 1
    for place, (size, *shares) in enumerate(groups):
        name = "most popular" if place == 0 else "least popular" if place == len(groups) - 1 else ""
        bars = [Bar(f"{100 * share:.1f}\u00a0%", share / most, warm=which > 1) for which, share in enumerate(shares)]
        lines.append([f"{grouped(first)} to {grouped(first + size - 1)}", name, *bars])
        first += size
    return [
        Table(
            "How popular are the items in the lists?",
            [
                "items by popularity",
                "",
                "of the training pairs",
                f"of the lists of {job.method}",
                "of popularity lists",
            ],
            lines,
            note="Shares. Lists spread like the training pairs follow the users; lists of popular items only tell "
            "what everybody knows.",
        )
    ]


def _examples(job: Job) -> list[Table]:
    """Users with many, some and few interactions: what they had, and what they get."""
    assert job.lists is not None
    lists, (users, items) = job.lists, job.ids
    history = job.divided.data.csr(binarize=True)
    start, seen = history.rowptr.numpy(), history.col.numpy()
    popularity = np.asarray(job.model.popularity_)
    rows = []
    for place in _shown(lists.users, lists.cold, np.diff(start)):
        user = int(lists.users[place])
        had = seen[start[user] : start[user + 1]]
        had = had[np.argsort(-popularity[had], kind="stable")]
        gets = lists.items[place][lists.items[place] >= 0]
        cold = " (popular items)" if lists.cold[place] else ""
        rows.append([f"{users[user]}{cold}", _names(items, had, _HAD), _names(items, gets, _GETS)])
    note = (
        f"Users with many interactions first. Before: at most {_HAD}, the popular ones first; lists: the first {_GETS}."
    )
    return [Table("Lists of some users", ["user", "had before", "is recommended"], rows, note=note, wrap=True)]


def _shown(users: Array, cold: Array, degree: Array) -> list[int]:
    """Places of users spread over the numbers of interactions, and of one who has no training interaction."""
    order = np.argsort(-degree[users], kind="stable")
    picked = np.unique(np.linspace(0, len(order) - 1, min(_EXAMPLES, len(order))).round().astype(np.int64))
    found = [int(order[place]) for place in picked]
    if cold.any() and not cold[found].any():
        found.append(int(np.flatnonzero(cold)[0]))
    return found


def _names(ids: Array, rows: Array, most: int) -> str:
    text = ", ".join(str(name) for name in ids[rows[:most]].tolist())
    rest = len(rows) - most
    return (text or "nothing") + (f" and {grouped(rest)} more" if rest > 0 else "")
