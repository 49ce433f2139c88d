"""What `graphrep bench` does: variants x data sets x seeds, each finished run kept at once, then the table."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.benching_clusters import cluster_line, cluster_run, cluster_table
from graphrep.cli.benching_hetero import hetero_line, hetero_run, hetero_table
from graphrep.cli.benching_linkpred import LinkBench, linkpred_line, linkpred_run, linkpred_table
from graphrep.cli.benching_lmgnn import TextBench, lmgnn_line, lmgnn_params, lmgnn_run, lmgnn_table
from graphrep.cli.benching_recommend import find_interactions, recommend_line, recommend_run, recommend_table
from graphrep.cli.benching_suites import SUITES, Suite, Variant
from graphrep.cli.console import Console, to_json
from graphrep.cli.graphs import find_graph
from graphrep.cli.judging import mean_std
from graphrep.cli.plan import whole_numbers
from graphrep.cli.runs import command_line, write_text
from graphrep.cli.system import describe, peak_memory, reset_peak_memory, use_threads, versions
from graphrep.cli.typed import find_typed
from graphrep.errors import FileFormatError, MissingLabelsError, UnknownNameError
from graphrep.recipes import Recipe, recipe, recipe_names
from graphrep.registry import METHODS

__all__ = ["SUITES", "Suite", "Variant", "run_suite"]


@dataclass(frozen=True)
class _Job:
    dataset: str
    variant: Variant
    seed: int
    params: dict[str, Any]

    @property
    def key(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "label": self.variant.label, "seed": self.seed, "params": self.params}


def run_suite(
    console: Console,
    name: str,
    *,
    datasets: Sequence[str] | None,
    methods: Sequence[str] | None,
    seeds: Sequence[int],
    changes: Mapping[str, Any],
    out: Path,
    threads: int | None,
    data_dir: Path | None,
    dry_run: bool,
) -> None:
    """Runs what is missing in the result file, and writes the table.

    Raises:
        UnknownNameError: a method that the suite does not have, or a set without a recipe.
    """
    suite = SUITES[name]
    chosen = list(methods or suite.methods)
    unknown = [m for m in chosen if m not in suite.variants]
    if unknown:
        raise UnknownNameError(f"{name} has no method {unknown[0]}.", hint=", ".join(suite.variants))
    names = list(datasets or suite.datasets)
    jobs = [
        _Job(dataset, variant, seed, _params(variant, dataset, changes, suite, seed))
        for dataset in names
        for method in chosen
        for variant in suite.variants[method]
        for seed in seeds
    ]
    used = use_threads(threads)
    rows = _known(out)
    todo = [job for job in jobs if not any(all(row[k] == v for k, v in job.key.items()) for row in rows)]
    console.say(f"{name}: {len(jobs)} runs, {len(jobs) - len(todo)} of them in {out} already")
    if dry_run:
        console.finish({"suite": name, "runs": len(jobs), "missing": [job.key for job in todo], "dry_run": True})
        return
    head = {"suite": name, "command": command_line(), "versions": versions(), **describe("cpu", used)}
    graphs: dict[str, Any] = {}
    started = time.perf_counter()
    for number, job in enumerate(todo, start=1):
        if job.dataset not in graphs:
            graphs = {job.dataset: _data(job.dataset, suite, data_dir, out)}
        row = _judged(job, graphs[job.dataset], suite)
        rows.append(row)
        write_text(out, to_json({**head, "rows": rows}, indent=1) + "\n")
        left = (time.perf_counter() - started) / number * (len(todo) - number)
        console.note(_LINES[suite.task](row) + (f"   about {left / 60:.0f} min left" if left > 60 else ""))
    wanted = [job.key for job in jobs]
    table = _table(suite, names, chosen, [r for r in rows if _is_among(r, wanted)])
    for line in table:
        console.say(line)
    write_text(out.with_suffix(".md"), "\n".join([f"# {name}", "", *table, "", f"Command: `{command_line()}`", ""]))
    console.say(f"Wrote {out} and {out.with_suffix('.md')}")
    console.finish({**head, "rows": rows}, path=out)


def _data(dataset: str, suite: Suite, data_dir: Path | None, out: Path) -> Any:
    if suite.task == "recommend":
        return find_interactions(dataset, data_dir)
    if suite.task == "hetero":
        return find_typed(dataset, data_dir=data_dir)
    if suite.task == "linkpred":
        return LinkBench(dataset, data_dir)
    if suite.task == "lmgnn":
        return TextBench(dataset, data_dir, out.with_name(f"{out.stem}-vectors"))
    return find_graph(dataset, data_dir=data_dir)


def _judged(job: _Job, data: Any, suite: Suite) -> dict[str, Any]:
    if suite.task == "embed":
        return _run(job, data, suite.protocols)
    if suite.task == "linkpred":
        return {**job.key, "method": job.variant.method, **linkpred_run(job.variant.method, job.params, data)}
    if suite.task == "lmgnn":
        return {**job.key, "method": job.variant.method, **lmgnn_run(job.variant.method, job.params, data)}
    method = METHODS[job.variant.method].load()
    defaults = method._parameters()
    counted = {name: whole_numbers(value, defaults.get(name)) for name, value in job.params.items()}
    params = {name: tuple(v) if isinstance(v, list) else v for name, v in counted.items()}
    head = {**job.key, "method": job.variant.method}
    if suite.task == "recommend":
        return {**head, **recommend_run(method, params, data)}
    if suite.task == "hetero":
        found = _recipe(job.variant, job.dataset)
        return {**head, **hetero_run(method, params, found.eval if found else {}, job.dataset, data)}
    return {**head, **cluster_run(method, params, job.dataset, data)}


def _params(variant: Variant, dataset: str, changes: Mapping[str, Any], suite: Suite, seed: int) -> dict[str, Any]:
    if suite.task == "lmgnn":
        known = Variant(variant.label, "lmgnn")
        return lmgnn_params(variant, _settings(known, dataset), changes, seed)
    params = {**_settings(variant, dataset), **_taken(changes, variant, suite), "seed": seed}
    if suite.task == "recommend" and "seed" not in METHODS[variant.method].load()._parameters():
        del params["seed"]  # nothing about the most popular items is random
    return params


def _settings(variant: Variant, dataset: str) -> dict[str, Any]:
    """Parameters of the recipe for this set, then the variant's; a method without recipes takes its defaults."""
    found = _recipe(variant, dataset)
    return {**(found.params if found else {}), **variant.params}


def _taken(changes: Mapping[str, Any], variant: Variant, suite: Suite) -> dict[str, Any]:
    """All of the changes; where methods that train stand beside others, those that the method has."""
    if suite.task == "embed":
        return dict(changes)
    if variant.method not in METHODS:  # a heuristic
        return {}
    known = METHODS[variant.method].load()._parameters()
    return {name: value for name, value in changes.items() if name in known}


def _recipe(variant: Variant, dataset: str) -> Recipe | None:
    name = f"{variant.method}/{dataset.rpartition('/')[2]}{variant.recipe}"
    return recipe(name) if name in recipe_names() else None


def _known(out: Path) -> list[dict[str, Any]]:
    if not out.is_file():
        return []
    try:
        rows: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf8"))["rows"]
    except (ValueError, KeyError, OSError) as error:
        raise FileFormatError(
            f"{out} is not a result file of bench: {error}.", hint="another name with --out"
        ) from error
    return rows


def _is_among(row: Mapping[str, Any], keys: Sequence[Mapping[str, Any]]) -> bool:
    return any(all(row[k] == v for k, v in key.items()) for key in keys)


def _run(job: _Job, graph: Any, protocols: Sequence[str]) -> dict[str, Any]:
    """One training and its judgement under every protocol that the set allows."""
    from graphrep.eval import linear_probe

    if graph.y is None:
        raise MissingLabelsError(f"{job.dataset} has no labels.", hint="a set of task classify: graphrep list datasets")
    params = {name: tuple(v) if isinstance(v, list) else v for name, v in job.params.items()}
    reset_peak_memory()
    began = time.perf_counter()
    model = METHODS[job.variant.method].load()(**params).fit(graph)
    seconds = time.perf_counter() - began
    memory = peak_memory()
    history = model.history_
    z, y = model.embedding_.numpy(), np.asarray(graph.y)
    scores: dict[str, Any] = {}
    splits = (graph.train_idx, graph.val_idx, graph.test_idx)
    for protocol in protocols:
        options: dict[str, Any] = {} if protocol == "planetoid" else {"seeds": [job.seed]}
        if protocol != "grace" and all(part is not None for part in splits):
            options["split"] = splits
        result = linear_probe(z, y, protocol=protocol, **options)
        scores[protocol] = {"micro_f1": 100 * result.micro_f1, "macro_f1": 100 * result.macro_f1}
    return {
        **job.key,
        "method": job.variant.method,
        "scores": scores,
        "epochs": len(history.epochs),
        "loss": history.epochs[-1].loss if history.epochs else None,
        "signals": dict(history.epochs[-1].signals) if history.epochs else {},
        "seconds": round(seconds, 3),
        "seconds_per_epoch": round(history.seconds / max(1, len(history.epochs)), 4),
        "peak_memory_bytes": memory,
    }


def _line(row: Mapping[str, Any]) -> str:
    found = "   ".join(f"{name} {s['micro_f1']:.1f} / {s['macro_f1']:.1f}" for name, s in row["scores"].items())
    return f"{row['dataset']:<14} {row['label']:<26} seed {row['seed']:<3} {found}   {row['seconds']:.0f} s"


_LINES = {
    "embed": _line, "cluster": cluster_line, "recommend": recommend_line, "hetero": hetero_line,
    "linkpred": linkpred_line, "lmgnn": lmgnn_line,
}  # fmt: skip


def _table(
    suite: Suite, datasets: Sequence[str], methods: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Markdown: means and sample deviations over seeds, and the paired difference to the base row."""
    variants = [variant for method in methods for variant in suite.variants[method]]
    if suite.task == "cluster":
        return cluster_table(datasets, [variant.label for variant in variants], rows)
    if suite.task == "recommend":
        return recommend_table(datasets, {variant.label: variant.method for variant in variants}, rows)
    if suite.task == "hetero":
        plain = [variant for variant in variants if not variant.params]  # the numbers are of the whole method
        recipes = {(v.label, d): found for v in plain for d in datasets if (found := _recipe(v, d))}
        return hetero_table(datasets, [variant.label for variant in variants], rows, recipes)
    if suite.task == "linkpred":
        return linkpred_table(datasets, variants, rows)
    if suite.task == "lmgnn":
        return lmgnn_table(datasets, variants, rows)
    columns = [f"{name}: micro-F1 | macro-F1" for name in suite.protocols]
    head = ["data set", "method", "seeds", *" | ".join(columns).split(" | "), "published", "s / epoch", "peak GiB"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for dataset in datasets:
        for variant in variants:
            own = _of(rows, dataset, variant.label)
            if not own:
                continue
            cells = [dataset, variant.label, str(len(own))]
            for protocol in suite.protocols:
                cells += [_cell(own, rows, dataset, variant, protocol, score) for score in ("micro_f1", "macro_f1")]
            found = _recipe(variant, dataset)
            cells.append(_published(found) if variant.base is None else "")
            cells.append(f"{np.median([r['seconds_per_epoch'] for r in own]):.3g}")
            cells.append(f"{max(r['peak_memory_bytes'] for r in own) / 2**30:.2f}")
            lines.append("| " + " | ".join(cells) + " |")
    return [
        *lines,
        "",
        "Mean +- sample standard deviation over seeds of the whole pipeline (initialisation, views, split of the "
        "probe); in brackets the mean paired difference to the row without POT and its 95 % interval. gca takes "
        "the public split where there is one; planetoid has no other.",
    ]


def _of(rows: Sequence[Mapping[str, Any]], dataset: str, label: str) -> list[Mapping[str, Any]]:
    return sorted((r for r in rows if r["dataset"] == dataset and r["label"] == label), key=lambda r: r["seed"])


def _cell(
    own: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    dataset: str,
    variant: Variant,
    protocol: str,
    score: str,
) -> str:
    from graphrep.eval import compare, summarize

    values = {r["seed"]: r["scores"][protocol][score] for r in own}
    summary = summarize(list(values.values()))
    text = mean_std(summary.mean, summary.std)
    if variant.base is None:
        return text
    base = {r["seed"]: r["scores"][protocol][score] for r in _of(rows, dataset, variant.base)}
    shared = sorted(values.keys() & base.keys())
    if len(shared) < 2:
        return text
    difference = compare([base[s] for s in shared], [values[s] for s in shared])
    low, high = difference.ci95
    return f"{text} ({difference.mean_difference:+.2f}: {low:+.2f} to {high:+.2f})"


def _published(found: Recipe | None) -> str:
    if found is None or not found.published:
        return ""
    values = [found.published[key][0] for key in ("micro_f1", "macro_f1") if found.published.get(key)]
    return " / ".join(f"{v:g}" for v in values) + f" ({found.eval.get('protocol', '')})"
