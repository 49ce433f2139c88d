"""Each family runs from end to end on its tiny inputs and writes a file without errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.machine import read_json
from benchmarks.registry import OURS
from benchmarks.run import main
from benchmarks.table import full_table

ROOT = Path(__file__).parents[2]
SMALLER = {
    "segment": "torch-scatter_reduce",
    "sddmm": "gather",
    "edge_softmax": "pyg-softmax",
    "gat": "pyg",
    "common_neighbors": "torch-search",
}


@pytest.fixture(autouse=True)
def _contained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache of its own, and the old thread count afterwards (numba refuses to change it once it runs)."""
    monkeypatch.setattr("benchmarks.run.set_threads_and_allocator", lambda *_, **__: None)
    monkeypatch.setenv("GRAPHREP_BENCH_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run(tmp_path: Path, family: str, *options: str) -> dict[str, dict[str, Any]]:
    """Cases of the result file by name."""
    fixed = ["--sizes", "tiny", "--repeats", "1", "--seconds", "0.01", "--threads", "1", "--out", str(tmp_path)]
    assert main([family, *fixed, *options]) == 0
    result = read_json(tmp_path / f"{family}.json")
    assert result["threads"] == 1
    assert result["begin"]["commit"]
    return {case["name"]: case for case in result["cases"]}


def statuses(case: dict[str, Any]) -> dict[str, str]:
    return {name: record["status"] for name, record in case["methods"].items()}


@pytest.mark.filterwarnings("ignore")
def test_spmm(tmp_path: Path) -> None:
    cases = run(tmp_path, "spmm", "--filter", "tiny/d16")
    assert len(cases) == 12
    for case in cases.values():
        found = statuses(case)
        assert found[OURS] == "ok"
        assert found["torch-csr"] == "ok"
        assert "disagrees" not in found.values(), case
        assert "failed" not in found.values(), case


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("family", "rival"), SMALLER.items())
def test_smaller_families(tmp_path: Path, family: str, rival: str) -> None:
    cases = run(tmp_path, family)
    assert cases
    for case in cases.values():
        found = statuses(case)
        assert found[OURS] == "ok"
        assert found[rival] == "ok"
        assert "disagrees" not in found.values(), case


@pytest.mark.filterwarnings("ignore")
def test_pot(tmp_path: Path) -> None:
    cases = run(tmp_path, "pot")
    assert len(cases) == 5
    for case in cases.values():
        found = statuses(case)
        assert found[OURS] == "ok", case
        assert found["dense"] == ("ok" if case["params"]["op"] in ("official", "ibp") else "skipped"), case


@pytest.mark.filterwarnings("ignore")
def test_training(tmp_path: Path) -> None:
    (case,) = run(tmp_path, "training").values()
    assert statuses(case) == {OURS: "ok", "pyg-dense": "ok"}, case


@pytest.mark.filterwarnings("ignore")
def test_clustering_losses(tmp_path: Path) -> None:
    cases = run(tmp_path, "clustering_losses")
    assert {case["params"]["op"] for case in cases.values()} == {"exact r=2", "pamc r=2"}
    for case in cases.values():
        assert statuses(case) == {OURS: "ok", "dense": "ok"}, case
    assert "| tiny/r2/exact |" in full_table(read_json(tmp_path / "clustering_losses.json"))


@pytest.mark.filterwarnings("ignore")
def test_weighted_contrast(tmp_path: Path) -> None:
    cases = run(tmp_path, "weighted_contrast")
    rivals = {"meow": ["official"], "adameow": ["official", "factorised", "checkpoint"]}
    assert {case["params"]["op"] for case in cases.values()} == set(rivals)
    for case in cases.values():
        assert statuses(case) == dict.fromkeys([OURS, *rivals[case["params"]["op"]]], "ok"), case
    assert "| tiny/adameow |" in full_table(read_json(tmp_path / "weighted_contrast.json"))


@pytest.mark.filterwarnings("ignore")
def test_recommend(tmp_path: Path) -> None:
    cases = run(tmp_path, "recommend")
    assert {case["params"]["op"] for case in cases.values()} == {"steps (epoch)", "negatives", "evaluation"}
    for case in cases.values():
        assert statuses(case) == {OURS: "ok", "plain": "ok"}, case


@pytest.mark.filterwarnings("ignore")
def test_hetero(tmp_path: Path) -> None:
    (case,) = run(tmp_path, "hetero").values()
    assert statuses(case) == {OURS: "ok", "dense": "ok"}, case


@pytest.mark.filterwarnings("ignore")
def test_ncn(tmp_path: Path) -> None:
    """The step leaves dropout out, so that loss and gradients of both must be the same."""
    cases = run(tmp_path, "ncn")
    assert set(cases) == {"step/tiny", "epoch/tiny"}
    for case in cases.values():
        assert statuses(case) == {OURS: "ok", "plain": "ok"}, case
    assert cases["step/tiny"]["tolerance"] <= 1e-3


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["walks", "sampling"])
def test_random_families(tmp_path: Path, family: str) -> None:
    """Not every rival can do every kind of walk or sample; those that ran agree with ours."""
    cases = run(tmp_path, family)
    assert cases
    for case in cases.values():
        found = statuses(case)
        assert found[OURS] == "ok"
        assert not {"disagrees", "failed"} & set(found.values()), case


@pytest.mark.filterwarnings("ignore")
def test_fastrp_in_one_process(tmp_path: Path) -> None:
    case = run(tmp_path, "fastrp", "--filter", "d16/q4")["tiny-powerlaw/d16/q4"]
    assert case["status"] == "ok"
    for name in (OURS, f"{OURS}-official", "official", "scipy-dense"):
        assert case["methods"][name]["status"] == "ok", case
        assert case["methods"][name]["error"] <= case["tolerance"]
    assert case["methods"]["official"]["ratio_to_official_settings"] > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_fastrp_in_processes_of_its_own(tmp_path: Path) -> None:
    case = run(tmp_path, "fastrp", "--filter", "processes")["tiny-powerlaw/d32/q4-processes"]
    assert case["mode"] == "alternating processes"
    for name in (OURS, f"{OURS}-official", "official", "scipy-dense"):
        assert case["methods"][name]["status"] == "ok", case
    assert case["methods"][OURS]["peak_over_output"] >= 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_fastrp_from_file_to_file(tmp_path: Path) -> None:
    case = run(tmp_path, "fastrp", "--filter", "file-to-file")["powerlaw-400/d16/file-to-file"]
    assert case["methods"][OURS]["status"] == "ok", case
    assert case["methods"][OURS]["error"] <= 1e-4
    assert case["methods"][OURS]["process_peak_bytes"] > 1 << 20


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_memory_is_measured_in_its_own_process(tmp_path: Path) -> None:
    cases = run(tmp_path, "sddmm", "--filter", "tiny/H1xD64/fwd", "--memory", "--rivals", "gather")
    records = [r for r in cases["tiny/H1xD64/fwd"]["methods"].values() if r["status"] == "ok"]
    assert len(records) == 2
    for record in records:
        assert record["peak_bytes"] >= 0
        assert record["result_bytes"] == 4_000 * 4


@pytest.mark.filterwarnings("ignore")
def test_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHREP_DATA", raising=False)
    cases = run(tmp_path, "probe")
    assert list(cases) == ["tiny/d8"]
    assert statuses(cases["tiny/d8"]) == {OURS: "ok", "scikit-learn": "ok"}
    table = full_table(read_json(tmp_path / "probe.json"))
    assert "| tiny/d8 |" in table


@pytest.mark.filterwarnings("ignore")
def test_quality(tmp_path: Path) -> None:
    cases = run(tmp_path, "quality")
    plain = cases["fastrp d=8"]
    assert plain["status"] == "ok"
    assert list(plain["scores"]) == ["10%", "50%", "90%"]
    assert 0 < plain["scores"]["50%"]["micro_f1"] < 100


def test_unknown_sizes_are_refused() -> None:
    command = [sys.executable, "-m", "benchmarks.run", "spmm", "--sizes", "gigantic"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "huge" in done.stderr


@pytest.mark.filterwarnings("ignore")
def test_bounds() -> None:
    """No drawn graph lies below a sound bound, on trained encoders too; the tightened form is the closest."""
    from benchmarks import bounds

    result = bounds.measure("digits", seeds=1, samples=2, changes={"epochs": 1, "dim": 8})
    rows = {row["bound"]: row for row in result["rows"] if row["trained"] == "GRACE"}
    sound = [rows[name] for name in bounds.SOUND]
    assert [row["share_below_value"] for row in sound] == [0.0] * 4
    assert rows["best, tightened"]["mean_bound"] >= rows["best"]["mean_bound"] >= rows["ibp"]["mean_bound"]
    assert bounds.table(result).count("\n| ") == 1 + 3 * 5
