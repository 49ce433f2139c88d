"""`graphrep data`: what is in a graph file, whether it is sound, other formats, splits, and fetching named sets."""

from __future__ import annotations

import typer

from graphrep.cli.lazy import CommandEntry, LazyGroup

__all__ = ["COMMANDS", "app"]

COMMANDS: dict[str, dict[str, CommandEntry]] = {
    "Look": {
        "list": CommandEntry("graphrep.cli.data.names:list_sets", "the named data sets (as graphrep list datasets)"),
        "show": CommandEntry("graphrep.cli.data.show:show", "counts, degrees, labels, features, where it is from"),
        "check": CommandEntry("graphrep.cli.data.check:check", "every oddity of a graph as it is stored"),
    },
    "Make": {
        "convert": CommandEntry("graphrep.cli.data.convert:convert", "write a graph in another format"),
        "split": CommandEntry("graphrep.cli.data.split:split", "training, validation and test nodes or links"),
        "get": CommandEntry("graphrep.cli.data.get:get", "fetch a named data set from its public source"),
    },
}


class _DataGroup(LazyGroup):
    panels = COMMANDS
    title = "graphrep data [OPTIONS] COMMAND"
    footer = "\n Options\n   --help      this screen; graphrep data COMMAND --help for the options of one command\n"


app = typer.Typer(
    cls=_DataGroup,
    name="data",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)


@app.callback()
def root() -> None:
    """Shows, checks, converts, splits and fetches graph data."""
