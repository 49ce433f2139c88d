"""`graphrep eval`: judges saved embeddings, clusters, scores or a trained model by a named protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import DataDir, Features, Json, Seed, Threads, Verbose

__all__ = ["evaluate"]

_PROTOCOLS = "grace | gca | dmgi | deepwalk | planetoid | clusters | links | reconstruction | spectrum | compactness"


@guarded
def evaluate(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="embeddings; or clusters (id,cluster); or scores of links (score,label); or a trained model's folder",
        ),
    ],
    *,
    protocol: Annotated[str | None, typer.Option("--protocol", "-p", metavar="NAME", help=_PROTOCOLS)] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="GRAPH",
            help="graph with the labels (or the edges): name or file  [compactness: the run's]",
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="csv with id,label; a|b gives a node two labels")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="FILE",
            help="npz with train_idx, val_idx, test_idx; csv with id,part; or random  [gca, dmgi, planetoid: GRAPH's]",
        ),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(
            "--runs", metavar="N", min=1, help="splits, initialisations or k-means seeds  [the protocol's own]"
        ),
    ] = None,
    ratios: Annotated[
        str | None,
        typer.Option("--ratios", metavar="R,R,...", help="deepwalk: shares labelled  [0.1 ... 0.9]"),
    ] = None,
    cost: Annotated[
        float | None, typer.Option("--cost", "-C", metavar="C", help="deepwalk: inverse penalty  [1]")
    ] = None,
    selection: Annotated[
        str | None,
        typer.Option(
            "--selection", metavar="NAME", help='gca: validation | last | "test (published)"  [validation, else last]'
        ),
    ] = None,
    lr: Annotated[float | None, typer.Option("--lr", metavar="X", help="dmgi: Adam's learning rate  [0.01]")] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", metavar="X", help="dmgi: Adam's weight decay  [0]")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", min=1, help="gca, dmgi: of Adam  [3000, 200]")
    ] = None,
    unit_rows: Annotated[bool, typer.Option("--unit-rows", help="planetoid: scale rows to unit norm")] = False,
    clusters: Annotated[
        int | None, typer.Option("--clusters", "-k", metavar="N", min=1, help="clusters  [as many as classes]")
    ] = None,
    links: Annotated[
        Path | None, typer.Option("--links", metavar="FILE", help="links: edges that the embedding has not seen")
    ] = None,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="links: go on if some are edges of GRAPH; the result tells how many")
    ] = False,
    score: Annotated[
        str | None,
        typer.Option(
            "--score", metavar="NAME", help="links: cosine | dot  [cosine]; reconstruction: and neg_l2  [dot]"
        ),
    ] = None,
    hops: Annotated[
        str | None, typer.Option("--hops", metavar="H,H,...", help="reconstruction: distances  [1,2,3]")
    ] = None,
    node_ks: Annotated[
        str | None, typer.Option("--node-k", metavar="K,K,...", help="reconstruction: precision of a node's K best")
    ] = None,
    pair_ks: Annotated[
        str | None,
        typer.Option(
            "--pair-k", metavar="K,K,...", help="reconstruction: of the K best of all pairs; 0: as many as edges"
        ),
    ] = None,
    sources: Annotated[
        int | None,
        typer.Option("--sources", metavar="N", min=1, help="reconstruction: random sources  [all, 2000 above that]"),
    ] = None,
    drop_rate: Annotated[
        float | None,
        typer.Option("--drop-rate", metavar="P", help="compactness: of in-edges  [the larger of the model's views]"),
    ] = None,
    features: Features = None,
    per_node: Annotated[
        Path | None, typer.Option("--per-node", metavar="FILE", help="compactness: also write a csv, a row per node")
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="compactness: a page in the model's folder (graphrep[viz])")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="compactness: draw it (png, pdf, svg; graphrep[viz])"),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="NAME", help="for its protocol and published numbers  [FILE's]"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="also write the result: json")] = None,
    seed: Seed = None,
    threads: Threads = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Judge FILE by a named protocol; the table says what the spread (sample standard deviation) is over.

    \b
    Examples
      graphrep eval blogcatalog.embeddings.npz --dataset blogcatalog --protocol deepwalk
      graphrep eval cora.embeddings.npz --dataset cora --protocol gca --runs 5
      graphrep eval edges.embeddings.npz --labels groups.csv --protocol clusters -k 12
      graphrep eval train.embeddings.npz --links test.csv --dataset train.csv --protocol links
      graphrep eval edges.embeddings.npz --dataset edges.csv --protocol reconstruction --pair-k 0
      graphrep eval clusters.csv --labels groups.csv --dataset edges.csv
      graphrep eval scores.csv --json
      graphrep eval runs/train-grace-cora --report --per-node nodes.csv
    """  # noqa: D301
    from graphrep.cli.judged import Request, judge_file
    from graphrep.cli.model_files import ModelFiles
    from graphrep.cli.settings import parse_numbers

    def whole(text: str | None, option: str) -> list[int] | None:
        return [int(number) for number in parse_numbers(text, option)] if text else None

    options: dict[str, Any] = {
        "C": cost,
        "ratios": parse_numbers(ratios, "--ratios") if ratios else None,
        "shuffles": runs,
        "selection": selection,
        "lr": lr,
        "weight_decay": weight_decay,
        "steps": steps,
        "normalize": unit_rows or None,
        "clusters": clusters,
        "score": score,
        "hops": whole(hops, "--hops"),
        "node_ks": whole(node_ks, "--node-k"),
        "pair_ks": whole(pair_ks, "--pair-k"),
        "sources": sources,
        "drop_rate": drop_rate,
    }
    request = Request(
        protocol=protocol,
        dataset=dataset,
        labels=labels,
        split=split,
        links=links,
        allow_leak=allow_leak,
        recipe=recipe,
        out=out,
        seed=seed or 0,
        threads=threads,
        data_dir=data_dir,
        features=features,
        files=ModelFiles(per_node, report, picture),
        options={key: value for key, value in options.items() if value is not None},
    )
    judge_file(Console(as_json=as_json, verbose=verbose), file, request)
