"""`graphrep embed`: a vector for each node of a graph, written to a file that is absent or complete."""

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
    Format,
    GraphArgument,
    Json,
    Method,
    NoWeight,
    Out,
    Precision,
    Quiet,
    RecipeName,
    SaveConfig,
    Seed,
    Sep,
    Sets,
    Threads,
    Verbose,
)

__all__ = ["embed"]


@guarded
def embed(
    graph: GraphArgument = None,
    *,
    dim: Annotated[int | None, typer.Option("--dim", "-d", metavar="N", help="numbers per node  [256]")] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="W,W,...", help="of the powers 1, 2, ...  [0,1,1]")
    ] = None,
    method: Method = None,
    out: Out = None,
    out_format: Format = None,
    recipe: RecipeName = None,
    config: ConfigFile = None,
    sets: Sets = None,
    save_config: SaveConfig = None,
    features: Features = None,
    columns: Columns = None,
    no_weight: NoWeight = False,
    directed: Directed = False,
    sep: Sep = None,
    fill_nan: FillNan = None,
    seed: Seed = None,
    precision: Precision = None,
    device: Device = None,
    threads: Threads = None,
    deterministic: Deterministic = False,
    data_dir: DataDir = None,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="folder of this run  [runs/embed-NAME]")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="finish the interrupted run in this folder")
    ] = None,
    checkpoint: Annotated[
        float | None,
        typer.Option("--checkpoint", metavar="SECONDS", min=0, help="runs longer than this save each power  [10]"),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="DIR", help="apply the trained model in this folder"),
    ] = None,
    cold: Annotated[
        str | None,
        typer.Option("--cold", metavar="FILE[:COLUMN]", help="with --model of lmgnn: new texts, which have no links"),
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="write report.html into the run's folder")] = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="draw the embedding (png, pdf; graphrep[viz])")
    ] = None,
    projection: Annotated[
        str, typer.Option("--projection", metavar="NAME", help="of the picture: pca | umap (graphrep[viz])")
    ] = "pca",
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """A vector for each node of GRAPH. Writes ids and vectors in one file.

    \b
    Examples
      graphrep embed edges.csv
      graphrep embed edges.csv.gz --dim 128 --weights 0,0,1,6.5 -o vectors.parquet
      graphrep embed blogcatalog --recipe fastrp/blogcatalog
      graphrep embed library --method meow --set metapaths=PAP,PVP
      graphrep embed new.npz --model runs/train-grace-old
      graphrep embed --cold texts.csv --model runs/train-lmgnn-papers
      graphrep embed --resume runs/embed-edges

    Later beats earlier: recipe, config file, options, --set.
    """  # noqa: D301
    from graphrep.cli.embedding import Outputs, embed_run
    from graphrep.cli.settings import parse_columns, parse_numbers, parse_sets

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    options: dict[str, dict[str, Any]] = {
        "run": {
            "command": "embed",
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
        "params": {
            "dim": dim,
            "weights": parse_numbers(weights, "--weights") if weights else None,
            "seed": seed,
            "dtype": precision,
        },
    }
    if cold is not None:
        from graphrep.cli.texting.apply import embed_cold

        if graph is not None:
            from graphrep.errors import GraphrepError

            raise GraphrepError("--cold embeds texts that are in no graph.", hint="leave out GRAPH")
        embed_cold(console, cold, model, out=out, out_format=out_format, threads=threads)
        return
    if model is not None:
        from graphrep.cli.applying import apply_model

        given = [name for name, value in (("--method", method), ("--recipe", recipe), ("--set", sets)) if value]
        apply_model(console, model, options["run"], options["read"], given=given)
        return
    embed_run(
        console,
        layers=(options, {"params": parse_sets(sets)}),
        recipe_name=recipe,
        config=config,
        resume=resume,
        checkpoint_every=10.0 if checkpoint is None else checkpoint,
        outputs=Outputs(run_dir, save_config, report, picture, projection),
        dry_run=dry_run,
    )
