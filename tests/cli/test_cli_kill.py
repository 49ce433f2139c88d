"""kill -9 at random moments: the output is absent or complete, and --resume ends with the bytes of a calm run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).with_name("kill_worker.py")


def killed_runs(folder: Path, moments: int, seed: int) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(WORKER), str(moments), str(seed)], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    check_interrupted(found.pop(0))
    assert len(found) == moments
    return found


def check_interrupted(run: dict[str, Any]) -> None:
    """Ctrl-C: no output, a saved state, a line that says how to go on; resuming computes only the other powers."""
    assert run["code"] == 1
    assert "powers are saved. To finish: graphrep embed --resume runs/ctrl-c" in run["error"]
    assert "Traceback" not in run["error"]
    assert not run["present"]
    assert 1 <= len(run["powers"]) < 40
    assert run["after"] == list(range(1, 41))
    assert not run["left"]


def check(found: list[dict[str, Any]]) -> None:
    for run in found:
        assert run["whole"] == run["present"], "a half-written file was left under the output's name"
        assert run["finished"], "the resumed run ended with other bytes"
        assert run["left"] == [], "the finished run left files behind"


def test_ctrl_c_and_a_few_moments(folder: Path, write_edges: Callable[..., Path]) -> None:
    write_edges(folder / "edges.csv", nodes=4000, rows=20_000)
    check(killed_runs(folder, 4, seed=0))


@pytest.mark.slow
def test_fifty_moments(folder: Path, write_edges: Callable[..., Path]) -> None:
    write_edges(folder / "edges.csv", nodes=20_000, rows=100_000)
    found = killed_runs(folder, 50, seed=1)
    check(found)
    # The moments are spread over the run, so that some fall before the first saved state and some after it.
    assert any(run["state"] for run in found)
    assert any(run["killed"] and not run["state"] for run in found)
