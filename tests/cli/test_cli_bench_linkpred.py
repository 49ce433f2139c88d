"""`graphrep bench linkpred`: rows of all methods, resumption, the table, splits of both protocols."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graphrep.cli.benching import SUITES
from graphrep.cli.benching_linkpred import LinkBench, linkpred_table
from graphrep.data import check_link_split
from graphrep.eval.heuristics import HEURISTICS

Run = Callable[..., Any]


@pytest.mark.filterwarnings("ignore")
def test_rows_and_resumption(run: Run, folder: Path) -> None:
    command = ["bench", "linkpred", "--datasets", "edges.csv", "--runs", "2", "--set", "epochs=2", "--set", "dim=8"]
    assert "4 runs, 0 of them" in run(*command, "--methods", "ncn,fastrp").stdout
    result = run(*command, "--methods", "ncn,ablations,heuristics,fastrp")
    assert f"{2 * (3 + len(HEURISTICS))} runs, 4 of them" in result.stdout
    rows = json.loads((folder / "runs" / "bench-linkpred.json").read_text())["rows"]
    for row in rows:
        assert row["status"] == "ok"
        assert 0 <= row["scores"]["uniform"]["auc"] <= 1
        assert row["sizes"] == next(r["sizes"] for r in rows if r["seed"] == row["seed"])
    lines = [line.split(" | ") for line in result.stdout.splitlines() if line.startswith("| edges.csv")]
    labels = [h.title for h in HEURISTICS.values()]
    assert [line[1] for line in lines] == ["NCN", "NCN, targets kept", *labels, "FastRP"]
    assert all(line[2] == "2" for line in lines)
    kept = lines[1][3]
    assert "(" in kept
    assert " to " in kept  # the interval of the difference to NCN
    assert "training," in (folder / "runs" / "bench-linkpred.md").read_text()


def test_splits_of_both_protocols(folder: Path) -> None:
    usual = LinkBench("edges.csv", None)
    split, test = usual.parts(3)
    assert usual.parts(3)[0] is split
    assert test.hard is None
    assert check_link_split(split).ok
    (folder / "cora").write_bytes((folder / "edges.csv").read_bytes())
    usual.planetoid = True
    split, test = usual.parts(4)
    assert check_link_split(split).ok
    assert split.test_neg is not None
    assert split.val_neg is not None
    assert split.test_neg.shape == split.val_neg.shape == test.pos.shape
    assert test.hard is not None
    assert test.hard_pos is not None
    assert test.hard.shape[0] == test.hard_pos.shape[1]


def test_published_rows_and_marks() -> None:
    def row(method: str, label: str, auc: float) -> dict[str, Any]:
        part = {"auc": auc, "ap": auc, "mrr": 0.1, "hits": {"100": auc}}
        sizes = {"train": 70, "val": 10, "test": 20, "test_neg": 20, "hard": None}
        return {
            "dataset": "cora", "label": label, "method": method, "seed": 0, "scores": {"uniform": part}, "sizes": sizes,
            "status": "ok", "seconds": 1.0, "peak_memory_bytes": 2**30,
        }  # fmt: skip

    variants = [v for method in ("ncn", "heuristics") for v in SUITES["linkpred"].variants[method]]
    table = linkpred_table(["cora"], variants, [row("ncn", "NCN", 0.8), row("katz", "Katz", 0.9)])
    mine = next(line for line in table if line.startswith("| cora | NCN |"))
    assert "80.00 (single run) *" in mine
    published = next(line for line in table if "*NCN, published*" in line)
    assert "89.05" in published
    failed = SimpleNamespace(**vars(variants[0]))
    bad = {**row("ncn", "NCN", 0.8), "scores": {}, "status": "Loss became NaN"}
    assert any("Loss became NaN" in line for line in linkpred_table(["cora"], [failed], [bad]))
