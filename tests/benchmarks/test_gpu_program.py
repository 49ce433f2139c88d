"""The program behind ``make gpu``: its own run on the CPU, its refusals, and what it does about a wrong kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_checks import checks, largest_error
from benchmarks.gpu_clock import Clock, ceilings, copies_wanted
from graphrep.kernels import _triton

ROOT = Path(__file__).parents[2]
needs_interpreter = pytest.mark.skipif(not _triton.INTERPRETED, reason="runs where there is Triton and no device")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    environment = {name: text for name, text in os.environ.items() if name != "GRAPHREP_BACKEND"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device")
def test_without_a_device_it_says_so_in_one_line() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "No CUDA device" in done.stderr


@needs_interpreter
def test_a_dry_run_checks_every_operator_and_times_a_case_of_each(tmp_path: Path) -> None:
    out = tmp_path / "dry.json"
    done = run("--dry-run", "--out", str(out))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result = json.loads(out.read_text())
    assert result["dry_run"]
    assert all(check["ok"] for check in result["checks"])
    checked = {check["name"].split()[0] for check in result["checks"]}
    assert {"spmm", "sddmm", "edge_softmax", "segment_reduce", "gat_aggregate", "streaming_logsumexp"} <= checked
    assert "edge_logsumexp" in checked
    assert {case["params"]["op"] for case in result["cases"]} >= {"spmm", "sddmm", "edge_softmax", "info_nce"}
    for case in result["cases"]:
        assert case["methods"]["graphrep"]["status"] == "ok"
        assert case["floor_seconds"] > 0
        others = [m for name, m in case["methods"].items() if name != "graphrep"]
        assert all(m["status"] in ("ok", "skipped") for m in others), case
        assert all(m["status"] == "ok" or m["reason"] for m in others)
    assert set(result["ceilings"]) == {"copy", "bfloat16", "tf32", "float32"}


def test_a_wrong_kernel_ends_it_without_a_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("benchmarks.gpu_checks.run_check", lambda check, device: float("inf"))
    monkeypatch.setattr(gpu, "_timed", lambda *_: pytest.fail("timed although wrong"))
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr("graphrep.kernels._schedule.PIECE", 64)
    assert gpu.main(["--dry-run"]) == 1
    printed = capsys.readouterr().out
    assert "WRONG spmm" in printed
    assert "nothing is timed" in printed


def test_checks_cover_every_type_and_index() -> None:
    names = [check.name for check in checks()]
    assert len(set(names)) == len(names)
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        for op in ("spmm sum weighted", "spmm min per head", "sddmm", "edge_softmax H=33", "segment_reduce mean"):
            assert f"{op} torch.{dtype}" in names


def test_errors_are_infinite_for_nan_and_wrong_shapes() -> None:
    right = [torch.ones(3, dtype=torch.float64)]
    assert largest_error([torch.ones(3)], right) == 0
    assert largest_error([torch.tensor([1.0, 1.0, float("nan")])], right) == float("inf")
    assert largest_error([torch.ones(2)], right) == float("inf")


def test_result_files_are_named_after_the_device() -> None:
    assert gpu.result_name("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3.json"


def test_the_clock_runs_on_a_cpu_for_trying() -> None:
    clock = Clock(torch.device("cpu"))
    assert clock.seconds([lambda: torch.ones(3)])["median"] > 0
    assert all(rate > 0 for rate in ceilings(clock, tiny=True).values())
    assert copies_wanted(10, torch.device("cpu")) == 1
