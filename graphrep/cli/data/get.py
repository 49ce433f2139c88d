"""`graphrep data get`: fetches named data sets; the only command that uses the network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import DataDir, Json, Quiet, Verbose

__all__ = ["get"]


@guarded
def get(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="data sets (graphrep list datasets)")],
    *,
    data_dir: DataDir = None,
    force: Annotated[bool, typer.Option("--force", help="fetch again what is here already")] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="keep what differs from the card (loading then warns)")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Fetches data sets from where their authors published them, and checks that they are what the cards say.

    Files go to the user's cache, or below --data-dir; a file is complete or absent, and an interrupted run is simply
    repeated. Nothing else in graphrep uses the network.

    \b
    Example
      graphrep data get cora citeseer
    """  # noqa: D301
    from graphrep.data.cards import resolve

    console = Console(as_json=as_json, quiet=quiet, verbose=verbose)
    full_names = [resolve(name) for name in names]
    done: list[dict[str, Any]] = []
    for name in full_names:
        with _bar(console) as progress:
            path, fetched = _download(name, data_dir, force, not no_verify, progress)
        done.append({"name": name, "path": str(path), "bytes": path.stat().st_size, "fetched": fetched})
        console.say(f"{name}: {path}" + ("" if fetched else "   (was here already; --force fetches it again)"))
        if quiet and not as_json:
            typer.echo(str(path))
    console.finish({"datasets": done})


def _download(name: str, data_dir: Path | None, force: bool, verify: bool, progress: Any) -> tuple[Path, bool]:
    """The path of a set, and whether it had to be fetched."""
    from graphrep.data.fetching import download

    seen: list[str] = []

    def show(file: str, received: int, total: int | None) -> None:
        seen.append(file)
        if progress is not None:
            progress(file, received, total)

    return download(name, data_dir, force=force, verify=verify, progress=show), bool(seen)


@contextmanager
def _bar(console: Console) -> Iterator[Any]:
    """A progress callback: a bar with rate and time left on a terminal, else a line per file on stderr."""
    if not sys.stderr.isatty() or console.quiet:
        yield None if console.quiet else _lines(console)
        return
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("ETA"),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=RichConsole(stderr=True), transient=True) as bar:

        def show(name: str, received: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=received, total=total)

        yield show


def _lines(console: Console) -> Any:
    from graphrep.data.check import grouped

    def show(name: str, received: int, total: int | None) -> None:
        if received == total:
            console.note(f"fetched {name}: {grouped(received)} bytes")

    return show
