"""The options that several commands share, declared once so that they mean the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Columns",
    "ConfigFile",
    "DataDir",
    "Deterministic",
    "Device",
    "Directed",
    "DryRun",
    "Features",
    "FillNan",
    "Format",
    "GraphArgument",
    "Json",
    "Method",
    "NoWeight",
    "Out",
    "Precision",
    "Quiet",
    "RecipeName",
    "SaveConfig",
    "Seed",
    "Sep",
    "Sets",
    "Threads",
    "Verbose",
]

_FORMS = (
    "a file, a folder with one or (meow, heco) with a table per relation, a data set's name, nx:karate_club_graph, "
    "ogb:ogbn-arxiv, or pyg:Planetoid/Cora"
)

GraphArgument = Annotated[str | None, typer.Argument(metavar="GRAPH", help=_FORMS, show_default=False)]
Method = Annotated[str | None, typer.Option("--method", "-m", metavar="NAME", help="what computes it  [fastrp]")]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="where to write  [NAME.embeddings.npz]")]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="npz | npy | csv | parquet | w2v  [by the ending of --out]"),
]
Features = Annotated[
    str | None,
    typer.Option("--features", metavar="FILE|NAME", help="node features: npy, npz, csv; or degree | onehot | fastrp"),
]
Device = Annotated[str | None, typer.Option("--device", metavar="NAME", help="auto | cpu | cuda | cuda:1  [auto]")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="of all random numbers  [0]")]
Threads = Annotated[int | None, typer.Option("--threads", metavar="N", min=1, help="CPU threads  [all cores]")]
Precision = Annotated[
    str | None, typer.Option("--precision", metavar="NAME", help="of the arithmetic: float32 | float64 | bfloat16")
]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="only operations with the same bytes each time (all CPU ones)"),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="any parameter of the method; may be repeated"),
]
RecipeName = Annotated[str | None, typer.Option("--recipe", metavar="NAME", help="published settings (list recipes)")]
ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="settings of an earlier run (toml)")]
SaveConfig = Annotated[Path | None, typer.Option("--save-config", metavar="FILE", help="write what was used (toml)")]
NoWeight = Annotated[bool, typer.Option("--no-weight", help="ignore the file's weight column")]
Directed = Annotated[bool, typer.Option("--directed", help="keep the direction of edges in a text file")]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="S,T[,W]", help="columns of source, target, weight: names or numbers from 0"),
]
Sep = Annotated[str | None, typer.Option("--sep", metavar="CHAR", help="column separator  [detected]")]
FillNan = Annotated[
    float | None, typer.Option("--fill-nan", metavar="X", help="put X in the place of NaN and infinity in features")
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="root of named data sets  [GRAPHREP_DATA, user cache]")
]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on stdout")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="print only the path of what was written")]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, show_default=False, help="log to stderr; -vv logs more")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="print the plan and the estimate, compute nothing")]
