"""`graphrep embed --method deepwalk|line|node2vec`: files, the run's folder, applying, resuming, repeated bytes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from graphrep import load_embeddings

Run = Callable[..., Result]
SMALL = ("--dim", "8", "--set", "epochs=3")


@pytest.mark.parametrize("method", ["deepwalk", "line", "node2vec"])
def test_embed_leaves_vectors_model_and_metrics(run: Run, folder: Path, method: str) -> None:
    found = run("embed", "edges.csv", "--method", method, *SMALL, "--seed", "3", "--json")
    result = json.loads(found.stdout)
    assert result["dim"] == 8
    assert result["training"]["epochs"] == 3
    made = load_embeddings(folder / "edges.embeddings.npz")
    assert made.vectors.shape == (result["num_nodes"], 8)
    assert made.vectors.any(axis=1).all()
    home = folder / "runs" / "embed-edges"
    lines = [json.loads(line) for line in (home / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert all(line["parts"]["pairs"] > 0 for line in lines)
    assert not (home / "checkpoint").exists()
    run("embed", "edges.csv", "--model", "runs/embed-edges", "-o", "again.npz")
    again = load_embeddings(folder / "again.npz")
    np.testing.assert_array_equal(again.vectors, made.vectors)
    assert list(again.ids) == list(made.ids)
    before = (folder / "edges.embeddings.npz").read_bytes()
    run("embed", "--config", "runs/embed-edges/config.toml", "--run-dir", "second", "-q")
    assert (folder / "edges.embeddings.npz").read_bytes() == before


def test_settings_are_checked(run: Run, folder: Path) -> None:
    said = run("embed", "edges.csv", "--method", "deepwalk", "--set", "windows=3", code=2).stderr
    assert 'deepwalk has no parameter "windows". Did you mean "window"?' in said
    said = run("embed", "edges.csv", "--method", "node2vec", "--set", "q=0", "-q", code=2).stderr
    assert "q is 0.0." in said
    shown = run("embed", "edges.csv", "--method", "line", "--dry-run").stdout
    assert "LINE(dim=128)" in shown
    assert "needs about" in shown


def test_a_new_node_has_no_vector(run: Run, folder: Path, write_edges: Callable[..., Path]) -> None:
    run("embed", "edges.csv", "--method", "line", *SMALL, "-q")
    write_edges(folder / "more.csv", nodes=90)
    said = run("embed", "more.csv", "--model", "runs/embed-edges", code=2).stderr
    assert "LINE has no vector for node" in said


def test_interrupted_and_resumed(run: Run, folder: Path) -> None:
    command = [sys.executable, "-m", "graphrep.cli.main", "embed", "edges.csv", "--method", "deepwalk", "--dim", "8"]
    process = subprocess.Popen(
        [*command, "--set", "epochs=1500", "--set", "walk_length=8"],
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    metrics = folder / "runs" / "embed-edges" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and len(metrics.read_text().splitlines()) >= 3):
        assert time.monotonic() < deadline, "no epoch finished"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "epochs are saved. To finish:" in said
    assert not (folder / "edges.embeddings.npz").exists()
    assert (folder / "runs" / "embed-edges" / "checkpoint").exists()
    run("embed", "--resume", "runs/embed-edges")
    epochs = [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()]
    assert epochs == list(range(1, 1501))
    assert not (folder / "runs" / "embed-edges" / "checkpoint").exists()
