"""`graphrep recommend`: tables of every kind, splits, lists, scores beside popularity, resumption, other users."""

from __future__ import annotations

import csv
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import graphrep as gr
from graphrep.cli.recommending.inputs import Inputs
from graphrep.cli.recommending.judging import judge, measure_coverage
from graphrep.cli.recommending.lists import Lists, popular_lists
from graphrep.cli.recommending.splitting import divide
from graphrep.errors import GraphrepError
from graphrep.methods import Popularity, load_recommender

Run = Callable[..., Any]
SMALL = ("--dim", "8", "--epochs", "4", "-m", "lightgcn")
USERS, ITEMS = 30, 24


def _films(path: Path, *, seed: int = 0, more: str = "") -> Path:
    """Two tastes: users like films of their half, rate them 4 or 5, and others lower."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        for item in range(ITEMS):
            mine = user % 2 == item % 2
            if rng.random() < (0.6 if mine else 0.12):
                rating = rng.integers(4, 6) if mine else rng.integers(1, 4)
                rows.append(f'person{user:02},"Film {item:02}, the",{rating},{1000 + rng.integers(0, 500)}')
    rng.shuffle(rows)
    path.write_text("\n".join(["person,film,stars,timestamp", *rows]) + "\n" + more)
    return path


@pytest.fixture
def films(folder: Path) -> Path:
    """films.csv in the working folder."""
    return _films(folder / "films.csv")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _result(folder: Path, name: str = "films") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "runs" / f"recommend-{name}" / "result.json").read_text())
    return found


def _lists(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in _rows(path):
        found.setdefault(row["user"], []).append(row["item"])
    return found


# files


def test_a_run_leaves_everything(run: Run, folder: Path, films: Path) -> None:
    said = run("recommend", "films.csv", "--at", "5", "--dim", "8", "--epochs", "4").stdout
    made = folder / "runs" / "recommend-films"
    assert {p.name for p in made.iterdir()} == {
        "config.toml", "item_vectors.npz", "log.txt", "metrics.jsonl", "model", "recommendations.csv", "report.html",
        "result.json", "user_vectors.npz",
    }  # fmt: skip
    rows = _rows(made / "recommendations.csv")
    assert list(rows[0]) == ["user", "rank", "item", "score"]
    lists = _lists(made / "recommendations.csv")
    assert list(lists) == [f"person{user:02}" for user in range(USERS)]
    seen = {(row["person"], row["film"]) for row in _rows(films)}
    assert not any((row["user"], row["item"]) in seen for row in rows)
    users, items = (gr.load_embeddings(made / f"{side}_vectors.npz") for side in ("user", "item"))
    for row in rows[:20]:
        u, i = users.ids.tolist().index(row["user"]), items.ids.tolist().index(row["item"])
        assert float(row["score"]) == pytest.approx(float(users.vectors[u] @ items.vectors[i]), abs=1e-4)
    for user in list(lists)[:5]:
        scores = [float(row["score"]) for row in rows if row["user"] == user]
        assert scores == sorted(scores, reverse=True)
        assert [row["rank"] for row in rows if row["user"] == user] == ["1", "2", "3", "4", "5"]
    model = load_recommender(made / "model")
    np.testing.assert_array_equal(np.asarray(model.item_ids_), items.ids)
    found = _result(folder)
    assert found["method"] == "lightgcl"
    test = found["test"]
    assert set(test["metrics"]) == {"recall", "ndcg", "precision", "hit_rate", "mrr", "map"}
    assert list(test["metrics"]["recall"]) == list(test["popularity"]["recall"]) == ["5"]
    assert found["data"]["columns"] == {"user": "person", "item": "film", "rating": "stars", "time": "timestamp"}
    assert found["training"]["epochs"] == 4
    assert {"train", "judge", "lists", "write", "read"} <= set(found["seconds"])
    assert found["peak_memory_bytes"] > 0
    assert found["versions"]["graphrep"] == gr.__version__
    assert "films.csv: columns person (user), film (item), stars (rating), timestamp (time)" in said
    assert f"films: {USERS} users, {ITEMS} items, " in said
    assert "popularity  (baseline)" in said
    assert "was not looked at: every row is an interaction" in said
    epochs = [json.loads(line)["epoch"] for line in (made / "metrics.jsonl").read_text().splitlines()]
    assert epochs == [1, 2, 3, 4]


def test_the_page_needs_no_network_and_shows_what_matters(run: Run, folder: Path, films: Path) -> None:
    run("recommend", "films.csv", "--at", "5,10", *SMALL)
    page = (folder / "runs" / "recommend-films" / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    for words in (
        "What to know", "verdict", "On the test pairs", "popularity  (baseline)", "Recall@20 on validation",
        "How popular are the items in the lists?", "Lists of some users", "had before", "person", "Film", "Gini",
    ):  # fmt: skip
        assert words in page, words


def test_the_same_again_by_the_config_and_for_any_order_of_rows(run: Run, folder: Path, films: Path) -> None:
    run("recommend", "films.csv", *SMALL, "--min-rating", "4", "--seed", "3", "-o", "a.csv")
    run("recommend", "--config", "runs/recommend-films/config.toml", "-o", "b.csv", "--run-dir", "again")
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()
    head, *rows = films.read_text().splitlines()
    films.write_text("\n".join([head, *rows[::-1]]) + "\n")
    run("recommend", "--config", "runs/recommend-films/config.toml", "-o", "c.csv", "--run-dir", "turned")
    assert (folder / "a.csv").read_bytes() == (folder / "c.csv").read_bytes()
    run("recommend", "films.csv", *SMALL, "--min-rating", "4", "--seed", "4", "-o", "d.csv")
    assert (folder / "a.csv").read_bytes() != (folder / "d.csv").read_bytes()


def test_parquet_and_tsv_say_the_same(run: Run, folder: Path, films: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run("recommend", "films.csv", "-m", "popularity", "-o", "a.parquet")
    run("recommend", "films.csv", "-m", "popularity", "-o", "a.tsv")
    table = parquet.read_table(folder / "a.parquet").to_pydict()
    lines = [line.split("\t") for line in (folder / "a.tsv").read_text().splitlines()]
    assert lines[0] == list(table) == ["user", "rank", "item", "score"]
    assert [line[2] for line in lines[1:]] == table["item"]
    assert [int(line[1]) for line in lines[1:]] == table["rank"]


def test_json_quiet_and_dry_run(run: Run, folder: Path, films: Path) -> None:
    plan = json.loads(run("recommend", "films.csv", "--dry-run", "--json").stdout)
    assert plan["dry_run"] is True
    assert plan["data"]["users"] == USERS
    assert not (folder / "runs").exists()
    done = json.loads(run("recommend", "films.csv", "-m", "popularity", "--json").stdout)
    assert done["lists"]["users"] == USERS
    assert done["test"]["popularity"] is None
    assert run("recommend", "films.csv", "-m", "popularity", "-q").stdout.strip() == done["out"]


def test_an_index_of_the_items(run: Run, folder: Path, films: Path) -> None:
    faiss = pytest.importorskip("faiss")
    run("recommend", "films.csv", *SMALL, "--include-seen", "--index", "items.faiss", "--at", "1", "--split", "none")
    items = gr.load_embeddings(folder / "runs" / "recommend-films" / "item_vectors.npz")
    users = gr.load_embeddings(folder / "runs" / "recommend-films" / "user_vectors.npz")
    _, place = faiss.read_index(str(folder / "items.faiss")).search(np.ascontiguousarray(users.vectors), 1)
    best = _lists(folder / "runs" / "recommend-films" / "recommendations.csv")
    assert [items.ids[row] for row in place[:, 0]] == [best[user][0] for user in users.ids.tolist()]
    run("recommend", "films.csv", *SMALL, "--index", "items.safetensors")
    assert "Film" in run("neighbors", "items.safetensors", "Film 03, the", "-n", "2").stdout
    assert "no index is known" in run("recommend", "films.csv", "--index", "items.bin", code=2).stderr


# resumption


def test_an_interrupted_run_is_finished_with_the_same_lists(run: Run, folder: Path, films: Path) -> None:
    options = ["films.csv", "--dim", "8", "-m", "lightgcn", "--set", "patience=100000"]
    epochs = 400
    program = [sys.executable, "-m", "graphrep", "recommend", *options, "--epochs", str(epochs), "--checkpoint", "0"]
    made, environment = folder / "runs" / "recommend-films", {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(program, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(1200):
            if (made / "metrics.jsonl").exists() and len((made / "metrics.jsonl").read_text().splitlines()) > 3:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "graphrep recommend --resume runs/recommend-films" in said
    assert (made / "checkpoint").exists()
    assert not (made / "result.json").exists()
    run("recommend", "--resume", "runs/recommend-films")
    found = _result(folder)
    assert found["training"]["epochs"] == epochs
    assert not (made / "checkpoint").exists()
    run("recommend", *options, "--epochs", str(epochs), "--run-dir", "whole")
    assert (made / "recommendations.csv").read_bytes() == (folder / "whole" / "recommendations.csv").read_bytes()
    assert "is finished" in run("recommend", "--resume", "runs/recommend-films").stdout


# users and lists


def test_chosen_users_in_the_order_they_are_named(run: Run, folder: Path, films: Path) -> None:
    run("recommend", "films.csv", "-m", "popularity", "--users", "person07,person02", "--at", "3", "-o", "a.csv")
    assert list(_lists(folder / "a.csv")) == ["person07", "person02"]
    (folder / "who.txt").write_text("user\nperson01\nperson05\n")
    run("recommend", "films.csv", "-m", "popularity", "--users", "who.txt", "-o", "b.csv")
    assert list(_lists(folder / "b.csv")) == ["person01", "person05"]
    wrong = run("recommend", "films.csv", "-m", "popularity", "--users", "persn07", code=2).stderr
    assert 'No user "persn07" among 30: did you mean "person07"' in wrong
    (folder / "none.txt").write_text("\n")
    assert "names no user" in run("recommend", "films.csv", "--users", "none.txt", code=2).stderr


def test_what_a_user_has_is_left_out_or_not(run: Run, folder: Path, films: Path) -> None:
    run("recommend", "films.csv", "-m", "popularity", "--at", str(ITEMS), "-o", "a.csv")
    had: dict[str, set[str]] = {}
    for row in _rows(films):
        had.setdefault(row["person"], set()).add(row["film"])
    lists = _lists(folder / "a.csv")
    assert all(len(lists[user]) == ITEMS - len(had[user]) and not set(lists[user]) & had[user] for user in had)
    assert f"30 lists with fewer than {ITEMS} items" in (folder / "runs" / "recommend-films" / "log.txt").read_text()
    run("recommend", "films.csv", "-m", "popularity", "--at", str(ITEMS), "--include-seen", "-o", "b.csv")
    assert all(len(items) == ITEMS for items in _lists(folder / "b.csv").values())


def test_cold_complete_single_and_repeated_rows_are_said(run: Run, folder: Path) -> None:
    every = "".join(f'all,"Film {item:02}, the",5,1\n' for item in range(ITEMS))
    more = (
        'once,"Film 01, the",5,1\ncold,"Film 01, the",1,1\nperson00,"Film 00, the",5,1\nperson00,"Film 00, the",5,2\n'
    )
    _films(folder / "films.csv", more=every + more)
    rated = ("--min-rating", "4", "--at", "4", "--protocol", "published")
    said = run("recommend", "films.csv", *SMALL, *rated, "-o", "a.csv").stdout
    assert "repeats a pair of user and item: each pair counts once" in said
    assert "1 of 33 users has one interaction: it stays in training, and they are not judged" in said
    assert "1 of 33 users has no training interaction: their lists are the most popular items" in said
    assert "1 of 33 users has every item" in said
    assert "1 list of the most popular items, for users of whom nothing is known" in said
    lists = _lists(folder / "a.csv")
    assert "all" not in lists
    assert len(lists["once"]) == 4
    run(
        "recommend", "films.csv", "-m", "popularity", "--min-rating", "4", "-o", "b.csv", "--at", "4", "--users", "cold"
    )
    assert lists["cold"] == _lists(folder / "b.csv")["cold"]


# splits


@pytest.mark.parametrize("how", ["random", "time", "time-all"])
def test_splits_of_ones_own(run: Run, folder: Path, films: Path, how: str) -> None:
    run("recommend", "films.csv", *SMALL, "--split", how, "--test", "0.3", "--validation", "0.2")
    found = _result(folder)
    data = found["data"]
    assert found["split"] == how
    assert data["train"] + data["val"] + data["test"] == len({(r["person"], r["film"]) for r in _rows(films)})
    assert data["val"] > 0
    assert data["test"] > 0


def test_nothing_is_held_out_when_that_is_asked_for(run: Run, folder: Path, films: Path) -> None:
    said = run("recommend", "films.csv", *SMALL, "--split", "none", "--protocol", "published").stdout
    found = _result(folder)
    assert found["test"] is None
    assert found["data"]["val"] == found["data"]["test"] == 0
    assert found["training"]["stopped"] == "epochs"
    assert found["training"]["validation_recall_at_20"] == {}
    assert "Nothing was held out for a test" in said


def test_given_parts_are_kept(run: Run, folder: Path) -> None:
    _films(folder / "all.csv")
    rows = (folder / "all.csv").read_text().splitlines()
    (folder / "set").mkdir()
    (folder / "set" / "train.csv").write_text("\n".join(rows[:-40]) + "\n")
    (folder / "set" / "test.csv").write_text("\n".join([rows[0], *rows[-40:]]) + "\n")
    run("recommend", "set", *SMALL)
    found = _result(folder, "set")
    assert found["split"] == "given"
    assert found["data"]["test"] == 40
    assert found["data"]["train"] + found["data"]["val"] == len(rows) - 41
    lists = "\n".join(f"{u} " + " ".join(str(i) for i in range(u, u + 3 + u % 3)) for u in range(20))
    (folder / "lists").mkdir()
    (folder / "lists" / "train.txt").write_text(lists + "\n")
    (folder / "lists" / "test.txt").write_text("\n".join(f"{u} {(u + 9) % 20}" for u in range(20)) + "\n")
    assert json.loads(run("recommend", "lists", "-m", "popularity", "--json").stdout)["data"]["test"] == 20


def test_the_test_part_is_never_trained_on() -> None:
    data = gr.Interactions([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2], part=[0, 0, 2, 0, 1, 2])
    divided = divide(Inputs(data, "x", []))
    assert (divided.how, divided.protocol, divided.validation) == ("given", "holdout", None)
    assert sorted(divided.fitted_on.part.tolist()) == [0, 0, 0, 1]  # type: ignore[union-attr]
    published = divide(Inputs(data, "x", []), protocol="published")
    assert published.fitted_on.part.tolist() == [0, 0, 0]  # type: ignore[union-attr]
    with pytest.raises(GraphrepError, match="holds nothing out"):
        divide(Inputs(data, "x", []), protocol="published", validation=0.1)
    with pytest.raises(GraphrepError, match="no effect with --split given"):
        divide(Inputs(data, "x", []), test=0.5)
    with pytest.raises(GraphrepError, match="needs the time"):
        divide(Inputs(data, "x", []), how="time")
    with pytest.raises(GraphrepError, match="not divided into parts"):
        divide(Inputs(data.replace(part=None), "x", []), how="given")


def test_a_recipe_is_kept_as_it_is_published(run: Run, folder: Path, films: Path) -> None:
    plan = json.loads(run("recommend", "films.csv", "--recipe", "lightgcl/lastfm", "--dry-run", "--json").stdout)[
        "plan"
    ]
    assert plan["run"]["recipe"] == "lightgcl/lastfm"
    assert plan["params"]["batch_size"] == 4096
    assert plan["recommend"]["protocol"] == "holdout"
    own = json.loads(run("recommend", "films.csv", "--dry-run", "--json").stdout)["plan"]
    assert own["params"]["batch_size"] == 32


# scores


def test_scores_are_those_of_the_library(run: Run, folder: Path, films: Path) -> None:
    run("recommend", "films.csv", *SMALL, "--split", "time", "--at", "5,10")
    model = load_recommender(folder / "runs" / "recommend-films" / "model")
    data = divide(Inputs(gr.read_interactions(films), "films", []), how="time").data
    expected = model.evaluate(data, ks=(5, 10))
    found = _result(folder)["test"]["metrics"]
    for name in found:
        assert {int(k): v for k, v in found[name].items()} == pytest.approx(getattr(expected, name))


def test_a_method_that_loses_is_told_so() -> None:
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((40, 12)) < np.linspace(0.95, 0.05, 12))
    data = gr.Interactions(user, item, num_users=40, num_items=12).split(val=0.0, test=0.4, seed=0)
    divided = divide(Inputs(data, "x", []), protocol="published")
    baseline = Popularity().fit(divided.fitted_on)

    class Backwards(Popularity):
        """Least popular items first."""

    worse = Backwards().fit(divided.fitted_on)
    worse.item_embedding_ = -worse.item_embedding_
    judged = judge(worse, "mine", divided, baseline, (3,))
    assert judged.beaten
    assert judged.verdict.startswith("mine loses to recommending everybody the most popular items: Recall@3")
    same = judge(baseline, "mine", divided, baseline, (3,))
    assert not same.beaten
    assert "cannot be told from popularity" in same.verdict
    assert same.scores == same.baseline


def test_coverage_by_hand() -> None:
    lists = Lists(np.arange(2), np.array([[0, 1], [0, -1]]), np.zeros((2, 2)), np.zeros(2, dtype=bool))
    popular = Lists(np.arange(2), np.array([[0, 2], [0, 2]]), np.zeros((2, 2)), np.zeros(2, dtype=bool))
    found = measure_coverage(lists, popular, np.array([6, 3, 1, 0]))
    assert (found.items, found.total) == (2, 4)
    assert found.mean_popularity == pytest.approx((6 + 3 + 6) / 3)
    assert found.gini == pytest.approx(((2 * 3 - 5) * 1 + (2 * 4 - 5) * 2) / (4 * 3))
    assert found.groups == [
        (1, 0.6, pytest.approx(2 / 3), 0.5), (1, 0.3, pytest.approx(1 / 3), 0.0), (1, 0.1, 0.0, 0.5), (1, 0.0, 0.0, 0.0)
    ]  # fmt: skip


@pytest.mark.parametrize("k", [1, 5, 40, 60])
def test_popular_lists_are_those_of_the_recommender(k: int) -> None:
    rng = np.random.default_rng(k)
    user, item = np.nonzero(rng.random((30, 50)) < rng.random(50) ** 2)
    data = gr.Interactions([*user, *[29] * 50], [*item, *range(50)], num_users=30, num_items=50)
    model, users = Popularity().fit(data), np.array([29, 3, 3, 0, 17])
    for hidden in (None, data.csr(binarize=True)):
        expected = model.recommend(users, k, exclude_seen=hidden is not None)
        found = popular_lists(users, np.asarray(model.popularity_), hidden, k)
        np.testing.assert_array_equal(found.items, np.asarray(expected[0]))
        np.testing.assert_array_equal(found.scores, np.asarray(expected[1]))


# inputs


def test_counts_are_weights_on_request(run: Run, folder: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{u},{i},{rng.integers(0, 9)}" for u in range(20) for i in range(12) if rng.random() < 0.5]
    (folder / "plays.csv").write_text("\n".join(["user,artist,plays", *rows]) + "\n")
    said = run("recommend", "plays.csv", "--implicit", *SMALL).stdout
    assert '"plays" goes from 0 to 8: taken as weights' in said
    assert "with weight 0 left out" in said
    assert _result(folder, "plays")["params"]["binarize"] is False
    (folder / "plays.csv").write_text("user,artist,plays\n1,2,3\n1,3,-1\n")
    assert "are negative" in run("recommend", "plays.csv", "--implicit", code=2).stderr


def test_matrices_archives_and_pickles(run: Run, folder: Path) -> None:
    rng = np.random.default_rng(0)
    train = sp.coo_matrix((rng.random((20, 15)) < 0.4).astype(np.float32))
    test = sp.coo_matrix(((rng.random((20, 15)) < 0.2) & (train.toarray() == 0)).astype(np.float32))
    sp.save_npz(folder / "m.npz", train)
    assert json.loads(run("recommend", "m.npz", "-m", "popularity", "--json").stdout)["data"]["items"] == 15
    (folder / "set").mkdir()
    for name, matrix in (("trnMat", train), ("tstMat", test)):
        (folder / "set" / f"{name}.pkl").write_bytes(pickle.dumps(matrix))
    found = json.loads(run("recommend", "set", "-m", "popularity", "--json").stdout)
    assert (found["split"], found["data"]["test"]) == ("given", test.nnz)
    run("data", "convert", "set/trnMat.pkl", "set.npz")
    again = json.loads(run("recommend", "set.npz", "-m", "popularity", "--json").stdout)
    assert again["test"]["metrics"] == found["test"]["metrics"]
    assert again["data"]["train"] == train.nnz
    evil = folder / "evil.pkl"
    evil.write_bytes(b"cposix\nsystem\n(S'touch was_here'\ntR.")
    assert "asks for posix.system" in run("recommend", "evil.pkl", code=2).stderr
    assert not (folder / "was_here").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["films.csv", "--item", "movie"], 'films.csv has no column "movie"; it has person, film, stars, timestamp'),
        (["films.csv", "--min-rating", "9"], "no row is left"),
        (["films.csv", "--implicit", "--min-rating", "3"], "either weights or judged by a limit"),
        (["films.csv", "-m", "lightgcm"], 'Unknown method "lightgcm". Did you mean "lightgc'),
        (["films.csv", "-m", "fastrp"], "fastrp is for embed"),
        (["films.csv", "--at", "0"], "--at takes numbers, 1 or more"),
        (["films.csv", "--at", "ten"], "--at takes numbers, 1 or more"),
        (["films.csv", "--split", "tiem"], 'Did you mean "time"?'),
        (["films.csv", "--protocol", "other"], '--protocol "other" is unknown'),
        (["films.csv", "--average", "mean"], '--average "mean" is unknown'),
        (["films.csv", "--test", "1.5"], "is no share"),
        (["films.csv", "--set", "dims=3"], 'has no parameter "dims"'),
        (["films.csv", "-m", "popularity", "--dim", "3"], 'popularity has no parameter "dim"'),
        (["films.csv", "-o", "films.csv"], "is the data itself"),
        (["films.csv", "-o", "edges.csv"], "holds no lists"),
        (["films.csv", "-o", "no/such/lists.csv"], "There is no folder"),
        (["films.csv", "-o", "lists.doc"], "no format is known"),
        (["films.csv", "--format", "xlsx"], 'Unknown format "xlsx"'),
        (["empty.csv"], "no interactions"),
        (["nan.csv"], "line 3: the rating is nan"),
        (["words.csv"], "one column"),
        (["graph.npz"], "holds a graph and no interactions"),
        (["karate"], "holds no interactions of users with items"),
        (["digitts"], 'Did you mean "digits"?'),
        (["none.csv"], "There is no file"),
        ([], "No data was given"),
        (["--resume", "nowhere"], "is no run folder"),
        (["films.csv", "--recipe", "grace/cora"], "which does not recommend"),
    ],
)
def test_bad_input_is_refused_before_any_work(
    run: Run, folder: Path, films: Path, arguments: list[str], words: str
) -> None:
    (folder / "empty.csv").write_text("user,item\n")
    (folder / "nan.csv").write_text("user,item,rating\na,b,1\na,c,nan\n")
    (folder / "words.csv").write_text("hello\nworld\n")
    gr.write(gr.Graph(torch.tensor([[0, 1], [1, 0]])), folder / "graph.npz")
    before = films.read_bytes()
    said = run("recommend", *arguments, code=2).stderr
    assert words in said
    assert "Try: " in said
    assert films.read_bytes() == before
    assert not (folder / "runs").exists()


def test_too_little_to_judge_is_said(run: Run, folder: Path) -> None:
    (folder / "tiny.csv").write_text("user,item\na,x\nb,y\nc,x\n")
    said = run("recommend", "tiny.csv", *SMALL).stdout
    assert "3 of 3 users have one interaction" in said
    assert "nothing is judged" in said
    assert "No pair could be held out for validation" in said
    assert _lists(folder / "runs" / "recommend-tiny" / "recommendations.csv") == {"a": ["y"], "b": ["x"], "c": ["y"]}


# apply


def test_lists_for_users_who_came_later(run: Run, folder: Path, films: Path) -> None:
    run("recommend", "films.csv", *SMALL, "--min-rating", "4", "--at", "5", "--split", "none")
    new = 'viewer,movie\nnew,"Film 00, the"\nnew,"Film 02, the"\nnew,Unheard\nlost,Unheard\nperson03,"Film 00, the"\n'
    (folder / "new.csv").write_text(new)
    payload = json.loads(
        run("recommend", "apply", "runs/recommend-films", "new.csv", "--user", "viewer", "--at", "5", "--json").stdout
    )
    assert (payload["unknown_items"], payload["unknown_rows"], payload["grown_users"]) == (1, 2, 1)
    assert payload["lists"] == {"users": 3, "rows": 15, "short": 0, "cold": 1}
    assert any("(Unheard)" in note for note in payload["notes"])
    lists = _lists(folder / "new.recommendations.csv")
    assert not {"Film 00, the", "Film 02, the"} & set(lists["new"])
    assert sum(int(name[5:7]) % 2 == 0 for name in lists["new"]) >= 3  # of the taste of the two films
    had = {row["film"] for row in _rows(films) if row["person"] == "person03" and float(row["stars"]) >= 4}
    assert not (had | {"Film 00, the"}) & set(lists["person03"])
    model = load_recommender(folder / "runs" / "recommend-films" / "model")
    place = np.asarray(model.item_ids_).tolist()
    rows = gr.Interactions([0, 0], [place.index("Film 00, the"), place.index("Film 02, the")], num_items=len(place))
    expected = [place[i] for i in model.recommend_for(rows, 5)[0][0].tolist()]
    assert lists["new"] == expected
    (folder / "other.csv").write_text("user,item\na,What\n")
    wrong = run("recommend", "apply", "runs/recommend-films", "other.csv", code=2).stderr
    assert "knows none of these 1 items (What" in wrong
    assert "does not hold" in run("recommend", "apply", ".", "new.csv", code=2).stderr
    assert "No interactions were given" in run("recommend", "apply", "runs/recommend-films", code=2).stderr


def test_new_ratings_are_judged_as_those_of_the_training(run: Run, folder: Path, films: Path) -> None:
    run("recommend", "films.csv", *SMALL, "--min-rating", "4", "--split", "none")
    (folder / "new.csv").write_text('user,item,rating\nnew,"Film 00, the",5\nnew,"Film 01, the",1\n')
    said = run("recommend", "apply", "runs/recommend-films/model", "new.csv", "--at", "30", "-o", "a.csv").stdout
    assert '"rating" goes from 1 to 5: 4 or more counts; 1 row rated lower left out' in said
    lists = _lists(folder / "a.csv")["new"]
    assert "Film 01, the" in lists
    assert "Film 00, the" not in lists
    run("recommend", "apply", "runs/recommend-films", "new.csv", "--min-rating", "1", "--at", "30", "-o", "b.csv")
    assert "Film 01, the" not in _lists(folder / "b.csv")["new"]


def test_help_and_the_list_of_methods(run: Run) -> None:
    assert "recommend" in run("--help").stdout
    said = run("recommend", "--help").stdout
    assert "--min-rating" in said
    assert "graphrep recommend ratings.csv" in said
    assert "MODEL" in run("recommend", "apply", "--help").stdout
    names = json.loads(run("list", "methods", "--task", "recommend", "--json").stdout)["methods"]
    assert {"lightgcl", "lightgcn", "simgcl", "mf", "popularity"} == {row["name"] for row in names}
