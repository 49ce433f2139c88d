"""Commands under a launcher: one process speaks and writes, the others train; methods of one process refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def launched(monkeypatch: pytest.MonkeyPatch, rank: int = 1) -> None:
    for name, value in {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))


def test_methods_of_one_process_refuse_a_launcher(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch)
    said = run("train", "grace", "karate", code=2)
    assert "runs in one process; a launcher started 2" in said.stderr


def test_one_process_is_no_group(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, 0)
    monkeypatch.setenv("WORLD_SIZE", "1")
    run("train", "grace", "karate", "--features", "degree", "--epochs", "1", "--out", "one")


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_train_lmgnn_under_torchrun(folder: Path, parallel: str) -> None:
    pytest.importorskip("transformers")
    words = ["graph node", "edge walk", "text word", "page line"]
    (folder / "nodes.csv").write_text("id,text\n" + "".join(f"n{i},{words[i % 4]} {words[i % 3]}\n" for i in range(24)))
    edges = [f"n{i},n{(i + hop) % 24}" for i in range(24) for hop in (1, 4)]
    (folder / "edges.csv").write_text("from,to\n" + "\n".join(edges) + "\n")
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    settings = {"parallel": parallel, "num_negatives": 8, "lm_negatives": 8, "text_length": 16}
    sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    done = subprocess.run(
        [
            *launch, "-m", "graphrep", "train", "lmgnn", "edges.csv", "--text", "nodes.csv:text", "--task", "link",
            "--stages", "lm,gnn,joint", "--epochs", "3", "--out", "run", *sets,
        ],
        capture_output=True, text=True, timeout=600, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 processes, each with its share of every batch" in done.stdout
    assert done.stdout.count("Wrote run") == 1
    written = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in written] == ["lm", "gnn", "gnn", "gnn", "joint"]
    assert json.loads((folder / "run" / "result.json").read_text())["params"]["parallel"] == parallel
