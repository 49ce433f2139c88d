"""Label-free signals: ranks, alignment, uniformity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrep.errors import GraphrepError, NonFiniteError, ShapeError
from graphrep.eval import (
    EvalWarning,
    alignment,
    effective_rank,
    mean_feature_std,
    participation_ratio,
    rankme,
    stable_rank,
    uniformity,
)

RANKS = {
    "rankme": rankme,
    "effective_rank": effective_rank,
    "stable_rank": stable_rank,
    "participation_ratio": participation_ratio,
}


@pytest.mark.parametrize("name", ["spectrum_a", "spectrum_lowrank"])
def test_golden(golden, name) -> None:
    g = golden(f"evaluation/{name}")
    z, y = torch.from_numpy(g["z"]), torch.from_numpy(g["y"])
    for key, function in (RANKS | {"mean_feature_std": mean_feature_std}).items():
        assert function(z) == pytest.approx(float(g[key]), abs=1e-9), key
    for power in (1, 2):
        assert alignment(z, y, alpha=power) == pytest.approx(float(g[f"alignment_a{power}"]), abs=1e-12)
    for t in (2, 4):
        assert uniformity(z, t=t) == pytest.approx(float(g[f"uniformity_t{t}"]), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 30), st.integers(1, 8), st.sampled_from(sorted(RANKS)))
def test_ranks_lie_between_one_and_the_smaller_side_and_ignore_scale_and_rotation(seed, n, d, name) -> None:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, d))
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    value = RANKS[name](z)
    assert 1 - 1e-6 <= value <= min(n, d) + 1e-4
    assert RANKS[name](1e-3 * z @ turn) == pytest.approx(value, rel=1e-6)


def test_orthonormal_columns_use_every_dimension() -> None:
    z = np.linalg.qr(np.random.default_rng(0).standard_normal((50, 6)))[0]
    assert rankme(z) == pytest.approx(6, abs=1e-4)
    assert effective_rank(z) == pytest.approx(6)
    assert stable_rank(z) == pytest.approx(6)


@pytest.mark.parametrize("name", sorted(RANKS))
def test_a_collapsed_embedding_is_zero_and_warned_about(name) -> None:
    with pytest.warns(EvalWarning, match="rank is reported as 0"):
        assert RANKS[name](np.zeros((5, 3))) == 0.0


def test_one_direction_is_rank_one() -> None:
    z = np.outer(np.arange(1.0, 9.0), [1.0, 2.0, 2.0])
    assert effective_rank(z) == pytest.approx(1, abs=1e-6)
    assert mean_feature_std(z) == pytest.approx(0, abs=1e-12)
    assert alignment(z, 5 * z) == pytest.approx(0, abs=1e-12)
    assert uniformity(z) == pytest.approx(0, abs=1e-12)


def test_uniformity_by_double_loop() -> None:
    z = np.random.default_rng(1).standard_normal((9, 3))
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    pairs = [np.exp(-2 * ((unit[i] - unit[j]) ** 2).sum()) for i in range(9) for j in range(9) if i != j]
    assert uniformity(z) == pytest.approx(np.log(np.mean(pairs)))


def test_uniformity_of_many_rows_is_sampled_near_the_exact_value(monkeypatch) -> None:
    z = np.random.default_rng(2).standard_normal((600, 4))
    exact = uniformity(z)
    monkeypatch.setattr("graphrep.eval.spectrum._EXACT_ROWS", 100)
    monkeypatch.setattr("graphrep.eval.spectrum._SAMPLED_PAIRS", 200_000)
    assert uniformity(z) == pytest.approx(exact, abs=0.02)
    assert uniformity(z, seed=3) == uniformity(z, seed=3)
    assert uniformity(z, seed=3) != uniformity(z, seed=4)


def test_large_t_does_not_underflow() -> None:
    assert uniformity([[1.0, 0.0], [-1.0, 0.0]], t=1e4) == pytest.approx(-4e4)


def test_errors() -> None:
    with pytest.raises(ShapeError, match="differ in shape"):
        alignment(np.eye(2), np.eye(3))
    with pytest.raises(ShapeError, match="two rows"):
        uniformity([[1.0]])
    with pytest.raises(GraphrepError, match="t must be positive"):
        uniformity(np.eye(2), t=0)
    with pytest.raises(NonFiniteError):
        rankme([[np.nan]])
