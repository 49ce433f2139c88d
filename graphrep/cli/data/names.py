"""`graphrep data list`: the same as `graphrep list datasets`."""

from __future__ import annotations

from typing import Annotated

import typer

from graphrep.cli.listing import list_names
from graphrep.cli.options import DataDir, Json, Verbose

__all__ = ["list_sets"]


def list_sets(
    *,
    task: Annotated[
        str | None, typer.Option("--task", metavar="NAME", help="embed | classify | cluster | linkpred | recommend")
    ] = None,
    needs: Annotated[
        str | None, typer.Option("--needs", metavar="NAME", help="features | labels | text | hetero: sets that have it")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """The named data sets; one that is marked * is here, counts marked ~ depend on installed versions."""
    list_names("datasets", task=task, needs=needs, data_dir=data_dir, as_json=as_json, verbose=verbose)
