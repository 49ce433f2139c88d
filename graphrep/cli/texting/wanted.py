"""What was asked for: settings of a run, the graph with its texts, the estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphrep.cli.graphs import announce, find_graph
from graphrep.cli.plan import plain, whole_numbers
from graphrep.cli.settings import Settings, collect, read_config
from graphrep.cli.system import resolve_device
from graphrep.cli.texting.models import find_lm
from graphrep.cli.texting.texts import announce_texts, with_texts
from graphrep.cli.typed import announce_typed, find_typed, is_typed
from graphrep.data import Graph, HeteroGraph
from graphrep.errors import GraphrepError
from graphrep.recipes import check_params, parameters, recipe
from graphrep.registry import METHODS

__all__ = ["build", "find_texted", "gather", "parse_stages"]

METHOD = "lmgnn"


def parse_stages(text: str) -> list[str]:
    """Stages with commas between.

    Example:
        >>> parse_stages("lm, gnn,joint")
        ['lm', 'gnn', 'joint']
    """
    return [part.strip() for part in text.split(",") if part.strip()]


def gather(layers: Sequence[Mapping[str, Mapping[str, Any]]], recipe_name: str | None, config: Path | None) -> Settings:
    """Settings of a run: recipe, then config file, then the given layers.

    Raises:
        UnknownNameError: an unknown recipe, key or method.
        GraphrepError: no graph, or a recipe for another method.
    """
    below: list[Mapping[str, Mapping[str, Any]]] = []
    published = recipe(recipe_name) if recipe_name else None
    if published:
        if published.method != METHOD:
            raise GraphrepError(f"Recipe {published.name} is for {published.method}.", hint="graphrep list recipes")
        head = {"method": METHOD, "graph": published.dataset, "recipe": published.name}
        below.append({"run": head, "params": published.params, "lmgnn": {"shares": published.eval.get("shares")}})
    if config:
        below.append(read_config(config))
    settings = collect({"run": {"method": METHOD}}, *below, *layers)
    run, params = settings["run"], settings["params"]
    if not run.get("graph"):
        raise GraphrepError(
            "No graph was given.", hint="graphrep train lmgnn edges.csv --text nodes.csv:abstract --lm minilm"
        )
    if isinstance(params.get("stages"), str):
        params["stages"] = parse_stages(params["stages"])
    return settings


def build(settings: Settings) -> Any:
    """The estimator; afterwards `settings` hold every parameter, defaults included.

    Raises:
        UnknownNameError: a parameter that the method does not have.
        MissingExtraError, FileFormatError: no such language model.
    """
    params = settings["params"]
    check_params(METHOD, params)
    known = parameters(METHOD)
    wanted = settings["run"].get("device")
    params["device"] = resolve_device(wanted) if wanted else params.get("device", resolve_device("auto"))
    given = {name: whole_numbers(value, known[name]) for name, value in params.items()}
    found = find_lm(params.get("lm"))
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    model = METHODS[METHOD].load()(**{**given, "lm": None if found is None else str(found)})
    kept = {name: plain(value) for name, value in model.get_params().items() if value is not None and name != "lm"}
    settings["params"] = {**kept, **({"lm": params["lm"]} if params.get("lm") else {})}
    return model


def find_texted(settings: Settings) -> tuple[Graph | HeteroGraph, list[str], list[str]]:
    """The graph with its texts, lines on what was understood, and sentences on what a user must know.

    Raises:
        UnknownNameError, FileFormatError: neither a file nor a data set.
        MissingFeaturesError: no texts.
    """
    run = settings["run"]
    name = str(run["graph"])
    where: dict[str, Any] = {"data_dir": run.get("data_dir"), "read": settings["read"]}
    graph: Graph | HeteroGraph
    if is_typed(name):
        if run.get("features"):
            raise GraphrepError("--features does not apply to typed graphs.", hint="features in graph.toml")
        graph = find_typed(name, **where)
        lines = announce_typed(graph, name)
    else:
        graph = find_graph(name, **where)
        lines = announce(graph, name)
    graph, notes = with_texts(graph, run.get("text"), name)
    if run.get("features") and isinstance(graph, Graph):
        from graphrep.cli.features import with_features

        graph = with_features(graph, str(run["features"]), seed=int(settings["params"].get("seed", 0)))
    return _plain(graph), [*lines, *announce_texts(graph)], notes


def _plain(graph: Graph | HeteroGraph) -> Graph | HeteroGraph:
    """A folder with one table of nodes and one of edges between them is a graph with one kind of node."""
    if not isinstance(graph, HeteroGraph) or len(graph.num_nodes) > 1 or len(graph.edge_index) > 1:
        return graph
    (kind,), (edges,) = graph.num_nodes, graph.edge_index.values()
    splits = {f"{name}_idx": part for name, part in graph.splits.items() if name in ("train", "val", "test")}
    return Graph(
        edges, x=graph.x.get(kind), y=graph.y, num_nodes=graph.num_nodes[kind], ids=graph.ids.get(kind),
        text=graph.text.get(kind), name=graph.name, **splits,
    )  # fmt: skip
