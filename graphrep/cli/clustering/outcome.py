"""The last steps of `graphrep cluster`: every file, the last words, the JSON object."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import graphrep
from graphrep.cli.clustering.details import Certainty, ClusterFacts, certainty, describe_clusters
from graphrep.cli.clustering.files import write_clusters
from graphrep.cli.clustering.fitting import load_fitted
from graphrep.cli.clustering.inputs import is_h5ad
from graphrep.cli.clustering.judging import CRITERIA, SCORES, Row, agreement
from graphrep.cli.clustering.page import Page, write_page
from graphrep.cli.clustering.words import print_clusters
from graphrep.cli.console import Console
from graphrep.cli.report import Face
from graphrep.cli.runs import command_line
from graphrep.cli.system import describe, versions

if TYPE_CHECKING:
    from graphrep.cli.clustering.job import Job
    from graphrep.data import Graph

__all__ = ["finish"]

Array = np.ndarray[Any, Any]
_TSNE_NODES = 5_000  # up to so many, t-SNE takes seconds


def finish(console: Console, job: Job) -> None:
    """Writes clusters, vectors, model, page and result.json, and says where."""
    assert job.kept is not None
    assert job.judge is not None
    started = time.perf_counter()
    kept, inputs, run = job.kept.fit, job.inputs, job.settings["run"]
    model = load_fitted(kept.method, kept.folder)
    sure = certainty(kept.labels, model.probabilities_, inputs.graph)
    vectors = getattr(model, "embedding_", None)
    remembered = {
        "method": kept.method, "params": kept.params, "graph": run.get("graph"), "graphrep": graphrep.__version__,
        "seed": kept.seed,
    }  # fmt: skip
    path, kind = job.target
    write_clusters(
        path, kind, inputs.ids, kept.labels, sure, vectors=vectors, source=run.get("graph"), settings=remembered
    )
    if vectors is not None:
        from graphrep.data.embeddings import save_embeddings

        save_embeddings(job.folder.path / "embeddings.npz", vectors, ids=inputs.graph.ids, settings=remembered)
    _keep_model(job)
    facts = describe_clusters(
        inputs.graph,
        kept.labels,
        sure,
        inputs.ids.tolist(),
        features=_named_features(job),
        conductance=job.judge.conductance(kept.labels),
        known=None if inputs.known is None else (inputs.known.y, inputs.known.classes),
    )
    job.seconds["write"] = time.perf_counter() - started
    started = time.perf_counter()
    _report(job, facts, sure, vectors)
    job.seconds["draw"] = time.perf_counter() - started
    result = _result(job, facts, sure)
    job.folder.result(result)
    _last_words(console, job, facts)
    console.finish(result, path=path)


def _keep_model(job: Job) -> None:
    """The kept model as the folder ``model``; those of the other runs go."""
    assert job.kept is not None
    folder = job.folder.path / "model"
    shutil.rmtree(folder, ignore_errors=True)
    job.kept.fit.folder.replace(folder)
    shutil.rmtree(job.folder.path / "fits", ignore_errors=True)
    job.folder.drop_checkpoint()


def _named_features(job: Job) -> tuple[Any, list[str]] | None:
    """Features that mean something to the user, with their names; of AnnData those of X."""
    graph, source = job.inputs.graph, job.settings["run"].get("graph")
    if source is not None and is_h5ad(str(source)) and not job.settings["run"].get("features"):
        from graphrep.interop.anndata import open_h5ad

        cells = open_h5ad(source)
        if cells.X is not None:
            return cells.X, [str(name) for name in cells.var_names]
    if graph.x is None or job.inputs.made is not None:
        return None
    return graph.x, list(graph.feature_names or (f"feature {column}" for column in range(graph.num_features)))


def _drawn(job: Job, vectors: Any) -> tuple[Array, str]:
    """Vectors for the picture, and what they are."""
    assert job.kept is not None
    graph = job.inputs.graph
    if vectors is not None:
        return np.asarray(vectors), f"the vectors of {job.kept.fit.method}"
    if job.inputs.made is None and graph.num_features:
        from graphrep.methods import SmoothedKMeans

        smooth = SmoothedKMeans(min(16, graph.num_nodes - 1), n_init=1).fit(job.inputs.graph)
        return np.asarray(smooth.embedding_), "the features smoothed over the graph"
    from graphrep.methods import FastRP

    return np.asarray(FastRP(dim=128).fit_transform(job.inputs.plain)), "the vectors of FastRP"


def _report(job: Job, facts: list[ClusterFacts], sure: Certainty, vectors: Any) -> None:
    assert job.kept is not None
    assert job.judge is not None
    kept = job.kept.fit
    rows, drawn = _drawn(job, vectors)
    projection = job.settings["cluster"].get("projection") or ("tsne" if len(rows) <= _TSNE_NODES else "pca")
    scores = _numbers(job, kept.method)
    cards: dict[str, list[tuple[str, str]]] = {"Result": [("method", kept.method), ("clusters", str(kept.count))]}
    cards["Result"] += [(name, f"{value:.4f}") for name, value in scores.items()]
    cards["Seconds"] = [(name, f"{value:.2f}") for name, value in job.seconds.items()]
    cards["Seconds"].append(("threads", str(job.threads)))
    page = Page(
        inputs=job.inputs,
        kept=kept,
        vectors=rows,
        drawn=drawn,
        clusters=facts,
        table=job.table,
        chosen={method: choice.fit for method, choice in job.chosen.items()},
        marks=job.marks,
        why=job.kept.why,
        space=job.judge.space,
        curves=job.curves.panels() if job.curves else [],
        curve_note=job.curves.note if job.curves else "",
        meaning=sure.meaning,
        left_out=job.left_out,
        projection=projection,
        faces=_faces(job, sure),
    )
    write_page(
        job.folder.path / "report.html",
        page,
        subtitle=f"graphrep {graphrep.__version__}, {kept.method}, seed {kept.seed}. Clusters: {job.target[0]}",
        facts=cards,
        command=f"graphrep cluster --config {job.folder.path / 'config.toml'}",
        seed=job.seeds[0],
    )


def _faces(job: Job, sure: Certainty) -> list[Face]:
    """Other ways to colour the nodes: by class, and by how sure their cluster is."""
    known, faces = job.inputs.known, []
    if known is not None:
        faces.append(Face.of_classes("class", known.y, known.classes))
    if not np.isnan(sure.confidence).all():
        faces.append(Face.of_shares("confidence", sure.confidence))
    return faces


def _numbers(job: Job, method: str) -> dict[str, float]:
    """Scores and criteria of the kept run by their titles."""
    row = next(row for row in job.table if row.method == method)
    place = row.runs.index(job.chosen[method].fit)
    titles = {**SCORES, **CRITERIA}
    return {titles[name]: values[place] for name, values in row.values.items() if name in titles}


def _result(job: Job, facts: list[ClusterFacts], sure: Certainty) -> dict[str, Any]:
    """result.json."""
    assert job.kept is not None
    kept = job.kept.fit
    known = job.inputs.known
    return {
        "out": str(job.target[0]),
        "run": str(job.folder.path),
        "model": str(job.folder.path / "model"),
        "method": kept.method,
        "seed": kept.seed,
        "why": job.kept.why,
        "num_clusters": kept.count,
        "num_nodes": job.inputs.graph.num_nodes,
        "num_edges": job.inputs.graph.num_edges,
        "input": job.inputs.counts,
        "notes": [*job.inputs.notes, *kept.notes],
        "labels": None if known is None else {"source": known.source, "classes": len(known.classes)},
        "clusters_chosen": None if job.curves is None else job.curves.to_dict(),
        "methods": [_row(row, job) for row in job.table],
        "left_out": job.left_out,
        "clusters": [
            {
                "cluster": fact.cluster, "size": fact.size, "conductance": fact.conductance,
                "confidence": fact.confidence, "features": fact.features, "central": fact.central,
                "classes": dict(fact.classes),
            }
            for fact in facts
        ],
        "confidence": sure.meaning,
        "params": kept.params,
        "settings": job.settings,
        "seeds": job.seeds,
        "seconds": {name: round(value, 6) for name, value in job.seconds.items()},
        "peak_memory_bytes": max(int(value) for row in job.table for value in row.values["peak"]),
        "command": command_line(),
        "versions": versions(),
        **describe(str(kept.params.get("device", "cpu")), job.threads),
    }  # fmt: skip


def _row(row: Row, job: Job) -> dict[str, Any]:
    """One method: every run, mean and spread."""
    names = [name for name in row.values if name != "peak"]
    return {
        "method": row.method,
        "baseline": row.baseline,
        "kept_seed": job.chosen[row.method].fit.seed,
        "why": job.chosen[row.method].why,
        "beaten": job.marks.get(row.method, []),
        "mean": {name: row.mean(name) for name in names},
        "std": {name: row.std(name) for name in names},
        "agreement": row.agreement,
        "agreement_matrix": agreement([fit.labels for fit in row.runs]).tolist() if len(row.runs) > 1 else None,
        "runs": [
            {**fit.facts(), **{name: row.values[name][place] for name in names if name not in ("seconds", "clusters")}}
            for place, fit in enumerate(row.runs)
        ],
    }


def _last_words(console: Console, job: Job, facts: list[ClusterFacts]) -> None:
    graph: Graph = job.inputs.graph
    if job.options.size_report:
        print_clusters(console, facts, graph.num_nodes)
    holds = "one row per cell" if job.target[1] == "h5ad" else "id, cluster, confidence, second, margin"
    console.say(f"Wrote {job.target[0]} ({holds})")
    console.say(f"Wrote {job.folder.path} (report.html, result.json, model)")
    for line in console.lines:
        job.folder.log(line)
