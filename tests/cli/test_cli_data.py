"""graphrep data: show, check, convert, split, get, list."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrep as gr
from graphrep.cli.console import Console
from graphrep.cli.data.get import _bar
from graphrep.data import cards

Run = Callable[..., Any]


def test_the_group_has_a_screen_and_names_what_it_knows(run: Run) -> None:
    said = run("data", "--help").stdout
    for name in ("list", "show", "check", "convert", "split", "get"):
        assert f"\n   {name} " in said
        assert f" {name} [OPTIONS]" in run("data", name, "--help").stdout
    assert 'No command "chek". Did you mean "check"?' in run("data", "chek", code=2).stderr


def test_list_is_list_datasets(run: Run) -> None:
    assert run("data", "list", "--json").stdout == run("list", "datasets", "--json").stdout
    said = run("data", "list", "--needs", "text").stdout
    assert "pydocs" in said
    assert "~4 104" in said
    assert "karate" not in said


# show


def test_show_a_named_set(run: Run) -> None:
    said = run("data", "show", "karate").stdout
    assert said.startswith("karate: 34 nodes, 78 edges, weighted, 2 classes")
    assert "  degrees    1 to 17, mean 4.588, median 3; 0 isolated, 1 component" in said
    assert "  labels     2 classes of 17 to 17 nodes" in said
    assert "licence" in said
    assert "@article{zachary" in said
    found = json.loads(run("data", "show", "karate", "--json").stdout)
    assert (found["nodes"], found["edges"], found["directed"]) == (34, 78, False)
    assert found["degrees"]["most"] == 17
    assert found["card"]["family"] == "embedded"
    assert not any(key.endswith("_line") for key in found)


def test_show_a_file_and_a_set_of_another_kind(run: Run) -> None:
    said = run("data", "show", "edges.csv").stdout
    assert said.startswith("edges.csv: columns from, to, times")
    assert "weights" in said
    assert run("data", "show", "edges.csv", "-q").stdout == ""
    said = run("data", "show", "fb15k237").stdout
    assert "kind       knowledge graph, 14 541 nodes, 310 116 edges" in said
    away = run("data", "show", "cora")
    assert "kind       graph, 2 708 nodes, 5 278 edges" in away.stdout
    assert "Its file is not here. Try: graphrep data get planetoid/cora; or --data-dir" in away.stderr


# check


def test_check_says_what_is_wrong_and_exits_with_it(run: Run, folder: Path) -> None:
    np.savez("good.npz", edge_index=[[0, 1], [1, 0]], x=np.eye(2))
    said = run("data", "check", "good.npz").stdout
    assert said.startswith("good: 2 nodes, 2 entries in edge_index, 1 edge\n")
    assert said.endswith("0 errors, 0 warnings\n")
    np.savez("bad.npz", edge_index=[[0, 1], [1, 1]], x=np.array([[1.0], [np.nan]]))
    said = run("data", "check", "bad.npz", code=1).stdout
    assert "Error: Feature column 0 has NaN or infinity in 1 of 2 rows (first: rows 1)." in said
    assert "Warning: 1 entry is a self-loop; reading drops them." in said
    found = json.loads(run("data", "check", "bad.npz", "--json", code=1).stdout)
    assert (found["ok"], found["self_loops"], found["features"]["not_finite"]) == (False, 1, 1)
    assert run("data", "check", "bad.npz", "-q", code=1).stdout == ""


def test_check_a_text_file(run: Run, folder: Path) -> None:
    (folder / "e.csv").write_text("a;b;1\nb;a;1\na;b;1\nc;c;2\n")
    found = json.loads(run("data", "check", "e.csv", "--json").stdout)
    assert [found[k] for k in ("entries", "duplicates", "self_loops", "one_way", "isolated")] == [4, 1, 1, 0, 1]
    (folder / "e.csv").write_text("a,b,1\nb,a,nan\n")
    assert "Error: e.csv, line 2: the weight is nan." in run("data", "check", "e.csv", code=1).stdout
    assert run("data", "check", "e.csv", "--no-weight").exit_code == 0


def test_check_refuses_what_is_no_graph(run: Run, folder: Path) -> None:
    assert "There is no file none.csv" in run("data", "check", "none.csv", code=2).stderr
    assert 'Did you mean "karate"?' in run("data", "check", "karat", code=2).stderr
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    assert "not a readable npz archive" in run("data", "check", "broken.npz", code=2).stderr


def test_check_of_a_split(run: Run, folder: Path) -> None:
    run("data", "split", "lesmis", "--links", "80/10/10", "-o", "good.npz")
    said = run("data", "check", "--split", "good.npz").stdout
    assert said.startswith("good.npz\ntrain_pos 204  train_neg 204  val_pos 25")
    assert said.endswith("0 leaks, 0 warnings\n")
    said = run("data", "check", "lesmis", "--split", "good.npz", code=1).stdout
    assert "Leak: 25 of 25 test edges also occur in the edges that messages pass over. First: (" in said
    assert "  Try: pass messages over the training edges alone" in said
    assert run("data", "check", "lesmis", "--split", "good.npz", "--allow-leak").stdout == said
    np.savez("bad.npz", train_pos=[[0, 1], [1, 2]], test_pos=[[2], [1]], val_neg=[[0], [2]], test_neg=[[2], [0]])
    found = json.loads(run("data", "check", "--split", "bad.npz", "--json", code=1).stdout)
    assert [(leak["kind"], leak["count"]) for leak in found["leaks"]] == [("overlap", 1), ("negative overlap", 1)]
    assert found["sizes"] == {"train_pos": 2, "val_neg": 1, "test_pos": 1, "test_neg": 1}
    assert run("data", "check", "--split", "bad.npz", "--directed").exit_code == 0
    (folder / "mine").mkdir()
    for name, text in (("train", "a,b\nb,c\n"), ("test", "a,c\n"), ("test_neg", "c,d\n")):
        (folder / "mine" / f"{name}.csv").write_text(text)
    assert run("data", "check", "--split", "mine").exit_code == 0
    (folder / "graph.csv").write_text("a,b\nb,c\nc,d\n")
    said = run("data", "check", "graph.csv", "--split", "mine", code=1).stdout
    assert "1 of 1 test negatives are links (1 message)." in said
    assert "nothing to check" in run("data", "check", code=2).stderr
    assert "There is no file none.npz" in run("data", "check", "--split", "none.npz", code=2).stderr


# convert


def test_convert_cleans_unless_told_otherwise(run: Run, folder: Path) -> None:
    (folder / "e.csv").write_text("a,b,1\nb,a,2\na,b,1\nc,c,2\nc,a,1\n")
    assert run("data", "convert", "e.csv", "clean.npz", "-q").stdout == "clean.npz\n"
    clean = gr.read("clean.npz")
    assert (clean.num_edges, clean.ids.tolist()) == (4, ["a", "b", "c"])
    said = run("data", "convert", "e.csv", "raw.npz", "--keep", "all", "--directed").stdout
    assert said.endswith("Wrote raw.npz\n")
    with np.load("raw.npz") as stored:
        assert stored["edge_index"].shape == (2, 5)
    loops = json.loads(run("data", "convert", "e.csv", "loops.npz", "--keep", "loops", "--json").stdout)
    assert (loops["entries"], loops["path"]) == (5, "loops.npz")
    run("data", "convert", "karate", "k.csv")
    assert gr.read("k.csv").num_edges == 2 * 78
    run("data", "convert", "nx:petersen_graph", "p", "--format", "npz")
    assert (folder / "p").is_file()


def test_convert_refuses_what_it_cannot_write(run: Run, folder: Path) -> None:
    assert '--keep "x" is none of loops, all' in run("data", "convert", "karate", "k.npz", "--keep", "x", code=2).stderr
    assert run("data", "convert", "karate", "k.xyz", code=2).stderr.count("Try:") == 1
    assert "There is no folder" in run("data", "convert", "karate", "no/such/k.npz", code=2).stderr
    assert not list(folder.glob("k*"))


# split


def test_split_links(run: Run, folder: Path) -> None:
    said = run("data", "split", "lesmis", "--links", "85/5/10").stdout
    assert "train 217, train_neg 217, val 12, val_neg 12, test 25, test_neg 25   seed 0" in said
    assert said.endswith("Wrote lesmis.split.npz\n")
    assert gr.data.inspect(folder / "lesmis.split.npz").ok
    first = (folder / "lesmis.split.npz").read_bytes()
    run("data", "split", "lesmis", "--links", "85/5/10", "-o", "again.npz")
    with np.load("lesmis.split.npz") as one, np.load("again.npz") as two:
        assert all(np.array_equal(one[key], two[key]) for key in one.files)
    run("data", "split", "lesmis", "--links", "85/5/10", "--seed", 1, "-o", "lesmis.split.npz", "-q")
    assert (folder / "lesmis.split.npz").read_bytes() != first
    out = run("data", "split", "edges.csv", "--links", "60/20/20", "--keep-connected", "-o", "e.csv", "--json").stdout
    found = json.loads(out)
    rows = (folder / "e.csv").read_text().splitlines()
    assert len(rows) == 1 + sum(found["sizes"].values())
    assert rows[1].startswith("n")


def test_split_links_of_a_directed_graph(run: Run, folder: Path) -> None:
    (folder / "d.csv").write_text("".join(f"{i},{(i * 7 + k) % 20}\n" for i in range(20) for k in range(3)))
    both = json.loads(run("data", "split", "d.csv", "--links", "80/10/10", "--directed", "--json").stdout)["sizes"]
    one = json.loads(run("data", "split", "d.csv", "--links", "80/10/10", "--undirected", "--json").stdout)["sizes"]
    assert both["train"] + both["val"] + both["test"] > one["train"] + one["val"] + one["test"]


def test_split_by_time(run: Run, folder: Path) -> None:
    rows = [f"n{i},n{(i + 1) % 20},{1_600_000_000 + i}" for i in range(20)]
    (folder / "calls.csv").write_text("\n".join(["from,to,at", *rows, "n20,n19,1600000000"]) + "\n")
    run("data", "split", "calls.csv", "--links", "70/10/20", "--time", "at", "-o", "late.csv")
    table = (folder / "late.csv").read_text().splitlines()
    times = [int(row.split(",")[-1]) - 1_600_000_000 for row in table[1:] if ",1," in row]
    assert [sorted(times[-4:]), sorted(times[-6:-4])] == [[16, 17, 18, 19], [14, 15]]
    assert len(times) == 21
    assert run("data", "check", "--split", "late.csv").exit_code == 0
    np.savez("calls.npz", edge_index=np.array([range(20), [*range(1, 20), 0]]), at=np.arange(20)[::-1])
    np.save("at.npy", np.arange(20)[::-1])
    for name in ("at", "at.npy"):
        run("data", "split", "calls.npz", "--links", "70/10/20", "--time", name, "-o", "late.npz")
        with np.load("late.npz") as found:
            assert sorted(found["test_time"].tolist()) == [16, 17, 18, 19]
            assert sorted(map(sorted, found["test_pos"].T.tolist())) == [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert "calls.csv has no column when" in run(
        "data", "split", "calls.csv", "--links", "70/10/20", "--time", "when", code=2
    ).stderr  # fmt: skip
    (folder / "calls.csv").write_text("from,to,at\na,b,1\nb,c,noon\n")
    said = run("data", "split", "calls.csv", "--links", "70/10/20", "--time", "at", code=2).stderr
    assert "calls.csv, row 2: the time is 'noon'." in said
    assert (
        "--time is for links" in run("data", "split", "calls.csv", "--nodes", "60/20/20", "--time", "at", code=2).stderr
    )


def test_split_nodes(run: Run, folder: Path) -> None:
    said = run("data", "split", "digits", "--per-class", 20, "--num-val", 500, "--num-test", 1000).stdout
    assert "train 200, val 500, test 1 000   seed 0" in said
    with np.load("digits.split.npz") as stored:
        assert stored["train_idx"].shape == (200,)
    run("data", "split", "karate", "--nodes", "50/25/25", "--stratified", "-o", "k.csv")
    assert (folder / "k.csv").read_text().startswith("id,part\n")


def test_split_refuses_what_makes_no_sense(run: Run, folder: Path) -> None:
    assert "Say what to split" in run("data", "split", "karate", code=2).stderr
    both = ("--links", "80/10/10", "--nodes", "1/0/0")
    assert "Say what to split" in run("data", "split", "karate", *both, code=2).stderr
    assert "three numbers" in run("data", "split", "karate", "--links", "85-5-10", code=2).stderr
    assert "add up to 1 or 100" in run("data", "split", "karate", "--links", "85/5/5", code=2).stderr
    assert "neither npz nor csv" in run("data", "split", "karate", "--links", "80/10/10", "-o", "a.txt", code=2).stderr
    assert "one class number per node" in run("data", "split", "edges.csv", "--per-class", 2, code=2).stderr
    assert not list(folder.glob("*.split.npz"))


# get


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The card of usair with a transfer that is played, not made: `error` makes it fail."""
    import scipy.io
    import scipy.sparse as sp

    from graphrep.data.content import content_sha256
    from graphrep.data.fetching import get
    from graphrep.data.fetching.forms import FORMS

    file = io.BytesIO()
    scipy.io.savemat(file, {"net": sp.csc_array(np.array([[0, 1], [1, 0]]))})
    played: dict[str, Any] = {"error": None}

    def fetch(url: str, *, progress: Any = None, hint: str | None = None, **_: Any) -> bytes:
        if played["error"] is not None:
            raise gr.errors.DownloadError(played["error"], hint=hint)
        if progress is not None:
            progress("USAir.mat", len(file.getvalue()), len(file.getvalue()))
        return file.getvalue()

    monkeypatch.setattr(get, "fetch", fetch)
    content = content_sha256(FORMS["network_mat"]([file.getvalue()], ["a"]))
    entry = cards.card("usair")
    where = cards.Download("network_mat", ("https://example.org/USAir.mat",), content)
    monkeypatch.setitem(cards._cards(), "linkpred/usair", dataclasses.replace(entry, download=where))
    return played


def test_get_fetches_and_says_where(run: Run, folder: Path, served: dict[str, Any]) -> None:
    done = run("data", "get", "usair")
    path = folder / "cache" / "data" / "linkpred" / "usair.npz"
    assert done.stdout == f"linkpred/usair: {path}\n"
    assert "fetched USAir.mat" in done.stderr
    assert "was here already" in run("data", "get", "usair").stdout
    assert run("data", "get", "usair", "-q").stdout == f"{path}\n"
    found = json.loads(run("data", "get", "usair", "--force", "--json").stdout)
    assert found["datasets"][0]["path"] == str(path)
    assert run("data", "show", "usair").stdout.startswith("usair: 2 nodes, 1 edges")


def test_a_terminal_gets_a_bar_with_rate_and_time_left(terminal: Callable[[], io.StringIO]) -> None:
    stderr = terminal()
    with _bar(Console()) as progress:
        progress("USAir.mat", 500_000, 2_000_000)
        progress("USAir.mat", 1_000_000, 2_000_000)
    said = stderr.getvalue()
    assert "USAir.mat" in said
    assert "1.0/2.0 MB" in said
    assert "/s" in said
    assert "ETA" in said
    with _bar(Console(quiet=True)) as nothing:
        assert nothing is None


def test_get_that_fails_is_a_failed_run(run: Run, folder: Path, served: dict[str, Any]) -> None:
    served["error"] = "example.org cannot be reached: no network."
    done = run("data", "get", "usair", code=1)
    assert done.stderr.startswith("Error: example.org cannot be reached: no network.\nTry: copy the file")
    assert "GRAPHREP_DATA=FOLDER, where FOLDER/linkpred/usair.npz exists" in done.stderr
    assert 'Did you mean "usair"?' in run("data", "get", "usairr", code=2).stderr
    assert "no address" in run("data", "get", "wiki", code=1).stderr
    assert not list(folder.glob("cache/data/**/*.npz"))
