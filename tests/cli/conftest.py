"""A folder with small edge lists to work in, and the program as a function."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from graphrep.cli.main import app

Run = Callable[..., Result]


def _write_edges(path: Path, nodes: int = 60, rows: int = 300, *, seed: int = 0, shuffle: int | None = None) -> Path:
    """A weighted csv edge list of two loose communities; `shuffle` changes the order of the rows alone."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, nodes, rows)
    b = np.where(rng.random(rows) < 0.85, (a // 2 * 2 + 2 * rng.integers(0, nodes // 2, rows)) % nodes + a % 2, a + 1)
    lines = [f"n{i},n{j % nodes},{w}" for i, j, w in zip(a, b, rng.integers(1, 5, rows), strict=True)]
    if shuffle is not None:
        np.random.default_rng(shuffle).shuffle(lines)
    path.write_text("\n".join(["from,to,times", *lines]) + "\n")
    return path


@pytest.fixture
def write_edges() -> Callable[..., Path]:
    """``write_edges(path, nodes=60, rows=300, seed=0, shuffle=None)``: an edge list; `shuffle` permutes its rows."""
    return _write_edges


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with edges.csv; named data sets that need files are out of reach."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAPHREP_DATA", raising=False)
    monkeypatch.setenv("GRAPHREP_CACHE", str(tmp_path / "cache"))
    _write_edges(tmp_path / "edges.csv")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """``run("embed", "edges.csv", code=0)``: runs a command in `folder` and checks its exit code."""

    def call(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, (
            f"exit {result.exit_code}\n{result.stdout}\n{result.stderr}\n{result.exception!r}"
        )
        assert "Traceback" not in result.stderr
        return result

    return call


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], io.StringIO]:
    """``terminal()`` makes stderr a terminal of 120 columns; in the test itself, since pytest sets stderr before it."""

    def make() -> io.StringIO:
        stream = _Terminal()
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        return stream

    return make
