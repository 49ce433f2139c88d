"""Groups of commands that import a command's module only when that command is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperGroup

from graphrep.registry import suggest

__all__ = ["CommandEntry", "LazyGroup"]


class CommandEntry(NamedTuple):
    """One line of a help screen, and where its function, or its own group (a ``Typer``), lives."""

    target: str
    summary: str


class LazyGroup(TyperGroup):
    """A group whose commands are listed in `panels`; subclasses fill in what is printed.

    A command of two words ("cluster apply") goes before the command of its first word, whose help speaks of it.

    Attributes:
        panels: heading -> name -> command.
        title: the first line of the help screen.
        footer: the lines after the commands.
    """

    panels: ClassVar[Mapping[str, Mapping[str, CommandEntry]]] = {}
    title: ClassVar[str] = ""
    footer: ClassVar[str] = ""

    def entries(self) -> dict[str, CommandEntry]:
        """All commands by name."""
        return {name: entry for panel in self.panels.values() for name, entry in panel.items()}

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order of the help screen."""
        return list(self.entries())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, imported now."""
        entry = self.entries().get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.target.partition(":")
        found = getattr(importlib.import_module(module), name)
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            single.command(cmd_name)(found)
            found = single
        return typer.main.get_command(found)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As usual, with commands of two words, and the closest name for an unknown one."""
        if " ".join(args[:2]) in self.entries():
            args = [" ".join(args[:2]), *args[2:]]
        if args and args[0] not in self.entries():
            ctx.fail(f'No command "{args[0]}".{suggest(args[0], self.entries())}')
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The title, the commands under their headings, the footer."""
        formatter.write(f" {self.title}\n")
        for panel, entries in self.panels.items():
            formatter.write(f"\n {panel}\n")
            for name, entry in ((n, e) for n, e in entries.items() if " " not in n):
                formatter.write(f"   {name:<11} {entry.summary}\n")
        formatter.write(self.footer)
