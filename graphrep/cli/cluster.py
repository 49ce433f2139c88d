"""`graphrep cluster`: groups of nodes, with baselines beside them, files and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import (
    Columns,
    ConfigFile,
    DataDir,
    Deterministic,
    Device,
    Directed,
    DryRun,
    Features,
    FillNan,
    GraphArgument,
    Json,
    NoWeight,
    Quiet,
    RecipeName,
    SaveConfig,
    Seed,
    Sep,
    Sets,
    Threads,
    Verbose,
)

__all__ = ["cluster"]

_METHODS = "scgc | pamc | leiden | louvain | kmeans | spectral | smooth | dmon | fastrp | all | auto; or a,b  [scgc]"


@guarded
def cluster(
    graph: GraphArgument = None,
    *,
    clusters: Annotated[
        str | None,
        typer.Option("--clusters", "-k", metavar="N|A:B", help="how many; or a range to choose from  [auto]"),
    ] = None,
    method: Annotated[str | None, typer.Option("--method", "-m", metavar="NAME", help=_METHODS)] = None,
    runs: Annotated[
        int | None, typer.Option("--runs", "--seeds", metavar="N", min=1, help="repeat with N seeds  [1]")
    ] = None,
    features: Features = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", metavar="y|FILE", help="judge by known labels: ACC, NMI, ARI, F1; nothing else uses them"
        ),
    ] = None,
    no_baselines: Annotated[bool, typer.Option("--no-baselines", help="only what -m names")] = False,
    time_budget: Annotated[
        float | None, typer.Option("--time-budget", metavar="SECONDS", min=0, help="for everything")
    ] = None,
    knn: Annotated[
        int | None, typer.Option("--knn", metavar="N", min=1, help="without edges: neighbours by the features  [10]")
    ] = None,
    size_report: Annotated[
        bool, typer.Option("--size-report", help="print sizes, conductance, most central nodes of the clusters")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="where to write  [NAME.clusters.csv]")
    ] = None,
    out_format: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="csv | tsv | parquet | h5ad  [by the ending of --out]"),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="folder of this run  [runs/cluster-NAME]")
    ] = None,
    projection: Annotated[
        str | None,
        typer.Option("--projection", metavar="NAME", help="of the picture: pca | tsne | umap  [tsne up to 5000 nodes]"),
    ] = None,
    recipe: RecipeName = None,
    config: ConfigFile = None,
    sets: Sets = None,
    save_config: SaveConfig = None,
    columns: Columns = None,
    no_weight: NoWeight = False,
    directed: Directed = False,
    sep: Sep = None,
    fill_nan: FillNan = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    deterministic: Deterministic = False,
    data_dir: DataDir = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="finish the interrupted run in this folder")
    ] = None,
    checkpoint: Annotated[
        float | None, typer.Option("--checkpoint", metavar="SECONDS", min=0, help="between two saved states  [30]")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Groups of the nodes of GRAPH. Writes a row per node: id, cluster, confidence, second choice, margin.

    Baselines that need no training are fitted and printed beside what -m names. Which run is kept is decided without
    labels. The folder of the run holds model, vectors, all numbers (result.json) and a page to look at (report.html).

    \b
    Examples
      graphrep cluster digits -k 10 --labels y
      graphrep cluster edges.csv                                  the number of clusters is chosen for you
      graphrep cluster edges.csv --features words.npz -k 20 -m all --runs 5 -o groups.csv
      graphrep cluster --features vectors.npy -k 8                no graph: nearest neighbours are linked
      graphrep cluster cells.h5ad -m leiden -o cells.clusters.h5ad
      graphrep cluster apply runs/cluster-digits/model new.npz    clusters of other nodes
    """  # noqa: D301
    from graphrep.cli.clustering.job import Options, cluster_run
    from graphrep.cli.settings import parse_columns, parse_sets

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    options: dict[str, dict[str, Any]] = {
        "run": {
            "command": "cluster",
            "graph": graph,
            "method": method,
            "out": str(out) if out else None,
            "format": out_format,
            "device": device,
            "threads": threads,
            "deterministic": deterministic or None,
            "data_dir": str(data_dir) if data_dir else None,
            "features": features,
        },
        "read": {
            **parse_columns(columns),
            **({"weight": False} if no_weight else {}),
            "directed": directed or None,
            "sep": sep,
            "fill_nan": fill_nan,
        },
        "params": {"seed": seed},
        "cluster": {
            "k": clusters,
            "runs": runs,
            "labels": labels,
            "baselines": False if no_baselines else None,
            "time_budget": time_budget,
            "knn": knn,
            "projection": projection,
        },
    }
    cluster_run(
        console,
        layers=(options, {"params": parse_sets(sets)}),
        recipe_name=recipe,
        config=config,
        resume=resume,
        options=Options(run_dir, save_config, size_report, 30.0 if checkpoint is None else checkpoint, dry_run),
    )
