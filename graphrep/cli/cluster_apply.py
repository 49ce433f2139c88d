"""`graphrep cluster apply`: the clusters of a saved model for the nodes of another graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import (
    Columns,
    DataDir,
    Directed,
    Features,
    FillNan,
    Json,
    NoWeight,
    Quiet,
    Sep,
    Threads,
    Verbose,
)

__all__ = ["apply"]


@guarded
def apply(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="folder of a run of graphrep cluster, or of its model")
    ],
    graph: Annotated[
        str | None, typer.Argument(metavar="GRAPH", help="as for graphrep cluster", show_default=False)
    ] = None,
    *,
    features: Features = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="where to write  [NAME.clusters.csv]")
    ] = None,
    out_format: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="csv | tsv | parquet | h5ad  [by the ending of --out]"),
    ] = None,
    columns: Columns = None,
    no_weight: NoWeight = False,
    directed: Directed = False,
    sep: Sep = None,
    fill_nan: FillNan = None,
    threads: Threads = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """The clusters of MODEL for the nodes of GRAPH, in the same numbering; nothing is trained.

    Louvain, Leiden and spectral clustering have no rule for other nodes and say so.

    \b
    Example
      graphrep cluster old.npz -k 7 && graphrep cluster apply runs/cluster-old new.npz
    """  # noqa: D301
    from graphrep.cli.clustering.apply import apply_clusters
    from graphrep.cli.settings import parse_columns

    read = {
        **parse_columns(columns),
        **({"weight": False} if no_weight else {}),
        "directed": directed or None,
        "sep": sep,
        "fill_nan": fill_nan,
    }
    run = {
        "graph": graph,
        "features": features,
        "out": str(out) if out else None,
        "format": out_format,
        "threads": threads,
        "data_dir": str(data_dir) if data_dir else None,
    }
    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    apply_clusters(console, model, run, {key: value for key, value in read.items() if value is not None})
