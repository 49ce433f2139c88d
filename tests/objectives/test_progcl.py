"""Weighted negatives: golden file, explicit loops, frozen views, tiles, the mixture's fit, degenerate inputs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable

import numpy as np
import pytest
import torch
from contrast_cases import close, gradients, views
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from graphrep.errors import DTypeError, GraphrepError, ShapeError
from graphrep.kernels.blockwise.mixture import mixture_contrast
from graphrep.objectives import BetaMixture, ProGCLContrastLoss, info_nce, progcl_contrast

Golden = Callable[[str], dict[str, Tensor]]


def similarity(u: Tensor, v: Tensor) -> Tensor:
    return (normalize(u) @ normalize(v).t() + 1) / 2


def fitted(u: Tensor, v: Tensor) -> BetaMixture:
    return BetaMixture(init_weight=0.1).fit(similarity(u.detach(), v.detach()))


def rows_by_loops(u: Tensor, v: Tensor, t: float, mixture: BetaMixture, kept: tuple[Tensor, Tensor]) -> Tensor:
    """One anchor and one negative at a time, weights from `kept`."""
    x = similarity(*kept).detach()
    weight = mixture.posterior(x.double()).to(x.dtype) * x
    u, v, count, rows = normalize(u), normalize(v), len(u), []
    for i in range(count):
        others = [j for j in range(count) if j != i]
        positive = (u[i] @ v[i] / t).exp()
        if not others:
            rows.append((positive / positive).log())
            continue
        mean = torch.stack([weight[i, j] for j in others]).mean()
        terms = [weight[i, j] * ((u[i] @ v[j] / t).exp() + (u[i] @ u[j] / t).exp()) for j in others]
        rows.append(-(positive / (positive + torch.stack(terms).sum() / mean)).log())
    return torch.stack(rows)


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-8), (torch.float32, 1e-3)])
def test_golden(dtype: torch.dtype, tol: float, backend: str, golden: Golden) -> None:
    g = golden("gcl/progcl_a")
    h = tuple(g[key].to(dtype).requires_grad_() for key in ("h1", "h2"))
    x = similarity(h[0].detach(), h[1].detach())
    mixture = BetaMixture(iters=int(g["iters"]), init_weight=g["weight_init"].item())
    assert mixture.fit(x[:, g["fit_columns"]]) is mixture
    for found, key in ((mixture.alpha, "alphas"), (mixture.beta, "betas"), (mixture.weight, "mix")):
        close(found, g[key], tol)
    off = ~torch.eye(len(x), dtype=torch.bool)
    close((mixture.posterior(x) * x)[off].reshape(len(x), -1), g["B"], tol)
    options = {"temperature": g["tau"].item(), "mixture": mixture, "symmetric": False}
    close(progcl_contrast(*h, reduction="none", **options).detach(), g["loss_rows"], tol)
    loss = progcl_contrast(*h, **options)
    close(loss.detach(), g["loss"], tol)
    for found, key in zip(gradients(loss, h), ("grad_h1", "grad_h2"), strict=True):
        close(found, g[key], tol)


@pytest.mark.parametrize("count", [1, 2, 23])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_against_loops(count: int, symmetric: bool, frozen: bool, backend: str) -> None:
    u, v = views(count, 5)
    mixture = fitted(*views(20, 5, seed=1))
    kept = tuple(x.detach() for x in views(count, 3, seed=2)) if frozen else (u, v)
    wanted = rows_by_loops(u, v, 0.4, mixture, kept)
    if symmetric:
        wanted = (wanted + rows_by_loops(v, u, 0.4, mixture, kept[::-1])) / 2
    options = {"temperature": 0.4, "mixture": mixture, "symmetric": symmetric, "frozen": kept if frozen else None}
    found = progcl_contrast(u, v, reduction="none", **options)
    close(found.detach(), wanted.detach(), 1e-10)
    for a, b in zip(gradients(found, (u, v)), gradients(wanted, (u, v)), strict=True):
        close(a, b, 1e-10)


@given(st.integers(2, 12), st.integers(1, 5), st.booleans(), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_tiles_change_rounding_alone(count: int, tile: int, symmetric: bool, seed: int) -> None:
    x, y = (normalize(t.detach()).requires_grad_() for t in views(count, 3, seed))
    odds = fitted(*views(9, 3, 5)).log_odds()
    results = []
    for step in (None, tile):
        sums = mixture_contrast(x, y, odds, scale=2.0, symmetric=symmetric, block_size=step)
        loss = sums.lse_u.cos().sum() + sums.lse_v.sin().sum()
        results.append([*(s.detach() for s in sums), *gradients(loss, (x, y))])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def test_gradcheck_and_registration(backend: str) -> None:
    mixture = fitted(*views(9, 3, 5))
    kept = tuple(x.detach() for x in views(6, 4, 7))

    def loss(u: Tensor, v: Tensor) -> Tensor:
        return progcl_contrast(u, v, temperature=0.5, mixture=mixture, frozen=kept)

    assert torch.autograd.gradcheck(loss, views(6, 4))
    u, v = views(6, 4)
    unit = (normalize(u.detach()).requires_grad_(), normalize(v.detach()).requires_grad_())
    arguments = (*unit, 2.0, True, 0.1, 0.2, 0.3, 4, None, None)
    torch.library.opcheck(
        torch.ops.graphrep.mixture_contrast,
        arguments,
        test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
    )
    (grad,) = torch.autograd.grad(loss(u, v), u, create_graph=True)
    with pytest.raises(GraphrepError, match="Second derivatives"):
        grad.sum().backward()


def test_equal_weights_are_info_nce() -> None:
    """Frozen rows that are all alike give every pair the same weight, whatever the mixture is."""
    u, v = views(11, 4)
    kept = (torch.ones(11, 2, dtype=torch.float64),) * 2
    found = progcl_contrast(u, v, temperature=0.3, mixture=BetaMixture(), frozen=kept, reduction="none")
    close(found, info_nce(u, v, temperature=0.3, reduction="none"), 1e-12)


def test_temperatures_that_overflow_a_plain_exponential(backend: str) -> None:
    u, v = views(8, 3)
    mixture = fitted(u, v)
    rows = progcl_contrast(u, v, temperature=1e-3, mixture=mixture, reduction="none")
    x, y = normalize(u), normalize(v)
    weight = (mixture.posterior(similarity(u, v)) * similarity(u, v)).detach()
    weight = weight.fill_diagonal_(0)
    mean = weight.sum(1, keepdim=True) / 7
    negatives = torch.cat([x @ y.t(), x @ x.t()], 1) * 1e3 + torch.cat([weight / mean] * 2, 1).log()
    positive = (x * y).sum(1) * 1e3
    one_way = torch.logaddexp(positive, negatives.logsumexp(1)) - positive
    found = progcl_contrast(u, v, temperature=1e-3, mixture=mixture, reduction="none", symmetric=False)
    close(found.detach(), one_way.detach(), 1e-11)
    assert all(bool(g.isfinite().all()) for g in gradients(rows, (u, v)))


def test_swapping_views_changes_nothing_when_symmetric() -> None:
    u, v = views(13, 4)
    loss = ProGCLContrastLoss(temperature=0.5, mixture=fitted(u, v))
    close(loss(u, v), loss(v, u), 1e-12)


def test_zero_rows_and_half_types() -> None:
    u, v = views(10, 4)
    mixture = fitted(u, v)
    a, b = u.detach().clone(), v.detach()
    a[3] = 0
    assert bool(progcl_contrast(a, b, temperature=0.5, mixture=mixture, reduction="none").isfinite().all())
    wide = progcl_contrast(u, v, temperature=0.5, mixture=mixture)
    for dtype, tol in ((torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float16, 2e-3)):  # inputs are rounded
        narrow = progcl_contrast(u.to(dtype), v.to(dtype), temperature=0.5, mixture=mixture)
        assert narrow.dtype == torch.float32
        close(narrow.detach(), wide.detach(), tol)


def test_memory_is_a_few_tiles() -> None:
    """6,000 nodes: an N x N array of float32 would take 144 MB, and the plain form holds ten of them."""
    code = """
    import torch
    from pathlib import Path
    from graphrep.objectives import BetaMixture, progcl_contrast

    def resident():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

    def step(count):
        u, v = (torch.randn(count, 8, requires_grad=True) for _ in range(2))
        mixture = BetaMixture().fit(torch.rand(100))
        progcl_contrast(u, v, temperature=0.5, mixture=mixture, frozen=(v, u)).backward()
        assert u.grad.isfinite().all()

    torch.set_num_threads(1)
    step(2100)
    before = resident()
    step(6000)
    print(resident() - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) * 1024 < 60e6


def test_mixture_recovers_two_betas() -> None:
    """Not the parameters themselves (moments of shares are biased), but who comes from where."""
    rng = np.random.default_rng(0)
    near, far = rng.beta(2, 8, 1600), rng.beta(9, 3, 400)
    mixture = BetaMixture(iters=200, init_weight=0.2).fit(torch.from_numpy(np.concatenate([near, far])))
    assert mixture.weight[0].item() == pytest.approx(0.8, abs=0.02)
    assert mixture.posterior(torch.tensor([0.1, 0.9])).tolist() == pytest.approx([1.0, 0.0], abs=0.02)
    x = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    close(mixture.posterior(x, 0) + mixture.posterior(x, 1), torch.ones(50, dtype=torch.float64), 1e-14)
    offset, on_log_x, on_log_rest = mixture.log_odds()
    log = offset + on_log_x * x.log() + on_log_rest * torch.log1p(-x)
    close(mixture.posterior(x), log.sigmoid(), 1e-12)


def test_mixture_is_one_round_of_weighted_moments() -> None:
    from scipy import stats

    x = np.random.default_rng(1).random(200)
    likelihood = np.stack([0.9 * stats.beta.pdf(x, 1, 2), 0.1 * stats.beta.pdf(x, 2, 1)])
    share = likelihood / likelihood.sum(0)
    mean = (share * x).sum(1) / share.sum(1)
    variance = (share * (x - mean[:, None]) ** 2).sum(1) / share.sum(1)
    alpha = mean * (mean * (1 - mean) / variance - 1)
    mixture = BetaMixture(iters=1, init_weight=0.1).fit(torch.from_numpy(x))
    close(mixture.alpha, torch.from_numpy(alpha), 1e-10)
    beta = alpha * (1 - mean) / mean
    beta[1] = max(beta[1], 1.01) if beta[1] < 1 else beta[1]
    close(mixture.beta, torch.from_numpy(beta), 1e-10)


def test_fitting_again_starts_anew_unless_asked() -> None:
    x = torch.from_numpy(np.random.default_rng(2).random(100))
    once, twice, ten = (BetaMixture(iters=5) for _ in range(3))
    ten.iters = 10
    assert torch.equal(once.fit(x).alpha, twice.fit(x).fit(x).alpha)
    close(once.fit(x, warm=True).alpha, ten.fit(x).alpha, 1e-12)
    assert "alpha=" in repr(once)


def test_refuses() -> None:
    u, v = views(4, 3)
    mixture = BetaMixture()
    cases: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: BetaMixture(iters=0), GraphrepError, "iters"),
        (lambda: BetaMixture(init_weight=1.0), GraphrepError, "init_weight"),
        (lambda: mixture.fit(torch.empty(0)), ShapeError, "empty"),
        (lambda: mixture.fit(torch.tensor([0, 1])), DTypeError, "floating"),
        (lambda: mixture.fit(torch.tensor([-0.5, 0.5])), GraphrepError, r"in \[0, 1\]"),
        (lambda: mixture.fit(torch.tensor([float("nan"), 0.5])), GraphrepError, r"in \[0, 1\]"),
        (lambda: mixture.fit(torch.full((3,), 0.5)), GraphrepError, "variance"),
        (lambda: mixture.posterior(u, 2), GraphrepError, "component is 2"),
        (lambda: progcl_contrast(u, v[1:], temperature=1.0, mixture=mixture), ShapeError, "same node"),
        (lambda: progcl_contrast(u, v, temperature=0.0, mixture=mixture), GraphrepError, "temperature"),
        (lambda: progcl_contrast(u, v, temperature=1.0, mixture=None), GraphrepError, "NoneType"),  # type: ignore[arg-type]
        (lambda: progcl_contrast(u, v, temperature=1.0, mixture=mixture, frozen=(u[1:], v[1:])), ShapeError, "frozen"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()
