"""The `graphrep` program: the table of commands, the first help screen, and nothing that is slow to import."""

from __future__ import annotations

import os
from typing import Annotated

import typer

import graphrep
from graphrep.cli.lazy import CommandEntry, LazyGroup

__all__ = ["COMMANDS", "app", "main"]


COMMANDS: dict[str, dict[str, CommandEntry]] = {
    "Do something with a graph": {
        "embed": CommandEntry(
            "graphrep.cli.embed:embed",
            "a vector for each node            (FastRP by default: no training, no features needed)",
        ),
        "cluster": CommandEntry(
            "graphrep.cli.cluster:cluster",
            "groups of nodes                   (SCGC by default; baselines beside every learned result)",
        ),
        "cluster apply": CommandEntry("graphrep.cli.cluster_apply:apply", "a saved clustering for other nodes"),
        "linkpred": CommandEntry(
            "graphrep.cli.linkpred:linkpred",
            "missing links, judged and scored  (NCN by default; heuristics beside every result)",
        ),
        "linkpred score": CommandEntry("graphrep.cli.linkpred_apply:score", "a saved predictor on pairs of your own"),
        "linkpred top": CommandEntry("graphrep.cli.linkpred_apply:top", "the best missing links of every node"),
        "recommend": CommandEntry(
            "graphrep.cli.recommend:recommend",
            "ranked items for users            (LightGCL by default; popularity beside every result)",
        ),
        "recommend apply": CommandEntry("graphrep.cli.recommend_apply:apply", "a saved recommender for other users"),
        "neighbors": CommandEntry(
            "graphrep.cli.neighbors:neighbors", "nearest nodes to some nodes, from saved embeddings"
        ),
    },
    "Train and judge": {
        "train": CommandEntry("graphrep.cli.train:train", "any method on any dataset, from a recipe or options"),
        "eval": CommandEntry(
            "graphrep.cli.evaluate:evaluate",
            "judge embeddings, clusters, scores or a trained model by a named protocol",
        ),
        "bench": CommandEntry("graphrep.cli.bench:bench", "regenerate published tables over several seeds"),
    },
    "Look around": {
        "list": CommandEntry(
            "graphrep.cli.listing:list_names",
            "methods | datasets | objectives | encoders | recipes   (--task, --needs features|labels|text)",
        ),
        "data": CommandEntry("graphrep.cli.data:app", "show, convert, check or split a graph file"),
        "info": CommandEntry("graphrep.cli.info:info", "versions, devices, kernel backends, extras"),
        "cite": CommandEntry("graphrep.cli.cite:cite", "BibTeX of the methods and data you used"),
        "demo": CommandEntry("graphrep.cli.demo:demo", "the one-minute tour"),
    },
}


class _Program(LazyGroup):
    panels = COMMANDS
    title = "graphrep [OPTIONS] COMMAND"
    footer = (
        "\n Options\n   --version   the version, and nothing else\n   --help      this screen; "
        "graphrep COMMAND --help for the options of one command\n"
    )


app = typer.Typer(
    cls=_Program,
    name="graphrep",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(graphrep.__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    """Embeddings, clusters, links and recommendations from graphs."""


def main() -> None:
    """Runs the program; what ``[project.scripts]`` points at."""
    try:
        app(prog_name="graphrep")
    except SystemExit as end:
        if os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1"):
            from graphrep.cli.processes import leave

            leave(end)
        raise


if __name__ == "__main__":
    main()
