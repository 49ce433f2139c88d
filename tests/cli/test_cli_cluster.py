"""`graphrep cluster`: files, baselines, seeds, the number of clusters, inputs of every kind, resumption."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import graphrep as gr

Run = Callable[..., Any]
SMALL = ("--set", "hidden_dims=16", "--set", "pretrain_epochs=2", "--set", "epochs=3")  # of SCGC and PamC


def _blocks(seed: int = 0, *, nodes: int = 60, groups: int = 3, features: int = 6) -> gr.Graph:
    """Dense groups with few links between them, and features that tell them apart."""
    rng = np.random.default_rng(seed)
    y = np.arange(nodes) % groups
    chance = np.where(y[:, None] == y[None, :], 0.4, 0.01)
    source, target = np.nonzero(np.triu(rng.random((nodes, nodes)) < chance, 1))
    x = rng.normal(size=(nodes, features)).astype(np.float32) * 0.3
    x[np.arange(nodes), y] += 1.0
    return gr.Graph(torch.tensor(np.stack([source, target])), x=x, y=torch.tensor(y)).to_undirected()


@pytest.fixture
def blocks(folder: Path) -> gr.Graph:
    """blocks.npz in the working folder."""
    graph = _blocks()
    gr.write(graph, folder / "blocks.npz")
    return graph


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def _result(folder: Path, name: str = "blocks") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "runs" / f"cluster-{name}" / "result.json").read_text())
    return found


# files


def test_a_learned_method_leaves_everything(run: Run, folder: Path, blocks: gr.Graph) -> None:
    said = run("cluster", "blocks.npz", "-k", "3", "-m", "pamc", *SMALL, "--labels", "y").stdout
    made = folder / "runs" / "cluster-blocks"
    assert {p.name for p in made.iterdir()} == {
        "config.toml", "embeddings.npz", "log.txt", "metrics.jsonl", "model", "report.html", "result.json",
    }  # fmt: skip
    rows = _rows(folder / "blocks.clusters.csv")
    assert list(rows[0]) == ["id", "cluster", "confidence", "second", "margin"]
    assert [row["id"] for row in rows] == [str(i) for i in range(60)]
    model = gr.PamC.load(made / "model")
    np.testing.assert_array_equal(model.labels_.numpy(), [int(row["cluster"]) for row in rows])
    np.testing.assert_allclose(
        model.probabilities_.max(1).values.numpy(), [float(row["confidence"]) for row in rows], rtol=1e-4
    )
    np.testing.assert_array_equal(gr.load_embeddings(made / "embeddings.npz").vectors, model.embedding_.numpy())
    found = _result(folder)
    names = [row["method"] for row in found["methods"]]
    assert names[0] == "pamc"
    assert {"kmeans", "smooth", "spectral", "louvain"} <= set(names[1:])
    assert all(row["baseline"] for row in found["methods"][1:])
    assert sum(cluster["size"] for cluster in found["clusters"]) == 60
    assert "louvain  (baseline)" in said
    assert found["methods"][1]["mean"]["acc"] > 0.9
    epochs = [json.loads(line) for line in (made / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in epochs if line.get("method") == "pamc" and "epoch" in line][-3:] == [1, 2, 3]


def test_the_page_needs_no_network_and_shows_the_baselines(run: Run, folder: Path, blocks: gr.Graph) -> None:
    run("cluster", "blocks.npz", "-k", "2:5", "-m", "smooth", "--labels", "y", "--runs", "2")
    page = (folder / "runs" / "cluster-blocks" / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    for words in (
        "How many clusters?", "Methods side by side", "Agreement of the seeds of smooth", "Clusters", "conductance",
        "features above the mean", "feature 0", "Classes and clusters", "What to know", '"what":"cluster"',
    ):  # fmt: skip
        assert words in page, words


def test_the_same_again_by_the_config(run: Run, folder: Path, blocks: gr.Graph) -> None:
    run("cluster", "blocks.npz", "-k", "3", "-m", "scgc", *SMALL, "--seed", "4", "-o", "a.csv", "--no-baselines")
    run("cluster", "--config", "runs/cluster-blocks/config.toml", "-o", "b.csv", "--run-dir", "again")
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()
    assert json.loads((folder / "again" / "result.json").read_text())["seeds"] == [4]


def test_parquet_and_the_formats_of_text(run: Run, folder: Path, blocks: gr.Graph) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run("cluster", "blocks.npz", "-k", "3", "-m", "louvain", "--no-baselines", "-o", "a.parquet")
    run("cluster", "blocks.npz", "-k", "3", "-m", "louvain", "--no-baselines", "--format", "tsv", "-o", "a.out")
    table = parquet.read_table(folder / "a.parquet").to_pydict()
    lines = (folder / "a.out").read_text().splitlines()
    assert lines[0].split("\t") == list(table) == ["id", "cluster", "confidence", "second", "margin"]
    assert [int(line.split("\t")[1]) for line in lines[1:]] == table["cluster"]
    run("eval", "a.parquet", "--dataset", "blocks.npz", "--json")


def test_json_quiet_and_dry_run(run: Run, folder: Path, blocks: gr.Graph) -> None:
    plan = run("cluster", "blocks.npz", "-k", "3", "--dry-run", "--json")
    assert json.loads(plan.stdout)["methods"] == ["scgc"]
    assert not (folder / "runs").exists()
    done = json.loads(run("cluster", "blocks.npz", "-k", "3", "-m", "smooth", "--json").stdout)
    assert done["num_clusters"] == 3
    assert done["peak_memory_bytes"] > 0
    assert done["versions"]["graphrep"]
    quiet = run("cluster", "blocks.npz", "-k", "3", "-m", "smooth", "-q")
    assert quiet.stdout == "blocks.clusters.csv\n"
    assert quiet.stderr == ""


def test_sizes_are_printed_on_request(run: Run, blocks: gr.Graph) -> None:
    said = run("cluster", "blocks.npz", "-k", "3", "-m", "smooth", "--no-baselines", "--labels", "y", "--size-report")
    lines = [line.split() for line in said.stdout.splitlines()]
    assert ["cluster", "nodes", "share", "conductance", "confidence", "class", "central", "nodes"] in lines
    assert any(line[:3] == ["0", "20", "33.3"] for line in lines)


# seeds, methods and the number of clusters


def test_several_seeds(run: Run, folder: Path, blocks: gr.Graph) -> None:
    without = run("cluster", "blocks.npz", "-k", "4", "-m", "kmeans", "--runs", "3", "--no-baselines").stdout
    assert "agreement" in without
    (row,) = _result(folder)["methods"]
    assert [fit["seed"] for fit in row["runs"]] == [0, 1, 2]
    matrix = np.array(row["agreement_matrix"])
    assert matrix.shape == (3, 3)
    assert row["agreement"] == pytest.approx(matrix[np.triu_indices(3, 1)].mean())
    assert "acc" not in row["mean"]
    judged = run("cluster", "blocks.npz", "-k", "4", "-m", "kmeans", "--seeds", "3", "--no-baselines", "--labels", "y")
    assert "+-" in judged.stdout
    (row,) = _result(folder)["methods"]
    values = [fit["acc"] for fit in row["runs"]]
    assert row["mean"]["acc"] == pytest.approx(np.mean(values))
    assert row["std"]["acc"] == pytest.approx(np.std(values, ddof=1))


def test_labels_change_nothing_but_the_scores(run: Run, folder: Path, blocks: gr.Graph) -> None:
    (folder / "wrong.csv").write_text("id,label\n" + "".join(f"{i},{i % 2}\n" for i in range(60)))
    common = ("cluster", "blocks.npz", "-k", "3", "-m", "all", "--set", "epochs=2", "--set", "pretrain_epochs=1")
    kept = []
    for more in ([], ["--labels", "y"], ["--labels", "wrong.csv"]):
        run(*common, "--set", "hidden_dims=8", "--runs", "2", "-o", "a.csv", *more)
        found = _result(folder)
        kept.append((found["method"], found["seed"], found["why"], (folder / "a.csv").read_bytes()))
    assert kept[0] == kept[1] == kept[2]


def test_auto_picks_without_labels_and_says_why(run: Run, folder: Path, blocks: gr.Graph) -> None:
    said = run("cluster", "blocks.npz", "-k", "3", "-m", "auto", *SMALL).stdout
    found = _result(folder)
    assert found["method"] in {row["method"] for row in found["methods"]}
    assert found["why"]
    assert f"Kept {found['method']}, seed 0: {found['why']}" in said


def test_clusterings_with_fewer_clusters_than_asked_for_are_not_preferred(tmp_path: Path, blocks: gr.Graph) -> None:
    """Two of three clear groups in one are easier to tell than three drawn at random, but not what was asked for."""
    from graphrep.cli.clustering.choosing import Choice, choose_method
    from graphrep.cli.clustering.fitting import Fit

    assert blocks.y is not None
    true = blocks.y.numpy()
    drawn = np.random.default_rng(0).permutation(true)
    fits = {"few": np.minimum(true, 1), "drawn": drawn}
    choices = [Choice(Fit(name, 0, labels, False, 0.0, 0, tmp_path), "") for name, labels in fits.items()]
    inputs: Any = SimpleNamespace(judged=blocks)
    assert choose_method(choices, inputs, None).fit.method == "few"
    kept = choose_method(choices, inputs, 3)
    assert kept.fit.method == "drawn"
    assert "Not judged, because of their number of clusters: few." in kept.why
    assert choose_method(choices, inputs, 7).fit.method == "few"  # none has the number


def test_a_method_that_loses_is_marked(run: Run, folder: Path, blocks: gr.Graph) -> None:
    said = run("cluster", "blocks.npz", "-k", "3", "-m", "scgc", "--labels", "y", *SMALL, "--set", "lr=1e-12").stdout
    (row,) = [row for row in _result(folder)["methods"] if row["method"] == "scgc"]
    assert "Better without looking at labels" in " ".join(row["beaten"])
    assert "In better agreement with the labels" in " ".join(row["beaten"])
    assert "> scgc *" in said
    assert "-m auto takes the clustering" in said
    assert "scgc *" in (folder / "runs" / "cluster-blocks" / "report.html").read_text()


def test_the_number_of_clusters_is_suggested(run: Run, folder: Path, blocks: gr.Graph) -> None:
    said = run("cluster", "blocks.npz", "-m", "smooth", "--no-baselines").stdout
    found = _result(folder)
    assert found["num_clusters"] == found["clusters_chosen"]["suggested"]
    assert "suggest" in said.lower()


def test_communities_find_their_own_number(run: Run, folder: Path, blocks: gr.Graph) -> None:
    run("cluster", "blocks.npz", "-m", "louvain")
    found = _result(folder)
    assert found["clusters_chosen"] is None
    assert found["num_clusters"] == 3
    assert {row["method"] for row in found["methods"]} >= {"louvain", "kmeans", "smooth"}


def test_k_means_on_any_embedding(run: Run, folder: Path, blocks: gr.Graph) -> None:
    run("cluster", "blocks.npz", "-k", "3", "-m", "fastrp", "--set", "dim=16", "--no-baselines")
    found = _result(folder)
    assert found["params"]["options"]["dim"] == 16
    assert gr.load_embeddings(folder / "runs/cluster-blocks/embeddings.npz").vectors.shape == (60, 16)


def test_what_trains_is_known_as_such() -> None:
    from graphrep.cli.clustering.estimators import trains

    methods = ("scgc", "pamc", "dmon", "grace", "kmeans", "smooth", "spectral", "louvain", "fastrp")
    assert [name for name in methods if trains(name)] == ["scgc", "pamc", "dmon", "grace"]


def test_a_time_budget_leaves_out_what_does_not_fit(run: Run, folder: Path, blocks: gr.Graph) -> None:
    common = ("-k", "3", "-m", "pamc", *SMALL, "--set", "epochs=5000", "--set", "stop=none", "--runs", "3")
    run("cluster", "blocks.npz", *common, "--time-budget", "0.001")
    found = _result(folder)
    assert found["methods"][0]["method"] == "pamc"
    assert len(found["methods"][0]["runs"]) == 1
    assert found["methods"][0]["runs"][0]["training"]["stopped"] == "time"
    assert "pamc, seed 1: the time budget was spent." in found["left_out"]


# inputs


def test_names_of_nodes_are_kept(run: Run, folder: Path) -> None:
    run("cluster", "edges.csv", "-k", "2", "-m", "louvain", "--no-baselines")
    ids = [row["id"] for row in _rows(folder / "edges.clusters.csv")]
    assert ids == gr.read("edges.csv").ids.tolist()


def test_without_features_they_are_made_and_it_is_said(run: Run, folder: Path) -> None:
    said = run("cluster", "karate", "-k", "2", "-m", "smooth", "--no-baselines", "--labels", "y").stdout
    assert "There are no features: 128 numbers per node were made from the links alone (FastRP)." in said
    assert _result(folder, "karate")["input"]["features"] == 128


@pytest.mark.parametrize("kind", ["npy", "csv", "embeddings"])
def test_without_a_graph_neighbours_are_linked(run: Run, folder: Path, blocks: gr.Graph, kind: str) -> None:
    x = np.asarray(blocks.x)
    if kind == "npy":
        np.save(folder / "x.npy", x)
        arguments = ["x.npy"]
    elif kind == "csv":
        gr.save_embeddings(folder / "x.csv", x, ids=[f"n{i}" for i in range(60)])
        arguments = ["--features", "x.csv"]
    else:
        gr.save_embeddings(folder / "x.npz", x)
        arguments = ["x.npz"]
    said = run("cluster", *arguments, "-k", "3", "-m", "louvain", "--no-baselines", "--knn", "5").stdout
    assert "each node was linked with its 5 nearest by the features (euclidean distance)" in said
    ids = [row["id"] for row in _rows(folder / "x.clusters.csv")]
    assert ids[1] == ("n1" if kind == "csv" else "1")
    labels = np.array([int(row["cluster"]) for row in _rows(folder / "x.clusters.csv")])
    assert gr.eval.cluster_scores(blocks.y, labels).acc > 0.9


def test_linked_neighbours_are_the_nearest(folder: Path) -> None:
    from graphrep.cli.clustering.inputs import _linked
    from graphrep.cli.console import Console

    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    found = _linked(Console(quiet=True), gr.Graph(torch.zeros(2, 0, dtype=torch.int64), x=x), 3)
    distance = np.linalg.norm(x[:, None].astype(float) - x[None].astype(float), axis=2)
    np.fill_diagonal(distance, np.inf)
    wanted = {(i, int(j)) for i in range(40) for j in np.argsort(distance[i])[:3]}
    wanted |= {(j, i) for i, j in wanted}
    assert set(zip(*found.edge_index.tolist(), strict=True)) == wanted


def test_what_is_odd_about_the_input_is_said(run: Run, folder: Path) -> None:
    graph = _blocks()
    x = np.asarray(graph.x).copy()
    x = np.concatenate([x, np.zeros((3, 6), np.float32)])
    x[60] = x[0]
    doubled = torch.cat([graph.edge_index, graph.edge_index[:, :4], torch.tensor([[5], [5]])], dim=1)
    gr.write(gr.Graph(doubled, x=x, y=[*graph.y.tolist(), 0, 1, 2], num_nodes=63), folder / "odd.npz")
    said = run("cluster", "odd.npz", "-k", "3", "-m", "smooth", "--labels", "y").stdout
    assert "3 of 63 nodes have no neighbours." in said
    assert "2 of 63 nodes have no features (all 0)." in said
    counts = _result(folder, "odd")["input"]
    assert (counts["isolated"], counts["zero_feature_rows"], counts["self_loops"]) == (3, 2, 1)
    assert counts["merged"] == 4
    page = (folder / "runs" / "cluster-odd" / "report.html").read_text()
    assert "3 of 63 nodes have no neighbours." in page


def test_large_features_are_scaled_for_methods_that_train(run: Run, folder: Path, blocks: gr.Graph) -> None:
    gr.write(blocks.replace(x=100 * blocks.x), folder / "large.npz")
    said = run("cluster", "large.npz", "-k", "3", *SMALL, "--no-baselines").stdout
    scale = _result(folder, "large")["params"]["scale_features"]
    assert f"The features are large: scgc multiplied them by {scale:g}" in said
    assert scale * float((100 * blocks.x).square().mean().sqrt()) == pytest.approx(1.0, rel=1e-2)
    run("cluster", "large.npz", "-k", "3", *SMALL, "--no-baselines", "--set", "scale_features=none")
    assert _result(folder, "large")["params"]["scale_features"] == "none"


def test_labels_of_one_class_are_named_as_such(run: Run, folder: Path, blocks: gr.Graph) -> None:
    (folder / "one.csv").write_text("id,label\n" + "".join(f"{i},a\n" for i in range(50)))
    said = run("cluster", "blocks.npz", "-k", "3", "-m", "smooth", "--no-baselines", "--labels", "one.csv").stdout
    assert "All labels are the same class" in said
    assert "10 of 60 nodes have no label and are not judged." in said


# errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-k", "500"], "Asked for 500 clusters but the graph has 60 nodes."),
        (["-k", "1"], "-k 1: with one cluster every node is in it."),
        (["-k", "many"], '-k takes a number, a range or auto; got "many".'),
        (["-k", "5:3"], "-k 5:3: a range goes from 2 or more upwards."),
        (["-k", "3", "-m", "scg"], 'Unknown method "scg". Did you mean "scgc"?'),
        (["-k", "3", "-m", "kmeens"], 'Unknown method "kmeens". Did you mean "kmeans"?'),
        (["-k", "3", "--labels", "group"], '--labels "group": no such file, and the labels of a graph are called y.'),
        (["-k", "3", "--set", "hops=2"], 'scgc has no parameter "hops"'),
        (["-k", "3", "--set", "num_clusters=2"], "The number of clusters is set by -k."),
        (["-k", "3", "-o", "a.xlsx"], 'a.xlsx: no format is known for ".xlsx".'),
        (["-k", "3", "-o", "nowhere/a.csv"], "There is no folder nowhere to write into."),
        (["-k", "3", "--format", "cvs"], 'Unknown format "cvs". Did you mean "csv"?'),
        (["-k", "3", "-o", "a.h5ad"], "AnnData is written for an input of AnnData"),
        (["-k", "3", "--knn", "4"], "--knn makes a graph of features, and this input has edges."),
        (["-k", "3", "--recipe", "grace/cora"], "Recipe grace/cora is for grace, which does not cluster."),
    ],
)
def test_bad_requests(run: Run, blocks: gr.Graph, arguments: list[str], message: str) -> None:
    said = run("cluster", "blocks.npz", *arguments, code=2).stderr
    assert message in said
    assert "Try:" in said


def test_missing_labels_and_inputs(run: Run, folder: Path, blocks: gr.Graph) -> None:
    assert "No graph was given." in run("cluster", "-k", "3", code=2).stderr
    assert "edges.csv has no labels." in run("cluster", "edges.csv", "-k", "3", "--labels", "y", code=2).stderr
    (folder / "none.csv").write_text("id,label\nx,1\n")
    said = run("cluster", "blocks.npz", "-k", "3", "--labels", "none.csv", code=2).stderr
    assert "None of the 1 ids in none.csv is a node" in said
    np.save(folder / "nan.npy", np.array([[1.0, np.nan], [0, 1], [1, 1]], np.float32))
    assert "NaN" in run("cluster", "nan.npy", "-k", "2", code=2).stderr


def test_other_files_are_not_overwritten(run: Run, folder: Path, blocks: gr.Graph) -> None:
    common = ("cluster", "blocks.npz", "-k", "3", "-m", "smooth", "--no-baselines")
    (folder / "mine.csv").write_text("a,b\n1,2\n")
    said = run(*common, "-o", "mine.csv", code=2).stderr
    assert "mine.csv exists and holds no clusters; it would be overwritten." in said
    assert (folder / "mine.csv").read_text() == "a,b\n1,2\n"
    run(*common, "-o", "ours.csv")
    run(*common, "-o", "ours.csv")  # clusters of an earlier run are replaced
    (folder / "notes").mkdir()
    (folder / "notes" / "diary.txt").write_text("dear diary")
    assert "no run folder" in run(*common, "--run-dir", "notes", code=2).stderr
    (folder / "plain.csv").write_text("source,target\n0,1\n1,2\n2,3\n")
    over = run("cluster", "plain.csv", "-k", "2", "-m", "louvain", "-o", "plain.csv", code=2).stderr
    assert "is the graph itself; it would be overwritten" in over


def test_a_baseline_that_fails_is_left_out_with_the_reason(run: Run, folder: Path) -> None:
    two = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7], [1, 0, 3, 2, 5, 4, 7, 6]])
    gr.write(gr.Graph(two), folder / "pairs.npz")
    run("cluster", "pairs.npz", "-k", "2", "-m", "kmeans")
    left = " ".join(_result(folder, "pairs")["left_out"])
    assert "louvain: Asked for 2 clusters but the graph has 4 connected components" in left
    alone = run("cluster", "pairs.npz", "-k", "2", "-m", "louvain", code=2).stderr
    assert "4 connected components" in alone


def test_large_graphs_get_light_baselines() -> None:
    from graphrep.cli.clustering.job import _baselines

    settings: dict[str, dict[str, Any]] = {"cluster": {}}
    light, slow = _baselines(settings, ["scgc", "kmeans"], 1000)
    assert (light, slow) == (["smooth", "spectral", "louvain", "leiden"], [])
    assert _baselines(settings, ["scgc", "kmeans"], 10**6) == (light[:-1], ["leiden"])
    assert _baselines({"cluster": {"baselines": False}}, ["scgc"], 1000) == ([], [])


def test_a_missing_package_is_named(run: Run, blocks: gr.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "leidenalg", None)
    said = run("cluster", "blocks.npz", "-k", "3", "-m", "leiden", code=2).stderr
    assert 'pip install "graphrep[leiden]"' in said


# interruption


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_interrupted_runs_go_on_where_they_stopped(run: Run, folder: Path, blocks: gr.Graph) -> None:
    options = [
        "blocks.npz", "-k", "3", "-m", "pamc", "--set", "hidden_dims=16", "--set", "epochs=3000", "--set", "stop=none",
        "--runs", "2",
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "graphrep.cli.main", "cluster", *options],
        cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    metrics = folder / "runs" / "cluster-blocks" / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while not (metrics.is_file() and '"changed"' in metrics.read_text()):
        assert time.monotonic() < deadline, "no epoch finished"
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Interrupted in pamc, seed 0" in said
    assert "To finish: graphrep cluster --resume runs/cluster-blocks" in said
    fitted = sorted(p.name for p in (folder / "runs" / "cluster-blocks" / "fits").iterdir())
    assert "smooth-1" in fitted
    assert not (folder / "blocks.clusters.csv").exists()
    config = folder / "runs" / "cluster-blocks" / "config.toml"
    before = metrics.read_text().count('"method": "pamc"')
    config.write_text(config.read_text().replace("epochs = 3000", f"epochs = {before + 2}"))
    run("cluster", "--resume", "runs/cluster-blocks")
    assert len(_rows(folder / "blocks.clusters.csv")) == 60
    assert not (folder / "runs" / "cluster-blocks" / "fits").exists()
    assert "is finished" in run("cluster", "--resume", "runs/cluster-blocks").stdout


# other nodes


def test_apply_labels_other_nodes(run: Run, folder: Path, blocks: gr.Graph) -> None:
    run("cluster", "blocks.npz", "-k", "3", "-m", "smooth", "--no-baselines", "-o", "old.csv")
    gr.write(_blocks(seed=1), folder / "new.npz")
    run("cluster", "apply", "runs/cluster-blocks", "blocks.npz", "-o", "same.csv")
    old, same = (_rows(folder / name) for name in ("old.csv", "same.csv"))
    assert [row["cluster"] for row in old] == [row["cluster"] for row in same]
    found = json.loads(run("cluster", "apply", "runs/cluster-blocks/model", "new.npz", "--json").stdout)
    assert found["num_clusters"] == 3
    labels = np.array([int(row["cluster"]) for row in _rows(folder / "new.clusters.csv")])
    assert gr.eval.cluster_scores(np.arange(60) % 3, labels).acc == 1.0


def test_apply_of_a_trained_model_keeps_its_shares(run: Run, folder: Path, blocks: gr.Graph) -> None:
    run("cluster", "blocks.npz", "-k", "3", "-m", "scgc", *SMALL, "--no-baselines", "-o", "old.csv")
    run("cluster", "apply", "runs/cluster-blocks", "blocks.npz", "-o", "same.csv")
    old, same = (_rows(folder / name) for name in ("old.csv", "same.csv"))
    np.testing.assert_allclose(
        [float(row["confidence"]) for row in old], [float(row["confidence"]) for row in same], rtol=1e-4
    )


def test_apply_says_what_it_cannot_do(run: Run, folder: Path, blocks: gr.Graph) -> None:
    assert "does not hold a saved clustering" in run("cluster", "apply", "nothing", "blocks.npz", code=2).stderr
    run("cluster", "blocks.npz", "-k", "3", "-m", "louvain", "--no-baselines")
    said = run("cluster", "apply", "runs/cluster-blocks", "blocks.npz", "-o", "x.csv", code=2).stderr
    assert "labels the nodes that it was fitted on and no others" in said
    run("cluster", "blocks.npz", "-k", "3", "-m", "smooth", "--no-baselines")
    without = run("cluster", "apply", "runs/cluster-blocks", "karate", code=2).stderr
    assert "runs/cluster-blocks was made with features, and this graph has none." in without
    assert "No graph was given" in run("cluster", "apply", "runs/cluster-blocks", code=2).stderr


def test_help_lists_cluster_once(run: Run) -> None:
    lines = [line for line in run("--help").stdout.splitlines() if "cluster" in line.split()[:1]]
    assert len(lines) == 1
    assert "graphrep cluster apply" in run("cluster", "--help").stdout
    assert "MODEL" in run("cluster", "apply", "--help").stdout


# AnnData


def _cells(path: Path, *, neighbours: bool = True) -> Any:
    anndata = pytest.importorskip("anndata")
    import scipy.sparse as sp

    from graphrep.interop.anndata import save_h5ad

    graph = _blocks()
    data = anndata.AnnData(np.asarray(graph.x))
    data.obs_names = [f"cell{i}" for i in range(60)]
    data.var_names = [f"gene{i}" for i in range(6)]
    data.obs["type"] = [f"type {k}" for k in graph.y.tolist()]
    data.obsm["X_pca"] = np.asarray(graph.x)[:, :4]
    if neighbours:
        data.obsp["connectivities"] = sp.csr_matrix(gr.to_scipy(graph).astype(np.float32))
    save_h5ad(path, data)
    return data


def test_cells_in_and_out(run: Run, folder: Path) -> None:
    cells = _cells(folder / "cells.h5ad")
    before = (folder / "cells.h5ad").read_bytes()
    said = run("cluster", "cells.h5ad", "-k", "3", "-m", "smooth", "--no-baselines", "--labels", "type").stdout
    assert "ACC" in said
    import anndata

    found = anndata.read_h5ad(folder / "cells.clusters.h5ad")
    assert list(found.obs["graphrep"].cat.categories) == ["0", "1", "2"]
    assert found.obsm["X_graphrep"].shape == (60, 3)
    np.testing.assert_array_equal(found.X, cells.X)
    assert (folder / "cells.h5ad").read_bytes() == before
    facts = _result(folder, "cells")["clusters"]
    assert all(cluster["features"][0][0].startswith("gene") for cluster in facts)
    run("cluster", "cells.h5ad", "-k", "3", "-m", "smooth", "--no-baselines")  # its own output is replaced
    refused = run("cluster", "cells.h5ad", "-k", "3", "-m", "smooth", "-o", "cells.h5ad", code=2).stderr
    assert "cells.h5ad is the graph itself" in refused
    run("cluster", "cells.h5ad", "-k", "3", "-m", "smooth", "--no-baselines", "-o", "a.csv", "--features", "X")
    assert _result(folder, "cells")["input"]["features"] == 6
    assert _rows(folder / "a.csv")[0]["id"] == "cell0"


def test_cells_without_neighbours(run: Run, folder: Path) -> None:
    _cells(folder / "cells.h5ad", neighbours=False)
    said = run("cluster", "cells.h5ad", "-k", "3", "-m", "louvain", "--no-baselines", "-o", "a.csv").stdout
    assert "each node was linked with its 10 nearest" in said


def test_cells_without_the_extra(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "cells.h5ad").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "anndata", None)
    assert 'pip install "graphrep[anndata]"' in run("cluster", "cells.h5ad", "-k", "3", code=2).stderr
