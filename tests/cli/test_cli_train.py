"""`graphrep train`, `embed --model` and `bench`: run folders, resumption, features, drafted errors, tables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import graphrep as gr
from graphrep.data.tensor_files import read_tensors
from graphrep.methods import load_model

Run = Callable[..., Any]


def test_train_leaves_everything_in_its_folder(run: Run, folder: Path) -> None:
    result = run("train", "grace", "digits", "--dim", "8", "--epochs", "3", "--set", "pot=true")
    made = folder / "runs" / "train-grace-digits"
    names = {p.name for p in made.iterdir()}
    assert names == {
        "config.toml", "embeddings.npz", "log.txt", "metrics.jsonl", "model.safetensors", "model.toml", "result.json",
    }  # fmt: skip
    assert "3 epochs, loss" in result.stdout
    lines = [json.loads(line) for line in (made / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert set(lines[0]["parts"]) == {"contrast", "pot"}
    assert "rankme" in lines[-1]["signals"]
    saved = json.loads((made / "result.json").read_text())
    assert saved["training"]["epochs"] == 3
    assert saved["params"]["pot"] is True
    model = gr.GRACE.load(made)
    vectors = gr.load_embeddings(made / "embeddings.npz").vectors
    np.testing.assert_array_equal(model.embed(gr.load("digits")).numpy(), vectors)


def test_repeating_the_config_gives_the_same_bytes(run: Run, folder: Path) -> None:
    options = ["--dim", "8", "--epochs", "2", "--seed", "5"]
    run("train", "gca", "digits", *options, "-o", "a")
    run("train", "--config", "a/config.toml", "-o", "b")
    first, second = (read_tensors(folder / name / "model.safetensors")[0] for name in "ab")
    assert all(torch.equal(first[key], second[key]) for key in first)


CLUSTERS = [
    "--epochs", "3", "--set", "num_clusters=10", "--set", "hidden_dims=[16]", "--set", "pretrain_epochs=12",
    "--set", "scale_features=equal",
]  # fmt: skip


@pytest.mark.parametrize("method", ["scgc", "pamc"])
def test_clusterers_leave_labels_that_eval_judges(run: Run, folder: Path, method: str) -> None:
    result = run("train", method, "digits", *CLUSTERS)
    made = folder / "runs" / f"train-{method}-digits"
    assert "clusters of" in result.stdout
    assert "The auto-encoder still improved when it ended" in result.stdout
    lines = [json.loads(line) for line in (made / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [*range(1, 13), 1, 2, 3]
    assert [set(line["parts"]) for line in lines[11:13]] == [{"reconstruction"}, {"contrast", "kl", "clusters"}]
    saved = json.loads((made / "result.json").read_text())
    assert saved["training"]["epochs"] == 3
    assert len(saved["training"]["earlier"][0]["epochs"]) == 12
    assert sum(saved["clusters"]["sizes"]) == 1797
    model = load_model(made)
    rows = (made / "clusters.csv").read_text().splitlines()
    assert rows[0] == "id,cluster,share"
    assert [int(row.split(",")[1]) for row in rows[1:]] == model.labels_.tolist()  # type: ignore[attr-defined]
    judged = json.loads(run("eval", str(made / "clusters.csv"), "--dataset", "digits", "--json").stdout)
    assert 0 < judged["acc"] <= 1
    refused = run("embed", "digits", "--method", method, code=2)
    assert f"{method} is for cluster, not for embedding." in refused.stderr


def test_a_clusterer_without_a_number_of_clusters(run: Run, folder: Path) -> None:
    refused = run("train", "scgc", "digits", code=2)
    assert "The number of clusters is needed." in refused.stderr


def test_a_trained_model_on_another_graph(run: Run, folder: Path) -> None:
    run("train", "ccassg", "digits", "--dim", "8", "--epochs", "1", "-o", "run")
    result = run("embed", "digits", "--model", "run", "--json")
    assert json.loads(result.stdout)["dim"] == 8
    assert (folder / "digits.embeddings.npz").is_file()
    other = run("embed", "karate", "--model", "run", "--features", "degree", code=2)
    assert "run/model.safetensors was trained on 64 features; this graph has 66." in other.stderr
    assert "Try: the data set it came from (digits), or graphrep train to make a new one" in other.stderr
    wrong = run("embed", "digits", "--model", "run", "--set", "dim=3", code=2)
    assert "--set does not go with --model" in wrong.stderr


@pytest.mark.parametrize("features", ["degree", "onehot", "fastrp"])
def test_features_made_from_the_graph(run: Run, folder: Path, features: str) -> None:
    small = ["--dim", "4", "--epochs", "1", "--features", features, "-q"]
    result = run("train", "grace", "karate", *small)
    assert result.stdout.strip() == "runs/train-grace-karate/embeddings.npz"


def test_a_model_sees_the_made_features_it_was_trained_on(run: Run, folder: Path) -> None:
    made = ("--features", "fastrp")
    run("train", "grace", "karate", *made, "--dim", "4", "--epochs", "1", "--seed", "3", "-o", "run")
    run("embed", "karate", *made, "--model", "run", "-o", "again.npz")
    first, again = (gr.load_embeddings(name).vectors for name in ("run/embeddings.npz", "again.npz"))
    np.testing.assert_array_equal(first, again)


def test_features_from_files(run: Run, folder: Path) -> None:
    (folder / "edges.csv").write_text("ann,bob\nbob,cat\ncat,dan\n")
    (folder / "x.csv").write_text("id,a,b\ndan,1,2\ncat,3,4\nbob,5,6\nann,7,8\n")
    np.save(folder / "x.npy", np.ones((4, 2), np.float32))
    np.save(folder / "short.npy", np.ones((3, 2), np.float32))
    small = ["--dim", "4", "--epochs", "1"]
    for name in ("x.csv", "x.npy"):
        run("train", "grace", "edges.csv", *small, "--features", name)
    short = run("train", "grace", "edges.csv", *small, "--features", "short.npy", code=2)
    assert "short.npy has 3 rows and the graph has 4 nodes." in short.stderr
    (folder / "part.csv").write_text("id,a,b\ndan,1,2\ncat,3,4\n")
    part = run("train", "grace", "edges.csv", *small, "--features", "part.csv", code=2)
    assert "part.csv has no features for 2 of 4 nodes (first: ann)." in part.stderr
    unknown = run("train", "grace", "edges.csv", *small, "--features", "degre", code=2)
    assert 'Did you mean "degree"?' in unknown.stderr


def test_drafted_errors(run: Run, folder: Path) -> None:
    def error(*arguments: str) -> str:
        return str(run(*arguments, code=2).stderr)

    assert error("train", "grace", "karate") == (
        "Error: grace needs node features and karate has none.\n"
        "Try: --features FILE, --features degree|onehot|fastrp, or -m fastrp, which needs none\n"
    )
    assert 'Unknown method "graze". Did you mean "grace"?' in error("train", "graze", "digits")
    assert "No graph was given" in error("train", "grace")
    lost = error("train", "grace", "digits", "--epochs", "3", "--set", "lr=1e30", "--set", "optimizer=sgd")
    assert "became" in lost
    assert "Last good state: runs/train-grace-digits/model.safetensors (epoch " in lost
    assert "Try: --set lr=1e+29, or --set temperature=0.5" in lost


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_interrupted_training_goes_on_where_it_stopped(run: Run, folder: Path) -> None:
    command = [sys.executable, "-m", "graphrep.cli.main", "train", "grace", "digits", "--dim", "8", "--epochs", "400"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    metrics = folder / "runs" / "train-grace-digits" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and len(metrics.read_text().splitlines()) >= 3):
        assert time.monotonic() < deadline, "no epoch finished"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "To finish: graphrep train --resume runs/train-grace-digits" in said
    done = len(metrics.read_text().splitlines())
    assert 3 <= done < 400
    config = folder / "runs" / "train-grace-digits" / "config.toml"
    config.write_text(config.read_text().replace("epochs = 400", f"epochs = {done + 2}"))
    run("train", "--resume", "runs/train-grace-digits")
    epochs = [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()]
    assert epochs == list(range(1, done + 3))


@pytest.mark.filterwarnings("ignore")
def test_bench_of_clusterings(run: Run, folder: Path) -> None:
    command = [
        "bench", "clustering", "--datasets", "digits", "--methods", "pamc,baselines", "--runs", "2",
        "--set", "epochs=8", "--set", "pretrain_epochs=12", "--set", "hidden_dims=[32]",
    ]  # fmt: skip
    result = run(*command)
    lines = [line for line in result.stdout.splitlines() if line.startswith("| digits")]
    rules = [line.split(" | ")[2] for line in lines if "PamC" in line]
    assert rules == ["label-free stop", "last epoch", "oracle"]
    assert len(lines) == 3 + 5
    rows = json.loads((folder / "runs" / "bench-clustering.json").read_text())["rows"]
    learned = [row["scores"] for row in rows if row["label"] == "PamC"]
    assert len(learned) == 2
    for scores in learned:
        for name, best in scores["oracle"].items():
            assert 0 < scores["last epoch"][name] <= best <= 100
            assert scores["label-free stop"][name] <= best
    smooth = next(row["scores"] for row in rows if row["label"] == "k-means, smoothed features")
    assert smooth["last epoch"]["acc"] > 50
    assert "0 of them" not in run(*command).stdout


def test_bench_on_a_given_split(run: Run, folder: Path) -> None:
    graph = gr.load("digits")
    parts = torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(0)).split([200, 300, 1297])
    named = dict(zip(("train_idx", "val_idx", "test_idx"), parts, strict=True))
    gr.write(graph.replace(**named), folder / "split.npz")
    command = ("bench", "planetoid", "--methods", "ccassg", "--runs", "2", "--set", "epochs=2", "--set", "dim=8")
    result = run(*command, "--datasets", "split.npz")
    assert "| split.npz | CCA-SSG | 2 |" in result.stdout
    rows = json.loads((folder / "runs" / "bench-planetoid.json").read_text())["rows"]
    assert [set(row["scores"]) for row in rows] == [{"planetoid"}] * 2
    without = run(*command, "--datasets", "digits", code=2)
    assert "split" in without.stderr


def test_bench_keeps_finished_runs_and_draws_the_table(run: Run, folder: Path) -> None:
    command = [
        "bench", "contrastive", "--datasets", "digits", "--methods", "grace,ccassg", "--runs", "2",
        "--set", "epochs=2", "--set", "dim=8",
    ]  # fmt: skip
    result = run(*command)
    assert "8 runs, 0 of them" in result.stdout
    assert "| digits | GRACE + POT | 2 |" in result.stdout
    stored: dict[str, Any] = json.loads((folder / "runs" / "bench-contrastive.json").read_text())
    assert len(stored["rows"]) == 8
    row = stored["rows"][0]
    assert set(row["scores"]) == {"grace", "gca"}
    assert row["peak_memory_bytes"] > 0
    assert (folder / "runs" / "bench-contrastive.md").read_text().startswith("# contrastive")
    again = run(*command, "--runs", "1")
    assert "4 runs, 4 of them" in again.stdout
    unknown = run("bench", "contrast", code=2)
    assert 'Did you mean "contrastive"?' in unknown.stderr
