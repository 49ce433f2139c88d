"""neighbors, list, info, cite, and the first screen."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrep as gr
from graphrep.cli.main import COMMANDS
from graphrep.registry import METHODS

Run = Callable[..., Any]


def test_first_screen_names_every_command_and_each_exists(run: Run) -> None:
    said = run("--help").stdout
    for panel, entries in COMMANDS.items():
        assert f"\n {panel}\n" in said
        for name in entries:
            first, *second = name.split()  # a command of two words is explained by the help of its first
            assert re.search(rf"^   {first} ", said, re.MULTILINE)
            assert not second or f"graphrep {name} " in run(first, "--help").stdout
            helped = run(*name.split(), "--help").stdout
            assert helped.startswith(f"Usage: graphrep {name} ") or f" {name} [OPTIONS]" in helped


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"{gr.__version__}\n"


def test_unknown_command_and_option(run: Run) -> None:
    assert 'No command "embde". Did you mean "embed"?' in run("embde", code=2).stderr
    assert "--dim" in run("embed", "karate", "--dmi", 3, code=2).stderr


def test_neighbours_by_name(run: Run, folder: Path) -> None:
    z = np.array([[1, 0], [1, 0.1], [0, 1], [-1, 0]], dtype=np.float32)
    gr.save_embeddings("v.npz", z, ids=["Grace Hopper", "Ada", "Alan Turing", "Kurt"])
    said = run("neighbors", "v.npz", "Grace Hopper", "-n", 2).stdout
    assert said == " 1  Ada          0.9950\n 2  Alan Turing  0.0000\n"
    found = json.loads(run("neighbors", "v.npz", "Grace Hopper", "--json").stdout)["neighbors"]
    assert [row["id"] for row in found] == ["Ada", "Alan Turing", "Kurt"]
    far = json.loads(run("neighbors", "v.npz", "Ada", "--metric", "euclidean", "--json").stdout)["neighbors"]
    assert far[0]["score"] == pytest.approx(-0.1)
    error = run("neighbors", "v.npz", "grace hoper", code=2).stderr
    assert 'did you mean "Grace Hopper"' in error
    assert "unknown metric 'cosin'" in run("neighbors", "v.npz", "Ada", "--metric", "cosin", code=2).stderr
    assert "no file none.npz" in run("neighbors", "none.npz", "Ada", code=2).stderr


def test_neighbours_by_number(run: Run, folder: Path) -> None:
    gr.save_embeddings("v.npz", np.eye(3, dtype=np.float32), ids=[10, 20, 30])
    assert run("neighbors", "v.npz", 20, "-n", 1).stdout == " 1  10  0.0000\n"
    assert "ids are integers from 10 to 30" in run("neighbors", "v.npz", 1, code=2).stderr


def test_list_methods(run: Run) -> None:
    assert "fastrp" in run("list", "methods").stdout
    rows = json.loads(run("list", "methods", "--task", "embed", "--json").stdout)["methods"]
    assert {row["name"] for row in rows} == {name for name, entry in METHODS.items() if entry.task == "embed"}
    assert "Nothing in this list fits" in run("list", "methods", "--task", "cooking").stderr


def test_list_datasets(run: Run) -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "datasets", "--json").stdout)["datasets"]}
    assert rows["digits"]["here"] == "*"
    assert rows["cora"]["here"] == ""
    assert rows["digits"]["classes"] == 10
    featured = json.loads(run("list", "datasets", "--needs", "features", "--json").stdout)["datasets"]
    assert all(row["features"] for row in featured)
    assert "karate" not in {row["name"] for row in featured}


def test_list_recipes_and_unknown_lists(run: Run) -> None:
    assert run("list", "recipes").exit_code == 0
    assert 'Did you mean "methods"?' in run("list", "method", code=2).stderr
    assert "none of features, labels, text" in run("list", "methods", "--needs", "luck", code=2).stderr


def test_list_objectives(run: Run) -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "objectives", "--json").stdout)["objectives"]}
    assert rows["info_nce"] == {
        "name": "info_nce",
        "module": "InfoNCELoss",
        "summary": "The contrast of each node's two views against all other nodes",
    }
    named = {*rows, *(row["module"] for row in rows.values())} - {"-"}
    assert named == set(gr.objectives.__all__)
    assert all(row["summary"] and "`" not in row["summary"] for row in rows.values())
    assert re.search(r"^pot +POTLoss +mean of softplus", run("list", "objectives").stdout, re.MULTILINE)
    error = run("list", "objectives", "--task", "embed", code=2).stderr
    assert error == "Error: Objectives have no task to choose by.\nTry: graphrep list objectives\n"


def test_list_encoders(run: Run) -> None:
    rows = {row["name"]: row["summary"] for row in json.loads(run("list", "encoders", "--json").stdout)["encoders"]}
    assert {"GCNEncoder", "GCNConv", "GATConv", "MLP", "Propagate"} <= set(rows) < set(gr.nn.__all__)
    assert "NumbaSampler" not in rows
    assert rows["GCNConv"].startswith("torch_geometric.nn.GCNConv on these kernels")
    assert "Encoders have no needs" in run("list", "encoders", "--needs", "text", code=2).stderr


def test_info(run: Run) -> None:
    said = run("info").stdout
    for word in ("graphrep", "torch", "Devices", "Kernel backends", "spmm", "Extras", "[parquet]", "Folders"):
        assert word in said or word == "[parquet]"
    found = json.loads(run("info", "--json").stdout)
    assert set(found) == {"versions", "commit", "devices", "backends", "extras", "folders"}
    assert found["extras"]["ann"]["install"] == 'pip install "graphrep[ann]"'


def test_info_says_what_is_forced(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHREP_BACKEND", "reference")
    found = json.loads(run("info", "--json").stdout)["backends"]
    assert found["spmm"]["cpu"] == "reference (GRAPHREP_BACKEND)"
    monkeypatch.setenv("GRAPHREP_BACKEND", "abacus")
    assert 'GRAPHREP_BACKEND is "abacus"' in run("info", code=2).stderr


def test_cite(run: Run) -> None:
    said = run("cite", "fastrp", "digits").stdout
    assert "chen2019fastrp" in said
    assert said.count("@") >= 2
    assert "@software{graphrep" in run("cite").stdout
    assert 'Did you mean "digits"?' in run("cite", "digts", code=2).stderr
    assert json.loads(run("cite", "fastrp", "--json").stdout)["fastrp"].startswith("@inproceedings")
