"""`graphrep neighbors`: several nodes, all nodes, files, back ends."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrep as gr

Run = Callable[..., Any]


@pytest.fixture
def vectors(folder: Path) -> np.ndarray:
    """v.npz with 30 named vectors."""
    z = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    gr.save_embeddings("v.npz", z, ids=[f"n,{i}" for i in range(30)])
    return z


def test_several_nodes(run: Run, vectors: np.ndarray) -> None:
    said = run("neighbors", "v.npz", "n,3", "n,5", "-n", 2).stdout.splitlines()
    assert [said[0], said[3]] == ["n,3:", "n,5:"]
    assert len(said) == 6
    found = json.loads(run("neighbors", "v.npz", "n,3", "n,5", "-n", 2, "--json").stdout)
    places, scores = gr.index(vectors).neighbors([3, 5], 2)
    for entry, near, values in zip(found["nodes"], places, scores, strict=True):
        assert [row["id"] for row in entry["neighbors"]] == [f"n,{i}" for i in near]
        assert [row["score"] for row in entry["neighbors"]] == pytest.approx(values.tolist())
    assert found["backend"] == "exact"


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "npz"])
def test_lists_of_all_nodes(run: Run, vectors: np.ndarray, kind: str) -> None:
    path = Path(f"knn.{kind}")
    said = run("neighbors", "v.npz", "--all", "-n", 3, "--metric", "euclidean", "--out", path).stdout
    assert "30 nodes, 3 neighbours each" in said
    places, scores = gr.index(vectors, metric="euclidean").neighbors(k=3)
    if kind == "npz":
        with np.load(path) as lists:
            assert lists["ids"][7] == "n,7"
            assert lists["neighbors"].tolist() == [[f"n,{i}" for i in row] for row in places]
            np.testing.assert_allclose(lists["scores"], scores)
        return
    if kind == "parquet":
        rows = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    else:
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="," if kind == "csv" else "\t"))
    assert len(rows) == 90
    assert (rows[22]["id"], int(rows[22]["rank"]), rows[22]["neighbor"]) == ("n,7", 2, f"n,{places[7, 1]}")
    assert float(rows[22]["score"]) == pytest.approx(scores[7, 1], rel=1e-6)


def test_quiet_prints_the_path_and_some_nodes_may_be_written(run: Run, vectors: np.ndarray) -> None:
    assert run("neighbors", "v.npz", "n,1", "--out", "one.csv", "-q").stdout == "one.csv\n"
    assert len(Path("one.csv").read_text().splitlines()) == 11


def test_a_saved_index(run: Run, vectors: np.ndarray) -> None:
    gr.index(vectors, metric="dot", ids=[f"n,{i}" for i in range(30)]).save("v.safetensors")
    found = json.loads(run("neighbors", "v.safetensors", "n,3", "--json").stdout)
    assert found["metric"] == "dot"
    wanted = json.loads(run("neighbors", "v.npz", "n,3", "--metric", "dot", "--json").stdout)
    assert found["neighbors"] == wanted["neighbors"]
    assert "--metric dot" in run("neighbors", "v.safetensors", "n,3", "--metric", "cosine", code=2).stderr


@pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="needs faiss")
def test_faiss(run: Run, vectors: np.ndarray) -> None:
    a, b = (
        json.loads(run("neighbors", "v.npz", "n,3", "--backend", name, "--json").stdout) for name in ("faiss", "exact")
    )
    assert (a["backend"], b["backend"]) == ("faiss", "exact")
    assert [row["id"] for row in a["neighbors"]] == [row["id"] for row in b["neighbors"]]


def test_what_cannot_be_done_is_refused_first(run: Run, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Which nodes?" in run("neighbors", "v.npz", code=2).stderr
    assert "Which nodes?" in run("neighbors", "v.npz", "n,1", "--all", "--out", "a.csv", code=2).stderr
    assert "go into a file" in run("neighbors", "v.npz", "--all", code=2).stderr
    assert 'no format is known for ".xls"' in run("neighbors", "v.npz", "--all", "--out", "a.xls", code=2).stderr
    assert "metric" in run("neighbors", "v.npz", "n,1", "--metric", "l2", code=2).stderr
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert "graphrep[ann]" in run("neighbors", "v.npz", "n,1", "--backend", "faiss", code=2).stderr
