"""`graphrep eval` on the folder of a trained model: verdicts by in-degree, files, picture, and what it refuses."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import graphrep as gr
from graphrep.cli.report.compactness import draw_compactness
from graphrep.cli.report.figure import save_figure, svg_text
from graphrep.errors import GraphrepError
from graphrep.methods import CompactnessReport, TrainedEstimator
from graphrep.methods.compactness import VERDICTS
from graphrep.registry import METHODS, Entry

Run = Callable[..., Any]
SMALL = ("--dim", "4", "--epochs", "2", "--set", "eval_every=0")
KARATE = ("karate", "--features", "degree", *SMALL)


@pytest.fixture
def model(run: Run, folder: Path) -> gr.GRACE:
    """What ``runs/train-grace-karate`` holds, trained on features made from the degrees."""
    run("train", "grace", *KARATE)
    return gr.GRACE.load("runs/train-grace-karate")


def karate_with_degrees() -> gr.Graph:
    from graphrep.cli.features import with_features

    return with_features(gr.load("karate"), "degree")


def test_the_run_knows_its_graph_features_and_rates(run: Run, model: gr.GRACE) -> None:
    report = model.compactness(karate_with_degrees(), drop_rate=max(model.drop_edge_rates))
    found = json.loads(run("eval", "runs/train-grace-karate", "--json").stdout)
    assert found["protocol"] == "compactness"
    assert {name: found[name] for name in ("nodes", *VERDICTS)} == report.summary()
    assert found["drop_rate"] == 0.4
    assert (found["in_edges"], found["may_be_dropped"]) == (int(report.degree.sum()), int(report.budget.sum()))
    for row, bucket in zip(found["by_degree"], report.by_degree(), strict=True):
        assert (row["low"], row["high"], row["fragile"]) == (bucket.low, bucket.high, bucket.fragile)
        assert row["mean_bound"] == pytest.approx(bucket.mean_bound)
        assert row["range_clean"] == pytest.approx(list(bucket.range_clean))
    assert found["all"]["mean_clean"] == pytest.approx(float(report.clean.mean()))
    assert found["inputs"]["judged"]["name"] == "runs/train-grace-karate/model.safetensors"
    assert (found["inputs"]["dataset"]["name"], found["files"]) == ("karate", {})
    named = ("eval", "runs/train-grace-karate", "--dataset", "karate", "--features", "degree", "-p", "compactness")
    again = json.loads(run(*named, "--drop-rate", 0.4, "--json").stdout)
    assert again["by_degree"] == found["by_degree"]
    gentle = json.loads(run(*named, "--drop-rate", 0.0, "--json").stdout)
    assert gentle["may_be_dropped"] == 0
    assert gentle["all"]["mean_bound"] == pytest.approx(gentle["all"]["mean_clean"], abs=1e-5)


def test_the_table_says_what_its_words_mean(run: Run, model: gr.GRACE) -> None:
    lines = run("eval", "runs/train-grace-karate").stdout.splitlines()
    assert lines[0] == (
        "train-grace-karate: protocol compactness: GRACE on karate, 34 nodes; "
        "each node may lose 40 % of its in-edges, rounded, and keeps one"
    )
    assert lines[1].split("  ")[1:2] == ["in-edges"]
    total = next(line.split() for line in lines if line.split()[0] == "all")
    assert total[1] == "34"
    for word in ("certified", "fragile", "badly trained", "clean", "bound", "official"):
        assert any(line.startswith(f"  {word} ") and len(line) > 40 for line in lines)
    assert any("of views that drop more, nothing is said" in line for line in lines)


def test_files(run: Run, model: gr.GRACE, folder: Path) -> None:
    options = ("--per-node", "nodes.csv", "--report", "--picture", "k.png", "-o", "k.json")
    said = run("eval", "runs/train-grace-karate", *options).stdout
    page = Path("runs/train-grace-karate/compactness-karate.html")
    for name in ("nodes.csv", "k.png", str(page), "k.json"):
        assert f"Wrote {name}\n" in said
    report = model.compactness(karate_with_degrees())
    with Path("nodes.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["id", "degree", "budget", "clean", "bound", "official", "verdict"]
    assert [int(row["id"]) for row in rows] == list(range(34))
    assert [int(row["budget"]) for row in rows] == report.budget.tolist()
    assert [float(row["bound"]) for row in rows] == pytest.approx(report.bound.tolist(), rel=1e-5)
    assert [row["verdict"] for row in rows] == [VERDICTS[k] for k in report.verdict]
    assert Path("k.png").read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    assert f"karate: {report.summary()['certified']} of 34 nodes are certified" in text
    assert "<svg" in text
    assert "What the words mean" in text
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", text)
    assert json.loads(Path("k.json").read_text())["files"]["report"] == str(page)


def test_a_model_with_ids_and_weighted_dropping(run: Run, folder: Path) -> None:
    run("train", "gca", "edges.csv", "--features", "degree", *SMALL, "-o", "run")
    said = run("eval", "run", "--per-node", "nodes.csv").stdout
    assert "each node may lose as many in-edges as GCA drops on average, rounded, and keeps one" in said
    found = json.loads(run("eval", "run", "--json").stdout)
    assert found["drop_rate"] is None
    with Path("nodes.csv").open() as stream:
        ids = [row["id"] for row in csv.DictReader(stream)]
    assert ids == [str(node) for node in gr.read("edges.csv").ids]
    uniform = json.loads(run("eval", "run", "--drop-rate", 0.9, "--json").stdout)
    assert uniform["may_be_dropped"] > found["may_be_dropped"]


class Alone(TrainedEstimator):
    """Of one view."""

    seed = 0

    def __init__(self, dim: int = 2) -> None:
        self.dim = dim

    @classmethod
    def load(cls, path: Any) -> Alone:
        """Nothing is read."""
        return cls()


def test_what_cannot_be_judged(run: Run, model: gr.GRACE, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def error(*arguments: object) -> str:
        return str(run("eval", *arguments, code=2).stderr)

    made = "runs/train-grace-karate"
    assert error(made, "--dataset", "karate") == (
        "Error: grace needs node features and karate has none.\n"
        "Try: --features FILE, --features degree|onehot|fastrp, or -m fastrp, which needs none\n"
    )
    assert f"{made}/model.safetensors was trained on 66 features; this graph has 64." in error(
        made, "--dataset", "digits"
    )
    assert "drop_rate is 1.5; a probability lies in [0, 1]." in error(made, "--drop-rate", 1.5)
    assert error(made, "--protocol", "gca") == (
        f"Error: {made} is the folder of a model, and protocol gca judges embeddings.\n"
        f"Try: {made}/embeddings.npz, or --protocol compactness\n"
    )
    Path("c.csv").write_text("id,cluster\n0,1\n")
    assert "c.csv holds clusters, and protocol compactness judges trained models" in error("c.csv", "-p", "compactness")
    vectors = f"{made}/embeddings.npz"
    assert "judges a trained model, and runs/" in error(vectors, "--protocol", "compactness", "--dataset", "karate")
    assert "--report belongs to protocol compactness" in error(vectors, "--protocol", "spectrum", "--report")
    assert "--drop-rate belongs to" in error(vectors, "--protocol", "spectrum", "--drop-rate", 0)
    assert "nodes.txt is no csv file." in error(made, "--per-node", "nodes.txt")
    assert 'k.doc: no picture is written as "doc".' in error(made, "--picture", "k.doc")
    assert not Path("nodes.txt").exists()
    Path("empty").mkdir()
    assert "empty does not hold a trained model." in error("empty")
    model.save("alone")
    assert "alone does not say which graph its model is from.\nTry: --dataset GRAPH" in error("alone")
    monkeypatch.setitem(METHODS, "grace", Entry("elsewhere:GRACE", "embed", ""))
    monkeypatch.setattr(Entry, "load", lambda entry: Alone)
    said = error("alone", "--dataset", "karate")
    assert "Protocol compactness judges models of two views; alone holds one of Alone." in said


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("activation=elu",), "Layer activation (ELU(alpha=1.0)) cannot be bounded."),
        (("num_layers=3",), "GCNEncoder has 3 GCNConv layers (convs.0, convs.1, convs.2); bounds exist for two."),
    ],
)
def test_layers_that_cannot_be_bounded_are_named(run: Run, settings: tuple[str, ...], message: str) -> None:
    run("train", "grace", *KARATE, "-o", "run", *(word for pair in settings for word in ("--set", pair)))
    assert message in run("eval", "run", code=2).stderr


def test_no_picture_without_matplotlib(run: Run, model: gr.GRACE, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    for option in (("--report",), ("--picture", "k.png")):
        error = run("eval", "runs/train-grace-karate", *option, code=2).stderr
        assert 'Try: pip install "graphrep[viz]"' in error
    assert run("eval", "runs/train-grace-karate", "--per-node", "nodes.csv").exit_code == 0


def report_of(nodes: int) -> CompactnessReport:
    generator = torch.Generator().manual_seed(nodes)
    clean = torch.randn(nodes, generator=generator) + 0.5
    degree = torch.randint(0, 100, (nodes,), generator=generator)
    return CompactnessReport(clean, clean - degree / 50, clean + 0.1, degree, degree // 2, 0.0)


@pytest.mark.parametrize("nodes", [1, 2, 63])
def test_picture_holds_the_numbers(nodes: int, tmp_path: Path) -> None:
    report = report_of(nodes)
    figure = draw_compactness(report, "<graph>")
    shares, values, each = figure.axes
    buckets = report.by_degree()
    for verdict, bars in zip(VERDICTS, shares.containers, strict=True):
        assert [bar.get_height() for bar in bars] == pytest.approx([getattr(b, verdict) / b.nodes for b in buckets])
    assert [bar.get_y() + bar.get_height() for bar in shares.containers[2]] == pytest.approx([1.0] * len(buckets))
    lines = {line.get_label(): line.get_ydata() for line in values.lines}
    for name in ("clean", "bound", "official"):
        assert lines[name] == pytest.approx([getattr(bucket, f"mean_{name}") for bucket in buckets])
    points = each.collections[0].get_offsets()
    assert sorted(points[:, 1]) == pytest.approx(sorted(report.bound.tolist()))
    text = svg_text(figure)
    assert text.startswith("<svg")
    assert "&lt;graph&gt;" in text
    assert text == svg_text(draw_compactness(report, "<graph>"))
    for name in ("a.png", "b.pdf", "c.svg"):
        save_figure(tmp_path / "new" / name, figure)
        assert (tmp_path / "new" / name).stat().st_size > 1000
    with pytest.raises(GraphrepError, match='no picture is written as ""'):
        save_figure(tmp_path / "plain", figure)
