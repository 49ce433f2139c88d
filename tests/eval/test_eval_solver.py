"""The batched Newton solver against liblinear and against the definition of its objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from graphrep.eval import EvalWarning, _newton
from graphrep.eval._newton import Problems, solve


def liblinear(x: np.ndarray, y: np.ndarray, c: float) -> np.ndarray:
    """(d + 1,) weights of scikit-learn's liblinear, run to a tight tolerance."""
    model = LogisticRegression(solver="liblinear", C=c, tol=1e-10, max_iter=1000).fit(x, y)
    return np.concatenate([model.coef_[0], model.intercept_])


def solved(x: np.ndarray, y: np.ndarray, c: list[float], tol: float = 1e-4) -> np.ndarray:
    """(d + 1, C) weights for one binary target, all rows, every c."""
    zeros = torch.zeros(len(c), dtype=torch.int64)
    problems = Problems(zeros, zeros, torch.tensor(c, dtype=torch.float64))
    rows, target = torch.from_numpy(x).double(), torch.from_numpy(y).double()[:, None]
    return solve(rows, target, torch.ones_like(target), problems, tol=tol).numpy()


def problem(n: int, d: int, *, seed: int = 0, share: float = 0.5, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    score = x[:, 0] + noise * rng.standard_normal(n)
    return x, score > np.quantile(score, 1 - share)


CASES = {
    "noisy": problem(120, 5, noise=2.0),
    "separable": problem(60, 8, noise=0.0),
    "imbalanced": problem(300, 6, share=0.02),
    "tiny": (np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([True, False, False])),
    "wide": problem(20, 50),
    "one_column": problem(50, 1),
    "zero_rows": (np.vstack([problem(40, 4)[0], np.zeros((5, 4))]), np.r_[problem(40, 4)[1], [True] * 5]),
    "repeated_columns": (np.tile(problem(60, 3)[0], 3), problem(60, 3)[1]),
    "constant_column": (np.hstack([problem(60, 3)[0], np.full((60, 1), 7.0)]), problem(60, 3)[1]),
    "large": (1e5 * problem(60, 3)[0], problem(60, 3)[1]),
    "small": (1e-5 * problem(60, 3)[0], problem(60, 3)[1]),
}


# values


@pytest.mark.parametrize("name", sorted(set(CASES) - {"large"}))
def test_weights_are_liblinears(name) -> None:
    x, y = CASES[name]
    costs = [2.0**-10, 0.1, 1.0, 2.0**9]
    found = solved(x, y, costs, tol=1e-8)
    for i, c in enumerate(costs):
        wanted = liblinear(x, y, c)
        assert np.abs(found[:, i] - wanted).max() < 2e-5 * max(1.0, np.abs(wanted).max()), c


@pytest.mark.parametrize("name", sorted(CASES))
def test_default_tolerance_predicts_as_the_optimum_does(name) -> None:
    """Against our own tight solution, since liblinear leaves the bias at 0 where rows are very long or very short."""
    x, y = CASES[name]
    fresh = np.random.default_rng(9).standard_normal((500, x.shape[1])) * np.abs(x).max()
    for c, weights in zip([0.01, 1.0, 100.0], solved(x, y, [0.01, 1.0, 100.0]).T, strict=True):
        optimum = solved(x, y, [c], tol=1e-10)[:, 0]
        wanted, said = (fresh @ w[:-1] + w[-1] for w in (optimum, weights))
        clear = np.abs(wanted) > 1e-3 * np.abs(wanted).max()
        assert np.array_equal(said[clear] > 0, wanted[clear] > 0)
        assert clear.mean() > 0.9


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 7, 31]), st.sampled_from([1, 6, 40]), st.sampled_from([0.01, 1, 50]))
def test_gradient_of_the_definition_vanishes(seed, n, d, c) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)), rng.random(n) < 0.4
    y[:2] = True, False
    w = torch.from_numpy(solved(x, y, [float(c)], tol=1e-9)[:, 0]).requires_grad_()
    design = torch.from_numpy(np.hstack([x, np.ones((n, 1))]))
    sign = torch.from_numpy(2.0 * y - 1)
    loss = w.square().sum() / 2 + c * torch.log1p(torch.exp(-sign * (design @ w))).sum()
    (gradient,) = torch.autograd.grad(loss, w)
    assert float(gradient.abs().max()) < 1e-5 * c * n


# a batch is the same as its members


def test_members_and_classes_and_costs_in_one_batch() -> None:
    rng = np.random.default_rng(3)
    x, targets = rng.standard_normal((40, 6)), rng.random((40, 3)) < 0.4
    members = rng.random((40, 2)) < 0.7
    column, member = torch.tensor([0, 1, 2, 2, 1]), torch.tensor([0, 1, 1, 0, 0])
    cost = torch.tensor([0.1, 1.0, 10.0, 0.5, 2.0], dtype=torch.float64)
    together = solve(
        torch.from_numpy(x),
        torch.from_numpy(targets).double(),
        torch.from_numpy(members).double(),
        Problems(column, member, cost),
        tol=1e-9,
    ).numpy()
    for b in range(5):
        rows = members[:, member[b]]
        alone = liblinear(x[rows], targets[rows, column[b]], float(cost[b]))
        assert np.abs(together[:, b] - alone).max() < 1e-5 * max(1, np.abs(alone).max())


def test_chunks_agree(monkeypatch) -> None:
    x, y = CASES["noisy"]
    costs = list(np.geomspace(0.01, 10, 30))
    whole = solved(x, y, costs)
    monkeypatch.setattr(_newton, "_CHUNK", 1)
    assert np.allclose(solved(x, y, costs), whole, atol=1e-3)


def test_float32_directions_reach_the_float64_optimum(monkeypatch) -> None:
    x, y = CASES["imbalanced"]
    mixed = solved(x, y, [1.0, 100.0], tol=1e-8)
    monkeypatch.setattr(_newton, "_rough", lambda x, largest_c: x)
    assert np.allclose(solved(x, y, [1.0, 100.0], tol=1e-8), mixed, rtol=1e-6, atol=1e-8)


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with _newton.threads_for(5):
        assert torch.get_num_threads() == 1
    with _newton.threads_for(1 << 40):
        assert torch.get_num_threads() == before
    solved(*CASES["tiny"], [1.0])
    assert torch.get_num_threads() == before


def test_no_problems() -> None:
    x = torch.ones(3, 2, dtype=torch.float64)
    none = torch.zeros(0, dtype=torch.int64)
    assert solve(x, x, x, Problems(none, none, torch.zeros(0, dtype=torch.float64))).shape == (3, 0)


def test_giving_up_is_not_silent(monkeypatch) -> None:
    monkeypatch.setattr(_newton, "_MAX_NEWTON", 1)
    with pytest.warns(EvalWarning, match="2 of 2 probe classifiers did not converge"):
        solved(*CASES["separable"], [1.0, 100.0])
