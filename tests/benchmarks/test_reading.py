"""The benchmark of reading edge lists: its files, its verdicts, and one run of the smallest size."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

import graphrep as gr
from benchmarks.families import reading
from benchmarks.table import full_table, short_table


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHREP_BENCH_CACHE", str(tmp_path))


@pytest.mark.parametrize("kind", reading.KINDS)
def test_files(kind: str) -> None:
    path = reading.row_file(kind, 2000)
    first = path.read_bytes()
    path.unlink()
    assert reading.row_file(kind, 2000).read_bytes() == first
    graph = gr.read(path, raw=True)
    assert (graph.num_edges, graph.report.text_ids) == (2000, kind == "text")
    assert 100 < graph.num_nodes <= 200


def call(seconds: float, rows: int = 5) -> dict:
    times = {"seconds": seconds, "process_seconds": seconds + 1}
    return {"status": "ok", "peak_bytes": 10**9, "rows": rows, "nodes": 3, **times}


def test_verdicts(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("1,2\n")
    good = reading._judged({"graphrep": [call(2.0), call(4.0)], "pandas": [call(3.0), call(6.0)]}, None, file)
    assert (good["status"], good["methods"]["pandas"]["ratio"], good["within_30_s_and_3_gb"]) == ("ok", 1.5, True)
    wrong = reading._judged({"graphrep": [call(2.0)], "pandas": [call(3.0, rows=6)]}, None, file)
    assert wrong["status"] == "wrong"
    slow = reading._judged({"graphrep": [call(31.0)]}, "pandas is not installed", file)
    assert slow["within_30_s_and_3_gb"] is False
    assert slow["methods"]["pandas"]["status"] == "skipped"


@pytest.mark.slow
def test_a_run() -> None:
    pytest.importorskip("pandas")
    options = argparse.Namespace(sizes=["tiny"], filter="text", repeats=1)
    (entry,) = reading.measure(options)
    assert entry["status"] == "ok", entry
    assert entry["facts"]["rows"] == 2000
    assert np.isfinite(entry["methods"]["pandas"]["ratio"])
    begin = {"machine": {"cpu": "x"}, "versions": {"torch": "2"}, "commit": "c" * 12, "time": "2026-01-01"}
    result = {"family": "reading", "threads": 2, "clock": "wall", "begin": begin, "cases": [entry]}
    assert "text-ids/2000-rows" in short_table(result)
    assert "text-ids/2000-rows" in full_table(result)
