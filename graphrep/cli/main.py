"""The `graphrep` program: the table of commands, the first help screen, and nothing that is slow to import."""

from __future__ import annotations

import importlib
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

import graphrep
from graphrep.registry import suggest

__all__ = ["COMMANDS", "app", "main"]


class CommandEntry(NamedTuple):
    """One line of the first help screen, and where its function lives."""

    target: str
    summary: str


COMMANDS: dict[str, dict[str, CommandEntry]] = {
    "Do something with a graph": {
        "embed": CommandEntry(
            "graphrep.cli.embed:embed",
            "a vector for each node            (FastRP by default: no training, no features needed)",
        ),
        "neighbors": CommandEntry(
            "graphrep.cli.neighbors:neighbors", "nearest nodes to some nodes, from saved embeddings"
        ),
    },
    "Train and judge": {
        "eval": CommandEntry(
            "graphrep.cli.evaluate:evaluate", "judge saved embeddings, clusters or scores by a named protocol"
        ),
    },
    "Look around": {
        "list": CommandEntry(
            "graphrep.cli.listing:list_names", "methods | datasets | recipes   (--task, --needs features|labels|text)"
        ),
        "info": CommandEntry("graphrep.cli.info:info", "versions, devices, kernel backends, extras"),
        "cite": CommandEntry("graphrep.cli.cite:cite", "BibTeX of the methods and data you used"),
        "demo": CommandEntry("graphrep.cli.demo:demo", "the one-minute tour"),
    },
}
_BY_NAME = {name: entry for panel in COMMANDS.values() for name, entry in panel.items()}


class _LazyGroup(TyperGroup):
    """Imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_BY_NAME)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _BY_NAME:
            return None
        module, _, function = _BY_NAME[cmd_name].target.partition(":")
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        single.command(cmd_name)(getattr(importlib.import_module(module), function))
        return typer.main.get_command(single)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in _BY_NAME:
            ctx.fail(f'No command "{args[0]}".{suggest(args[0], _BY_NAME)}')
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(" graphrep [OPTIONS] COMMAND\n")
        for panel, entries in COMMANDS.items():
            formatter.write(f"\n {panel}\n")
            for name, entry in entries.items():
                formatter.write(f"   {name:<11} {entry.summary}\n")
        formatter.write("\n Options\n   --version   the version, and nothing else\n   --help      this screen; ")
        formatter.write("graphrep COMMAND --help for the options of one command\n")


app = typer.Typer(
    cls=_LazyGroup,
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
    """Embeddings, clusters and links from graphs."""


def main() -> None:
    """Runs the program; what ``[project.scripts]`` points at."""
    app(prog_name="graphrep")


if __name__ == "__main__":
    main()
