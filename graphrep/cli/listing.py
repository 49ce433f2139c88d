"""`graphrep list`: names of methods, data sets, objectives, encoders and recipes, with what each is for."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import DataDir, Json, Verbose
from graphrep.data.check import grouped
from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.registry import METHODS, suggest

__all__ = ["list_names"]

KINDS = ("methods", "datasets", "objectives", "encoders", "recipes")
NEEDS = ("features", "labels", "text", "hetero")
_ROLE = re.compile(r":\w+:`(?:~[\w.]*?(\w+)|([\w.]+))`")
_TWIN = re.compile(r":func:`(\w+)` as a module\.")


@guarded
def list_names(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=" | ".join(KINDS))],
    *,
    task: Annotated[
        str | None, typer.Option("--task", metavar="NAME", help="embed | classify | cluster | linkpred | recommend")
    ] = None,
    needs: Annotated[
        str | None,
        typer.Option(
            "--needs", metavar="NAME", help="features | labels | text | hetero: methods that need it, sets that have it"
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Names of methods, data sets, objectives, encoders or recipes.

    Objectives are in graphrep.objectives, each a function (and a module of the same loss); encoders in graphrep.nn.
    A data set that is marked * has its file here (or needs none); counts marked ~ depend on installed versions.
    """
    console = Console(as_json=as_json, verbose=verbose)
    if kind not in KINDS:
        raise UnknownNameError(f'There is no list of "{kind}".{suggest(kind, KINDS)}', hint="|".join(KINDS))
    if needs is not None and needs not in NEEDS:
        raise UnknownNameError(f'--needs "{needs}" is none of {", ".join(NEEDS)}.', hint=f"--needs {NEEDS[0]}")
    if kind in ("objectives", "encoders") and (task is not None or needs is not None):
        raise GraphrepError(
            f"{kind.capitalize()} have no {'task' if task is not None else 'needs'} to choose by.",
            hint=f"graphrep list {kind}",
        )
    if kind == "methods":
        rows = _methods(task, needs)
        _table(console, rows, ("name", "task", "needs", "summary"))
    elif kind == "datasets":
        rows = _datasets(task, needs, data_dir)
        _table(console, rows, ("here", "name", "nodes", "edges", "features", "classes", "kind", "task"))
    elif kind == "objectives":
        rows = _objectives()
        _table(console, rows, ("name", "module", "summary"))
    elif kind == "encoders":
        rows = _encoders()
        _table(console, rows, ("name", "summary"))
    else:
        rows = _recipes(task)
        _table(console, rows, ("name", "method", "dataset", "paper"))
    if not rows:
        console.note("Nothing in this list fits.")
    console.finish({kind: rows})


def _methods(task: str | None, needs: str | None) -> list[dict[str, Any]]:
    return [
        {"name": name, "task": entry.task, "needs": ", ".join(entry.needs) or "-", "summary": entry.summary}
        for name, entry in METHODS.items()
        if task in (None, entry.task) and (needs is None or needs in entry.needs)
    ]


def _datasets(task: str | None, needs: str | None, data_dir: Path | None) -> list[dict[str, Any]]:
    from graphrep.data.cards import list_datasets, resolve
    from graphrep.data.datasets import data_roots

    roots = data_roots(data_dir)
    rows = []
    for card in list_datasets(task=task):
        has = {"features": card.features > 0, "labels": card.classes > 0, "text": card.text}
        has["hetero"] = card.kind == "hetero"
        if needs is not None and not has[needs]:
            continue
        here = not card.file or any((root / card.file).is_file() for root in roots)
        rows.append(
            {
                "here": "*" if here else "",
                "name": card.name if resolve(card.name) == card.full_name else card.full_name,
                "nodes": card.nodes,
                "edges": card.edges,
                "features": card.features,
                "classes": card.classes,
                "kind": card.kind,
                "task": card.task,
                "description": card.description,
                "approximate": card.approximate,
            }
        )
    return rows


def _recipes(task: str | None) -> list[dict[str, Any]]:
    from graphrep.recipes import recipe, recipe_names

    found = [recipe(name) for name in recipe_names()]
    return [
        {"name": r.name, "method": r.method, "dataset": r.dataset, "paper": r.paper, "note": r.note}
        for r in found
        if task in (None, METHODS[r.method].task)
    ]


def _objectives() -> list[dict[str, Any]]:
    """A row per public name; a module that says which function it wraps shares that function's row."""
    import graphrep.objectives as package

    lines = dict(_first_lines(package))
    twins = {found[1]: name for name, line in lines.items() if (found := _TWIN.fullmatch(line))}
    return [
        {"name": name, "module": twins.get(name, "-"), "summary": _plain(line)}
        for name, line in lines.items()
        if name not in twins.values()
    ]


def _encoders() -> list[dict[str, Any]]:
    """A row per public layer."""
    from torch import nn

    import graphrep.nn as package

    rows = dict(_first_lines(package)).items()
    kinds = {name: getattr(package, name) for name in package.__all__}
    return [
        {"name": name, "summary": _plain(line)}
        for name, line in rows
        if inspect.isclass(kinds[name]) and issubclass(kinds[name], nn.Module)
    ]


def _first_lines(package: Any) -> Iterator[tuple[str, str]]:
    """Each public name of a package with the first line of its docstring."""
    for name in package.__all__:
        yield name, (inspect.getdoc(getattr(package, name)) or "").partition("\n")[0]


def _plain(line: str) -> str:
    """A line of a docstring without its markup."""
    return _ROLE.sub(lambda found: found[1] or found[2], line).replace("`", "").rstrip(".")


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if not isinstance(value, int):
        return str(value)
    return ("~" if row.get("approximate") else "") + grouped(value)


def _table(console: Console, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Prints rows as columns; numbers to the right, the last column as it is."""
    cells = [[_cell(row, c) for c in columns] for row in rows]
    widths = [max(map(len, [c, *(line[i] for line in cells)])) for i, c in enumerate(columns)]
    right = [bool(rows) and isinstance(rows[0][c], int) for c in columns]
    for line in [list(columns), *cells] if rows else []:
        parts = [t.rjust(w) if r else t.ljust(w) for t, w, r in zip(line, widths, right, strict=True)]
        console.say("  ".join(parts).rstrip())
