"""summarize, compare, holm."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from graphrep.errors import GraphrepError, NonFiniteError, ShapeError
from graphrep.eval import compare, holm, summarize

RUNS = st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=12)


@pytest.mark.parametrize("name", ["stats_a", "stats_5seeds"])
def test_golden(golden, name) -> None:
    g = golden(f"evaluation/{name}")
    found, paired = summarize(torch.from_numpy(g["a"])), compare(g["a"], g["b"])
    assert found.mean == pytest.approx(float(g["mean_a"]))
    assert found.std == pytest.approx(float(g["std_ddof1_a"]))
    assert found.std_population == pytest.approx(float(g["std_ddof0_a"]))
    assert found.ci95 == pytest.approx(tuple(g["ci95_a"]))
    assert paired.ci95 == pytest.approx(tuple(g["ci95_diff"]))
    for key in ("paired_t_p", "welch_p", "wilcoxon_p"):
        assert getattr(paired, key) == pytest.approx(float(g[key]), abs=1e-12), key
    assert holm(g["holm_in"]) == pytest.approx(g["holm_out"])


@settings(max_examples=40, deadline=None)
@given(RUNS)
def test_interval_against_scipy(runs) -> None:
    found = summarize(runs)
    if found.std > 1e-6:
        wanted = stats.t.interval(0.95, len(runs) - 1, loc=found.mean, scale=stats.sem(runs))
        assert found.ci95 == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    assert found.ci95[0] <= found.mean <= found.ci95[1]
    assert found.std_population <= found.std


@settings(max_examples=15, deadline=None)
@given(RUNS)
def test_swapping_flips_the_difference_and_keeps_p(runs) -> None:
    first, second = np.array(runs), np.array(runs)[::-1] + np.linspace(0, 1, len(runs))
    there, back = compare(first, second), compare(second, first)
    assert there.mean_difference == pytest.approx(-back.mean_difference, abs=1e-9)
    assert there.ci95 == pytest.approx((-back.ci95[1], -back.ci95[0]), abs=1e-9)
    assert there.wilcoxon_p == pytest.approx(back.wilcoxon_p)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone_between_raw_and_bonferroni(p) -> None:
    p = np.array(p)
    found = holm(p)
    assert np.all(found >= p)
    assert np.all(found <= np.minimum(1, p * len(p)) + 1e-12)
    order = np.argsort(p, kind="stable")
    assert np.all(np.diff(found[order]) >= 0)
    assert found[order[0]] == pytest.approx(min(1, p.min() * len(p)))


def test_a_single_run_is_marked() -> None:
    found = summarize([0.5])
    assert math.isnan(found.std)
    assert "single run" in str(found)
    assert json.loads(found.to_json())["ci95"] == [None, None]
    assert summarize(0.5).n == 1


def test_equal_results() -> None:
    same = compare([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (same.mean_difference, same.paired_t_p, same.wilcoxon_p) == (0, 1, 1)
    shifted = compare([1.0, 1.0, 1.0], [2.0, 2.0, 2.0])
    assert shifted.mean_difference == 1
    assert shifted.paired_t_p == 0
    assert shifted.welch_p == 0


def test_errors() -> None:
    with pytest.raises(ShapeError, match="3 runs and b has 2"):
        compare([1, 2, 3], [1, 2])
    with pytest.raises(ShapeError, match="at least 2"):
        compare([1], [1])
    with pytest.raises(NonFiniteError):
        summarize([1.0, float("inf")])
    with pytest.raises(ShapeError, match="empty"):
        summarize([])
    with pytest.raises(GraphrepError, match="between 0 and 1"):
        holm([0.2, 1.3])
