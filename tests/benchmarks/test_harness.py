"""The runner itself: equality before speed, rotation, honest reasons, verdicts and tables."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from benchmarks import compare as comparing
from benchmarks import machine, measure, table
from benchmarks.families import spmm as spmm_family
from benchmarks.families.forms import graph_forms
from benchmarks.graphs import BenchGraph, load_graph, powerlaw, rmat, write_edges
from benchmarks.registry import OURS, Case, Method, Skip, cases_of

PLAN = measure.Plan(repeats=2, seconds=0.02)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHREP_BENCH_CACHE", str(tmp_path / "cache"))


def case_with(ours: Callable[[Any], Any], rivals: dict[str, Method] | None = None) -> Case:
    """A weighted-sum case on the tiny graph whose method is `ours`(inputs)."""
    found = next(c for c in cases_of("spmm") if c.name == "tiny/d16/sum/weighted/fwd")
    return Case(
        **{
            **{name: getattr(found, name) for name in found.__dataclass_fields__},
            "ours": Method(lambda inputs: lambda: (ours(inputs),)),
            "rivals": rivals or {},
        }
    )


def right(inputs: Any) -> torch.Tensor:
    return torch.from_numpy(inputs.forms.scipy_csr(True) @ inputs.x.numpy())


# equality before speed


def test_a_right_kernel_is_timed() -> None:
    entry = measure.measure_case(case_with(right), PLAN)
    assert entry["status"] == "ok"
    assert entry["methods"][OURS]["seconds"]["median"] > 0
    assert entry["methods"][OURS]["ratio"] == 1.0


@pytest.mark.parametrize("mistake", ["last_row", "one_edge", "nan", "shape"])
def test_a_wrong_kernel_gets_no_time(mistake: str) -> None:
    def wrong(inputs: Any) -> torch.Tensor:
        out = right(inputs)
        if mistake == "last_row":
            out[int(inputs.forms.graph.degree.nonzero()[0][-1])] = 0
        elif mistake == "one_edge":
            row, col = int(inputs.forms.row_long[7]), int(inputs.forms.col_long[7])
            out[row] -= inputs.forms.weight[7] * inputs.x[col]
        elif mistake == "nan":
            out[3, 2] = float("nan")
        else:
            out = out[:-1]
        return out

    entry = measure.measure_case(case_with(wrong), PLAN)
    assert entry["status"] == "wrong"
    assert "seconds" not in entry["methods"][OURS]
    json.dumps(entry, allow_nan=False)


def test_a_failing_kernel_of_ours_is_recorded() -> None:
    def broken(_: Any) -> torch.Tensor:
        raise RuntimeError("no such kernel")

    entry = measure.measure_case(case_with(broken), PLAN)
    assert entry["status"] == "failed"
    assert "no such kernel" in entry["methods"][OURS]["reason"]


def test_rivals_without_a_time_have_a_reason() -> None:
    def skip(_: Any) -> Callable[[], Any]:
        raise Skip("too large")

    def fail(_: Any) -> Callable[[], Any]:
        raise RuntimeError("not implemented\nsecond line")

    rivals = {
        "same": Method(lambda inputs: lambda: (right(inputs),), note="how"),
        "doubled": Method(lambda inputs: lambda: (2 * right(inputs),)),
        "skipping": Method(skip),
        "failing": Method(fail),
        "absent": Method(skip, needs="no-such-distribution"),
    }
    methods = measure.measure_case(case_with(right, rivals), PLAN)["methods"]
    expected = {"same": "ok", "doubled": "disagrees", "skipping": "skipped", "failing": "failed", "absent": "skipped"}
    assert {name: record["status"] for name, record in methods.items()} == {OURS: "ok", **expected}
    assert methods["same"]["note"] == "how"
    assert methods["skipping"]["reason"] == "too large"
    assert methods["failing"]["reason"] == "RuntimeError: not implemented"
    assert "not installed" in methods["absent"]["reason"]


def test_slow_rivals_get_one_round_and_short_calls_are_repeated() -> None:
    firsts = {OURS: 1e-3, "near": 2e-3, "slow": 21e-3, "very slow": 5.0}
    runners = {name: measure._Runner(lambda: None, first=first) for name, first in firsts.items()}
    assert measure._schedule(runners, measure.Plan(repeats=5, seconds=100.0)) == 15
    assert [runner.rounds for runner in runners.values()] == [15, 15, 1, 1]
    assert [runners[name].number for name in (OURS, "near", "slow")] == [10, 5, 1]
    assert measure._schedule(runners, measure.Plan(repeats=5, seconds=0.01)) == 2


def test_every_method_takes_every_place() -> None:
    names = ["a", "b", "c"]
    orders = [measure.rotation(names, number) for number in range(3)]
    for place in range(3):
        assert {order[place] for order in orders} == set(names)


# the float64 definition


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_reference_agrees_with_autograd(reduce: str) -> None:
    forms = graph_forms("tiny")
    x = torch.randn(forms.num_nodes, 3, dtype=torch.float32).double().requires_grad_()
    g = torch.randn(forms.num_nodes, 3).double()
    message = x[forms.col_long] * forms.weight.double().unsqueeze(1)
    index = forms.row_long.unsqueeze(1).expand_as(message)
    name = {"sum": "sum", "mean": "mean", "max": "amax"}[reduce]
    out = torch.zeros(forms.num_nodes, 3).double().scatter_reduce(0, index, message, name, include_self=False)
    (dx,) = torch.autograd.grad(out, x, g)
    from benchmarks.reference import spmm_reference

    graph = forms.graph
    got = spmm_reference(graph.rowptr, graph.col, forms.weight.numpy(), x.detach().numpy(), g.numpy(), reduce)
    np.testing.assert_allclose(got[0], out.detach().numpy(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got[1], dx.numpy(), rtol=1e-6, atol=1e-6)


# graphs


@pytest.mark.parametrize("graph", [rmat(300, 2_000), powerlaw(300, 1_000)], ids=["rmat", "powerlaw"])
def test_generated_graphs_are_simple_and_symmetric(graph: BenchGraph) -> None:
    size = (graph.num_nodes, graph.num_nodes)
    matrix = sp.csr_array((np.ones(graph.nnz), graph.col, graph.rowptr), shape=size)
    assert graph.nnz == 2_000
    assert (matrix - matrix.T).nnz == 0
    assert matrix.max() == 1.0
    assert matrix.diagonal().sum() == 0
    assert all(np.all(np.diff(graph.col[a:b]) > 0) for a, b in zip(graph.rowptr, graph.rowptr[1:], strict=False))
    assert graph.degree.max() > 3 * graph.degree.mean()


def test_a_seed_gives_one_graph(tmp_path: Path) -> None:
    first, again, other = rmat(300, 2_000, seed=1), rmat(300, 2_000, seed=1), rmat(300, 2_000, seed=2)
    np.testing.assert_array_equal(first.col, again.col)
    assert not np.array_equal(first.col, other.col)
    cached = load_graph("tiny"), load_graph("tiny")
    np.testing.assert_array_equal(cached[0].col, cached[1].col)
    write_edges(first, tmp_path / "edges.tsv")
    edges = np.loadtxt(tmp_path / "edges.tsv", dtype=np.int64, delimiter="\t")
    assert edges.shape == (1_000, 2)
    assert np.all(edges[:, 0] < edges[:, 1])


def test_missing_public_graphs_are_named_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHREP_DATA", raising=False)
    graph = load_graph("pubmed")
    assert graph.name.startswith("generated-")
    assert (graph.num_nodes, graph.nnz) == (19_717, 88_648)


# compare


def result_of(median: float, *, peak: int = 100 << 20, spread: float = 0.01) -> dict[str, Any]:
    seconds = {"median": median, "q1": median * (1 - spread), "q3": median * (1 + spread), "min": median, "samples": []}
    ours = {"status": "ok", "seconds": seconds, "ratio": 1.0, "ratio_samples": [1.0], "peak_bytes": peak, "error": 0.0}
    rival = {**ours, "seconds": {**seconds, "median": 2.0}, "ratio": 2.0 / median, "ratio_samples": [2.0 / median]}
    entry = {
        "name": "c", "size": "tiny", "status": "ok", "params": {"graph": "g", "width": 16}, "graph": {"graph": "g"},
        "methods": {OURS: ours, "rival": rival, "other": {"status": "skipped", "reason": "too large"}},
    }  # fmt: skip
    begin = {"machine": {"cpu": "x"}, "versions": {"torch": "2"}, "commit": "abcdef123456", "time": "2026-01-01T00"}
    return {"family": "spmm", "threads": 1, "clock": "wall", "cases": [entry], "begin": begin}


@pytest.mark.parametrize(
    ("new", "verdict", "bad"),
    [
        (result_of(1.05), "same", False),
        (result_of(1.2), "slower", True),
        (result_of(1.2, spread=0.3), "within noise", False),
        (result_of(0.5), "faster", False),
        (result_of(1.0, peak=110 << 20), "more memory", True),
        (result_of(1.0, peak=103 << 20), "same memory", False),
        ({**result_of(1.0), "cases": []}, "missing", True),
    ],
)
def test_compare_verdicts(new: dict[str, Any], verdict: str, bad: bool, tmp_path: Path) -> None:
    old = result_of(1.0)
    found = [v for v in comparing.compare(old, new) if v.verdict == verdict]
    assert len(found) == 1
    assert found[0].bad is bad
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, data in zip(paths, (old, new), strict=True):
        machine.write_json(path, data)
    assert comparing.main([str(path) for path in paths]) == int(bad)


def test_compare_refuses_wrong_results_and_other_graphs() -> None:
    wrong, other = result_of(1.0), result_of(1.0)
    wrong["cases"][0]["status"] = "wrong"
    other["cases"][0]["graph"] = {"graph": "another"}
    assert [v.verdict for v in comparing.compare(result_of(1.0), wrong)] == ["wrong"]
    assert [(v.verdict, v.bad) for v in comparing.compare(result_of(1.0), other)] == [("other inputs", True)]


def test_relative_comparison_cancels_the_machine() -> None:
    slower_machine = copy.deepcopy(result_of(1.0))
    for record in slower_machine["cases"][0]["methods"].values():
        if record["status"] == "ok":
            record["seconds"] = {k: [] if k == "samples" else 3 * v for k, v in record["seconds"].items()}
    assert not any(v.bad for v in comparing.compare(result_of(1.0), slower_machine, relative=True))
    assert any(v.verdict == "slower" for v in comparing.compare(result_of(1.0), result_of(1.5), relative=True))


# tables and files


def test_tables_rewrite_only_their_blocks(tmp_path: Path) -> None:
    machine.write_json(tmp_path / "spmm.json", result_of(1e-3))
    page = tmp_path / "PAGE.md"
    bodies = {"spmm": "old", "fastrp": "kept"}
    blocks = [f"<!-- benchmarks:{name} -->\n{body}\n<!-- /benchmarks -->" for name, body in bodies.items()]
    page.write_text("\n".join(["# T", *blocks, ""]))
    assert table.main([str(page), "--results", str(tmp_path)]) == 0
    text = page.read_text()
    assert "old" not in text
    assert "kept" in text
    assert "| g, d=16 (1 cases) | 1 ms - 1 ms | 2000.0x |" in text
    assert "other: skipped - too large" in (tmp_path / "spmm.md").read_text()
    assert (tmp_path / "spmm.svg").read_text().startswith("<?xml")
    before = text
    assert table.main([str(page), "--results", str(tmp_path)]) == 0
    assert page.read_text() == before


def test_json_is_complete_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    machine.write_json(path, {"x": 0.1234567891})
    assert machine.read_json(path) == {"x": 0.123457}
    with pytest.raises(ValueError, match="JSON"):
        machine.write_json(path, {"x": float("nan")})
    assert machine.read_json(path) == {"x": 0.123457}
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".a")] == []


def test_circumstances_name_versions_and_commit() -> None:
    now = machine.circumstances()
    assert now["versions"]["torch"] == torch.__version__
    assert now["versions"]["numba"] != "absent"
    assert len(now["load"]) == 3
    assert now["machine"]["cores"] >= 1


def test_peak_memory_counts_what_is_allocated() -> None:
    from benchmarks.memory import peak_of

    peak, result = peak_of(lambda: np.ones(8 << 20))
    assert result.nbytes == 64 << 20
    assert 60 << 20 < peak < 80 << 20


def test_spmm_covers_what_it_says() -> None:
    large = [case for case in spmm_family.cases() if case.size != "tiny"]
    assert len(large) == 3 * 3 * 2 * 2 * 3


def test_every_committed_result_has_a_table_and_a_chart(tmp_path: Path) -> None:
    for path in sorted(table.RESULTS.glob("*.json")):
        (tmp_path / path.name).write_text(path.read_text())
    assert table.main(["--results", str(tmp_path)]) == 0
    for path in tmp_path.glob("*.json"):
        if "cases" not in machine.read_json(path):  # counts of the fuzz program: nothing to draw
            continue
        assert table.short_table(machine.read_json(path)).count("\n|") >= 2
        assert path.with_suffix(".md").is_file()
        assert path.with_suffix(".svg").is_file()


def test_later_cases_say_when_they_were_measured() -> None:
    from benchmarks.run import added

    old = {"family": "x", "begin": {"time": "1", "commit": "a"}, "cases": [{"name": "one"}, {"name": "two", "v": 1}]}
    new = {"family": "x", "begin": {"time": "2", "commit": "b"}, "cases": [{"name": "two", "v": 2}, {"name": "three"}]}
    found = added(old, new)
    assert [case["name"] for case in found["cases"]] == ["one", "two", "three"]
    assert found["cases"][1] == {"name": "two", "v": 2, "measured": {"time": "2", "commit": "b"}}
    assert "measured" not in found["cases"][0]
    assert found["begin"] == old["begin"]
