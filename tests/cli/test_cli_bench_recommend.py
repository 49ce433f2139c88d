"""`graphrep bench recommend`: rows of all methods, resumption, the table with its facts, errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import graphrep as gr
from graphrep.cli.benching_recommend import METRICS, fingerprint, recommend_run, recommend_table
from graphrep.data import Interactions
from graphrep.methods import MF

Run = Callable[..., Any]


def save(data: Interactions, path: Path) -> None:
    """An archive in the layout of the public sets."""
    parts = {f"{part}_{side}": getattr(data, side)[data.rows(part)] for part in data.parts for side in ("user", "item")}
    np.savez(path, num_users=data.num_users, num_items=data.num_items, **{k: v.numpy() for k, v in parts.items()})


def blocks(*, val: float = 0.0) -> Interactions:
    """Users who meet most items of their block, split at random."""
    at = torch.arange(40)
    pairs = torch.cartesian_prod(at, at)
    kept = (pairs[:, 0] // 10 == pairs[:, 1] // 10) & torch.from_numpy(np.random.default_rng(0).random(1600) < 0.8)
    return Interactions(*pairs[kept].t(), name="blocks").split(val=val, test=0.3, seed=0)


@pytest.mark.filterwarnings("ignore")
def test_all_methods_and_resumption(run: Run, folder: Path) -> None:
    save(blocks(), folder / "blocks.npz")
    command = [
        "bench", "recommend", "--datasets", "blocks.npz", "--runs", "2", "--set", "epochs=3", "--set", "dim=8",
        "--set", "lr=0.05", "--set", "eval_every=1", "--set", "rank=2",
    ]  # fmt: skip
    first = run(*command, "--methods", "lightgcl,lightgcn")
    assert "4 runs, 0 of them" in first.stdout
    result = run(*command)
    assert "10 runs, 4 of them" in result.stdout
    lines = [line.split(" | ") for line in result.stdout.splitlines() if line.startswith("| blocks.npz")]
    assert [line[1] for line in lines] == ["LightGCL", "LightGCN", "SimGCL", "MF", "Popularity"]
    assert all(line[2] == "2" for line in lines)
    rows = json.loads((folder / "runs" / "bench-recommend.json").read_text())["rows"]
    assert len(rows) == 10
    for row in rows:
        assert row["status"] == "ok"
        assert set(row["scores"]) == {"users", "official"}
        assert set(row["scores"]["users"]) == set(METRICS)
        assert row["scores"]["users"] == pytest.approx(row["scores"]["official"])  # 40 users are one batch
        assert row["fingerprint"] == rows[0]["fingerprint"]
        assert row["peak_memory_bytes"] > 0
        if row["label"] != "Popularity":
            assert row["epochs"] == 3
            assert 1 <= row["kept_epoch"] <= 3
            assert 0 < row["validation_recall"] <= 1
            assert row["seconds_per_epoch"] > 0
    recall = {row["label"]: row["scores"]["users"]["recall@20"] for row in rows}
    assert recall["LightGCN"] > recall["Popularity"]
    text = (folder / "runs" / "bench-recommend.md").read_text()
    assert f"blocks.npz: 40 users, 40 items, {rows[0]['fingerprint']['train']} train" in text
    assert rows[0]["fingerprint"]["digest"] in text


def test_test_pairs_play_no_part_in_training() -> None:
    data = blocks()
    assert data.part is not None
    wanted = recommend_run(MF, {"dim": 4, "epochs": 2, "eval_every": 1}, data)
    rows = torch.cat([data.rows("train"), data.rows("test")[:5]])
    few = Interactions(data.user[rows], data.item[rows], part=data.part[rows], num_users=40, num_items=40)
    found = recommend_run(MF, {"dim": 4, "epochs": 2, "eval_every": 1}, few)
    assert found["validation_recall"] == wanted["validation_recall"]
    assert found["scores"] != wanted["scores"]
    assert found["fingerprint"]["digest"] != wanted["fingerprint"]["digest"]


def test_fingerprint_does_not_depend_on_the_order_of_rows() -> None:
    data = blocks(val=0.2)
    assert data.part is not None
    order = torch.randperm(data.num_rows, generator=torch.Generator().manual_seed(1))
    shuffled = Interactions(data.user[order], data.item[order], part=data.part[order], num_users=40, num_items=40)
    assert fingerprint(shuffled) == fingerprint(data)
    assert set(fingerprint(data)) == {"users", "items", "train", "val", "test", "digest"}


def test_published_scores_stand_under_the_same_split_alone() -> None:
    score = dict.fromkeys(METRICS, 0.2)
    facts = {"users": 3, "items": 4, "train": 5, "test": 6, "digest": "abc"}
    good = {
        "label": "LightGCN", "seed": 0, "status": "ok", "scores": {"users": score, "official": score}, "kept_epoch": 7,
        "seconds_per_epoch": 1.5, "peak_memory_bytes": 2**30, "fingerprint": facts,
    }  # fmt: skip
    bad = {**good, "dataset": "lastfm", "scores": {}, "status": "Loss became NaN", "seed": 1}
    rows = [{**good, "dataset": "gowalla"}, {**good, "dataset": "gowalla", "seed": 1, "kept_epoch": 9}, bad]
    lines = recommend_table(["gowalla", "lastfm"], {"LightGCN": "lightgcn", "MF": "mf"}, rows)
    assert "| gowalla | LightGCN | 2 | 20.00 +- 0.00 |" in lines[2]
    assert lines[2].endswith("| 7-9 | 1.5 | 1.00 |")
    assert lines[3].startswith("| gowalla | *LightGCN, published* |  | 18.24 | 15.47 |")
    assert "Loss became NaN" in lines[4]
    assert len({line.count("|") for line in lines[:5]}) == 1
    assert "lastfm: 3 users, 4 items, 5 train, 6 test; digest abc." in lines


def test_errors(run: Run, folder: Path) -> None:
    gr.write(gr.load("karate"), folder / "graph.npz")
    found = run("bench", "recommend", "--datasets", "graph.npz", code=2)
    assert "holds no interactions of users with items" in found.stderr
    save(Interactions([0, 1], [0, 1], part=["train", "train"]), folder / "whole.npz")
    found = run("bench", "recommend", "--datasets", "whole.npz", code=2)
    assert "has no train and test parts" in found.stderr
    assert "recommend has no method" in run("bench", "recommend", "--methods", "ngcf", code=2).stderr
