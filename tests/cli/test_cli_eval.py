"""`graphrep eval` and `graphrep demo`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrep as gr

Run = Callable[..., Any]


@pytest.fixture
def embedded(run: Run, folder: Path) -> Path:
    """karate.embeddings.npz in the working folder."""
    run("embed", "karate", "--dim", 16, "-q")
    return folder / "karate.embeddings.npz"


def test_deepwalk_equals_the_library(run: Run, embedded: Path) -> None:
    options = ("--dataset", "karate", "--protocol", "deepwalk", "--ratios", "0.5,0.8", "-C", 10, "--runs", 3)
    found = json.loads(run("eval", embedded, *options, "--json").stdout)
    expected = gr.eval.linear_probe(
        gr.load_embeddings(embedded).vectors,
        gr.load("karate").y,
        protocol="deepwalk",
        seeds=range(3),
        c=10.0,
        train_ratios=(0.5, 0.8),
    )
    for row, theirs in zip(found["rows"], expected.rows, strict=True):
        assert row["micro_f1"] == pytest.approx(100 * theirs.micro_f1)
        assert row["micro_f1_std"] == pytest.approx(100 * theirs.micro_f1_std_sample)
    said = run("eval", embedded, *options).stdout
    assert "protocol deepwalk: 2 classes, 3 splits (std over data splits, n - 1)" in said
    assert "C 10" in said
    assert "50 %" in said


def test_clusters_and_labels_from_a_file(run: Run, embedded: Path, folder: Path) -> None:
    labels = gr.load("karate").y.tolist()
    Path("l.csv").write_text("id,label\n" + "".join(f"{i},side {v}\n" for i, v in enumerate(labels)))
    options = ("--protocol", "clusters", "--runs", 2, "--json")
    by_file = json.loads(run("eval", embedded, "--labels", "l.csv", *options).stdout)
    by_name = json.loads(run("eval", embedded, "--dataset", "karate", *options).stdout)
    assert by_file["acc"] == by_name["acc"]
    assert 0.5 <= by_file["acc"] <= 1
    assert "k-means" in by_file["about"]


def test_links_need_and_get_a_clean_split(run: Run, folder: Path) -> None:
    lines = Path("edges.csv").read_text().splitlines()
    pairs = {tuple(sorted(line.split(",")[:2])): line for line in lines[1:] if len(set(line.split(",")[:2])) == 2}
    rows = list(pairs.values())
    Path("train.csv").write_text("\n".join([lines[0], *rows[20:]]))
    Path("test.csv").write_text("\n".join([lines[0], *rows[:20]]))
    run("embed", "train.csv", "--dim", 32, "-q")
    options = ("--protocol", "links", "--dataset", "train.csv", "--links")
    found = json.loads(run("eval", "train.embeddings.npz", *options, "test.csv", "--json").stdout)
    assert found["auc"] > 0.5
    assert found["negatives"] == "uniform, 1 per link"
    assert found["about"].endswith("20 links against 20 pairs without one, cosine score")
    error = run("eval", "train.embeddings.npz", *options, "edges.csv", code=2).stderr
    total = len(rows)
    assert f"{total - 20} of {total} held-out edges also occur in the training edges." in error
    assert "pass --allow-leak to go on anyway" in error
    allowed = ("eval", "train.embeddings.npz", *options, "edges.csv", "--allow-leak")
    leaky = json.loads(run(*allowed, "--json").stdout)
    assert (found["leaked"], leaky["leaked"]) == (0, total - 20)
    assert f"{total - 20} of the links are edges of train.csv, which the vectors have seen" in run(*allowed).stdout
    Path("new.csv").write_text("from,to\nn1,stranger\n")
    assert 'has node "stranger"' in run("eval", "train.embeddings.npz", *options, "new.csv", code=2).stderr
    assert "Try: --links" in run("eval", "train.embeddings.npz", "--protocol", "links", code=2).stderr


def test_labels_are_matched_by_id(run: Run, folder: Path) -> None:
    graph = gr.load("karate")
    order = np.random.default_rng(0).permutation(34)
    z = gr.FastRP(dim=16).fit_transform(graph).numpy()
    gr.save_embeddings("a.npz", z, ids=np.arange(34))
    gr.save_embeddings("b.npz", z[order], ids=order)
    options = ("--dataset", "karate", "--protocol", "clusters", "--runs", 1, "--json")
    scores = [json.loads(run("eval", name, *options).stdout) for name in ("a.npz", "b.npz")]
    assert scores[0]["nmi"] == pytest.approx(scores[1]["nmi"], abs=0.2)


BAD = {
    "protocol": (["--dataset", "karate", "--protocol", "grase"], 'Unknown protocol "grase". Did you mean "grace"?'),
    "no protocol": (["--dataset", "karate"], "No protocol was named"),
    "no labels": (["--protocol", "grace"], "This protocol needs labels"),
    "unlabelled": (["--protocol", "grace", "--dataset", "lesmis"], "lesmis has no labels"),
    "other nodes": (["--protocol", "grace", "--dataset", "davis"], "No node of the embedding is a node of davis"),
    "ratios": (["--protocol", "deepwalk", "--dataset", "karate", "--ratios", "a"], "--ratios takes numbers"),
    "fixed": (["--protocol", "deepwalk", "--dataset", "karate", "-C", "-1"], "c must be positive"),
    "recipe": (["--protocol", "grace", "--dataset", "karate", "--recipe", "x/y"], 'Unknown recipe "x/y"'),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_input(run: Run, embedded: Path, name: str) -> None:
    arguments, message = BAD[name]
    result = run("eval", embedded, *arguments, code=2)
    assert message in result.stderr
    assert "Try:" in result.stderr


def test_recipe_numbers_stay_with_their_protocol(run: Run, folder: Path) -> None:
    graph = gr.load("karate")
    gr.save_embeddings(
        "r.npz", np.eye(34, 8, dtype=np.float32), ids=graph.ids, settings={"recipe": "fastrp/blogcatalog"}
    )
    found = json.loads(run("eval", "r.npz", "--dataset", "karate", "--protocol", "clusters", "--json").stdout)
    assert found["recipe"] is None
    found = json.loads(run("eval", "r.npz", "--dataset", "karate", "--ratios", "0.5", "--seed", 7, "--json").stdout)
    assert found["protocol"] == "deepwalk"
    assert found["rows"][0]["c"] == [0.1]
    assert found["seeds"] == [7, 8, 9, 10, 11]
    assert found["published"]["ratios"]


def test_a_single_run_has_no_spread(run: Run, embedded: Path) -> None:
    options = ("--dataset", "karate", "--protocol", "deepwalk", "--ratios", "0.5", "--runs", 1)
    assert "(single run)" in run("eval", embedded, *options).stdout
    assert json.loads(run("eval", embedded, *options, "--json").stdout)["rows"][0]["micro_f1_std"] is None


def test_result_file(run: Run, embedded: Path, folder: Path) -> None:
    run("eval", embedded, "--dataset", "karate", "--protocol", "clusters", "--runs", 1, "-o", "r.json")
    found = json.loads((folder / "r.json").read_text())
    assert {"command", "versions", "settings", "acc"} <= set(found)


def test_demo_on_a_small_graph(run: Run, folder: Path) -> None:
    said = run("demo", "--data", "karate", "--dim", 16, "-o", "tour").stdout
    for text in ("1/3 embed", "2/3 cluster", "k-means", "3/3 judge", "linear probe", "Louvain", "AUC", "common neigh"):
        assert text in said
    assert said.splitlines()[-1].startswith("Next   graphrep embed YOUR_EDGES.csv")
    assert {path.name for path in Path("tour").iterdir()} >= {
        "embeddings.npz",
        "clusters.csv",
        "report.html",
        "result.json",
        "config.toml",
    }
    page = Path("tour/report.html").read_text()
    assert "Confusion" in page
    assert "Nearest neighbours" in page
    assert Path("tour/clusters.csv").read_text().startswith("id,cluster\n0,")
    scores = json.loads(Path("tour/result.json").read_text())["scores"]
    assert 0 <= scores["links"]["auc"] <= 1


def test_demo_needs_classes(run: Run) -> None:
    assert "one class per node, which lesmis does not have" in run("demo", "--data", "lesmis", code=2).stderr


@pytest.mark.slow
def test_demo_on_digits(run: Run, folder: Path) -> None:
    """Bounds: five seeds of the embedding gave accuracies within a point and AUC within 0.003 of each other."""
    scores = json.loads(run("demo", "--json").stdout)["scores"]
    assert scores["probe"]["micro_f1"] > 93
    assert scores["clusters"]["nmi"] > 0.7
    assert scores["links"]["auc"] > 0.97


@pytest.mark.slow
def test_blogcatalog_recipe(data_root: Path, run: Run) -> None:
    """The published protocol end to end: micro-F1 at 10 % labels >= 37.0 and macro-F1 >= 22.5, mean of 5 shuffles."""
    where = ("--data-dir", data_root)
    run("embed", "blogcatalog", "--method", "fastrp", "--recipe", "fastrp/blogcatalog", *where, "-q")
    options = ("--dataset", "blogcatalog", "--protocol", "deepwalk", "--ratios", "0.1", *where)
    found = json.loads(run("eval", "blogcatalog.embeddings.npz", *options, "--json").stdout)
    assert len(found["seeds"]) == 5
    assert found["rows"][0]["micro_f1"] >= 37.0
    assert found["rows"][0]["macro_f1"] >= 22.5
    assert "published micro / macro" in run("eval", "blogcatalog.embeddings.npz", *options).stdout
