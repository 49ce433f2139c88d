"""The scripts that measure the skip-gram methods: means over seeds, and a run on a tiny graph."""

from __future__ import annotations

import pytest

from benchmarks.skipgram import summary
from benchmarks.skipgram_large import _train


def test_summary_is_the_mean_over_seeds() -> None:
    scores = [{"10%": {"micro_f1": value, "macro_f1": value / 2}} for value in (30.0, 34.0)]
    rows = [{"method": "line", "seed": seed, "scores": score} for seed, score in enumerate(scores)]
    rows.append({"method": "deepwalk", "seed": 0, "scores": scores[0]})
    found = summary(rows)
    assert found["line"]["seeds"] == 2
    assert found["line"]["micro_f1 at 10%"] == {"mean": 32.0, "std": pytest.approx(8**0.5)}
    assert found["deepwalk"]["macro_f1 at 10%"] == {"mean": 15.0, "std": 0.0}


@pytest.mark.filterwarnings("ignore::graphrep.data.check.GraphWarning")
def test_a_tiny_run_says_rate_and_memory() -> None:
    found = _train(300, 1500, "line", 2, 8)
    assert found["pairs"] == 2 * found["graph"]["stored_entries"]
    assert found["pairs_per_second"] > 0
    assert found["peak_bytes"] > 50e6
    assert len(found["losses"]) == 2
