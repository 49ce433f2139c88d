"""`graphrep train`: any method on any graph; everything that a run made lies in its folder."""

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
    Json,
    NoWeight,
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
from graphrep.cli.processes import alone

__all__ = ["train"]


@guarded
def train(
    method: Annotated[
        str | None, typer.Argument(metavar="METHOD", help="graphrep list methods", show_default=False)
    ] = None,
    graph: Annotated[
        str | None,
        typer.Argument(
            metavar="GRAPH",
            help="a file, a data set's name, or nx:NAME; or (meow, heco) a folder with a table per relation",
            show_default=False,
        ),
    ] = None,
    *,
    dim: Annotated[int | None, typer.Option("--dim", "-d", metavar="N", help="numbers per node")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", min=0, help="at most")] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text", metavar="COLUMN|FILE[:COLUMN]", help="texts of the nodes: a table with ids, or a column of theirs"
        ),
    ] = None,
    lm: Annotated[
        str | None,
        typer.Option("--lm", metavar="DIR", help="language model, or minilm; without, a small BERT from scratch"),
    ] = None,
    stages: Annotated[
        str | None, typer.Option("--stages", metavar="NAME,...", help="of lmgnn: lm | gnn | joint | glem  [lm,gnn]")
    ] = None,
    live_nodes: Annotated[
        int | None,
        typer.Option("--live-nodes", metavar="N", min=-1, help="texts with gradient in a joint step: its memory  [32]"),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", metavar="NAME", help="of lmgnn: node | link  [auto]")] = None,
    shares: Annotated[
        str | None,
        typer.Option("--shares", metavar="A/B/C", help="of lmgnn: training, validation, test  [60/20/20; 85/5/10]"),
    ] = None,
    recipe: RecipeName = None,
    config: ConfigFile = None,
    sets: Sets = None,
    save_config: SaveConfig = None,
    features: Features = None,
    columns: Columns = None,
    no_weight: NoWeight = False,
    directed: Directed = False,
    sep: Sep = None,
    seed: Seed = None,
    precision: Precision = None,
    device: Device = None,
    threads: Threads = None,
    deterministic: Deterministic = False,
    data_dir: DataDir = None,
    run_dir: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="folder of this run  [runs/train-METHOD-NAME]")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="finish the interrupted run in this folder")
    ] = None,
    checkpoint: Annotated[
        float | None, typer.Option("--checkpoint", metavar="SECONDS", min=0, help="between two saved states  [30]")
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="write report.html into the run's folder")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Train METHOD on GRAPH. The run's folder gets the model, the embeddings, a line per epoch, and the settings.

    \b
    Examples
      graphrep train grace cora --set pot=true
      graphrep train --recipe gca/citeseer --seed 3
      graphrep train meow library --set metapaths="author>paper>author"
      graphrep train lmgnn cites.csv --text papers.csv:abstract --lm minilm --stages lm,gnn
      graphrep train --resume runs/train-grace-cora

    Later beats earlier: recipe, config file, options, --set.
    """  # noqa: D301
    from graphrep.cli.settings import parse_columns, parse_sets

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    options: dict[str, dict[str, Any]] = {
        "run": {
            "command": "train",
            "graph": graph,
            "method": method,
            "device": device,
            "threads": threads,
            "deterministic": deterministic or None,
            "data_dir": str(data_dir) if data_dir else None,
            "features": features,
            "text": text,
        },
        "read": {
            **parse_columns(columns),
            **({"weight": False} if no_weight else {}),
            "directed": directed or None,
            "sep": sep,
        },
        "params": {"dim": dim, "epochs": epochs, "seed": seed, "precision": precision},
    }
    texting = {"lm": lm, "stages": stages, "live_nodes": live_nodes, "task": task}
    if method_of(method, recipe, config, resume) == "lmgnn":
        from graphrep.cli.processes import joined
        from graphrep.cli.texting.job import Options, lmgnn_run

        options["params"] |= texting
        options["lmgnn"] = {"shares": shares}
        with joined(console) as heard:
            lmgnn_run(
                heard,
                layers=(options, {"params": parse_sets(sets)}),
                recipe_name=recipe,
                config=config,
                resume=resume,
                options=Options(run_dir, save_config, 30.0 if checkpoint is None else checkpoint, report, dry_run),
            )
        return
    alone(method)
    refuse_others({**texting, "shares": shares})
    from graphrep.cli.embedding import Outputs, embed_run

    embed_run(
        console,
        layers=(options, {"params": parse_sets(sets)}),
        recipe_name=recipe,
        config=config,
        resume=resume,
        checkpoint_every=30.0 if checkpoint is None else checkpoint,
        outputs=Outputs(run_dir, save_config, report),
        dry_run=dry_run,
    )


def method_of(method: str | None, recipe_name: str | None, config: Path | None, resume: Path | None) -> str | None:
    """The method that a run is of, wherever that is said."""
    from graphrep.cli.runs import RunFolder
    from graphrep.cli.settings import read_config
    from graphrep.recipes import recipe

    if method is not None:
        return method
    if resume is not None or config is not None:
        file = RunFolder.require(resume) if resume is not None else config
        assert file is not None
        found = read_config(file)["run"].get("method")
        return None if found is None else str(found)
    return None if recipe_name is None else recipe(recipe_name).method


def refuse_others(given: dict[str, Any]) -> None:
    """Options of lmgnn with another method.

    Raises:
        GraphrepError: there is one.
    """
    from graphrep.errors import GraphrepError

    for name, value in given.items():
        if value is not None:
            raise GraphrepError(f"--{name.replace('_', '-')} is an option of lmgnn.", hint="graphrep train lmgnn GRAPH")
