"""`graphrep embed`: transcript, files, precedence of settings, errors."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrep as gr
from graphrep.errors import OutOfMemoryError

Run = Callable[..., Any]
SMALL = ("--dim", "8")


def vectors(path: str | Path) -> np.ndarray:
    return gr.load_embeddings(path).vectors


def test_transcript_and_files(run: Run, folder: Path) -> None:
    said = run("embed", "edges.csv", *SMALL, "--weights", "0,0,1,6.5").stdout.splitlines()
    assert said[0] == "edges.csv: columns from, to, times (used as weight; --no-weight to ignore)"
    assert said[1].startswith("  read 300 rows: 60 nodes (ids kept as text), ")
    assert said[2].startswith("  merged ")
    computed = next(line for line in said if line.startswith("FastRP"))
    assert computed.startswith("FastRP  dim 8  weights 0,0,1,6.5  backend cpu/numba  ..")
    assert " s   peak " in computed
    wrote = "Wrote edges.embeddings.npz (ids, vectors float32, settings)      --format parquet|csv|w2v|npy for others"
    assert said[-1] == wrote
    saved = gr.load_embeddings("edges.embeddings.npz")
    assert saved.vectors.shape == (60, 8)
    assert saved.settings["params"]["weights"] == [0.0, 0.0, 1.0, 6.5]
    expected = gr.FastRP(dim=8, weights=(0, 0, 1, 6.5)).fit_transform(gr.read("edges.csv"))
    assert np.array_equal(saved.vectors, expected.numpy())


def test_run_folder(run: Run, folder: Path) -> None:
    run("embed", "edges.csv", *SMALL)
    home = folder / "runs" / "embed-edges"
    result = json.loads((home / "result.json").read_text())
    assert result["num_nodes"] == 60
    assert result["graph"]["rows"] == 300
    assert {"graphrep", "torch", "numba", "python"} <= set(result["versions"])
    assert result["seconds"]["compute"] >= 0
    assert result["peak_memory_bytes"] > 10**7
    assert result["device"] == "cpu"
    lines = [json.loads(line) for line in (home / "metrics.jsonl").read_text().splitlines()]
    assert [line["power"] for line in lines] == [1, 2, 3]
    assert "Wrote edges.embeddings.npz" in (home / "log.txt").read_text()
    assert not list(home.glob("checkpoint*"))
    config = tomllib.loads((home / "config.toml").read_text())
    assert config["params"]["dim"] == 8
    assert config["run"]["graph"] == "edges.csv"


def test_config_repeats_exactly(run: Run, folder: Path) -> None:
    run(
        "embed",
        "edges.csv",
        "--dim",
        16,
        "--seed",
        5,
        "--set",
        "degree_exponent=-0.5",
        "--no-weight",
        "--precision",
        "bf16",
    )
    first = (folder / "edges.embeddings.npz").read_bytes()
    (folder / "edges.embeddings.npz").unlink()
    run("embed", "--config", "runs/embed-edges/config.toml", "--save-config", "kept.toml")
    assert (folder / "edges.embeddings.npz").read_bytes() == first
    assert "bfloat16" in Path("kept.toml").read_text()
    run("embed", "--config", "kept.toml", "-o", "again.npz")
    assert np.array_equal(vectors("again.npz"), vectors("edges.embeddings.npz"))


def test_later_beats_earlier(run: Run, folder: Path) -> None:
    Path("c.toml").write_text('[run]\ngraph = "edges.csv"\n[params]\ndim = 10\nseed = 1\nself_weight = 0.5\n')
    plan = json.loads(run("embed", "--config", "c.toml", "--dry-run", "--json").stdout)["plan"]["params"]
    assert (plan["dim"], plan["seed"], plan["self_weight"]) == (10, 1, 0.5)
    options = ("--config", "c.toml", "--dim", 12, "--seed", 2)
    plan = json.loads(run("embed", *options, "--dry-run", "--json").stdout)["plan"]["params"]
    assert (plan["dim"], plan["seed"], plan["self_weight"]) == (12, 2, 0.5)
    plan = json.loads(run("embed", *options, "--set", "dim=14", "--dry-run", "--json").stdout)["plan"]["params"]
    assert (plan["dim"], plan["seed"], plan["self_weight"]) == (14, 2, 0.5)


def test_json_is_one_object_and_quiet_is_one_path(run: Run) -> None:
    result = run("embed", "edges.csv", *SMALL, "--json")
    assert json.loads(result.stdout)["out"] == "edges.embeddings.npz"
    assert result.stdout.count("\n") == 1
    quiet = run("embed", "edges.csv", *SMALL, "-q")
    assert quiet.stdout == "edges.embeddings.npz\n"
    assert quiet.stderr == ""


def test_dry_run_writes_nothing(run: Run, folder: Path) -> None:
    said = run("embed", "edges.csv", "--dry-run").stdout
    assert "FastRP(dim=256)" in said
    assert "needs about" in said
    assert sorted(path.name for path in folder.iterdir()) == ["edges.csv"]


@pytest.mark.parametrize("kind", ["npz", "npy", "csv", "parquet", "w2v"])
def test_formats(run: Run, kind: str) -> None:
    run("embed", "edges.csv", *SMALL, "-q")
    path = run("embed", "edges.csv", *SMALL, "--format", kind, "-o", f"v.{kind}", "-q").stdout.strip()
    np.testing.assert_allclose(vectors(path), vectors("edges.embeddings.npz"), rtol=1e-6)


@pytest.mark.parametrize("name", ["karate", "nx:karate_club_graph", "lesmis"])
def test_graphs_by_name(run: Run, name: str) -> None:
    assert json.loads(run("embed", name, *SMALL, "--json").stdout)["num_nodes"] in (34, 77)


def test_reading_options(run: Run, folder: Path) -> None:
    Path("odd.dat").write_text("x|1|7|b\nx|2|9|c\n")
    said = json.loads(
        run("embed", "odd.dat", "--sep", "|", "--columns", "0,3,2", "--directed", *SMALL, "--json").stdout
    )
    assert said["graph"]["nodes"] == 3
    assert said["graph"]["directed"]
    plain = json.loads(run("embed", "edges.csv", "--no-weight", *SMALL, "--json").stdout)
    assert plain["graph"]["weight"] is None


def test_report_and_picture(run: Run, folder: Path) -> None:
    said = run("embed", "karate", *SMALL, "--report", "--picture", "k.png").stdout
    assert "Wrote runs/embed-karate/report.html" in said
    assert Path("k.png").read_bytes().startswith(b"\x89PNG")
    page = Path("runs/embed-karate/report.html").read_text()
    assert "Nearest neighbours" in page
    assert "graphrep embed --config runs/embed-karate/config.toml" in page


def test_picture_without_matplotlib(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    error = run("embed", "karate", *SMALL, "--picture", "k.png", code=2).stderr
    assert 'Try: pip install "graphrep[viz]"' in error


BAD = {
    "no graph": (["embed"], "No graph was given", "graphrep embed edges.csv"),
    "no file": (["embed", "edgs.csv"], "There is no file edgs.csv", "Try:"),
    "no name": (["embed", "karat"], 'Unknown data set "karat". Did you mean "karate"?', "graphrep list datasets"),
    "method": (["embed", "karate", "-m", "fastrpp"], '"fastrpp". Did you mean "fastrp"?', "list methods"),
    "parameter": (["embed", "karate", "--set", "dims=3"], 'no parameter "dims". Did you mean "dim"?', "Try:"),
    "value": (["embed", "karate", "--set", "dim=abc"], "dim must be an integer; got 'abc'", ""),
    "set": (["embed", "karate", "--set", "dim"], '--set needs key=value; got "dim"', "Try: --set dim=128"),
    "recipe": (["embed", "karate", "--recipe", "fastrp/karate"], 'Unknown recipe "fastrp/karate"', "list recipes"),
    "precision": (["embed", "karate", "--precision", "float31"], 'Unknown precision "float31"', "float32"),
    "weights": (["embed", "karate", "--weights", "1;2"], '--weights takes numbers', "--weights 0,1,1"),
    "format": (["embed", "karate", "--format", "parket"], 'Unknown format "parket". Did you mean "parquet"?', ""),
    "out": (["embed", "karate", "-o", "no/such/x.npz"], "There is no folder no/such", "mkdir -p no/such"),
    "device": (["embed", "karate", "--device", "gpu"], '"gpu" is no device', "--device auto, cpu"),
    "config": (["embed", "--config", "none.toml"], "Cannot read none.toml", "Try:"),
    "resume": (["embed", "--resume", "runs/none"], "runs/none is no run folder", "Try:"),
    "columns": (["embed", "edges.csv", "--columns", "a"], "--columns takes source,target", "--columns 0,1,3"),
    "negative": (["embed", "karate", "--dim", "0"], "dim must be at least 1; got 0", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_input_ends_with_code_2_and_a_hint(run: Run, name: str) -> None:
    arguments, message, hint = BAD[name]
    result = run(*arguments, code=2)
    assert message in result.stderr
    assert hint in result.stderr
    assert result.stdout == ""


def test_a_bad_row_names_file_and_line(run: Run, folder: Path) -> None:
    Path("bad.csv").write_text("a,b\nb,c\nalice\nc,d\n")
    error = run("embed", "bad.csv", code=2).stderr
    assert "bad.csv, line 3" in error
    assert "Try:" in error


def test_a_folder_with_one_graph_file(run: Run, folder: Path) -> None:
    Path("one").mkdir()
    (folder / "edges.csv").rename("one/edges.csv")
    Path("one/readme.md").write_text("hello")
    assert json.loads(run("embed", "one", *SMALL, "--json").stdout)["num_nodes"] == 60
    Path("one/more.csv").write_text("a,b\n")
    assert "holds 2 graph files: edges.csv, more.csv" in run("embed", "one", code=2).stderr
    Path("none").mkdir()
    assert 'Unknown data set "none"' in run("embed", "none", code=2).stderr


def test_nothing_of_the_users_is_overwritten(run: Run, folder: Path) -> None:
    before = Path("edges.csv").read_bytes()
    assert "is the graph itself" in run("embed", "edges.csv", "-o", "edges.csv", code=2).stderr
    Path("mine").mkdir()
    Path("mine/result.json").write_text("precious")
    error = run("embed", "edges.csv", "--run-dir", "mine", code=2).stderr
    assert "mine is not empty and no run folder (result.json)" in error
    assert "mine is not empty" in run("demo", "--data", "karate", "-o", "mine", code=2).stderr
    assert Path("mine/result.json").read_text() == "precious"
    assert Path("edges.csv").read_bytes() == before


def test_other_methods(run: Run) -> None:
    said = run("embed", "karate", "-m", "spectral", *SMALL).stdout
    assert "RandomizedSpectral  dim 8  backend" in said
    assert (
        'spectral has no parameter "weights"' in run("embed", "karate", "-m", "spectral", "--weights", 1, code=2).stderr
    )


def test_a_long_run_is_announced(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphrep.cli.plan.LONG", 0.0)
    assert re.search(r"will take about \d+ s and 1 MiB", run("embed", "edges.csv", *SMALL).stdout)


def test_verbose_shows_where(run: Run, folder: Path) -> None:
    from typer.testing import CliRunner

    from graphrep.cli.main import app

    result = CliRunner().invoke(app, ["embed", "karat", "-v"])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


def test_too_large_is_refused_before_work(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphrep.cli.plan.free_memory", lambda device: 1000)
    error = run("embed", "edges.csv", code=2).stderr
    assert "free on cpu" in error
    assert "Try: --dim" in error
    assert not Path("runs").exists()
    assert issubclass(OutOfMemoryError, MemoryError)


def test_failure_while_computing_is_code_1(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the machine is tired")

    monkeypatch.setattr("graphrep.methods.fastrp.FastRP.fit_transform", broken)
    error = run("embed", "edges.csv", code=1).stderr
    assert "the machine is tired" in error
    assert not Path("edges.embeddings.npz").exists()


def test_shuffled_rows_give_the_same_vectors(run: Run, folder: Path, write_edges: Callable[..., Path]) -> None:
    write_edges(folder / "shuffled.csv", shuffle=1)
    run("embed", "edges.csv", *SMALL)
    run("embed", "shuffled.csv", *SMALL)
    assert np.array_equal(vectors("edges.embeddings.npz"), vectors("shuffled.embeddings.npz"))


def test_resume_of_a_finished_run_says_so(run: Run) -> None:
    run("embed", "edges.csv", *SMALL)
    assert "is finished: edges.embeddings.npz" in run("embed", "--resume", "runs/embed-edges").stdout
