"""`graphrep linkpred score` and `graphrep linkpred top`: a saved link predictor at work; nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import Json, Quiet, Sep, Threads, Verbose

__all__ = ["score", "top"]

Run = Annotated[Path, typer.Argument(metavar="RUN", help="folder of a run of graphrep linkpred")]


@guarded
def score(
    run: Run,
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="csv or tsv with source,target; ids as in the graph")],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="where to write  [PAIRS.scores.csv]")
    ] = None,
    sep: Sep = None,
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Scores of the given pairs, larger for what is more likely a link: a csv file with source, target, score.

    \b
    Example
      graphrep linkpred edges.csv && graphrep linkpred score runs/linkpred-edges pairs.csv
    """  # noqa: D301
    from graphrep.cli.linking.apply import score_pairs

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    score_pairs(console, run, pairs, out=out, sep=sep, threads=threads)


@guarded
def top(
    run: Run,
    *,
    num: Annotated[int, typer.Option("--num", "-n", metavar="K", min=1, help="missing links of each node")] = 10,
    nodes: Annotated[
        str | None, typer.Option("--nodes", metavar="FILE|ID,ID", help="whose missing links are written  [all]")
    ] = None,
    candidates: Annotated[
        str,
        typer.Option(
            "--candidates", metavar="NAME", help="two-hop | all | auto: all where fewer than K are two links away"
        ),
    ] = "auto",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="where to write  [RUN/missing_links.csv]")
    ] = None,
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """The best missing links of every node: a csv file with node, rank, other, score. Known links are left out.

    \b
    Example
      graphrep linkpred top runs/linkpred-edges -n 5 --nodes "Grace Hopper","Alan Turing"
    """  # noqa: D301
    from graphrep.cli.linking.apply import top_links

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    top_links(console, run, nodes=nodes, k=num, candidates=candidates, out=out, threads=threads)
