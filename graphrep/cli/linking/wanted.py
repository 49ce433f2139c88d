"""What was asked for: settings of a run, the methods, the cut-offs, the nodes."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.linking.predictors import Predictor, kind_of, make_predictor, predictor_names
from graphrep.cli.nodes import find_node
from graphrep.cli.plan import plain
from graphrep.cli.settings import Settings, collect, parse_counts, read_config
from graphrep.cli.system import resolve_device
from graphrep.errors import EmptyGraphError, GraphrepError
from graphrep.recipes import parameters, recipe
from graphrep.registry import METHODS

__all__ = ["build", "chosen_nodes", "cuts", "gather", "methods_of", "params_of"]

Array = np.ndarray[Any, Any]
_SHARED = ("dim", "epochs", "time_budget", "device", "seed")  # settings that all methods take over


def gather(layers: Sequence[Mapping[str, Mapping[str, Any]]], recipe_name: str | None, config: Path | None) -> Settings:
    """Settings of a run: recipe, then config file, then the given layers.

    Several methods with commas between are the method of the run and those that stand beside it.

    Raises:
        UnknownNameError: an unknown recipe, key or method.
        GraphrepError: nothing to read, or a recipe for another method.
    """
    below: list[Mapping[str, Mapping[str, Any]]] = []
    published = recipe(recipe_name) if recipe_name else None
    if published:
        if METHODS[published.method].task != "linkpred":
            raise GraphrepError(
                f"Recipe {published.name} is for {published.method}, whose settings are not for links.",
                hint="graphrep list recipes: ncn/... and ncnc/...",
            )
        head = {"method": published.method, "graph": published.dataset, "recipe": published.name}
        below.append({"run": head, "params": published.params, "linkpred": {"shares": published.eval.get("shares")}})
    if config:
        below.append(read_config(config))
    settings = collect({"run": {"method": "ncn"}}, *below, *layers)
    run, asked = settings["run"], settings["linkpred"]
    first, *others = (name.strip() for name in str(run["method"]).split(","))
    run["method"] = first
    if others:
        asked["methods"] = others
    if not run.get("graph") and not asked.get("split"):
        raise GraphrepError("No graph was given.", hint="graphrep linkpred edges.csv; names: graphrep list datasets")
    if published and published.method != first:
        raise GraphrepError(
            f"Recipe {published.name} is for {published.method}, not for {first}.", hint="leave out --method"
        )
    for name in (first, *others):
        kind_of(name)
    return settings


def methods_of(settings: Settings) -> list[str]:
    """The methods of the run, that of the run itself first, then those beside it, then every heuristic."""
    asked, first = settings["linkpred"], str(settings["run"]["method"])
    others = [str(name) for name in asked.get("methods", ())]
    if asked.get("compare") and not others:
        # node2vec with p = q = 1, its default, is deepwalk, step by step
        others = [name for name in predictor_names() if kind_of(name) != "heuristic" and name != "node2vec"]
    heuristics = [name for name in predictor_names() if kind_of(name) == "heuristic"]
    return list(dict.fromkeys([first, *others, *heuristics]))


def params_of(settings: Settings, name: str, seed: int) -> dict[str, Any]:
    """The parameters of one method of the run: all that were given for its own, those that all share for others."""
    if kind_of(name) == "heuristic":
        return {}
    known, given = parameters(name), settings["params"]
    own = name == settings["run"]["method"]
    params = {key: value for key, value in given.items() if own or (key in _SHARED and key in known)}
    wanted = settings["run"].get("device")
    if "device" in known and (wanted or "device" not in params):
        params["device"] = resolve_device(wanted)
    return {**params, "seed": seed}


def build(settings: Settings, name: str, seed: int) -> Predictor:
    """The predictor; of the run's own method `settings` afterwards hold every parameter, defaults included.

    Raises:
        UnknownNameError: a parameter that the method does not have.
    """
    pair_score = str(settings["linkpred"].get("pair_score", "auto"))
    found = make_predictor(name, params_of(settings, name, seed), pair_score=pair_score)
    if name == settings["run"]["method"]:
        if found.kind == "heuristic":
            make_predictor(name, settings["params"])  # refuses parameters, which a heuristic has none of
            return found
        params: Mapping[str, Any] = found.model.get_params()  # type: ignore[attr-defined]
        kept = {key: plain(value) for key, value in params.items() if value is not None}
        settings["params"] = {**kept, "seed": settings["params"].get("seed", 0)}
    return found


def cuts(text: str | None) -> tuple[int, ...]:
    """The cut-offs K of Hits@K.

    Example:
        >>> cuts(None)
        (20, 50, 100)
    """
    return parse_counts(text or "20,50,100", "--at")


def chosen_nodes(spec: str | None, ids: Array) -> Array:
    """Numbers of the nodes that were named: all for None, else by a file of ids or ids with commas between.

    Raises:
        UnknownNameError: an unknown node; the message has the closest one.
        EmptyGraphError: no node is named.
    """
    if spec is None:
        return np.arange(len(ids))
    names = _names(Path(spec)) if Path(spec).is_file() else [part.strip() for part in spec.split(",") if part.strip()]
    if not names:
        raise EmptyGraphError(f"--nodes {spec} names no node.", hint="--nodes ann,bob or a file with an id per line")
    place = {str(name): row for row, name in enumerate(ids.tolist())}
    found = [place[name] if name in place else find_node(name, ids) for name in dict.fromkeys(names)]
    return np.array(found, dtype=np.int64)


def _names(path: Path) -> list[str]:
    """The first column of a file, without a header that says node or id."""
    with path.open(encoding="utf8", newline="") as stream:
        rows = [row[0].strip() for row in csv.reader(stream, delimiter="\t" if path.suffix == ".tsv" else ",") if row]
    return [row for row in (rows[1:] if rows and rows[0].lower() in ("node", "nodes", "id", "ids") else rows) if row]
