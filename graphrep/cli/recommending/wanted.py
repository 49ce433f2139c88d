"""What was asked for: settings of a run, the recommender, the lengths of lists, the users."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.nodes import find_node
from graphrep.cli.plan import plain
from graphrep.cli.settings import Settings, collect, parse_counts, read_config
from graphrep.errors import EmptyGraphError, GraphrepError, UnknownNameError
from graphrep.recipes import check_params, parameters, recipe
from graphrep.registry import METHODS, Entry, suggest

__all__ = ["build", "chosen_users", "entry_of", "gather", "parse_at"]

Array = np.ndarray[Any, Any]


def entry_of(name: str) -> Entry:
    """The registered recommender of this name.

    Raises:
        UnknownNameError: none; the message has the closest name.
    """
    known = {n: entry for n, entry in METHODS.items() if entry.task == "recommend"}
    if name not in known:
        what = f"{name} is for {METHODS[name].task}." if name in METHODS else f'Unknown method "{name}".'
        raise UnknownNameError(f"{what}{suggest(name, known)}", hint="graphrep list methods --task recommend")
    return known[name]


def gather(layers: Sequence[Mapping[str, Mapping[str, Any]]], recipe_name: str | None, config: Path | None) -> Settings:
    """Settings of a run: recipe, then config file, then the given layers. Imports no method.

    Raises:
        UnknownNameError: an unknown recipe, key or method.
        GraphrepError: no data, or a recipe for another method.
    """
    below: list[Mapping[str, Mapping[str, Any]]] = []
    published = recipe(recipe_name) if recipe_name else None
    if published:
        if METHODS[published.method].task != "recommend":
            raise GraphrepError(
                f"Recipe {published.name} is for {published.method}, which does not recommend.",
                hint="graphrep list recipes --task recommend",
            )
        head = {"method": published.method, "graph": published.dataset, "recipe": published.name}
        rule = {"protocol": published.eval.get("protocol")}
        below.append({"run": head, "params": published.params, "recommend": rule})
    if config:
        below.append(read_config(config))
    settings = collect({"run": {"method": "lightgcl"}}, *below, *layers)
    run = settings["run"]
    if not run.get("graph"):
        raise GraphrepError("No data was given.", hint="graphrep recommend ratings.csv; names: graphrep list datasets")
    if published and published.method != run["method"]:
        raise GraphrepError(
            f"Recipe {published.name} is for {published.method}, not for {run['method']}.", hint="leave out --method"
        )
    entry_of(str(run["method"]))
    return settings


def build(settings: Settings) -> Any:
    """The estimator; afterwards `settings` holds every parameter, defaults included.

    Raises:
        UnknownNameError: a parameter that the method does not have.
    """
    method, params = str(settings["run"]["method"]), settings["params"]
    known = parameters(method)
    if settings["recommend"].get("implicit") and "binarize" in known:
        params.setdefault("binarize", False)
    check_params(method, params)
    model = entry_of(method).load()(**{name: tuple(v) if isinstance(v, list) else v for name, v in params.items()})
    settings["params"] = {name: plain(value) for name, value in model.get_params().items() if value is not None}
    return model


def parse_at(text: str | None) -> tuple[int, ...]:
    """Lengths of lists, ascending.

    Raises:
        GraphrepError: no whole numbers from 1 on.

    Example:
        >>> parse_at("40,20"), parse_at(None)
        ((20, 40), (20,))
    """
    return parse_counts(text or "20", "--at")


def chosen_users(spec: str | None, ids: Array) -> Array:
    """Rows of the users whose lists are wanted: all for None, else by a file of ids or ids with commas between.

    Raises:
        UnknownNameError: an unknown user; the message has the closest one.
        EmptyGraphError: no user is named.
    """
    if spec is None:
        return np.arange(len(ids))
    names = _names(Path(spec)) if Path(spec).is_file() else [part.strip() for part in spec.split(",") if part.strip()]
    if not names:
        raise EmptyGraphError(f"--users {spec} names no user.", hint="--users ann,bob or a file with an id per line")
    place = {str(name): row for row, name in enumerate(ids.tolist())}
    rows = []
    for name in dict.fromkeys(names):
        if name not in place:
            try:
                find_node(name, ids)
            except UnknownNameError as error:
                message = error.message.replace("No node", "No user", 1)
                raise UnknownNameError(message, hint="ids as they are in the data; --users FILE or id,id") from None
        rows.append(place[name])
    return np.array(rows, dtype=np.int64)


def _names(path: Path) -> list[str]:
    """The first column of a file, without a header that says user."""
    with path.open(encoding="utf8", newline="") as stream:
        rows = [row[0].strip() for row in csv.reader(stream, delimiter="\t" if path.suffix == ".tsv" else ",") if row]
    if rows and rows[0].lower() in ("user", "users", "user_id", "userid", "id"):
        rows = rows[1:]
    return [row for row in rows if row]
