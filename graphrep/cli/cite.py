"""`graphrep cite`: BibTeX of methods and data sets."""

from __future__ import annotations

from typing import Annotated

import typer

import graphrep
from graphrep.cli.console import Console, guarded
from graphrep.cli.options import Json, Verbose
from graphrep.errors import UnknownNameError
from graphrep.registry import METHODS, suggest

__all__ = ["cite"]

_GRAPHREP = f"""@software{{graphrep,
  title   = {{graphrep: graph representation learning from sparse kernels}},
  author  = {{{{The graphrep developers}}}},
  version = {{{graphrep.__version__}}}
}}"""


@guarded
def cite(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="methods and data sets", show_default=False)
    ] = None,
    *,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """BibTeX of the methods and data sets you used; without a name, of graphrep itself."""
    console = Console(as_json=as_json, verbose=verbose)
    found = {name: _entry(name) for name in names or ["graphrep"]}
    console.say("\n\n".join(found.values()))
    console.finish(found)


def _entry(name: str) -> str:
    if name == "graphrep":
        return _GRAPHREP
    if name in METHODS:
        return METHODS[name].bibtex
    from graphrep.data.cards import card, list_datasets

    try:
        found = card(name)
    except UnknownNameError:
        everything = [*METHODS, *(known.name for known in list_datasets()), "graphrep"]
        raise UnknownNameError(
            f'Nothing to cite under the name "{name}".{suggest(name, everything)}',
            hint="graphrep list methods, or graphrep list datasets",
        ) from None
    return found.citation or f"% {found.full_name}: no citation is known; made from {found.source}"
