"""`graphrep linkpred`: missing links of a graph, judged beside heuristics, with files and a report."""

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
    DryRun,
    Features,
    FillNan,
    GraphArgument,
    Json,
    Quiet,
    RecipeName,
    SaveConfig,
    Seed,
    Sep,
    Sets,
    Threads,
    Verbose,
)

__all__ = ["linkpred"]


@guarded
def linkpred(
    graph: GraphArgument = None,
    *,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            "-m",
            metavar="NAME[,NAME]",
            help="ncn | ncnc | fastrp | spectral | deepwalk | line | node2vec | katz | ...; the first is saved  [ncn]",
        ),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="all methods beside it; heuristics always are")] = False,
    runs: Annotated[
        int | None, typer.Option("--runs", metavar="N", min=1, help="splits and trainings with other seeds  [1]")
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option("--split", metavar="FILE", help="a split of your own: npz, csv, or a folder; checked for leaks"),
    ] = None,
    allow_leak: Annotated[bool, typer.Option("--allow-leak", help="go on with a split that leaks")] = False,
    shares: Annotated[
        str | None, typer.Option("--shares", metavar="A/B/C", help="training, validation, test links  [85/5/10]")
    ] = None,
    split_by: Annotated[
        str | None,
        typer.Option("--split-by", metavar="NAME", help="random | time: the latest links are held out  [random]"),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="NAME", help="with --split-by time: column or array of times, or an npy file"),
    ] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="K[,K]", help="cut-offs of Hits@K  [20,50,100]")] = None,
    heart: Annotated[bool, typer.Option("--heart", help="also 500 hard negatives of each test link (HeaRT)")] = False,
    heart_file: Annotated[
        Path | None, typer.Option("--heart-file", metavar="FILE", help="those of an npy file, as HeaRT publishes them")
    ] = None,
    heart_links: Annotated[
        int | None, typer.Option("--heart-links", metavar="N", min=1, help="for so many test links  [all]")
    ] = None,
    pair_score: Annotated[
        str | None,
        typer.Option(
            "--pair-score", metavar="NAME", help="of vectors: dot | cosine | hadamard | auto, by validation  [auto]"
        ),
    ] = None,
    features: Features = None,
    fill_nan: FillNan = None,
    columns: Columns = None,
    sep: Sep = None,
    dim: Annotated[int | None, typer.Option("--dim", "-d", metavar="N", min=1, help="numbers per node")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", min=0, help="at most")] = None,
    time_budget: Annotated[
        float | None, typer.Option("--time-budget", metavar="SECONDS", min=0, help="of each training")
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="folder of this run  [runs/linkpred-NAME]")
    ] = None,
    recipe: RecipeName = None,
    config: ConfigFile = None,
    sets: Sets = None,
    save_config: SaveConfig = None,
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
    """Trains on a part of the links of GRAPH and judges how well the others are found, beside heuristics.

    Links are held out in both directions, with uniform negatives that are a link of no part. Which epoch to keep, and
    how vectors are compared, is decided on validation links, never on the test. A method that loses to a heuristic is
    marked. --dim, --epochs, --time-budget, --seed hold for all methods, --set for the first. The folder of the run
    holds model, vectors, split, all numbers (result.json) and a page to look at (report.html).

    \b
    Examples
      graphrep linkpred edges.csv
      graphrep linkpred usair --runs 10 --compare
      graphrep linkpred cora --recipe ncn/cora --heart --heart-links 300
      graphrep linkpred calls.csv --split-by time --time at
      graphrep linkpred graph.npz --split my_split.csv -m ncnc,deepwalk
      graphrep linkpred score runs/linkpred-edges pairs.csv      scores of given pairs
      graphrep linkpred top runs/linkpred-edges                  the best missing links of every node
    """  # noqa: D301
    from graphrep.cli.linking.job import Options, linkpred_run
    from graphrep.cli.settings import parse_columns, parse_sets

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    options: dict[str, dict[str, Any]] = {
        "run": {
            "command": "linkpred",
            "graph": graph,
            "method": method,
            "device": device,
            "threads": threads,
            "deterministic": deterministic or None,
            "data_dir": str(data_dir) if data_dir else None,
            "features": features,
        },
        "read": {**parse_columns(columns), "sep": sep, "fill_nan": fill_nan, "time": time},
        "params": {"dim": dim, "epochs": epochs, "time_budget": time_budget, "seed": seed},
        "linkpred": {
            "compare": compare or None,
            "runs": runs,
            "split": str(split) if split else None,
            "split_by": split_by,
            "shares": shares,
            "allow_leak": allow_leak or None,
            "at": at,
            "heart": heart or None,
            "heart_file": str(heart_file) if heart_file else None,
            "heart_links": heart_links,
            "pair_score": pair_score,
        },
    }
    linkpred_run(
        console,
        layers=(options, {"params": parse_sets(sets)}),
        recipe_name=recipe,
        config=config,
        resume=resume,
        options=Options(run_dir, save_config, 30.0 if checkpoint is None else checkpoint, dry_run),
    )
