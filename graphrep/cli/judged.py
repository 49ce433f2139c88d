"""What `graphrep eval` does: reads what is judged, lines it up with labels and edges by id, judges, prints a table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.aligned import checksum, edges_of_rows, labels_of_rows, split_of_rows, typed_splits_of_rows
from graphrep.cli.console import Console, to_json
from graphrep.cli.judging import (
    PROBES,
    PROTOCOLS,
    check_protocol,
    judge_clusters,
    judge_links,
    judge_probe,
    judge_probe_splits,
)
from graphrep.cli.judging_model import compactness_result, judge_model, model_graph, require_two_views
from graphrep.cli.judging_saved import judge_assignments, judge_reconstruction, judge_scores, judge_spectrum
from graphrep.cli.links import uniform_negatives
from graphrep.cli.model_files import ModelFiles
from graphrep.cli.nodes import id_array
from graphrep.cli.runs import command_line, write_text
from graphrep.cli.system import describe, peak_memory, use_threads, versions
from graphrep.cli.tables import file_kind, link_columns, saved_clusters
from graphrep.cli.typed import TypedRows, find_typed, is_typed, needs_types
from graphrep.cli.verdict import print_result
from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.recipes import Recipe, recipe, recipe_names

__all__ = ["Request", "judge_file"]

Array = np.ndarray[Any, Any]
_GIVEN_SPLIT = ("gca", "dmgi", "planetoid")  # defined on a split that comes with the data
_ON_EDGES = ("links", "reconstruction")
_OF_KIND = {"clusters": "clusters", "scores": "links", "model": "compactness"}  # what is judged without embeddings


@dataclass(frozen=True)
class Request:
    """What the user asked for; `options` are the protocol's own."""

    protocol: str | None = None
    dataset: str | None = None
    labels: Path | None = None
    split: str | None = None
    links: Path | None = None
    allow_leak: bool = False
    recipe: str | None = None
    out: Path | None = None
    seed: int = 0
    threads: int | None = None
    data_dir: Path | None = None
    features: str | None = None
    files: ModelFiles = field(default_factory=ModelFiles)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Subject:
    """What is judged: the rows' ids and vectors, or clusters, or scores of links, or a trained model."""

    ids: Array
    vectors: Array | None = None
    clusters: Array | None = None
    scores: tuple[Array, Array] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: Any = None


def judge_file(console: Console, path: Path, request: Request) -> None:
    """Runs one protocol on the file and prints what it found.

    Raises:
        UnknownNameError: no such protocol, recipe or data set.
        MissingLabelsError: the protocol needs labels and none were given.
        LeakySplitError: held-out links are edges of the graph that was embedded.
        GraphrepError: the file does not hold what the protocol judges.
    """
    started = time.perf_counter()
    used = use_threads(request.threads)
    subject, kind = _read(path)
    source = _recipe(request.recipe or subject.settings.get("recipe"), asked=request.recipe is not None)
    name = _protocol(path, kind, request.protocol, source)
    if source and source.eval.get("protocol") != name:
        source = None  # its numbers are of another protocol
    if subject.model is None:
        _refuse_model_options(request)
        graph = _graph(request, subject.settings)
        result = _judge(subject, name, request, graph, source)
    else:
        request, graph, result = _judge_model(path, subject.model, request)
    print_result(console, path, result, source)
    for file in result.get("files", {}).values():
        console.say(f"Wrote {file}")
    payload = {
        "file": str(path),
        **({"embeddings": str(path)} if kind == "embeddings" else {}),
        **result,
        "recipe": source.name if source else None,
        "published": source.published if source else None,
        "settings": dict(subject.settings),
        "inputs": _inputs(path, request, graph),
        "command": command_line(),
        "versions": versions(),
        "seconds": round(time.perf_counter() - started, 3),
        "peak_memory": peak_memory(),
        "dtype": None if subject.vectors is None else str(subject.vectors.dtype),
        **describe("cpu", used),
    }
    if request.out:
        write_text(request.out, to_json(payload, indent=2) + "\n")
        console.say(f"Wrote {request.out}")
    console.finish(payload, path=request.out)


def _read(path: Path) -> tuple[_Subject, str]:
    """The file's content and its kind."""
    kind = file_kind(path)
    if kind == "clusters":
        ids, clusters = saved_clusters(path)
        return _Subject(ids, clusters=clusters), kind
    if kind == "scores":
        return _Subject(np.zeros(0, dtype=np.int64), scores=link_columns(path)), kind
    if kind == "model":
        from graphrep.methods import load_model

        return _Subject(np.zeros(0, dtype=np.int64), model=load_model(path)), kind
    from graphrep.data.embeddings import load_embeddings

    saved = load_embeddings(path)
    ids = id_array(saved.ids, len(saved.vectors))
    return _Subject(ids, vectors=np.asarray(saved.vectors), settings=saved.settings or {}), kind


def _protocol(path: Path, kind: str, asked: str | None, source: Recipe | None) -> str:
    if kind in _OF_KIND:
        only = _OF_KIND[kind]
        if asked is not None and check_protocol(asked) != only:
            what, hint = f"holds {kind}", f"--protocol {only}"
            if kind == "model":
                what, hint = "is the folder of a model", f"{path / 'embeddings.npz'}, or {hint}"
            judged = "trained models" if asked == _OF_KIND["model"] else "embeddings"
            raise GraphrepError(f"{path} {what}, and protocol {asked} judges {judged}.", hint=hint)
        return only
    name = check_protocol(asked or (source.eval.get("protocol") if source else None) or _no_protocol())
    if name == _OF_KIND["model"]:
        raise GraphrepError(
            f"Protocol {name} judges a trained model, and {path} holds embeddings.", hint="the folder of its run"
        )
    return name


def _no_protocol() -> str:
    raise UnknownNameError(
        "No protocol was named, and these embeddings come from no recipe that names one.",
        hint=f"--protocol {'|'.join(PROTOCOLS)}",
    )


def _recipe(name: str | None, *, asked: bool) -> Recipe | None:
    """The recipe; one that an embedding remembers and this version lacks is no error."""
    return recipe(name) if name and (asked or name in recipe_names()) else None


def _graph(request: Request, settings: Mapping[str, Any]) -> Any:
    """The graph; of one with several kinds of nodes, the rows of the type that was embedded."""
    if request.dataset is None:
        return None
    typed = needs_types(str(settings.get("method")))
    if typed or is_typed(request.dataset):
        target = settings.get("params", {}).get("target") if typed else None
        return TypedRows.of(find_typed(request.dataset, data_dir=request.data_dir), target)
    from graphrep.cli.graphs import find_graph

    return find_graph(request.dataset, data_dir=request.data_dir)


def _judge(subject: _Subject, name: str, request: Request, graph: Any, source: Recipe | None) -> dict[str, Any]:
    options, ids, dataset = request.options, subject.ids, request.dataset
    if subject.scores is not None:
        return judge_scores(*subject.scores)
    if subject.clusters is not None:
        labelled = request.labels is not None or (graph is not None and graph.y is not None)
        y = labels_of_rows(ids, request.labels, graph, dataset) if labelled else None
        edges = None if graph is None or isinstance(graph, TypedRows) else edges_of_rows(graph, ids, str(dataset))
        return judge_assignments(subject.clusters, y, edges)
    z = subject.vectors
    assert z is not None
    if isinstance(graph, TypedRows) and name in _ON_EDGES:
        raise GraphrepError(
            f"Protocol {name} needs edges between the embedded nodes, and {dataset} has them between types.",
            hint="--protocol dmgi or clusters",
        )
    if name == "links":
        return _links(z, ids, request, graph)
    if name == "spectrum":
        edges = None if graph is None or isinstance(graph, TypedRows) else edges_of_rows(graph, ids, str(dataset))
        return judge_spectrum(z, edges, seed=request.seed)
    if name == "reconstruction":
        if graph is None:
            raise GraphrepError("Protocol reconstruction needs the graph that was embedded.", hint="--dataset GRAPH")
        return judge_reconstruction(
            z,
            edges_of_rows(graph, ids, str(dataset)),
            similarity=options.get("score") or "dot",
            hops=options.get("hops") or (1, 2, 3),
            pair_ks=options.get("pair_ks") or (),
            node_ks=options.get("node_ks") or (),
            sources=options.get("sources"),
            seed=request.seed,
        )
    y = labels_of_rows(ids, request.labels, graph, dataset)
    if name == "clusters":
        seeds = range(request.seed, request.seed + int(options.get("shuffles") or 10))
        result = judge_clusters(z, y, k=options.get("clusters"), seeds=seeds)
        return {key: value for key, value in result.items() if key not in ("labels", "mapped")}
    assert name in PROBES
    chosen = {**(source.eval if source else {}), **options}
    if isinstance(graph, TypedRows) and name in _GIVEN_SPLIT and not _is_split_file(request.split):
        splits = typed_splits_of_rows(ids, graph, str(dataset), only=request.split)
        return judge_probe_splits(z, y, name, chosen, splits, first_seed=request.seed)
    return judge_probe(z, y, name, chosen, first_seed=request.seed, split=_split(name, ids, request, graph))


def _refuse_model_options(request: Request) -> None:
    given = {
        "--drop-rate": "drop_rate" in request.options,
        "--features": request.features is not None,
        "--per-node": request.files.per_node is not None,
        "--report": request.files.report,
        "--picture": request.files.picture is not None,
    }
    for option, is_there in given.items():
        if is_there:
            raise GraphrepError(
                f"{option} belongs to protocol compactness, which judges a trained model.", hint="the folder of its run"
            )


def _judge_model(folder: Path, model: Any, request: Request) -> tuple[Request, Any, dict[str, Any]]:
    """The request with the name of its graph, the graph, and what was found; files are written."""
    request.files.check()
    require_two_views(folder, model)
    graph, name = model_graph(
        folder, model, dataset=request.dataset, features=request.features, data_dir=request.data_dir
    )
    report = judge_model(folder, model, graph, drop_rate=request.options.get("drop_rate"))
    result = compactness_result(report, type(model).__name__, name)
    files = request.files.write(folder, model, graph, name, report, result)
    return replace(request, dataset=name), graph, {**result, "files": files}


def _split(name: str, ids: Array, request: Request, graph: Any) -> Any:
    """The rows of a split: of `--split FILE`; else the data set's own, for the protocols that are defined on one."""
    if request.split == "random":
        return None
    if request.split is not None:
        return split_of_rows(ids, Path(request.split), graph, request.dataset)
    if name not in _GIVEN_SPLIT:
        return None
    return split_of_rows(ids, None, graph, request.dataset)


def _is_split_file(split: str | None) -> bool:
    return split is not None and (split == "random" or Path(split).suffix != "")


def _links(z: Array, ids: Array, request: Request, known: Any) -> dict[str, Any]:
    """Scores the links in a file against as many uniform pairs that are neither known nor held out."""
    from graphrep.cli.graphs import find_graph
    from graphrep.data.split import check_leak, same_pairs

    if request.links is None or known is None:
        raise GraphrepError(
            "Protocol links needs the held-out edges and the graph that was embedded.",
            hint="--links test.csv --dataset train.csv",
        )
    hidden = find_graph(str(request.links), data_dir=request.data_dir)
    known_pairs = edges_of_rows(known, ids, str(request.dataset))
    hidden_pairs = edges_of_rows(hidden, ids, str(request.links))
    keys = np.unique(hidden_pairs.min(0) * len(ids) + hidden_pairs.max(0))
    positive = np.stack([keys // len(ids), keys % len(ids)])
    positive = positive[:, positive[0] != positive[1]]
    if not request.allow_leak:
        check_leak(known_pairs, positive, name="held-out")
    leaked = same_pairs(known_pairs, positive)
    everything = np.concatenate([known_pairs, hidden_pairs], axis=1)
    negative = uniform_negatives(everything, len(ids), positive.shape[1], request.seed)
    found = judge_links(z, positive, negative, score=request.options.get("score") or "cosine")
    if leaked:
        found["about"] += f"; {leaked} of the links are edges of {request.dataset}, which the vectors have seen"
    return {**found, "negatives": "uniform, 1 per link", "leaked": leaked, "seed": request.seed}


def _inputs(path: Path, request: Request, graph: Any) -> dict[str, dict[str, str]]:
    """Checksums of everything that was read."""
    found = {"judged": checksum(path / "model.safetensors" if path.is_dir() else path)}
    if request.dataset is not None:
        found["dataset"] = checksum(request.dataset, graph)
    features = request.features if request.features and Path(request.features).is_file() else None
    files = {"labels": request.labels, "links": request.links, "split": request.split, "features": features}
    for name, file in files.items():
        if file is not None and file != "random":
            found[name] = checksum(file)
    return found
