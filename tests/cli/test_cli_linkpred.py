"""`graphrep linkpred`: files of a run, splits of one's own and leaks, heuristics, pairs, missing links."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import graphrep as gr
from graphrep.cli.linking.judging import HeldOut, hard_negatives, judge
from graphrep.cli.linking.missing import best_missing
from graphrep.cli.linking.predictors import kind_of, load_predictor, make_predictor, predictor_names
from graphrep.cli.linking.rows import Summary
from graphrep.cli.linking.verdicts import verdict_on
from graphrep.data import Graph, LinkSplit, check_link_split
from graphrep.data.split import split_edges
from graphrep.data.split_files import read_link_parts, write_split
from graphrep.errors import UnknownNameError
from graphrep.eval.heuristics import HEURISTICS

Run = Callable[..., Any]
SMALL = ("--dim", "8", "--epochs", "2")
FAST = ("-m", "common-neighbors")
pytestmark = pytest.mark.filterwarnings("ignore")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _result(folder: Path, name: str = "edges") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "runs" / f"linkpred-{name}" / "result.json").read_text())
    return found


def _blocks(seed: int = 0) -> Graph:
    """Two groups of 20 nodes with many links inside and few between."""
    rng = np.random.default_rng(seed)
    i, j = np.triu_indices(40, 1)
    kept = rng.random(len(i)) < np.where(i // 20 == j // 20, 0.5, 0.03)
    edges = torch.from_numpy(np.stack([i[kept], j[kept]]))
    return Graph(torch.cat([edges, edges.flip(0)], dim=1), num_nodes=40)


@pytest.fixture(scope="module")
def split() -> LinkSplit:
    graph = _blocks()
    return split_edges(graph, shares=(70, 10, 20), seed=1).link_split(graph)


# files of a run


def test_a_run_leaves_everything(run: Run, folder: Path) -> None:
    said = run("linkpred", "edges.csv", *SMALL, "--heart").stdout
    made = folder / "runs" / "linkpred-edges"
    assert {p.name for p in made.iterdir()} == {
        "config.toml", "embeddings.npz", "hard_negatives.npy", "log.txt", "metrics.jsonl", "model.safetensors",
        "model.toml", "report.html", "result.json", "split.npz",
    }  # fmt: skip
    found = _result(folder)
    assert [row["method"] for row in found["rows"]] == ["ncn", *HEURISTICS]
    for row in found["rows"]:
        assert set(row["scores"]) == {"uniform", "heart"}
        for part in row["scores"].values():
            low, high = part["intervals"]["auc"]
            assert 0 <= low <= part["auc"] <= high <= 1
        assert row["peak_memory_bytes"] > 0
    assert {v["negatives"] for v in found["verdicts"]} == {"uniform", "heart"}
    assert found["training"]["epochs"] == 2
    data = found["data"]
    parts = read_link_parts(made / "split.npz")
    assert data["train"] == parts["train_pos"].shape[1]
    assert data["test_pos"] == parts["test_pos"].shape[1] == data["test_neg"]
    assert check_link_split(made / "split.npz").ok
    assert gr.load_embeddings(made / "embeddings.npz").ids.tolist() == parts["ids"].tolist()
    assert [json.loads(line)["epoch"] for line in (made / "metrics.jsonl").read_text().splitlines()] == [1, 2]
    assert "common-neighbors (heuristic)" in said
    assert "hard negatives of its own (HeaRT)" in said
    assert "The graph is small: batches of 64 links" in said
    page = (made / "report.html").read_text()
    assert "https://" not in page
    for words in ("What to know", "verdict", "Missing links of some nodes", "against heuristics", "validation links"):
        assert words in page, words


def test_the_same_again_by_the_config(run: Run, folder: Path) -> None:
    run("linkpred", "edges.csv", *SMALL, "--seed", "3", "--shares", "70/10/20", "--at", "5")
    run("linkpred", "--config", "runs/linkpred-edges/config.toml", "--run-dir", "again")
    first, second = _result(folder), json.loads((folder / "again" / "result.json").read_text())
    assert [row["scores"] for row in first["rows"]] == [row["scores"] for row in second["rows"]]
    assert first["split"]["how"] == "split 70/10/20 (seed 3)"
    assert list(first["rows"][0]["scores"]["uniform"]["hits"]) == ["5"]


def test_several_runs_beside_other_methods(run: Run, folder: Path) -> None:
    said = run("linkpred", "edges.csv", "-m", "ncn,fastrp,deepwalk", *SMALL, "--runs", "2", "--json").stdout
    found = json.loads(said)
    assert [s["method"] for s in found["summary"]] == ["ncn", "fastrp", "deepwalk", *HEURISTICS]
    for summary in found["summary"]:
        assert summary["runs"] == 2
        own = [row["scores"]["uniform"]["auc"] for row in found["rows"] if row["method"] == summary["method"]]
        assert summary["scores"]["uniform"]["auc"]["mean"] == pytest.approx(np.mean(own))
        assert summary["scores"]["uniform"]["auc"]["std"] == pytest.approx(np.std(own, ddof=1))
    assert found["rows"][0]["seed"] == 0
    assert {v["method"] for v in found["verdicts"]} == {"ncn", "fastrp", "deepwalk"}
    saved = read_link_parts(folder / "runs" / "linkpred-edges" / "split.npz")
    graph = gr.read("edges.csv")
    wanted = split_edges(graph, directed=False, seed=0)
    assert saved["test_pos"].tolist() == wanted.test.tolist()


def test_compare_is_every_method(run: Run, folder: Path) -> None:
    plan = json.loads(run("linkpred", "edges.csv", "--compare", "--dry-run", "--json").stdout)
    assert plan["methods"] == [name for name in predictor_names() if name != "node2vec"]  # deepwalk by its defaults
    assert plan["dry_run"] is True
    assert not (folder / "runs").exists()


def test_an_interrupted_run_goes_on(run: Run, folder: Path) -> None:
    run("linkpred", "edges.csv", *SMALL, "--run-dir", "whole")
    run("linkpred", "edges.csv", *SMALL, "--run-dir", "part")
    whole = json.loads((folder / "whole" / "result.json").read_text())
    (folder / "part" / "result.json").unlink()
    ranks = {"uniform": {"rank2": [2] * whole["data"]["test_pos"]}}
    (folder / "part" / "rows.json").write_text(json.dumps([{**whole["rows"][0], "ranks": ranks}]))
    before = (folder / "part" / "metrics.jsonl").read_text()
    run("linkpred", "--resume", "part")
    found = json.loads((folder / "part" / "result.json").read_text())
    assert [row["scores"] for row in found["rows"]] == [row["scores"] for row in whole["rows"]]
    assert (folder / "part" / "metrics.jsonl").read_text() == before  # nothing was trained again
    assert "is finished" in run("linkpred", "--resume", "part").stdout


# splits


def test_a_split_of_ones_own(run: Run, folder: Path) -> None:
    graph = gr.read("edges.csv")
    made = split_edges(graph, shares=(80, 10, 10), directed=False, seed=5)
    for name in ("mine.npz", "mine.csv"):
        write_split(made, folder / name, ids=np.asarray(graph.ids))
    said = run("linkpred", "edges.csv", "--split", "mine.csv", *FAST, "--run-dir", "a").stdout
    assert "given split" in said
    run("linkpred", "--split", "mine.npz", *FAST, "--run-dir", "b")
    run("linkpred", "--split", "mine.csv", *FAST, "--run-dir", "c")
    rows = [json.loads((folder / n / "result.json").read_text())["rows"] for n in "abc"]
    assert [r["scores"] for r in rows[0]] == [r["scores"] for r in rows[1]] == [r["scores"] for r in rows[2]]
    run("linkpred", "top", "c", "-n", "1", "--nodes", "n1")
    assert _rows(folder / "c" / "missing_links.csv")[0]["node"] == "n1"


def test_a_leaky_split_is_refused(run: Run, folder: Path) -> None:
    graph = gr.read("edges.csv")
    made = split_edges(graph, shares=(80, 10, 10), directed=False, seed=5)
    leaky = {"train_pos": np.concatenate([made.train, made.test.flip(0)[:, :3], made.val[:, :2]], axis=1)}
    leaky |= {"val_pos": made.val.numpy(), "test_pos": made.test.numpy(), "test_neg": made.test_neg.numpy()}
    arrays: dict[str, Any] = {"num_nodes": 60, **leaky}
    np.savez(folder / "leaky.npz", **arrays)
    refused = run("linkpred", "--split", "leaky.npz", *SMALL, code=2)
    assert (
        f"3 of {made.test.shape[1]} test edges also occur in the training edges (reversed direction)" in refused.stderr
    )
    assert "--allow-leak" in refused.stderr
    assert not (folder / "runs").exists()
    allowed = run("linkpred", "--split", "leaky.npz", *SMALL, "--allow-leak")
    assert "The split leaks (--allow-leak): 3 of" in allowed.stdout
    assert any("leaks" in note for note in _result(folder, "leaky")["notes"])


def test_the_latest_links_are_held_out(run: Run, folder: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = rng.permutation([(i, j) for i in range(20) for j in range(i)])[:100]
    lines = [f"p{i},p{j},{1000 + at}" for at, (i, j) in enumerate(pairs)]
    (folder / "calls.csv").write_text("\n".join(["from,to,at", *lines]) + "\n")
    run("linkpred", "calls.csv", "--split-by", "time", "--time", "at", *FAST)
    made = folder / "runs" / "linkpred-calls"
    parts = read_link_parts(made / "split.npz")
    late = {frozenset(f"p{n}" for n in pair) for pair in pairs[90:]}
    assert {frozenset(parts["ids"][list(ends)].tolist()) for ends in parts["test_pos"].T} == late
    assert "needs the times" in run("linkpred", "calls.csv", "--split-by", "time", code=2).stderr
    assert "has no column when" in run(
        "linkpred", "calls.csv", "--split-by", "time", "--time", "when", code=2
    ).stderr  # fmt: skip


def test_nothing_is_judged_without_test_links(run: Run, folder: Path) -> None:
    run("linkpred", "edges.csv", "--shares", "95/5/0", *SMALL)
    found = _result(folder)
    assert found["summary"] == found["verdicts"] == []
    assert len(_rows(_top(run, folder))) > 0


def _top(run: Run, folder: Path) -> Path:
    run("linkpred", "top", "runs/linkpred-edges", "-n", "2")
    return folder / "runs" / "linkpred-edges" / "missing_links.csv"


# saved predictors


@pytest.mark.parametrize("method", ["ncnc", "deepwalk", "katz"])
def test_scores_and_missing_links(run: Run, folder: Path, method: str) -> None:
    run("linkpred", "edges.csv", "-m", method, *(SMALL if method != "katz" else ()), "--pair-score", "hadamard")
    made = folder / "runs" / "linkpred-edges"
    (folder / "pairs.csv").write_text("source,target\nn1,n2\nn7,n30\nn2,n1\n")
    run("linkpred", "score", made, "pairs.csv")
    scored = _rows(folder / "pairs.scores.csv")
    assert [(row["source"], row["target"]) for row in scored] == [("n1", "n2"), ("n7", "n30"), ("n2", "n1")]
    assert scored[0]["score"] == scored[2]["score"]
    run("linkpred", "top", made, "-n", "3", "--candidates", "all")
    parts = read_link_parts(made / "split.npz")
    known = {
        frozenset(parts["ids"][list(ends)].tolist())
        for key in ("train_pos", "val_pos", "test_pos")
        for ends in parts[key].T
    }
    lists = _rows(made / "missing_links.csv")
    assert not any(frozenset((row["node"], row["other"])) in known or row["node"] == row["other"] for row in lists)
    own = [float(row["score"]) for row in lists if row["node"] == "n1"]
    assert len(own) == 3
    assert own == sorted(own, reverse=True)
    first = next(row for row in lists if row["node"] == "n1")
    (folder / "pairs.csv").write_text(f"{first['node']}\t{first['other']}\n")
    run("linkpred", "score", made, "pairs.csv", "-q")
    assert float(_rows(folder / "pairs.scores.csv")[0]["score"]) == pytest.approx(float(first["score"]), rel=1e-4)


def test_pairs_that_cannot_be_scored(run: Run, folder: Path) -> None:
    run("linkpred", "edges.csv", *FAST)
    made = folder / "runs" / "linkpred-edges"
    (folder / "bad.csv").write_text("n1,n2\nn3,m40\n")
    refused = run("linkpred", "score", made, "bad.csv", code=2).stderr
    assert 'bad.csv, line 2: No node "m40" among 60: did you mean "n40"?' in refused
    assert not (folder / "bad.scores.csv").exists()
    (folder / "bad.csv").write_text("n1\n")
    assert "expected 2 columns" in run("linkpred", "score", made, "bad.csv", code=2).stderr
    (folder / "bad.csv").write_text("source,target\n")
    assert "holds no pairs" in run("linkpred", "score", made, "bad.csv", code=2).stderr
    assert "Cannot read pairs" in run("linkpred", "score", made, "none.csv", code=2).stderr
    assert "would be overwritten" in run("linkpred", "score", made, "edges.csv", "-o", "edges.csv", code=2).stderr
    assert "is no run folder" in run("linkpred", "score", "nowhere", "edges.csv", code=2).stderr
    assert 'No node "n99"' in run("linkpred", "top", made, "--nodes", "n1,n99", code=2).stderr
    assert "is unknown" in run("linkpred", "top", made, "--candidates", "some", code=2).stderr


# bad input


def test_bad_input_says_what_to_do(run: Run, folder: Path) -> None:
    (folder / "lonely.csv").write_text("from,to\nx,x\ny,y\n")
    cases = [
        ((), "No graph was given"),
        (("edges.csv", "-m", "lightgcn"), "does not score links"),
        (("edges.csv", "-m", "ncm"), 'Did you mean "ncn"'),
        (("edges.csv", "--set", "dims=3"), 'has no parameter "dims"'),
        (("edges.csv", "-m", "katz", "--set", "beta=1"), 'katz has no parameter "beta"'),
        (("edges.csv", "--shares", "85/15"), "three numbers are needed"),
        (("edges.csv", "--shares", "50/30/30"), "add up"),
        (("edges.csv", "--at", "0"), "--at takes numbers"),
        (("edges.csv", "--pair-score", "sum", "-m", "fastrp"), '--pair-score "sum" is unknown'),
        (("edges.csv", "--split-by", "luck"), '--split-by "luck" is unknown'),
        (("edges.csv", "--set", "features=given"), "has no features"),
        (("edges.csv", "--split", "edges.csv"), "has no column"),
        (("edges.csv", "--recipe", "grace/cora"), "not for links"),
        (("lonely.csv",), "no edge"),
    ]  # fmt: skip
    for arguments, words in cases:
        assert words in run("linkpred", *arguments, code=2).stderr, arguments


def test_too_few_links_for_a_test(run: Run, folder: Path) -> None:
    (folder / "tiny.csv").write_text("from,to\na,b\nb,c\nc,d\n")
    said = run("linkpred", "tiny.csv", "-m", "katz").stdout
    assert "No links are held out for a test: nothing is judged." in said


def test_more_than_there_are_negatives_is_told(run: Run, folder: Path) -> None:
    told = run("linkpred", "edges.csv", *FAST, "--at", "10,500")
    assert "Hits@500 is 1.0 by OGB's rule: there are only" in told.stderr


def test_features_are_made_from_training_links_alone(run: Run, folder: Path) -> None:
    said = run("linkpred", "edges.csv", *SMALL, "--features", "degree").stdout
    assert "The features (degree) are made from the training links alone." in said


# pieces


@pytest.mark.parametrize("name", predictor_names())
def test_every_predictor_is_saved_and_found_again(name: str, split: LinkSplit, tmp_path: Path) -> None:
    params = {} if kind_of(name) == "heuristic" else {"dim": 8, "seed": 2}
    if name not in ("fastrp", "spectral") and params:
        params["epochs"] = 2
    found = make_predictor(name, params).fit(split)
    assert split.test_pos is not None
    scores = found.score(split.test_pos)
    assert scores.shape == (split.test_pos.shape[1],)
    np.testing.assert_allclose(found.score(split.test_pos.flip(0)), scores, rtol=1e-5, atol=1e-6)
    found.save(tmp_path)
    again = load_predictor(name, tmp_path, split)
    np.testing.assert_allclose(again.score(split.test_pos), scores, rtol=1e-6)


def test_test_links_play_no_part(split: LinkSplit) -> None:
    assert split.val_pos is not None
    other = split.replace(test_pos=split.val_pos[:, :2], test_neg=None)
    for name in ("ncn", "deepwalk", "katz"):
        params = {} if name == "katz" else {"dim": 8, "epochs": 2}
        first, second = (make_predictor(name, params).fit(part).score(split.val_pos) for part in (split, other))
        np.testing.assert_array_equal(first, second)


def test_how_vectors_are_compared_is_chosen_on_validation(split: LinkSplit) -> None:
    from graphrep.eval.linkpred import link_scores

    found = {}
    for how in ("dot", "cosine", "hadamard"):
        vectors = make_predictor("spectral", {"dim": 8}, pair_score=how).fit(split)
        found[how] = link_scores(vectors.score(split.val_pos), vectors.score(split.val_neg), ks=(1,)).auc
    chosen = make_predictor("spectral", {"dim": 8}).fit(split)
    assert found[chosen.pair_score] == max(found.values())  # type: ignore[attr-defined]
    alone = split.replace(val_pos=None, val_neg=None)
    assert make_predictor("spectral", {"dim": 8}).fit(alone).title == "spectral + cosine"


def test_scores_are_those_of_the_library(split: LinkSplit) -> None:
    from graphrep.eval import link_scores
    from graphrep.eval.heuristics import heuristic_scores

    assert split.test_pos is not None
    assert split.test_neg is not None
    hard, pos = hard_negatives(split, k=6, seed=0, most=5)
    assert hard.shape == (5, 6, 2)
    katz = make_predictor("katz").fit(split)
    plain, _ = judge(katz, HeldOut(split.test_pos, split.test_neg, (3,), hard, pos), intervals=True)
    graph = split.graph
    wanted = link_scores(
        heuristic_scores(graph, split.test_pos, "katz"), heuristic_scores(graph, split.test_neg, "katz"), ks=(3,)
    )
    assert plain["uniform"]["auc"] == wanted.auc
    assert plain["uniform"]["hits"] == {"3": wanted.hits[3]}
    own = torch.stack([heuristic_scores(graph, rows.t(), "katz") for rows in hard])
    assert plain["heart"]["mrr"] == link_scores(heuristic_scores(graph, pos, "katz"), own, ks=(1,)).mrr


def test_missing_links_against_all_pairs(split: LinkSplit) -> None:
    katz = make_predictor("katz").fit(split)
    parts = [split.graph.edge_index, split.val_pos, split.test_pos]
    known = {frozenset(map(int, ends)) for part in parts if part is not None for ends in part.t()}
    found = list(best_missing(katz, split, np.arange(40), 4, candidates="all"))
    others, scores = (np.concatenate([block[place] for block in found]) for place in (1, 2))
    for node in range(40):
        free = [v for v in range(40) if v != node and frozenset((node, v)) not in known]
        values = katz.score(torch.tensor([[node] * len(free), free])).astype(np.float32)
        best = np.sort(values)[::-1][:4]
        np.testing.assert_array_equal(scores[node][: len(best)], best)
        assert set(others[node][others[node] >= 0].tolist()) <= set(free)


def _row(rank2: list[int], *, method: str = "m", seed: int = 0) -> dict[str, Any]:
    rank = np.array(rank2) / 2
    part = {"auc": float((1 - (rank - 1) / 10).mean()), "mrr": float((1 / rank).mean()), "num_neg": 10}
    return {
        "method": method, "title": method, "seed": seed, "ranks": {"uniform": {"rank2": rank2}},
        "scores": {"uniform": {**part, "ap": 0.5, "hits": {"1": 0.5}}}, "seconds": 1.0, "judge_seconds": 0.5,
        "peak_memory_bytes": 1,
    }  # fmt: skip


def test_verdicts() -> None:
    good, bad = [2, 2, 4, 2, 2, 2, 4, 2], [18, 20, 16, 22, 20, 18, 16, 20]
    for mine, other, outcome in ((good, bad, "beats"), (bad, good, "loses"), (good, good, "level")):
        assert verdict_on("x", [_row(mine)], {"katz": [_row(other)]}, "uniform").outcome == outcome
    one, two = (
        [_row(r, seed=s) for s, r in enumerate(rows)] for rows in ((good, good[::-1]), (bad, bad[1:] + bad[:1]))
    )
    assert verdict_on("x", two, {"katz": one}, "uniform").outcome == "loses"
    assert verdict_on("x", one, {"katz": one}, "uniform").outcome == "level"
    summary = Summary("ncn", "ncn", two, {"uniform": "loses"})
    assert summary.loses
    assert summary.cell("uniform", "auc").count("+-") == 1
    assert summary.seconds == 1.5


def test_names() -> None:
    assert [kind_of(name) for name in ("ncnc", "line", "pagerank")] == ["trained", "vectors", "heuristic"]
    with pytest.raises(UnknownNameError, match="Unknown method"):
        kind_of("page-rank")
