"""`graphrep eval`: judges saved embeddings by a named protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import DataDir, Json, Seed, Threads, Verbose

__all__ = ["evaluate"]


@guarded
def evaluate(
    embeddings: Annotated[Path, typer.Argument(metavar="EMB", help="embeddings that graphrep embed wrote")],
    *,
    protocol: Annotated[
        str | None, typer.Option("--protocol", "-p", metavar="NAME", help="grace | deepwalk | clusters | links")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="GRAPH", help="graph with the labels (or the edges): name or file"),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="csv with id,label; a|b gives a node two labels")
    ] = None,
    ratios: Annotated[
        str | None,
        typer.Option("--ratios", metavar="R,R,...", help="deepwalk: shares labelled  [0.1 ... 0.9]"),
    ] = None,
    cost: Annotated[
        float | None, typer.Option("--cost", "-C", metavar="C", help="deepwalk: inverse penalty  [1]")
    ] = None,
    runs: Annotated[
        int | None, typer.Option("--runs", metavar="N", min=1, help="splits, or k-means seeds  [the protocol's own]")
    ] = None,
    clusters: Annotated[
        int | None, typer.Option("--clusters", "-k", metavar="N", min=1, help="clusters  [as many as classes]")
    ] = None,
    links: Annotated[
        Path | None, typer.Option("--links", metavar="FILE", help="links: edges that the embedding has not seen")
    ] = None,
    score: Annotated[str, typer.Option("--score", metavar="NAME", help="links: cosine | dot")] = "cosine",
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="NAME", help="for its protocol and published numbers  [EMB's]"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="also write the result: json")] = None,
    seed: Seed = None,
    threads: Threads = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Judge the vectors in EMB by a named protocol; the spread is the sample standard deviation over splits.

    \b
    Examples
      graphrep eval blogcatalog.embeddings.npz --dataset blogcatalog --protocol deepwalk
      graphrep eval edges.embeddings.npz --labels groups.csv --protocol clusters -k 12
      graphrep eval train.embeddings.npz --links test.csv --dataset train.csv --protocol links
    """  # noqa: D301
    from graphrep.cli.judged import judge_file
    from graphrep.cli.settings import parse_numbers

    console = Console(as_json=as_json, verbose=verbose)
    options: dict[str, Any] = {
        "C": cost,
        "ratios": parse_numbers(ratios, "--ratios") if ratios else None,
        "shuffles": runs,
    }
    judge_file(
        console,
        embeddings,
        protocol=protocol,
        dataset=dataset,
        labels=labels,
        options={key: value for key, value in options.items() if value is not None},
        clusters=clusters,
        links=links,
        score=score,
        recipe_name=recipe,
        out=out,
        seed=seed or 0,
        threads=threads,
        data_dir=data_dir,
    )
