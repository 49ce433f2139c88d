"""What `graphrep eval` does: reads vectors and labels, lines them up by id, judges, prints a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.console import Console, to_json
from graphrep.cli.judging import check_protocol, judge_clusters, judge_links, judge_probe, mean_std
from graphrep.cli.links import uniform_negatives
from graphrep.cli.nodes import align_labels, id_array, read_labels
from graphrep.cli.runs import command_line, write_text
from graphrep.cli.system import describe, use_threads, versions
from graphrep.errors import GraphrepError, MissingLabelsError, UnknownNameError
from graphrep.recipes import Recipe, recipe, recipe_names

__all__ = ["judge_file"]

Array = np.ndarray[Any, Any]


def judge_file(
    console: Console,
    path: Path,
    *,
    protocol: str | None,
    dataset: str | None,
    labels: Path | None,
    options: Mapping[str, Any],
    clusters: int | None,
    links: Path | None,
    score: str,
    recipe_name: str | None,
    out: Path | None,
    seed: int,
    threads: int | None,
    data_dir: Path | None,
) -> None:
    """Runs one protocol on the embeddings in `path` and prints what it found.

    Raises:
        UnknownNameError: no such protocol, recipe or data set.
        MissingLabelsError: the protocol needs labels and none were given.
    """
    from graphrep.data.embeddings import load_embeddings

    used = use_threads(threads)
    saved = load_embeddings(path)
    settings = saved.settings or {}
    source = _recipe(recipe_name or settings.get("recipe"), asked=recipe_name is not None)
    name = check_protocol(protocol or (source.eval.get("protocol") if source else None) or _no_protocol())
    if source and source.eval.get("protocol") != name:
        source = None  # its numbers are of another protocol
    chosen = {**(source.eval if source else {}), **options}
    ids = id_array(saved.ids, len(saved.vectors))
    z = np.asarray(saved.vectors)
    if name == "links":
        result = _links(z, ids, links, dataset, data_dir, score=score, seed=seed)
    else:
        y = _labels(ids, labels, dataset, data_dir)
        if name == "clusters":
            seeds = range(seed, seed + int(options.get("shuffles") or 10))
            result = judge_clusters(z, y, k=clusters, seeds=seeds)
            result = {key: value for key, value in result.items() if key not in ("labels", "mapped")}
        else:
            result = judge_probe(z, y, name, chosen, first_seed=seed)
    _print(console, path, result, source)
    payload = {
        "embeddings": str(path),
        **result,
        "recipe": source.name if source else None,
        "published": source.published if source else None,
        "settings": settings,
        "command": command_line(),
        "versions": versions(),
        **describe("cpu", used),
    }
    if out:
        write_text(out, to_json(payload, indent=2) + "\n")
        console.say(f"Wrote {out}")
    console.finish(payload, path=out)


def _no_protocol() -> str:
    raise UnknownNameError(
        "No protocol was named, and these embeddings come from no recipe that names one.",
        hint="--protocol grace|deepwalk|clusters|links",
    )


def _recipe(name: str | None, *, asked: bool) -> Recipe | None:
    """The recipe; one that an embedding remembers and this version lacks is no error."""
    return recipe(name) if name and (asked or name in recipe_names()) else None


def _labels(ids: Array, labels: Path | None, dataset: str | None, data_dir: Path | None) -> Any:
    """Labels in the order of the embedding's rows."""
    if labels is not None:
        return align_labels(ids, read_labels(labels), source=str(labels))[0]
    if dataset is None:
        raise MissingLabelsError("This protocol needs labels.", hint="--labels FILE.csv or --dataset NAME")
    from graphrep.cli.graphs import find_graph

    graph = find_graph(dataset, data_dir=data_dir)
    if graph.y is None:
        raise MissingLabelsError(f"{dataset} has no labels.", hint="--labels FILE.csv with id,label")
    y = np.asarray(graph.y)
    known = {str(node): row for row, node in enumerate(id_array(graph.ids, graph.num_nodes).tolist())}
    rows = np.array([known.get(str(node), -1) for node in ids.tolist()])
    if (rows < 0).all():
        raise MissingLabelsError(
            f"No node of the embedding is a node of {dataset}.", hint="--dataset must name the graph that was embedded"
        )
    if y.ndim == 2:
        return np.where((rows >= 0)[:, None], y[rows], 0)
    return np.where(rows >= 0, y[rows], -1)


def _links(
    z: Array, ids: Array, links: Path | None, dataset: str | None, data_dir: Path | None, *, score: str, seed: int
) -> dict[str, Any]:
    """Scores the links in a file against as many uniform pairs that are neither known nor held out."""
    from graphrep.cli.graphs import find_graph

    if links is None or dataset is None:
        raise GraphrepError(
            "Protocol links needs the held-out edges and the graph that was embedded.",
            hint="--links test.csv --dataset train.csv",
        )
    known, hidden = find_graph(dataset, data_dir=data_dir), find_graph(str(links), data_dir=data_dir)
    known_pairs, hidden_pairs = _rows(known, ids, dataset), _rows(hidden, ids, str(links))
    keys = [np.unique(p.min(0) * len(ids) + p.max(0)) for p in (known_pairs, hidden_pairs)]
    leaked = np.intersect1d(keys[0], keys[1])
    if len(leaked):
        raise GraphrepError(
            f"{len(leaked)} of {len(keys[1])} held-out links are also edges of {dataset}.",
            hint="embed a graph without them: in both directions",
        )
    positive = np.stack([keys[1] // len(ids), keys[1] % len(ids)])
    positive = positive[:, positive[0] != positive[1]]
    everything = np.concatenate([known_pairs, hidden_pairs], axis=1)
    negative = uniform_negatives(everything, len(ids), positive.shape[1], seed)
    return {**judge_links(z, positive, negative, score=score), "negatives": "uniform, 1 per link", "seed": seed}


def _rows(graph: Any, ids: Array, source: str) -> Array:
    """(2, E) end points of a graph's edges as rows of the embedding."""
    place = {str(node): row for row, node in enumerate(ids.tolist())}
    names = id_array(graph.ids, graph.num_nodes).tolist()
    rows = np.array([place.get(str(name), -1) for name in names])
    edges: Array = rows[np.asarray(graph.edge_index)]
    missing = edges[:, (edges < 0).any(0)]
    if missing.size:
        unknown = names[int(np.flatnonzero(rows < 0)[0])]
        raise UnknownNameError(
            f'{source} has node "{unknown}", which has no vector.', hint="hold out only edges between embedded nodes"
        )
    return edges


def _print(console: Console, path: Path, result: Mapping[str, Any], source: Recipe | None) -> None:
    console.say(f"{path.name}: {result['about']}")
    if "rows" in result:
        _print_probe(console, result["rows"], source.published if source else {})
        if source and source.published:
            console.say(f"published: {source.paper or source.name}")
    elif result["protocol"] == "clusters":
        for field, title in (("acc", "ACC"), ("nmi", "NMI"), ("ari", "ARI"), ("macro_f1", "F1 (macro, mapped)")):
            console.say(f"  {title:<20} {mean_std(result[field], result[f'{field}_std'], digits=4)}")
    else:
        console.say(f"  AUC {result['auc']:.4f}   AP {result['ap']:.4f}")
        console.say("  " + "   ".join(f"Hits@{rank} {value:.4f}" for rank, value in result["hits"].items()))


def _print_probe(console: Console, rows: Sequence[Mapping[str, Any]], published: Mapping[str, Any]) -> None:
    from graphrep.cli.judging import published_cell

    shown = [(row, published_cell(published, row["labelled"])) for row in rows]
    theirs = any(cell for _, cell in shown)
    head = f"  {'labelled':>8}   {'micro-F1 %':<16} {'macro-F1 %':<16}"
    console.say(head + (" published micro / macro" if theirs else ""))
    for row, cell in shown:
        share = "given" if row["labelled"] is None else f"{100 * row['labelled']:g} %"
        micro = mean_std(row["micro_f1"], row["micro_f1_std"])
        macro = mean_std(row["macro_f1"], row["macro_f1_std"])
        console.say(f"  {share:>8}   {micro:<16} {macro:<16} {cell}".rstrip())
