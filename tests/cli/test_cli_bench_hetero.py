"""`graphrep bench hetero`: rows of all methods and ablations, resumption, the table with published rows, errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hetero_library import library, save

from graphrep.cli.benching import SUITES
from graphrep.cli.benching_hetero import hetero_line, hetero_run, hetero_table
from graphrep.errors import FileFormatError, MissingLabelsError
from graphrep.methods import MEOW
from graphrep.recipes import recipe

Run = Callable[..., Any]
LABELS = [
    "MEOW", "MEOW, no weights", "MEOW, no prototypes", "MEOW, coarse only", "AdaMEOW", "AdaMEOW, normalised weights",
    "HeCo",
]  # fmt: skip
PARAMS = {"dim": 8, "num_clusters": (4,), "epochs": 2}


def test_all_methods_and_resumption(run: Run, folder: Path) -> None:
    save(folder / "lib")
    command = [
        "bench",
        "hetero",
        "--datasets",
        "lib",
        "--set",
        "epochs=2",
        "--set",
        "dim=8",
        "--set",
        "num_clusters=4,8",
    ]
    assert "1 runs, 0 of them" in run(*command, "--runs", 1, "--methods", "meow").stdout
    result = run(*command, "--runs", 2)
    assert "14 runs, 1 of them" in result.stdout
    lines = [line.split(" | ") for line in result.stdout.splitlines() if line.startswith("| lib")]
    assert [line[1] for line in lines] == LABELS
    assert {len(line) for line in lines} == {14}
    assert all(line[2] == "2" for line in lines)
    rows = json.loads((folder / "runs" / "bench-hetero.json").read_text())["rows"]
    assert len(rows) == 14
    for row in rows:
        assert (row["status"], row["epochs"]) == ("ok", 2)
        assert list(row["scores"]) == ["2", "4"]
        assert all(0 < row["scores"]["4"][name] <= 100 for name in ("macro_f1", "micro_f1", "auc"))
        assert set(row["clusters"]) == {"nmi", "ari"}
        assert row["peak_memory_bytes"] > 0
        assert row["seconds_per_epoch"] > 0
    own = {row["label"]: row["params"] for row in rows}
    assert own["MEOW, no weights"]["weights"] == "none"
    assert own["MEOW, no prototypes"]["prototype_weight"] == 0
    assert own["MEOW, coarse only"]["views"] == "coarse"
    assert own["AdaMEOW, normalised weights"]["normalise_weights"] is True
    assert "dmgi" in (folder / "runs" / "bench-hetero.md").read_text()


def test_each_ablation_changes_one_flag_of_the_whole_method() -> None:
    suite = SUITES["hetero"]
    assert [variant.label for method in suite.methods for variant in suite.variants[method]] == LABELS
    assert all(len(variant.params) == 1 for variant in suite.variants["ablations"])
    for variant in suite.variants["ablations"]:
        assert set(variant.params) <= set(MEOW().get_params())


def test_the_recipe_sets_the_probe() -> None:
    found = [hetero_run(MEOW, PARAMS, {"lr": lr}, "lib", library()) for lr in (0.05, 0.05, 1e-6)]
    assert found[0]["scores"] == found[1]["scores"]
    assert found[0]["scores"] != found[2]["scores"]
    assert found[0]["clusters"] == found[2]["clusters"]
    assert found[0]["kept_epoch"] == 2


def test_labels_play_no_part_in_training() -> None:
    graph = library()
    one, other = (
        hetero_run(MEOW, PARAMS, {}, "lib", labelled)
        for labelled in (graph, graph.replace(y=np.roll(np.asarray(graph.y), 1)))
    )
    assert one["loss"] == other["loss"]
    assert one["scores"] != other["scores"]


def test_the_table_has_published_and_measured_rows() -> None:
    score = {"macro_f1": 80.0, "micro_f1": 81.0, "auc": 90.0}
    good = {
        "dataset": "acm", "seed": 0, "status": "ok", "scores": {"20": score, "60": score}, "kept_epoch": 7,
        "clusters": {"nmi": 50.0, "ari": 40.0}, "seconds_per_epoch": 1.5, "peak_memory_bytes": 2**30, "seconds": 9,
    }  # fmt: skip
    rows = [
        {**good, "label": "MEOW"}, {**good, "label": "MEOW", "seed": 1, "kept_epoch": 9}, {**good, "label": "HeCo"},
        {**good, "label": "AdaMEOW", "scores": {}, "clusters": {}, "status": "Loss became NaN"},
    ]  # fmt: skip
    recipes = {("MEOW", "acm"): recipe("meow/acm"), ("HeCo", "acm"): recipe("heco/acm")}
    lines = hetero_table(["acm"], ["MEOW", "AdaMEOW", "HeCo"], rows, recipes)
    assert lines[0].startswith("| data set | method | seeds | 20: Ma-F1 | 20: Mi-F1 | 20: AUC | 60: Ma-F1 |")
    assert "| acm | MEOW | 2 | 80.00 +- 0.00 | 81.00 +- 0.00 |" in lines[2]
    assert lines[2].endswith("| 7-9 | 1.5 | 1.00 |")
    assert lines[3].startswith("| acm | *MEOW, the authors' program, one seed* |  | 90.94 | 90.98 | 97.88 | 91.44 |")
    assert "| 53.6 | 48.1 |" in lines[3]
    assert "Loss became NaN" in lines[4]
    assert lines[6].startswith("| acm | *HeCo, published* |  | 88.56 | 88.13 | 96.49 | 89.04 | 88.71 | 96.55 |")
    assert len({line.count("|") for line in lines[:7]}) == 1
    assert "Ma-F1 20 80.0  60 80.0   NMI 50.0   epoch 7" in hetero_line(rows[0])
    assert "Loss became NaN" in hetero_line(rows[3])


def test_a_diverged_training_is_a_row() -> None:
    params = {**PARAMS, "weights": "none", "prototype_weight": 0.0, "lr": 1e30, "optimizer": "sgd", "epochs": 9}
    row = hetero_run(MEOW, params, {}, "lib", library())
    assert (row["scores"], row["clusters"]) == ({}, {})
    assert "became" in row["status"]


def test_errors(run: Run, folder: Path) -> None:
    said = run("bench", "hetero", "--datasets", "edges.csv", "--runs", 1, code=2).stderr
    assert "edges.csv has no typed nodes and edges" in said
    assert "hetero has no method grace" in run("bench", "hetero", "--methods", "grace", code=2).stderr
    with pytest.raises(MissingLabelsError, match="lib has no classes of its target"):
        hetero_run(MEOW, PARAMS, {}, "lib", library(y=None))
    with pytest.raises(FileFormatError, match="lib has no splits"):
        hetero_run(MEOW, PARAMS, {}, "lib", library(splits={}))
