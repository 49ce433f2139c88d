"""The steps of `graphrep demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import graphrep
from graphrep.cli.console import Console
from graphrep.cli.embedding import warm_up
from graphrep.cli.judging import judge_clusters, judge_links, judge_probe, mean_std
from graphrep.cli.links import hide_links, uniform_negatives
from graphrep.cli.nodes import id_array
from graphrep.cli.runs import RunFolder, command_line, write_text
from graphrep.cli.system import describe, peak_memory, use_threads, versions
from graphrep.errors import MissingLabelsError

if TYPE_CHECKING:
    from graphrep.cli.report import Table
    from graphrep.data import Graph

__all__ = ["tour"]

Array = np.ndarray[Any, Any]
# What the method's authors publish for another graph: nothing here was chosen by the labels it is judged by.
WEIGHTS = (0.0, 0.0, 1.0, 6.67)
PROBE_SPLITS = 10
HELD_OUT = 0.1


def tour(
    console: Console, *, data: str, dim: int, folder: Path, seed: int, threads: int | None, data_dir: Path | None
) -> None:
    """Runs the tour and writes its files into `folder`.

    Raises:
        UnknownNameError: no such data set.
        MissingLabelsError: the data set has no single class per node to judge by.
    """
    used = use_threads(threads)
    console.say(f"graphrep {graphrep.__version__}  torch {versions()['torch']}  cpu ({used} threads)  seed {seed}")
    graph = _load(console, data, data_dir)
    params = {"dim": dim, "weights": list(WEIGHTS), "seed": seed}
    settings: dict[str, dict[str, Any]] = {
        "run": {"command": "demo", "graph": data, "method": "fastrp", "threads": threads},
        "params": params,
    }
    run = RunFolder(folder, settings)
    try:
        found = _steps(console, run, graph, params, seed)
        found |= {"command": command_line(), "data": data, "settings": params, "versions": versions()}
        found |= {"peak_memory_bytes": peak_memory(), **describe("cpu", used)}
        run.result({key: value for key, value in found.items() if key not in ("z", "labels", "mapped")})
        _write(run, graph, found, data)
    finally:
        run.close()
    console.say(
        f"\nWrote  {folder}/embeddings.npz   clusters.csv   report.html (picture, nearest neighbours, settings)"
    )
    console.say("Next   graphrep embed YOUR_EDGES.csv          graphrep --help")
    payload = {key: value for key, value in found.items() if key not in ("z", "labels", "mapped")}
    console.finish({**payload, "folder": str(folder)}, path=folder / "report.html")


def _load(console: Console, data: str, data_dir: Path | None) -> Graph:
    from graphrep.cli.graphs import announce
    from graphrep.data.datasets import load

    graph = load(data, data_dir=data_dir)
    if graph.y is None or graph.y.dim() != 1:
        raise MissingLabelsError(
            f"The tour judges by one class per node, which {data} does not have.", hint="--data digits"
        )
    console.say(announce(graph, data)[0] + "\n")
    return graph


def _steps(console: Console, run: RunFolder, graph: Graph, params: dict[str, Any], seed: int) -> dict[str, Any]:
    """The three steps, each printed and timed."""
    from graphrep.methods.fastrp import FastRP

    seconds: dict[str, float] = {}
    y = np.asarray(graph.y)

    def step(number: int, name: str, what: str, started: float, more: str = "") -> None:
        seconds[name] = time.perf_counter() - started
        run.metrics(step=name, seconds=seconds[name])
        console.say(f" {number}/3 {name:<8} {what + ' ':.<40} {seconds[name]:5.1f} s{more}")

    started = time.perf_counter()
    warm_up(FastRP(**params), graph)
    seconds["compile"] = time.perf_counter() - started
    if seconds["compile"] > 1:
        console.say(f"     compiled the loops in {seconds['compile']:.1f} s (kept for the next run)")
    started = time.perf_counter()
    z = _embed(graph, params)
    step(1, "embed", f"FastRP, {params['dim']} dims", started)
    started = time.perf_counter()
    clusters = judge_clusters(z, y, k=None, seeds=[seed])
    step(2, "cluster", f"k-means on the vectors, {clusters['k']} clusters", started)
    console.say(" 3/3 judge")
    started = time.perf_counter()
    probe = judge_probe(z, y, "grace", {"shuffles": PROBE_SPLITS})["rows"][0]
    _line(
        console,
        f"classes, linear probe (10 % labelled, {PROBE_SPLITS} seeds)",
        f"accuracy {mean_std(probe['micro_f1'], probe['micro_f1_std'])} %",
    )
    louvain = _louvain(graph, y, seed)
    _line(console, "clusters against classes", _four(clusters))
    _line(console, f"  baseline: Louvain, {louvain['k']} groups", _four(louvain))
    links = _hidden_links(graph, params, seed)
    _line(console, "hidden links (10 % held out)", f"AUC {links['auc']:.4f}  AP {links['ap']:.4f}")
    _line(
        console,
        "  baseline: common neighbours",
        f"AUC {links['common_neighbours']['auc']:.4f}  AP {links['common_neighbours']['ap']:.4f}",
    )
    seconds["judge"] = time.perf_counter() - started
    run.metrics(step="judge", seconds=seconds["judge"])
    labels, mapped = clusters.pop("labels"), clusters.pop("mapped")
    scores = {"probe": probe, "clusters": clusters, "louvain": louvain, "links": links}
    return {"scores": scores, "seconds": seconds, "z": z, "labels": labels, "mapped": mapped}


def _line(console: Console, what: str, value: str) -> None:
    console.say(f"      {what:<52} {value}")


def _four(scores: dict[str, Any]) -> str:
    return f"ACC {scores['acc']:.4f}  NMI {scores['nmi']:.4f}  ARI {scores['ari']:.4f}  F1 {scores['macro_f1']:.4f}"


def _embed(graph: Any, params: dict[str, Any]) -> Array:
    from graphrep.methods.fastrp import FastRP

    return np.asarray(FastRP(**params).fit_transform(graph))


def _louvain(graph: Graph, y: Array, seed: int) -> dict[str, Any]:
    """Communities of the same graph by networkx, which sees no vectors and chooses their number itself."""
    import networkx as nx

    from graphrep.eval import cluster_scores

    net = nx.Graph()
    net.add_nodes_from(range(graph.num_nodes))
    weight = np.ones(graph.num_edges) if graph.edge_weight is None else np.asarray(graph.edge_weight, dtype=float)
    net.add_weighted_edges_from(zip(*np.asarray(graph.edge_index).tolist(), weight.tolist(), strict=True))
    groups = nx.community.louvain_communities(net, seed=seed)
    labels = np.empty(graph.num_nodes, dtype=np.int64)
    for number, group in enumerate(groups):
        labels[list(group)] = number
    result = cluster_scores(y, labels)
    return {"k": len(groups), **{name: getattr(result, name) for name in ("acc", "nmi", "ari", "macro_f1")}}


def _hidden_links(graph: Graph, params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Embeds the graph without a tenth of its links and asks which pairs are the missing ones."""
    edges = np.asarray(graph.edge_index)
    hidden, keep = hide_links(edges, graph.num_nodes, HELD_OUT, seed)
    negative = uniform_negatives(edges, graph.num_nodes, hidden.shape[1], seed)
    weight = None if graph.edge_weight is None else graph.edge_weight[keep]
    rest = graph.replace(edge_index=graph.edge_index[:, keep], edge_weight=weight, report=None)
    result = judge_links(_embed(rest, params), hidden, negative, score="cosine")
    from graphrep.eval import common_neighbor_count, link_scores

    baseline = link_scores(*(common_neighbor_count(rest, pairs) for pairs in (hidden, negative)))
    return {**result, "held_out": HELD_OUT, "common_neighbours": {"auc": baseline.auc, "ap": baseline.ap}}


def _write(run: RunFolder, graph: Graph, found: dict[str, Any], data: str) -> None:
    """embeddings.npz, clusters.csv and report.html."""
    from graphrep.cli.reporting import Shown, write_outputs
    from graphrep.data.embeddings import save_embeddings

    ids = id_array(graph.ids, graph.num_nodes).tolist()
    settings = {"method": "fastrp", "params": found["settings"], "graph": data, "graphrep": graphrep.__version__}
    save_embeddings(run.path / "embeddings.npz", found["z"], ids=graph.ids, settings=settings)
    rows = "".join(f"{node},{label}\n" for node, label in zip(ids, found["labels"].tolist(), strict=True))
    write_text(run.path / "clusters.csv", "id,cluster\n" + rows)
    shown = Shown(graph, found["z"], seed=found["settings"]["seed"])
    write_outputs(
        shown,
        title=f"{data}: embedded, clustered, judged",
        subtitle=f"graphrep {graphrep.__version__} demo. Labels were used to judge only.",
        facts={"Seconds": [(name, f"{value:.2f}") for name, value in found["seconds"].items()]},
        settings={"method": "FastRP", **found["settings"]},
        command=found["command"],
        tables=[_scores(found["scores"]), _confusion(np.asarray(graph.y), found["labels"], found["mapped"])],
        report=run.path / "report.html",
    )


def _scores(scores: dict[str, Any]) -> Table:
    from graphrep.cli.report import Table

    clusters, louvain, links, probe = (scores[name] for name in ("clusters", "louvain", "links", "probe"))
    accuracy = mean_std(probe["micro_f1"], probe["micro_f1_std"])
    cosine = "cosine of vectors computed without them"
    rows = [
        ["classes from 10 % labels", "linear probe, protocol grace", f"accuracy {accuracy} %"],
        ["clusters against classes", f"k-means on the vectors, {clusters['k']} clusters", _four(clusters)],
        ["", f"baseline: Louvain on the graph, {louvain['k']} groups", _four(louvain)],
        ["10 % hidden links", cosine, f"AUC {links['auc']:.4f}  AP {links['ap']:.4f}"],
        ["", "baseline: common neighbours", "AUC {auc:.4f}  AP {ap:.4f}".format(**links["common_neighbours"])],
    ]  # fmt: skip
    note = f"+- is the sample standard deviation over {PROBE_SPLITS} data splits of one embedding. "
    note += "Hidden links: as many uniform pairs without a link as negatives. "
    note += "F1 is macro, after matching clusters to classes."
    return Table(title="Scores", columns=["task", "how", "result"], rows=rows, note=note)


def _confusion(y: Array, labels: Array, mapped: Array) -> Table:
    """Classes against clusters, the columns in the order of the classes they match."""
    from graphrep.cli.report import Table

    classes = np.unique(y[y >= 0])
    known = y >= 0
    clusters = sorted(np.unique(labels).tolist(), key=lambda c: (_matched(mapped, labels, known, c), c))
    rows = [
        [f"class {name}", *(int(((y == name) & (labels == c)).sum()) for c in clusters)] for name in classes.tolist()
    ]
    note = "Nodes of each class in each cluster; clusters stand in the order of the classes they match best."
    return Table(title="Confusion", columns=["", *(f"cluster {c}" for c in clusters)], rows=rows, note=note, shade=True)


def _matched(mapped: Array, labels: Array, known: Array, cluster: int) -> float:
    values = mapped[labels[known] == cluster]
    return float(values[0]) if len(values) and values[0] >= 0 else float("inf")
