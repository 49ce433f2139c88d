"""What every command shares in speaking to the user: text, JSON, warnings, errors and exit codes."""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer

from graphrep.errors import DownloadError, GraphrepError

__all__ = ["BAD_INPUT", "FAILED", "Console", "guarded", "to_json"]

FAILED = 1
BAD_INPUT = 2
_F = TypeVar("_F", bound=Callable[..., Any])


class Console:
    """Where a command's words go.

    Text for people is printed on stdout, unless one JSON object (`as_json`) or one path (`quiet`) is what stdout
    is for. Warnings and progress always go to stderr.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: int = 0) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self.lines: list[str] = []

    @property
    def speaks(self) -> bool:
        """Whether text for people is wanted at all."""
        return not (self.as_json or self.quiet)

    def say(self, text: str = "") -> None:
        """Prints a line for people, and remembers it for the run's log."""
        self.lines.append(text)
        if self.speaks:
            typer.echo(text)

    def note(self, text: str) -> None:
        """Prints a line on stderr, also under ``--json``; only ``-q`` silences it."""
        self.lines.append(text)
        if not self.quiet:
            typer.echo(text, err=True)

    def finish(self, payload: dict[str, Any], *, path: object = None) -> None:
        """The last word: the JSON object under ``--json``, the path alone under ``-q``."""
        if self.as_json:
            typer.echo(to_json(payload))
        elif self.quiet and path is not None:
            typer.echo(str(path))


def to_json(payload: Any, *, indent: int | None = None) -> str:
    """JSON text; NaN and infinity, which JSON lacks, become null.

    Example:
        >>> to_json({"std": float("nan"), "mean": 0.5})
        '{"std": null, "mean": 0.5}'
    """
    return json.dumps(_finite(payload), ensure_ascii=False, indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def guarded(function: _F) -> _F:
    """Decorator of every command: bad input ends with message, hint and exit code 2, other failures with 1."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        verbose = int(kwargs.get("verbose") or 0)
        try:
            with _logging(verbose), _plain_warnings(quiet=bool(kwargs.get("quiet"))):
                return function(*args, **kwargs)
        except GraphrepError as error:
            _tell(error, verbose)
            raise typer.Exit(FAILED if isinstance(error, DownloadError) else BAD_INPUT) from None
        except KeyboardInterrupt as stopped:
            typer.echo(str(stopped) or "Interrupted.", err=True)
            raise typer.Exit(FAILED) from None
        except BrokenPipeError:
            # The reader of a pipe left (`| head`): nothing more to say; keep the interpreter from flushing into it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            _tell(error, verbose)
            raise typer.Exit(FAILED) from None

    return run  # type: ignore[return-value]


def _tell(error: BaseException, verbose: int) -> None:
    """Prints one error on stderr, with its traceback only under ``-v``."""
    if verbose:
        traceback.print_exception(error)
    elif isinstance(error, GraphrepError):
        typer.echo(f"Error: {error.message}", err=True)
        if error.hint:
            typer.echo(f"Try: {error.hint}", err=True)
    elif isinstance(error, OSError):
        typer.echo(f"Error: {error.filename or 'file'}: {error.strerror or error}", err=True)
    else:
        typer.echo(f"Error: {type(error).__name__}: {error}\nTry: -v shows where it happened", err=True)


@contextmanager
def _logging(verbose: int) -> Iterator[None]:
    """Sends the library's log to stderr: INFO under ``-v``, everything under ``-vv``."""
    logger = logging.getLogger("graphrep")
    if not verbose:
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if verbose == 1 else logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def _plain_warnings(*, quiet: bool) -> Iterator[None]:
    """Shows graphrep's own warnings as one plain line each, once, and hides those of other packages."""
    seen: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = str(message)
        if category.__module__.partition(".")[0] == "graphrep" and text not in seen and not quiet:
            seen.add(text)
            typer.echo(f"Warning: {text}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield
