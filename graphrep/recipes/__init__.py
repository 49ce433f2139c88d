"""Published settings as TOML files, ``<method>/<dataset>.toml``: reading and checking them.

A recipe has the tables ``[recipe]`` (method, dataset, paper, note), ``[params]`` (of the method), ``[eval]``
(protocol and its numbers), ``[published]`` (the scores the authors report) and ``[measured]`` (scores of the authors'
program as it was run here; ``by`` says how).
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from graphrep.errors import FileFormatError, UnknownNameError
from graphrep.registry import METHODS, lookup, suggest

__all__ = ["Recipe", "check_params", "parameters", "recipe", "recipe_names"]

_HEAD = ("method", "dataset", "paper", "note")
_EVAL = (
    "protocol", "C", "c", "ratios", "shuffles", "seeds", "multilabel", "normalize", "solver", "lr", "weight_decay",
    "shares",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """One file of published settings.

    Attributes:
        name: ``"<method>/<dataset>"``.
        method: a name in :data:`graphrep.registry.METHODS`.
        dataset: the data set the settings were published for.
        paper: where the numbers come from.
        note: what a reader must know (how the settings were chosen, what differs).
        params: arguments of the method's constructor.
        eval: the protocol and its numbers.
        published: the authors' scores, as they print them.
        measured: scores of the authors' program, run by us.
    """

    name: str
    method: str
    dataset: str
    paper: str = ""
    note: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    eval: dict[str, Any] = field(default_factory=dict)
    published: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)


def recipe_names() -> list[str]:
    """Names of all recipes, ``"<method>/<dataset>"``, sorted.

    Example:
        >>> all("/" in name for name in recipe_names())
        True
    """
    folders = [folder for folder in files(__package__).iterdir() if folder.is_dir() and folder.name in METHODS]
    return sorted(
        f"{folder.name}/{file.name.removesuffix('.toml')}"
        for folder in folders
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    )


def recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        UnknownNameError: no such recipe, or it names an unknown method.
        FileFormatError: the file is not TOML, or has a table or a key that recipes do not have.
    """
    known = recipe_names()
    if name not in known:
        raise UnknownNameError(f'Unknown recipe "{name}".{suggest(name, known)}', hint="graphrep list recipes")
    method, _, dataset = name.partition("/")
    try:
        tables = tomllib.loads((files(__package__) / method / f"{dataset}.toml").read_text(encoding="utf8"))
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(f"Recipe {name} is not TOML: {error}.", hint="compare it with another recipe") from error
    _check_keys(name, "table", tables, ("recipe", "params", "eval", "published", "measured"))
    head = tables.get("recipe", {})
    _check_keys(name, "key of [recipe]", head, _HEAD)
    _check_keys(name, "key of [eval]", tables.get("eval", {}), _EVAL)
    lookup(str(head.get("method", method)), METHODS, kind="method")
    return Recipe(
        name=name,
        method=str(head.get("method", method)),
        dataset=str(head.get("dataset", dataset)),
        paper=str(head.get("paper", "")),
        note=str(head.get("note", "")),
        params=tables.get("params", {}),
        eval=tables.get("eval", {}),
        published=tables.get("published", {}),
        measured=tables.get("measured", {}),
    )


def _check_keys(name: str, kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    for key in given:
        if key not in known:
            raise FileFormatError(
                f'Recipe {name} has an unknown {kind}: "{key}".{suggest(key, known)}', hint=f"one of {', '.join(known)}"
            )


def parameters(method: str) -> dict[str, Any]:
    """Constructor parameters of `method` with their defaults (imports the method).

    Raises:
        UnknownNameError: no such method.
    """
    signature = inspect.signature(lookup(method, METHODS, kind="method").load())
    return {p.name: None if p.default is p.empty else p.default for p in signature.parameters.values()}


def check_params(method: str, params: Mapping[str, Any], *, where: str = "") -> None:
    """Checks that the constructor of `method` has all these parameters (imports the method).

    Raises:
        UnknownNameError: a parameter it does not have; the message has the closest one.
    """
    known = parameters(method)
    for name in params:
        if name not in known:
            source = f" ({where})" if where else ""
            raise UnknownNameError(
                f'{method} has no parameter "{name}"{source}.{suggest(name, known)}', hint=f"one of {', '.join(known)}"
            )
