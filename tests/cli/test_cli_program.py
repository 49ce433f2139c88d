"""The installed program in processes of its own: cost of the first screen, threads, exit codes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import graphrep as gr

PROGRAM = str(Path(sys.executable).with_name("graphrep"))


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    "arguments", [("--help",), ("embed", "--help"), ("eval", "--help"), ("data", "check", "--help"), ("--version",)]
)
def test_help_is_cheap(arguments: tuple[str, ...]) -> None:
    """CPU seconds of the child; the least of three, because a busy machine inflates them and never deflates them."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([PROGRAM, *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(seconds) < 0.3


@pytest.mark.parametrize("quick", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_same_vectors_for_any_threads_and_row_order(
    folder: Path, write_edges: Callable[..., Path], quick: bool
) -> None:
    write_edges(folder / "a.csv", nodes=3000, rows=30_000)
    write_edges(folder / "b.csv", nodes=3000, rows=30_000, shuffle=1)
    runs = [("a.csv", 1), ("b.csv", 4)] if quick else [("a.csv", 1), ("a.csv", 2), ("b.csv", 2), ("b.csv", 4)]
    jobs = []
    for number, (name, threads) in enumerate(runs):
        paths = ("-o", f"z{number}.npz", "--run-dir", f"r{number}")
        jobs.append(start("embed", name, "--dim", 64, "--threads", threads, *paths, "--json"))
    for (_, threads), job in zip(runs, jobs, strict=True):
        out, error = job.communicate(timeout=300)
        assert job.returncode == 0, error
        assert json.loads(out)["threads"] == threads
    assert len({gr.load_embeddings(folder / f"z{n}.npz").vectors.tobytes() for n in range(len(runs))}) == 1


def test_bad_input_has_a_hint_and_no_traceback(folder: Path) -> None:
    job = start("embed", "edgs.csv")
    out, error = job.communicate(timeout=120)
    assert job.returncode == 2
    assert out == ""
    assert "Try:" in error
    assert "Traceback" not in error
